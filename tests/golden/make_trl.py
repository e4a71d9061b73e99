#!/usr/bin/env python3
"""Writes trl.json: advantages, losses and gradients of whole rollouts as TRL's GRPOTrainer computes them.

TRL's own _generate_and_score_completions and _compute_loss run on an object that has a trainer's settings and, instead of a model,
log-probabilities and entropies drawn at random, in double precision. The rollout has flat groups, a group whose rewards are flat in
their sum alone, truncated samples, samples that no reward judged, and one that only one reward judged. Cases:

  loss types x (scale_rewards, multi_objective_aggregation) x masks (none, truncated, top_entropy_quantile) x cuts

  cut whole    one step of one micro-batch
  cut groups   one step of a micro-batch per group
  cut steps    two steps of two micro-batches, each a group; which groups share a step makes no difference

and, in turn, ratios per token or per sequence, KL with and without bias correction, delta, off-policy masks, an entropy bonus. For the
quantile the micro-batches are gathered as TRL gathers those of several processes. The entropy bonus, whose mean TRL takes within each
micro-batch, is in the cut whole alone.

Each case: the settings that are not BASE's, the loss summed over micro-batches, and of the tokens of all samples d loss / d logprob
and d loss / d entropy.

Made with trl 1.16.0, torch 2.15, transformers 5.24. SPDX-License-Identifier: Apache-2.0
"""
import json, os, types
from collections import defaultdict
from contextlib import nullcontext

import torch, trl
from trl.extras import profiling
from trl.trainer import grpo_trainer
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.utils import split_tensor_dict

P, G, LONGEST = 4, 4, 6
LENGTHS = [3, 1, 4, 4, 2, 5, 2, 3, 6, 3, 1, 2, 4, 2, 2, 4]   # 12 completion tokens a group
TRUNCATED = [2, 6, 8]                                       # samples
N = None                                                    # the reward does not apply
REWARDS = [[1, 0.5], [0, 0.25], [0, 0], [1, 0.25],          # an ordinary group
           [0.5, 1], [0.5, 1], [N, N], [0.5, 1],            # flat, with an unjudged sample
           [2, 0.5], [0, N], [N, N], [-1, 1.5],             # unjudged, and judged in part
           [1, 0], [0, 2], [1, 0], [0, 2]]                  # flat in the weighted sum alone
WEIGHTS = [1.0, 0.5]
EOS, PAD = 7, 0
BASE = dict(importance_sampling_level="token", beta=0.0, epsilon=0.2, epsilon_high=0.28, delta=None, use_bias_correction_kl=True,
            off_policy_mask_threshold=None, sapo_temperature_pos=1.0, sapo_temperature_neg=1.0625, vespo_k_pos=2.0,
            vespo_lambda_pos=3.0, vespo_k_neg=3.0, vespo_lambda_neg=2.0, entropy_coef=0.0)
VARIANTS = [dict(), dict(beta=0.04), dict(importance_sampling_level="sequence"), dict(beta=0.04, use_bias_correction_kl=False),
            dict(importance_sampling_level="sequence", beta=0.04), dict(off_policy_mask_threshold=0.05, beta=0.04), dict(delta=1.5)]

torch.set_default_dtype(torch.float64)


def float32(x):
    return x.to(torch.float32).to(torch.float64)   # the readers hold floats


def draw():
    g = torch.Generator().manual_seed(5)
    shape = (P * G, LONGEST)
    logps = -2 * torch.rand(shape, generator=g) - 0.05
    old = logps + 0.35 * torch.randn(shape, generator=g)
    ref = logps + 0.5 * torch.randn(shape, generator=g)
    return dict(logprob=float32(logps), old=float32(old), ref=float32(ref), entropy=float32(torch.rand(shape, generator=g)))


class Accelerator:
    """What the trainer asks of it. Of several processes: the entropies of a whole step, where they are gathered for the quantile."""
    num_processes, process_index, sync_gradients, device = 1, 0, True, torch.device("cpu")
    gather = gather_for_metrics = staticmethod(lambda x: x)
    reduce = staticmethod(lambda x, reduction="sum": x)
    step_entropies = None

    def pad_across_processes(self, x, dim=0, pad_index=0):
        return self.step_entropies.float()


def completion_ids(i):
    ids = [3] * LENGTHS[i]
    return ids if i in TRUNCATED else ids[:-1] + [EOS]


def make_trainer(t, n_micro, accumulation):
    trainer = GRPOTrainer.__new__(GRPOTrainer)
    rows = range(P * G)
    args = types.SimpleNamespace(**t, steps_per_generation=n_micro, per_device_train_batch_size=P * G, gradient_accumulation_steps=n_micro,
                                 gradient_checkpointing_kwargs=None)
    functions = [lambda completions, k=k, **_: [REWARDS[c][k] for c in completions] for k in range(len(WEIGHTS))]
    values = dict(t, args=args, accelerator=Accelerator(), epsilon_low=t["epsilon"], model=types.SimpleNamespace(training=True),
                  ref_model=None, environment_factories=None, environments=None, tools=None, use_vllm=False, num_iterations=1,
                  num_generations=G, eos_token_ids=[EOS], _tokenizer=types.SimpleNamespace(pad_token_id=PAD), pad_to_multiple_of=None,
                  reward_funcs=functions, reward_processing_classes=[None] * len(WEIGHTS), reward_func_names=["a", "b"],
                  reward_weights=torch.tensor(WEIGHTS), state=None, max_completion_length=16, aux_loss_enabled=False,
                  current_gradient_accumulation_steps=accumulation, use_adaptive_entropy=False, log_multimodal=False,
                  _entropy_bonus_enabled=t["entropy_coef"] != 0, _metrics=dict(train=defaultdict(list)),
                  _logs=defaultdict(list, rewards=defaultdict(list)), _pending_extra_logs={}, _pending_metrics={},
                  _generate=lambda prompts: ([[i + 1] for i in rows], [completion_ids(i) for i in rows], None, list(rows), None, {},
                                             None, None))
    for name, value in values.items():
        object.__setattr__(trainer, name, value)
    object.__setattr__(trainer, "beta", 0.0)       # no reference model runs: its log-probabilities are drawn
    return trainer


def run(t, cut):
    n_micro, accumulation = dict(whole=(1, 1), groups=(P, P), steps=(P, P // 2))[cut]
    trainer = make_trainer(t, n_micro, accumulation)
    batch = trainer._generate_and_score_completions([dict(prompt=str(i)) for i in range(P * G)])
    object.__setattr__(trainer, "beta", t["beta"])
    drawn = draw()
    logps, entropies = drawn["logprob"].requires_grad_(True), drawn["entropy"].requires_grad_(True)
    trainer.accelerator.step_entropies = entropies.detach()[batch["completion_mask"].bool()]
    batch.update(old_per_token_logps=drawn["old"], ref_per_token_logps=drawn["ref"])

    def of_rows(model, input_ids, *args, **kwargs):
        rows = input_ids[:, 0] - 1
        return logps[rows], entropies[rows], None
    object.__setattr__(trainer, "_get_per_token_logps_and_entropies", of_rows)
    loss = sum(trainer._compute_loss(None, part) for part in split_tensor_dict(batch, n_micro))
    loss.backward()
    flat = lambda x: [0 if v == 0 else float("%.8g" % v) for i, n in enumerate(LENGTHS) for v in x[i, :n].tolist()]
    bonus = flat(entropies.grad) if t["entropy_coef"] else None
    metrics = {k: v[0] for k, v in trainer._metrics["train"].items()}
    changed = {k: v for k, v in t.items() if k not in BASE or v != BASE[k]}
    return dict(settings=changed, cut=cut, loss=loss.item(), d_logprob=flat(logps.grad), d_entropy=bonus), batch["advantages"], metrics


def settings():
    normalisers = [dict(scale_rewards=s, multi_objective_aggregation="sum_then_normalize") for s in ("group", "batch", "none")]
    normalisers.append(dict(scale_rewards="group", multi_objective_aggregation="normalize_then_sum"))
    masks = [dict(mask_truncated_completions=m, top_entropy_quantile=q) for m, q in ((False, 1.0), (True, 1.0), (False, 0.5), (True, 0.7))]
    i = 0
    for loss_type in ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"):
        for normaliser in normalisers:
            for mask in masks:
                for cut in ("whole", "groups", "steps"):
                    if cut == "steps" and mask["top_entropy_quantile"] < 1:
                        continue
                    t = dict(BASE, loss_type=loss_type, **normaliser, **mask)
                    t.update(VARIANTS[i % len(VARIANTS)])
                    t.update(entropy_coef=0.03 if cut == "whole" and i % 2 else 0.0)
                    t.update(epsilon_high=1.15 if loss_type == "cispo" else 0.28)
                    if loss_type in ("cispo", "sapo", "vespo"):
                        t.update(delta=None)               # TRL ignores it there, strop refuses it
                    i += 1
                    yield t, cut


def main():
    profiling.profiling_context = grpo_trainer.profiling_context = lambda *a: nullcontext()
    grpo_trainer.logger = types.SimpleNamespace(warning=lambda text: None)   # "All reward functions returned None": meant
    grpo_trainer.disable_gradient_checkpointing = lambda *a: nullcontext()
    grpo_trainer.gather = grpo_trainer.gather_object = lambda x: x
    advantages, cases = {}, []
    for t, cut in settings():
        case, values, metrics = run(t, cut)
        name = "/".join((t["scale_rewards"], t["multi_objective_aggregation"]))
        one = dict(scale_rewards=t["scale_rewards"], multi_objective_aggregation=t["multi_objective_aggregation"],
                   advantages=values.tolist(), reward=metrics["reward"], reward_std=metrics["reward_std"])
        assert advantages.setdefault(name, one) == one     # no mask and no cut moves them
        cases.append(case)
    drawn = draw()
    rows = lambda x: [x[i, :n].tolist() for i, n in enumerate(LENGTHS)]
    out = dict(made_by=f"make_trl.py with trl {trl.__version__}, torch {torch.__version__}", settings=BASE, groups=P, G=G, weights=WEIGHTS,
               max_completion_length=16, truncated=[i in TRUNCATED for i in range(P * G)], rewards=REWARDS,
               **{k: rows(v) for k, v in drawn.items()}, advantages=list(advantages.values()), cases=cases)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "trl.json")
    with open(path, "w") as f:
        json.dump(out, f, indent=None, separators=(",", ":"))
        f.write("\n")
    print(len(out["cases"]), "cases,", os.path.getsize(path), "bytes")


if __name__ == "__main__":
    main()

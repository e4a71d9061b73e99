#!/usr/bin/env python3
"""Writes losses.json: policy-gradient losses and their gradients as TRL's GRPOTrainer computes them.

TRL's own _compute_loss runs on an object that has its settings and, instead of a model, log-probabilities drawn at
random, in double precision. Each case: TRL's settings, the loss, and d loss / d logprob of each token that counts.
SPDX-License-Identifier: Apache-2.0
"""
import json, os, types
from collections import defaultdict

import torch, trl
from trl.trainer.grpo_trainer import GRPOTrainer

LENGTHS = [1, 4, 7, 3, 6, 7]              # completion tokens of each row
ADVANTAGES = [0.9, -1.3, 1.7, -0.4, 0.0, -0.8]
# TRL rounds the temperatures of SAPO to single precision, so they are such numbers here.
BASE = dict(loss_type="dapo", importance_sampling_level="token", beta=0.0, epsilon=0.2, epsilon_high=0.28, delta=None,
            use_bias_correction_kl=False, off_policy_mask_threshold=None, sapo_temperature_pos=1.0,
            sapo_temperature_neg=1.0625, top_entropy_quantile=1.0, max_completion_length=16, steps_per_generation=1)


def float32(x):
    return x.to(torch.float32).to(torch.float64)   # the readers hold floats


def draw():
    g = torch.Generator().manual_seed(11)
    shape = (len(LENGTHS), max(LENGTHS))
    logps = -2 * torch.rand(shape, generator=g, dtype=torch.float64) - 0.05
    old = logps + 0.35 * torch.randn(shape, generator=g, dtype=torch.float64)
    ref = logps + 0.5 * torch.randn(shape, generator=g, dtype=torch.float64)
    entropies = torch.rand(shape, generator=g, dtype=torch.float64)
    mask = torch.zeros(shape, dtype=torch.int64)
    for i, n in enumerate(LENGTHS):
        mask[i, :n] = 1
    return float32(logps), float32(old), float32(ref), float32(entropies), mask


class Accelerator:
    """What _compute_loss asks of it, for one process."""
    num_processes, sync_gradients, device = 1, True, torch.device("cpu")
    gather = gather_for_metrics = staticmethod(lambda x: x)
    pad_across_processes = staticmethod(lambda x, dim=0, pad_index=0: x)
    reduce = staticmethod(lambda x, reduction="sum": x)


def run(settings):
    logps, old, ref, entropies, mask = draw()
    logps.requires_grad_(True)
    t = types.SimpleNamespace(**settings)
    trainer = GRPOTrainer.__new__(GRPOTrainer)
    for name in ("loss_type", "importance_sampling_level", "beta", "epsilon_high", "off_policy_mask_threshold",
                 "top_entropy_quantile", "max_completion_length"):
        object.__setattr__(trainer, name, getattr(t, name))
    values = dict(epsilon_low=t.epsilon, args=t, accelerator=Accelerator(), model=types.SimpleNamespace(training=True),
                  use_vllm=False, aux_loss_enabled=False, current_gradient_accumulation_steps=1,
                  _entropy_bonus_enabled=False, use_adaptive_entropy=False,
                  _metrics={"train": defaultdict(list), "eval": defaultdict(list)},
                  _get_per_token_logps_and_entropies=lambda *a, **k: (logps, entropies, None))
    for name, value in values.items():
        object.__setattr__(trainer, name, value)
    ids = torch.zeros_like(mask)
    inputs = dict(prompt_ids=ids[:, :1], prompt_mask=torch.ones_like(ids[:, :1]), completion_ids=ids,
                  completion_mask=mask, advantages=torch.tensor(ADVANTAGES, dtype=torch.float64),
                  old_per_token_logps=old, ref_per_token_logps=ref, num_items_in_batch=mask.sum())
    loss = trainer._compute_loss(None, inputs)
    loss.backward()
    metrics = {k: v[0] for k, v in trainer._metrics["train"].items()}
    gradient = [logps.grad[i, :n].tolist() for i, n in enumerate(LENGTHS)]
    kept = [[True] * n for n in LENGTHS]
    if t.top_entropy_quantile < 1:
        high = trainer.get_high_entropy_mask(entropies, mask, 1 - t.top_entropy_quantile)
        kept = [high[i, :n].bool().tolist() for i, n in enumerate(LENGTHS)]
    return dict(settings=settings, loss=loss.item(), gradient=gradient, kept=kept,
                kl=metrics.get("kl"), clip_low=metrics.get("clip_ratio/low_mean"),
                clip_high=metrics.get("clip_ratio/high_mean", metrics.get("cispo_clip_ratio")))


def settings():
    for loss_type in ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo"):
        for level in ("token", "sequence"):
            for beta in (0.0, 0.04):
                high = 1.15 if loss_type == "cispo" else 0.28
                yield dict(BASE, loss_type=loss_type, importance_sampling_level=level, beta=beta, epsilon_high=high)
    for level in ("token", "sequence"):
        yield dict(BASE, importance_sampling_level=level, delta=1.5)
        yield dict(BASE, importance_sampling_level=level, beta=0.3, use_bias_correction_kl=True)
        yield dict(BASE, importance_sampling_level=level, beta=0.3, off_policy_mask_threshold=0.05)
        yield dict(BASE, importance_sampling_level=level, epsilon=0.05, epsilon_high=0.05, beta=0.02)
    yield dict(BASE, beta=0.1, top_entropy_quantile=0.5)
    yield dict(BASE, loss_type="sapo", sapo_temperature_pos=0.5, sapo_temperature_neg=3.0)


def main():
    logps, old, ref, _, _ = draw()
    rows = lambda x: [x[i, :n].tolist() for i, n in enumerate(LENGTHS)]
    out = dict(made_by=f"make_losses.py with trl {trl.__version__}, torch {torch.__version__}", advantages=ADVANTAGES,
               logprob=rows(logps), old=rows(old), ref=rows(ref), cases=[run(s) for s in settings()])
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "losses.json")
    with open(path, "w") as f:
        json.dump(out, f, indent=None, separators=(",", ":"))
        f.write("\n")
    print(len(out["cases"]), "cases,", os.path.getsize(path), "bytes")


if __name__ == "__main__":
    main()

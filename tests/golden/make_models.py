#!/usr/bin/env python3
"""make_models.py - tiny random models, and what transformers computes with them.

    make_models.py [FOLDER [NAME ...]]      (default: the folder of this script, all cases)

Writes models/NAME/ for each case below:
    config.json, generation_config.json, model.safetensors   a Hugging Face directory, bfloat16 weights without a tokenizer
    golden.bin   sequences, log-probabilities, and the gradients of a loss, all in fp32, little-endian:
        char[8]  "STROPGLD"
        int32    n_sequences, n_grads; float inv_temperature
        sequence n_tokens, n_prefix, parent, first_target   (int32; parent: the sequence whose first n_prefix tokens are
                 also its own, or -1; targets are the tokens from first_target on, and n = n_tokens - first_target)
                 int32 tokens[n_tokens]
                 float a[n], b[n]; logprob[n], lse[n], entropy[n]
        grad     char name[80]; int32 n_rows, n_cols, n; float norm; int32 index[n]; float value[n]
    experts.bin, of a mixture: int32 n_layers, k of those that have experts; then for each sequence and such a layer
        uint8 experts[n_tokens][k], ascending in each row
    loss = sum over targets of a * logprob + b * entropy, both at the temperature.

Made with torch 2.15 and transformers 5.23, mixtures with torch 2.11 and transformers 5.17: eager attention in fp64, but for the parts that transformers computes in fp32 in any case
(rotary tables, norms, the softmax of attention).
"""
import json, os, struct, sys
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import DeepseekV2Config, DeepseekV2ForCausalLM, DeepseekV3Config, DeepseekV3ForCausalLM
from transformers import (LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen2MoeConfig, Qwen2MoeForCausalLM,
                          Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM)

COMMON = dict(vocab_size=203, max_position_embeddings=512, rms_norm_eps=1e-6, num_hidden_layers=2,
              bos_token_id=1, eos_token_id=2, attention_dropout=0.0)

CASES = {
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, dict(
        hidden_size=64, num_attention_heads=4, num_key_value_heads=2, intermediate_size=112, tie_word_embeddings=True,
        rope_theta=10000.0)),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, dict(
        hidden_size=64, num_attention_heads=2, num_key_value_heads=1, head_dim=48, intermediate_size=80,
        tie_word_embeddings=False, rope_theta=1000000.0)),
    "llama-tied": (LlamaConfig, LlamaForCausalLM, dict(
        hidden_size=72, num_attention_heads=9, num_key_value_heads=3, head_dim=16, intermediate_size=64, num_hidden_layers=3,
        tie_word_embeddings=True, rope_theta=10000.0, rms_norm_eps=1e-5)),
    "llama3": (LlamaConfig, LlamaForCausalLM, dict(
        hidden_size=64, num_attention_heads=4, num_key_value_heads=4, intermediate_size=96, tie_word_embeddings=False,
        rope_theta=500000.0, rms_norm_eps=1e-5,
        rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                          original_max_position_embeddings=64))),
    "llama-linear": (LlamaConfig, LlamaForCausalLM, dict(
        hidden_size=64, num_attention_heads=4, num_key_value_heads=1, intermediate_size=64, tie_word_embeddings=True,
        rope_theta=10000.0, rope_scaling=dict(rope_type="linear", factor=2.5))),
    "qwen2-yarn": (Qwen2Config, Qwen2ForCausalLM, dict(
        hidden_size=64, num_attention_heads=2, num_key_value_heads=2, intermediate_size=64, tie_word_embeddings=True,
        rope_theta=10000.0, rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=128))),
    # latent attention: all layers dense; an eps that shows where the config's is not used; both mscale of YaRN
    "mla": (DeepseekV3Config, DeepseekV3ForCausalLM, dict(
        hidden_size=64, num_attention_heads=4, num_key_value_heads=4, intermediate_size=96, tie_word_embeddings=False,
        q_lora_rank=32, kv_lora_rank=48, qk_nope_head_dim=32, qk_rope_head_dim=16, v_head_dim=16,
        first_k_dense_replace=2, n_routed_experts=8, n_group=2, topk_group=1, num_experts_per_tok=2,
        moe_intermediate_size=32, rope_theta=10000.0, rms_norm_eps=1e-2,
        rope_scaling=dict(rope_type="yarn", factor=8.0, original_max_position_embeddings=64, mscale=1.0,
                          mscale_all_dim=0.7, beta_fast=32, beta_slow=1))),
    "mla-direct": (DeepseekV2Config, DeepseekV2ForCausalLM, dict(
        hidden_size=80, num_attention_heads=5, num_key_value_heads=5, intermediate_size=64, tie_word_embeddings=True,
        q_lora_rank=None, kv_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=32, v_head_dim=32,
        first_k_dense_replace=2, n_routed_experts=8, num_experts_per_tok=2, moe_intermediate_size=32,
        rope_theta=10000.0)),
    "qwen3-moe": (Qwen3MoeConfig, Qwen3MoeForCausalLM, dict(
        hidden_size=48, num_attention_heads=4, num_key_value_heads=2, head_dim=16, intermediate_size=64,
        tie_word_embeddings=True, rope_theta=1000000.0, num_experts=8, num_experts_per_tok=2, moe_intermediate_size=32,
        norm_topk_prob=True)),
    "qwen3-moe-dense": (Qwen3MoeConfig, Qwen3MoeForCausalLM, dict(
        hidden_size=48, num_attention_heads=2, num_key_value_heads=1, head_dim=32, intermediate_size=80, num_hidden_layers=4,
        tie_word_embeddings=False, rope_theta=10000.0, num_experts=6, num_experts_per_tok=3, moe_intermediate_size=16,
        norm_topk_prob=True, mlp_only_layers=[3], decoder_sparse_step=2)),
    "qwen2-moe": (Qwen2MoeConfig, Qwen2MoeForCausalLM, dict(
        hidden_size=64, num_attention_heads=4, num_key_value_heads=2, intermediate_size=64, tie_word_embeddings=True,
        rope_theta=10000.0, num_experts=5, num_experts_per_tok=2, moe_intermediate_size=32,
        shared_expert_intermediate_size=48, norm_topk_prob=False)),
    "deepseek-v3": (DeepseekV3Config, DeepseekV3ForCausalLM, dict(
        hidden_size=48, num_attention_heads=2, num_key_value_heads=2, intermediate_size=64, tie_word_embeddings=False,
        q_lora_rank=32, kv_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=16, v_head_dim=16, num_hidden_layers=3,
        first_k_dense_replace=1, n_routed_experts=8, n_group=4, topk_group=2, num_experts_per_tok=3, n_shared_experts=2,
        moe_intermediate_size=16, routed_scaling_factor=2.5, rope_theta=10000.0)),
    "deepseek-v2": (DeepseekV2Config, DeepseekV2ForCausalLM, dict(
        hidden_size=48, num_attention_heads=2, num_key_value_heads=2, intermediate_size=64, tie_word_embeddings=True,
        q_lora_rank=None, kv_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=16, v_head_dim=16,
        first_k_dense_replace=0, n_routed_experts=9, topk_method="group_limited_greedy", n_group=3, topk_group=2,
        num_experts_per_tok=2, n_shared_experts=1, moe_intermediate_size=32, routed_scaling_factor=2.0,
        rope_theta=10000.0)),
    # pairs of the rotation half a head apart; the longest context of the published model
    "deepseek-v3-halves": (DeepseekV3Config, DeepseekV3ForCausalLM, dict(
        hidden_size=48, num_attention_heads=3, num_key_value_heads=3, intermediate_size=64, tie_word_embeddings=True,
        q_lora_rank=None, kv_lora_rank=16, qk_nope_head_dim=32, qk_rope_head_dim=16, v_head_dim=16,
        first_k_dense_replace=0, n_routed_experts=6, n_group=1, topk_group=1, num_experts_per_tok=2,
        moe_intermediate_size=16, n_shared_experts=1, routed_scaling_factor=1.5, norm_topk_prob=False,
        rope_interleave=False, rope_theta=10000.0,
        rope_scaling=dict(rope_type="yarn", factor=40.0, original_max_position_embeddings=32, mscale=1.0,
                          mscale_all_dim=1.0, beta_fast=32, beta_slow=1))),
    # as V2-Lite: a greedy choice, direct queries
    "deepseek-v2-greedy": (DeepseekV2Config, DeepseekV2ForCausalLM, dict(
        hidden_size=48, num_attention_heads=2, num_key_value_heads=2, intermediate_size=64, num_hidden_layers=3,
        tie_word_embeddings=False, q_lora_rank=None, kv_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=16,
        v_head_dim=16, first_k_dense_replace=1, n_routed_experts=8, topk_method="greedy", num_experts_per_tok=3,
        moe_intermediate_size=16, n_shared_experts=2, routed_scaling_factor=1.0, rope_theta=10000.0,
        rope_scaling=dict(rope_type="yarn", factor=40.0, original_max_position_embeddings=32, mscale=0.707,
                          mscale_all_dim=0.707, beta_fast=32, beta_slow=1))),
}
INV_TEMPERATURE = 1.25
SAMPLES = 160  # entries of a large tensor
EXPERT_SAMPLES = 40


def has_experts(config):
    return hasattr(config, "num_experts_per_tok")


def by_expert(tensors, config):
    """Stacks as a tensor per expert, which every reader takes: gate_up_proj [E, 2F, d] and down_proj [E, d, F]."""
    out = {}
    for name, t in tensors.items():
        stem, _, last = name.rpartition(".")
        if not stem.endswith("mlp.experts"):
            out[name] = t
            continue
        for e in range(t.shape[0]):
            parts = {"down_proj": t[e]} if last == "down_proj" else dict(zip(("gate_proj", "up_proj"), t[e].chunk(2)))
            out.update({f"{stem}.{e}.{part}.weight": rows for part, rows in parts.items()})
    return out


def named_tensors(model):
    """What a file holds: parameters, and the correction biases, which are buffers."""
    biases = {k: v for k, v in model.named_buffers() if k.endswith("e_score_correction_bias")}
    return {**dict(model.named_parameters()), **biases}


def experts_of(model, sequences):
    """For each sequence and layer with experts, those of each token, ascending."""
    seen, out = {}, []

    def note(layer):
        def hook(_, __, result):
            seen[layer] = result[2].sort(-1).values.to(torch.uint8).numpy()
        return hook
    hooks = [layer.mlp.gate.register_forward_hook(note(i)) for i, layer in enumerate(model.model.layers)
             if hasattr(layer.mlp, "experts")]
    for s in sequences:
        with torch.no_grad():
            model(torch.tensor([s["tokens"]]))
        out += [seen[layer] for layer in sorted(seen)]
    for hook in hooks:
        hook.remove()
    return out


def write_experts(path, experts, n_sequences):
    with open(path, "wb") as f:
        f.write(struct.pack("<ii", len(experts) // n_sequences, experts[0].shape[1]))
        for ids in experts:
            f.write(ids.tobytes())


def build(config_class, model_class, options, seed):
    config = config_class(**{**COMMON, **options})
    config._attn_implementation = "eager"
    torch.manual_seed(seed)
    model = model_class(config).eval()
    if has_experts(config):
        model.set_experts_implementation("eager")
    with torch.no_grad():
        for name, p in named_tensors(model).items():
            if name.endswith("norm.weight"):
                p.copy_(1 + 0.2 * torch.randn_like(p))
            elif name.endswith("bias"):
                p.copy_(0.3 * torch.randn_like(p))
            elif "embed_tokens" in name and config.tie_word_embeddings:
                p.copy_(0.25 * torch.randn_like(p))
            elif "embed_tokens" in name:
                p.copy_(torch.randn_like(p))
            else:
                p.copy_(torch.randn_like(p) * 1.3 / p.shape[-1] ** 0.5)
            p.copy_(p.to(torch.bfloat16))
    return config, model


def make_sequences(rng):
    """A plain text of two key blocks, a group of three, a group whose prompt fills a block, and a short text."""
    def draw(n):
        return rng.integers(0, COMMON["vocab_size"], n).tolist()
    out = [dict(tokens=draw(150), n_prefix=0, parent=-1, first_target=1)]
    for n_prompt, lengths in ((37, (113, 40, 1)), (130, (23, 9))):
        parent = len(out)
        out.append(dict(tokens=draw(n_prompt), n_prefix=0, parent=-1, first_target=n_prompt))  # a prompt: no targets
        for n in lengths:
            out.append(dict(tokens=out[parent]["tokens"] + draw(n), n_prefix=n_prompt, parent=parent,
                            first_target=n_prompt))
    out.append(dict(tokens=draw(2), n_prefix=0, parent=-1, first_target=1))
    return out


def compute(model, sequences, rng):
    loss = 0.0
    for s in sequences:
        n = len(s["tokens"]) - s["first_target"]
        s["a"], s["b"] = (rng.standard_normal(n).astype(np.float32) for _ in range(2))
        if n == 0:
            s["logprob"] = s["lse"] = s["entropy"] = s["a"]
            continue
        logits = model(torch.tensor([s["tokens"]])).logits[0, s["first_target"] - 1:-1].double() * INV_TEMPERATURE
        lse = torch.logsumexp(logits, -1)
        logp = logits - lse[:, None]
        entropy = -(logp.exp() * logp).sum(-1)
        target = torch.tensor(s["tokens"][s["first_target"]:])
        chosen = logp.gather(1, target[:, None])[:, 0]
        loss = loss + (torch.from_numpy(s["a"]).double() * chosen + torch.from_numpy(s["b"]).double() * entropy).sum()
        s["logprob"], s["lse"], s["entropy"] = (x.detach().numpy().astype(np.float32) for x in (chosen, lse, entropy))
    loss.backward()


def write_golden(path, model, sequences, rng):
    grads = {k: t.grad if t.requires_grad else torch.zeros_like(t) for k, t in named_tensors(model).items()}
    grads = by_expert(grads, model.config)
    with open(path, "wb") as f:
        f.write(b"STROPGLD" + struct.pack("<iif", len(sequences), len(grads), INV_TEMPERATURE))
        for s in sequences:
            f.write(struct.pack("<iiii", len(s["tokens"]), s["n_prefix"], s["parent"], s["first_target"]))
            f.write(np.array(s["tokens"], np.int32).tobytes())
            for key in ("a", "b", "logprob", "lse", "entropy"):
                f.write(s[key].astype(np.float32).tobytes())
        for name, g in grads.items():
            g = g.numpy().astype(np.float64)
            n = min(g.size, EXPERT_SAMPLES if ".experts." in name else SAMPLES)
            index = np.sort(rng.choice(g.size, n, replace=False)).astype(np.int32)
            cols = g.shape[1] if g.ndim == 2 else 0
            f.write(struct.pack("<80siiif", name.encode(), g.shape[0], cols, n, float(np.linalg.norm(g))))
            f.write(index.tobytes() + g.reshape(-1)[index].astype(np.float32).tobytes())


def main():
    root = os.path.join(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__)), "models")
    wanted = sys.argv[2:] or CASES
    torch.set_num_threads(1)
    for seed, (name, (config_class, model_class, options)) in enumerate(CASES.items(), 1):
        if name not in wanted:
            continue
        folder = os.path.join(root, name)
        os.makedirs(folder, exist_ok=True)
        config, model = build(config_class, model_class, options, seed)
        config.save_pretrained(folder)
        model.generation_config.save_pretrained(folder)
        tensors = {k: v.detach().to(torch.bfloat16).contiguous() for k, v in named_tensors(model).items()}
        tensors = {k: v.contiguous() for k, v in by_expert(tensors, config).items()}
        save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        rng = np.random.default_rng(seed)
        sequences = make_sequences(rng)
        narrow = experts_of(model, sequences) if has_experts(config) else []
        model = model.double()
        if narrow:
            experts = experts_of(model, sequences)
            assert all((a == b).all() for a, b in zip(experts, narrow)), "fp32 chooses other experts"
            write_experts(os.path.join(folder, "experts.bin"), experts, len(sequences))
        compute(model, sequences, rng)
        write_golden(os.path.join(folder, "golden.bin"), model, sequences, rng)
        print(name, {k: os.path.getsize(os.path.join(folder, k)) for k in sorted(os.listdir(folder))})


if __name__ == "__main__":
    main()

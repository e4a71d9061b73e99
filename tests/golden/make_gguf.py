#!/usr/bin/env python3
"""make_gguf.py - GGUF files and dequantised blocks, made by the gguf package.

    make_gguf.py [FOLDER]      (default: the folder of this script; models/ must be there, see make_models.py)

Writes gguf/
    blocks.bin       for each number format: char name[8]; int32 id, n_bytes, n_values; the bytes; fp32 values that
                     gguf.quants.dequantize makes of them. Bytes are random, but for scales that are finite.
    qwen2.gguf       models/qwen2 in BF16 (vectors F32)
    llama3.gguf      models/llama3 in BF16, rows of q and k in the order of llama.cpp, rope_freqs.weight
    llama3-8.gguf    the same, but q and k of layer 0 in Q8_0
    llama3-8.bin     fp32: what gguf.quants makes of those q and k, in the order of the checkpoint, q first
    qwen3-moe.gguf   models/qwen3-moe; experts of a layer are one tensor
    deepseek-v3.gguf models/deepseek-v3; kv_b in two parts, keys transposed; gate and up of all experts of layer 1 are one tensor
    tokenizer.gguf   a byte-level BPE of 300 tokens, trained by the tokenizers package, and 2 of padding, as keys; no tensors
    tokenizer.ids    texts and their ids by the tokenizers package: int32 n_texts; each: int32 n_bytes, n_ids; bytes; ids

Made with gguf 0.19.0, tokenizers by transformers 5.23.
"""
import json, os, struct, sys
import numpy as np
import gguf
from gguf import GGMLQuantizationType as Q
from safetensors import safe_open
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers, Regex, AddedToken

FORMATS = [Q.F32, Q.F16, Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q8_0, Q.Q2_K, Q.Q3_K, Q.Q4_K, Q.Q5_K, Q.Q6_K, Q.BF16]
HALVES = {Q.Q4_0: [0], Q.Q4_1: [0, 2], Q.Q5_0: [0], Q.Q5_1: [0, 2], Q.Q8_0: [0], Q.Q2_K: [80, 82], Q.Q3_K: [108],
          Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q6_K: [208]}
BLOCKS = 6
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
           r"|\s+(?!\S)|\s+")


def write_blocks(path):
    rng = np.random.default_rng(7)
    with open(path, "wb") as f:
        for q in FORMATS:
            n, size = gguf.GGML_QUANT_SIZES[q]
            if q in HALVES:
                data = rng.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
                for at in HALVES[q]:
                    half = (rng.standard_normal(BLOCKS) * 0.02).astype(np.float16)
                    half[0] = np.float16(3e-7)  # subnormal
                    data[:, at:at + 2] = half.view(np.uint8).reshape(BLOCKS, 2)
            else:
                values = rng.standard_normal(40).astype(np.float32) * 10.0 ** rng.integers(-6, 3, 40)
                data = gguf.quants.quantize(values.astype(np.float32), q).reshape(-1).view(np.uint8)
            values = gguf.quants.dequantize(data, q).astype(np.float32).reshape(-1)
            f.write(struct.pack("<8siii", q.name.encode(), int(q), data.size, values.size))
            f.write(data.tobytes() + values.tobytes())


def permute(w, heads):
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def unpermute(w, heads):
    return w.reshape(heads, w.shape[0] // heads // 2, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def rope_divisors(config):
    p = config["rope_parameters"]
    D, n = config["head_dim"], p["original_max_position_embeddings"]
    freqs = 1.0 / p["rope_theta"] ** (np.arange(0, D, 2) / D)
    out = []
    for f in freqs:
        length = 2 * np.pi / f
        if length < n / p["high_freq_factor"]:
            out.append(1.0)
        elif length > n / p["low_freq_factor"]:
            out.append(p["factor"])
        else:
            smooth = (n / length - p["low_freq_factor"]) / (p["high_freq_factor"] - p["low_freq_factor"])
            out.append(1 / ((1 - smooth) / p["factor"] + smooth))
    return np.array(out, np.float32)


def write_model(folder, path, quantised=None):
    config = json.load(open(os.path.join(folder, "config.json")))
    arch = config["model_type"]
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[arch.upper()], config["num_hidden_layers"])
    w = gguf.GGUFWriter(path, arch)
    w.add_context_length(config["max_position_embeddings"])
    w.add_embedding_length(config["hidden_size"])
    w.add_block_count(config["num_hidden_layers"])
    w.add_feed_forward_length(config["intermediate_size"])
    w.add_head_count(config["num_attention_heads"])
    w.add_head_count_kv(config["num_key_value_heads"])
    w.add_layer_norm_rms_eps(config["rms_norm_eps"])
    w.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    w.add_bos_token_id(config["bos_token_id"])
    w.add_eos_token_id(config["eos_token_id"])
    w.add_vocab_size(config["vocab_size"])
    if arch == "llama":
        w.add_rope_dimension_count(config["head_dim"])
        config["rope_parameters"]["original_max_position_embeddings"] = 8192
        w.add_tensor("rope_freqs.weight", rope_divisors(config))
    kept = b""
    with safe_open(os.path.join(folder, "model.safetensors"), "pt") as f:
        for name in sorted(f.keys(), reverse=True):
            x = f.get_tensor(name).float().numpy()
            heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
            part = name.split(".")[-2]
            if arch == "llama" and part in heads:
                x = permute(x, heads[part])
            to = names.get_name(name, try_suffixes=(".weight", ".bias"))
            if x.ndim == 1:
                w.add_tensor(to, x)
                continue
            kind = Q.Q8_0 if quantised and ".layers.0." in name and part in heads else Q.BF16
            data = gguf.quants.quantize(x, kind)
            if kind == Q.Q8_0:
                kept += unpermute(gguf.quants.dequantize(data, kind), heads[part]).astype(np.float32).tobytes()
            w.add_tensor(to, data, raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    if quantised:
        open(quantised, "wb").write(kept)


ARCHITECTURES = {"qwen3_moe": "qwen3moe", "deepseek_v3": "deepseek2"}


def add_mixture_keys(w, c):
    w.add_context_length(c["max_position_embeddings"])
    w.add_embedding_length(c["hidden_size"])
    w.add_block_count(c["num_hidden_layers"])
    w.add_feed_forward_length(c["intermediate_size"])
    w.add_head_count(c["num_attention_heads"])
    w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    w.add_rope_freq_base(c["rope_parameters"]["rope_theta"])
    w.add_bos_token_id(c["bos_token_id"])
    w.add_eos_token_id(c["eos_token_id"])
    w.add_expert_used_count(c["num_experts_per_tok"])
    w.add_expert_feed_forward_length(c["moe_intermediate_size"])
    if c["model_type"] == "qwen3_moe":
        w.add_expert_count(c.get("num_experts") or c["num_local_experts"])
        w.add_head_count_kv(c["num_key_value_heads"])
        w.add_key_length(c["head_dim"])
        w.add_value_length(c["head_dim"])
        return
    w.add_expert_count(c["n_routed_experts"])
    w.add_head_count_kv(1)
    w.add_q_lora_rank(c["q_lora_rank"])
    w.add_kv_lora_rank(c["kv_lora_rank"])
    w.add_key_length(c["kv_lora_rank"] + c["qk_rope_head_dim"])
    w.add_value_length(c["kv_lora_rank"])
    w.add_key_length_mla(c["qk_nope_head_dim"] + c["qk_rope_head_dim"])
    w.add_value_length_mla(c["v_head_dim"])
    w.add_rope_dimension_count(c["qk_rope_head_dim"])
    w.add_leading_dense_block_count(c["first_k_dense_replace"])
    w.add_expert_shared_count(c["n_shared_experts"])
    w.add_expert_weights_scale(c["routed_scaling_factor"])
    w.add_expert_weights_norm(c["norm_topk_prob"])
    w.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
    w.add_expert_group_count(c["n_group"])
    w.add_expert_group_used_count(c["topk_group"])


def stack_experts(tensors):
    """All experts of a layer as one tensor: mlp.experts.gate_proj.weight [E, F, d]."""
    out, experts = {}, {}
    for name, x in tensors.items():
        if ".mlp.experts." in name:
            layer, rest = name.split(".mlp.experts.")
            number, kind = rest.split(".", 1)
            experts.setdefault(f"{layer}.mlp.experts.{kind}", {})[int(number)] = x
        else:
            out[name] = x
    for name, of in experts.items():
        out[name] = np.stack([of[i] for i in range(len(of))])
    return out


def split_kv_b(tensors, c):
    for name in [n for n in tensors if n.endswith("kv_b_proj.weight")]:
        x = tensors.pop(name).reshape(c["num_attention_heads"], c["qk_nope_head_dim"] + c["v_head_dim"], -1)
        tensors[name.replace("kv_b", "k_b")] = x[:, :c["qk_nope_head_dim"]].transpose(0, 2, 1)
        tensors[name.replace("kv_b", "v_b")] = x[:, c["qk_nope_head_dim"]:]


def write_mixture(folder, path):
    config = json.load(open(os.path.join(folder, "config.json")))
    arch = ARCHITECTURES[config["model_type"]]
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[arch.upper()], config["num_hidden_layers"])
    w = gguf.GGUFWriter(path, arch)
    add_mixture_keys(w, config)
    with safe_open(os.path.join(folder, "model.safetensors"), "pt") as f:
        tensors = stack_experts({name: f.get_tensor(name).float().numpy() for name in f.keys()})
    if arch == "deepseek2":
        split_kv_b(tensors, config)
        experts = "model.layers.1.mlp.experts."
        both = [tensors.pop(experts + kind + ".weight") for kind in ("gate_proj", "up_proj")]
        tensors[experts + "gate_up_proj.weight"] = np.concatenate(both, axis=1)
    for name, x in sorted(tensors.items()):
        name = name.replace("e_score_correction_bias", "e_score_correction.bias")
        to = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if to is None and name.endswith("experts.gate_up_proj.weight"):
            to = f"blk.{name.split('.')[2]}.ffn_gate_up_exps.weight"
        if x.ndim == 1 or "mlp.gate." in name:
            w.add_tensor(to, x)
        else:
            w.add_tensor(to, gguf.quants.quantize(np.ascontiguousarray(x), Q.BF16), raw_dtype=Q.BF16)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def write_tokenizer(path, ids_path):
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), "isolated", False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    text = ["using the numbers 25, 3 and 7, create an equation that equals 100. wait, let me think again.",
            "the answer is (25 + 75) * 1 = 100; however, that is wrong. Let me check: d\u00e9j\u00e0 vu, na\u00efve \u6570\u5b66"]
    t.train_from_iterator(text * 3, trainers.BpeTrainer(vocab_size=296, show_progress=False,
                          initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    t.add_special_tokens([AddedToken("<|endoftext|>", special=True, normalized=False),
                          AddedToken("<|im_start|>", special=True, normalized=False),
                          AddedToken("<|im_end|>", special=True, normalized=False)])
    t.add_tokens([AddedToken("<think>", normalized=False)])
    data = json.loads(t.to_str())
    tokens = sorted(t.get_vocab().items(), key=lambda x: x[1])
    assert [i for _, i in tokens] == list(range(len(tokens)))
    kinds = {x["content"]: 3 if x["special"] else 4 for x in data["added_tokens"]}
    w = gguf.GGUFWriter(path, "qwen2")
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list([x for x, _ in tokens] + ["[PAD300]", "[PAD301]"])
    w.add_token_types([kinds.get(x, 1) for x, _ in tokens] + [5, 5])
    w.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in data["model"]["merges"]])
    w.add_bos_token_id(t.token_to_id("<|endoftext|>"))
    w.add_eos_token_id(t.token_to_id("<|im_end|>"))
    w.add_chat_template("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}")
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.close()
    texts = ["", "the numbers 25 and 100", "wait, let me THINK again.\n\n  (25+75)*1 = 100", "<think>no</think><|im_end|>x",
             "cafe\u0301 \u6570\u5b66 \U0001f642", "it's   a\ttab\r\n"]
    with open(ids_path, "wb") as f:
        f.write(struct.pack("<i", len(texts)))
        for x in texts:
            ids = t.encode(x, add_special_tokens=False).ids
            f.write(struct.pack("<ii", len(x.encode()), len(ids)) + x.encode() + np.array(ids, np.int32).tobytes())


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    out = os.path.join(root, "gguf")
    os.makedirs(out, exist_ok=True)
    write_blocks(os.path.join(out, "blocks.bin"))
    write_model(os.path.join(root, "models/qwen2"), os.path.join(out, "qwen2.gguf"))
    write_model(os.path.join(root, "models/llama3"), os.path.join(out, "llama3.gguf"))
    write_model(os.path.join(root, "models/llama3"), os.path.join(out, "llama3-8.gguf"), os.path.join(out, "llama3-8.bin"))
    for name in ("qwen3-moe", "deepseek-v3"):
        write_mixture(os.path.join(root, "models", name), os.path.join(out, name + ".gguf"))
    write_tokenizer(os.path.join(out, "tokenizer.gguf"), os.path.join(out, "tokenizer.ids"))
    print({k: os.path.getsize(os.path.join(out, k)) for k in sorted(os.listdir(out))})


if __name__ == "__main__":
    main()

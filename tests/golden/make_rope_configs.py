#!/usr/bin/env python3
"""make_rope_configs.py - rope_configs.json: what transformers makes of every combination of the RoPE keys of a config.json.

Made with transformers 5.17 and torch 2.11. Each case: the keys that are added to a config of head width 16 and 512 positions, and
either the frequencies and the factor on cos and sin of the model that AutoConfig and AutoModelForCausalLM make of it, or null where
they refuse it.
"""
import itertools, json, os, tempfile
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

transformers.logging.set_verbosity_error()
BASE = dict(vocab_size=64, hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
            num_key_value_heads=2, head_dim=16, max_position_embeddings=512, rms_norm_eps=1e-6)
ABSENT = "absent"
THETAS = [ABSENT, 500000.0]
ORIGINALS = [ABSENT, 256]
PARAMETERS = [ABSENT, None, {}, dict(rope_type="default", rope_theta=70000.0),
              dict(rope_type="yarn", factor=2.0, original_max_position_embeddings=64, rope_theta=30000.0),
              dict(type="linear", factor=3.0)]
SCALINGS = [ABSENT, None, {}, dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=128),
            dict(type="yarn", factor=4.0), dict(rope_type="linear", type="yarn", factor=2.5, rope_theta=20000.0),
            dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                 original_max_position_embeddings=64), dict(rope_type="default"), dict(rope_theta=40000.0)]
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=128)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0)
SINGLE = [dict(YARN, attention_factor=0.0), dict(YARN, attention_factor=-1.5), dict(YARN, attention_factor=1),
          dict(YARN, mscale=-1.0, mscale_all_dim=0.5), dict(YARN, mscale=0, mscale_all_dim=1.0),
          dict(YARN, mscale=0.7), dict(YARN, mscale=0.7, mscale_all_dim=0.9), dict(YARN, mscale=1.0, attention_factor=2.0),
          dict(YARN, beta_fast=0, beta_slow=0), dict(YARN, beta_fast=None, beta_slow=None), dict(YARN, beta_fast=16, beta_slow=2),
          dict(YARN, factor=0.5), dict(YARN, factor=1.0), dict(YARN, factor=None), dict(YARN, attention_factor=None),
          dict(YARN, rope_theta=700), dict(type="linear", factor=0.5), dict(type="linear", factor=1), dict(factor=4.0),
          dict(LLAMA3), dict(LLAMA3, low_freq_factor=2, high_freq_factor=3, original_max_position_embeddings=100),
          {k: v for k, v in LLAMA3.items() if k != "low_freq_factor"}, {k: v for k, v in LLAMA3.items() if k != "high_freq_factor"},
          {k: v for k, v in LLAMA3.items() if k != "factor"}, dict(type="linear"), dict(type="yarn"), "yarn", [1]]


def answer(family, keys):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "config.json"), "w") as out:
            json.dump({**BASE, "model_type": family, **keys}, out)
        try:
            model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
        except Exception:
            return None
        rotary = model.model.rotary_emb
        return dict(frequencies=[float(x) for x in rotary.inv_freq], scale=float(rotary.attention_scaling))


def cases():
    for theta, original, parameters, scaling in itertools.product(THETAS, ORIGINALS, PARAMETERS, SCALINGS):
        keys = dict(rope_theta=theta, original_max_position_embeddings=original, rope_parameters=parameters, rope_scaling=scaling)
        yield {k: v for k, v in keys.items() if v != ABSENT}
    for value in SINGLE:
        yield dict(rope_scaling=value)
        yield dict(rope_parameters=value)


def main():
    families = itertools.cycle(["qwen2", "qwen3", "llama"])
    rows = [dict(family=f, keys=k, answer=answer(f, k)) for f, k in zip(families, cases())]
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rope_configs.json")
    with open(path, "w") as out:
        out.write("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")
    print(len(rows), "cases,", sum(r["answer"] is None for r in rows), "refused")


if __name__ == "__main__":
    main()

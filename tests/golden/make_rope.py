#!/usr/bin/env python3
"""make_rope.py - rope.inc: rotary frequencies as transformers computes them, as rows of a C table.

Made with transformers 5.17 (ROPE_INIT_FUNCTIONS, fp32): head width 16, theta 10000, 512 positions.
"""
import os
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

CASES = [
    dict(rope_type="linear", factor=2.5),
    dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64),
    dict(rope_type="llama3", factor=32.0, low_freq_factor=1.5, high_freq_factor=3.0, original_max_position_embeddings=8192),
    dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=128),
    dict(rope_type="yarn", factor=2.0, original_max_position_embeddings=4096, beta_fast=16.0, beta_slow=2.0,
         attention_factor=1.25),
    dict(rope_type="yarn", factor=8.0, original_max_position_embeddings=32, mscale=0.7, mscale_all_dim=0.9),
]


def main():
    rows = []
    for p in CASES:
        config = LlamaConfig(hidden_size=64, num_attention_heads=4, max_position_embeddings=512,
                             rope_parameters=dict(rope_theta=10000.0, **p))
        f, scale = ROPE_INIT_FUNCTIONS[p["rope_type"]](config, "cpu")
        fields = [f".type = ROPE_{p['rope_type'].upper()}", ".theta = 10000"]
        defaults = dict(beta_fast=32.0, beta_slow=1.0) if p["rope_type"] == "yarn" else {}
        names = {"original_max_position_embeddings": "original_max_positions"}
        fields += [f".{names.get(k, k)} = {v}" for k, v in {**defaults, **p}.items() if k != "rope_type"]
        fields += [".has_attention_factor = true"] if "attention_factor" in p else []
        rows.append("{{%s}, %r, {%s}}," % (", ".join(fields), float(scale), ", ".join(repr(float(x)) for x in f)))
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rope.inc")
    with open(path, "w") as out:
        out.write("/* tests/golden/rope.inc - written by make_rope.py.\n *\n * SPDX-License-Identifier: Apache-2.0 */\n")
        out.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()

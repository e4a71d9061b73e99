#!/usr/bin/env python3
"""make_router_loss.py - prints the auxiliary loss of transformers 5.17 for the first sequence of golden models.

    make_router_loss.py      numbers for tests/rl/balance_test.c
"""
import os, struct
import numpy as np
import torch
from transformers import AutoModelForCausalLM
from transformers.models.qwen3_moe.modeling_qwen3_moe import load_balancing_loss_func

MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models")
for name in ("qwen3-moe", "qwen3-moe-dense", "qwen2-moe"):
    model = AutoModelForCausalLM.from_pretrained(os.path.join(MODELS, name), attn_implementation="eager", dtype=torch.float32)
    model.set_experts_implementation("eager")
    with open(os.path.join(MODELS, name, "golden.bin"), "rb") as f:
        f.seek(20)
        n = struct.unpack("<iiii", f.read(16))[0]
        tokens = torch.tensor(np.frombuffer(f.read(4 * n), np.int32).astype(np.int64))[None]
    with torch.no_grad():
        logits = model(tokens, output_router_logits=True).router_logits
    logits = tuple(x for x in logits if x is not None)
    loss = load_balancing_loss_func(logits, model.config.num_experts, model.config.num_experts_per_tok)
    print(name, len(logits), f"{float(loss):.7g}")

#!/usr/bin/env python3
"""pretrain_loss.py STROP [FOLDER] - next-token training from the same weights on the same texts, strop's loss beside PyTorch's (development only).

recipes/tiny/pretrain.yaml with 16 rows a step: 30 steps of transformers' Qwen2 and torch's AdamW, and of strop. The last line is
"steps N, largest difference X"; more than 5e-3 is an error.
"""
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import torch
import transformers

ROOT = pathlib.Path(__file__).parents[2]
ROWS, STEPS, WARMUP, LENGTH, RATE, LOWEST = 16, 30, 10, 192, 3e-3, 0.02


def texts(n):
    rng = random.Random(3)
    pair = lambda: (rng.randint(1, 49), rng.randint(1, 49))
    return ["\n".join(f"{a}+{b}={a + b}" for a, b in (pair() for _ in range(rng.randint(3, 10)))) for _ in range(n)]


def packed(tokenizer, some):
    """Whole texts with their end tokens, joined into rows of at most LENGTH."""
    rows, row = [], []
    for text in some:
        ids = tokenizer(text).input_ids + [tokenizer.eos_token_id]
        if len(row) + len(ids) > LENGTH:
            rows.append(row)
            row = []
        row = row + ids
    return rows


def rate(step):
    return step / WARMUP if step <= WARMUP else 1 - (1 - LOWEST) * (step - 1 - WARMUP) / (STEPS - WARMUP)


def train(model, rows):
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    optimiser = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}], betas=(0.9, 0.98))
    for step in range(1, STEPS + 1):
        batch = rows[(step - 1) * ROWS:step * ROWS]
        ids = torch.tensor([r + [0] * (LENGTH - len(r)) for r in batch])
        labels = torch.tensor([r + [-100] * (LENGTH - len(r)) for r in batch])
        for group in optimiser.param_groups:
            group["lr"] = RATE * rate(step)
        loss = model(input_ids=ids, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        yield loss.item()


def main():
    strop, base = sys.argv[1], ROOT / "recipes/tiny/base"
    folder = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp())
    torch.manual_seed(1)
    model = transformers.Qwen2ForCausalLM(transformers.AutoConfig.from_pretrained(base)).float()
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    model.save_pretrained(folder / "base")
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        (folder / "base" / name).write_text((base / name).read_text())
    some = texts(ROWS * STEPS * 6)
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in some))
    options = {"model_name_or_path": folder / "base", "init_weights": "checkpoint", "dataset_name": folder / "texts.jsonl", "shuffle": "false",
               "prompts_per_step": ROWS, "max_steps": STEPS, "warmup_steps": WARMUP, "lr_scheduler_type": "linear", "min_lr_ratio": LOWEST,
               "output_dir": folder / "run"}
    subprocess.run([strop, "train", ROOT / "recipes/tiny/pretrain.yaml", *(f"--{k}={v}" for k, v in options.items())], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ours = [json.loads(line)["loss"] for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
    rows = packed(tokenizer, some)
    assert len(rows) >= ROWS * STEPS and len(ours) == STEPS
    largest = 0.0
    for step, (a, b) in enumerate(zip(ours, train(model, rows)), 1):
        largest = max(largest, abs(a - b))
        print(f"step {step}: strop {a:.5f}, PyTorch {b:.5f}")
    print(f"steps {STEPS}, largest difference {largest:.1e}")
    sys.exit(largest > 5e-3)


main()

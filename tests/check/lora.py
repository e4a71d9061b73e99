#!/usr/bin/env python3
"""lora.py STROP ADAPTER [MERGED] - an adapter that strop wrote, opened by PEFT (development only; peft 0.21, transformers 5).

ADAPTER is a folder such as RUN/checkpoints/latest, with a tokenizer. strop draws completions with it (and with MERGED, what
`strop convert --merge` made of it); transformers computes the sum of their log-probabilities, in fp32. The largest difference of a
completion, divided by its tokens, must be below 1e-4. The last line is "N passed, N failed".
"""
import json, os, subprocess, sys
import torch
from peft import PeftModel
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

PROMPTS = ["User: 1, 8, 4 make 31. Think, then answer.\nAssistant:", "2+3=", "9, 7, 3 make 30."]  # no names of special tokens


def draw(strop, folder):
    args = [f"--prompt={p}" for p in PROMPTS]
    out = subprocess.run([strop, "generate", folder, *args, "--n=4", "--max_tokens=60", "--ignore_eos", "--json"], check=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def encode(folder, text):
    return Tokenizer.from_file(os.path.join(folder, "tokenizer.json")).encode(text).ids


def main():
    strop, adapter = sys.argv[1:3]
    with open(os.path.join(adapter, "adapter_config.json")) as f:
        base = json.load(f)["base_model_name_or_path"]
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), adapter).eval()
    models = [(adapter, model)]
    if len(sys.argv) > 3:
        models.append((sys.argv[3], AutoModelForCausalLM.from_pretrained(sys.argv[3], dtype=torch.float32).eval()))
    passed = failed = 0
    for folder, network in models:
        worst = apart = 0.0
        for line in draw(strop, folder):
            prompt, tokens = encode(folder, line["prompt"]), line["tokens"]
            with torch.no_grad():
                rows = [m(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1:-1].log_softmax(-1) for m in (network, plain)]
            theirs, without = (r.gather(1, torch.tensor(tokens)[:, None]).sum().item() for r in rows)
            worst = max(worst, abs(theirs - line["logprob"]) / len(tokens))
            apart = max(apart, abs(theirs - without) / len(tokens))
        good = worst < 1e-4 < apart
        passed, failed = passed + good, failed + (not good)
        print(f"{folder}: largest difference per token {worst:.2g}; without the adapter {apart:.2g}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()

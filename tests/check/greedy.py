#!/usr/bin/env python3
"""greedy.py STROP MODEL [FOLDER] - greedy tokens of real weights, strop's beside transformers' (development only).

MODEL is a .gguf file or a Hugging Face folder. `strop convert` writes it as an fp32 folder, which transformers opens, so both compute
on the same weights. Five prompts, 64 tokens each; also the peak memory of opening the model. The last line is "N passed, N failed".
"""
import json
import os
import resource
import subprocess
import sys
import tempfile

import torch
import transformers

PROMPTS = [
    "The capital of France is",
    "def fibonacci(n):\n",
    "Question: A train travels 60 miles in 1.5 hours. What is its average speed?\nAnswer:",
    "Die Würde des Menschen ist",
    "1, 1, 2, 3, 5, 8,",
]
N = 64


def strop_tokens(strop, folder):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        f.writelines(json.dumps({"prompt": p}) + "\n" for p in PROMPTS)
        f.flush()
        out = subprocess.run([strop, "generate", folder, f"--prompts={f.name}", "--temperature=0", f"--max_tokens={N}", "--json"],
                             check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def main():
    strop, source = sys.argv[1:3]
    folder = sys.argv[3] if len(sys.argv) > 3 else os.path.join(tempfile.mkdtemp(), "model")
    if not os.path.exists(os.path.join(folder, "model.safetensors")):
        subprocess.run([strop, "convert", source, folder, "--dtype=float32"], check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"peak memory of the conversion: {peak:.0f} MB; {source}: {os.path.getsize(source) / 2**20:.0f} MB")
    ours = strop_tokens(strop, folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32)
    passed = 0
    for prompt, line in zip(PROMPTS, ours):
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        with torch.no_grad():
            theirs = model.generate(ids, max_new_tokens=N, do_sample=False, repetition_penalty=1.0)[0, ids.shape[1]:].tolist()
        tokens = line["tokens"]
        n = next((i for i, (a, b) in enumerate(zip(tokens, theirs)) if a != b), min(len(tokens), len(theirs)))
        same = n == len(tokens) and len(theirs) - n <= 1  # transformers keeps the end token
        passed += same
        print(f"{'same' if same else 'DIFFERENT'}: {n} of {len(theirs)} tokens: {prompt!r} -> {tokenizer.decode(theirs[:12])!r}")
    print(f"{passed} passed, {len(PROMPTS) - passed} failed")
    sys.exit(passed != len(PROMPTS))


main()

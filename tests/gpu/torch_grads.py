"""Log-probabilities and gradients of small networks beside PyTorch's: torch_grads.py FOLDER, which torch_grads.c filled.

The reference is transformers' model in fp32 on the CPU; beside it the same in bf16, on a GPU if there is one. Every sequence
stands whole in a padded batch there, so a prompt that a group shares is read once for each.

Printed for each tensor: |a - b| / |b| of strop and fp32, of PyTorch's bf16 and fp32, of strop and PyTorch's bf16. Where strop
computes in bf16 it may be as far from fp32 as 1.5 times PyTorch's bf16 and 1e-3 more; in fp32, 1e-4.

SPDX-License-Identifier: Apache-2.0
"""
import os
import sys

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging


def whole_sequences(data):
    """Tokens [sequences, longest], and for each target the sequence and position that predict it."""
    contexts = data["contexts"].long().tolist()
    tokens = data["tokens"].long()
    sequences = [torch.cat([tokens[first:first + prefix], tokens[row:row + rows]]) for first, prefix, row, rows in contexts]
    places = []
    for target in data["target_rows"].long().tolist():
        for i, (_, prefix, row, rows) in enumerate(contexts):
            if row <= target < row + rows:
                places.append((i, prefix + target - row))
    return torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True), torch.tensor(places)


def torch_results(folder, data, dtype, device):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa").to(device)
    tokens, places = whole_sequences(data)
    logits = model(input_ids=tokens.to(device), use_cache=False).logits
    logits = logits[places[:, 0].to(device), places[:, 1].to(device)].float() * data["about"][0].item()
    logp = torch.log_softmax(logits, -1)
    logprob = logp.gather(1, data["targets"].long().to(device)[:, None])[:, 0]
    entropy = -(logp.exp() * logp).sum(-1)
    (logprob * data["d_logprob"].to(device) + entropy * data["d_entropy"].to(device)).sum().backward()
    results = {name: p.grad for name, p in model.named_parameters()}
    results.update(logprob=logprob.detach(), entropy=entropy.detach())
    return {name: value.float().cpu() for name, value in results.items()}


def distance(a, b):
    return ((a.double() - b.double()).norm() / b.double().norm()).item()


def compare(folder, name):
    data = load_file(f"{folder}/{name}.safetensors")
    narrow = data["about"][1].item() < 4
    full = torch_results(f"{folder}/{name}", data, torch.float32, "cpu")
    half = torch_results(f"{folder}/{name}", data, torch.bfloat16, "cuda" if torch.cuda.is_available() else "cpu")
    inputs = {"about", "contexts", "tokens", "target_rows", "targets", "d_logprob", "d_entropy"}
    failed = set(data) - inputs != set(full)
    print(f"{name}: {'strop in bf16' if narrow else 'strop in fp32'}" + (": OTHER TENSORS THAN PYTORCH'S" if failed else ""))
    for tensor in sorted(full):
        ours = distance(data[tensor], full[tensor])
        theirs = distance(half[tensor], full[tensor])
        good = ours <= (1.5 * theirs + 1e-3 if narrow else 1e-4)
        failed |= not good
        print(f"{'ok  ' if good else 'FAIL'} {tensor:<48} strop-fp32 {ours:.2e}  bf16-fp32 {theirs:.2e}  "
              f"strop-bf16 {distance(data[tensor], half[tensor]):.2e}", flush=True)
    return failed


def main():
    folder = sys.argv[1]
    logging.disable_progress_bar()
    names = sorted(f[:-len(".safetensors")] for f in os.listdir(folder) if f.endswith(".safetensors"))
    failed = [name for name in names if compare(folder, name)]
    print(f"{len(names) - len(failed)} passed, {len(failed)} failed")
    sys.exit(1 if failed or not names else 0)


if __name__ == "__main__":
    main()

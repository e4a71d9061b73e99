#!/usr/bin/env python3
"""make_optim.py - writes optim.json: AdamW as torch computes it, with clipping, and the learning rates of transformers.

adamw      two matrices and two vectors; numbers come from formulas that the test has too (below); weights decay only in the
           matrices, as TRL sets it up. The parameters after each of the steps, and the norm of each gradient.
schedules  the factor that transformers' schedulers give for update i counted from 0, over a whole run of max_steps updates and one
           more. strop's step s is update s - 1 after the warm-up; during it, step s has what transformers gives update s, so
           that the first is not lost on a rate of 0.

Made with torch 2.15 and transformers 5.24. SPDX-License-Identifier: Apache-2.0
"""
import json, math, os

import torch, transformers
from transformers import get_scheduler

STEPS = 6
TENSORS = [("matrix", [7, 40], False), ("norm", [40], True), ("matrix", [40, 64], False), ("bias", [64], True)]
OPTIONS = dict(learning_rate=0.03, beta1=0.9, beta2=0.95, epsilon=1e-8, weight_decay=0.1, max_grad_norm=1.0)


def weight(k, i):
    return 0.5 * math.sin(0.37 * i + k)


def gradient(k, i, t):
    return 0.02 * (t + 1) * math.cos(0.11 * i + 1.7 * k + 2.3 * t)   # the later steps are clipped


def tensor(shape, f):
    n = math.prod(shape)
    return torch.tensor([f(i) for i in range(n)], dtype=torch.float32).reshape(shape)


def adamw():
    o = OPTIONS
    params = [torch.nn.Parameter(tensor(s, lambda i, k=k: weight(k, i))) for k, (_, s, _) in enumerate(TENSORS)]
    groups = [dict(params=[p for p, t in zip(params, TENSORS) if not t[2]], weight_decay=o["weight_decay"]),
              dict(params=[p for p, t in zip(params, TENSORS) if t[2]], weight_decay=0.0)]
    optimiser = torch.optim.AdamW(groups, lr=o["learning_rate"], betas=(o["beta1"], o["beta2"]), eps=o["epsilon"])
    steps = []
    for t in range(STEPS):
        for k, (p, (_, shape, _)) in enumerate(zip(params, TENSORS)):
            p.grad = tensor(shape, lambda i: gradient(k, i, t))
        norm = torch.nn.utils.clip_grad_norm_(params, o["max_grad_norm"])
        optimiser.step()
        steps.append(dict(norm=norm.item(), params=[p.detach().flatten()[::9].tolist() for p in params]))
    return dict(options=o, tensors=[dict(kind=k, shape=s) for k, s, _ in TENSORS], stride=9, steps=steps)


def schedules():
    out = []
    names = (("constant", {}), ("constant_with_warmup", {}), ("linear", {}), ("cosine", {}),
             ("cosine_with_min_lr", dict(min_lr_rate=0.1)))
    for warmup, max_steps in ((0, 1), (0, 4), (0, 8), (0, 40), (1, 40), (7, 40), (3, 8)):
        for name, specific in names:
            p = torch.nn.Parameter(torch.zeros(1))
            optimiser = torch.optim.SGD([p], lr=1.0)
            s = get_scheduler(name, optimiser, num_warmup_steps=warmup, num_training_steps=max_steps,
                              scheduler_specific_kwargs=specific)
            rates = []
            for _ in range(max_steps + 1):
                rates.append(s.get_last_lr()[0])
                optimiser.step()
                s.step()
            out.append(dict(name=name, warmup=warmup, max_steps=max_steps, min_lr_ratio=specific.get("min_lr_rate", 0.0),
                            rates=rates))
    return out


def main():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "optim.json")
    with open(path, "w") as f:
        json.dump(dict(made_by=f"make_optim.py with torch {torch.__version__}, transformers {transformers.__version__}", adamw=adamw(), schedules=schedules()), f,
                  separators=(",", ":"))
        f.write("\n")
    print(os.path.getsize(path), "bytes")


if __name__ == "__main__":
    main()

"""torch_grouped.py - torch._grouped_mm at the shapes of bench_experts, one line per product: TFLOP/s.

SPDX-License-Identifier: Apache-2.0"""
import torch

D, F, E, PLACES = 2048, 768, 128, 131072


def offsets(n, even):
    weights = [1.0 if even else 1 / (1 + (37 * e % E) / 8.0) for e in range(E)]
    ends, at = [], 0
    for w in weights:
        at += int(n * w / sum(weights))
        ends.append(at)
    ends[-1] = n
    return torch.tensor(ends, dtype=torch.int32, device="cuda")


def seconds(work):
    def run(n):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for _ in range(n):
            work()
        end.record()
        torch.cuda.synchronize()
        return begin.elapsed_time(end) / n / 1e3

    run(2)
    n = min(200, max(2, int(0.02 / run(1))))
    return sorted(run(n) for _ in range(5))[2]


def numbers(*shape):
    return torch.randn(shape, dtype=torch.bfloat16, device="cuda") / 4


def table(name, n, even):
    ends = offsets(n, even)
    for what, rows, depth in (("gate, up", 2 * F, D), ("down", D, F)):
        x, dy, w = numbers(n, depth), numbers(n, rows), numbers(E, rows, depth)
        works = {what: lambda: torch._grouped_mm(x, w.transpose(-2, -1), offs=ends)}
        if n == PLACES:
            works[what + " input grad"] = lambda: torch._grouped_mm(dy, w, offs=ends)
            sums = torch.zeros(E, rows, depth, dtype=torch.float32, device="cuda")
            works[what + " weight grad, bf16, nothing added"] = lambda: torch._grouped_mm(dy.t(), x, offs=ends)
            works[what + " weight grad, added to fp32"] = lambda: sums.add_(torch._grouped_mm(dy.t(), x, offs=ends))
        for line, work in works.items():
            s = seconds(work)
            print(f"{name}: {line:44} {1e6 * s:9.1f} us {2e-12 * n * rows * depth / s:8.1f} TFLOP/s", flush=True)
        dense = w[0].t().contiguous().t()
        if n == PLACES and even:
            s = seconds(lambda: x @ dense.t())
            print(f"{name}: {what + ', dense':44} {1e6 * s:9.1f} us {2e-12 * n * rows * depth / s:8.1f} TFLOP/s")


print(torch.__version__, torch.cuda.get_device_name())
table("even", PLACES, True)
table("uneven", PLACES, False)
table("decoding", 2048, True)

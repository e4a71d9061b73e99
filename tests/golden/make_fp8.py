#!/usr/bin/env python3
"""make_fp8.py - weights of 8 bits with a scale for each block of 128 x 128, as DeepSeek-V3 has them.

    make_fp8.py [FOLDER]      (default: the folder of this script)

Writes fp8/
    model.safetensors    a matrix, the stacked experts of a layer (two experts of width 80, model width 32), and all 256 codes
    values.safetensors   what they are in fp32: each number times the scale of its block

Made with torch 2.11.0 and safetensors 0.8.0.
"""
import os, sys
import torch
from safetensors.torch import save_file

BLOCK = 128


def blocks(n):
    return (n + BLOCK - 1) // BLOCK


def make(shape):
    *stack, rows, cols = shape
    w = (torch.randn(shape) * 40).to(torch.float8_e4m3fn)
    scale = torch.rand(*stack, blocks(rows), blocks(cols)) * 1e-3 + 1e-5
    value = w.float()
    for i in range(blocks(rows)):
        for j in range(blocks(cols)):
            at = (..., slice(i * BLOCK, (i + 1) * BLOCK), slice(j * BLOCK, (j + 1) * BLOCK))
            value[at] = value[at] * scale[..., i, j][..., None, None]
    return w, scale, value


def main():
    torch.manual_seed(11)
    here = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    os.makedirs(os.path.join(here, "fp8"), exist_ok=True)
    tensors, values = {}, {}
    experts = "model.layers.0.mlp.experts."
    for name, suffix, shape in (("model.layers.0.self_attn.o_proj", ".weight", (136, 144)),
                                (experts + "gate_up_proj", "", (2, 160, 32)), (experts + "down_proj", "", (2, 32, 80))):
        w, scale, values[name + suffix] = make(shape)
        tensors[name + suffix], tensors[name + suffix + "_scale_inv"] = w, scale
    tensors["codes"] = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn)
    values["codes"] = tensors["codes"].float()
    save_file(tensors, os.path.join(here, "fp8", "model.safetensors"))
    save_file(values, os.path.join(here, "fp8", "values.safetensors"))


main()

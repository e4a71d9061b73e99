#!/usr/bin/env python3
"""mixtures.py STROP - mixtures of experts that strop writes, opened by transformers; and in both layouts (development only).

For each model of tests/golden/models with experts: `strop convert` writes it in fp32. transformers opens that folder, and the
original, and must compute the same logits. Then transformers writes the original, experts in stacks of its own making and one by
one; strop converts both, and must write the same bytes. The same logits, but for rounding, of a dense model and of what
`strop convert --upcycle` makes of it. The last line is "N passed, N failed".

Made with transformers 5.17.0, torch 2.11.0.
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

failed, passed = 0, 0


def judge(what, good):
    global failed, passed
    passed, failed = passed + good, failed + (not good)
    print(("passed  " if good else "FAILED  ") + what)


def convert(source, folder, *more):
    subprocess.run([sys.argv[1], "convert", source, folder, "--dtype=float32", *more], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def logits(folder):
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                                       output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")
    torch.manual_seed(1)
    with torch.no_grad():
        return model.eval()(torch.randint(3, 200, (2, 40))).logits


def stack(tensors):
    """Experts one by one as stacks."""
    out, experts = {}, {}
    for name, x in tensors.items():
        if ".mlp.experts." not in name:
            out[name] = x
            continue
        layer, rest = name.split(".mlp.experts.")
        number, kind, _ = rest.split(".")
        experts.setdefault(layer, {})[kind, int(number)] = x
    for layer, of in experts.items():
        n = 1 + max(i for _, i in of)
        both = [torch.cat([of["gate_proj", i], of["up_proj", i]]) for i in range(n)]
        out[layer + ".mlp.experts.gate_up_proj"] = torch.stack(both)
        out[layer + ".mlp.experts.down_proj"] = torch.stack([of["down_proj", i] for i in range(n)])
    return out


def write(tensors, source, folder):
    os.makedirs(folder)
    save_file({k: v.contiguous() for k, v in tensors.items()}, os.path.join(folder, "model.safetensors"), {"format": "pt"})
    with open(os.path.join(source, "config.json")) as f, open(os.path.join(folder, "config.json"), "w") as g:
        g.write(f.read())


def read(folder):
    with open(os.path.join(folder, "model.safetensors"), "rb") as f:
        return f.read()


def check_mixture(source, name, to):
    convert(source, to + "/ours")
    judge(f"{name}: logits of what strop wrote", torch.equal(logits(source), logits(to + "/ours")))
    written = load_file(to + "/ours/model.safetensors")
    write(stack(written), source, to + "/stacks")
    convert(to + "/stacks", to + "/from-stacks")
    judge(f"{name}: experts in stacks are the same model", read(to + "/ours") == read(to + "/from-stacks"))
    AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).save_pretrained(to + "/theirs")
    convert(to + "/theirs", to + "/from-theirs")
    judge(f"{name}: what transformers writes is the same model", read(to + "/ours") == read(to + "/from-theirs"))
    config = json.load(open(to + "/ours/config.json"))
    judge(f"{name}: the number of experts", AutoConfig.from_pretrained(to + "/ours").num_experts_per_tok ==
          config["num_experts_per_tok"] and config.get("num_experts") == config.get("num_local_experts"))


def quantise(tensors, config):
    """Matrices in 8 bits, as DeepSeek-V3 has them, and what they are; a layer that predicts a token more in the first."""
    small, whole = {}, {}
    for name, x in tensors.items():
        whole[name] = small[name] = x
        if x.ndim == 2 and name.startswith("model.layers.") and ".mlp.gate." not in name:
            grid = [(n + 127) // 128 for n in x.shape]
            scale = torch.rand(grid) * 1e-3 + 1e-4
            spread = scale.repeat_interleave(128, 0).repeat_interleave(128, 1)[:x.shape[0], :x.shape[1]]
            small[name] = (x / spread).clamp(-448, 448).to(torch.float8_e4m3fn)
            small[name + "_scale_inv"] = scale
            whole[name] = small[name].float() * spread
    more = f"model.layers.{config['num_hidden_layers']}."
    small |= {more + "eh_proj.weight": torch.ones(4, 8), more + "mlp.gate.weight": torch.ones(2, 2)}
    return small, whole


def check_8_bits(source, name, to):
    config = json.load(open(source + "/config.json"))
    small, whole = quantise(load_file(to + "/ours/model.safetensors"), config)
    write(small, source, to + "/small")
    write(whole, source, to + "/whole")
    config["quantization_config"] = {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]}
    json.dump(config, open(to + "/small/config.json", "w"))
    convert(to + "/small", to + "/from-small")
    convert(to + "/whole", to + "/from-whole")
    judge(f"{name}: 8 bits with scales of blocks", read(to + "/from-small") == read(to + "/from-whole"))
    judge(f"{name}: transformers opens it", torch.equal(logits(to + "/from-small"), logits(to + "/from-whole")))


def main():
    models = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden/models")
    for source in sorted(glob.glob(models + "/*")):
        config = json.load(open(source + "/config.json"))
        name = os.path.basename(source)
        with tempfile.TemporaryDirectory() as to:
            if any("expert" in k for k in config):
                check_mixture(source, name, to)
                if config["model_type"].startswith("deepseek"):
                    check_8_bits(source, name, to)
            elif config["model_type"] in ("qwen2", "qwen3"):
                for options in ["experts=4,top_k=2"] + ["experts=4,top_k=2,shared=1"] * (config["model_type"] == "qwen2"):
                    folder = f"{to}/{len(os.listdir(to))}"
                    convert(source, folder, "--upcycle=" + options)
                    far = (logits(source) - logits(folder)).abs().max().item()
                    judge(f"{name}: upcycled with {options}: logits differ by {far:.1e}", far < 1e-5)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()

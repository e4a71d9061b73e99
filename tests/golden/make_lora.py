#!/usr/bin/env python3
"""make_lora.py - adapters of PEFT on the tiny models of make_models.py, and what PEFT computes with them.

    make_lora.py [FOLDER]      (default: the folder of this script)

Writes adapters/NAME/ for each case below:
    adapter_config.json, adapter_model.safetensors   as save_pretrained writes them; the base's path is relative to the folder
    golden.bin   as make_models.py has it: log-probabilities, and the gradients of A and B by the names of the file

Made with peft 0.21.2, transformers 5.17 and torch 2.11, in fp64 but for what transformers computes in fp32 in any case.
"""
import os, sys
import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM
import make_models

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = {
    # name: base, and what LoraConfig gets
    "qwen2-all": ("qwen2", dict(r=3, lora_alpha=7, target_modules="all-linear")),
    "qwen3-some": ("qwen3", dict(r=16, lora_alpha=8, target_modules=["q_proj", "v_proj", "up_proj", "down_proj"])),
    "llama-rslora": ("llama-tied", dict(r=20, lora_alpha=5, use_rslora=True,
                                        target_modules=["k_proj", "o_proj", "gate_proj", "up_proj"])),
}


class Trained:
    """What make_models.py wants of a model: the parameters that train, by the names of PEFT's files."""
    def __init__(self, model):
        self.model = model

    def __call__(self, tokens):
        return self.model(tokens)

    def named_parameters(self):
        return [(name.replace(".default", ""), p) for name, p in self.model.named_parameters() if p.requires_grad]


def make(root, seed, name, base, options):
    folder = os.path.join(root, "adapters", name)
    model = AutoModelForCausalLM.from_pretrained(os.path.join(HERE, "models", base), dtype=torch.float32,
                                                 attn_implementation="eager")
    torch.manual_seed(seed)
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **options)).eval()
    with torch.no_grad():
        for parameter, p in model.named_parameters():
            if "lora_" in parameter:
                p.copy_(torch.randn_like(p) * (0.5 / p.shape[1] ** 0.5))
    lora = model.peft_config["default"]
    lora.base_model_name_or_path, lora.target_modules = f"../../models/{base}", sorted(lora.target_modules)
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    rng = np.random.default_rng(seed)
    sequences = make_models.make_sequences(rng)
    trained = Trained(model.double())
    make_models.compute(trained, sequences, rng)
    make_models.write_golden(os.path.join(folder, "golden.bin"), trained, sequences, rng)
    print(name, {k: os.path.getsize(os.path.join(folder, k)) for k in sorted(os.listdir(folder))})


def main():
    torch.set_num_threads(1)
    root = sys.argv[1] if len(sys.argv) > 1 else HERE
    for seed, (name, (base, options)) in enumerate(CASES.items(), 1):
        make(root, seed, name, base, options)


if __name__ == "__main__":
    main()

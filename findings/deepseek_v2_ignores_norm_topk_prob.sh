#!/usr/bin/env bash
# deepseek_v2_ignores_norm_topk_prob.sh - a key of config.json that changes the model in one family changes nothing in its elder.
#
# Guess       norm_topk_prob: true divides the weights of a token's experts by their sum, in deepseek_v2 as in deepseek_v3 and
#             qwen3_moe: the key is read, kept and written in all three.
# Seen        transformers 5.17.0: deepseek_v2 gives the same logits, bit for bit, with true and false; the two others do not.
#             Nothing is said.
# Who meets it  a deepseek_v2 that was trained with the key true by code that obeys it, such as the file of its authors: its
#             experts' outputs are then scaled by the sum of its weights in transformers. strop follows transformers, and warns.
# Fails when the behaviour has changed. Outside CI: installs pinned packages into a temporary folder.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q transformers==5.17.0 torch==2.11.0
"$work/venv/bin/python" - <<'PY'
import sys, torch, transformers
sizes = dict(vocab_size=64, hidden_size=32, intermediate_size=48, moe_intermediate_size=16, num_hidden_layers=2,
             num_attention_heads=2, num_key_value_heads=2, num_experts_per_tok=2)
latent = dict(first_k_dense_replace=0, q_lora_rank=None, kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=8,
              n_routed_experts=4, n_shared_experts=1)
families = {
    "DeepseekV2": dict(latent, topk_method="greedy", n_group=1, topk_group=1),
    "DeepseekV3": dict(latent, n_group=1, topk_group=1),
    "Qwen3Moe": dict(num_experts=4, head_dim=16),
}
def logits(name, keys, normalise):
    torch.manual_seed(1)
    config = getattr(transformers, name + "Config")(**sizes, **keys, norm_topk_prob=normalise)
    assert config.to_dict()["norm_topk_prob"] is normalise
    model = getattr(transformers, name + "ForCausalLM")(config).eval()
    with torch.no_grad():
        return model(torch.arange(1, 9)[None]).logits
same = {}
for name, keys in families.items():
    same[name] = torch.equal(logits(name, keys, True), logits(name, keys, False))
    print("%s: norm_topk_prob true and false give %s logits" % (name, "the same" if same[name] else "different"))
sys.exit(0 if same == {"DeepseekV2": True, "DeepseekV3": False, "Qwen3Moe": False} else 1)
PY
echo "as it was: deepseek_v2 keeps norm_topk_prob and does not obey it"

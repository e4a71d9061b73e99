#!/usr/bin/env bash
# qwen2_tokenizer_drops_added_tokens.sh - a token that tokenizer.json adds is gone when tokenizer_config.json lists others.
#
# Guess       AutoTokenizer takes the class that tokenizer_config.json names and keeps every added token of tokenizer.json;
#             added_tokens_decoder can only add more.
# Seen        transformers 5.17.0: a folder whose config.json says qwen2 is opened by Qwen2Tokenizer, whatever class is named;
#             and with an added_tokens_decoder a token that only tokenizer.json adds is no token any more: '<tool>' is 6 ids.
#             Without an added_tokens_decoder, or with model_type llama and PreTrainedTokenizerFast, it is 1.
# Who meets it  a folder whose tokenizer.json was edited, or written by another program: ids of prompts then differ between
#             what reads tokenizer.json alone (tokenizers, strop) and transformers.
# Fails when the behaviour has changed. Outside CI: installs pinned packages into a temporary folder.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q transformers==5.17.0 tokenizers==0.23.3
"$work/venv/bin/python" - "$work" <<'PY'
import json, os, sys
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer
folder = sys.argv[1] + "/model"
os.makedirs(folder)
letters = sorted(pre_tokenizers.ByteLevel.alphabet())
tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(letters)}, []))
tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
tokenizer.add_special_tokens([AddedToken("<end>", special=True), AddedToken("<tool>", special=True)])
tokenizer.save(folder + "/tokenizer.json")
end = tokenizer.token_to_id("<end>")
listed = {str(end): {"content": "<end>", "special": True, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}}
def ids(model_type, with_decoder):
    json.dump({"model_type": model_type}, open(folder + "/config.json", "w"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<end>"}
    json.dump(dict(config, added_tokens_decoder=listed) if with_decoder else config, open(folder + "/tokenizer_config.json", "w"))
    opened = AutoTokenizer.from_pretrained(folder)
    return type(opened).__name__, len(opened("<tool>", add_special_tokens=False)["input_ids"])
seen = {(m, d): ids(m, d) for m in ("qwen2", "llama") for d in (True, False)}
for key, value in seen.items():
    print("model_type %s, added_tokens_decoder %s: %s, %d ids" % (*key, *value))
want = {("qwen2", True): 6, ("qwen2", False): 1, ("llama", True): 1, ("llama", False): 1}
sys.exit(0 if {k: v[1] for k, v in seen.items()} == want and seen["qwen2", False][0] == "Qwen2Tokenizer" else 1)
PY
echo "as it was: the token is lost where qwen2 meets an added_tokens_decoder"

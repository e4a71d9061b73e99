#!/usr/bin/env python3
"""make_added_tokens.py - added_tokens.json: which tokens AutoTokenizer adds from the files beside a tokenizer.json.

Made with transformers 5.17 and tokenizers 0.23. Each case: entries that follow the added tokens of tiny_tokenizer/tokenizer.json, the
other files, a text, and of AutoTokenizer.from_pretrained the ids of the text (without what a post-processor adds), those of
the added ids that decoding leaves out, and eos_token_id. Some cases are written by hand, the others drawn.
"""
import json, os, random, shutil, tempfile
import transformers
from transformers import AutoTokenizer

transformers.logging.set_verbosity_error()
HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = dict(tokenizer_class="PreTrainedTokenizerFast", eos_token="<|endoftext|>", pad_token="<|endoftext|>", model_max_length=1e30)
TEXT = "a <a> b<b><|endoftext|><think> the<c> in <d>\n<e><f>"


def token(content, **options):
    return {**dict(content=content, lstrip=False, rstrip=False, single_word=False, normalized=False, special=True), **options}


def typed(content, **options):
    return dict(token(content, **options), __type="AddedToken")


def by_hand():
    c = lambda **k: {"tokenizer_config.json": {**CONFIG, **k}}
    m = lambda **k: {"tokenizer_config.json": CONFIG, "special_tokens_map.json": k}
    yield [], c()
    yield [], {}
    yield [dict(token("<a>"), id=432)], c()
    yield [dict(token("<a>"), id=600), dict(token("<b>", special=False), id=5)], c()
    yield [], c(added_tokens_decoder={"500": token("<a>")})
    yield [], c(added_tokens_decoder={"600": token("<a>"), "550": token("<b>", special=False), "70": token("<c>")})
    yield [], c(added_tokens_decoder={"600": {"content": "<a>"}})
    yield [], c(added_tokens_decoder={"0": token("<|endoftext|>", special=False, normalized=True)})
    yield [dict(token("<a>", special=False), id=432)], c(added_tokens_decoder={"432": token("<a>")})
    yield [], {"tokenizer_config.json": CONFIG, "added_tokens.json": {"<a>": 500, "<b>": 3, "<c>": 450}}
    yield [], {**c(added_tokens_decoder={"500": token("<b>")}), "added_tokens.json": {"<a>": 500}}
    yield [], {**c(extra_special_tokens=["<b>"]), "added_tokens.json": {"<a>": 500, "<b>": 501}}
    yield [], c(extra_special_tokens=["<a>", "<b>"])
    yield [], c(extra_special_tokens={"tool_token": "<a>", "other": "<b>"})
    yield [], c(extra_special_tokens=[typed("<a>")])
    yield [], c(additional_special_tokens=["<a>"])
    yield [], c(additional_special_tokens=["<a>"], extra_special_tokens=["<b>"])
    yield [], c(additional_special_tokens=["<a>"], extra_special_tokens=[])
    yield [], m(additional_special_tokens=["<a>"])
    yield [], m(extra_special_tokens=["<a>"])
    yield [], {**c(extra_special_tokens=["<b>"]), "special_tokens_map.json": dict(extra_special_tokens=["<a>", "<b>"])}
    yield [], {**c(extra_special_tokens=["<b>"]), "special_tokens_map.json": dict(additional_special_tokens=["<a>"])}
    yield [], {**c(additional_special_tokens=["<b>"]), "special_tokens_map.json": dict(additional_special_tokens=["<a>"])}
    yield [], m(eos_token="<a>")
    yield [], m(eos_token={"content": "<a>"}, bos_token={"content": "<b>"})
    yield [], {**c(added_tokens_decoder={}), "special_tokens_map.json": dict(additional_special_tokens=["<a>"], eos_token="<b>")}
    yield [], c(eos_token="<a>")
    yield [], c(eos_token=typed("<a>"))
    yield [], c(eos_token=None)
    yield [], c(image_token="<a>", video_token=typed("<b>"), some_tokens="<c>", count_token=3)
    yield [], m(image_token="<a>", other_token={"content": "<b>"})
    yield [], c(model_specific_special_tokens={"image_token": "<a>"})
    yield [], c(extra_special_tokens=["\u0120the", "in"])
    yield [], c(extra_special_tokens=["<a>", "<b>"], cls_token="<c>", bos_token="<d>", foo_token="<e>",
                added_tokens_decoder={"700": token("<f>"), "69": token("<g>")})
    yield [], {**c(extra_special_tokens=["<a>", "<b>"], cls_token="<c>", bos_token="<d>", foo_token="<e>"),
               "added_tokens.json": {"<f>": 700, "<g>": 69, "<b>": 3}}
    yield [], {"special_tokens_map.json": dict(additional_special_tokens=["<a>"], eos_token="<b>")}


def drawn(rng):
    names = ["<a>", "<b>", "<c>", "<d>", "<e>", "<f>", "<|endoftext|>", "<think>"]
    pick = lambda n: rng.sample(names, rng.randint(0, n))
    own = [dict(token(x, special=rng.random() < .5), id=432 + i) for i, x in enumerate(rng.sample(names[:6], rng.randint(0, 2)))]
    config, files = dict(CONFIG), {}
    if rng.random() < .4:
        config["added_tokens_decoder"] = {str(rng.randint(0, 700)): token(x, special=rng.random() < .5) for x in pick(4)}
    if rng.random() < .4:
        config["extra_special_tokens"] = pick(3)
    if rng.random() < .3:
        config["additional_special_tokens"] = pick(2)
    if rng.random() < .3:
        config[rng.choice(["bos_token", "cls_token", "audio_token", "eos_token"])] = rng.choice(names)
    if rng.random() < .4:
        files["added_tokens.json"] = {x: i for x, i in zip(pick(4), rng.sample(range(700), 4))}
    if rng.random() < .4:
        files["special_tokens_map.json"] = {rng.choice(["eos_token", "mask_token", "additional_special_tokens"]): None}
        key = next(iter(files["special_tokens_map.json"]))
        files["special_tokens_map.json"][key] = pick(3) if key.startswith("add") else rng.choice([rng.choice(names), {"content": rng.choice(names)}])
    return own, {"tokenizer_config.json": config, **files}


def answer(own, files):
    with tempfile.TemporaryDirectory() as folder:
        document = json.load(open(os.path.join(HERE, "tiny_tokenizer", "tokenizer.json")))
        document["added_tokens"] += own
        for name, content in {"tokenizer.json": document, **files}.items():
            with open(os.path.join(folder, name), "w") as out:
                json.dump(content, out)
        t = AutoTokenizer.from_pretrained(folder)
        ids = t(TEXT, add_special_tokens=False)["input_ids"]
        return dict(ids=ids, special=[i for i in sorted(t.added_tokens_decoder)
                                      if t.decode([i], skip_special_tokens=True) == ""], eos=t.eos_token_id, n=len(t))


def main():
    rng = random.Random(7)
    cases = list(by_hand()) + [drawn(rng) for _ in range(80)]
    rows = []
    for own, files in cases:
        try:
            rows.append(dict(own=own, files=files, **answer(own, files)))
        except Exception as e:
            print("left out:", type(e).__name__, str(e)[:80])
    with open(os.path.join(HERE, "added_tokens.json"), "w") as out:
        out.write("{\"text\": " + json.dumps(TEXT) + ", \"cases\": [\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]}\n")
    print(len(rows), "cases")


if __name__ == "__main__":
    main()

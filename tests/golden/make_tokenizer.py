"""make_tokenizer.py - writes tokenizer_cases.json: texts and their tokens by the library `tokenizers`.

    python tests/golden/make_tokenizer.py

Each variant is tiny_tokenizer/tokenizer.json with some fields replaced; "pre" is the GGUF name of the same thing. A case is
[text as hex, special tokens parsed?, ids]. Broken UTF-8 goes through bytes.decode(errors="replace").
SPDX-License-Identifier: Apache-2.0
"""
import json
import pathlib
import random

from tokenizers import Tokenizer

HERE = pathlib.Path(__file__).parent
QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA = QWEN.replace(r"|\p{N}| ", r"|\p{N}{1,3}| ")


def split(regex):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}


def byte_level(use_regex):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


DIGITS = {"type": "Digits", "individual_digits": True}
RUNS = {"type": "Digits", "individual_digits": False}
NFC = {"type": "NFC"}
VARIANTS = [  # name, GGUF name or None, fields, fields of the model
    ("plain", None, {}, {}),
    ("qwen2", "qwen2", {"normalizer": NFC, "pre_tokenizer": sequence(split(QWEN), byte_level(False))}, {}),
    ("llama3", "llama-bpe", {"pre_tokenizer": sequence(split(LLAMA), byte_level(False))}, {"ignore_merges": True}),
    ("smollm", "smollm", {"pre_tokenizer": sequence(DIGITS, byte_level(True))}, {}),
    ("gpt2", "gpt-2", {"pre_tokenizer": byte_level(True)}, {}),
    ("runs", None, {"normalizer": {"type": "Sequence", "normalizers": [NFC]},
                    "pre_tokenizer": sequence(RUNS, byte_level(True))}, {}),
]
TEXTS = [
    "", " ", "Hello", "What is 12 + 345? It matches.", "Don't I'LL we've it'S", "'\u017f it\u017f 'RE",
    "<think>\nRight.\n</think>\n<answer>42</answer><|endoftext|>", "<think", "<answer></answer></answer", "<<think>>",
    "a<|endoftext|>b<tool>c</tool>d<tool", "<<tool>tool>", "  two\n\n three\r\n \r\nfour   ", "\t\x0b\x0c tabs \n",
    "e\u0301 \u00e9 \u1112\u1161\u11ab \ufb01 \u212b", "caf\u00e9 na\u00efve \u00fc\u00df", "\u4f60\u597d\uff0c\u4e16\u754c\u3002",
    "\U0001f600\U0001f469\u200d\U0001f4bb!", "\u0661\u0662\u0663 \u2160\u00bd\u00b2 1234567890", "\u180ea \u180e\u180e b",
    "\u0085\u00a0x\u2028\u2029 \u3000y\u2009", "\x00a\x00\x1c\x1d\x7f", "def f(x):\n    return x ** 2  # ok\n",
    "\u0e44\u0e17\u0e22 \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u0939\u093f\u0928\u094d\u0926\u0940", "Goo Good Goods right matches",
    "<tool>s<tool><tool>", "a<tool>string",
    # letters, digits and signs of Unicode 15, 15.1, 16 (patterns), digits of 17 (Digits), marks since 10 (NFC)
    "x\U0001e030\U00031350 \U0001e4d0y\U0001e4f0", "\u4e00\U0002ebf0\U0002ee5d\u3002 \u2ffc\u31ef", "a\u1c89\ua7cb \U0001611ez\U00016130",
    "1\U00010d40\U000116d0 \U0001fae9!", "7\U00011de3a\U00016ff5 8", "a\u0301\u07fd\u0323 \u0641\u08d3\u0651 \u1abf\u0316",
    "\U00011935\U00011930 \U000105d2\u0307 \U0001611e\U0001611e", "e\u07fd\u0301 o\U0001e4ec\u0323\u0302",
]
BROKEN = ["80", "ff41", "c3", "c3c3a9", "e282", "e28241", "f09f98", "f09f9841", "eda080", "c080", "f4908080", "e0809f",
          "41f0288cbc42", "f8888080", "61e282ac80", "3c7468696e6b3ee2"]


def random_text(rng):
    spans = [(32, 127), (32, 127), (9, 14), (0xA0, 0x250), (0x300, 0x340), (0x4E00, 0x4E40), (0x2000, 0x2030), (0x660, 0x66A)]
    parts = []
    for _ in range(rng.randint(1, 10)):
        low, high = rng.choice(spans)
        parts.append("".join(chr(rng.randrange(low, high)) for _ in range(rng.randint(1, 5))))
    return rng.choice(["", " ", "<think>"]).join(parts)


def cases_of(document):
    tokenizer = Tokenizer.from_str(json.dumps(document))
    rng = random.Random(20)
    data = [t.encode() for t in TEXTS + [random_text(rng) for _ in range(60)]] + [bytes.fromhex(h) for h in BROKEN]
    for special in (True, False):
        tokenizer.encode_special_tokens = not special
        for d in data:
            ids = tokenizer.encode(d.decode("utf-8", errors="replace"), add_special_tokens=False).ids
            yield [d.hex(), special, ids]


def main():
    base = json.loads((HERE / "tiny_tokenizer" / "tokenizer.json").read_text())
    # an added token that is not special, a special one that begins with it, and three whole words that the merges do not make
    added = dict(base["added_tokens"][0], id=435, special=False, content="<tool>")
    longer = dict(base["added_tokens"][0], id=436, content="<tool>s")
    words = {"\u0120caf\u00c3\u00a9": 432, "345": 433, "\u0120naive": 434}
    variants = []
    for name, pre, fields, model in VARIANTS:
        fields = dict(fields, added_tokens=base["added_tokens"] + [added, longer], model=model)
        document = {**base, **fields, "model": {**base["model"], **model, "vocab": {**base["model"]["vocab"], **words}}}
        variants.append({"name": name, "pre": pre, "fields": fields, "cases": list(cases_of(document))})
    lines = [json.dumps(v, separators=(",", ":")) for v in variants]
    (HERE / "tokenizer_cases.json").write_text(
        json.dumps({"words": words})[:-1] + ', "variants": [\n' + ",\n".join(lines) + "\n]}\n")


main()

#!/usr/bin/env python3
"""tokenizer.py TOKENS MODEL.gguf ... - token ids, strop's beside the library `tokenizers` (development only).

TOKENS is the program of tests/check/tokens.c. Beside the tokenizers of the models (pip: gguf) stands one in the manner of Llama 3, trained
here. Two measures each: 10,000 seeded lines (languages, code, digits, marks, emoji, white space, broken UTF-8), and every character but
private ones, alone and among letters, digits and marks. Ends with an error if any ids differ.
"""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

import gguf
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN, LLAMA = WORDS + r"\p{N}" + REST, WORDS + r"\p{N}{1,3}" + REST
N_LINES = 10000
SENTENCES = """The strop hangs by the door; isn't it the barber's?|Le cuir est accroché près de la porte, n'est-ce pas ?
Das Leder hängt an der Tür, und es gehört dem Bäcker.|El cuero cuelga junto a la puerta: ¿de quién es? ¡Mío!
Кожаный ремень висит у двери, ему сто лет.|Шкіра висить біля дверей, її подарував дідусь.|Το δέρμα κρέμεται δίπλα στην πόρτα.
皮带挂在门边，每天早上用一次。|革砥はドアのそばに掛かっています。毎朝ツカウ。|가죽은 문 옆에 걸려 있고 매일 아침 쓴다.
الجلد معلق بجانب الباب، وهو قديم جدًّا.|העור תלוי ליד הדלת, והוא ישן מאוד.|चमड़ा दरवाज़े के पास लटका है।|চামড়া দরজার পাশে ঝুলছে।
หนังแขวนอยู่ข้างประตูทุกวัน|Da treo cạnh cửa, mỗi sáng dùng một lần, rất sắc.|Deri kapının yanında asılı, İstanbul'dan geldi; ılık ışık.
Skóra wisi przy drzwiach, źdźbło żółte.|Kůže visí u dveří, příliš žluťoučký kůň.|Bőr lóg az ajtó mellett, őrült tükörfúrógép.
தோல் கதவின் அருகே தொங்குகிறது.|ტყავი კართან კიდია.|Կաշին կախված է դռան մոտ։|ቆዳው ከበሩ አጠገብ ተሰቅሏል።|စာရေးသားသည်။|ស្បែកព្យួរនៅជិតទ្វារ។
Læderet hænger ved døren på øen.|Nahka roikkuu oven vieressä, hän sanoi.|Ngozi inaning'inia karibu na mlango.|Kulit itu tergantung di pintu."""
EMOJI = ["😀", "👩‍💻", "🧑🏽‍🚀", "🏳️‍🌈", "🇩🇪🇯🇵", "1️⃣", "❤️", "☃", "👍🏿", "🫨", "🪿", "\U0001fae9", "\ufe0f", "\u200d"]
SPACES = " \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u1680\u180e\u2000\u2009\u200a\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"


def is_public(c):
    return not (0xD800 <= c < 0xF900 or 0x33480 <= c < 0xE0000 or c >= 0xE0200)


class Lines:
    """Makes texts; each method is one kind."""

    def __init__(self, specials):
        self.rng, self.specials = random.Random(2024), specials
        self.sentences = [s for line in SENTENCES.splitlines() for s in line.split("|")]
        sources = sorted(pathlib.Path(os.__file__).parent.glob("*.py"))
        self.code = [line for path in sources[:120] for line in path.read_text(errors="replace").splitlines() if line.strip()]
        self.blocks = [range(c, c + 64) for c in range(0x40, 0xE0200, 64) if is_public(c)]
        self.marks = [chr(c) for c in range(0x20000) if is_public(c) and (unicodedata.category(chr(c))[0] == "M" or c in range(0x897, 0x8E2))]
        self.marks += map(chr, [*range(0x10EFC, 0x10F00), *range(0x113B8, 0x113D3), *range(0x1611E, 0x16130), *range(0x1E4EC, 0x1E4F0)])

    def some(self, pool, most):
        return [self.rng.choice(pool) for _ in range(self.rng.randint(1, most))]

    def language(self):
        return self.rng.choice(["", " ", "\n"]).join(self.some(self.sentences, 3))

    def mixed_words(self):
        return " ".join(self.rng.choice(self.rng.choice(self.sentences).split()) for _ in range(12))

    def source(self):
        return self.rng.choice(["\n", "\r\n", "\n\n"]).join(self.some(self.code, 4))

    def unicode(self):
        spans = self.some(self.blocks, 4)
        return "".join(chr(self.rng.choice(self.rng.choice(spans))) + self.rng.choice(["", "", "", " ", "a", "7", "'s"])
                       for _ in range(self.rng.randint(1, 30)))

    def digits(self):
        return "".join(self.rng.choice(["0", "17", "3.14", "1,000", "٣", "४२", "Ⅷ", "½", "²", "𝟘", "\U00011de3", " ", "-", "x"])
                       for _ in range(self.rng.randint(1, 15)))

    def combining(self):
        bases = self.some("aeioqxAZñ각ᄀ가กकअا1 .", 8)
        return unicodedata.normalize(self.rng.choice(["NFD", "NFC", "NFKD"]), "".join(b + "".join(self.some(self.marks, 4)) for b in bases)) \
            if self.rng.random() < 0.3 else "".join(b + "".join(self.some(self.marks, 4)) for b in bases)

    def decomposed(self):
        return unicodedata.normalize(self.rng.choice(["NFD", "NFKD"]), self.language())

    def emoji(self):
        return "".join(self.some(EMOJI + ["ok", " ", "1"], 12))

    def spaces(self):
        return "".join(self.some(list(SPACES) + ["a", "1", "!", "  "], 20))

    def contractions(self):
        return "".join(self.some(["I", "'m", "'LL", "'\u017f", "'Re", "'d", "\u2019s", "''", " ", "'t1"], 10))

    def special(self):
        return "".join(self.some(self.specials + [s[:-1] for s in self.specials] + ["<", "|>", "word", " "], 8))

    def broken(self):
        data = bytearray(self.rng.choice([self.language, self.unicode, self.emoji, self.source])().encode())
        for _ in range(self.rng.randint(1, 4)):
            at = self.rng.randrange(len(data)) if data else 0
            what = self.rng.randrange(3)
            data[at:at + (what != 0)] = b"" if what == 1 else bytes([self.rng.randrange(256)])
        return bytes(data)

    def make(self):
        kinds = [self.language, self.mixed_words, self.source, self.unicode, self.unicode, self.digits, self.combining, self.decomposed,
                 self.emoji, self.spaces, self.contractions, self.special, self.broken, self.broken]
        made = [self.rng.choice(kinds)() for _ in range(N_LINES)]
        return [m if isinstance(m, bytes) else m.encode() for m in made]


def characters():
    """(texts, number of characters): 8 characters a text."""
    all_of_them = [chr(c) for c in range(0xE0200) if is_public(c)]
    around = ("{0} a{0}b 1{0}2 {0}{0}'s", "e{0}\u0301 a\u0323{0} \u0345{0}\u0300")
    return ["\n".join(a.format(c) for c in all_of_them[i:i + 8] for a in around).encode() for i in range(0, len(all_of_them), 8)], len(all_of_them)


def document(vocabulary, merges, added, pre, nfc, ignore_merges):
    step = lambda regex: {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
    first = {"type": "Digits", "individual_digits": True} if pre == "smollm" else step(QWEN if nfc else LLAMA)
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": pre == "smollm"}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": {"type": "NFC"} if nfc else None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [first, level]}, "post_processor": None,
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": False, "byte_fallback": False, "ignore_merges": ignore_merges, "vocab": vocabulary, "merges": merges}}


def of_gguf(path):
    fields = gguf.GGUFReader(path).fields
    value = lambda name: fields["tokenizer.ggml." + name].contents()
    tokens, types, pre = value("tokens"), value("token_type"), value("pre")
    added = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": k == 3}
             for i, (t, k) in enumerate(zip(tokens, types)) if k in (3, 4)]
    vocabulary = {t: i for i, (t, k) in enumerate(zip(tokens, types)) if k != 5}
    return document(vocabulary, value("merges"), added, pre, pre == "qwen2", False)


def llama3(texts):
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA), "isolated"),
                                                     pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    specials = ["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>"]
    trained.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=8000, special_tokens=specials, show_progress=False,
                                                           initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    parts = json.loads(trained.to_str())
    return document(parts["model"]["vocab"], parts["model"]["merges"], parts["added_tokens"], "llama-bpe", False, True)


def different(program, path, reference, texts):
    """The texts whose ids differ."""
    out = subprocess.run([program, path], input="".join(t.hex() + "\n" for t in texts), check=True, stdout=subprocess.PIPE, text=True).stdout
    ours = [[int(i) for i in line.split()] for line in out.split("\n")[:-1]]
    theirs = reference.encode_batch([t.decode(errors="replace") for t in texts], add_special_tokens=False)
    assert len(ours) == len(texts)
    return [t for t, a, b in zip(texts, ours, theirs) if a != b.ids]


def main():
    program, paths = sys.argv[1], sys.argv[2:]
    lines = Lines([])
    cases = [(p, p, of_gguf(p)) for p in paths]
    training = [*lines.sentences * 20, *lines.code]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "tokenizer.json")
        cases.append(("Llama 3's pattern", path, llama3(training)))
        pathlib.Path(path).write_text(json.dumps(cases[-1][2]))
        wrong = 0
        for name, path, made in cases:
            reference = Tokenizer.from_str(json.dumps(made))
            texts = Lines([a["content"] for a in made["added_tokens"]][:8]).make()
            everything, n = characters()
            for what, size, some in (("lines", len(texts), texts), ("characters", n, everything)):
                bad = different(program, path, reference, some)
                wrong += len(bad)
                print(f"{name}: {what} {size}, different {len(bad)}{' of their texts' if what == 'characters' else ''}", flush=True)
                for text in bad[:10]:
                    print(f"    {text.decode(errors='replace')[:60]!r} {text.hex()[:120]}")
    sys.exit(wrong > 0)


main()

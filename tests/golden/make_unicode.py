"""make_unicode.py - prints the tables of model/unicode.c.

    python tests/golden/make_unicode.py

What the library `tokenizers` knows comes from the library, asked code point by code point; names and classes from the newest
Unicode (package unicodedata2). Unicode 14 is what PCRE2 10.42 knows, and Python 3.11.
SPDX-License-Identifier: Apache-2.0
"""
import unicodedata
import unicodedata2
from tokenizers import Regex, normalizers, pre_tokenizers

assert unicodedata.unidata_version.startswith("14."), "run it by Python 3.11, whose Unicode is 14"
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def matched(pattern):
    """The code points that a pattern of `tokenizers` matches."""
    split = pre_tokenizers.Split(Regex(pattern), "removed")
    kept = {c for piece, _ in split.pre_tokenize_str("".join(map(chr, CODE_POINTS))) for c in piece}
    return {c for c in CODE_POINTS if chr(c) not in kept}


def ranges(pairs):
    """[first, last, value] of neighbours with the same value."""
    rows = []
    for c, value in pairs:
        if rows and rows[-1][1] == c - 1 and rows[-1][2] == value:
            rows[-1][1] = c
        else:
            rows.append([c, c, value])
    return rows


def newer_characters():
    """Characters that `tokenizers` knows and Unicode 14 does not, each with an older one of its category and length."""
    assigned, han = matched(r"\P{Cn}"), matched(r"\p{Han}")
    old = [c for c in CODE_POINTS if unicodedata.category(chr(c)) != "Cn"]
    kind = lambda c, category: (category, len(chr(c).encode()), c in han)
    stand_ins = {}
    for c in old:
        stand_ins.setdefault(kind(c, unicodedata.category(chr(c))), c)
    new = sorted(assigned - set(old))
    for row in ranges([(c, stand_ins[kind(c, unicodedata2.category(chr(c)))]) for c in new]):
        yield "{0x%X, 0x%X, 0x%X}" % tuple(row)


def newer_marks():
    """Characters that newer tables reorder or compose where `tokenizers` does not."""
    nfc, found = normalizers.NFC(), set()
    for c in CODE_POINTS:
        mark, low, high = chr(c), "a" + chr(c) + "\u0334", "a\u0345" + chr(c)
        if unicodedata2.combining(mark) and nfc.normalize_str(low) == low and nfc.normalize_str(high) == high:
            found.add(c)
        parts = unicodedata2.decomposition(mark).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            a, b = (int(x, 16) for x in parts)
            if nfc.normalize_str(chr(a) + chr(b)) != unicodedata2.normalize("NFC", chr(a) + chr(b)):
                found.add(b if b > 0x1000 else a)  # U+0307 is old: what it stands on is new
    for first, last, _ in ranges([(c, 0) for c in sorted(found)]):
        yield "{0x%X, 0x%X}" % (first, last)


print(", ".join(newer_characters()), end=",\n\n")
print(", ".join(newer_marks()), end=",\n")

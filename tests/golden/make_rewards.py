#!/usr/bin/env python3
"""Writes rewards.json: scores that reward/*.c must give.

  soft_overlong, cosine_length, repetition by characters, think_format: TRL's own functions (trl.rewards)
  repetition by words, tag_count, reasoning_steps, cosine_length by characters: open-r1's formulas, written again with re
  countdown: Python's ast and fractions;  exact: str;  language: the module regex;  ifeval: IFEval's expressions, with re

Each case: [the reward as on the command line, the number of the completion, the score (null: none), fields, tokens].
SPDX-License-Identifier: Apache-2.0
"""
import ast, collections, json, math, os, random, re
from fractions import Fraction

import regex, trl
import trl.rewards.accuracy_rewards as accuracy
from trl.rewards import (get_cosine_scaled_reward, get_repetition_penalty_reward, get_soft_overlong_punishment,
                         think_format_reward)

rng = random.Random(20)
cases = collections.defaultdict(list)


completions = {}                              # text: its number in the file


def case(reward, completion, want, fields=None, n_tokens=-1):
    row = [reward, completions.setdefault(completion, len(completions)), want, fields or {}]
    cases[reward.split(":")[0]].append(row + [n_tokens] * (n_tokens >= 0))


# ---- texts ----

PIECES = ["<think>", "</think>", "<answer>", "</answer>", "\n", "\n", "\n\n", " ", " ", "Step 1:", "Step 12:", "Step x:", "1.", "2. ",
          "\n- ", "\n* ", "\n**bold** ", "First, ", "Second,", "Next,", "Finally, ", "so it is 7", "the cat sat", "the cat",
          "the dog. ", "Wait, no! ", "Why? ", "Ünïcödé", "STRASSE", "Straße", "\u3000", "\u00a0", "今天天气", "的", "很好。", "привет", "мир ",
          "\u0661\u0662.", "Step \u0663:", "A", "b", "\\frac", "{1}{2}", "x", "don't", "re-use", "HTTP-2", "[name]", "[a [b]", "]",
          "***", "******", "*one*", "**two**", "* *", "<<Title>>", "<<>>", "<< >>", "Section 1", "SECTION  2", "Section3", "P.S. x",
          "p. p.s", "P.P.S", "```json\n", "```", '{"a": [1, 2]}', '"', "'", ",", ".", "My answer is no.", "ALL CAPS", "\t", "\r\n",
          "\x1c", "\x85", "e\u0301", "カー", "한국어", "ไทย", "عربى", "𝑥", "_", "0.5", "end of it", "-", "*", " - item\n", "\n*\n\n* a",
          "\n*\n- b"]


def text(n):
    return "".join(rng.choice(PIECES) for _ in range(n))


WHOLE = ["a\x1cb\x1ca\x1cb\x1ca", "\x85a\x85", "a\x1fa\x1da\x1ea\x1fa", "", " ", "\n", "a", "<think>", "<think></think>", "<think>\na\n</think>\nb", "<think>a<think>b</think>", "x<think>a</think>",
         "<think>\na\n</think>\n<answer>\n4\n</answer>", "<think>a</think><answer>4</answer>", "1. a\n2. b\n3. c\n4. d", "a " * 30,
         "First, Second, Next, Finally,", "Step 1: a\nStep 2: b\nStep 10: c", "\n-\n-\n-", "a b c a b c a b c", "A B C a b c",
         "I think the answer is four, since two and two make four.", "THIS IS LOUD.", "this is quiet.", "\u00a0 4 \u3000"]
texts = WHOLE + [text(rng.randint(1, 30)) for _ in range(75)]


def message(x):
    return [[{"role": "assistant", "content": x}]]


# ---- TRL ----

for x in texts:
    case("think_format:mode=trl", x, think_format_reward(message(x))[0])

for most, cache in [(100, 20), (100, 0), (100, 100), (20480, 4096), (10, 20), (1, 1)]:
    f = get_soft_overlong_punishment(most, cache)
    for n in sorted({0, 1, 5, most - cache - 1, most - cache, most - cache + 1, most - 1, most, most + 1, 10 * most}):
        if n >= 0:
            case(f"soft_overlong:max_completion_len={most},soft_punish_cache={cache}", "x", f([[1] * n])[0], n_tokens=n)

right = []                                    # what the replaced accuracy_reward answers
accuracy.accuracy_reward = lambda completions, solution, **_: list(right)
EXACT = "correct='exact:part=all'"
for most in (1, 7, 100, 1000):
    for n in (0, 1, 3, 50, 99, 100, 101, 999, 5000):
        for is_right in (0.0, 1.0):
            right[:] = [is_right]
            given = dict(max_len=most)
            options = ""
            if n % 2:
                given |= dict(min_value_wrong=-10.0, max_value_wrong=-2.5, min_value_correct=1.5, max_value_correct=2.0)
                options = "".join(f",{k}={v}" for k, v in given.items() if k != "max_len")
            want = get_cosine_scaled_reward(**given)(message("4"), ["4"], [[1] * n])[0]
            case(f"cosine_length:{EXACT},max_len={most}{options}", "4" if is_right else "5", want, {"answer": 4}, n)

for x in texts:
    n = rng.choice([1, 2, 3, 5])
    penalty = rng.choice([-1.0, -0.5, -2.0])
    ids = [ord(c) for c in x.lower()]
    case(f"repetition:ngram_size={n},max_penalty={penalty},unit=characters", x,
         get_repetition_penalty_reward(n, penalty)([ids])[0])

# ---- open-r1 ----

for x in texts:
    n = rng.choice([1, 2, 3, 4])
    words = x.lower().split()
    grams = [tuple(words[i:i + n]) for i in range(len(words) - n + 1)]
    case(f"repetition:ngram_size={n}", x, -(1 - len(set(grams)) / len(grams)) + 0.0 if grams else 0.0)
    tags = ["<think>\n", "\n</think>\n", "\n<answer>\n", "\n</answer>"]
    case("tag_count", x, sum(x.count(t) == 1 for t in tags) / 4)
    case("tag_count:prefilled", x, sum(x.count(t) == 1 for t in tags[1:]) / 3)
    pattern = r"Step \d+:|^\d+\.|\n-|\n\*|First,|Second,|Next,|Finally,"
    case("reasoning_steps", x, min(1.0, len(re.findall(pattern, x)) / 3))
    for is_right in (True, False):
        low, high = (0.5, 1.0) if is_right else (-0.5, -1.0)
        case(f"cosine_length:{EXACT},unit=characters,clamp=false,max_len=60", x,
             low + 0.5 * (high - low) * (1 + math.cos(math.pi * len(x) / 60)), {"answer": x if is_right else x + "!"})

# open-r1's comment on "1.": at the start of each line, where its other alternatives have not matched
for x in ["1. a\n2. b", "a\n1. b\n22. c\n3 d", "\n1.", "1.2."]:
    case("reasoning_steps:steps=4,every_line", x, min(1.0, len(re.findall(r"^\d+\.", x, re.M)) / 4))

# ---- exact ----

for x in texts:
    for reference in {x, x.upper(), " " + x + "\n", " ".join(x.split()), "".join(x.split()), x + "."}:
        case("exact:part=all", x, float(x.strip() == reference.strip()), {"answer": reference})
        case("exact:part=all,white_space=keep,field=gold", x, float(x == reference), {"gold": reference})
        case("exact:part=all,white_space=collapse,ignore_case", x,
             float(" ".join(x.split()).casefold() == " ".join(reference.split()).casefold()), {"answer": reference})
        case("exact:part=all,white_space=remove", x, float("".join(x.split()) == "".join(reference.split())),
             {"answer": [reference, "another", 7]})
cases["exact"] = rng.sample(cases["exact"], 200)

# ---- language ----

UNSPACED = r"[\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Thai}\p{scx=Lao}\p{scx=Khmer}\p{scx=Myanmar}]"
LANGUAGES = {"en": "Latin", "zh": "Han", "ja": "Han Hiragana Katakana", "ru": "Cyrillic", "ko": "Hangul", "th": "Thai",
             "ar": "Arabic"}


def is_in(c, scripts):
    return any(regex.match(r"\p{scx=%s}" % s, c) for s in scripts.split())


def language_counts(x, scripts):
    """Words as (is of the language, letters), by going through the characters."""
    words, kind = [], None                    # kind of the word that may go on: True, False; None: none
    i = 0
    while i < len(x):
        tex = re.compile(r"\\[A-Za-z]+").match(x, i)
        if tex:
            i, kind = tex.end(), None
            continue
        c = x[i]
        if regex.match(r"\p{M}", c):
            if kind is not None:
                words[-1][2] += c
        elif not regex.match(r"\p{L}", c) or (regex.match(r"\p{scx=Common}", c)):
            kind = None
        else:
            own, unspaced = is_in(c, scripts), bool(regex.match(UNSPACED, c))
            if unspaced or kind != own or words[-1][3]:
                words.append([own, 0, "", unspaced])
            words[-1][1] += 1
            words[-1][2] += c
            kind = own
        i += 1
    return [(own, n) for own, n, s, _ in words if not re.fullmatch("[A-Za-z]", s)]


for x in texts:
    for language in rng.sample(sorted(LANGUAGES), 2):
        words = language_counts(x, LANGUAGES[language])
        for unit in ("words", "letters"):
            weight = (lambda w: 1) if unit == "words" else (lambda w: w[1])
            total = sum(map(weight, words))
            want = sum(weight(w) for w in words if w[0]) / total if total else None
            case(f"language:language={language},unit={unit},part=all", x, want)

# ---- countdown ----


def value_of(text, numbers):
    def value(node):
        if isinstance(node, ast.Constant) and type(node.value) is int:
            numbers.append(node.value)
            return Fraction(node.value)
        assert isinstance(node, ast.BinOp)
        a, b = value(node.left), value(node.right)
        return {ast.Add: lambda: a + b, ast.Sub: lambda: a - b, ast.Mult: lambda: a * b, ast.Div: lambda: a / b}[type(node.op)]()
    return value(ast.parse(text, mode="eval").body)


def expression(numbers):
    if len(numbers) == 1:
        return str(numbers[0]) if rng.random() < .9 else f"({numbers[0]})"
    k = rng.randint(1, len(numbers) - 1)
    space = rng.choice(["", "", " "])
    e = f"{expression(numbers[:k])}{space}{rng.choice('+-*/')}{space}{expression(numbers[k:])}"
    return f"({e})" if rng.random() < .5 else e


def damage(e):
    kind = rng.randint(0, 9)
    i = rng.randint(0, len(e))
    if kind == 0: return e[:i] + rng.choice("()+-*/0123456789. ^%") + e[i:]
    if kind == 1: return e[:i] + e[i + 1:]
    if kind == 2: return e.replace("*", "**", 1)
    if kind == 3: return e.replace("/", "//", 1)
    if kind == 4: return "-" + e
    if kind == 5: return "+" + e
    return e


for _ in range(400):
    numbers = [rng.randint(1, 60) for _ in range(rng.randint(1, 6))]
    given = numbers[:]
    rng.shuffle(given)
    if rng.random() < .1: given[0] += 1
    if rng.random() < .05: given.append(3)
    e = damage(expression(numbers))
    used = []
    try:
        v = value_of(e, used)
    except (SyntaxError, AssertionError, ZeroDivisionError, KeyError):
        v = None
    target = int(v) if v is not None and rng.random() < .8 else rng.randint(1, 100)
    case("countdown", f"<answer> {e}\n</answer>", float(v == target and sorted(used) == sorted(given)),
         {"nums": given, "target": target})

# ---- ifeval ----

LESS = {"less than": lambda a, b: a < b, "at least": lambda a, b: a >= b}


def pieces_ok(pieces):
    """Pieces that are not blank; None if a blank one stands in the middle."""
    if any(not p.strip() for p in pieces[1:-1]):
        return None
    return [p for p in pieces if p.strip()]


def first_word(x, a):
    parts = x.split("\n\n")
    n = sum(bool(p.strip()) for p in parts)
    if a["nth_paragraph"] > n or not parts[a["nth_paragraph"] - 1].strip():
        return False
    word = parts[a["nth_paragraph"] - 1].split()[0].lstrip("'").lstrip('"')
    return n == a["num_paragraphs"] and re.split(r"""[.,?!'"]""", word)[0].lower() == a["first_word"].lower()


def is_json(x, kind=None):
    x = x.strip()
    for p in ("```json", "```Json", "```JSON", "```"):
        x = x.removeprefix(p)
    try:
        v = json.loads(x.removesuffix("```").strip())
    except ValueError:
        return False
    return kind is None or isinstance(v, kind)


def highlights(x):
    return (sum(bool(h.strip("*").strip()) for h in re.findall(r"\*[^\n\*]*\*", x)) +
            sum(bool(h[2:-2].strip()) for h in re.findall(r"\*\*[^\n\*]*\*\*", x)))


def two(x):
    p = pieces_ok(x.split("******"))
    return p is not None and len(p) == 2 and p[0].strip() != p[1].strip()


def paragraphs(x):
    p = pieces_ok(re.split(r"\s?\*\*\*\s?", x))
    return -1 if p is None else len(p)


def postscript(x, a):
    m = a["postscript_marker"]
    pattern = {"P.P.S": r"\s*p\.\s?p\.\s?s.*$", "P.S.": r"\s*p\.\s?s\..*$"}.get(m, r"\s*" + re.escape(m.lower()) + r".*$")
    return bool(re.findall(pattern, x.lower(), flags=re.M))


def bullets(x):
    return len(re.findall(r"^\s*\*[^\*].*$", x, flags=re.M)) + len(re.findall(r"^\s*-.*$", x, flags=re.M))


RULES = {
    "keywords:existence": lambda x, a: all(re.search(re.escape(k), x, re.I) for k in a["keywords"]),
    "keywords:frequency": lambda x, a: LESS[a["relation"]](len(re.findall(re.escape(a["keyword"]), x, re.I)), a["frequency"]),
    "keywords:forbidden_words":
        lambda x, a: not any(re.search(r"\b" + re.escape(w) + r"\b", x, re.I) for w in a["forbidden_words"]),
    "keywords:letter_frequency":
        lambda x, a: LESS[a["let_relation"]](collections.Counter(x.lower())[a["letter"]], a["let_frequency"]),
    "length_constraints:number_words": lambda x, a: LESS[a["relation"]](len(re.findall(r"\w+", x)), a["num_words"]),
    "length_constraints:number_paragraphs": lambda x, a: paragraphs(x) == a["num_paragraphs"],
    "length_constraints:nth_paragraph_first_word": first_word,
    "detectable_content:number_placeholders": lambda x, a: len(re.findall(r"\[.*?\]", x)) >= a["num_placeholders"],
    "detectable_content:postscript": postscript,
    "detectable_format:number_bullet_lists": lambda x, a: bullets(x) == a["num_bullets"],
    "detectable_format:number_highlighted_sections": lambda x, a: highlights(x) >= a["num_highlights"],
    "detectable_format:multiple_sections":
        lambda x, a: len(re.split(r"\s?" + a["section_spliter"] + r"\s?\d+\s?", x)) - 1 >= a["num_sections"],
    "detectable_format:constrained_response": lambda x, a: any(f"My answer is {w}." in x for w in ("yes", "no", "maybe")),
    "detectable_format:json_format": lambda x, a: is_json(x),
    "detectable_format:json_object": lambda x, a: is_json(x, dict),
    "detectable_format:title":
        lambda x, a: any(t.lstrip("<").rstrip(">").strip() for t in re.findall(r"<<[^\n]+>>", x)),
    "combination:two_responses": lambda x, a: two(x),
    "combination:repeat_prompt": lambda x, a: x.strip().lower().startswith(a["prompt_to_repeat"].strip().lower()),
    "startend:end_checker":
        lambda x, a: x.strip().strip('"').lower().endswith(a["end_phrase"].strip().lower()),
    "startend:start_checker": lambda x, a: x.strip().startswith(a["starter"].strip()),
    "startend:quotation": lambda x, a: len(x.strip()) > 1 and x.strip()[0] == '"' and x.strip()[-1] == '"',
    "punctuation:no_comma": lambda x, a: "," not in x,
}


def arguments(x):
    """Kwargs that are near what the text has, so that both answers come up."""
    relation = rng.choice(sorted(LESS))
    near = lambda n: max(0, n + rng.randint(-1, 1))
    word = rng.choice(["cat", "the", "the cat", "no", "it", "Ünïcödé", "的", "x", "is 7"])
    plain = re.findall(r"\w+", x) or ["a"]
    parts = x.split("\n\n")
    n_parts = sum(bool(p.strip()) for p in parts)
    letter = rng.choice("aeti.")
    spliter = rng.choice(["Section", "SECTION"])
    return {
        "keywords:existence": {"keywords": rng.sample([word, rng.choice(plain), rng.choice(plain)], 2)},
        "keywords:frequency": {"keyword": word, "relation": relation,
                               "frequency": near(len(re.findall(re.escape(word), x, re.I)))},
        "keywords:forbidden_words": {"forbidden_words": [word, rng.choice(["zebra", rng.choice(plain)[:3]])]},
        "keywords:letter_frequency": {"letter": letter, "let_relation": relation, "let_frequency": near(x.lower().count(letter))},
        "length_constraints:number_words": {"relation": relation, "num_words": near(len(re.findall(r"\w+", x)))},
        "length_constraints:number_paragraphs": {"num_paragraphs": near(paragraphs(x))},
        "length_constraints:nth_paragraph_first_word":
            {"num_paragraphs": rng.choice([n_parts, near(n_parts)]), "nth_paragraph": rng.randint(1, max(1, n_parts)),
             "first_word": re.split(r"""[.,?!'"]""", rng.choice(x.split() or ["a"]).lstrip("'").lstrip('"'))[0] or "a"},
        "detectable_content:number_placeholders": {"num_placeholders": near(len(re.findall(r"\[.*?\]", x)))},
        "detectable_content:postscript": {"postscript_marker": rng.choice(["P.S.", "P.P.S", "PS:", "cat"])},
        "detectable_format:number_bullet_lists": {"num_bullets": near(bullets(x))},
        "detectable_format:number_highlighted_sections": {"num_highlights": near(highlights(x))},
        "detectable_format:multiple_sections":
            {"section_spliter": spliter, "num_sections": near(len(re.findall(spliter + r"\s?\d+", x)))},
        "combination:repeat_prompt": {"prompt_to_repeat": rng.choice([x[:7].swapcase(), "the cat"]).strip() or "a"},
        "startend:end_checker": {"end_phrase": rng.choice([x[-7:].swapcase(), "the cat"]).strip() or "a"},
        "startend:start_checker": {"starter": rng.choice([x.strip()[:5], "the"]).strip() or "a"},
    }


seen = collections.defaultdict(set)
SPECIAL = [
        '```json\n{"a": 1}\n```', '{"a": 1}', "[1, 2]", "3", "```\n[]```", "{'a': 1}", '"quoted"', "a ****** b", "a******a", "a***b***c",
        "***a***b***", "a****b", "<<A>> b", "Section 1 a Section 2 b", "P.S. bye", "p.p. s", "so\n\n'Twas \"it\"\n\nend",
        "*\n* a", "*\n\n* a\n- b", "*\n- b\n\n - c", "a\n*", "* **a", "[a\nb] [c]", "<<a>", "<<>>>", "<<a>>>", "a***\n***b",
        "a****** ******b", "concat cat", "concatenate", "a concat", "\x1cthe\x1fcat\x85", "Section\u00a03"]
for x in SPECIAL + texts + [text(rng.randint(3, 20)) for _ in range(120)]:
    args = arguments(x)
    for name in sorted(RULES) if x in SPECIAL else rng.sample(sorted(RULES), 5):
        a = args.get(name, {})
        want = bool(x.strip()) and bool(RULES[name](x, a))
        seen[name].add(want)
        case("ifeval:part=all", x, float(want), {"instruction_id_list": [name], "kwargs": [a]})
assert all(s == {True, False} for s in seen.values()), seen

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rewards.json")
with open(path, "w") as f:
    f.write('{"made_by": "make_rewards.py with trl %s",\n"completions": ' % trl.__version__)
    f.write(json.dumps(list(completions)) + ",\n")
    f.write(",\n".join(f'"{k}": [\n' + ",\n".join(json.dumps(c, separators=(",", ":")) for c in v) + "]" for k, v in cases.items()))
    f.write("}\n")
print({k: len(v) for k, v in cases.items()}, os.path.getsize(path), "bytes")

"""Math checkers side by side, in one run: what they find, what they take for right that is wrong, and how long they take.

    python tests/bench/peers/math_peers.py STROP DATA [--only strop,dapo] [--limit 10]      (make math-bench)

STROP is the program of tests/bench/math.c. Math-Verify is its package; get it with

    python3 -m venv FOLDER && FOLDER/bin/pip install math-verify antlr4-python3-runtime==4.13.2
    PEER_PYTHON=FOLDER/bin/python make math-bench DATA=../shared/data

The two string checkers are written here from their descriptions: is_equiv of Hendrycks et al., "Measuring Mathematical Problem
Solving With the MATH Dataset" (2021), and the normaliser of Lewkowycz et al., "Solving Quantitative Reasoning Problems with
Language Models" (2022), appendix D.1, as DAPO uses it: the last "Answer:" of the last 300 characters; where there is none, the
last box of the last 100, so that it has an answer to boxed completions too. Bare texts are put in dollars for Math-Verify,
which reads nothing else; it runs with its own limits of 5 s.

Times are processor time, one thread. Every checker runs in a process of its own; a check that is not done after --limit
seconds is ended with its process and counts as wrong.
"""

import argparse
import contextlib
import io
import json
import logging
import multiprocessing
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.pop(0)  # this folder

TIERS = ["core", "policy", "choice", "realistic", "approx", "config", "text", "lang", "noisy"]
HOSTILE = [  # name, reference, completion
    ("tower 9^9^9^9", "2", rb"\boxed{9^{9^{9^{9}}}}"),
    ("tower of six", "2", rb"\boxed{9^{9^{9^{9^{9^{9}}}}}}"),
    ("two towers", "2^{2^{2^{49}}}", rb"\boxed{2^{2^{2^{50}}}}"),
    ("factorials", "1", rb"\boxed{((((9!)!)!)!)!}"),
    ("large binomial", "1", rb"\boxed{\binom{400000}{200000}}"),
    ("sum of sums", "1", rb"\boxed{\sum_{a=1}^{9999}\sum_{b=1}^{9999}\sum_{c=1}^{9999} a b c}"),
    ("sum of sines", "1", rb"\boxed{\sum_{a=1}^{9999} \sin a}"),
    ("sum of 1,900 sines", "1", rb"\boxed{\sum_{a=1}^{1900} \sin a}"),
    ("100 KB of {", "1", rb"\boxed{" + b"{" * 100000),
    ("100 KB of }", "1", rb"\boxed{2" + b"}" * 100000),
    ("10^5 boxes", "1", rb"\boxed{2} " * 100000),
    ("10^5 boxes in a run", "1, 2", rb"\boxed{2}," * 100000),
    ("10^5 open boxes", "1", rb"\boxed{" * 100000),
    ("1 MB of digits", "1", rb"\boxed{" + b"7" * (1 << 20) + b"}"),
    ("1 MB of digits, no box", "1", b"7" * (1 << 20)),
    ("4,000 digits", "1", rb"\boxed{" + b"7" * 4000 + b"}"),
    ("fractions, 10^4 deep", "1", rb"\boxed{" + rb"\frac{1}{1+" * 10000 + b"1"),
    ("roots, 200 deep", "1", rb"\boxed{" + rb"\sqrt{1+" * 200 + b"1" + b"}" * 201),
    ("brackets, 300 deep", "1", rb"\boxed{" + b"(" * 300 + b"1" + b")" * 300 + b"}"),
    ("invalid UTF-8", "1", rb"\boxed{" + b"\xff\xc0\x80" * 1000 + b"}"),
    ("zero bytes", "1", rb"\boxed{" + b"\0" * 1000 + b"}"),
    ("dollars", "1", b"$ " * 100000),
    ("open formulas", "1", rb"\( " * 100000),
    ("long list", "1,2", rb"\boxed{1" + b",2" * 1000 + b"}"),
    ("sum of 120 roots", "1", rb"\boxed{1" + rb"+\sqrt{1+\sqrt{3}}" * 120 + b"}"),
    ("signs", "1", rb"\boxed{" + b"-" * 3000 + b"1}"),
]

# ---- the string checkers


def braces(text, at):
    """The inside of the braces that open at `at`, and where they end; None if they do not close."""
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] == "{") - (text[i] == "}")
        if depth == 0:
            return text[at + 1 : i], i + 1
    return None


def last_box(text):
    at = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
    if at < 0:
        return None
    behind = re.compile(r"\\(boxed|fbox) ?").match(text, at).end()
    if behind < len(text) and text[behind] == "{":
        found = braces(text, behind)
        return found[0] if found else None
    return re.split(r"[\s$]", text[behind:], maxsplit=1)[0]


def whole_fractions(text):
    text = re.sub(r"\\frac(\d)(\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\frac(\d)\{", r"\\frac{\1}{", text)
    text = re.sub(r"\\frac(\{[^{}]*\})(\w)", r"\\frac\1{\2}", text)
    return re.sub(r"\\sqrt(\w)", r"\\sqrt{\1}", text)


def hendrycks_normal(text):
    for layout in ("\n", "\\!", "\\left", "\\right", "^{\\circ}", "^\\circ", "\\$", "\\%", "%"):
        text = text.replace(layout, "")
    text = text.replace("tfrac", "frac").replace("dfrac", "frac").replace("\\\\", "\\")
    text = text.split("\\text{ ")[0]
    text = re.sub(r"(^|[ {])\.", r"\g<1>0.", text)
    left, equals, right = text.partition("=")
    text = right if equals and "=" not in right and len(left.strip()) <= 2 else text
    text = whole_fractions(text.replace(" ", ""))
    text = "\\frac{1}{2}" if text == "0.5" else text
    return re.sub(r"^(-?\d+)/(-?\d+)$", r"\\frac{\1}{\2}", text)


MINERVA_OUT = """square ways integers dollars mph inches ft hours km units \\ldots sue points feet minutes digits cents degrees cm gm
pounds meters meals edges students childrentickets multiples \\text{s} \\text{.} \\text{}^2 \\text{}^3 \\text{} \\mathrm{th} ^\\circ
^{\\circ} \\; ,\\! {,} " \\dots""".split()


def minerva_normal(text):
    text = text.split("=")[-1]
    for old, new in (("an ", ""), ("a ", ""), (".$", "$"), ("\\$", ""), ("\\ ", ""), (" ", ""), ("mbox", "text")):
        text = text.replace(old, new)
    text = text.replace(",\\text{and}", ",").replace("\\text{and}", ",").replace("\\text{m}", "\\text{}")
    for word in MINERVA_OUT:
        text = text.replace(word, "")
    formula = re.search(r"\$(.*)\$", text, re.S)
    text = formula.group(1) if formula else text
    text = re.sub(r"\\(?:text|textbf|overline|boxed)\{([^{}]*)\}", r"\1", text)
    text = whole_fractions(re.sub(r"\\frac([^{}])([^{}])", r"\\frac{\1}{\2}", text)).replace("$", "")
    return text.replace(",", "") if re.fullmatch(r"[\d,]+", text) else text


class Hendrycks:
    name = "Hendrycks is_equiv"

    def pair(self, gold, said):
        gold, said = (last_box(text) or text for text in (gold, said))
        return hendrycks_normal(gold.strip("$ ")) == hendrycks_normal(said.strip("$ "))

    def response(self, gold, text, _):
        box = last_box(text)
        return box is not None and self.pair(gold, box)


class Dapo:
    name = "DAPO"

    def pair(self, gold, said):
        return minerva_normal(gold).strip() == minerva_normal(said).strip()

    def response(self, gold, text, _):
        answers = re.findall(r"(?i)answer\s*:\s*([^\n]+)", text[-300:])
        said = answers[-1] if answers else last_box(text[-100:])
        return said is not None and self.pair(last_box(gold) or gold, said)


class MathVerify:
    name = "Math-Verify"

    def __init__(self):
        from math_verify import ExprExtractionConfig, LatexExtractionConfig, StringExtractionConfig, parse, verify

        logging.disable(logging.CRITICAL)
        self.parse, self.verify = parse, verify
        self.formulas = [LatexExtractionConfig(), ExprExtractionConfig()]
        self.letters = [StringExtractionConfig()]

    @staticmethod
    def dollars(text):
        return text if any(mark in text for mark in ("$", "\\boxed", "\\(", "\\[")) else f"${text}$"

    def pair(self, gold, said):
        return self.response(gold, self.dollars(said), False)

    def response(self, gold, text, choice):
        configs = self.letters if choice else self.formulas
        return self.verify(self.parse(gold if choice else self.dollars(gold), configs), self.parse(text, configs))


PEERS = {"math-verify": MathVerify, "hendrycks": Hendrycks, "dapo": Dapo}

# ---- running them


def serve(maker, pipe):
    checker = maker()
    pipe.send("ready")
    while True:
        kind, gold, text = pipe.recv()
        text = text.decode("utf-8", "replace")
        start = time.process_time()
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                right = checker.pair(gold, text) if kind == "pair" else checker.response(gold, text, kind == "choice")
        except Exception:
            right = False
        pipe.send((bool(right), time.process_time() - start))


class Child:
    """A peer in its own process; check() gives the verdict and seconds, None for a check that took too long."""

    def __init__(self, maker, limit):
        self.maker, self.limit, self.name = maker, limit, maker.name
        self.start()

    def start(self):
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(self.maker, theirs), daemon=True)
        self.process.start()
        theirs.close()
        if self.pipe.recv() != "ready":
            raise RuntimeError

    def check(self, kind, gold, text):
        self.pipe.send((kind, gold, text))
        try:
            if self.pipe.poll(self.limit):
                return self.pipe.recv()
        except EOFError:  # it died
            pass
        self.process.kill()
        self.process.join()
        self.start()
        return False, None

    def close(self):
        self.process.kill()
        self.process.join()


class Strop:
    name = "strop"

    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def check(self, kind, gold, text):
        gold = gold.encode()
        self.process.stdin.write(b"%s %d %d\n" % (kind.encode(), len(gold), len(text)) + gold + text + b"\n")
        self.process.stdin.flush()
        right, seconds = self.process.stdout.readline().split()
        return right == b"1", float(seconds)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


# ---- the cases


def rows_of(folder, name):
    return [json.loads(line) for line in Path(folder, name).read_text(encoding="utf-8").splitlines()]


def speed_cases(folder):
    """Every reference of MATH-500 against 16 completions: itself in four spellings, and answers of other problems."""
    golds = [row["answer"] for row in rows_of(folder, "math500.jsonl")]
    frames = ["%s", " %s ", "x = %s", "\\left(%s\\right)"]
    for i, gold in enumerate(golds):
        for k in range(16):
            said = frames[k] % gold if k < 4 else golds[(i + 1 + 37 * k) % len(golds)]
            text = f"First we look at what is given. Then $x^2 + 1 = 5$, and so on for some lines. Therefore \\boxed{{{said}}}."
            yield "response", gold, text.encode()


def measure(checker, folder, limit):
    cells = {}
    for name, file, field in (("pairs", "math_equiv_dev.jsonl", "pred"), ("completions", "math_extract_dev.jsonl", "response")):
        for row in rows_of(folder, file):
            kind = "pair" if field == "pred" else "choice" if row["tier"] == "choice" else "response"
            gold = row["gold"] if isinstance(row["gold"], str) else str(row["gold"])
            right, _ = checker.check(kind, gold, row[field].encode())
            cell = cells.setdefault((name, row["tier"]), [0, 0, 0, 0])
            cell[0 if row["equal"] else 2] += right
            cell[1 if row["equal"] else 3] += 1
    times = sorted(limit if s is None else s for _, s in (checker.check(*case) for case in speed_cases(folder)))
    slowest = []
    for name, gold, text in HOSTILE:
        _, seconds = checker.check("response", gold, text)
        slowest.append((limit * 1e3 if seconds is None else seconds, "over %g s" % limit if seconds is None else "%.1f ms" % (seconds * 1e3), name))
    over = sum(text.startswith("over") for _, text, _ in slowest)
    cells["speed"] = ["%.0f" % (len(times) / sum(times)), "%.3f ms" % (times[len(times) * 99 // 100] * 1e3), "%.3f ms" % (times[-1] * 1e3)]
    cells["hostile"] = [max(slowest)[1], max(slowest)[2], f"{over} of {len(HOSTILE)}"]
    return cells


def print_table(results):
    def line(title, texts):
        print(f"{title:<34}" + "".join(f"{text:>24}" for text in texts), flush=True)

    line("", results)
    for name in ("pairs", "completions"):
        for tier in TIERS:
            cells = [cells.get((name, tier)) for cells in results.values()]
            if cells[0] and cells[0][1]:
                line(f"{name}, {tier}: found of {cells[0][1]}", [f"{c[0]}  {100 * c[0] / c[1]:.1f} %" for c in cells])
            if cells[0] and cells[0][3]:
                line(f"{name}, {tier}: false of {cells[0][3]}", [str(c[2]) for c in cells])
    for i, title in enumerate(("checks a second and core", "99th of 100 checks", "slowest of 8,000 checks")):
        line(title, [cells["speed"][i] for cells in results.values()])
    for i, title in enumerate(("slowest hostile text", "  which", "  not done in time")):
        line(title, [cells["hostile"][i] for cells in results.values()])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("strop")
    parser.add_argument("data")
    parser.add_argument("--only", default="strop,math-verify,hendrycks,dapo")
    parser.add_argument("--limit", type=float, default=10)
    options = parser.parse_args()
    results = {}
    for name in options.only.split(","):
        if name == "math-verify":
            try:
                import math_verify  # noqa: F401
            except ImportError:
                print("Math-Verify is missing: python3 -m venv FOLDER && FOLDER/bin/pip install math-verify antlr4-python3-runtime==4.13.2")
                print("then PEER_PYTHON=FOLDER/bin/python make math-bench")
                continue
        checker = Strop(options.strop) if name == "strop" else Child(PEERS[name], options.limit)
        print(f"measuring {checker.name}", file=sys.stderr)
        results[checker.name] = measure(checker, options.data, options.limit)
        checker.close()
    print_table(results)


main()

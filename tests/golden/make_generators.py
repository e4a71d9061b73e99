#!/usr/bin/env python3
"""Writes generators.json: what rl/data/countdown.c and rl/data/tiny_text.c must agree with.

  splits      for every multiset of 3 numbers from 1 to 12, and of 4 from 1 to 9: e(val), r(l) or p(re)
  attempts    all ways to combine some triples, in order
  reachable   values that some sets of 3 and 4 numbers can make
  statistics  of 200,000 texts of either phase: share of each kind, share of right answers, and mean and variance of
              how often each phrase stands in a text

The mixture below is the definition of the texts, written for clarity; the C code draws other texts of the same kind.
"""
import collections, hashlib, itertools, json, os, random, re
from fractions import Fraction
from functools import lru_cache

NMIN, NMAX, VMAX = 1, 9, 99              # numbers NMIN..NMAX, every intermediate value 1..VMAX


def split_of(nums):
    h = hashlib.md5(("s%d-%d-%d" % tuple(sorted(nums))).encode()).digest()
    u = (h[0] * 256 + h[1]) / 65536
    return "eval" if u < .15 else "rl" if u < .40 else "pre"

def _bin(x, y):                           # x >= y: (op, value)
    r = [("+", x + y), ("*", x * y)]
    if x > y: r.append(("-", x - y))
    if y > 1 and x % y == 0: r.append(("/", x // y))
    return [(o, v) for o, v in r if 1 <= v <= VMAX]

@lru_cache(maxsize=None)
def candidates(nums):
    """All canonical expressions over three numbers: tuples (text, first step, reduced text, value)."""
    out, seen = [], set()
    for k in range(3):
        z = nums[k]
        p = [nums[i] for i in range(3) if i != k]
        x, y = max(p), min(p)
        for o, e in _bin(x, y):
            E = f"{x}{o}{y}"; P = f"({E})"
            step = f"{E}={e}"
            L = P if o in "+-" else E                  # left operand of * and /
            R = P if o in "+-" else E
            c = []
            if e + z <= VMAX: c.append((f"{E}+{z}", f"{e}+{z}", e + z))
            if e > z: c.append((f"{E}-{z}", f"{e}-{z}", e - z))
            if z > e: c.append((f"{z}-{R}", f"{z}-{e}", z - e))
            if e * z <= VMAX: c.append((f"{L}*{z}", f"{e}*{z}", e * z))
            if z > 1 and e % z == 0: c.append((f"{L}/{z}", f"{e}/{z}", e // z))
            if e > 1 and z % e == 0: c.append((f"{z}/({E})", f"{z}/{e}", z // e))
            for t, red, v in c:
                key = t if not re.fullmatch(r"\d+\+\d+\+\d+", t) else "sum"
                if key in seen: continue
                seen.add(key); out.append((t, step, red, v))
    return tuple(out)

def problem(rng, split):
    while True:
        nums = tuple(rng.randint(NMIN, NMAX) for _ in range(3))
        if split_of(nums) != split: continue
        vs = sorted({c[3] for c in candidates(nums) if 10 <= c[3] <= VMAX})
        if vs: return nums, rng.choice(vs)

def prompt(nums, target, tags=True):
    t = " Reply with <think> </think> <answer> </answer>." if tags else ""
    return f"User: {nums[0]}, {nums[1]}, {nums[2]} make {target}.{t}\nAssistant:"


MIX = dict(guess=.55, search=.20, short=.15, arith=.10,   # kinds
           aware=.15, think=.40, tau=6.0,   # share of target-aware proposals in guesses and in searches, and their width
           giveup=.45,             # after a wrong attempt in a search: stop and answer it
           slip=.06,               # arithmetic slip in an attempt
           blind=.05,              # accepts a wrong value as right
           check=.35,              # checks a match before answering
           invalid=.15)            # guesses that misuse the numbers

SKILL = dict(MIX, guess=.10, search=.65, short=0., arith=.25, giveup=.12, slip=.02)   # the first phase of pre-training

def propose(rng, cand, target, m, tried=(), key="aware"):
    cs = [c for c in cand if c[0] not in tried] or list(cand)
    if rng.random() < m[key]:
        w = [2.718281828 ** (-abs(c[3] - target) / m["tau"]) + 1e-9 for c in cs]
        return rng.choices(cs, w)[0]
    return rng.choice(cs)

def slip(rng, v):
    return max(1, v + rng.choice([-10, -2, -1, 1, 2, 10]))

OPEN = ["", "", "Try ", "Let me try ", "Maybe ", "What about "]
NEXT = ["", "Try ", "Let me try ", "Maybe ", "What about ", "Now "]
YES = ["That works.", "Yes.", "Good.", "That is right.", "It matches."]
QUIT = ["I give up.", "Close enough.", "I will answer this.", "Fine."]
GUESS = ["I think {e}={t}.", "Maybe {e}.", "I guess {e}.", "{e}={t}.", "It should be {e}.", "Let me use {e}."]

def no(rng, v, t):
    r = rng.random()
    if r < .30: return f"Wait, {v} is not {t}."
    if r < .45: return f"Wait, that is wrong."
    if r < .60: return f"Too {'big' if v > t else 'small'}."
    if r < .75: return f"No, not {t}."
    if r < .90: return f"Wrong."
    return f"Wait, {v} is not {t}. Let me try again."

def wrap(think, ans):
    return f"<think>{think}</think><answer>{ans}</answer>"

def invalid(rng, nums, e):
    n = re.findall(r"\d+", e)
    k = rng.random()
    if k < .4: return f"{max(nums)}{rng.choice('+-*')}{min(nums)}"
    return e.replace(rng.choice(n), str(rng.choice(list(nums) + [rng.randint(NMIN, NMAX)])), 1)

def guess(rng, nums, t, m):
    e = propose(rng, candidates(nums), t, m)[0]
    if rng.random() < m["invalid"]: e = invalid(rng, nums, e)
    return rng.choice(GUESS).format(e=e, t=t), e

def search(rng, nums, t, m, most=8):
    cand, tried, lines = candidates(nums), set(), []
    while True:
        c = propose(rng, cand, t, m, tried, "think"); tried.add(c[0])
        text, step, red, v = c
        a, b = step.split("="); first = int(b); said = v; sred = red
        if rng.random() < m["slip"]:
            if rng.random() < .5: said = slip(rng, v)
            else:
                f2 = slip(rng, first); sred = red.replace(str(first), str(f2), 1)
                try: said = int(eval(sred))
                except Exception: said = v
        line = (rng.choice(OPEN) if not lines else rng.choice(NEXT)) + f"{text}={sred}={said}."
        last = len(lines) + 1 >= most
        if said == t:
            if rng.random() < m["check"]:
                line += f" Check: {step}, {red}={v}."
                if v == t: lines.append(line + " " + rng.choice(["Correct.", "Right."])); break
                lines.append(line + " Wait, that is wrong.")
                if last: break
                continue
            lines.append(line + " " + rng.choice(YES)); break
        if rng.random() < m["blind"]: lines.append(line + " " + rng.choice(YES)); break
        if last or rng.random() < m["giveup"]: lines.append(line + " " + rng.choice(QUIT)); break
        lines.append(line + " " + no(rng, said, t))
    return "\n".join(lines), c[0]

def arith(rng):
    ls = []
    for _ in range(rng.randint(3, 10)):
        while True:
            x, y = rng.randint(1, VMAX), rng.randint(1, VMAX if rng.random() < .5 else NMAX)
            if x < y: x, y = y, x
            o = rng.choice("++--**/")
            if o == "*": x, y = rng.randint(1, 40), rng.randint(1, 20)
            if o == "/": y = rng.randint(2, 20); x = y * rng.randint(1, VMAX // y)
            if o == "*" and rng.random() < .5: x, y = y, x
            r = dict(_bin(x, y)) if x >= y else ({"*": x * y} if o == "*" and x * y <= VMAX else {})
            if o in r: break
        ls.append(f"{x}{o}{y}={r[o]}")
    return "\n".join(ls)

def doc(rng, m=MIX, split="pre"):
    """One text of the mixture: (kind, text, final answer right or None)."""
    k = rng.choices(["guess", "search", "short", "arith"], [m["guess"], m["search"], m["short"], m["arith"]])[0]
    if k == "arith": return k, arith(rng), None
    nums, t = problem(rng, split)
    if k == "short":
        _, e = guess(rng, nums, t, m)
        a = rng.choice([f" The answer is {e}.", f" {e}", f" {e}={t}", f"<answer>{e}</answer>", f"<think>{e}={t}<answer>{e}</answer>"])
        return k, prompt(nums, t, rng.random() < .5) + a, bool(correct(e, nums, t))
    th, e = (guess if k == "guess" else search)(rng, nums, t, m)
    return k, prompt(nums, t, rng.random() < .85) + wrap(th, e), bool(correct(e, nums, t))



def correct(expr, nums, target):
    if not re.fullmatch(r"[0-9+\-*/() ]{1,40}", expr): return False
    if sorted(map(int, re.findall(r"\d+", expr))) != sorted(nums): return False
    try: return eval(re.sub(r"(\d+)", r"Fraction(\1)", expr), {"Fraction": Fraction}) == target
    except Exception: return False

# ---- the golden file

PHRASES = ["User:", "Reply with", "<think>", "</think>", "<answer>", "</answer>", "=", "+", "-", "*", "/", "(", "\n", "Wait",
           "Wrong", "wrong", "again", "Check", "Correct.", "Right.", "Try ", "Let me try ", "Maybe ", "What about ", "Now ",
           "That works.", "Yes.", "Good.", "That is right.", "It matches.", "I give up.", "Close enough.",
           "I will answer this.", "Fine.", "Too big", "Too small", "No, not", " is not ", "I think", "I guess",
           "It should be", "Let me use", "The answer is", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]

def reachable(nums):
    if len(nums) == 1: return {nums[0]}
    out = set()
    for i, j in itertools.combinations(range(len(nums)), 2):
        rest = [nums[k] for k in range(len(nums)) if k not in (i, j)]
        for _, v in _bin(max(nums[i], nums[j]), min(nums[i], nums[j])): out |= reachable(rest + [v])
    return out

def split_name(nums):
    h = hashlib.md5(("s" + "-".join(map(str, sorted(nums)))).encode()).digest()
    u = (h[0] * 256 + h[1]) / 65536
    return "e" if u < .15 else "r" if u < .40 else "p"

def statistics(mixture, n, seed):
    rng = random.Random(seed)
    kinds = collections.defaultdict(lambda: dict(n=0, right=0, sums=[0] * (len(PHRASES) + 1), squares=[0] * (len(PHRASES) + 1)))
    for _ in range(n):
        kind, text, right = doc(rng, mixture)
        k = kinds[kind]; k["n"] += 1; k["right"] += bool(right)
        for i, c in enumerate([text.count(p) for p in PHRASES] + [len(text)]):
            k["sums"][i] += c; k["squares"][i] += c * c
    return {kind: dict(share=k["n"] / n, right=k["right"] / k["n"],
                       mean=[round(s / k["n"], 6) for s in k["sums"]],
                       variance=[round(q / k["n"] - (s / k["n"]) ** 2, 6) for s, q in zip(k["sums"], k["squares"])])
            for kind, k in sorted(kinds.items())}

def main():
    threes = list(itertools.combinations_with_replacement(range(1, 13), 3))
    fours = list(itertools.combinations_with_replacement(range(1, 10), 4))
    assert all(split_of(t)[0] == split_name(t) for t in threes)
    triples = [(7, 3, 9), (1, 1, 1), (2, 2, 4), (8, 4, 2), (9, 9, 9), (1, 2, 3), (12, 6, 5), (6, 1, 6), (20, 5, 4)]
    n = 200000
    golden = dict(
        splits3="".join(map(split_name, threes)), splits4="".join(map(split_name, fours)),
        attempts=[dict(numbers=t, attempts=[list(c) for c in candidates(t)]) for t in triples],
        reachable=[dict(numbers=t, values=sorted(reachable(list(t)))) for t in triples + [(1, 2, 3, 4), (9, 9, 9, 9), (2, 3, 5, 7)]],
        phrases=PHRASES, texts=n, mix=statistics(MIX, n, 1), skill=statistics(SKILL, n, 2))
    for t in triples:
        assert {c[3] for c in candidates(t)} == reachable(list(t))
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "generators.json"), "w") as f:
        json.dump(golden, f, separators=(",", ":"))
        f.write("\n")

if __name__ == "__main__":
    main()

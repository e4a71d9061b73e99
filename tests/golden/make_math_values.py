"""Writes tests/golden/math_values.json: random values in many spellings, made by SymPy, and spellings of values beside them.

Every row is {"kind", "equal": [...], "different": [...]}: the spellings of one value, and those of values that a slip would
give: another sign, a part swapped, one more, a factor of ten. SymPy has proven each different value different.

    python tests/golden/make_math_values.py [COUNT [FILE]]
"""

import json
import random
import sys
from fractions import Fraction
from pathlib import Path

import sympy as sp

x, y = sp.symbols("x y")


def thousands(n, mark):
    return f"{n:,}".replace(",", mark)


def pick(*choices):
    return random.choice(choices)


def minus(q):
    return "-" if q < 0 else ""


# ---- numbers


def spell_integer(n):
    n = int(n)
    sign, size = minus(n), abs(n)
    out = [f"{n}", f"${n}$", f"\\boxed{{{n}}}", f"x = {n}", f"{n}.0", f"\\text{{{n}}}", f"{{{n}}}", f"({n})", f"{n}\\text{{ units}}"]
    if size >= 1000:
        out += [sign + thousands(size, mark) for mark in (",", "{,}", "\\,", " ", ",\\!", "'")]
        out.append(f"{sign}{size // 1000}{size % 1000:03d}.00")
    if size % 10 == 0 and n:
        out.append(f"{n // 10} \\times 10")
    return out


def decimal(q):
    """The exact decimal, or None."""
    bottom = q.denominator
    places = 0
    while bottom % 2 == 0 or bottom % 5 == 0:
        bottom //= 2 if bottom % 2 == 0 else 5
        places += 1
    return None if bottom != 1 else f"{float(q):.{max(places, 1)}f}"


def repeating(q):
    """0.1(6): whole, fixed places and the period as digits."""
    top, bottom = abs(q.numerator), q.denominator
    whole, rest = divmod(top, bottom)
    digits, seen = "", {}
    while rest and rest not in seen and len(digits) < 12:
        seen[rest] = len(digits)
        digit, rest = divmod(rest * 10, bottom)
        digits += str(digit)
    return (whole, digits[: seen[rest]], digits[seen[rest] :]) if rest in seen else None


def spell_rational(q):
    q = Fraction(int(sp.Rational(q).p), int(sp.Rational(q).q))
    if q.denominator == 1:
        return spell_integer(q.numerator)
    sign, top, bottom = minus(q), abs(q.numerator), q.denominator
    out = [
        f"{sign}\\frac{{{top}}}{{{bottom}}}",
        f"{sign}\\dfrac{{{top}}}{{{bottom}}}",
        f"{sign}{top}/{bottom}",
        f"\\frac{{{q.numerator}}}{{{bottom}}}",
        f"{sign}\\frac{{{3 * top}}}{{{3 * bottom}}}",
        f"{sign}{{{top} \\over {bottom}}}",
        f"{sign}{top} \\cdot {bottom}^{{-1}}",
        f"\\left({sign}\\tfrac{{{top}}}{{{bottom}}}\\right)",
        f"y = {sign}\\frac{{{top}}}{{{bottom}}}",
        f"{sign}\\frac {{{top}}} {{{bottom}}}",
        f"$\\displaystyle {sign}\\frac{{{top}}}{{{bottom}}}$.",
        f"**{sign}{top}/{bottom}**",
    ]
    if top > bottom:
        whole, rest = divmod(top, bottom)
        out += [f"{sign}{whole}\\frac{{{rest}}}{{{bottom}}}", f"{sign}{whole} {rest}/{bottom}", f"{sign}({whole}+\\frac{{{rest}}}{{{bottom}}})"]
    exact = decimal(q)
    if exact:
        out += [exact, exact + "0", exact.replace("0.", ".", 1) if exact.lstrip("-").startswith("0.") else exact]
        percent = decimal(q * 100)
        out.append(f"{percent or int(q * 100)}\\%")
    period = repeating(q) if not exact else None
    if period and len(period[2]) <= 6:
        whole, fixed, again = period
        out += [f"{sign}{whole}.{fixed}\\overline{{{again}}}", f"{sign}{whole}.{fixed}{again}{again}{again}..."]
        if not fixed:
            out.append(f"{sign}{whole}.({again})")
    return out


def spell_surd(e):
    e = sp.nsimplify(e)
    out = {sp.latex(form) for form in (e, sp.expand(e), sp.together(e), sp.radsimp(e), sp.simplify(e), sp.radsimp(1 / sp.radsimp(1 / e)))}
    out |= {sp.latex(1 / sp.expand(sp.radsimp(1 / e))), str(sp.expand(e)), str(sp.together(e)).replace("sqrt", "√")}
    out |= {"x = " + sp.latex(e), f"\\left({sp.latex(e)}\\right)", sp.latex(e).replace("\\frac", "\\dfrac") + "."}
    return sorted(out)


# ---- expressions


def spell_polynomial(e):
    out = {sp.latex(form) for form in (sp.expand(e), sp.factor(e), sp.horner(sp.expand(e)), sp.collect(sp.expand(e), x))}
    out |= {str(sp.expand(e)), str(sp.factor(e)).replace("**", "^"), "f(x) = " + sp.latex(sp.expand(e)), "P = " + sp.latex(sp.factor(e))}
    out |= {" + ".join(f"({sp.latex(t)})" for t in random.sample(sp.Add.make_args(sp.expand(e)), len(sp.Add.make_args(sp.expand(e)))))}
    return sorted(out)


def spell_quotient(e):
    forms = [sp.together(e), sp.cancel(e), sp.factor(e), sp.expand(e), sp.apart(sp.together(e), x)]
    return sorted({sp.latex(form) for form in forms} | {str(forms[1]).replace("**", "^")})


def spell_complex(e):
    a, b = sp.re(e), sp.im(e)
    out = {sp.latex(e), sp.latex(a + sp.I * b), f"{sp.latex(b)}i + {a}" if b.is_Integer else sp.latex(e), f"z = {sp.latex(e)}"}
    out |= {f"{a}{'+' if b > 0 else '-'}{abs(b) if b.is_Integer else sp.latex(abs(b))}\\mathrm{{i}}", f"({sp.latex(b)})i+({sp.latex(a)})"}
    return sorted(out)


# ---- collections


def spell_tuple(values):
    inside = [f"\\frac{{{2 * v.p}}}{{{2 * v.q}}}" if v.q > 1 else str(v.p) for v in values]
    names = "xyz"[: len(values)]
    plain = [sp.latex(v) for v in values]
    out = [f"({', '.join(plain)})", f"\\left({','.join(inside)}\\right)", f"({','.join(names)}) = ({','.join(plain)})", f"\\langle {', '.join(plain)} \\rangle"]
    out.append(", ".join(f"{n} = {v}" for n, v in zip(names, plain)))
    out.append(" \\text{ and } ".join(f"{n}={v}" for n, v in zip(names, plain)))
    out.append(", ".join(f"{n} = {v}" for n, v in reversed(list(zip(names, plain)))))
    out.append("\\begin{pmatrix} " + " \\\\ ".join(plain) + " \\end{pmatrix}")
    return out


def spell_list(values):
    plain = [sp.latex(v) for v in random.sample(values, len(values))]
    again = [sp.latex(v) for v in random.sample(values, len(values))]
    out = [", ".join(plain), "\\{" + ", ".join(again) + "\\}", " \\text{ and } ".join(plain), " or ".join(f"x = {v}" for v in again)]
    out += ["x = " + ", ".join(plain), ", ".join(f"${v}$" for v in again), "x \\in \\left\\{" + ",".join(plain) + "\\right\\}"]
    return out


def spell_interval(spec):
    low, high, left, right = spec
    a, b = sp.latex(low), sp.latex(high)
    less = ["<" if left == "(" else "\\le", "<" if right == ")" else "\\leq"]
    more = [">" if left == "(" else "\\geq", ">" if right == ")" else "\\ge"]
    out = [f"{left}{a}, {b}{right}", f"\\left{left}{a},{b}\\right{right}", f"x \\in {left}{a}, {b}{right}", f"{a} {less[0]} x {less[1]} {b}"]
    out += [f"x {more[0]} {a} \\text{{ and }} x {less[1]} {b}", f"\\{{ x \\mid {a} {less[0]} x {less[1]} {b} \\}}", f"{b} {more[1]} x {more[0]} {a}"]
    french = ("]" if left == "(" else "[") + f"{a}, {b}" + ("[" if right == ")" else "]")
    return out + ([french] if french[0] + french[-1] != "[]" else [])


def spell_matrix(m):
    rows = [" & ".join(sp.latex(m[i, j]) for j in range(m.cols)) for i in range(m.rows)]
    out = [f"\\begin{{{name}}} {chr(92) * 2} \\end{{{name}}}".replace(chr(92) * 2, " \\\\ ".join(rows), 1) for name in ("pmatrix", "bmatrix")]
    out.append("\\left(\\begin{array}{" + "c" * m.cols + "}" + "\\\\".join(rows) + "\\end{array}\\right)")
    out.append("A = \\begin{bmatrix}" + " \\\\ ".join(rows) + "\\end{bmatrix}")
    out.append("[" + ", ".join("[" + ", ".join(sp.latex(v) for v in m.row(i)) + "]" for i in range(m.rows)) + "]")
    return out


# ---- values and slips


def rational():
    return sp.Rational(random.randint(-40, 60), pick(2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 16, 20, 25))


def surd():
    root = sp.sqrt(pick(2, 3, 5, 6, 7, 10))
    return (random.randint(-6, 6) + pick(-4, -3, -2, -1, 1, 2, 3, 5) * root) / pick(1, 2, 3, 4)


def polynomial():
    return sp.prod([pick(1, 2, 3) * x + random.randint(-5, 5) + pick(0, 0, y) for _ in range(pick(2, 2, 3))])


def make(kind):
    if kind == "integer":
        n = sp.Integer(pick(random.randint(-99, 99), random.randint(1000, 10**7), -random.randint(1000, 99999)))
        return spell_integer(n), [spell_integer(v) for v in (n + 1, -n, 10 * n, n - 1) if v != n]
    if kind == "rational":
        q = rational()
        return spell_rational(q), [spell_rational(v) for v in (-q, q + 1, q + sp.Rational(1, q.q), 1 / q if q else q + 2, 10 * q) if v != q]
    if kind == "surd":
        e = surd()
        return spell_surd(e), [spell_surd(v) for v in (-e, e + 1, e + sp.sqrt(2), 2 * e, e.subs(sp.sqrt(2), sp.sqrt(3))) if sp.simplify(v - e) != 0]
    if kind == "polynomial":
        e = polynomial()
        others = (-e, e + 1, e.subs(x, -x), e + x, e.subs(x, x + 1))
        return spell_polynomial(e), [spell_polynomial(v) for v in others if sp.expand(v - e) != 0]
    if kind == "quotient":
        e = (random.randint(1, 5) * x + random.randint(-5, 5)) / ((x + random.randint(1, 4)) * (x - random.randint(1, 4)))
        return spell_quotient(e), [spell_quotient(v) for v in (-e, 1 / e, e + 1, e.subs(x, -x)) if e != 0 and sp.simplify(v - e) != 0]
    if kind == "complex":
        e = random.randint(-9, 9) + sp.I * pick(-7, -5, -3, -2, 2, 3, 4, 6, sp.Rational(1, 2), sp.sqrt(2))
        return spell_complex(e), [spell_complex(v) for v in (sp.conjugate(e), e + 1, -e, sp.expand(sp.I * e)) if v != e]
    if kind == "tuple":
        v = [sp.Integer(random.randint(-9, 9)), rational(), sp.Integer(random.randint(-9, 9))][: pick(2, 3)]
        slips = [v[::-1], [-v[0]] + v[1:], v[:-1] + [v[-1] + 1]]
        return spell_tuple(v), [spell_tuple(s) for s in slips if s != v]
    if kind == "list":
        v = random.sample([sp.Integer(n) for n in range(-9, 10)] + [sp.Rational(1, 2), sp.Rational(-3, 4), sp.sqrt(2), -sp.sqrt(3)], pick(2, 3))
        slips = [v[:-1] + [v[-1] + 1], v + [sp.Integer(11)], v[:-1] + [-v[-1] - 20]]
        return spell_list(v), [spell_list(s) for s in slips if set(s) != set(v)]
    if kind == "interval":
        low = rational()
        spec = (low, low + abs(rational()) + 1, pick("(", "["), pick(")", "]"))
        turned = (spec[0], spec[1], "[" if spec[2] == "(" else "(", spec[3])
        slips = [turned, (spec[0] - 1, *spec[1:]), (spec[0], spec[1] + 1, *spec[2:])]
        return spell_interval(spec), [spell_interval(s) for s in slips]
    m = sp.Matrix(2, pick(2, 3), lambda i, j: pick(sp.Integer(random.randint(-9, 9)), rational()))
    other = m.copy()
    other[0, 0] += 1
    return spell_matrix(m), [spell_matrix(v) for v in (other, -m, m[:, ::-1]) if v != m]


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 120
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent / "math_values.json"
    random.seed(count)
    kinds = ["integer", "rational", "surd", "polynomial", "quotient", "complex", "tuple", "list", "interval", "matrix"]
    rows = []
    for i in range(count):
        equal, others = make(kinds[i % len(kinds)])
        equal = list(dict.fromkeys(equal))
        different = list(dict.fromkeys(s for spellings in others for s in random.sample(spellings, min(3, len(spellings)))))
        rows.append({"kind": kinds[i % len(kinds)], "equal": equal, "different": [s for s in different if s not in equal]})
    out.write_text("[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n", encoding="utf-8")


main()

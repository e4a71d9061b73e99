"""Writes the table of reward/math/field.c: primes below 2^61 in which -1, 2, 3, 5, 7, 11 and 13 have square roots.

    python tests/golden/make_primes.py
"""

import sympy

p, found = 2**61, []
while len(found) < 48:
    p = sympy.prevprime(p)
    if p % 8 == 1 and all(sympy.legendre_symbol(q, p) == 1 for q in (3, 5, 7, 11, 13)):
        found.append(p)
for i in range(0, len(found), 4):
    print("    " + ", ".join(f"{q}u" for q in found[i : i + 4]) + ",")

/* reward/math/field.c - powers by squaring, inverses by Euclid, and primes from a table.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/math/field.h"

/* Made by tests/golden/make_primes.py. */
const uint64_t math_field_primes[MATH_FIELD_PRIMES] = {
    2305843009213692601u, 2305843009213688569u, 2305843009213682761u, 2305843009213682689u, 2305843009213677649u,
    2305843009213669249u, 2305843009213666729u, 2305843009213665289u, 2305843009213664281u, 2305843009213664209u,
    2305843009213660849u, 2305843009213645729u, 2305843009213644289u, 2305843009213642441u, 2305843009213640521u,
    2305843009213618681u, 2305843009213618081u, 2305843009213600081u, 2305843009213596241u, 2305843009213593529u,
    2305843009213592689u, 2305843009213580929u, 2305843009213580281u, 2305843009213572481u, 2305843009213570369u,
    2305843009213567849u, 2305843009213562809u, 2305843009213558369u, 2305843009213548841u, 2305843009213542241u,
    2305843009213534729u, 2305843009213528009u, 2305843009213527001u, 2305843009213526689u, 2305843009213525609u,
    2305843009213516081u, 2305843009213507201u, 2305843009213507009u, 2305843009213491049u, 2305843009213489201u,
    2305843009213487041u, 2305843009213480801u, 2305843009213468321u, 2305843009213468201u, 2305843009213463329u,
    2305843009213454929u, 2305843009213454881u, 2305843009213452361u,
};

uint64_t math_field_power(uint64_t base, uint64_t exponent, uint64_t p)
{
    uint64_t power = 1;
    for (; exponent; exponent >>= 1) {
        if (exponent & 1) {
            power = math_field_mul(power, base, p);
        }
        base = math_field_mul(base, base, p);
    }
    return power;
}

uint64_t math_field_inverse(uint64_t a, uint64_t p)
{
    int64_t x = 1, y = 0; /* a * x = r (mod p), a * y = s (mod p) */
    uint64_t r = a, s = p;
    while (r > 1) {
        uint64_t q = s / r, rest = s % r;
        int64_t next = y - (int64_t)q * x;
        s = r;
        r = rest;
        y = x;
        x = next;
    }
    return x < 0 ? (uint64_t)(x + (int64_t)p) : (uint64_t)x;
}

uint64_t math_field_of(int64_t value, uint64_t p)
{
    int64_t rest = value % (int64_t)p;
    return (uint64_t)(rest < 0 ? rest + (int64_t)p : rest);
}

bool math_field_root(uint64_t a, uint64_t p, uint64_t *root)
{
    if (a == 0) {
        *root = 0;
        return true;
    }
    if (math_field_power(a, (p - 1) / 2, p) != 1) {
        return false;
    }
    int twos = __builtin_ctzll(p - 1);
    uint64_t odd = (p - 1) >> twos, other = 2;
    while (math_field_power(other, (p - 1) / 2, p) == 1) {
        other++;
    }
    uint64_t c = math_field_power(other, odd, p), t = math_field_power(a, odd, p);
    uint64_t r = math_field_power(a, (odd + 1) / 2, p);
    while (t != 1) { /* r * r = a * t, and the order of t, a power of two, falls */
        int order = 0;
        for (uint64_t square = t; square != 1; order++) {
            square = math_field_mul(square, square, p);
        }
        uint64_t b = c;
        for (int i = 0; i < twos - order - 1; i++) {
            b = math_field_mul(b, b, p);
        }
        r = math_field_mul(r, b, p);
        c = math_field_mul(b, b, p);
        t = math_field_mul(t, c, p);
        twos = order;
    }
    *root = r < p - r ? r : p - r;
    return true;
}

uint64_t math_field_mix(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

uint64_t math_field_hash(uint64_t seed, uint64_t tag, uint64_t a, uint64_t b, uint64_t p)
{
    uint64_t x = math_field_mix(seed ^ math_field_mix(tag));
    x = math_field_mix(x ^ math_field_mix(a + 1));
    return math_field_mix(x ^ math_field_mix(b + 2)) % (p - 1) + 1;
}

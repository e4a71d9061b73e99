/* reward/math/field.h - arithmetic modulo a prime near 2^61.
 *
 * The primes are a fixed table, all above 2^61 - 2^18. Modulo each of them -1, 2, 3, 5, 7, 11 and 13 are squares; any
 * other number is one modulo every second prime.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_FIELD_H
#define REWARD_MATH_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#define MATH_FIELD_PRIMES 48

extern const uint64_t math_field_primes[MATH_FIELD_PRIMES];

__extension__ typedef unsigned __int128 math_wide;

/* p = 2^61 - c with c < 2^18, so 2^61 is c: the upper half is folded onto the lower one twice. a, b < 2^61. */
static inline uint64_t math_field_mul(uint64_t a, uint64_t b, uint64_t p)
{
    const uint64_t low = ((uint64_t)1 << 61) - 1, c = low + 1 - p;
    math_wide once = (math_wide)a * b;
    once = (math_wide)(uint64_t)(once >> 61) * c + ((uint64_t)once & low);
    uint64_t twice = (uint64_t)(once >> 61) * c + ((uint64_t)once & low);
    return twice >= p ? twice - p : twice;
}
static inline uint64_t math_field_add(uint64_t a, uint64_t b, uint64_t p)
{
    uint64_t sum = a + b;
    return sum >= p ? sum - p : sum;
}
static inline uint64_t math_field_sub(uint64_t a, uint64_t b, uint64_t p)
{
    return a >= b ? a - b : a + p - b;
}

uint64_t math_field_power(uint64_t base, uint64_t exponent, uint64_t p);
uint64_t math_field_inverse(uint64_t a, uint64_t p); /* a is not 0 */
uint64_t math_field_of(int64_t value, uint64_t p);
/* The smaller of the two square roots; false if there is none. Tonelli and Shanks. */
bool math_field_root(uint64_t a, uint64_t p, uint64_t *root);

/* A number in [1, p) that looks random and is always the same for the same arguments. */
uint64_t math_field_hash(uint64_t seed, uint64_t tag, uint64_t a, uint64_t b, uint64_t p);
uint64_t math_field_mix(uint64_t x); /* splitmix64's finisher */

#endif

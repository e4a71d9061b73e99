/* rl/data/order.c - six Feistel rounds, repeated until the image is below n.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/data/order.h"

#include "base/err.h"
#include "kernels/rng.h"

enum { ROUNDS = 6 };

static uint64_t order_feistel(uint64_t seed, uint64_t epoch, int half_bits, uint64_t x)
{
    const uint32_t mask = (uint32_t)((UINT64_C(1) << half_bits) - 1);
    /* Sampling and generators draw from the same seed: the constant keeps the order apart from them. */
    const uint64_t mixed = seed ^ UINT64_C(0x6f726465726f6600);
    const uint32_t key[2] = {(uint32_t)mixed, (uint32_t)(mixed >> 32)};
    uint32_t left = (uint32_t)(x >> half_bits), right = (uint32_t)x & mask;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t out[4], counter[4] = {right, round, (uint32_t)epoch, (uint32_t)(epoch >> 32)};
        rng_philox(out, counter, key);
        uint32_t next = left ^ (out[0] & mask);
        left = right;
        right = next;
    }
    return (uint64_t)left << half_bits | right;
}

uint64_t order_at(uint64_t seed, uint64_t epoch, uint64_t n, uint64_t i)
{
    BUG_ON(i >= n || n > UINT64_C(1) << 62);
    int half_bits = 1;
    while ((UINT64_C(1) << 2 * half_bits) < n) {
        half_bits++;
    }
    do {
        i = order_feistel(seed, epoch, half_bits, i);
    } while (i >= n);
    return i;
}

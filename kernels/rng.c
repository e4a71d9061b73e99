/* kernels/rng.c - ten rounds of Philox, and the distributions made of its words.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/rng.h"

#include <math.h>
#include <string.h>

#include "base/err.h"

void rng_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c[4], k0 = key[0], k1 = key[1];
    memcpy(c, counter, sizeof c);
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ k0, (uint32_t)b, (uint32_t)(a >> 32) ^ c[3] ^ k1, (uint32_t)a};
        memcpy(c, next, sizeof c);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    memcpy(out, c, sizeof c);
}

struct rng rng_stream(uint64_t seed, uint64_t stream)
{
    return (struct rng){seed, stream, 0};
}

uint32_t rng_u32(struct rng *rng)
{
    uint32_t out[4];
    uint64_t block = rng->n / 4;
    uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)rng->stream,
                           (uint32_t)(rng->stream >> 32)};
    uint32_t key[2] = {(uint32_t)rng->seed, (uint32_t)(rng->seed >> 32)};
    rng_philox(out, counter, key);
    return out[rng->n++ % 4];
}

uint32_t rng_below(struct rng *rng, uint32_t bound)
{
    BUG_ON(bound == 0);
    uint64_t product = (uint64_t)rng_u32(rng) * bound;
    uint32_t least = -bound % bound; /* 2^32 mod bound: products below it would favour some values */
    while ((uint32_t)product < least) {
        product = (uint64_t)rng_u32(rng) * bound;
    }
    return (uint32_t)(product >> 32);
}

double rng_double(struct rng *rng)
{
    uint64_t high = rng_u32(rng), low = rng_u32(rng);
    return (double)(high << 21 | low >> 11) * 0x1p-53;
}

float rng_normal(struct rng *rng)
{
    double u = 1 - rng_double(rng), v = rng_double(rng);
    return (float)(sqrt(-2 * log(u)) * cos(2 * acos(-1) * v));
}

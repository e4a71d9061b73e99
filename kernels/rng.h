/* kernels/rng.h - random numbers as a function of their key, the same on every device.
 *
 * Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", section 5.3): a counter and a key
 * in, four 32-bit words out. A sampled token uses key = seed and counter = (token / 4, position, sequence), so that its
 * noise depends on neither batch nor thread nor device.
 *
 * Gumbel noise of token v: word w = philox(...)[v % 4]; u = (w >> 8 + 0.5) * 2^-24 in (0, 1); g = -log(-log(u)), with
 * the polynomial logarithm of the device (bit-identical over the CPU's instruction sets).
 *
 * Stochastic rounding of element i in step s of the optimiser (kernels/ops.h, adamw): words
 * philox(counter = (i / 2, s))[2 (i % 2)] and the next one, each counter a 64-bit pair; the key is the run's
 * seed xor RNG_ROUNDING, so that rounding shares no numbers with draws. The streams of an adapter's first weights have the seed xor
 * RNG_ADAPTER.
 *
 * For everything else (shuffling, generators, initial weights) there is the stream below, which draws from Philox with
 * counter = (n, 0, stream).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_RNG_H
#define KERNELS_RNG_H

#include <stdint.h>

#define RNG_ROUNDING 0x526F756E64696E67u
#define RNG_ADAPTER  0x4164617074657221u

/* out = Philox4x32-10(counter, key) */
void rng_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

/* A sequence of numbers that belongs to (seed, stream); its whole state is the struct. */
struct rng {
    uint64_t seed, stream, n; /* n words drawn so far */
};

struct rng rng_stream(uint64_t seed, uint64_t stream);
uint32_t rng_u32(struct rng *rng);
uint32_t rng_below(struct rng *rng, uint32_t bound); /* uniform in [0, bound), unbiased (Lemire 2019); bound > 0 */
double rng_double(struct rng *rng);                  /* uniform in [0, 1), 53 bits */
float rng_normal(struct rng *rng);                   /* mean 0, deviation 1 (Box and Muller 1958) */

#endif

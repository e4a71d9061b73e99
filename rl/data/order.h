/* rl/data/order.h - a permutation of 0 .. n-1 that is computed and not stored.
 *
 * A balanced Feistel network of six rounds over the smallest even number of bits that holds n; its round function is
 * Philox keyed by (seed, epoch). An image outside 0 .. n-1 is put through again until it falls inside (Black and
 * Rogaway 2002, "Ciphers with arbitrary finite domains", section 4: cycle walking), four times at most on average.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_DATA_ORDER_H
#define RL_DATA_ORDER_H

#include <stdint.h>

/* Where i goes in the given epoch; 0 <= i < n <= 2^62. */
uint64_t order_at(uint64_t seed, uint64_t epoch, uint64_t n, uint64_t i);

#endif

/* kernels/cpu/philox.h - Philox4x32-10 (kernels/rng.h) on 32 counters at once.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_PHILOX_H
#define KERNELS_CPU_PHILOX_H

#include <stdint.h>

#define PHILOX_BLOCKS 32

/* c[k][i] is word k of counter i, and becomes word k of its numbers. The counters are independent columns, so the loops
 * become vector code. */
static inline void philox_blocks(uint32_t c[4][PHILOX_BLOCKS], uint64_t key)
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < PHILOX_BLOCKS; i++) {
            uint64_t a = (uint64_t)0xD2511F53u * c[0][i], b = (uint64_t)0xCD9E8D57u * c[2][i];
            uint32_t c1 = c[1][i], c3 = c[3][i];
            c[0][i] = (uint32_t)(b >> 32) ^ c1 ^ k0;
            c[1][i] = (uint32_t)b;
            c[2][i] = (uint32_t)(a >> 32) ^ c3 ^ k1;
            c[3][i] = (uint32_t)a;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

#endif

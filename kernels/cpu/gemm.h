/* kernels/cpu/gemm.h - the one inner product that everything here is made of.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_GEMM_H
#define KERNELS_CPU_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/cpu/vec.h"

/* Rows for which the tile is fastest: callers cut M into multiples of it. And the most that it takes in one pass. */
#if defined(__AVX512F__)
#define GEMM_ROWS 12
#define TALL_ROWS 24
#else
#define GEMM_ROWS 6
#define TALL_ROWS 6
#endif

/* A tile of products, for m < M, p < n_panels and lanes i < 16:
 *
 *   c[m * c_row + 16 p + i] = chain over k < K, ascending: fma(a[m * a_row + k * a_k], b[p * b_panel + k * b_k + i], .)
 *
 * The chain starts from 0, or from what c holds (from_c). Strides are in floats. One thread. */
struct gemm_tile {
    int M, n_panels, K;
    const float *a;
    ptrdiff_t a_row, a_k;
    const float *b;
    ptrdiff_t b_panel, b_k;
    float *c;
    ptrdiff_t c_row;
    bool from_c;
};

void ISA_NAME(gemm_tile)(const struct gemm_tile *tile);

/* to[16 j + i] = from[16 i + j] for i, j < 16 */
void ISA_NAME(gemm_transpose)(float *to, const float *from);

#endif

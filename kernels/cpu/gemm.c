/* kernels/cpu/gemm.c - the register-blocked tile of products, and the transpose that feeds it.
 *
 * A shape keeps R rows x P panels of accumulators in registers and walks k upwards, so each output is one chain of
 * fused multiply-adds whatever R, P and the blocks around are; a block of k continues from the stored accumulator.
 * Which shapes there are follows from the registers: 32 of 16 lanes, or (AVX2) 16 of 8. Few rows take more panels at
 * once, so that there are enough independent chains to hide the latency of a multiply-add, and so that each panel is
 * read only once.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/gemm.h"

#include "kernels/cpu/cpu.h"

#define AHEAD 32 /* steps of k by which a panel is fetched before its use: 24 x 64 bytes */

/* The rows are unrolled by order: of its own accord gcc leaves more than 17 as a loop, with the accumulators in memory,
 * at half the speed. */
static inline __attribute__((always_inline)) void gemm_shape(int R, int P, const struct gemm_tile *g, int m, int p)
{
    const float *a = g->a + m * g->a_row, *b = g->b + p * g->b_panel;
    float *c = g->c + m * g->c_row + p * CPU_PANEL;
    vec acc[TALL_ROWS][4];
#pragma GCC unroll 24
    for (int r = 0; r < R; r++) {
        for (int q = 0; q < P; q++) {
            float *at = c + r * g->c_row + q * CPU_PANEL;
            if (g->from_c) {
                acc[r][q] = vec_load(at);
            } else {
                acc[r][q] = vec_zero();
                __builtin_prefetch(at, 1);
            }
        }
    }
    for (int k = 0; k < g->K; k++) {
        vec right[4];
        for (int q = 0; q < P; q++) {
            right[q] = vec_load(b + q * g->b_panel);
            __builtin_prefetch(b + q * g->b_panel + AHEAD * g->b_k);
        }
#pragma GCC unroll 24
        for (int r = 0; r < R; r++) {
            vec left = vec_set(a[r * g->a_row]);
            for (int q = 0; q < P; q++) {
                acc[r][q] = vec_fma(left, right[q], acc[r][q]);
            }
        }
        a += g->a_k;
        b += g->b_k;
    }
#pragma GCC unroll 24
    for (int r = 0; r < R; r++) {
        for (int q = 0; q < P; q++) {
            vec_store(c + r * g->c_row + q * CPU_PANEL, acc[r][q]);
        }
    }
}

typedef void shape_fn(const struct gemm_tile *, int, int);

#define SHAPE(R, P)                                                                                                    \
    static void gemm_##R##_by_##P(const struct gemm_tile *g, int m, int p)                                             \
    {                                                                                                                  \
        gemm_shape(R, P, g, m, p);                                                                                     \
    }

SHAPE(1, 1)
SHAPE(2, 1)
SHAPE(3, 1)
SHAPE(4, 1)
SHAPE(5, 1)
SHAPE(6, 1)
SHAPE(1, 2)
SHAPE(2, 2)
SHAPE(3, 2)
SHAPE(1, 4)
#if defined(__AVX512F__)
SHAPE(7, 1)
SHAPE(8, 1)
SHAPE(9, 1)
SHAPE(10, 1)
SHAPE(11, 1)
SHAPE(12, 1)
SHAPE(13, 1)
SHAPE(14, 1)
SHAPE(15, 1)
SHAPE(16, 1)
SHAPE(17, 1)
SHAPE(18, 1)
SHAPE(19, 1)
SHAPE(20, 1)
SHAPE(21, 1)
SHAPE(22, 1)
SHAPE(23, 1)
SHAPE(24, 1)
SHAPE(4, 2)
SHAPE(5, 2)
SHAPE(6, 2)
SHAPE(7, 2)
SHAPE(8, 2)
SHAPE(9, 2)
SHAPE(10, 2)
SHAPE(11, 2)
SHAPE(12, 2)
SHAPE(2, 4)
SHAPE(3, 4)
#endif

/* [rows], NULL where the registers do not suffice */
static shape_fn *const by_1[TALL_ROWS + 1] = {
    NULL,         gemm_1_by_1,  gemm_2_by_1,  gemm_3_by_1,  gemm_4_by_1,  gemm_5_by_1,  gemm_6_by_1,
#if defined(__AVX512F__)
    gemm_7_by_1,  gemm_8_by_1,  gemm_9_by_1,  gemm_10_by_1, gemm_11_by_1, gemm_12_by_1, gemm_13_by_1,
    gemm_14_by_1, gemm_15_by_1, gemm_16_by_1, gemm_17_by_1, gemm_18_by_1, gemm_19_by_1, gemm_20_by_1,
    gemm_21_by_1, gemm_22_by_1, gemm_23_by_1, gemm_24_by_1,
#endif
};
static shape_fn *const by_2[TALL_ROWS + 1] = {
    NULL,        gemm_1_by_2,  gemm_2_by_2,  gemm_3_by_2,
#if defined(__AVX512F__)
    gemm_4_by_2, gemm_5_by_2,  gemm_6_by_2,  gemm_7_by_2,  gemm_8_by_2,
    gemm_9_by_2, gemm_10_by_2, gemm_11_by_2, gemm_12_by_2,
#endif
};
static shape_fn *const by_4[TALL_ROWS + 1] = {
    NULL,
    gemm_1_by_4,
#if defined(__AVX512F__)
    gemm_2_by_4,
    gemm_3_by_4,
#endif
};

/* The shape of R rows with the most panels that are wanted and exist; *P receives how many. */
static shape_fn *widest(int R, int panels, int *P)
{
    if (panels >= 4 && by_4[R]) {
        *P = 4;
        return by_4[R];
    }
    *P = panels >= 2 && by_2[R] ? 2 : 1;
    return *P == 2 ? by_2[R] : by_1[R];
}

void ISA_NAME(gemm_tile)(const struct gemm_tile *g)
{
    /* rows in equal parts: as few as fit into the registers together with one panel, or, when there are many, with
     * MAIN_PANELS */
    int parts = div_up(g->M, GEMM_ROWS);
    parts = g->M <= TALL_ROWS ? 1 : parts;
    for (int p = 0, step; p < g->n_panels; p += step) {
        int R = div_up(g->M, parts);
        (void)widest(R, g->n_panels - p, &step);
        for (int i = 0, m = 0; i < parts; i++, m += R) {
            R = (g->M - m) / (parts - i);
            for (int q = 0, P; q < step; q += P) {
                shape_fn *run = widest(R, step - q, &P);
                run(g, m, p + q);
            }
        }
    }
}

#if defined(__AVX2__)

/* one 8 x 8 corner: pairs, then quadruples, then halves change places */
static void transpose_8(float *to, const float *from)
{
    __m256 r[8], s[8];
    for (int i = 0; i < 8; i++) {
        r[i] = _mm256_loadu_ps(from + (ptrdiff_t)i * CPU_PANEL);
    }
    for (int i = 0; i < 8; i += 2) {
        s[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        s[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(s[i], s[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(s[i], s[i + 2], 0xEE);
        r[i + 2] = _mm256_shuffle_ps(s[i + 1], s[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(s[i + 1], s[i + 3], 0xEE);
    }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(to + (ptrdiff_t)i * CPU_PANEL, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(to + (ptrdiff_t)(i + 4) * CPU_PANEL, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}

void ISA_NAME(gemm_transpose)(float *to, const float *from)
{
    for (int i = 0; i < CPU_PANEL; i += 8) {
        for (int j = 0; j < CPU_PANEL; j += 8) {
            transpose_8(to + (ptrdiff_t)j * CPU_PANEL + i, from + (ptrdiff_t)i * CPU_PANEL + j);
        }
    }
}

#else

void ISA_NAME(gemm_transpose)(float *to, const float *from)
{
    for (int i = 0; i < CPU_PANEL; i++) {
        for (int j = 0; j < CPU_PANEL; j++) {
            to[j * CPU_PANEL + i] = from[i * CPU_PANEL + j];
        }
    }
}

#endif

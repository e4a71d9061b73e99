/* kernels/cpu/gemm.c - the register-blocked tile of products, and the transpose that feeds it.
 *
 * The tile keeps R rows x P panels of accumulators in registers and walks k upwards, so each output is one chain of fused
 * multiply-adds whatever R, P and the blocks around are; a block of k continues from the stored accumulator.
 * AVX2: 6 rows x 16 columns (12 accumulators hide the latency of two multiply-add units); few rows take more panels.
 * AVX-512: 12 rows x 32 columns.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/gemm.h"

#include "kernels/cpu/cpu.h"

static inline __attribute__((always_inline)) void gemm_micro(int R, int P, const struct gemm_tile *g, int m, int p)
{
    const float *a = g->a + m * g->a_row, *b = g->b + p * g->b_panel;
    float *c = g->c + m * g->c_row + p * CPU_PANEL;
    vec acc[12][4];
    for (int r = 0; r < R; r++) {
        for (int q = 0; q < P; q++) {
            acc[r][q] = g->from_c ? vec_load(c + r * g->c_row + q * CPU_PANEL) : vec_zero();
        }
    }
    for (int k = 0; k < g->K; k++) {
        vec right[4];
        for (int q = 0; q < P; q++) {
            right[q] = vec_load(b + q * g->b_panel);
        }
        for (int r = 0; r < R; r++) {
            vec left = vec_set(a[r * g->a_row]);
            for (int q = 0; q < P; q++) {
                acc[r][q] = vec_fma(left, right[q], acc[r][q]);
            }
        }
        a += g->a_k;
        b += g->b_k;
    }
    for (int r = 0; r < R; r++) {
        for (int q = 0; q < P; q++) {
            vec_store(c + r * g->c_row + q * CPU_PANEL, acc[r][q]);
        }
    }
}

#define MAIN_ROWS GEMM_ROWS
#if defined(__AVX512F__)
#define MAIN_PANELS 2
#else
#define MAIN_PANELS 1
#endif

#define ROWS_BY_PANELS(R, P)                                                                                           \
    static void gemm_##R##_by_##P(const struct gemm_tile *g, int m, int p)                                             \
    {                                                                                                                  \
        gemm_micro(R, P, g, m, p);                                                                                     \
    }

ROWS_BY_PANELS(1, 4)
ROWS_BY_PANELS(1, 1)
ROWS_BY_PANELS(2, 2)
ROWS_BY_PANELS(2, 1)
ROWS_BY_PANELS(3, 2)
ROWS_BY_PANELS(3, 1)
ROWS_BY_PANELS(4, 1)
ROWS_BY_PANELS(5, 1)
ROWS_BY_PANELS(6, 1)
#if defined(__AVX512F__)
ROWS_BY_PANELS(12, 2)
ROWS_BY_PANELS(12, 1)
#endif

struct micro {
    void (*run)(const struct gemm_tile *, int, int);
    int panels;
};

/* For a tail of R rows: the shape with the most panels, then the one for what is left. */
static const struct micro wide_tail[] = {{NULL, 0},        {gemm_1_by_4, 4}, {gemm_2_by_2, 2}, {gemm_3_by_2, 2},
                                         {gemm_4_by_1, 1}, {gemm_5_by_1, 1}, {gemm_6_by_1, 1}};
static const struct micro single_tail[] = {{NULL, 0},        {gemm_1_by_1, 1}, {gemm_2_by_1, 1}, {gemm_3_by_1, 1},
                                           {gemm_4_by_1, 1}, {gemm_5_by_1, 1}, {gemm_6_by_1, 1}};
#if defined(__AVX512F__)
static const struct micro wide_main = {gemm_12_by_2, 2}, single_main = {gemm_12_by_1, 1};
#else
static const struct micro wide_main = {gemm_6_by_1, 1}, single_main = {gemm_6_by_1, 1};
#endif

void ISA_NAME(gemm_tile)(const struct gemm_tile *g)
{
    for (int p = 0; p < g->n_panels;) {
        bool room = p + MAIN_PANELS <= g->n_panels;
        const struct micro *main_shape = room ? &wide_main : &single_main;
        int m = 0;
        for (; m + MAIN_ROWS <= g->M; m += MAIN_ROWS) {
            main_shape->run(g, m, p);
        }
        int step = m > 0 ? main_shape->panels : 4; /* with few rows only the tail runs: take four panels at a time */
        step = step < g->n_panels - p ? step : g->n_panels - p;
        while (m < g->M) {
            int rows = g->M - m < 6 ? g->M - m : 6;
            for (int q = 0; q < step;) {
                const struct micro *shape = q + wide_tail[rows].panels <= step ? &wide_tail[rows] : &single_tail[rows];
                shape->run(g, m, p + q);
                q += shape->panels;
            }
            m += rows;
        }
        p += step;
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

/* kernels/cpu/gemm.c - matrix products, forward and backward, out of one register-blocked tile.
 *
 * The tile keeps R rows x P panels of accumulators in registers and walks k upwards, so each output is one chain of fused
 * multiply-adds whatever R, P and the blocks around are; a block of k continues from the stored accumulator.
 * AVX2: 6 rows x 16 columns (12 accumulators hide the latency of two multiply-add units); few rows take more panels.
 * AVX-512: 12 rows x 32 columns.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/gemm.h"

#include "kernels/cpu/cpu.h"

#define K_BLOCK   1024 /* a panel block of 64 KB and the rows beside it stay in the second-level cache */
#define ROW_BLOCK 96
#define T_BLOCK   256 /* rows that a weight gradient takes at once */

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

#if defined(__AVX512F__)
#define MAIN_ROWS   12
#define MAIN_PANELS 2
#else
#define MAIN_ROWS   6
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

size_t ISA_NAME(matrix_elements)(int N, int K)
{
    return (size_t)((N + CPU_PANEL - 1) / CPU_PANEL) * CPU_PANEL * (size_t)K;
}

static size_t matrix_index(int n, int k, int K)
{
    return (size_t)(n / CPU_PANEL) * CPU_PANEL * (size_t)K + (size_t)k * CPU_PANEL + (size_t)(n % CPU_PANEL);
}

void ISA_NAME(matrix_import)(void *matrix, const float *rows, int row, int n_rows, int N, int K)
{
    (void)N;
    float *w = matrix;
    for (int i = 0; i < n_rows; i++) {
        float *to = w + matrix_index(row + i, 0, K);
        for (int k = 0; k < K; k++) {
            to[(size_t)k * CPU_PANEL] = rows[(size_t)i * (size_t)K + (size_t)k];
        }
    }
}

void ISA_NAME(matrix_export)(float *rows, const void *matrix, int row, int n_rows, int N, int K)
{
    (void)N;
    const float *w = matrix;
    for (int i = 0; i < n_rows; i++) {
        const float *from = w + matrix_index(row + i, 0, K);
        for (int k = 0; k < K; k++) {
            rows[(size_t)i * (size_t)K + (size_t)k] = from[(size_t)k * CPU_PANEL];
        }
    }
}

/* Rows t.. of panels p..: products over blocks of k. Through scratch where the output may not be written before it is whole
 * (a residual that is y itself), or where the last panel is wider than y. */
static void matmul_block(const struct matmul_args *a, int t, int n_rows, int p, int n_panels)
{
    int n = p * CPU_PANEL, width = a->N - n < n_panels * CPU_PANEL ? a->N - n : n_panels * CPU_PANEL;
    float *y = (float *)a->y + (ptrdiff_t)t * a->y_stride + n;
    bool direct = !a->residual && width == n_panels * CPU_PANEL;
    float *c = direct ? y : cpu_scratch(SCRATCH_TILE, (size_t)n_rows * (size_t)n_panels * CPU_PANEL);
    ptrdiff_t c_row = direct ? a->y_stride : n_panels * CPU_PANEL;
    for (int k = 0; k < a->K; k += K_BLOCK) {
        ISA_NAME(gemm_tile)
        (&(struct gemm_tile){
            .M = n_rows,
            .n_panels = n_panels,
            .K = a->K - k < K_BLOCK ? a->K - k : K_BLOCK,
            .a = (const float *)a->x + (ptrdiff_t)t * a->x_stride + k,
            .a_row = a->x_stride,
            .a_k = 1,
            .b = (const float *)a->w + (size_t)p * CPU_PANEL * (size_t)a->K + (size_t)k * CPU_PANEL,
            .b_panel = (ptrdiff_t)CPU_PANEL * a->K,
            .b_k = CPU_PANEL,
            .c = c,
            .c_row = c_row,
            .from_c = k > 0,
        });
    }
    const float *bias = a->bias, *residual = a->residual;
    for (int i = 0; i < n_rows && (!direct || bias); i++) {
        float *row = y + (ptrdiff_t)i * a->y_stride;
        const float *from = c + (ptrdiff_t)i * c_row;
        const float *add = residual ? residual + (ptrdiff_t)(t + i) * a->y_stride + n : NULL;
        for (int j = 0; j < width; j++) {
            float value = bias ? from[j] + bias[n + j] : from[j];
            row[j] = add ? add[j] + value : value;
        }
    }
}

void ISA_NAME(matmul)(const struct matmul_args *a)
{
    int panels = (a->N + CPU_PANEL - 1) / CPU_PANEL;
    int threads = cpu_threads_for((double)a->T * a->N * a->K);
    int rows = (a->T + 2 * threads - 1) / (2 * threads);
    rows = (rows + MAIN_ROWS - 1) / MAIN_ROWS * MAIN_ROWS;
    rows = rows > ROW_BLOCK ? ROW_BLOCK : rows;
    int row_blocks = (a->T + rows - 1) / rows;
    int chunks = row_blocks >= 4 * threads ? 1 : (8 * threads + row_blocks - 1) / row_blocks; /* of the panels */
    int width = (panels + chunks - 1) / chunks;
    width = (width + 3) / 4 * 4;
    chunks = (panels + width - 1) / width;
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int i = 0; i < row_blocks * chunks; i++) {
        int t = i / chunks * rows, p = i % chunks * width;
        matmul_block(a, t, a->T - t < rows ? a->T - t : rows, p, panels - p < width ? panels - p : width);
    }
}

/* Columns 16 kp .. of W as [N][16], so that dX is a forward product with it. */
static void pack_columns(const struct matmul_input_grad_args *a, int kp, float *packed)
{
    const float *w = a->w;
    int width = a->K - kp * CPU_PANEL < CPU_PANEL ? a->K - kp * CPU_PANEL : CPU_PANEL;
    for (int p = 0; p * CPU_PANEL < a->N; p++) {
        const float *block = w + (size_t)p * CPU_PANEL * (size_t)a->K + (size_t)kp * CPU_PANEL * CPU_PANEL; /* [k][n] */
        int n_rows = a->N - p * CPU_PANEL < CPU_PANEL ? a->N - p * CPU_PANEL : CPU_PANEL;
        for (int n = 0; n < n_rows; n++) {
            float *row = packed + ((size_t)p * CPU_PANEL + (size_t)n) * CPU_PANEL;
            for (int k = 0; k < CPU_PANEL; k++) {
                row[k] = k < width ? block[k * CPU_PANEL + n] : 0.0f;
            }
        }
    }
}

static void input_grad_panel(const struct matmul_input_grad_args *a, int kp, const float *packed)
{
    int k0 = kp * CPU_PANEL, width = a->K - k0 < CPU_PANEL ? a->K - k0 : CPU_PANEL;
    float tile[ROW_BLOCK * CPU_PANEL];
    for (int t = 0; t < a->T; t += ROW_BLOCK) {
        int n_rows = a->T - t < ROW_BLOCK ? a->T - t : ROW_BLOCK;
        float *dx = (float *)a->dx + (ptrdiff_t)t * a->dx_stride + k0;
        bool direct = width == CPU_PANEL;
        for (int i = 0; i < n_rows && !direct; i++) {
            vec_store(tile + i * CPU_PANEL, vec_load_n(dx + (ptrdiff_t)i * a->dx_stride, width, 0.0f));
        }
        for (int n = 0; n < a->N; n += K_BLOCK) {
            ISA_NAME(gemm_tile)
            (&(struct gemm_tile){
                .M = n_rows,
                .n_panels = 1,
                .K = a->N - n < K_BLOCK ? a->N - n : K_BLOCK,
                .a = (const float *)a->dy + (ptrdiff_t)t * a->dy_stride + n,
                .a_row = a->dy_stride,
                .a_k = 1,
                .b = packed + (size_t)n * CPU_PANEL,
                .b_k = CPU_PANEL,
                .c = direct ? dx : tile,
                .c_row = direct ? a->dx_stride : CPU_PANEL,
                .from_c = n > 0 || a->accumulate,
            });
        }
        for (int i = 0; i < n_rows && !direct; i++) {
            vec_store_n(dx + (ptrdiff_t)i * a->dx_stride, vec_load(tile + i * CPU_PANEL), width);
        }
    }
}

void ISA_NAME(matmul_input_grad)(const struct matmul_input_grad_args *a)
{
    int threads = cpu_threads_for((double)a->T * a->N * a->K);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int kp = 0; kp < (a->K + CPU_PANEL - 1) / CPU_PANEL; kp++) {
        float *packed = cpu_scratch(SCRATCH_PACK, (size_t)(a->N + CPU_PANEL) * CPU_PANEL);
        pack_columns(a, kp, packed);
        input_grad_panel(a, kp, packed);
    }
}

/* dW of one panel of outputs: rows of the tile are k, the chain runs over t. */
static void weight_grad_panel(const struct matmul_weight_grad_args *a, int p)
{
    int n = p * CPU_PANEL, width = a->N - n < CPU_PANEL ? a->N - n : CPU_PANEL;
    float packed[T_BLOCK * CPU_PANEL];
    vec bias = vec_zero();
    for (int t = 0; t < a->T; t += T_BLOCK) {
        int n_rows = a->T - t < T_BLOCK ? a->T - t : T_BLOCK;
        for (int i = 0; i < n_rows; i++) {
            const float *dy = (const float *)a->dy + (ptrdiff_t)(t + i) * a->dy_stride + n;
            vec row = width == CPU_PANEL ? vec_load(dy) : vec_load_n(dy, width, 0.0f);
            vec_store(packed + i * CPU_PANEL, row);
            bias = vec_add(bias, row);
        }
        ISA_NAME(gemm_tile)
        (&(struct gemm_tile){
            .M = a->K,
            .n_panels = 1,
            .K = n_rows,
            .a = (const float *)a->x + (ptrdiff_t)t * a->x_stride,
            .a_row = 1,
            .a_k = a->x_stride,
            .b = packed,
            .b_k = CPU_PANEL,
            .c = a->dw + (size_t)n * (size_t)a->K,
            .c_row = CPU_PANEL,
            .from_c = true,
        });
    }
    if (a->dbias) {
        vec_store_n(a->dbias + n, vec_add(vec_load_n(a->dbias + n, width, 0.0f), bias), width);
    }
}

void ISA_NAME(matmul_weight_grad)(const struct matmul_weight_grad_args *a)
{
    int threads = cpu_threads_for((double)a->T * a->N * a->K);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int p = 0; p < (a->N + CPU_PANEL - 1) / CPU_PANEL; p++) {
        weight_grad_panel(a, p);
    }
}

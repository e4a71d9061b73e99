/* kernels/cpu/matmul.c - products of activations and weight matrices, forward and backward, cut into tiles of gemm.h.
 *
 *   forward      y = x W^T    panels of W as they are
 *   input grad   dx = dy W    panels of W transposed, 16 columns at a time, into panels over n
 *   weight grad  dW = dy^T x  the tile's rows are inputs k, its lanes outputs n, its chain runs over t: the layout of W
 *
 * Each tile of an output has one owner, which walks the whole chain in blocks: threads change no bit.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/matmul.h"

#include "kernels/cpu/gemm.h"

#define ROW_BLOCK     96   /* rows of x or dy that stay in the second-level cache while panels pass by */
#define K_BLOCK       1024 /* a panel block of 64 KB and its rows stay in the second-level cache */
#define N_BLOCK       512  /* outputs that an input gradient sums at once: 8 transposed panels of 32 KB */
#define T_BLOCK       512
#define GRAD_PANELS   8
#define WEIGHT_PANELS 16
#define STRIP_GROUP   48

size_t ISA_NAME(matrix_elements)(int N, int K)
{
    return (size_t)div_up(N, CPU_PANEL) * CPU_PANEL * (size_t)K;
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

void ISA_NAME(bf16_import)(uint16_t *matrix, const uint16_t *rows, int row, int n_rows, int N, int K)
{
    (void)N;
    for (int i = 0; i < n_rows; i++) {
        uint16_t *to = matrix + matrix_index(row + i, 0, K);
        for (int k = 0; k < K; k++) {
            to[(size_t)k * CPU_PANEL] = rows[(size_t)i * (size_t)K + (size_t)k];
        }
    }
}

void ISA_NAME(bf16_export)(uint16_t *rows, const uint16_t *matrix, int row, int n_rows, int N, int K)
{
    (void)N;
    for (int i = 0; i < n_rows; i++) {
        const uint16_t *from = matrix + matrix_index(row + i, 0, K);
        for (int k = 0; k < K; k++) {
            rows[(size_t)i * (size_t)K + (size_t)k] = from[(size_t)k * CPU_PANEL];
        }
    }
}

/* Outputs n .. n + width - 1 of row t from their sums: plus bias, plus residual. */
static void matmul_finish_row(const struct matmul_args *a, int t, int n, int width, const float *from)
{
    ptrdiff_t at = (ptrdiff_t)t * a->y_stride + n;
    const float *bias = a->bias ? (const float *)a->bias + n : NULL;
    const float *residual = a->residual ? (const float *)a->residual + at : NULL;
    float *row = (float *)a->y + at;
    for (int j = 0; j < width; j += VEC_LANES) {
        int lanes = min_int(width - j, VEC_LANES);
        vec value = vec_load_n(from + j, lanes, 0.0f);
        value = bias ? vec_add(value, vec_load_n(bias + j, lanes, 0.0f)) : value;
        value = residual ? vec_add(vec_load_n(residual + j, lanes, 0.0f), value) : value;
        vec_store_n(row + j, value, lanes);
    }
}

/* Rows t.. of panels p..: products over blocks of k. Through scratch where the output may not be written before it is
 * whole (a residual that is y itself), or where the last panel is wider than y. */
void ISA_NAME(matmul_block)(const struct matmul_args *a, int t, int n_rows, int p, int n_panels)
{
    int n = p * CPU_PANEL, width = a->N - n < n_panels * CPU_PANEL ? a->N - n : n_panels * CPU_PANEL;
    float *y = (float *)a->y + (ptrdiff_t)t * a->y_stride + n;
    bool direct = !a->residual && width == n_panels * CPU_PANEL;
    float *c = direct ? y : cpu_scratch(SCRATCH_TILE, (size_t)n_rows * (size_t)n_panels * CPU_PANEL);
    ptrdiff_t c_row = direct ? a->y_stride : n_panels * CPU_PANEL;
    int block = n_rows <= TALL_ROWS ? a->K : K_BLOCK; /* few rows stay in the cache whole */
    for (int k = 0; k < a->K; k += block) {
        ISA_NAME(gemm_tile)
        (&(struct gemm_tile){
            .M = n_rows,
            .n_panels = n_panels,
            .K = min_int(a->K - k, block),
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
    if (!direct || a->bias) {
        for (int i = 0; i < n_rows; i++) {
            matmul_finish_row(a, t + i, n, width, c + i * c_row);
        }
    }
}

struct cut ISA_NAME(matmul_cut)(int T, int N, int threads, int groups)
{
    int panels = div_up(N, CPU_PANEL), wanted = div_up(threads, groups);
    int rows = div_up(div_up(T, 2 * wanted), GEMM_ROWS) * GEMM_ROWS;
    rows = T <= TALL_ROWS ? T : min_int(rows, ROW_BLOCK); /* few rows: each panel is read once */
    int row_blocks = div_up(T, rows);
    int chunks = row_blocks >= 4 * wanted ? 1 : div_up(8 * wanted, row_blocks); /* of the panels */
    int width = div_up(panels, chunks);
    width = (width + 3) / 4 * 4;
    return (struct cut){rows, row_blocks, width, div_up(panels, width)};
}

void ISA_NAME(matmul)(const struct matmul_args *a)
{
    int panels = div_up(a->N, CPU_PANEL);
    int threads = cpu_threads_for((double)a->T * a->N * a->K);
    struct cut cut = ISA_NAME(matmul_cut)(a->T, a->N, threads, 1);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int i = 0; i < cut.row_blocks * cut.chunks; i++) {
        int t = i / cut.chunks * cut.rows, p = i % cut.chunks * cut.width;
        ISA_NAME(matmul_block)(a, t, min_int(a->T - t, cut.rows), p, min_int(panels - p, cut.width));
    }
}

/* Outputs n .. n + n_rows - 1 and columns 16 kp .. of W as [n_rows][16], so that dx is a forward product with it. */
static void transpose_panel(const struct matmul_input_grad_args *a, int n, int n_rows, int kp, float *transposed)
{
    const float *w = (const float *)a->w + (size_t)kp * CPU_PANEL * CPU_PANEL;
    int width = min_int(a->K - kp * CPU_PANEL, CPU_PANEL);
    for (int i = 0; i < n_rows; i += CPU_PANEL) {
        const float *from = w + (size_t)(n + i) * (size_t)a->K; /* [k][n] */
        float last[CPU_PANEL * CPU_PANEL] = {0};
        if (width < CPU_PANEL) {
            memcpy(last, from, (size_t)width * CPU_PANEL * sizeof *last);
            from = last;
        }
        ISA_NAME(gemm_transpose)(transposed + (ptrdiff_t)i * CPU_PANEL, from);
    }
}

/* dx of rows t .. (before `end`) and column panels kp ..: continues the sum, over a block of outputs from n on. */
static void input_grad_block(const struct matmul_input_grad_args *a, const float *transposed, int t, int end, int kp,
                             int n_panels, int n)
{
    int k = kp * CPU_PANEL, width = min_int(a->K - k, n_panels * CPU_PANEL), n_rows = min_int(end - t, ROW_BLOCK);
    float *dx = (float *)a->dx + (ptrdiff_t)t * a->dx_stride + k;
    float *tile = dx;
    ptrdiff_t row = a->dx_stride;
    if (width < n_panels * CPU_PANEL) {
        tile = cpu_scratch(SCRATCH_TILE, (size_t)ROW_BLOCK * GRAD_PANELS * CPU_PANEL);
        row = n_panels * CPU_PANEL;
        for (int i = 0; i < n_rows; i++) {
            memcpy(tile + i * row, dx + (ptrdiff_t)i * a->dx_stride, (size_t)width * sizeof *dx);
            memset(tile + i * row + width, 0, (size_t)(row - width) * sizeof *dx);
        }
    }
    ISA_NAME(gemm_tile)
    (&(struct gemm_tile){
        .M = n_rows,
        .n_panels = n_panels,
        .K = min_int(a->N - n, N_BLOCK),
        .a = (const float *)a->dy + (ptrdiff_t)t * a->dy_stride + n,
        .a_row = a->dy_stride,
        .a_k = 1,
        .b = transposed,
        .b_panel = (ptrdiff_t)N_BLOCK * CPU_PANEL,
        .b_k = CPU_PANEL,
        .c = tile,
        .c_row = row,
        .from_c = n > 0 || a->accumulate,
    });
    for (int i = 0; tile != dx && i < n_rows; i++) {
        memcpy(dx + (ptrdiff_t)i * a->dx_stride, tile + i * row, (size_t)width * sizeof *dx);
    }
}

void ISA_NAME(input_grad_chunk)(const struct matmul_input_grad_args *a, int kp, int n_panels, int begin, int end)
{
    float *transposed = cpu_scratch(SCRATCH_PACK, (size_t)GRAD_PANELS * N_BLOCK * CPU_PANEL);
    for (int n = 0; n < a->N && begin < end; n += N_BLOCK) {
        for (int q = 0; q < n_panels; q++) {
            transpose_panel(a, n, min_int(a->N - n, N_BLOCK), kp + q, transposed + (ptrdiff_t)q * N_BLOCK * CPU_PANEL);
        }
        for (int t = begin; t < end; t += ROW_BLOCK) {
            input_grad_block(a, transposed, t, end, kp, n_panels, n);
        }
    }
}

struct cut ISA_NAME(input_grad_cut)(int T, int K, int threads, int groups)
{
    int panels = div_up(K, CPU_PANEL), chunks = div_up(panels, GRAD_PANELS), width = div_up(panels, chunks);
    int wanted = threads > 1 ? div_up(4 * threads, chunks * groups) : 1;
    int blocks = max_int(1, min_int(wanted, div_up(T, ROW_BLOCK)));
    int rows = div_up(div_up(T, blocks), GEMM_ROWS) * GEMM_ROWS;
    return (struct cut){rows, blocks, width, chunks};
}

void ISA_NAME(matmul_input_grad)(const struct matmul_input_grad_args *a)
{
    int threads = cpu_threads_for((double)a->T * a->N * a->K), panels = div_up(a->K, CPU_PANEL);
    struct cut cut = ISA_NAME(input_grad_cut)(a->T, a->K, threads, 1);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int i = 0; i < cut.chunks * cut.row_blocks; i++) {
        int kp = i / cut.row_blocks * cut.width, begin = i % cut.row_blocks * cut.rows;
        ISA_NAME(input_grad_chunk)(a, kp, min_int(panels - kp, cut.width), begin, min_int(a->T, begin + cut.rows));
    }
}

/* Columns k .. of rows t .. of x, in strips of GEMM_ROWS columns: strip s at s * n_rows * GEMM_ROWS, [t][GEMM_ROWS]. */
static void cut_strips(const struct matmul_weight_grad_args *a, int t, int n_rows, int k, int width, float *strips)
{
    for (int i = 0; i < n_rows; i++) {
        const float *x = (const float *)a->x + (ptrdiff_t)(t + i) * a->x_stride + k;
        float *to = strips + (ptrdiff_t)i * GEMM_ROWS;
        int j = 0;
        for (; j + GEMM_ROWS <= width; j += GEMM_ROWS, to += (ptrdiff_t)n_rows * GEMM_ROWS) {
            memcpy(to, x + j, GEMM_ROWS * sizeof *x);
        }
        memcpy(to, x + j, (size_t)(width - j) * sizeof *x);
    }
}

/* Panels p .. of rows t .. of dy as [panel][t][16]; the sum of the rows goes to dbias if there is one. */
static void gather_panels(const struct matmul_weight_grad_args *a, int t, int n_rows, int p, int n_panels, float *dbias,
                          float *dy)
{
    for (int q = 0; q < n_panels; q++) {
        int n = (p + q) * CPU_PANEL, width = min_int(a->N - n, CPU_PANEL);
        vec bias = dbias ? vec_load_n(dbias + n, width, 0.0f) : vec_zero();
        for (int i = 0; i < n_rows; i++, dy += CPU_PANEL) {
            const float *from = (const float *)a->dy + (ptrdiff_t)(t + i) * a->dy_stride + n;
            vec row = width == CPU_PANEL ? vec_load(from) : vec_load_n(from, width, 0.0f);
            vec_store(dy, row);
            bias = vec_add(bias, row);
        }
        if (dbias) {
            vec_store_n(dbias + n, bias, width);
        }
    }
}

/* dW of panels p .. and inputs k .. k + width - 1, plus the sum over n_rows rows. */
static void weight_grad_block(const struct matmul_weight_grad_args *a, const float *strips, const float *dy, int n_rows,
                              int p, int n_panels, int k, int width)
{
    for (int j = 0; j < width; j += GEMM_ROWS) {
        for (int q = 0; q < n_panels; q++) {
            float *dw = a->dw + (size_t)(p + q) * CPU_PANEL * (size_t)a->K + (size_t)(k + j) * CPU_PANEL;
            const float *next = q + 1 < n_panels ? dw + (size_t)CPU_PANEL * (size_t)a->K : dw; /* it comes next */
            for (int r = 0; r < GEMM_ROWS; r++) {
                __builtin_prefetch(next + r * CPU_PANEL, 1);
            }
            ISA_NAME(gemm_tile)
            (&(struct gemm_tile){
                .M = min_int(width - j, GEMM_ROWS),
                .n_panels = 1,
                .K = n_rows,
                .a = strips + (ptrdiff_t)j * n_rows,
                .a_row = 1,
                .a_k = GEMM_ROWS,
                .b = dy + (ptrdiff_t)q * n_rows * CPU_PANEL,
                .b_k = CPU_PANEL,
                .c = dw,
                .c_row = CPU_PANEL,
                .from_c = true,
            });
        }
    }
}

void ISA_NAME(weight_grad_chunk)(const struct matmul_weight_grad_args *a, int p, int n_panels, int k, int k_end)
{
    float *strips = cpu_scratch(SCRATCH_PACK, (size_t)T_BLOCK * (STRIP_GROUP + GEMM_ROWS));
    float *dy = cpu_scratch(SCRATCH_TILE, (size_t)T_BLOCK * WEIGHT_PANELS * CPU_PANEL);
    for (int t = 0; t < a->T; t += T_BLOCK) {
        int n_rows = min_int(a->T - t, T_BLOCK);
        gather_panels(a, t, n_rows, p, n_panels, k == 0 ? a->dbias : NULL, dy);
        for (int j = k; a->dw && j < k_end; j += STRIP_GROUP) {
            int width = min_int(k_end - j, STRIP_GROUP);
            cut_strips(a, t, n_rows, j, width, strips);
            weight_grad_block(a, strips, dy, n_rows, p, n_panels, j, width);
        }
    }
}

/* Chunks of panels copy x anew, chunks of inputs dy: threads share what is wider. */
void ISA_NAME(matmul_weight_grad)(const struct matmul_weight_grad_args *a)
{
    int threads = cpu_threads_for((double)a->T * a->N * a->K), panels = div_up(a->N, CPU_PANEL);
    int chunks = div_up(panels, WEIGHT_PANELS), k_chunks = 1, wanted = threads > 1 ? 2 * threads : 1;
    if (chunks < wanted && a->K > a->N) {
        k_chunks = min_int(div_up(wanted, chunks), div_up(a->K, STRIP_GROUP));
    } else if (chunks < wanted) {
        chunks = min_int(wanted, panels);
    }
    int n_panels = div_up(panels, chunks), width = div_up(div_up(a->K, k_chunks), GEMM_ROWS) * GEMM_ROWS;
    chunks = div_up(panels, n_panels);
    int k_needed = a->dw ? a->K : a->dbias ? 1 : 0; /* the first inputs' owner adds up dbias */
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int i = 0; i < chunks * k_chunks; i++) {
        int p = i / k_chunks * n_panels, k = i % k_chunks * width;
        if (k < k_needed) {
            ISA_NAME(weight_grad_chunk)(a, p, min_int(panels - p, n_panels), k, min_int(a->K, k + width));
        }
    }
}

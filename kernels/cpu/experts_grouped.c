/* kernels/cpu/experts_grouped.c - products with a matrix per expert: the pieces of matmul.h, of all experts in one list.
 *
 * An expert with few rows reads its panels once, and threads share experts and panels alike. A row's chain is that of a dense
 * product, whatever its neighbours are.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/matmul.h"

#define WEIGHT_GRAD_PANELS 16

/* first[e]: the pieces of experts before e; first[E]: of all. */
struct pieces {
    int32_t *first;
    int n;
};

static int rows_of(const int32_t *offsets, int e)
{
    return offsets[e + 1] - offsets[e];
}

static int experts_in_use(const int32_t *offsets, int E)
{
    int n = 0;
    for (int e = 0; e < E; e++) {
        n += rows_of(offsets, e) > 0;
    }
    return n > 0 ? n : 1;
}

/* The expert that piece i belongs to. */
static int expert_of(const struct pieces *pieces, int E, int i)
{
    int low = 0, high = E;
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        *(pieces->first[middle] <= i ? &low : &high) = middle;
    }
    return low;
}

/* ---- forward ---- */

static void matmul_piece(const struct grouped_matmul_args *a, int e, int piece, struct cut cut)
{
    int panels = div_up(a->N, CPU_PANEL), n_rows = rows_of(a->offsets, e);
    BUG_ON(cut.chunks < 1);
    int t = piece / cut.chunks * cut.rows, p = piece % cut.chunks * cut.width;
    ISA_NAME(matmul_block)
    (&(struct matmul_args){.T = n_rows,
                           .N = a->N,
                           .K = a->K,
                           .x = (const float *)a->x + (ptrdiff_t)a->offsets[e] * a->K,
                           .x_stride = a->K,
                           .w = (const float *)a->w + (size_t)e * ISA_NAME(matrix_elements)(a->N, a->K),
                           .y = (float *)a->y + (ptrdiff_t)a->offsets[e] * a->N,
                           .y_stride = a->N},
     t, min_int(n_rows - t, cut.rows), p, min_int(panels - p, cut.width));
}

static struct cut cut_of(const int32_t *offsets, int e, int width, int threads, int groups, bool grad)
{
    int T = rows_of(offsets, e);
    struct cut none = {1, 0, 1, 0};
    return T == 0 ? none
           : grad ? ISA_NAME(input_grad_cut)(T, width, threads, groups)
                  : ISA_NAME(matmul_cut)(T, width, threads, groups);
}

static struct pieces list_pieces(const int32_t *offsets, int E, int width, int threads, int groups, bool grad)
{
    struct pieces pieces = {(int32_t *)(void *)cpu_scratch(SCRATCH_STATS, (size_t)E + 1), 0};
    for (int e = 0; e < E; e++) {
        struct cut cut = cut_of(offsets, e, width, threads, groups, grad);
        pieces.first[e] = pieces.n;
        pieces.n += cut.row_blocks * cut.chunks;
    }
    pieces.first[E] = pieces.n;
    return pieces;
}

void ISA_NAME(grouped_matmul)(const struct grouped_matmul_args *a)
{
    int threads = cpu_threads_for((double)a->n_places * a->N * a->K), groups = experts_in_use(a->offsets, a->E);
    struct pieces pieces = list_pieces(a->offsets, a->E, a->N, threads, groups, false);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int i = 0; i < pieces.n; i++) {
        int e = expert_of(&pieces, a->E, i);
        matmul_piece(a, e, i - pieces.first[e], cut_of(a->offsets, e, a->N, threads, groups, false));
    }
}

/* ---- gradients ---- */

static void input_grad_piece(const struct grouped_grad_args *a, int e, int piece, struct cut cut)
{
    int panels = div_up(a->K, CPU_PANEL), n_rows = rows_of(a->offsets, e);
    BUG_ON(cut.row_blocks < 1);
    int kp = piece / cut.row_blocks * cut.width, begin = piece % cut.row_blocks * cut.rows;
    ISA_NAME(input_grad_chunk)
    (&(struct matmul_input_grad_args){.T = n_rows,
                                      .N = a->N,
                                      .K = a->K,
                                      .dy = (const float *)a->dy + (ptrdiff_t)a->offsets[e] * a->N,
                                      .dy_stride = a->N,
                                      .w = (const float *)a->w + (size_t)e * ISA_NAME(matrix_elements)(a->N, a->K),
                                      .dx = (float *)a->dx + (ptrdiff_t)a->offsets[e] * a->K,
                                      .dx_stride = a->K},
     kp, min_int(panels - kp, cut.width), begin, min_int(n_rows, begin + cut.rows));
}

void ISA_NAME(grouped_input_grad)(const struct grouped_grad_args *a)
{
    int threads = cpu_threads_for((double)a->n_places * a->N * a->K), groups = experts_in_use(a->offsets, a->E);
    struct pieces pieces = list_pieces(a->offsets, a->E, a->K, threads, groups, true);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int i = 0; i < pieces.n; i++) {
        int e = expert_of(&pieces, a->E, i);
        input_grad_piece(a, e, i - pieces.first[e], cut_of(a->offsets, e, a->K, threads, groups, true));
    }
}

void ISA_NAME(grouped_weight_grad)(const struct grouped_grad_args *a)
{
    int threads = cpu_threads_for((double)a->n_places * a->N * a->K), groups = experts_in_use(a->offsets, a->E);
    int panels = div_up(a->N, CPU_PANEL), wanted = threads > 1 ? div_up(4 * threads, groups) : 1;
    int width = min_int(WEIGHT_GRAD_PANELS, div_up(panels, wanted)), chunks = div_up(panels, width);
    if (!a->dw) {
        return;
    }
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int i = 0; i < a->E * chunks; i++) {
        int e = i / chunks, p = i % chunks * width;
        ISA_NAME(weight_grad_chunk)
        (&(struct matmul_weight_grad_args){.T = rows_of(a->offsets, e),
                                           .N = a->N,
                                           .K = a->K,
                                           .dy = (const float *)a->dy + (ptrdiff_t)a->offsets[e] * a->N,
                                           .dy_stride = a->N,
                                           .x = (const float *)a->x + (ptrdiff_t)a->offsets[e] * a->K,
                                           .x_stride = a->K,
                                           .dw = a->dw + (size_t)e * ISA_NAME(matrix_elements)(a->N, a->K)},
         p, min_int(panels - p, width), 0, a->K);
    }
}

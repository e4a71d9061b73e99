/* kernels/cuda/grouped.cu - grouped products by warps: any GPU, any shape, and the bits that others are held to.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/grouped.cuh"

extern "C" {
#include "base/err.h"
}

/* Columns n, which is even, and n + 1. */
__device__ __forceinline__ void put_pair(const struct grouped &g, int row, int n, float x, float y)
{
    bf16 *to = (bf16 *)g.c + (size_t)row * (size_t)g.N + (size_t)n;
    if (g.N % 2 == 0) {
        *reinterpret_cast<uint32_t *>(to) = pack_bf16(x, y);
        return;
    }
    to[0] = to_bf16(x);
    if (n + 1 < g.N) {
        to[1] = to_bf16(y);
    }
}

template <int BM, bool BT, bool FAST>
__global__ void __launch_bounds__(gemm_threads<BM>(), 2) rows_kernel(struct grouped g)
{
    extern __shared__ uint4 shared[];
    __shared__ int by[MOST_EXPERTS + 1];
    count_tiles<BM>(g.E, g.offsets, by);
    if ((int)blockIdx.x >= by[g.E]) {
        return;
    }
    int e = expert_of(by, g.E, (int)blockIdx.x), m0 = ((int)blockIdx.x - by[e]) * BM, n0 = (int)blockIdx.y * GEMM_BN;
    int first = g.offsets[e], n_rows = g.offsets[e + 1] - first;
    struct operand a = {g.a + (size_t)first * (size_t)g.K, (size_t)g.K, n_rows, g.K};
    struct operand b = {g.b + (size_t)e * (size_t)g.N * (size_t)g.K, (size_t)(BT ? g.N : g.K), g.N, g.K};
    struct sums s = {};
    multiply<BM, false, BT, FAST>(s, a, b, m0, n0, reinterpret_cast<bf16 *>(shared));
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                int m = m0 + sum_row(i, 2 * half), n = n0 + sum_column(j, 0);
                if (m < n_rows && n < g.N) {
                    put_pair(g, first + m, n, s.c[i][j][2 * half], s.c[i][j][2 * half + 1]);
                }
            }
        }
    }
}

template <bool FAST> __global__ void __launch_bounds__(gemm_threads<128>(), 2) weights_kernel(struct grouped g)
{
    extern __shared__ uint4 shared[];
    int e = (int)blockIdx.z, n0 = (int)blockIdx.x * 128, k0 = (int)blockIdx.y * GEMM_BN;
    int first = g.offsets[e], n_rows = g.offsets[e + 1] - first;
    if (n_rows == 0) {
        return;
    }
    struct operand a = {g.a + (size_t)first * (size_t)g.N, (size_t)g.N, g.N, n_rows};
    struct operand b = {g.b + (size_t)first * (size_t)g.K, (size_t)g.K, g.K, n_rows};
    float *c = (float *)g.c + (size_t)e * (size_t)g.N * (size_t)g.K;
    struct sums s = {};
    multiply<128, true, true, FAST>(s, a, b, n0, k0, reinterpret_cast<bf16 *>(shared));
#pragma unroll
    for (int i = 0; i < 64; i++) {
        int n = n0 + sum_row(i / 16, i % 4), k = k0 + sum_column(i / 4 % 4, i % 4);
        if (n < g.N && k < g.K) {
            float *at = c + (size_t)n * (size_t)g.K + (size_t)k;
            *at = __fadd_rn(*at, s.c[i / 16][i / 4 % 4][i % 4]);
        }
    }
}

/* ---- launching ---- */

template <int BM, bool BT, bool FAST> static void launch_rows(const struct grouped *g)
{
    constexpr size_t bytes = gemm_shared_bytes<BM, false, BT>();
    int most = g->E < g->n_places ? g->E : g->n_places; /* experts with a tile that is not full */
    allow_shared<rows_kernel<BM, BT, FAST>>(bytes);
    dim3 grid((unsigned)(g->n_places / BM + most), (unsigned)ceil_div(g->N, GEMM_BN));
    rows_kernel<BM, BT, FAST><<<grid, gemm_threads<BM>(), bytes, cuda.stream>>>(*g);
    cuda_launched(g->what);
}

template <bool BT, bool FAST> static void launch_rows_for(const struct grouped *g)
{
    bool few = g->n_places <= 64 * g->E; /* rows of an expert, about */
    few ? launch_rows<64, BT, FAST>(g) : launch_rows<128, BT, FAST>(g);
}

static void run_rows(const struct grouped *g, bool transposed)
{
    BUG_ON(g->E > MOST_EXPERTS);
    if (g->n_places == 0 || grouped_flow_rows(g, transposed)) {
        return;
    }
    bool fast = operand_is_fast(g->a, (size_t)g->K, g->n_places, g->K, false) &&
                operand_is_fast(g->b, (size_t)(transposed ? g->N : g->K), g->N, g->K, transposed);
    if (transposed) {
        fast ? launch_rows_for<true, true>(g) : launch_rows_for<true, false>(g);
    } else {
        fast ? launch_rows_for<false, true>(g) : launch_rows_for<false, false>(g);
    }
}

template <bool FAST> static void launch_weights(const struct grouped *g)
{
    constexpr size_t bytes = gemm_shared_bytes<128, true, true>();
    allow_shared<weights_kernel<FAST>>(bytes);
    dim3 grid((unsigned)ceil_div(g->N, 128), (unsigned)ceil_div(g->K, GEMM_BN), (unsigned)g->E);
    weights_kernel<FAST><<<grid, gemm_threads<128>(), bytes, cuda.stream>>>(*g);
    cuda_launched(g->what);
}

/* ---- the operations ---- */

void cuda_grouped_matmul(const struct grouped_matmul_args *a)
{
    struct grouped g = {"grouped_matmul",   a->E, a->N, a->K, a->n_places, a->offsets, (const bf16 *)a->x,
                        (const bf16 *)a->w, a->y};
    run_rows(&g, false);
}

void cuda_grouped_input_grad(const struct grouped_grad_args *a)
{
    struct grouped g = {"grouped_input_grad", a->E, a->K, a->N, a->n_places, a->offsets, (const bf16 *)a->dy,
                        (const bf16 *)a->w,   a->dx};
    run_rows(&g, true);
}

void cuda_grouped_weight_grad(const struct grouped_grad_args *a)
{
    struct grouped g = {"grouped_weight_grad", a->E, a->N, a->K, a->n_places, a->offsets, (const bf16 *)a->dy,
                        (const bf16 *)a->x,    a->dw};
    if (!a->dw || a->n_places == 0 || grouped_flow_weights(&g)) {
        return;
    }
    bool fast = operand_is_fast(g.a, (size_t)g.N, g.N, g.n_places, true) &&
                operand_is_fast(g.b, (size_t)g.K, g.K, g.n_places, true);
    fast ? launch_weights<true>(&g) : launch_weights<false>(&g);
}

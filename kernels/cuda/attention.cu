/* kernels/cuda/attention.cu - causal attention over pages with an online softmax: training, prompt chunks and decoding.
 *
 * A task is a run of rows of one span and one key/value head; the query heads that share it are rows too. Pages of 128
 * keys at absolute positions are walked in order. A row's arithmetic does not depend on which kernel does it:
 *
 *   t_j = (chain over D of q k_j) * scale log2(e);  keys after the row's position: -infinity
 *   m' = max(m, max t);  a = 2^(m - m');  p_j = 2^(t_j - m')
 *   l = l a + ((sum 0 + sum 1) + (sum 2 + sum 3)), over quarters of 32 keys; in a quarter lane i of four adds keys 8 c + 2 i,
 *       8 c + 2 i + 1 for c ascending, then the butterfly of four
 *   out = out a, then the chain over keys of bf16(p_j) v_j;  at the end out / l, lse = m ln 2 + log l
 *
 * Weights of hidden keys are 0 and values past the last key are read as 0, so they change nothing.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/attention_rows.cuh"

extern "C" {
#include "base/err.h"
}

static constexpr int THREADS = 128;
static constexpr int MANY_ROWS = 64; /* rows of a block, 16 per warp */
static constexpr int FEW_ROWS = 16;  /* rows of a block whose warps share the keys instead */

template <int DP, int ROWS>
static __device__ void load_queries(const struct block &b, const struct cuda_task &t, bf16 *to)
{
    int R = t.n_rows * b.heads;
    for (int i = threadIdx.x; i < ROWS * DP / 8; i += THREADS) {
        int r = i / (DP / 8), at = i % (DP / 8) * 8;
        bool there = r < R && at < b.D;
        copy16(to + r * line_of<DP>() + at,
               b.q + (there ? row_at(b, t, (int)blockIdx.y, r, b.q_stride, b.D) + (size_t)at : 0), there);
    }
}

/* Page `page` of the task's list, of lines that are D wide: its first n lines, then zeros. */
template <int DP>
static __device__ void load_page(const struct block &b, const struct cuda_task &t, const bf16 *pool, int D, int page,
                                 int n, bf16 *to)
{
    size_t base = ((size_t)b.pages[t.pages + page] * (size_t)b.J + blockIdx.y) * OPS_PAGE * (size_t)D;
    for (int i = threadIdx.x; i < OPS_PAGE * DP / 8; i += THREADS) {
        int line = i / (DP / 8), at = i % (DP / 8) * 8;
        bool there = line < n && at < D;
        copy16(to + line * line_of<DP>() + at, pool + base + (there ? (size_t)line * (size_t)D + (size_t)at : 0),
               there);
    }
}

/* ---- many rows: a warp has 16 of them and all keys ---- */

template <int DP> __global__ void __launch_bounds__(THREADS) many_kernel(struct block b)
{
    extern __shared__ uint4 shared[];
    constexpr int LINE = line_of<DP>();
    bf16 *queries = reinterpret_cast<bf16 *>(shared), *keys = queries + MANY_ROWS * LINE,
         *values = keys + OPS_PAGE * LINE;
    const struct cuda_task t = b.tasks[blockIdx.x];
    int warp = threadIdx.x / LANES, row = warp * 16 + (int)threadIdx.x % LANES / 4;
    int n_keys = t.position + t.n_rows, n_pages = (n_keys + OPS_PAGE - 1) / OPS_PAGE;
    uint32_t q[DP / 16][4];
    float o[DP / 8][4] = {}, m[2] = {NEVER, NEVER}, l[2] = {0, 0};
    load_queries<DP, MANY_ROWS>(b, t, queries);
    load_page<DP>(b, t, b.k_pool, b.D, 0, n_keys, keys);
    copies_commit();
    load_page<DP>(b, t, b.v_pool, b.Dv, 0, n_keys, values);
    copies_commit();
    for (int page = 0; page < n_pages; page++) {
        int start = page * OPS_PAGE;
        float s[OPS_PAGE / 8][4], a[2];
        copies_wait<1>();
        __syncthreads();
        if (page == 0) {
            load_rows<DP>(q, queries + warp * 16 * LINE);
        }
        rows_times_lines<DP, OPS_PAGE>(s, q, keys);
        __syncthreads();
        if (page + 1 < n_pages) {
            load_page<DP>(b, t, b.k_pool, b.D, page + 1, n_keys - start - OPS_PAGE, keys);
        }
        copies_commit();
        int limit[2] = {t.position + row / b.heads + 1 - start, t.position + (row + 8) / b.heads + 1 - start};
        scale_and_hide<OPS_PAGE>(s, b.scale_log2, 0, limit);
        page_weights(s, m, l, a);
        shrink<DP>(o, a);
        copies_wait<1>();
        __syncthreads();
        weights_times_columns<DP, OPS_PAGE, DP>(o, s, values);
        __syncthreads();
        if (page + 1 < n_pages) {
            load_page<DP>(b, t, b.v_pool, b.Dv, page + 1, n_keys - start - OPS_PAGE, values);
        }
        copies_commit();
    }
    store_rows<DP>(b, t, (int)blockIdx.y, row, 0, o, m, l);
}

/* ---- few rows: four warps share 16; each scores a quarter of the keys, then sums a quarter of the columns ---- */

template <int DP> __global__ void __launch_bounds__(THREADS) few_kernel(struct block b)
{
    extern __shared__ uint4 shared[];
    constexpr int LINE = line_of<DP>(), WEIGHTS = line_of<OPS_PAGE>(), COLUMNS = DP / 4;
    bf16 *queries = reinterpret_cast<bf16 *>(shared), *keys = queries + FEW_ROWS * LINE;
    bf16 *values = keys + OPS_PAGE * LINE, *weights = values + OPS_PAGE * LINE;
    __shared__ float mosts[4][FEW_ROWS], sums[4][FEW_ROWS];
    const struct cuda_task t = b.tasks[blockIdx.x];
    int warp = threadIdx.x / LANES, lane = threadIdx.x % LANES, row = lane / 4;
    int n_keys = t.position + t.n_rows, n_pages = (n_keys + OPS_PAGE - 1) / OPS_PAGE;
    uint32_t q[DP / 16][4];
    float o[COLUMNS / 8][4] = {}, m[2] = {NEVER, NEVER}, l[2] = {0, 0};
    load_queries<DP, FEW_ROWS>(b, t, queries);
    load_page<DP>(b, t, b.k_pool, b.D, 0, n_keys, keys);
    copies_commit();
    load_page<DP>(b, t, b.v_pool, b.Dv, 0, n_keys, values);
    copies_commit();
    for (int page = 0; page < n_pages; page++) {
        int start = page * OPS_PAGE;
        float s[4][4], a[2];
        copies_wait<1>();
        __syncthreads();
        if (page == 0) {
            load_rows<DP>(q, queries);
        }
        rows_times_lines<DP, OPS_PAGE / 4>(s, q, keys + warp * (OPS_PAGE / 4) * LINE);
        int limit[2] = {t.position + row / b.heads + 1 - start, t.position + (row + 8) / b.heads + 1 - start};
        scale_and_hide<OPS_PAGE / 4>(s, b.scale_log2, warp * (OPS_PAGE / 4), limit);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float most = row_most<OPS_PAGE / 4>(s, half);
            if (lane % 4 == 0) {
                mosts[warp][row + 8 * half] = most;
            }
        }
        __syncthreads(); /* all maxima are there, and nobody reads the keys any more */
        if (page + 1 < n_pages) {
            load_page<DP>(b, t, b.k_pool, b.D, page + 1, n_keys - start - OPS_PAGE, keys);
        }
        copies_commit();
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int r = row + 8 * half;
            float most = fmaxf(fmaxf(mosts[0][r], mosts[1][r]), fmaxf(mosts[2][r], mosts[3][r]));
            most = fmaxf(m[half], most);
            a[half] = fast_exp2(__fsub_rn(m[half], most));
            m[half] = most;
            float sum = quarter_weights(s, half, most);
            if (lane % 4 == 0) {
                sums[warp][r] = sum;
            }
#pragma unroll
            for (int i = 0; i < 4; i++) {
                *reinterpret_cast<uint32_t *>(weights + r * WEIGHTS + warp * 32 + i * 8 + lane % 4 * 2) =
                    pack_bf16(s[i][2 * half], s[i][2 * half + 1]);
            }
        }
        copies_wait<1>();
        __syncthreads();
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int r = row + 8 * half;
            float quarters[4] = {sums[0][r], sums[1][r], sums[2][r], sums[3][r]};
            l[half] = next_sum(l[half], a[half], quarters);
        }
        shrink<COLUMNS>(o, a);
#pragma unroll
        for (int k = 0; k < OPS_PAGE / 16; k++) {
            uint32_t w[4], f[4];
            load_matrices(w, weights + (lane % 16) * WEIGHTS + k * 16 + lane / 16 * 8);
#pragma unroll
            for (int i = 0; i < COLUMNS / 16; i++) {
                load_matrices_transposed(f, values + (k * 16 + lane % 16) * LINE + warp * COLUMNS + i * 16 +
                                                lane / 16 * 8);
                mma16(o[2 * i], w, f[0], f[1]);
                mma16(o[2 * i + 1], w, f[2], f[3]);
            }
        }
        __syncthreads();
        if (page + 1 < n_pages) {
            load_page<DP>(b, t, b.v_pool, b.Dv, page + 1, n_keys - start - OPS_PAGE, values);
        }
        copies_commit();
    }
    store_rows<COLUMNS>(b, t, (int)blockIdx.y, row, warp * COLUMNS, o, m, l);
}

/* ---- launches ---- */

template <int DP> static void launch_many(const struct block *b, int n)
{
    constexpr size_t bytes = sizeof(bf16) * (size_t)(MANY_ROWS + 2 * OPS_PAGE) * line_of<DP>();
    allow_shared<many_kernel<DP>>(bytes);
    if (n > 0) {
        many_kernel<DP><<<dim3((unsigned)n, (unsigned)b->J), THREADS, bytes, cuda.stream>>>(*b);
        cuda_launched("attention");
    }
}

template <int DP> static void launch_few(const struct block *b, int n)
{
    constexpr size_t lines = sizeof(bf16) * (size_t)(FEW_ROWS + 2 * OPS_PAGE) * line_of<DP>();
    constexpr size_t bytes = lines + sizeof(bf16) * FEW_ROWS * line_of<OPS_PAGE>();
    allow_shared<few_kernel<DP>>(bytes);
    if (n > 0) {
        few_kernel<DP><<<dim3((unsigned)n, (unsigned)b->J), THREADS, bytes, cuda.stream>>>(*b);
        cuda_launched("attention of few rows");
    }
}

void cuda_attention(const struct attention_args *a)
{
    int heads = a->H / a->J, DP = padded_head(a->D);
    BUG_ON(a->D % 8 != 0 || a->D > 128 || a->Dv % 8 != 0 || a->Dv > a->D || heads > MANY_ROWS);
    struct block b = {};
    b.heads = heads, b.H = a->H, b.J = a->J, b.D = a->D, b.Dv = a->Dv > 0 ? a->Dv : a->D;
    b.q_stride = a->q_stride, b.out_stride = a->out_stride;
    b.scale_log2 = a->scale * LOG2_E;
    b.q = (const bf16 *)a->q, b.k_pool = (const bf16 *)a->k_pool, b.v_pool = (const bf16 *)a->v_pool;
    b.out = (bf16 *)a->out, b.lse = a->lse;
    bool flows = attention_flow_serves(&b);
    int rows = (flows ? attention_flow_rows() : MANY_ROWS) / heads, few = DP >= 64 ? FEW_ROWS / heads : 0;
    const struct cuda_plan *plan = cuda_plan_spans(a->spans, a->n_spans, rows, few);
    b.tasks = plan->tasks, b.pages = plan->pages;
    if (DP == 128) {
        launch_few<128>(&b, plan->n_few);
    } else if (DP == 64) {
        launch_few<64>(&b, plan->n_few);
    }
    b.tasks += plan->n_few;
    if (flows) {
        attention_flow(&b, plan->n_many, plan->n_rows);
        return;
    }
    switch (DP) {
    case 16: launch_many<16>(&b, plan->n_many); break;
    case 32: launch_many<32>(&b, plan->n_many); break;
    case 64: launch_many<64>(&b, plan->n_many); break;
    default: launch_many<128>(&b, plan->n_many); break;
    }
}

/* kernels/cuda/attention_grad.cu - attention backward (FlashAttention, arXiv 2205.14135, algorithm 4) without atomics.
 *
 *   P = exp(scale Q K^T - lse);  dV = P^T dO;  dP = dO V^T;  dS = P (dP - rowsum(dO O)) scale;  dQ = dS K;  dK = dS^T Q
 *
 * Two kernels, each of which owns what it sums: one has a block of queries (dQ), one a block of keys with the queries
 * of one context (dK, dV). Keys of a shared prefix get a part from each context that shares it; the parts are added in
 * order. Both have the same form: 16 rows per warp (queries, or keys) against lines in shared memory (keys, or
 * queries).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/attention_grad.cuh"

extern "C" {
#include "base/err.h"
}

static constexpr int THREADS = 128;
static constexpr int ROWS = CUDA_GRAD_ROWS; /* of a block, 16 per warp */

/* The row of the batch that holds key i of a context. */
static __device__ __forceinline__ int key_row(const struct context &c, int i)
{
    return i < c.n_prefix ? c.prefix_row + i : c.row + i - c.n_prefix;
}

/* delta: G lanes per row and head, 8 elements each */
template <int G> __global__ void delta_kernel(struct grad g)
{
    int i = (int)((blockIdx.x * THREADS + threadIdx.x) / G), at = (int)threadIdx.x % G * 8;
    float sum = 0;
    if (i < g.n_rows * g.H && at < g.Dv) {
        size_t from = (size_t)(i / g.H) * (size_t)g.out_stride + (size_t)(i % g.H) * (size_t)g.Dv + (size_t)at;
        sum = dot8(g.dout + from, g.out + from);
    }
#pragma unroll
    for (int far = G / 2; far > 0; far /= 2) {
        sum = __fadd_rn(sum, __shfl_xor_sync(0xFFFFFFFFu, sum, far));
    }
    if (i < g.n_rows * g.H && at == 0) {
        g.delta[i] = sum;
    }
}

template <int G> static void launch_delta(const struct grad *g)
{
    delta_kernel<G><<<(unsigned)ceil_div(g->n_rows * g->H, THREADS / G), THREADS, 0, cuda.stream>>>(*g);
    cuda_launched("delta");
}

/* Lines first .. first + LINES - 1, of which n exist; line i is row rows(i) of `base`. */
template <int DP, int LINES, class F>
static __device__ __forceinline__ void load_lines(const bf16 *base, size_t stride, int D, int n, F rows, bf16 *to)
{
    for (int i = threadIdx.x; i < LINES * DP / 8; i += THREADS) {
        int line = i / (DP / 8), at = i % (DP / 8) * 8;
        bool there = line < n && at < D;
        copy16(to + line * line_of<DP>() + at, base + (there ? (size_t)rows(line) * stride + (size_t)at : 0), there);
    }
}

/* ---- dQ: blockIdx.y is the query head ---- */

/* Keys and values `start` .. of the n_keys of a context, into one stage. */
template <int DP, int KEYS>
static __device__ __forceinline__ void load_keys(const struct grad &g, const struct context &c, int start, int n_keys,
                                                 size_t j, bf16 *keys)
{
    auto there = [&](int i) { return key_row(c, start + i); };
    size_t stride = (size_t)g.kv_stride;
    load_lines<DP, KEYS>(g.k + j * (size_t)g.D, stride, g.D, n_keys - start, there, keys);
    load_lines<DP, KEYS>(g.v + j * (size_t)g.Dv, stride, g.Dv, n_keys - start, there, keys + KEYS * line_of<DP>());
    copies_commit();
}

template <int DP, int KEYS> __global__ void __launch_bounds__(THREADS, 2) dq_kernel(struct grad g)
{
    extern __shared__ uint4 shared[];
    constexpr int LINE = line_of<DP>(), STAGE = 2 * KEYS * LINE;
    bf16 *queries = reinterpret_cast<bf16 *>(shared), *douts = queries + ROWS * LINE, *stages = douts + ROWS * LINE;
    const struct cuda_grad_task t = g.queries[blockIdx.x];
    const struct context c = g.contexts[t.context];
    size_t head = blockIdx.y, j = head / (size_t)g.heads, D = (size_t)g.D;
    int n = c.n_rows - t.first < ROWS ? c.n_rows - t.first : ROWS, n_keys = c.n_prefix + t.first + n;
    int warp = threadIdx.x / LANES, row = warp * 16 + (int)threadIdx.x % LANES / 4;
    float lse[2], delta[2], sum[DP / 8][4] = {};
    int limit[2];
    auto own = [&](int i) { return c.row + t.first + i; };
    load_lines<DP, ROWS>(g.q + head * D, (size_t)g.qkv_stride, g.D, n, own, queries);
    load_lines<DP, ROWS>(g.dout + head * (size_t)g.Dv, (size_t)g.out_stride, g.Dv, n, own, douts);
    load_keys<DP, KEYS>(g, c, 0, n_keys, j, stages);
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int r = row + 8 * half;
        size_t at = (size_t)(c.row + t.first + r) * (size_t)g.H + head;
        lse[half] = r < n ? g.lse[at] * LOG2_E : 0;
        delta[half] = r < n ? g.delta[at] : 0;
        limit[half] = r < n ? c.n_prefix + t.first + r + 1 : 0;
    }
    for (int start = 0, stage = 0; start < n_keys; start += KEYS, stage ^= 1) {
        const bf16 *keys = stages + stage * STAGE, *values = keys + KEYS * LINE;
        copies_wait<0>();
        __syncthreads(); /* this stage is there, and the other is done with */
        if (start + KEYS < n_keys) {
            load_keys<DP, KEYS>(g, c, start + KEYS, n_keys, j, stages + (stage ^ 1) * STAGE);
        }
        float s[KEYS / 8][4], dp[KEYS / 8][4];
        uint32_t a[DP / 16][4];
        load_rows<DP>(a, queries + warp * 16 * LINE);
        rows_times_lines<DP, KEYS>(s, a, keys);
        load_rows<DP>(a, douts + warp * 16 * LINE);
        rows_times_lines<DP, KEYS>(dp, a, values);
#pragma unroll
        for (int i = 0; i < KEYS / 8; i++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                int key = start + i * 8 + (int)threadIdx.x % 4 * 2 + e % 2;
                float p = key < limit[e / 2] ? fast_exp2(__fmaf_rn(s[i][e], g.scale_log2, -lse[e / 2])) : 0.0f;
                dp[i][e] = p * (dp[i][e] - delta[e / 2]) * g.scale;
            }
        }
        weights_times_columns<DP, KEYS, DP>(sum, dp, keys);
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int r = row + 8 * half;
        bf16 *to = g.dq + (size_t)(c.row + t.first + r) * (size_t)g.qkv_stride + head * D;
#pragma unroll
        for (int i = 0; i < DP / 8; i++) {
            int column = i * 8 + (int)threadIdx.x % 4 * 2;
            if (r < n && column < g.D) {
                to[column] = to_bf16(to_float(to[column]) + sum[i][2 * half]);
                to[column + 1] = to_bf16(to_float(to[column + 1]) + sum[i][2 * half + 1]);
            }
        }
    }
}

/* ---- dK, dV: blockIdx.y is the key/value head ---- */

/* A stage: a block of queries of one head, with what belongs to each. */
template <int DP, int QUERIES> struct query_stage {
    bf16 queries[QUERIES * line_of<DP>()], douts[QUERIES * line_of<DP>()];
    float lse[QUERIES], delta[QUERIES];
};

/* The n queries from line `start` of context w on. */
template <int DP, int QUERIES>
static __device__ __forceinline__ void load_queries(const struct grad &g, const struct context &w, int start, int n,
                                                    size_t head, struct query_stage<DP, QUERIES> *to)
{
    size_t D = (size_t)g.D;
    auto rows = [&](int i) { return w.row + start + i; };
    load_lines<DP, QUERIES>(g.q + head * D, (size_t)g.qkv_stride, g.D, n, rows, to->queries);
    load_lines<DP, QUERIES>(g.dout + head * (size_t)g.Dv, (size_t)g.out_stride, g.Dv, n, rows, to->douts);
    copies_commit();
    for (int i = threadIdx.x; i < QUERIES; i += THREADS) {
        size_t at = (size_t)(w.row + start + i) * (size_t)g.H + head;
        to->lse[i] = i < n ? g.lse[at] * LOG2_E : 0;
        to->delta[i] = i < n ? g.delta[at] : 0;
    }
}

/* Adds what the n queries at `start` of context w say of the block's keys. */
template <int DP, int QUERIES>
static __device__ __forceinline__ void add_queries(const struct grad &g, const struct context &w, int start, int n,
                                                   int first_key, int end_key, const bf16 *keys, const bf16 *values,
                                                   const struct query_stage<DP, QUERIES> &q, float dk[DP / 8][4],
                                                   float dv[DP / 8][4])
{
    constexpr int LINE = line_of<DP>();
    int warp = threadIdx.x / LANES, key = first_key + warp * 16 + (int)threadIdx.x % LANES / 4;
    float s[QUERIES / 8][4], dp[QUERIES / 8][4];
    uint32_t a[DP / 16][4];
    load_rows<DP>(a, keys + warp * 16 * LINE);
    rows_times_lines<DP, QUERIES>(s, a, q.queries);
    load_rows<DP>(a, values + warp * 16 * LINE);
    rows_times_lines<DP, QUERIES>(dp, a, q.douts);
#pragma unroll
    for (int i = 0; i < QUERIES / 8; i++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            int query = i * 8 + (int)threadIdx.x % 4 * 2 + e % 2;
            int k = key + e / 2 * 8;
            bool sees = query < n && k < end_key && k <= w.n_prefix + start + query;
            float p = sees ? fast_exp2(__fmaf_rn(s[i][e], g.scale_log2, -q.lse[query])) : 0.0f;
            s[i][e] = p;
            dp[i][e] = p * (dp[i][e] - q.delta[query]) * g.scale;
        }
    }
    weights_times_columns<DP, QUERIES, DP>(dv, s, q.douts);
    weights_times_columns<DP, QUERIES, DP>(dk, dp, q.queries);
}

template <int DP>
static __device__ __forceinline__ void store_keys(const struct grad &g, const struct cuda_grad_task &t,
                                                  const struct context &c, int n, const float dk[DP / 8][4],
                                                  const float dv[DP / 8][4])
{
    size_t j = blockIdx.y, D = (size_t)g.D;
    int row = (int)threadIdx.x / LANES * 16 + (int)threadIdx.x % LANES / 4;
#pragma unroll
    for (int i = 0; i < DP / 8; i++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            int r = row + e / 2 * 8, column = i * 8 + (int)threadIdx.x % 4 * 2 + e % 2;
            if (column >= g.D || r >= n) {
                continue;
            }
            if (t.part < 0) {
                size_t row_at = (size_t)(c.row + t.first + r) * (size_t)g.kv_stride + (size_t)column;
                bf16 *to_k = g.dk + row_at + j * D, *to_v = g.dv + row_at + j * (size_t)g.Dv;
                *to_k = to_bf16(to_float(*to_k) + dk[i][e]);
                if (column < g.Dv) {
                    *to_v = to_bf16(to_float(*to_v) + dv[i][e]);
                }
            } else {
                size_t at = ((size_t)t.part * (size_t)g.J + j) * 2 * ROWS * D + (size_t)r * D + (size_t)column;
                g.parts[at] = dk[i][e];
                g.parts[at + ROWS * D] = dv[i][e];
            }
        }
    }
}

template <int DP, int QUERIES> __global__ void __launch_bounds__(THREADS, 2) dkv_kernel(struct grad g)
{
    extern __shared__ uint4 shared[];
    constexpr int LINE = line_of<DP>();
    bf16 *keys = reinterpret_cast<bf16 *>(shared), *values = keys + ROWS * LINE;
    struct query_stage<DP, QUERIES> *stages = (struct query_stage<DP, QUERIES> *)(values + ROWS * LINE);
    const struct cuda_grad_task t = g.keys[blockIdx.x];
    const struct context c = g.contexts[t.context], w = g.contexts[t.with];
    size_t j = blockIdx.y, D = (size_t)g.D, head0 = j * (size_t)g.heads;
    int n = c.n_rows - t.first < ROWS ? c.n_rows - t.first : ROWS;
    int first_key = c.n_prefix + t.first; /* its position */
    float dk[DP / 8][4] = {}, dv[DP / 8][4] = {};
    if (t.with != t.context) { /* keys of a prefix: only those that are in it */
        n = w.n_prefix - t.first < n ? w.n_prefix - t.first : n;
    }
    auto own = [&](int i) { return c.row + t.first + i; };
    load_lines<DP, ROWS>(g.k + j * D, (size_t)g.kv_stride, g.D, n, own, keys);
    load_lines<DP, ROWS>(g.v + j * (size_t)g.Dv, (size_t)g.kv_stride, g.Dv, n, own, values);
    int start = t.with == t.context ? t.first / QUERIES * QUERIES : 0, h = 0, stage = 0;
    if (start < w.n_rows) {
        load_queries(g, w, start, min(QUERIES, w.n_rows - start), head0, &stages[0]);
    }
    while (start < w.n_rows) { /* all heads of a block of queries, then the next block */
        int next_h = h + 1 < g.heads ? h + 1 : 0, next_start = next_h ? start : start + QUERIES;
        copies_wait<0>();
        __syncthreads(); /* this stage is there, and the other is done with */
        if (next_start < w.n_rows) {
            load_queries(g, w, next_start, min(QUERIES, w.n_rows - next_start), head0 + (size_t)next_h,
                         &stages[stage ^ 1]);
        }
        add_queries<DP, QUERIES>(g, w, start, min(QUERIES, w.n_rows - start), first_key, first_key + n, keys, values,
                                 stages[stage], dk, dv);
        start = next_start, h = next_h, stage ^= 1;
    }
    copies_wait<0>();
    /* keys of the block after the prefix get zeros as their part */
    store_keys<DP>(g, t, c, t.part < 0 ? n : ROWS, dk, dv);
}

static __device__ __forceinline__ void add_four(float4 &x, const float4 &y)
{
    x.x += y.x, x.y += y.y, x.z += y.z, x.w += y.w;
}

/* Four elements of dK and four of dV a thread. */
__global__ void add_parts_kernel(struct grad g)
{
    const struct cuda_parts_task t = g.sums[blockIdx.x];
    const struct context c = g.contexts[t.context];
    size_t j = blockIdx.y, D = (size_t)g.D, step = (size_t)g.J * 2 * ROWS * D;
    int n = c.n_rows - t.first < ROWS ? c.n_rows - t.first : ROWS, i = (int)(blockIdx.z * THREADS + threadIdx.x) * 4;
    if (i >= n * g.D) {
        return;
    }
    const float *part = g.parts + ((size_t)t.part * (size_t)g.J + j) * 2 * ROWS * D + (size_t)i;
    size_t at = (size_t)(c.row + t.first + i / g.D) * (size_t)g.kv_stride + (size_t)(i % g.D);
    uint2 *to_k = reinterpret_cast<uint2 *>(g.dk + at + j * D);
    uint2 *to_v = reinterpret_cast<uint2 *>(g.dv + at + j * (size_t)g.Dv);
    bool has_value = i % g.D < g.Dv;
    float4 dk = {}, dv = {};
#pragma unroll 4
    for (int p = 0; p < t.n_parts; p++, part += step) {
        add_four(dk, *reinterpret_cast<const float4 *>(part));
        add_four(dv, *reinterpret_cast<const float4 *>(part + ROWS * D));
    }
    if (has_value && to_v == to_k) {
        add_four(dk, dv);
    } else if (has_value) {
        *to_v = make_uint2(pack_bf16(dv.x, dv.y), pack_bf16(dv.z, dv.w));
    }
    *to_k = make_uint2(pack_bf16(dk.x, dk.y), pack_bf16(dk.z, dk.w));
}

/* ---- launches ---- */

/* N: keys of a stage, or queries */
template <int DP, int N> static void launch(const struct grad *g, const struct cuda_grad_plan *plan)
{
    constexpr size_t block = sizeof(bf16) * 2 * (size_t)ROWS * line_of<DP>();
    constexpr size_t bytes_q = block + 2 * sizeof(bf16) * 2 * (size_t)N * line_of<DP>();
    constexpr size_t bytes_kv = block + 2 * sizeof(struct query_stage<DP, N>);
    allow_shared<dq_kernel<DP, N>>(bytes_q);
    allow_shared<dkv_kernel<DP, N>>(bytes_kv);
    dq_kernel<DP, N><<<dim3((unsigned)plan->n_queries, (unsigned)g->H), THREADS, bytes_q, cuda.stream>>>(*g);
    cuda_launched("attention's dQ");
    dkv_kernel<DP, N><<<dim3((unsigned)plan->n_keys, (unsigned)g->J), THREADS, bytes_kv, cuda.stream>>>(*g);
    cuda_launched("attention's dK, dV");
}

static void launch_warps(const struct grad *g, const struct cuda_grad_plan *plan)
{
    g->D > 64 ? launch_delta<16>(g) : launch_delta<8>(g);
    switch (padded_head(g->D)) {
    case 16:
    case 32: launch<32, 64>(g, plan); break;
    case 64: launch<64, 64>(g, plan); break;
    default: launch<128, 32>(g, plan); break;
    }
}

void cuda_attention_grad(const struct attention_grad_args *a)
{
    BUG_ON(a->D % 8 != 0 || a->D > 128 || a->Dv % 8 != 0 || a->Dv > a->D);
    if (a->n_contexts == 0) {
        return;
    }
    const struct cuda_grad_plan *plan = cuda_plan_contexts(a->contexts, a->n_contexts);
    struct grad g = {};
    g.contexts = plan->contexts, g.queries = plan->queries, g.keys = plan->keys, g.sums = plan->sums;
    g.n_rows = plan->n_rows, g.heads = a->H / a->J, g.H = a->H, g.J = a->J, g.D = a->D;
    g.Dv = a->Dv > 0 ? a->Dv : a->D;
    g.qkv_stride = a->qkv_stride, g.out_stride = a->out_stride;
    g.kv_stride = a->kv_stride > 0 ? a->kv_stride : a->qkv_stride;
    g.scale = a->scale, g.scale_log2 = a->scale * LOG2_E;
    g.q = (const bf16 *)a->q, g.k = (const bf16 *)a->k, g.v = (const bf16 *)a->v;
    g.out = (const bf16 *)a->out, g.dout = (const bf16 *)a->dout, g.lse = a->lse;
    g.dq = (bf16 *)a->dq, g.dk = (bf16 *)a->dk, g.dv = (bf16 *)a->dv;
    g.delta = (float *)cuda_slot(CUDA_SLOT_DELTA, (size_t)g.n_rows * (size_t)a->H * sizeof(float));
    g.parts = (float *)cuda_slot(CUDA_SLOT_PARTS,
                                 (size_t)plan->n_parts * (size_t)a->J * 2 * ROWS * (size_t)a->D * sizeof(float));
    attention_grad_flow_serves(&g) ? attention_grad_flow(&g, plan) : launch_warps(&g, plan);
    if (plan->n_sums > 0) {
        dim3 blocks = {(unsigned)plan->n_sums, (unsigned)a->J, (unsigned)ceil_div(ROWS * a->D, 4 * THREADS)};
        add_parts_kernel<<<blocks, THREADS, 0, cuda.stream>>>(g);
        cuda_launched("add_parts");
    }
}

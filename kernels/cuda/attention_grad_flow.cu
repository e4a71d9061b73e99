/* kernels/cuda/attention_grad_flow.cu - attention's gradient on Hopper, for heads of 64 and 128 elements.
 *
 * The formulae and the tasks are those of kernels/cuda/attention_grad.cu. A block is one warpgroup with 64 rows
 * (queries, or keys) that stay in shared memory; 64 lines (keys, or queries) at a time come through a ring of stages
 * that the tensor memory accelerator fills. Scores and their gradients stay in registers, where they are the first
 * factor of the next product. Two or three blocks share a multiprocessor: one multiplies while another makes weights.
 * What the caller zeroed is written, not added to.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/attention_grad.cuh"
#include "kernels/cuda/wgmma.cuh"

extern "C" {
#include "base/err.h"
}

static constexpr int THREADS = 128;
static constexpr int ROWS = 64; /* of a block, and lines of a stage */

static_assert(ROWS == CUDA_GRAD_ROWS, "the plan's tasks");

struct grad_flow {
    CUtensorMap q, k, v, dout;
    struct grad g;
};

template <int D> static __host__ __device__ constexpr int blocks_of()
{
    return D == 64 ? 3 : 2; /* of a multiprocessor */
}

template <int D> static __host__ __device__ constexpr int stages_of()
{
    return D == 64 ? 3 : 2;
}

/* At a multiple of 1024. dQ: queries and their dO, stages of keys and values; dK, dV: the other way round. */
template <int D> struct grad_shared {
    struct tile<ROWS, D> own[2];
    struct tile<ROWS, D> lines[stages_of<D>()][2];
    float lse[stages_of<D>()][ROWS], delta[stages_of<D>()][ROWS]; /* of the queries of a stage */
    uint64_t full[stages_of<D>()];
};

template <int D> static constexpr size_t grad_shared_bytes()
{
    return sizeof(struct grad_shared<D>) + 1024;
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

template <int D> static __device__ __forceinline__ struct grad_shared<D> *grad_shared_of(void *shared) {
    return reinterpret_cast<struct grad_shared<D> *>(((uintptr_t)shared + 1023) / 1024 * 1024);
}

/* arrivals: at a stage that is full, besides its bytes */
template <int D>
static __device__ __forceinline__ void begin_stages(struct grad_shared<D> *s, int arrivals)
{
    if (threadIdx.x == 0) {
        for (int i = 0; i < stages_of<D>(); i++) {
            barrier_init(&s->full[i], arrivals);
        }
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    }
    __syncthreads();
}

template <int D> static __device__ __forceinline__ void wait_stage(struct grad_shared<D> *s, int i)
{
    constexpr int STAGES = stages_of<D>();
    barrier_wait(&s->full[i % STAGES], (uint32_t)(i / STAGES % 2));
}

/* Has the phase under way end when so many bytes more have come. */
static __device__ __forceinline__ void barrier_more(uint64_t *barrier, uint32_t bytes)
{
    asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
                 : "memory");
}

/* Ends a run of products that wrote s. */
static __device__ __forceinline__ void products_end(float (&s)[32])
{
    wgmma_commit();
    products_wait<0>();
    sums_written(s);
}

template <int N> static __device__ __forceinline__ void scale_sums(float (&sums)[N], float scale)
{
#pragma unroll
    for (int i = 0; i < N; i++) {
        sums[i] *= scale;
    }
}

/* ---- dQ ---- */

/* delta of the rows of a task, to shared memory and to where dK and dV look for it: D / 8 lanes per row, 8 elements
 * each. */
template <int D>
static __device__ __forceinline__ void make_delta(const struct grad &g, int first, int n, int head, float *to)
{
    constexpr int LINE = D / 8, AT_ONCE = THREADS / LINE;
#pragma unroll
    for (int i = 0; i < ROWS / AT_ONCE; i++) {
        int r = i * AT_ONCE + (int)threadIdx.x / LINE;
        size_t row = (size_t)(first + r), at = row * (size_t)g.out_stride + (size_t)head * D + threadIdx.x % LINE * 8;
        float sum = r < n ? dot8(g.dout + at, g.out + at) : 0;
#pragma unroll
        for (int far = LINE / 2; far > 0; far /= 2) {
            sum = __fadd_rn(sum, __shfl_xor_sync(0xFFFFFFFFu, sum, far));
        }
        if (threadIdx.x % LINE == 0) {
            to[r] = sum;
            if (r < n) {
                g.delta[row * (size_t)g.H + (size_t)head] = sum;
            }
        }
    }
    __syncthreads();
}

/* Block i of the keys of a task: those of the prefix, then the context's own up to the queries themselves. */
struct key_blocks {
    int prefix, all; /* how many */
};

/* Keys and values of block i; thread 0. */
template <int D>
static __device__ __forceinline__ void fetch_keys(const struct grad_flow &f, const struct context &c,
                                                  const struct key_blocks &blocks, int i, int column,
                                                  struct grad_shared<D> *s)
{
    int stage = i % stages_of<D>(),
        at = i < blocks.prefix ? c.prefix_row + ROWS * i : c.row + ROWS * (i - blocks.prefix);
    barrier_expect(&s->full[stage], sizeof s->lines[stage]);
    fetch_tile(&s->lines[stage][0], &f.k, column, at, &s->full[stage]);
    fetch_tile(&s->lines[stage][1], &f.v, column, at, &s->full[stage]);
}

/* Scores and dP -> dS / scale. limit: keys of the block that each of the lane's rows sees. */
template <bool WHOLE>
static __device__ __forceinline__ void score_grads(const float (&s)[32], float (&dp)[32], float scale_log2,
                                                   const float lse[2], const float delta[2], const int limit[2])
{
#pragma unroll
    for (int i = 0; i < 32; i++) {
        int half = i / 2 % 2, key = i / 4 * 8 + (int)threadIdx.x % 4 * 2 + i % 2;
        float p = fast_exp2(__fmaf_rn(s[i], scale_log2, -lse[half]));
        dp[i] = WHOLE || key < limit[half] ? p * (dp[i] - delta[half]) : 0.0f;
    }
}

#endif

template <int D>
__global__ void __launch_bounds__(THREADS, blocks_of<D>()) dq_flow_kernel(const __grid_constant__ struct grad_flow f)
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ uint4 shared[];
    struct grad_shared<D> *sh = grad_shared_of<D>(shared);
    const struct grad &g = f.g;
    const struct cuda_grad_task t = g.queries[blockIdx.x / (unsigned)g.H];
    const struct context c = g.contexts[t.context];
    const int head = (int)blockIdx.x % g.H, column = head / g.heads * D;
    const int n = min(ROWS, c.n_rows - t.first), row = (int)threadIdx.x / LANES * 16 + (int)threadIdx.x % LANES / 4;
    const int prefix = (c.n_prefix + ROWS - 1) / ROWS;
    const struct key_blocks blocks = {prefix, prefix + t.first / ROWS + 1};
    constexpr int STAGES = stages_of<D>();
    if (n == 0) { /* a sequence of one token has no rows of its own */
        return;
    }
    begin_stages(sh, 1);
    if (threadIdx.x == 0) { /* the first stage has two tiles more */
        barrier_more(&sh->full[0], sizeof sh->own);
        fetch_tile(&sh->own[0], &f.q, head * D, c.row + t.first, &sh->full[0]);
        fetch_tile(&sh->own[1], &f.dout, head * D, c.row + t.first, &sh->full[0]);
        for (int i = 0; i < STAGES && i < blocks.all; i++) {
            fetch_keys(f, c, blocks, i, column, sh);
        }
    }
    make_delta<D>(g, c.row + t.first, n, head, sh->delta[0]);
    float lse[2], delta[2], sum[D / 2] = {};
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int r = row + 8 * half;
        size_t at = (size_t)(c.row + t.first + r) * (size_t)g.H + (size_t)head;
        lse[half] = r < n ? g.lse[at] * LOG2_E : 0;
        delta[half] = sh->delta[0][r];
    }
    float s[32], dp[32];
    uint32_t ds[4][4];
    wait_stage(sh, 0);
    wgmma_begin();
    rows_times_rows(s, &sh->own[0], 0, &sh->lines[0][0]);
    rows_times_rows(dp, &sh->own[1], 0, &sh->lines[0][1]);
    products_end(s);
    sums_written(dp);
    for (int i = 0;; i++) {
        const int here = i % STAGES, next = (i + 1) % STAGES;
        int limit[2] = {c.n_prefix - ROWS * i, c.n_prefix - ROWS * i};
        if (i >= blocks.prefix) {
            limit[0] = i + 1 < blocks.all ? ROWS : row + 1, limit[1] = i + 1 < blocks.all ? ROWS : row + 9;
        }
        if (i + 1 < blocks.all && limit[0] >= ROWS) {
            score_grads<true>(s, dp, g.scale_log2, lse, delta, limit);
        } else {
            score_grads<false>(s, dp, g.scale_log2, lse, delta, limit);
        }
        pack_sums<64>(ds, dp);
        if (i + 1 == blocks.all) {
            break;
        }
        wait_stage(sh, i + 1);
        wgmma_begin();
        weights_times_rows(sum, ds, &sh->lines[here][0]);
        rows_times_rows(s, &sh->own[0], 0, &sh->lines[next][0]);
        rows_times_rows(dp, &sh->own[1], 0, &sh->lines[next][1]);
        products_end(s);
        sums_written(dp);
        __syncthreads(); /* nobody reads this stage any more */
        if (threadIdx.x == 0 && i + STAGES < blocks.all) {
            fetch_keys(f, c, blocks, i + STAGES, column, sh);
        }
    }
    wgmma_begin();
    weights_times_rows(sum, ds, &sh->lines[(blocks.all - 1) % STAGES][0]);
    wgmma_commit();
    products_wait<0>();
    sums_written(sum);
    scale_sums(sum, g.scale);
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int r = row + 8 * half;
        store_row<D>(g.dq + (size_t)(c.row + t.first + r) * (size_t)g.qkv_stride + head * D, sum, half, r < n);
    }
#endif
}

/* ---- dK, dV ---- */

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

static __device__ __forceinline__ void copy4(void *to, const void *from)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(shared_address(to)), "l"(from));
}

/* The barrier hears when this thread's copies so far have come. */
static __device__ __forceinline__ void barrier_copies(uint64_t *barrier)
{
    asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(shared_address(barrier)) : "memory");
}

/* Stage i of a task: all heads of a block of queries, then the next block. */
template <int D>
static __device__ __forceinline__ void fetch_queries(const struct grad_flow &f, const struct context &w, int first,
                                                     int i, struct grad_shared<D> *s)
{
    const struct grad &g = f.g;
    int stage = i % stages_of<D>(), row = w.row + first + i / g.heads * ROWS,
        head = (int)blockIdx.x % g.J * g.heads + i % g.heads, line = (int)threadIdx.x % ROWS;
    size_t at = (size_t)min(row + line, g.n_rows - 1) * (size_t)g.H + (size_t)head;
    if (threadIdx.x == 0) {
        barrier_expect(&s->full[stage], sizeof s->lines[stage]);
        fetch_tile(&s->lines[stage][0], &f.q, head * D, row, &s->full[stage]);
        fetch_tile(&s->lines[stage][1], &f.dout, head * D, row, &s->full[stage]);
    }
    threadIdx.x < ROWS ? copy4(&s->lse[stage][line], g.lse + at) : copy4(&s->delta[stage][line], g.delta + at);
    barrier_copies(&s->full[stage]);
}

/* What a task's rows, keys first_key .. end_key - 1 of context w, see of its queries. */
struct view {
    int key, end_key; /* key: position of the lane's first row */
    int position, n;  /* of the stage's first query; how many there are */
};

static __device__ __forceinline__ bool seen(const struct view &v, int query, int below)
{
    return query < v.n && v.key + below < v.end_key && v.key + below <= v.position + query;
}

/* Scores, transposed -> weights */
template <bool WHOLE>
static __device__ __forceinline__ void weights_transposed(float (&s)[32], float scale_log2, const float *lse,
                                                          const struct view &v)
{
#pragma unroll
    for (int j = 0; j < 8; j++) {
        int at = 8 * j + (int)threadIdx.x % 4 * 2;
        float2 l = *reinterpret_cast<const float2 *>(lse + at);
#pragma unroll
        for (int i = 4 * j; i < 4 * j + 4; i++) {
            float p = fast_exp2(__fmaf_rn(s[i], scale_log2, -LOG2_E * (i % 2 ? l.y : l.x)));
            s[i] = WHOLE || seen(v, at + i % 2, i / 2 % 2 * 8) ? p : 0.0f;
        }
    }
}

/* Weights and dP, transposed -> dS / scale */
static __device__ __forceinline__ void score_grads_transposed(const float (&p)[32], float (&dp)[32], const float *delta)
{
#pragma unroll
    for (int j = 0; j < 8; j++) {
        float2 d = *reinterpret_cast<const float2 *>(delta + 8 * j + (int)threadIdx.x % 4 * 2);
#pragma unroll
        for (int i = 4 * j; i < 4 * j + 4; i++) {
            dp[i] = p[i] * (dp[i] - (i % 2 ? d.y : d.x));
        }
    }
}

/* The part of a task, of all its rows: those after the end of the prefix are zeros. */
template <int D> static __device__ __forceinline__ void store_part(float *to, const float (&sum)[D / 2], int row)
{
#pragma unroll
    for (int half = 0; half < 2; half++) {
#pragma unroll
        for (int i = 0; i < D / 8; i++) {
            *reinterpret_cast<float2 *>(to + (row + 8 * half) * D + 8 * i +
                                        (int)threadIdx.x % 4 * 2) = {sum[4 * i + 2 * half], sum[4 * i + 2 * half + 1]};
        }
    }
}

template <int D>
static __device__ __forceinline__ void store_keys(const struct grad &g, const struct cuda_grad_task &t,
                                                  const struct context &c, int n, const float (&dk)[D / 2],
                                                  const float (&dv)[D / 2])
{
    int row = (int)threadIdx.x / LANES * 16 + (int)threadIdx.x % LANES / 4, j = (int)blockIdx.x % g.J;
    if (t.part >= 0) {
        float *part = g.parts + ((size_t)t.part * (size_t)g.J + (size_t)j) * 2 * ROWS * D;
        store_part<D>(part, dk, row);
        store_part<D>(part + ROWS * D, dv, row);
        return;
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int r = row + 8 * half;
        size_t at = (size_t)(c.row + t.first + r) * (size_t)g.qkv_stride + (size_t)(j * D);
        store_row<D>(g.dk + at, dk, half, r < n);
        store_row<D>(g.dv + at, dv, half, r < n);
    }
}

#endif

template <int D>
__global__ void __launch_bounds__(THREADS, blocks_of<D>()) dkv_flow_kernel(const __grid_constant__ struct grad_flow f)
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ uint4 shared[];
    constexpr int STAGES = stages_of<D>();
    struct grad_shared<D> *sh = grad_shared_of<D>(shared);
    const struct grad &g = f.g;
    const struct cuda_grad_task t = g.keys[blockIdx.x / (unsigned)g.J];
    const struct context c = g.contexts[t.context], w = g.contexts[t.with];
    const int row = (int)threadIdx.x / LANES * 16 + (int)threadIdx.x % LANES / 4;
    const int n = min(min(ROWS, c.n_rows - t.first), t.with == t.context ? ROWS : w.n_prefix - t.first);
    const int first = t.with == t.context ? t.first : 0, first_key = c.n_prefix + t.first;
    const int n_stages = (w.n_rows - first + ROWS - 1) / ROWS * g.heads;
    float dk[D / 2] = {}, dv[D / 2] = {};
    if (n_stages == 0) { /* nobody sees the keys */
        store_keys<D>(g, t, c, n, dk, dv);
        return;
    }
    begin_stages(sh, THREADS + 1);
    if (threadIdx.x == 0) { /* the first stage has two tiles more */
        barrier_more(&sh->full[0], sizeof sh->own);
        fetch_tile(&sh->own[0], &f.k, (int)blockIdx.x % g.J * D, c.row + t.first, &sh->full[0]);
        fetch_tile(&sh->own[1], &f.v, (int)blockIdx.x % g.J * D, c.row + t.first, &sh->full[0]);
    }
    for (int i = 0; i < STAGES && i < n_stages; i++) {
        fetch_queries(f, w, first, i, sh);
    }
    float s[32], dp[32];
    uint32_t p[4][4], ds[4][4];
    wait_stage(sh, 0);
    wgmma_begin();
    rows_times_rows(s, &sh->own[0], 0, &sh->lines[0][0]);
    products_end(s);
    for (int i = 0;; i++) {
        const int here = i % STAGES, next = (i + 1) % STAGES, start = first + i / g.heads * ROWS;
        struct view v = {first_key + row, first_key + n, w.n_prefix + start, w.n_rows - start};
        wgmma_begin();
        rows_times_rows(dp, &sh->own[1], 0, &sh->lines[here][1]);
        wgmma_commit();
        if (n == ROWS && v.n >= ROWS && v.position >= first_key + ROWS - 1) {
            weights_transposed<true>(s, g.scale_log2, sh->lse[here], v);
        } else {
            weights_transposed<false>(s, g.scale_log2, sh->lse[here], v);
        }
        products_wait<0>();
        sums_written(dp);
        sums_written(s);
        score_grads_transposed(s, dp, sh->delta[here]);
        pack_sums<64>(p, s);
        pack_sums<64>(ds, dp);
        if (i + 1 == n_stages) {
            break;
        }
        wait_stage(sh, i + 1);
        wgmma_begin();
        weights_times_rows(dv, p, &sh->lines[here][1]);
        weights_times_rows(dk, ds, &sh->lines[here][0]);
        rows_times_rows(s, &sh->own[0], 0, &sh->lines[next][0]);
        products_end(s);
        __syncthreads(); /* nobody reads this stage any more */
        if (i + STAGES < n_stages) {
            fetch_queries(f, w, first, i + STAGES, sh);
        }
    }
    wgmma_begin();
    weights_times_rows(dv, p, &sh->lines[(n_stages - 1) % STAGES][1]);
    weights_times_rows(dk, ds, &sh->lines[(n_stages - 1) % STAGES][0]);
    wgmma_commit();
    products_wait<0>();
    sums_written(dk);
    scale_sums(dk, g.scale);
    sums_written(dv);
    store_keys<D>(g, t, c, n, dk, dv);
#endif
}

/* ---- launches ---- */

template <int D> static void launch(const struct grad_flow *f, const struct cuda_grad_plan *plan)
{
    constexpr size_t bytes = grad_shared_bytes<D>();
    allow_shared<dq_flow_kernel<D>>(bytes);
    allow_shared<dkv_flow_kernel<D>>(bytes);
    dq_flow_kernel<D><<<(unsigned)(plan->n_queries * f->g.H), THREADS, bytes, cuda.stream>>>(*f);
    cuda_launched("attention's dQ");
    dkv_flow_kernel<D><<<(unsigned)(plan->n_keys * f->g.J), THREADS, bytes, cuda.stream>>>(*f);
    cuda_launched("attention's dK, dV");
}

bool attention_grad_flow_serves(const struct grad *g)
{
    bool aligned = (uintptr_t)g->q % 16 == 0 && (uintptr_t)g->k % 16 == 0 && (uintptr_t)g->v % 16 == 0 &&
                   (uintptr_t)g->dout % 16 == 0 && (uintptr_t)g->out % 16 == 0 && (uintptr_t)g->dq % 16 == 0 &&
                   (uintptr_t)g->dk % 16 == 0 && (uintptr_t)g->dv % 16 == 0 && g->qkv_stride % 8 == 0 &&
                   g->out_stride % 8 == 0;
    return wgmma_usable() && aligned && (g->D == 64 || g->D == 128) && g->Dv == g->D && g->kv_stride == g->qkv_stride &&
           g->dv != g->dk;
}

void attention_grad_flow(const struct grad *g, const struct cuda_grad_plan *plan)
{
    struct grad_flow f = {};
    f.g = *g;
    f.q = flow_map({g->q, (size_t)g->qkv_stride, g->n_rows, g->H * g->D}, ROWS);
    f.k = flow_map({g->k, (size_t)g->qkv_stride, g->n_rows, g->J * g->D}, ROWS);
    f.v = flow_map({g->v, (size_t)g->qkv_stride, g->n_rows, g->J * g->D}, ROWS);
    f.dout = flow_map({g->dout, (size_t)g->out_stride, g->n_rows, g->H * g->D}, ROWS);
    g->D == 64 ? launch<64>(&f, plan) : launch<128>(&f, plan);
}

/* kernels/cuda/attention_flow.cu - attention of many rows on Hopper, for heads of 64 and 128 elements; the same bits.
 *
 * A block stays on its multiprocessor and does task after task. Two of its three warpgroups multiply and make weights,
 * 64 rows each; the third has the tensor memory accelerator bring the pages of keys and values that both need, and
 * meanwhile the queries of the next task. The scores of a page are made while the weights of the page before are
 * multiplied with its values. The chains are those of kernels/cuda/attention.cu, so are the bits.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/attention_rows.cuh"
#include "kernels/cuda/wgmma.cuh"

extern "C" {
#include "base/err.h"
}

static constexpr int ROWS = 128;    /* of a task: as many tokens as fit, times the query heads of a key/value head */
static constexpr int THREADS = 384; /* warpgroup 0 fetches, 1 and 2 multiply */
static constexpr int WARPS = 8;     /* that multiply */
static constexpr int PLACES = 2;    /* for pages of keys and values, and for queries */

static_assert(THREADS == 128 + WARPS * LANES && ROWS == 16 * WARPS, "16 rows per warp");

struct attend {
    CUtensorMap q, k, v; /* q: [T][H][D] */
    struct block b;
    int n_tiles;  /* tasks times key/value heads */
    int n_tokens; /* of a box of queries */
};

/* A task and a key/value head. */
struct turn {
    struct cuda_task t;
    int j, n_keys, n_pages; /* n_pages 0: there are no more */
    int first;              /* its first page, of all pages that the block has */
};

struct place_barriers {
    uint64_t full, empty;
};

/* The i-th page or task of a block is at place i % PLACES. */
template <int D> struct attend_shared {
    struct tile<ROWS, D> queries[PLACES];
    struct tile<OPS_PAGE, D> keys[PLACES], values[PLACES];
    struct turn turns[PLACES]; /* what the queries belong to */
    struct place_barriers of_queries[PLACES], of_keys[PLACES], of_values[PLACES];
    uint64_t landed[PLACES]; /* values that are not full before the lines after the last key are zeros */
};

template <int D> static constexpr size_t attend_shared_bytes()
{
    return sizeof(struct attend_shared<D>) + 1024;
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* The block's task of this round: they are dealt out back and forth, as the long ones come first. */
static __device__ __forceinline__ bool take_turn(const struct attend &a, int round, int first, struct turn *turn)
{
    int blocks = (int)gridDim.x, at = (int)blockIdx.x, tile = round * blocks + (round % 2 ? blocks - 1 - at : at);
    if (tile >= a.n_tiles) {
        turn->n_pages = 0;
        return false;
    }
    turn->t = a.b.tasks[tile / a.b.J];
    turn->j = tile % a.b.J, turn->first = first;
    turn->n_keys = turn->t.position + turn->t.n_rows;
    turn->n_pages = (turn->n_keys + OPS_PAGE - 1) / OPS_PAGE;
    return true;
}

static __device__ __forceinline__ void init_place(struct place_barriers *b)
{
    barrier_init(&b->full, 1);
    barrier_init(&b->empty, WARPS);
}

/* Until the place of the i-th is free, by who fills it: the phase before the first is over from the start. */
static __device__ __forceinline__ void wait_empty(struct place_barriers *b, uint32_t i)
{
    barrier_wait(&b[i % PLACES].empty, i / PLACES % 2 ^ 1);
}

static __device__ __forceinline__ void wait_full(struct place_barriers *b, uint32_t i)
{
    barrier_wait(&b[i % PLACES].full, i / PLACES % 2);
}

/* By the warps that multiply. */
static __device__ __forceinline__ void set_empty(struct place_barriers *b, uint32_t i)
{
    if (threadIdx.x % LANES == 0) {
        barrier_arrive(&b[i % PLACES].empty);
    }
}

/* A box of queries, 64 elements wide: the heads of a token, then those of the next. */
static __device__ __forceinline__ void fetch_heads(bf16 *to, const CUtensorMap *map, int element, int head, int row,
                                                   uint64_t *barrier)
{
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], "
        "[%5];" ::"r"(shared_address(to)),
        "l"(map), "r"(element), "r"(head), "r"(row), "r"(shared_address(barrier))
        : "memory");
}

template <int D>
static __device__ __forceinline__ void fetch_page(const struct attend &a, struct attend_shared<D> *sh,
                                                  const struct turn &turn, int page)
{
    constexpr uint32_t BYTES = sizeof(struct tile<OPS_PAGE, D>);
    int line = (a.b.pages[turn.t.pages + page] * a.b.J + turn.j) * OPS_PAGE;
    int i = turn.first + page, at = i % PLACES;
    bool part = turn.n_keys < (page + 1) * OPS_PAGE;
    wait_empty(sh->of_keys, i);
    barrier_expect(&sh->of_keys[at].full, BYTES);
    fetch_tile(&sh->keys[at], &a.k, 0, line, &sh->of_keys[at].full);
    wait_empty(sh->of_values, i);
    uint64_t *barrier = part ? &sh->landed[at] : &sh->of_values[at].full;
    barrier_expect(barrier, BYTES);
    fetch_tile(&sh->values[at], &a.v, 0, line, barrier);
}

/* By one thread. */
template <int D> static __device__ __forceinline__ void fetch_all(const struct attend &a, struct attend_shared<D> *sh)
{
    int first = 0;
#pragma unroll 1
    for (int round = 0;; round++) {
        int place = round % PLACES;
        uint64_t *full = &sh->of_queries[place].full;
        struct turn &turn = sh->turns[place];
        wait_empty(sh->of_queries, round);
        if (!take_turn(a, round, first, &turn)) {
            barrier_arrive(full);
            return;
        }
        barrier_expect(full, (uint32_t)(a.n_tokens * a.b.heads * D) * (uint32_t)sizeof(bf16));
        for (int i = 0; i < D / 64; i++) {
            fetch_heads(sh->queries[place].columns[i], &a.q, 64 * i, turn.j * a.b.heads, turn.t.row, full);
        }
#pragma unroll 1
        for (int page = 0; page < turn.n_pages; page++) {
            fetch_page(a, sh, turn, page);
        }
        first += turn.n_pages;
    }
}

/* Makes zeros of the lines after the last key, where values are; by one warp. */
template <int D> static __device__ __forceinline__ void clear_rests(const struct attend &a, struct attend_shared<D> *sh)
{
    int first = 0, lane = (int)threadIdx.x % LANES;
    uint32_t parities = 0; /* of landed */
    struct turn turn;
#pragma unroll 1
    for (int round = 0; take_turn(a, round, first, &turn); round++) {
        int n = turn.n_keys % OPS_PAGE;
        first += turn.n_pages;
        if (n == 0) {
            continue;
        }
        int at = (first - 1) % PLACES;
        barrier_wait(&sh->landed[at], parities >> at & 1);
        parities ^= 1u << at;
        for (int i = 0; i < D / 64; i++) {
            uint4 *lines = reinterpret_cast<uint4 *>(sh->values[at].columns[i]);
#pragma unroll 1
            for (int k = n * 8 + lane; k < OPS_PAGE * 8; k += LANES) {
                lines[k] = make_uint4(0, 0, 0, 0);
            }
        }
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
        __syncwarp();
        if (lane == 0) {
            barrier_arrive(&sh->of_values[at].full);
        }
    }
}

/* The bits of __fdiv_rn for numbers of an ordinary size (by its own steps); inverse: 1 / l, to a rounding or so. */
static __device__ __forceinline__ float ordinary_quotient(float x, float l, float inverse)
{
    float q = __fmul_rn(x, inverse);
    q = __fmaf_rn(__fmaf_rn(-l, q, x), inverse, q);
    return __fmaf_rn(__fmaf_rn(-l, q, x), inverse, q);
}

/* The sums of this half's row, divided by l. */
template <int D> static __device__ __forceinline__ void divide_row(float (&sums)[D / 2], int half, float l)
{
    float least = fabsf(l), most = fabsf(l), inverse = fast_inverse(l);
    inverse = __fmaf_rn(__fmaf_rn(-l, inverse, 1.0f), inverse, inverse);
#pragma unroll
    for (int i = 2 * half; i < D / 2; i += i % 2 ? 3 : 1) {
        least = fminf(least, fabsf(sums[i])), most = fmaxf(most, fabsf(sums[i]));
    }
    bool ordinary = least > 0x1p-60f && most < 0x1p60f;
#pragma unroll
    for (int i = 2 * half; i < D / 2; i += i % 2 ? 3 : 1) {
        sums[i] = ordinary ? ordinary_quotient(sums[i], l, inverse) : sums[i];
    }
    if (!ordinary) {
#pragma unroll
        for (int i = 2 * half; i < D / 2; i += i % 2 ? 3 : 1) {
            sums[i] = __fdiv_rn(sums[i], l);
        }
    }
}

template <int D>
static __device__ __forceinline__ void store_turn(const struct block &b, const struct turn &turn, int row,
                                                  float (&sums)[D / 2], const float m[2], const float l[2])
{
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int r = row + 8 * half;
        bool there = r < turn.t.n_rows * b.heads;
        bf16 *out = b.out + row_at(b, turn.t, turn.j, r, b.out_stride, b.D);
        divide_row<D>(sums, half, l[half]);
        store_row<D>(out, sums, half, there);
        if (b.lse && there && threadIdx.x % 4 == 0) {
            store_lse(b, turn.t, turn.j, r, m[half], l[half]);
        }
    }
}

template <int D>
static __device__ __forceinline__ void attend_turn(const struct attend &a, struct attend_shared<D> *sh, int round)
{
    const struct turn &turn = sh->turns[round % PLACES]; /* read again where it is needed, as registers are few */
    const struct tile<ROWS, D> *queries = &sh->queries[round % PLACES];
    const int group = (int)threadIdx.x / 128 - 1;
    const int row = group * 64 + (int)threadIdx.x % 128 / LANES * 16 + (int)threadIdx.x % LANES / 4;
    int sees[2] = {turn.t.position + row / a.b.heads + 1, turn.t.position + (row + 8) / a.b.heads + 1};
    float s[OPS_PAGE / 8][4], o[D / 8][4] = {}, m[2] = {NEVER, NEVER}, l[2] = {0, 0}, factor[2];
    float(&scores)[OPS_PAGE / 2] = reinterpret_cast<float(&)[OPS_PAGE / 2]>(s);
    float(&sums)[D / 2] = reinterpret_cast<float(&)[D / 2]>(o);
    uint32_t weights[OPS_PAGE / 16][4];
    int i = turn.first;
    wait_full(sh->of_keys, i);
    wgmma_begin();
    rows_times_rows(scores, queries, 64 * group, &sh->keys[i % PLACES]);
    wgmma_commit();
    products_wait<0>();
    sums_written(scores);
    set_empty(sh->of_keys, i);
    for (;; i++) {
        if (turn.t.position + 1 - (i - turn.first) * OPS_PAGE >= OPS_PAGE) {
            scale_all<OPS_PAGE>(s, a.b.scale_log2);
        } else {
            scale_and_hide<OPS_PAGE>(s, a.b.scale_log2, 0, sees);
        }
        sees[0] -= OPS_PAGE, sees[1] -= OPS_PAGE;
        page_weights(s, m, l, factor);
        products_wait<0>(); /* of the page before */
        sums_written(sums);
        sums_written(scores);
        if (i > turn.first) {
            set_empty(sh->of_values, i - 1);
        }
        shrink<D>(o, factor);
        pack_sums<OPS_PAGE>(weights, scores);
        wait_full(sh->of_values, i);
        if (i + 1 == turn.first + turn.n_pages) {
            break;
        }
        wait_full(sh->of_keys, i + 1);
        wgmma_begin();
        rows_times_rows(scores, queries, 64 * group, &sh->keys[(i + 1) % PLACES]);
        wgmma_commit();
        weights_times_rows(sums, weights, &sh->values[i % PLACES]);
        wgmma_commit();
        products_wait<1>();
        sums_written(scores);
        set_empty(sh->of_keys, i + 1);
    }
    const struct turn done = turn;
    set_empty(sh->of_queries, round);
    wgmma_begin();
    weights_times_rows(sums, weights, &sh->values[i % PLACES]);
    wgmma_commit();
    products_wait<0>();
    sums_written(sums);
    set_empty(sh->of_values, i);
    store_turn<D>(a.b, done, row, sums, m, l);
}

#endif

template <int D> __global__ void __launch_bounds__(THREADS, 1) attend_kernel(const __grid_constant__ struct attend a)
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ uint4 shared[];
    struct attend_shared<D> *sh = reinterpret_cast<struct attend_shared<D> *>(((uintptr_t)shared + 1023) / 1024 * 1024);
    if (threadIdx.x == 0) {
        for (int i = 0; i < PLACES; i++) {
            init_place(&sh->of_queries[i]);
            init_place(&sh->of_keys[i]);
            init_place(&sh->of_values[i]);
            barrier_init(&sh->landed[i], 1);
        }
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    }
    __syncthreads();
    if (threadIdx.x < 128) { /* 128 x 40 + 256 x 232 of 65,536 registers */
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (threadIdx.x == 0) {
            fetch_all(a, sh);
        } else if (threadIdx.x / LANES == 1) {
            clear_rests(a, sh);
        }
        return;
    }
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
    for (int round = 0;; round++) {
        wait_full(sh->of_queries, round);
        if (sh->turns[round % PLACES].n_pages == 0) {
            return;
        }
        attend_turn(a, sh, round);
    }
#endif
}

/* ---- launches ---- */

int attention_flow_rows(void)
{
    return ROWS;
}

bool attention_flow_serves(const struct block *b)
{
    bool aligned = (uintptr_t)b->q % 16 == 0 && (uintptr_t)b->k_pool % 16 == 0 && (uintptr_t)b->v_pool % 16 == 0 &&
                   (uintptr_t)b->out % 16 == 0 && b->q_stride % 8 == 0 && b->out_stride % 8 == 0;
    return wgmma_usable() && aligned && (b->D == 64 || b->D == 128) && b->Dv == b->D;
}

/* Boxes of a task's queries. */
static CUtensorMap map_queries(const struct block *b, int n_rows, int n_tokens)
{
    cuuint64_t size[3] = {(cuuint64_t)b->D, (cuuint64_t)b->H, (cuuint64_t)n_rows};
    cuuint64_t strides[2] = {(cuuint64_t)b->D * sizeof(bf16), (cuuint64_t)b->q_stride * sizeof(bf16)};
    cuuint32_t box[3] = {64, (cuuint32_t)b->heads, (cuuint32_t)n_tokens};
    return flow_encode(b->q, 3, size, strides, box);
}

template <int D> static void launch(struct attend *a)
{
    constexpr size_t bytes = attend_shared_bytes<D>();
    int blocks = a->n_tiles < cuda.n_processors ? a->n_tiles : cuda.n_processors;
    allow_shared<attend_kernel<D>>(bytes);
    attend_kernel<D><<<(unsigned)blocks, THREADS, bytes, cuda.stream>>>(*a);
    cuda_launched("attention");
}

void attention_flow(const struct block *b, int n_tasks, int n_rows)
{
    if (n_tasks == 0) {
        return;
    }
    struct attend a = {};
    a.b = *b;
    a.n_tiles = n_tasks * b->J;
    a.n_tokens = ROWS / b->heads;
    a.q = map_queries(b, n_rows, a.n_tokens);
    a.k = flow_map({b->k_pool, (size_t)b->D, INT32_MAX, b->D}, OPS_PAGE); /* as many pages as there may be */
    a.v = flow_map({b->v_pool, (size_t)b->D, INT32_MAX, b->D}, OPS_PAGE);
    b->D == 64 ? launch<64>(&a) : launch<128>(&a);
}

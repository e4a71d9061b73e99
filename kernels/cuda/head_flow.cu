/* kernels/cuda/head_flow.cu - the LM head on Hopper: what is done with 128 x 256 sums as registers hold them.
 *
 * Four lanes share a row: each has 32 of a vocabulary tile's 128 tokens, and the block's 256 columns are two such
 * tiles. The arithmetic is that of kernels/cuda/head.cuh.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/flow.cuh"
#include "kernels/cuda/head.cuh"

static_assert(FLOW_COLUMNS == 2 * HEAD_TILE, "two vocabulary tiles");

/* Where a thread's first sum is. Its other row is 8 further on. */
struct flow_at {
    int row, column;
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

static __device__ __forceinline__ struct flow_at flow_at_of(const struct flow &f, int group, int tile)
{
    int thread = (int)threadIdx.x % 128, lane = thread % LANES;
    return {tile % f.row_tiles * FLOW_ROWS + group * 64 + thread / LANES * 16 + lane / 4,
            tile / f.row_tiles * FLOW_COLUMNS + lane % 4 * 2};
}

static __device__ __forceinline__ float quad_sum(float x)
{
    x = __fadd_rn(x, __shfl_xor_sync(0xFFFFFFFFu, x, 1));
    return __fadd_rn(x, __shfl_xor_sync(0xFFFFFFFFu, x, 2));
}

static __device__ __forceinline__ float quad_most(float x)
{
    x = fmaxf(x, __shfl_xor_sync(0xFFFFFFFFu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xFFFFFFFFu, x, 2));
}

/* Sum over a lane's 16 pairs: p with p ^ 32, 16, 8, 4 */
template <int FAR = 8> static __device__ __forceinline__ float pairs_sum(float x[16])
{
#pragma unroll
    for (int j = 0; j < FAR; j++) {
        x[j] = __fadd_rn(x[j], x[j + FAR]);
    }
    if constexpr (FAR > 1) {
        return pairs_sum<FAR / 2>(x);
    }
    return x[0];
}

/* A lane's 32 numbers of a row's tile: tokens 8 j + i from its first on at x[2 j + i]. part: 2 tile + half */
static __device__ __forceinline__ void take_part(const struct flow_sums &s, int part, float x[32])
{
#pragma unroll
    for (int k = 0; k < 32; k++) {
        int at = k / 2 * 4 + k % 2;
        x[k] = part == 0 ? s.c[at] : part == 1 ? s.c[at + 2] : part == 2 ? s.c[at + 64] : s.c[at + 66];
    }
}

static __device__ __forceinline__ void store_logits(const struct head &h, const float x[32], int row, int token)
{
    float *to = h.logits + (size_t)row * (size_t)h.V + (size_t)token;
#pragma unroll
    for (int k = 0; k < 32; k++) {
        int at = k / 2 * 8 + k % 2;
        if (row < h.n_rows && token + at < h.V) {
            to[at] = x[k];
        }
    }
}

/* Turns sums into logits; their maximum, in all four lanes. left: tokens that exist, from the lane's first on */
template <bool WHOLE> static __device__ __forceinline__ float make_logits(float x[32], float inv_temperature, int left)
{
    float most = HEAD_NO_LOGIT;
#pragma unroll
    for (int k = 0; k < 32; k++) {
        x[k] = __fmul_rn(x[k], inv_temperature);
        x[k] = WHOLE || k / 2 * 8 + k % 2 < left ? x[k] : HEAD_NO_LOGIT;
        most = fmaxf(most, x[k]);
    }
    return quad_most(most);
}

static __device__ __forceinline__ void quad_stats(const float x[32], float most, struct head_tile *tile)
{
    float sum[16], weighted[16];
#pragma unroll
    for (int j = 0; j < 16; j++) {
        pair_stats(x[2 * j], x[2 * j + 1], most, sum[j], weighted[j]);
    }
    tile->most = most, tile->sum = quad_sum(pairs_sum(sum)), tile->weighted = quad_sum(pairs_sum(weighted));
}

/* at: of the target, from the lane's first token on */
static __device__ __forceinline__ void store_target(const float x[32], unsigned at, float *to)
{
    if (at < HEAD_TILE) {
#pragma unroll
        for (int k = 0; k < 32; k++) {
            if (at == k / 2 * 8 + k % 2) {
                *to = x[k];
            }
        }
    }
}

/* The best of the lane's tokens. NOISY: any of the warp's rows is; they make noise together. */
template <bool NOISY>
static __device__ __forceinline__ void lane_draw(const float x[32], const struct head_draw &d, int token, int n_valid,
                                                 struct head_tile *tile)
{
    uint32_t group = (uint32_t)token / 4; /* the lane's first two tokens are in it, its next in group + 2 */
#pragma unroll
    for (int k = 0; k < 32; k += 4) {
        float noise[4] = {};
        if constexpr (NOISY) {
            make_noise(d, group + (uint32_t)k, group + (uint32_t)k + 2, noise);
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
            take_better(__fadd_rn(x[k + i], noise[i]), x[k + i], token + (k + i) / 2 * 8 + i % 2, n_valid, tile);
        }
    }
}

static __device__ __forceinline__ void quad_draw(const float x[32], const struct head_draw &d, int token, int n_valid,
                                                 struct head_tile *tile)
{
    tile->best = -CUDART_INF_F, tile->logit = 0, tile->token = -1;
    if (__any_sync(0xFFFFFFFFu, (int)d.noisy)) {
        lane_draw<true>(x, d, token, n_valid, tile);
    } else {
        lane_draw<false>(x, d, token, n_valid, tile);
    }
#pragma unroll
    for (int far = 1; far < 4; far *= 2) {
        float best = __shfl_xor_sync(0xFFFFFFFFu, tile->best, far),
              logit = __shfl_xor_sync(0xFFFFFFFFu, tile->logit, far);
        int32_t other = __shfl_xor_sync(0xFFFFFFFFu, tile->token, far);
        if (better(best, other, tile->best, tile->token)) {
            tile->best = best, tile->logit = logit, tile->token = other;
        }
    }
}

/* What a tile says of a row. */
template <bool DRAWS, bool WHOLE>
static __device__ __forceinline__ void tile_of_row(const struct head &h, float x[32], int row, int token)
{
    bool there = row < h.n_rows;
    struct head_draw draw = {h.inv_temperature};
    struct head_tile tile = {0, 0, 0, 0, 0, -1};
    if (DRAWS && there) {
        draw = h.draws[row];
    }
    if (DRAWS && h.logits) {
        store_logits(h, x, row, token);
    }
    float most = make_logits<WHOLE>(x, draw.inv_temperature, h.V - token);
    quad_stats(x, most, &tile);
    if (!DRAWS && there) {
        store_target(x, (unsigned)(h.targets[row] - token), h.target_logit + row);
    }
    if (DRAWS && !h.logits) {
        quad_draw(x, draw, token, h.n_valid, &tile);
    }
    if (there && threadIdx.x % 4 == 0) {
        h.tiles[(size_t)row * (size_t)h.n_tiles + (size_t)(token / HEAD_TILE)] = tile;
    }
}

/* Drawing is much code: there one copy serves all parts. */
template <bool DRAWS, bool WHOLE>
static __device__ __forceinline__ void tiles_of_rows(const struct head &h, const struct flow_sums &s, struct flow_at at)
{
    int first = at.row - (int)threadIdx.x % LANES / 4; /* of the warp */
#pragma unroll(DRAWS ? 1 : 4)
    for (int part = 0; part < 4; part++) {
        float x[32];
        int row = part % 2 * 8, token = at.column + part / 2 * HEAD_TILE;
        if (first + row < h.n_rows && token / HEAD_TILE < h.n_tiles) {
            take_part(s, part, x);
            tile_of_row<DRAWS, WHOLE>(h, x, at.row + row, token);
        }
    }
}

/* One row's run of 32 tokens: of a lane s.c[first + 4 j], s.c[first + 4 j + 1], j = 0 .. 3 */
template <bool ENTROPY>
static __device__ __forceinline__ void dlogits_of_row(const struct head_grad &g, const struct flow_sums &s, int first,
                                                      const struct grad_facts &facts, int row, int token)
{
    float x[8];
#pragma unroll
    for (int i = 0; i < 8; i++) {
        x[i] = dlogit_of<ENTROPY>(facts, s.c[first + i / 2 * 4 + i % 2], g.inv_temperature);
    }
    unsigned at = (unsigned)(facts.target - token);
    int left = g.V - token;
    if (at < 32 || left < 32) {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            int mine = i / 2 * 8 + i % 2;
            x[i] = at == (unsigned)mine ? __fadd_rn(x[i], __fmul_rn(facts.d_logprob, g.inv_temperature)) : x[i];
            x[i] = mine < left ? x[i] : 0;
        }
    }
    uint4 run =
        quad_transposed(pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3]), pack_bf16(x[4], x[5]), pack_bf16(x[6], x[7]));
    token += (int)threadIdx.x % 4 * 6; /* a lane began 2 tokens after its neighbour, and now 8 */
    if (row < g.n_rows && (size_t)token < g.line) {
        *reinterpret_cast<uint4 *>(g.dlogits + (size_t)row * g.line + (size_t)token) = run;
    }
}

template <bool ENTROPY>
static __device__ __forceinline__ void dlogits_of_rows(const struct head_grad &g, const struct flow_sums &s,
                                                       struct flow_at at)
{
    struct grad_facts upper = grad_facts_of(g, at.row), lower = grad_facts_of(g, at.row + 8);
#pragma unroll
    for (int run = 0; run < FLOW_COLUMNS / 32; run++) {
        dlogits_of_row<ENTROPY>(g, s, 16 * run, upper, at.row, at.column + 32 * run);
        dlogits_of_row<ENTROPY>(g, s, 16 * run + 2, lower, at.row + 8, at.column + 32 * run);
    }
}

#endif

template <bool DRAWS>
__global__ void __launch_bounds__(FLOW_THREADS, 1)
    head_flow_kernel(const __grid_constant__ struct flow f, const __grid_constant__ struct head h)
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ uint4 shared[];
    flow_run(f, shared, [&](struct flow_sums &s, int group, int tile) {
        struct flow_at at = flow_at_of(f, group, tile);
        bool whole = at.column / FLOW_COLUMNS * FLOW_COLUMNS + FLOW_COLUMNS <= h.V;
        if (!DRAWS && whole) {
            tiles_of_rows<DRAWS, true>(h, s, at);
        } else {
            tiles_of_rows<DRAWS, false>(h, s, at);
        }
    });
#endif
}

template <bool ENTROPY>
__global__ void __launch_bounds__(FLOW_THREADS, 1)
    head_grad_flow_kernel(const __grid_constant__ struct flow f, const __grid_constant__ struct head_grad g)
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ uint4 shared[];
    flow_run(f, shared, [&](struct flow_sums &s, int group, int tile) {
        dlogits_of_rows<ENTROPY>(g, s, flow_at_of(f, group, tile));
    });
#endif
}

/* A block for each multiprocessor. */
template <auto KERNEL, class ARGS> static void launch_flow(const ARGS *args)
{
    struct operand a = {args->hidden, (size_t)args->d, args->n_rows, args->d},
                   b = {args->w, (size_t)args->d, args->V, args->d};
    struct flow f = flow_of(a, b);
    unsigned blocks = (unsigned)(f.n_tiles < cuda.n_processors ? f.n_tiles : cuda.n_processors);
    allow_shared<KERNEL>(flow_shared_bytes());
    KERNEL<<<blocks, FLOW_THREADS, flow_shared_bytes(), cuda.stream>>>(f, *args);
}

void head_flow(const struct head *h)
{
    h->draws ? launch_flow<head_flow_kernel<true>>(h) : launch_flow<head_flow_kernel<false>>(h);
    cuda_launched("head");
}

void head_grad_flow(const struct head_grad *g)
{
    g->d_entropy ? launch_flow<head_grad_flow_kernel<true>>(g) : launch_flow<head_grad_flow_kernel<false>>(g);
    cuda_launched("head_grad");
}

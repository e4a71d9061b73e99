/* kernels/cuda/head.cu - the LM head fused with log-softmax and sampling; logits stay on the chip.
 *
 * A block multiplies 128 rows with a vocabulary tile of 128 tokens and leaves, for each row, what the tile says (struct
 * head_tile); a second kernel puts a row's tiles together. On Hopper the tiles are made otherwise
 * (kernels/cuda/head_flow.cu), with the same arithmetic (kernels/cuda/head.cuh). Training and decoding use the same
 * kernels, so their bits agree.
 *
 * Over tiles: the largest maximum M; lane i adds sum * exp(most - M) of tiles i, i + 32, ... ascending; then the
 * butterfly.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/filter.cuh"
#include "kernels/cuda/head.cuh"

static constexpr int PASS_ROWS = 2048;
static constexpr int FEW_ROWS = 256; /* rows of a pass that stores its logits */

static_assert(PASS_ROWS == CUDA_PASS_ROWS && FEW_ROWS == CUDA_FEW_ROWS, "kernels/slots.h");

/* A warp does a few rows at once, so that the others hide the latency of one. */
static constexpr int ROWS_AT_ONCE = 4;

/* Of a tile lane i has the pairs i and i + 32: tokens 2 i, 2 i + 1, 2 i + 64, 2 i + 65. */
static __device__ __forceinline__ int token_of(int lane, int k)
{
    return 2 * lane + k % 2 + k / 2 * 64;
}

static __device__ __forceinline__ void warp_sums(float x[ROWS_AT_ONCE][2])
{
    const int far[5] = {16, 8, 4, 1, 2};
#pragma unroll
    for (int q = 0; q < ROWS_AT_ONCE; q++) {
        x[q][0] = __fadd_rn(x[q][0], x[q][1]);
    }
#pragma unroll
    for (int i = 0; i < 5; i++) {
#pragma unroll
        for (int q = 0; q < ROWS_AT_ONCE; q++) {
            x[q][0] = __fadd_rn(x[q][0], __shfl_xor_sync(0xFFFFFFFFu, x[q][0], far[i]));
        }
    }
}

static __device__ __forceinline__ void tile_stats(const float x[ROWS_AT_ONCE][4], struct head_tile tiles[ROWS_AT_ONCE])
{
    float sum[ROWS_AT_ONCE][2], weighted[ROWS_AT_ONCE][2];
#pragma unroll
    for (int q = 0; q < ROWS_AT_ONCE; q++) {
        tiles[q].most = warp_most(fmaxf(fmaxf(x[q][0], x[q][1]), fmaxf(x[q][2], x[q][3])));
    }
#pragma unroll
    for (int q = 0; q < ROWS_AT_ONCE; q++) {
        pair_stats(x[q][0], x[q][1], tiles[q].most, sum[q][0], weighted[q][0]);
        pair_stats(x[q][2], x[q][3], tiles[q].most, sum[q][1], weighted[q][1]);
    }
    warp_sums(sum);
    warp_sums(weighted);
#pragma unroll
    for (int q = 0; q < ROWS_AT_ONCE; q++) {
        tiles[q].sum = sum[q][0], tiles[q].weighted = weighted[q][0];
        tiles[q].best = 0, tiles[q].logit = 0, tiles[q].token = -1;
    }
}

/* The best of the lanes' candidates, in all of them. A lane without one has token -1. */
static __device__ __forceinline__ void warp_best(float &best, float &logit, int32_t &token)
{
    uint32_t mine = token < 0 ? 0 : ordered_bits(best), most = __reduce_max_sync(0xFFFFFFFFu, mine);
    uint32_t least = __reduce_min_sync(0xFFFFFFFFu, token >= 0 && mine == most ? (uint32_t)token : 0xFFFFFFFFu);
    int owner = __ffs((int)__ballot_sync(0xFFFFFFFFu, token >= 0 && (uint32_t)token == least)) - 1;
    token = (int32_t)least; /* -1: no lane has one */
    best = from_ordered_bits(most);
    logit = __shfl_sync(0xFFFFFFFFu, logit, owner < 0 ? 0 : owner);
}

/* x: the logits of the lane's tokens in the tile that begins with `first` */
static __device__ __forceinline__ void tile_draw(const float x[4], const struct head_draw &d, int first, int n_valid,
                                                 struct head_tile *tile)
{
    int lane = threadIdx.x % LANES;
    uint32_t group = (uint32_t)(first + lane / 2 * 4) / 4;
    float noise[4] = {};
    if (d.noisy) {
        make_noise(d, group, group + 16, noise);
    }
    tile->best = -CUDART_INF_F, tile->logit = 0, tile->token = -1;
#pragma unroll
    for (int k = 0; k < 4; k++) {
        take_better(__fadd_rn(x[k], noise[k]), x[k], first + token_of(lane, k), n_valid, tile);
    }
}

/* What is known of a block's rows before the sums are. */
struct row_facts {
    struct head_draw draw[HEAD_ROWS]; /* inv_temperature alone without draws */
    int target[HEAD_ROWS];            /* -1: none */
};

static __device__ __forceinline__ void load_facts(const struct head &h, int row0, struct row_facts *facts)
{
    for (int r = threadIdx.x; r < HEAD_ROWS; r += HEAD_THREADS) {
        bool there = row0 + r < h.n_rows;
        facts->draw[r].inv_temperature = h.inv_temperature;
        if (h.draws && there) {
            facts->draw[r] = h.draws[row0 + r];
        }
        facts->target[r] = h.targets && there ? h.targets[row0 + r] : -1;
    }
}

/* Rows i .. i + 3 of the warp in tile i_tile; lines: the block's sums. */
static __device__ __forceinline__ void tile_rows(const struct head &h, const struct row_facts &facts,
                                                 const float *lines, int row0, int i, int i_tile)
{
    int lane = threadIdx.x % LANES, warp = (int)threadIdx.x / LANES, first = i_tile * HEAD_TILE;
    float x[ROWS_AT_ONCE][4];
    struct head_tile tiles[ROWS_AT_ONCE];
#pragma unroll
    for (int q = 0; q < ROWS_AT_ONCE; q++) {
        int r = warp + (i + q) * HEAD_WARPS, row = row0 + r, target = facts.target[r];
        float scale = facts.draw[r].inv_temperature;
#pragma unroll
        for (int k = 0; k < 4; k++) {
            int token = first + token_of(lane, k);
            float sum = lines[r * HEAD_LINE + token_of(lane, k)];
            bool there = token < h.V;
            x[q][k] = there ? __fmul_rn(sum, scale) : HEAD_NO_LOGIT;
            if (there && h.logits && row < h.n_rows) {
                h.logits[(size_t)row * (size_t)h.V + (size_t)token] = sum;
            }
            if (token == target) { /* no row past the end has one */
                h.target_logit[row] = x[q][k];
            }
        }
    }
    tile_stats(x, tiles);
#pragma unroll
    for (int q = 0; q < ROWS_AT_ONCE; q++) {
        int row = row0 + warp + (i + q) * HEAD_WARPS;
        if (h.draws && !h.logits) {
            tile_draw(x[q], facts.draw[warp + (i + q) * HEAD_WARPS], first, h.n_valid, &tiles[q]);
            warp_best(tiles[q].best, tiles[q].logit, tiles[q].token);
        }
        if (lane == q && row < h.n_rows) {
            h.tiles[(size_t)row * (size_t)h.n_tiles + (size_t)i_tile] = tiles[q];
        }
    }
}

template <bool FAST> __global__ void __launch_bounds__(HEAD_THREADS, 2) head_kernel(struct head h)
{
    extern __shared__ uint4 shared[];
    struct operand a = {h.hidden, (size_t)h.d, h.n_rows, h.d}, b = {h.w, (size_t)h.d, h.V, h.d};
    int row0 = (int)blockIdx.x * HEAD_ROWS, i_tile = (int)blockIdx.y;
    __shared__ struct row_facts facts;
    load_facts(h, row0, &facts); /* in place when the sums are */
    const float *lines = block_sums<FAST>(a, b, row0, i_tile * HEAD_TILE, shared);
    for (int i = 0; i < HEAD_ROWS_PER_WARP && row0 + i * HEAD_WARPS < h.n_rows; i += ROWS_AT_ONCE) {
        tile_rows(h, facts, lines, row0, i, i_tile);
    }
}

struct outcome {
    float *logprob, *lse, *entropy; /* [n_rows]; entropy may be NULL */
    int32_t *tokens;                /* [n_rows] or NULL */
};

/* All tiles of a row, by a warp. */
__global__ void combine_kernel(struct head h, struct outcome out)
{
    int row = (int)blockIdx.x, lane = (int)threadIdx.x;
    const struct head_tile *tiles = h.tiles + (size_t)row * (size_t)h.n_tiles;
    float most = -CUDART_INF_F, best = -CUDART_INF_F, logit = 0, sum = 0, weighted = 0;
    int32_t token = -1;
    for (int i = lane; i < h.n_tiles; i += LANES) {
        most = fmaxf(most, tiles[i].most);
        if (better(tiles[i].best, tiles[i].token, best, token)) {
            best = tiles[i].best, logit = tiles[i].logit, token = tiles[i].token;
        }
    }
    most = warp_most(most);
    warp_best(best, logit, token);
    for (int i = lane; i < h.n_tiles; i += LANES) {
        float share = fast_exp(__fsub_rn(tiles[i].most, most));
        sum = __fmaf_rn(tiles[i].sum, share, sum);
        weighted = __fmaf_rn(tiles[i].weighted, share, weighted);
    }
    sum = warp_sum(sum);
    weighted = warp_sum(weighted);
    if (lane == 0) {
        float lse = __fadd_rn(most, exact_log(sum));
        out.lse[row] = lse;
        if (out.entropy) {
            out.entropy[row] = __fsub_rn(lse, __fdiv_rn(weighted, sum));
        }
        if (!h.logits) { /* else filter_draw says it */
            out.logprob[row] = __fsub_rn(h.targets ? h.target_logit[row] : logit, lse);
        }
        if (out.tokens) {
            out.tokens[row] = token;
        }
    }
}

template <bool FAST> static void launch_head(const struct head *h)
{
    constexpr size_t bytes = block_sums_bytes();
    allow_shared<head_kernel<FAST>>(bytes);
    dim3 grid((unsigned)ceil_div(h->n_rows, HEAD_ROWS), (unsigned)h->n_tiles);
    head_kernel<FAST><<<grid, HEAD_THREADS, bytes, cuda.stream>>>(*h);
    cuda_launched("head");
}

/* Makes the tiles and puts them together. */
static void run(struct head *h, const struct outcome *out)
{
    h->n_tiles = ceil_div(h->V, HEAD_TILE);
    size_t n = (size_t)h->n_rows * (size_t)h->n_tiles * sizeof(struct head_tile);
    char *memory = (char *)cuda_slot(CUDA_SLOT_TILES, n + (size_t)h->n_rows * sizeof(float));
    h->tiles = (struct head_tile *)memory;
    h->target_logit = (float *)(memory + n);
    switch (way_of(h->hidden, h->w, h->d)) {
    case WARPGROUPS: head_flow(h); break;
    case WARPS: launch_head<true>(h); break;
    case ELEMENTS: launch_head<false>(h); break;
    }
    combine_kernel<<<(unsigned)h->n_rows, LANES, 0, cuda.stream>>>(*h, *out);
    cuda_launched("combine");
}

void cuda_head(const struct head_args *a)
{
    for (int row = 0; row < a->n_rows; row += PASS_ROWS) {
        struct head h = {};
        h.n_rows = a->n_rows - row < PASS_ROWS ? a->n_rows - row : PASS_ROWS;
        h.d = a->d, h.V = a->V, h.w = (const bf16 *)a->w;
        h.hidden = (const bf16 *)a->hidden + (size_t)row * (size_t)a->d;
        h.inv_temperature = a->inv_temperature;
        h.targets = a->targets + row;
        struct outcome out = {a->logprob + row, a->lse + row, a->entropy ? a->entropy + row : NULL, NULL};
        run(&h, &out);
    }
}

/* ---- sampling ---- */

static struct head_draw draw_of(const struct sampling *s)
{
    struct head_draw d = {};
    d.inv_temperature = s->temperature > 0 ? 1.0f / s->temperature : 1.0f;
    d.noisy = s->temperature > 0;
    d.position = s->position;
    d.seed_low = (uint32_t)s->seed, d.seed_high = (uint32_t)(s->seed >> 32);
    d.sequence_low = (uint32_t)s->sequence, d.sequence_high = (uint32_t)(s->sequence >> 32);
    return d;
}

static struct filter filter_of(const struct sampling *s, int seen)
{
    struct head_draw d = draw_of(s);
    struct filter f = {};
    f.inv_temperature = d.inv_temperature, f.top_p = s->top_p, f.min_p = s->min_p, f.top_k = s->top_k;
    f.penalty = s->repetition_penalty, f.seen = seen, f.n_seen = s->repetition_penalty != 1.0f ? s->n_seen : 0;
    f.noisy = d.noisy, f.position = d.position, f.seed_low = d.seed_low, f.seed_high = d.seed_high;
    f.sequence_low = d.sequence_low, f.sequence_high = d.sequence_high;
    return f;
}

/* Rows whose logits were stored. */
static void draw_filtered(const struct head_sample_args *a, int row, const struct head *h)
{
    struct filter filters[FEW_ROWS];
    size_t n_seen = 0, n = (size_t)h->n_rows;
    for (size_t r = 0; r < n; r++) {
        filters[r] = filter_of(&a->sampling[(size_t)row + r], (int)n_seen);
        n_seen += (size_t)filters[r].n_seen;
    }
    size_t lists = (n * sizeof *filters + 15) / 16 * 16;
    char *memory = (char *)cuda_slot(CUDA_SLOT_SAMPLING, lists + 2 * n_seen * sizeof(int32_t));
    struct filter_args f = {};
    f.V = a->V, f.n_valid = a->n_valid;
    f.filters = (const struct filter *)memory;
    f.seen = (const int32_t *)(memory + lists), f.kept = (float *)(memory + lists) + n_seen;
    f.logits = h->logits, f.lse = a->lse + row, f.tokens = a->tokens + row, f.logprob = a->logprob + row;
    cuda_upload(memory, filters, n * sizeof *filters);
    for (size_t r = 0; r < n; r++) {
        if (filters[r].n_seen > 0) {
            cuda_upload(memory + lists + (size_t)filters[r].seen * sizeof(int32_t), a->sampling[(size_t)row + r].seen,
                        (size_t)filters[r].n_seen * sizeof(int32_t));
        }
    }
    filter_draw(&f, h->n_rows);
}

static void sample_rows(const struct head_sample_args *a, int row, int n, bool filtered)
{
    struct head_draw draws[PASS_ROWS], *on_device = (struct head_draw *)cuda_slot(CUDA_SLOT_SAMPLING, sizeof draws);
    for (int i = 0; i < n; i++) {
        draws[i] = draw_of(&a->sampling[row + i]);
    }
    cuda_upload(on_device, draws, (size_t)n * sizeof *draws);
    struct head h = {};
    h.n_rows = n, h.d = a->d, h.V = a->V, h.n_valid = a->n_valid, h.w = (const bf16 *)a->w;
    h.hidden = (const bf16 *)a->hidden + (size_t)row * (size_t)a->d;
    h.draws = on_device;
    if (filtered) {
        h.logits = (float *)cuda_slot(CUDA_SLOT_LOGITS, (size_t)n * (size_t)a->V * sizeof(float));
    }
    struct outcome out = {a->logprob + row, a->lse + row, a->entropy + row, filtered ? NULL : a->tokens + row};
    run(&h, &out);
    if (filtered) {
        draw_filtered(a, row, &h);
    }
}

/* Whether the draw needs all logits of the row at once. */
static bool has_filters(const struct sampling *s)
{
    return s->repetition_penalty != 1.0f || (s->temperature > 0 && (s->top_k > 0 || s->top_p < 1.0f || s->min_p > 0));
}

void cuda_head_sample(const struct head_sample_args *a)
{
    for (int row = 0, n; row < a->n_rows; row += n) {
        bool filtered = has_filters(&a->sampling[row]);
        int most = filtered ? FEW_ROWS : PASS_ROWS;
        for (n = 1; n < most && row + n < a->n_rows; n++) {
            if (has_filters(&a->sampling[row + n]) != filtered) {
                break;
            }
        }
        sample_rows(a, row, n, filtered);
    }
}

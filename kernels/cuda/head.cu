/* kernels/cuda/head.cu - the LM head fused with log-softmax and sampling; logits stay on the chip.
 *
 * A block multiplies 128 rows with a vocabulary tile of 128 tokens and leaves, for each row, what the tile says (struct tile);
 * a second kernel puts a row's tiles together. Training and decoding use the same two kernels, so their bits agree.
 *
 * In a tile lane i of a warp has tokens 4 i .. 4 i + 3: (e0 + e1) + (e2 + e3), then the butterfly. Over tiles: the largest
 * maximum M; lane i adds sum * exp(most - M) of tiles i, i + 32, ... ascending; then the butterfly.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/filter.cuh"
#include "kernels/cuda/wgmma.cuh"

#define BM        128
#define TILE      GEMM_BN
#define LINE      (TILE + 4) /* floats of a row of logits in shared memory */
#define PASS_ROWS 2048
#define FEW_ROWS  256 /* rows of a pass that stores its logits */
#define THREADS   gemm_threads<BM>()

static_assert(PASS_ROWS == CUDA_PASS_ROWS && FEW_ROWS == CUDA_FEW_ROWS && TILE == CUDA_TILE, "kernels/cuda/slots.h");

struct tile {
    float most, sum, weighted; /* maximum; sum of exp(x - most); sum of exp(x - most) x */
    float best, logit;         /* largest x + noise; its x */
    int32_t token;             /* that has it; -1: none may be drawn */
};

/* How one row is drawn, on the device. */
struct draw {
    float inv_temperature;
    uint32_t noisy, position, seed_low, seed_high, sequence_low, sequence_high;
};

static_assert(sizeof(struct tile) <= CUDA_TILE_BYTES && sizeof(struct draw) <= CUDA_DRAW_BYTES, "kernels/cuda/slots.h");

struct head {
    int n_rows, d, V, n_tiles, n_valid;
    const bf16 *hidden, *w;
    float inv_temperature;    /* where there are no draws */
    const int32_t *targets;   /* or NULL */
    const struct draw *draws; /* or NULL */
    struct tile *tiles;       /* [n_rows, n_tiles] */
    float *target_logit;      /* [n_rows]; with targets */
    float *logits;            /* [n_rows, V] before the temperature, or NULL */
};

/* A warp does a few rows at once, so that the latency of one hides behind the others. */
#define ROWS_AT_ONCE 4

static __device__ __forceinline__ void warp_sums(float x[ROWS_AT_ONCE])
{
#pragma unroll
    for (int half = LANES / 2; half > 0; half /= 2) {
#pragma unroll
        for (int q = 0; q < ROWS_AT_ONCE; q++) {
            x[q] = __fadd_rn(x[q], __shfl_xor_sync(0xFFFFFFFFu, x[q], half));
        }
    }
}

static __device__ __forceinline__ void tile_stats(const float x[ROWS_AT_ONCE][4], float most[ROWS_AT_ONCE],
                                                  float sum[ROWS_AT_ONCE], float weighted[ROWS_AT_ONCE])
{
#pragma unroll
    for (int q = 0; q < ROWS_AT_ONCE; q++) {
        most[q] = warp_most(fmaxf(fmaxf(x[q][0], x[q][1]), fmaxf(x[q][2], x[q][3])));
    }
#pragma unroll
    for (int q = 0; q < ROWS_AT_ONCE; q++) {
        float e[4];
        weighted[q] = 0;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            e[i] = exact_exp(__fsub_rn(x[q][i], most[q]));
            weighted[q] = x[q][i] > -3e38f ? __fmaf_rn(e[i], x[q][i], weighted[q]) : weighted[q];
        }
        sum[q] = __fadd_rn(__fadd_rn(e[0], e[1]), __fadd_rn(e[2], e[3]));
    }
    warp_sums(sum);
    warp_sums(weighted);
}

/* The better of two candidates: larger, or as large with a smaller token. */
static __device__ __forceinline__ bool better(float value, int32_t token, float than, int32_t other)
{
    return token >= 0 && (other < 0 || value > than || (value == than && token < other));
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

/* x: the logits of tokens first .. first + 3 */
static __device__ __forceinline__ void tile_draw(const float x[4], const struct draw &d, int first, int n_valid,
                                                 struct tile *tile)
{
    uint4 words = {};
    if (d.noisy) {
        words = philox((uint32_t)first / 4, d.position, d.sequence_low, d.sequence_high, d.seed_low, d.seed_high);
    }
    uint32_t word[4] = {words.x, words.y, words.z, words.w};
    tile->best = -CUDART_INF_F, tile->logit = 0, tile->token = -1;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        float value = d.noisy ? __fadd_rn(x[i], gumbel(word[i])) : x[i];
        if (first + i < n_valid && (tile->token < 0 || value > tile->best)) {
            tile->best = value, tile->logit = x[i], tile->token = first + i;
        }
    }
}

#define WARPS_A_BLOCK (THREADS / LANES)
#define ROWS_A_WARP   (BM / WARPS_A_BLOCK)

/* What is known of a block's rows before the sums are. */
struct row_facts {
    struct draw draw[BM]; /* inv_temperature alone without draws */
    int target[BM];       /* -1: none */
};

static __device__ __forceinline__ void load_facts(const struct head &h, int row0, struct row_facts *facts)
{
    for (int r = threadIdx.x; r < BM; r += THREADS) {
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
    int lane = threadIdx.x % LANES, warp = (int)threadIdx.x / LANES, first = i_tile * TILE + 4 * lane;
    float x[ROWS_AT_ONCE][4], most[ROWS_AT_ONCE], sum[ROWS_AT_ONCE], weighted[ROWS_AT_ONCE];
#pragma unroll
    for (int q = 0; q < ROWS_AT_ONCE; q++) {
        int r = warp + (i + q) * WARPS_A_BLOCK, row = row0 + r, target = facts.target[r];
        float scale = facts.draw[r].inv_temperature;
        float4 raw = *reinterpret_cast<const float4 *>(lines + r * LINE + 4 * lane);
        float sums[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
        for (int k = 0; k < 4; k++) {
            bool there = first + k < h.V;
            x[q][k] = there ? __fmul_rn(sums[k], scale) : -CUDART_INF_F;
            if (there && h.logits && row < h.n_rows) {
                h.logits[(size_t)row * (size_t)h.V + (size_t)(first + k)] = sums[k];
            }
            if (first + k == target) { /* no row past the end has one */
                h.target_logit[row] = x[q][k];
            }
        }
    }
    tile_stats(x, most, sum, weighted);
#pragma unroll
    for (int q = 0; q < ROWS_AT_ONCE; q++) {
        int row = row0 + warp + (i + q) * WARPS_A_BLOCK;
        struct tile tile = {most[q], sum[q], weighted[q], 0, 0, -1};
        if (h.draws && !h.logits) {
            tile_draw(x[q], facts.draw[warp + (i + q) * WARPS_A_BLOCK], first, h.n_valid, &tile);
            warp_best(tile.best, tile.logit, tile.token);
        }
        if (lane == q && row < h.n_rows) {
            h.tiles[(size_t)row * (size_t)h.n_tiles + (size_t)i_tile] = tile;
        }
    }
}

/* The block's sums go through shared memory: lines of 128. */
static __device__ __forceinline__ float *spread(const struct sums &s, uint4 *shared)
{
    float *lines = reinterpret_cast<float *>(shared);
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
#pragma unroll
            for (int e = 0; e < 4; e += 2) {
                *reinterpret_cast<float2 *>(lines + sum_row(i, e) * LINE + sum_column(j, e)) =
                    make_float2(s.c[i][j][e], s.c[i][j][e + 1]);
            }
        }
    }
    __syncthreads();
    return lines;
}

/* How the block's sums are made: by warpgroups, or by warps with copies of 16 bytes, or of single elements. */
enum way { WARPGROUPS, WARPS, ELEMENTS };

/* Sums of rows row .. and tokens token .. as lines of LINE floats. */
template <enum way WAY>
static __device__ __forceinline__ const float *block_sums(const struct operand &a, const struct operand &b, int row,
                                                          int token, uint4 *shared)
{
    if constexpr (WAY == WARPGROUPS) {
        struct wide_sums s = {};
        multiply_wide(s, a, b, row, token, shared);
        return spread_wide(s, shared, LINE);
    } else {
        struct sums s = {};
        multiply<BM, false, false, WAY == WARPS>(s, a, b, row, token, reinterpret_cast<bf16 *>(shared));
        return spread(s, shared);
    }
}

template <enum way WAY> __global__ void __launch_bounds__(THREADS, 2) head_kernel(struct head h)
{
    extern __shared__ uint4 shared[];
    struct operand a = {h.hidden, (size_t)h.d, h.n_rows, h.d}, b = {h.w, (size_t)h.d, h.V, h.d};
    int row0 = (int)blockIdx.x * BM, i_tile = (int)blockIdx.y;
    __shared__ struct row_facts facts;
    load_facts(h, row0, &facts); /* in place when the sums are */
    const float *lines = block_sums<WAY>(a, b, row0, i_tile * TILE, shared);
    for (int i = 0; i < ROWS_A_WARP && row0 + i * WARPS_A_BLOCK < h.n_rows; i += ROWS_AT_ONCE) {
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
    const struct tile *tiles = h.tiles + (size_t)row * (size_t)h.n_tiles;
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
        float share = exact_exp(__fsub_rn(tiles[i].most, most));
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
        if (!h.logits) {
            out.logprob[row] = __fsub_rn(h.targets ? h.target_logit[row] : logit, lse);
        }
        if (out.tokens) {
            out.tokens[row] = token;
        }
    }
}

template <enum way WAY> static constexpr size_t shared_bytes()
{
    size_t stages = WAY == WARPGROUPS ? wgmma_shared_bytes() : gemm_shared_bytes<BM, false, false>();
    size_t lines = (size_t)BM * LINE * sizeof(float);
    return stages > lines ? stages : lines;
}

static enum way way_of(const bf16 *hidden, const bf16 *w, int d)
{
    bool fast = operand_is_fast(hidden, (size_t)d, 0, d, false) && operand_is_fast(w, (size_t)d, 0, d, false);
    return !fast ? ELEMENTS : wgmma_usable() ? WARPGROUPS : WARPS;
}

template <enum way WAY> static void launch_head(const struct head *h)
{
    static bool allowed;
    constexpr size_t bytes = shared_bytes<WAY>();
    if (!allowed) {
        allow_shared(head_kernel<WAY>, bytes);
        allowed = true;
    }
    dim3 grid((unsigned)ceil_div(h->n_rows, BM), (unsigned)h->n_tiles);
    head_kernel<WAY><<<grid, THREADS, bytes, cuda.stream>>>(*h);
    cuda_launched("head");
}

/* Makes the tiles and puts them together. */
static void run(struct head *h, const struct outcome *out)
{
    h->n_tiles = ceil_div(h->V, TILE);
    size_t n = (size_t)h->n_rows * (size_t)h->n_tiles * sizeof(struct tile);
    char *memory = (char *)cuda_slot(CUDA_SLOT_TILES, n + (size_t)h->n_rows * sizeof(float));
    h->tiles = (struct tile *)memory;
    h->target_logit = (float *)(memory + n);
    switch (way_of(h->hidden, h->w, h->d)) {
    case WARPGROUPS: launch_head<WARPGROUPS>(h); break;
    case WARPS: launch_head<WARPS>(h); break;
    case ELEMENTS: launch_head<ELEMENTS>(h); break;
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

static struct draw draw_of(const struct sampling *s)
{
    struct draw d = {};
    d.inv_temperature = s->temperature > 0 ? 1.0f / s->temperature : 1.0f;
    d.noisy = s->temperature > 0;
    d.position = s->position;
    d.seed_low = (uint32_t)s->seed, d.seed_high = (uint32_t)(s->seed >> 32);
    d.sequence_low = (uint32_t)s->sequence, d.sequence_high = (uint32_t)(s->sequence >> 32);
    return d;
}

static struct filter filter_of(const struct sampling *s, int seen)
{
    struct draw d = draw_of(s);
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
    struct draw draws[PASS_ROWS], *on_device = (struct draw *)cuda_slot(CUDA_SLOT_SAMPLING, sizeof draws);
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

/* ---- backward ---- */

#define GRAD_ROWS CUDA_DLOGIT_ROWS /* rows whose gradients of logits are stored at once */

struct head_grad {
    int n_rows, d, V;
    size_t line; /* elements of a row of dlogits */
    const bf16 *hidden, *w;
    float inv_temperature;
    const int32_t *targets;
    const float *lse, *entropy, *d_logprob, *d_entropy;
    bf16 *dlogits; /* [n_rows, line] */
};

/* What a row's gradient needs; lane i has row warp + WARPS i of the block. */
struct grad_facts {
    float lse, entropy, d_logprob, d_entropy;
    int target;
};

static __device__ __forceinline__ struct grad_facts grad_facts_of(const struct head_grad &g, int row0)
{
    int lane = threadIdx.x % LANES, row = row0 + (int)threadIdx.x / LANES + lane * WARPS_A_BLOCK;
    struct grad_facts f = {0, 0, 0, 0, -1};
    if (lane < ROWS_A_WARP && row < g.n_rows) {
        f.lse = g.lse[row], f.d_logprob = g.d_logprob[row], f.target = g.targets[row];
        f.entropy = g.d_entropy ? g.entropy[row] : 0, f.d_entropy = g.d_entropy ? g.d_entropy[row] : 0;
    }
    return f;
}

/* dlogit = (d_logprob (1[target] - p) - d_entropy p (log p + entropy)) inv_temperature */
template <enum way WAY> __global__ void __launch_bounds__(THREADS, 2) head_grad_kernel(struct head_grad g)
{
    extern __shared__ uint4 shared[];
    struct operand a = {g.hidden, (size_t)g.d, g.n_rows, g.d}, b = {g.w, (size_t)g.d, g.V, g.d};
    int row0 = (int)blockIdx.x * BM, first = (int)blockIdx.y * TILE, lane = (int)threadIdx.x % LANES;
    int warp = (int)threadIdx.x / LANES, token = first + 4 * lane;
    const float *lines = block_sums<WAY>(a, b, row0, first, shared);
    struct grad_facts facts = grad_facts_of(g, row0);
#pragma unroll 4
    for (int q = 0; q < ROWS_A_WARP; q++) {
        int r = warp + q * WARPS_A_BLOCK, row = row0 + r, target = __shfl_sync(0xFFFFFFFFu, facts.target, q);
        float lse = __shfl_sync(0xFFFFFFFFu, facts.lse, q), entropy = __shfl_sync(0xFFFFFFFFu, facts.entropy, q);
        float d_logprob = __shfl_sync(0xFFFFFFFFu, facts.d_logprob, q);
        float d_entropy = __shfl_sync(0xFFFFFFFFu, facts.d_entropy, q), x[4];
        float4 raw = *reinterpret_cast<const float4 *>(lines + r * LINE + 4 * lane);
        float sums[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float log_p = __fsub_rn(__fmul_rn(sums[i], g.inv_temperature), lse),
                  p = fast_exp2(__fmul_rn(log_p, LOG2_E));
            float slope = __fmaf_rn(-d_entropy, __fadd_rn(log_p, entropy), -d_logprob);
            x[i] = __fmul_rn(__fmul_rn(p, slope), g.inv_temperature);
            if (token + i == target) {
                x[i] = __fadd_rn(x[i], __fmul_rn(d_logprob, g.inv_temperature));
            }
            x[i] = token + i < g.V ? x[i] : 0.0f;
        }
        if (row < g.n_rows && (size_t)token < g.line) { /* a multiple of 8 */
            *reinterpret_cast<uint2 *>(g.dlogits + (size_t)row * g.line + (size_t)token) =
                make_uint2(pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3]));
        }
    }
}

template <enum way WAY> static void launch_grad(const struct head_grad *g)
{
    static bool allowed;
    constexpr size_t bytes = shared_bytes<WAY>();
    if (!allowed) {
        allow_shared(head_grad_kernel<WAY>, bytes);
        allowed = true;
    }
    dim3 grid((unsigned)ceil_div(g->n_rows, BM), (unsigned)ceil_div(g->V, TILE));
    head_grad_kernel<WAY><<<grid, THREADS, bytes, cuda.stream>>>(*g);
    cuda_launched("head_grad");
}

static void grad_rows(const struct head_grad_args *a, int row, int n)
{
    struct head_grad g = {};
    g.n_rows = n, g.d = a->d, g.V = a->V, g.line = ((size_t)a->V + 7) / 8 * 8, g.w = (const bf16 *)a->w;
    g.hidden = (const bf16 *)a->hidden + (size_t)row * (size_t)a->d;
    g.inv_temperature = a->inv_temperature;
    g.targets = a->targets + row, g.lse = a->lse + row, g.d_logprob = a->d_logprob + row;
    g.entropy = a->entropy ? a->entropy + row : NULL, g.d_entropy = a->d_entropy ? a->d_entropy + row : NULL;
    g.dlogits = (bf16 *)cuda_slot(CUDA_SLOT_LOGITS, (size_t)n * g.line * sizeof(bf16));
    switch (way_of(g.hidden, g.w, g.d)) {
    case WARPGROUPS: launch_grad<WARPGROUPS>(&g); break;
    case WARPS: launch_grad<WARPS>(&g); break;
    case ELEMENTS: launch_grad<ELEMENTS>(&g); break;
    }
    struct matmul_weight_grad_args dw = {};
    dw.T = n, dw.N = a->V, dw.K = a->d;
    dw.dy = g.dlogits, dw.dy_stride = (int)g.line;
    dw.x = g.hidden, dw.x_stride = a->d;
    dw.dw = a->dw;
    cuda_matmul_weight_grad(&dw);
    struct matmul_input_grad_args dx = {};
    dx.T = n, dx.N = a->V, dx.K = a->d;
    dx.dy = g.dlogits, dx.dy_stride = (int)g.line;
    dx.w = a->w;
    dx.dx = (bf16 *)a->dhidden + (size_t)row * (size_t)a->d, dx.dx_stride = a->d;
    cuda_matmul_input_grad(&dx);
}

void cuda_head_grad(const struct head_grad_args *a)
{
    for (int row = 0; row < a->n_rows; row += GRAD_ROWS) {
        grad_rows(a, row, a->n_rows - row < GRAD_ROWS ? a->n_rows - row : GRAD_ROWS);
    }
}

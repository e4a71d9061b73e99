/* kernels/cuda/head.cuh - what the files of the LM head share: the shape of its work, and the arithmetic of a tile.
 *
 * Logits are made 128 rows at a time, and the vocabulary is cut into tiles of 128 tokens: struct head_tile is all that
 * is known of a row's tile. How its 128 numbers are added is fixed here, whichever threads have them: neighbours 2 p
 * and 2 p + 1 (pair_stats), and of the 64 pairs p with p ^ 32, then p ^ 16, 8, 4, then 1, then 2.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CUDA_HEAD_CUH
#define KERNELS_CUDA_HEAD_CUH

#include "kernels/cuda/gemm.cuh"

static constexpr int HEAD_TILE = GEMM_BN;      /* tokens */
static constexpr float HEAD_NO_LOGIT = -3e38f; /* of tokens past the end */

/* Other than by head_flow, a block of 128 rows has one tile, and its warps alternate over the rows. */
static constexpr int HEAD_ROWS = 128;
static constexpr int HEAD_LINE = HEAD_TILE + 4; /* floats of a row of logits in shared memory */
static constexpr int HEAD_THREADS = gemm_threads<HEAD_ROWS>();
static constexpr int HEAD_WARPS = HEAD_THREADS / LANES;
static constexpr int HEAD_ROWS_PER_WARP = HEAD_ROWS / HEAD_WARPS;

static_assert(HEAD_TILE == CUDA_TILE, "kernels/slots.h");

struct head_tile {
    float most, sum, weighted; /* maximum; sum of exp(x - most); sum of exp(x - most) x */
    float best, logit;         /* largest x + noise; its x: where tokens are drawn */
    int32_t token;             /* that has it; -1: none may be drawn */
};

/* How one row is drawn, on the device. */
struct head_draw {
    float inv_temperature;
    uint32_t noisy, position, seed_low, seed_high, sequence_low, sequence_high;
};

static_assert(sizeof(struct head_tile) <= CUDA_TILE_BYTES && sizeof(struct head_draw) <= CUDA_DRAW_BYTES,
              "kernels/slots.h");

/* What the tiles are made from, and where they go; all arrays are the caller's, on the device. */
struct head {
    int n_rows, d, V, n_tiles, n_valid; /* n_valid: tokens that may be drawn */
    const bf16 *hidden, *w;             /* [n_rows, d], [V, d] */
    float inv_temperature;              /* where there are no draws */
    const int32_t *targets;             /* [n_rows], where there are no draws */
    const struct head_draw *draws;      /* [n_rows] or NULL */
    struct head_tile *tiles;            /* [n_rows, n_tiles] */
    float *target_logit;                /* [n_rows]; with targets */
    float *logits;                      /* [n_rows, V] before the temperature, or NULL */
};

/* What the gradients of logits are made from, and where they go (struct head_grad_args of kernels/ops.h has the
 * equation). */
struct head_grad {
    int n_rows, d, V;
    size_t line;            /* elements of a row of dlogits, a multiple of 8; those past V are 0 */
    const bf16 *hidden, *w; /* [n_rows, d], [V, d] */
    float inv_temperature;
    const int32_t *targets;                             /* [n_rows] */
    const float *lse, *entropy, *d_logprob, *d_entropy; /* [n_rows]; d_entropy or NULL, and then entropy is not read */
    bf16 *dlogits;                                      /* [n_rows, line] */
};

/* On Hopper (kernels/cuda/head_flow.cu): the tiles; the gradients of logits. */
void head_flow(const struct head *h);
void head_grad_flow(const struct head_grad *g);

/* How sums are made: by warpgroups (head_flow), or by warps with copies of 16 bytes, or of single elements. */
enum way { WARPGROUPS, WARPS, ELEMENTS };

static inline enum way way_of(const bf16 *hidden, const bf16 *w, int d)
{
    bool fast = operand_is_fast(hidden, (size_t)d, 0, d, false) && operand_is_fast(w, (size_t)d, 0, d, false);
    return !fast ? ELEMENTS : wgmma_usable() ? WARPGROUPS : WARPS;
}

/* exp(x - most) of two neighbours, and weighted with x */
__device__ __forceinline__ void pair_stats(float x0, float x1, float most, float &sum, float &weighted)
{
    float e0 = fast_exp(__fsub_rn(x0, most)), e1 = fast_exp(__fsub_rn(x1, most));
    sum = __fadd_rn(e0, e1);
    weighted = __fmaf_rn(e1, x1, __fmul_rn(e0, x0));
}

/* The better of two candidates: larger, or as large with a smaller token. */
static __device__ __forceinline__ bool better(float value, int32_t token, float than, int32_t other)
{
    return token >= 0 && (other < 0 || value > than || (value == than && token < other));
}

/* A philox call has words for four tokens in a row, and two lanes share them: two tokens each, the even lane the first
 * two. Of two such groups the even lane makes the words of `a`, the odd lane those of `b`, and each hands the other its
 * half.
 * noise: of two tokens of a, of two of b; 0 where the row is drawn without */
static __device__ __forceinline__ void make_noise(const struct head_draw &d, uint32_t a, uint32_t b, float noise[4])
{
    bool odd = threadIdx.x % 2;
    uint4 w = philox(odd ? b : a, d.position, d.sequence_low, d.sequence_high, d.seed_low, d.seed_high);
    uint32_t got0 = __shfl_xor_sync(0xFFFFFFFFu, odd ? w.x : w.z, 1);
    uint32_t got1 = __shfl_xor_sync(0xFFFFFFFFu, odd ? w.y : w.w, 1);
    uint32_t word[4] = {odd ? got0 : w.x, odd ? got1 : w.y, odd ? w.z : got0, odd ? w.w : got1};
    uint32_t mask = d.noisy ? 0xFFFFFFFFu : 0; /* rather than a branch at each token */
#pragma unroll
    for (int i = 0; i < 4; i++) {
        noise[i] = __uint_as_float(__float_as_uint(gumbel(word[i])) & mask);
    }
}

/* Takes the token if it is better than the tile's, without a branch; tokens come ascending. */
static __device__ __forceinline__ void take_better(float value, float x, int token, int n_valid, struct head_tile *tile)
{
    bool take = (token < n_valid) & ((tile->token < 0) | (value > tile->best));
    tile->best = take ? value : tile->best;
    tile->logit = take ? x : tile->logit;
    tile->token = take ? token : tile->token;
}

/* What a row's gradient needs. */
struct grad_facts {
    float lse, entropy, d_logprob, d_entropy;
    int target;
};

static __device__ __forceinline__ struct grad_facts grad_facts_of(const struct head_grad &g, int row)
{
    struct grad_facts f = {0, 0, 0, 0, -1};
    if (row < g.n_rows) {
        f.lse = g.lse[row], f.d_logprob = g.d_logprob[row], f.target = g.targets[row];
        f.entropy = g.d_entropy ? g.entropy[row] : 0, f.d_entropy = g.d_entropy ? g.d_entropy[row] : 0;
    }
    return f;
}

/* dlogit = (d_logprob (1[target] - p) - d_entropy p (log p + entropy)) inv_temperature, of a token that is not the
 * target */
template <bool ENTROPY>
static __device__ __forceinline__ float dlogit_of(const struct grad_facts &f, float sum, float inv_temperature)
{
    float log_p = __fsub_rn(__fmul_rn(sum, inv_temperature), f.lse), p = fast_exp(log_p);
    float slope = ENTROPY ? __fmaf_rn(-f.d_entropy, __fadd_rn(log_p, f.entropy), -f.d_logprob) : -f.d_logprob;
    return __fmul_rn(p, __fmul_rn(slope, inv_temperature));
}

/* The sums of a block of HEAD_THREADS threads go through shared memory: lines of 128. */
static __device__ __forceinline__ float *spread(const struct sums &s, uint4 *shared)
{
    float *lines = reinterpret_cast<float *>(shared);
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
#pragma unroll
            for (int e = 0; e < 4; e += 2) {
                *reinterpret_cast<float2 *>(lines + sum_row(i, e) * HEAD_LINE + sum_column(j, e)) =
                    make_float2(s.c[i][j][e], s.c[i][j][e + 1]);
            }
        }
    }
    __syncthreads();
    return lines;
}

/* Sums of rows row .. and tokens token .. as lines of HEAD_LINE floats; FAST as in gemm.cuh */
template <bool FAST>
static __device__ __forceinline__ const float *block_sums(const struct operand &a, const struct operand &b, int row,
                                                          int token, uint4 *shared)
{
    struct sums s = {};
    multiply<HEAD_ROWS, false, false, FAST>(s, a, b, row, token, reinterpret_cast<bf16 *>(shared));
    return spread(s, shared);
}

static constexpr size_t block_sums_bytes()
{
    size_t stages = gemm_shared_bytes<HEAD_ROWS, false, false>(), lines = (size_t)HEAD_ROWS * HEAD_LINE * sizeof(float);
    return stages > lines ? stages : lines;
}

#endif

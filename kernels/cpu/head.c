/* kernels/cpu/head.c - the LM head fused with log-softmax and sampling, and its gradient.
 *
 * A pass makes, for each row and each vocabulary tile of 128, five numbers (struct tile); then each row's tiles are
 * combined in ascending order. Both training and decoding go through it, so their bits agree however the work is cut.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/gumbel.h"

#define TILE       128
#define PASS_ROWS  1024 /* rows of a pass */
#define BLOCK_ROWS 48   /* rows of a tile product */
#define FEW_ROWS   16   /* rows of a pass that stores its logits */

struct tile {
    float max, sum, weighted; /* maximum; sum of exp(x - max); sum of exp(x - max) x */
    float best;               /* largest x + noise */
    int32_t token;            /* that has it */
};

struct head_pass {
    int n_rows, d, V, n_tiles, n_valid;
    const float *hidden, *w;
    const float *inv_temperature;    /* [n_rows] */
    const int32_t *targets;          /* or NULL */
    const struct sampling *sampling; /* or NULL */
    struct tile *tiles;              /* [n_rows, n_tiles] */
    float *target_logit;             /* [n_rows] or NULL */
    float *logits;                   /* [n_rows, V] raw, or NULL */
};

/* x [128] holds `n` logits, scaled. */
static struct tile tile_stats(float *x, int n)
{
    struct tile tile = {.token = -1};
    vec max = vec_set(-INFINITY), sum = vec_zero(), weighted = vec_zero();
    int width = div_up(n, VEC_LANES) * VEC_LANES;
    for (int i = n; i < width; i++) {
        x[i] = -INFINITY;
    }
    for (int i = 0; i < width; i += VEC_LANES) {
        max = vec_max(vec_load(x + i), max);
    }
    tile.max = vec_largest(max);
    vec shift = vec_set(tile.max), low = vec_set(-3e38f);
    for (int i = 0; i < width; i += VEC_LANES) {
        vec v = vec_load(x + i), e = vec_exp(vec_sub(v, shift));
        sum = vec_add(sum, e);
        weighted = vec_fma(e, vec_select_less(v, low, vec_zero(), v), weighted);
    }
    tile.sum = vec_sum(sum);
    tile.weighted = vec_sum(weighted);
    return tile;
}

static void tile_draw(struct tile *tile, const struct sampling *s, const float *x, int first, int n)
{
    float noise[GUMBEL_TOKENS] = {0};
    if (s->temperature > 0) {
        ISA_NAME(gumbel_tile)(s, first, noise);
    }
    for (int i = 0; i < n; i++) {
        float value = s->temperature > 0 ? x[i] + noise[i] : x[i];
        if (tile->token < 0 || value > tile->best) {
            tile->best = value;
            tile->token = first + i;
        }
    }
}

static void pass_block(const struct head_pass *p, int row, int n_rows, int i_tile)
{
    int first = i_tile * TILE, n = p->V - first < TILE ? p->V - first : TILE;
    float *x = cpu_scratch(SCRATCH_TILE, (size_t)BLOCK_ROWS * TILE);
    ISA_NAME(gemm_tile)
    (&(struct gemm_tile){.M = n_rows,
                         .n_panels = div_up(n, CPU_PANEL),
                         .K = p->d,
                         .a = p->hidden + (ptrdiff_t)row * p->d,
                         .a_row = p->d,
                         .a_k = 1,
                         .b = p->w + (size_t)first * (size_t)p->d,
                         .b_panel = (ptrdiff_t)CPU_PANEL * p->d,
                         .b_k = CPU_PANEL,
                         .c = x,
                         .c_row = TILE});
    for (int r = row; r < row + n_rows; r++, x += TILE) {
        if (p->logits) {
            memcpy(p->logits + (ptrdiff_t)r * p->V + first, x, (size_t)n * sizeof *x);
        }
        vec scale = vec_set(p->inv_temperature[r]);
        for (int i = 0; i < n; i += VEC_LANES) {
            vec_store(x + i, vec_mul(vec_load(x + i), scale));
        }
        struct tile *tile = &p->tiles[(ptrdiff_t)r * p->n_tiles + i_tile];
        *tile = tile_stats(x, n);
        if (p->targets && p->targets[r] >= first && p->targets[r] < first + n) {
            p->target_logit[r] = x[p->targets[r] - first];
        }
        if (p->sampling && !p->logits) {
            tile_draw(tile, &p->sampling[r], x, first, p->n_valid - first < n ? p->n_valid - first : n);
        }
    }
}

static void pass_run(const struct head_pass *p)
{
    int row_blocks = div_up(p->n_rows, BLOCK_ROWS);
    int threads = cpu_threads_for((double)p->n_rows * p->d * p->V);
#pragma omp parallel for schedule(dynamic, 4) num_threads(threads) if (threads > 1)
    for (int i = 0; i < row_blocks * p->n_tiles; i++) {
        int row = i / p->n_tiles * BLOCK_ROWS;
        pass_block(p, row, p->n_rows - row < BLOCK_ROWS ? p->n_rows - row : BLOCK_ROWS, i % p->n_tiles);
    }
}

/* All tiles of a row, ascending, into the first. */
static struct tile combine(const struct tile *tiles, int n)
{
    struct tile all = tiles[0];
    for (int i = 1; i < n; i++) {
        float max = all.max > tiles[i].max ? all.max : tiles[i].max;
        float a = vec_exp_1(all.max - max), b = vec_exp_1(tiles[i].max - max);
        all.sum = all.sum * a + tiles[i].sum * b;
        all.weighted = all.weighted * a + tiles[i].weighted * b;
        all.max = max;
        if (tiles[i].token >= 0 && (all.token < 0 || tiles[i].best > all.best)) {
            all.best = tiles[i].best;
            all.token = tiles[i].token;
        }
    }
    return all;
}

static size_t tile_floats(int n_rows, int n_tiles)
{
    return (size_t)n_rows * ((size_t)n_tiles * (sizeof(struct tile) / sizeof(float)) + 2);
}

/* Scratch of a pass: the tiles, then two numbers per row. */
static void pass_prepare(struct head_pass *p)
{
    p->n_tiles = div_up(p->V, TILE);
    float *memory = cpu_scratch(SCRATCH_STATS, tile_floats(p->n_rows, p->n_tiles));
    p->tiles = (struct tile *)(void *)memory;
    p->target_logit = (float *)(p->tiles + (size_t)p->n_rows * (size_t)p->n_tiles);
}

void ISA_NAME(head)(const struct head_args *a)
{
    for (int row = 0; row < a->n_rows; row += PASS_ROWS) {
        int n = a->n_rows - row < PASS_ROWS ? a->n_rows - row : PASS_ROWS;
        struct head_pass p = {.n_rows = n, .d = a->d, .V = a->V, .w = a->w, .targets = a->targets + row};
        p.hidden = (const float *)a->hidden + (ptrdiff_t)row * a->d;
        pass_prepare(&p);
        float *inverse = p.target_logit + n;
        for (int r = 0; r < n; r++) {
            inverse[r] = a->inv_temperature;
        }
        p.inv_temperature = inverse;
        pass_run(&p);
        for (int r = 0; r < n; r++) {
            struct tile all = combine(p.tiles + (ptrdiff_t)r * p.n_tiles, p.n_tiles);
            float lse = all.max + vec_log_1(all.sum);
            a->lse[row + r] = lse;
            a->logprob[row + r] = p.target_logit[r] - lse;
            if (a->entropy) {
                a->entropy[row + r] = lse - all.weighted / all.sum;
            }
        }
    }
}

/* Rows row .. row + n - 1; `logits` where some of them are filtered. */
static void sample_rows(const struct head_sample_args *a, int row, int n, bool filtered)
{
    struct head_pass p = {
        .n_rows = n, .d = a->d, .V = a->V, .w = a->w, .n_valid = a->n_valid, .sampling = a->sampling + row};
    p.hidden = (const float *)a->hidden + (ptrdiff_t)row * a->d;
    pass_prepare(&p);
    float *inverse = p.target_logit + n;
    for (int r = 0; r < n; r++) {
        float temperature = p.sampling[r].temperature;
        inverse[r] = temperature > 0 ? 1.0f / temperature : 1.0f;
    }
    p.inv_temperature = inverse;
    p.logits = filtered ? cpu_scratch(SCRATCH_VALUES, (size_t)n * (size_t)a->V) : NULL;
    pass_run(&p);
    for (int r = 0; r < n; r++) {
        struct tile all = combine(p.tiles + (ptrdiff_t)r * p.n_tiles, p.n_tiles);
        float lse = all.max + vec_log_1(all.sum), logit = 0;
        int32_t token = all.token;
        if (filtered) {
            float *logits = p.logits + (ptrdiff_t)r * a->V;
            float *copy = cpu_scratch(SCRATCH_ROWS, (size_t)a->V);
            memcpy(copy, logits, (size_t)a->V * sizeof *copy);
            token = ISA_NAME(sample_filtered)(&p.sampling[r], copy, a->n_valid);
            logit = logits[token] * inverse[r];
        }
        a->tokens[row + r] = token;
        a->lse[row + r] = lse;
        a->entropy[row + r] = lse - all.weighted / all.sum;
        a->logprob[row + r] = logit - lse;
    }
}

/* The logit of each drawn token, by the same chain as in the tile. */
static void sampled_logprobs(const struct head_sample_args *a, int row, int n)
{
    const float *w = a->w;
    for (int r = row; r < row + n; r++) {
        int32_t token = a->tokens[r];
        float tile[CPU_PANEL], temperature = a->sampling[r].temperature;
        ISA_NAME(gemm_tile)
        (&(struct gemm_tile){.M = 1,
                             .n_panels = 1,
                             .K = a->d,
                             .a = (const float *)a->hidden + (ptrdiff_t)r * a->d,
                             .a_k = 1,
                             .b = w + (size_t)(token / CPU_PANEL) * CPU_PANEL * (size_t)a->d,
                             .b_k = CPU_PANEL,
                             .c = tile});
        float logit = tile[token % CPU_PANEL] * (temperature > 0 ? 1.0f / temperature : 1.0f);
        a->logprob[r] = logit - a->lse[r];
    }
}

void ISA_NAME(head_sample)(const struct head_sample_args *a)
{
    for (int row = 0, n; row < a->n_rows; row += n) {
        bool filtered = ISA_NAME(sampling_filters)(&a->sampling[row]);
        int max = filtered ? FEW_ROWS : PASS_ROWS;
        for (n = 1; n < max && row + n < a->n_rows; n++) {
            if (ISA_NAME(sampling_filters)(&a->sampling[row + n]) != filtered) {
                break;
            }
        }
        sample_rows(a, row, n, filtered);
        if (!filtered) {
            sampled_logprobs(a, row, n);
        }
    }
}

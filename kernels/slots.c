/* kernels/slots.c - one function per slot: its formula is that of the kernels that ask for it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/slots.h"

#include <string.h>

#include "base/num.h"
#include "kernels/device.h"

static const char *const labels[CUDA_SLOTS] = {
    [CUDA_SLOT_ROWS] = "kernels: rows",        [CUDA_SLOT_PARTS] = "kernels: partial sums",
    [CUDA_SLOT_DELTA] = "kernels: attention",  [CUDA_SLOT_TILES] = "kernels: vocabulary tiles",
    [CUDA_SLOT_LOGITS] = "kernels: logits",    [CUDA_SLOT_SAMPLING] = "kernels: sampling",
    [CUDA_SLOT_WIDE] = "kernels: fp32 sums",   [CUDA_SLOT_BLAS] = "kernels: cuBLASLt's workspace",
    [CUDA_SLOT_PLAN] = "kernels: plans",       [CUDA_SLOT_CONTEXTS] = "kernels: plans",
    [CUDA_SLOT_PLAN + 1] = "kernels: plans",   [CUDA_SLOT_PLAN + 2] = "kernels: plans",
    [CUDA_SLOT_PLAN + 3] = "kernels: plans",   [CUDA_SLOT_REPEAT] = "kernels: plans",
    [CUDA_SLOT_REPEAT + 1] = "kernels: plans", [CUDA_SLOT_TRIAL] = "kernels: trials of cuBLASLt",
};

const char *cuda_slot_label(enum cuda_slot slot)
{
    return labels[slot];
}

/* ---- backward ---- */

/* rmsnorm_grad: a float per norm; rows added up: a list entry per row; a count */
static size_t rows_bytes(const struct device_limits *l)
{
    int n_heads = 1; /* norms of a row */
    for (int i = 0; i < l->shapes.n_norms; i++) {
        n_heads = max_int(n_heads, l->shapes.norms[i].n_heads);
    }
    size_t norms = (size_t)l->tokens * (size_t)n_heads;
    return max_size(max_size(norms, (size_t)l->targets) * sizeof(float), sizeof(long long));
}

/* Parts of the gradients of keys: a block of a shared prefix has one per context that sees it, and its own. Blocks of
 * all prefixes together: by their length, and by the rows that there are. */
static size_t key_parts(const struct device_limits *l)
{
    size_t groups = (size_t)l->groups;
    size_t by_length = groups * div_up_size((size_t)l->max_prefix, CUDA_PART_ROWS);
    size_t by_rows = (size_t)l->tokens / CUDA_PART_ROWS + groups;
    return min_size(by_length, by_rows) * (size_t)(l->group_size + 1);
}

static size_t parts_bytes(const struct device_limits *l)
{
    const struct device_shapes *shapes = &l->shapes;
    size_t T = (size_t)l->tokens, blocks = div_up_size(T, CUDA_PART_ROWS);
    size_t floats = CUDA_PART_TILES * CUDA_TILE * CUDA_TILE; /* products */
    for (int i = 0; i < shapes->n_norms; i++) {
        size_t rows = T * (size_t)shapes->norms[i].n_heads;
        floats = max_size(floats, div_up_size(rows, CUDA_PART_ROWS) * (size_t)shapes->norms[i].width);
    }
    for (int i = 0; i < shapes->n_products; i++) {
        floats = max_size(floats, shapes->products[i].bias ? blocks * (size_t)shapes->products[i].N : 0);
    }
    for (int i = 0; i < shapes->n_attentions; i++) {
        size_t keys = (size_t)shapes->attentions[i].J * 2 * CUDA_PART_ROWS * (size_t)shapes->attentions[i].D;
        floats = max_size(floats, key_parts(l) * keys);
    }
    size_t squares = div_up_size(l->n_weights, CUDA_SQUARES) + 1;
    return max_size(floats * sizeof(float), squares * sizeof(double));
}

/* attention backward: a float per row and head */
static size_t delta_bytes(const struct device_limits *l)
{
    int H = 0;
    for (int i = 0; i < l->shapes.n_attentions; i++) {
        H = max_int(H, l->shapes.attentions[i].H);
    }
    return (size_t)l->tokens * (size_t)H * sizeof(float);
}

/* contexts; tasks of queries; tasks of keys, parts or not; sums of parts: 16 bytes each */
static size_t contexts_bytes(const struct device_limits *l)
{
    size_t contexts = (size_t)l->contexts, blocks = (size_t)l->tokens / CUDA_PART_ROWS + contexts;
    return 16 * (contexts + blocks + (blocks + key_parts(l)) + blocks) + 64;
}

/* ---- experts ---- */

/* expert_order: a count per block and expert, where one block is not enough */
static size_t sorting_bytes(const struct device_limits *l, int rows)
{
    size_t bytes = 0;
    for (int i = 0; i < l->shapes.n_experts; i++) {
        const struct device_experts *experts = &l->shapes.experts[i];
        size_t blocks = div_up_size((size_t)rows * (size_t)experts->k, CUDA_SORT_PAIRS);
        bytes = max_size(bytes, blocks > 1 ? blocks * (size_t)experts->E * sizeof(int) : 0);
    }
    return bytes;
}

/* ---- the head ---- */

static size_t tiles_bytes(const struct device_limits *l, int n_rows)
{
    size_t rows = min_size((size_t)n_rows, CUDA_PASS_ROWS), tiles = div_up_size((size_t)l->V, CUDA_TILE);
    return rows * tiles * CUDA_TILE_BYTES + rows * sizeof(float);
}

static size_t logits_bytes(const struct device_limits *l)
{
    return l->filtered ? min_size((size_t)l->rollout_sequences, CUDA_FEW_ROWS) * (size_t)l->V * sizeof(float) : 0;
}

static size_t dlogits_bytes(const struct device_limits *l)
{
    return min_size((size_t)l->targets, CUDA_DLOGIT_ROWS) * div_up_size((size_t)l->V, 8) * 8 * 2;
}

static size_t sampling_bytes(const struct device_limits *l)
{
    size_t draws = CUDA_PASS_ROWS * CUDA_DRAW_BYTES, rows = min_size((size_t)l->rollout_sequences, CUDA_FEW_ROWS);
    size_t filters = rows * (CUDA_FILTER_BYTES + 2 * (size_t)l->max_length * sizeof(float)) + 16;
    return l->filtered ? max_size(draws, filters) : draws;
}

/* ---- matrix products ---- */

#define TRIAL_RANGE 512

/* Numbers for one product (kernels/cuda/blas.c): both factors, in lines of a multiple of 64, a bias, C three times. */
static size_t trial_bytes(size_t M, size_t N, size_t K, size_t line_a, size_t line_b, bool a_transposed,
                          bool b_transposed, size_t element)
{
    size_t a = 2 * (a_transposed ? K : M) * (line_a + 64), b = 2 * (b_transposed ? K : N) * (line_b + 64);
    return a + b + 2 * N + 3 * element * M * N + 5 * 256 + 16;
}

static size_t forward_trial(size_t T, size_t N, size_t K, size_t element)
{
    return trial_bytes(min_size(T, CUDA_TRIAL_TOKENS), N, K, K, K, false, false, element);
}

static size_t backward_trial(size_t T, size_t N, size_t K)
{
    size_t tokens = min_size(T, CUDA_TRIAL_TOKENS), outputs = min_size(N, CUDA_TRIAL_OUTPUTS);
    size_t input = trial_bytes(tokens, K, N, N, K, false, true, 2);
    size_t weight = trial_bytes(outputs, K, tokens, outputs, K, true, true, 4);
    return max_size(input, weight);
}

/* The largest over the matrices of the model; backward, the head is among them. */
static size_t trials(const struct device_limits *l, size_t n_rows, bool backward)
{
    size_t rows = n_rows + TRIAL_RANGE; /* an algorithm is chosen for a range of rows, and tried at its end */
    size_t bytes = backward ? backward_trial(rows, (size_t)l->V, (size_t)l->d) : 0;
    for (int i = 0; i < l->shapes.n_products; i++) {
        size_t N = (size_t)l->shapes.products[i].N, K = (size_t)l->shapes.products[i].K;
        bytes = max_size(bytes, forward_trial(rows, N, K, 2));
        bytes = max_size(bytes, backward ? backward_trial(rows, N, K) : 0);
    }
    for (int i = 0; i < l->shapes.n_experts; i++) { /* the router */
        size_t N = (size_t)l->shapes.experts[i].E, K = (size_t)l->shapes.experts[i].d;
        bytes = max_size(bytes, forward_trial(rows, N, K, 4));
        bytes = max_size(bytes, backward ? backward_trial(rows, N, K) : 0);
    }
    return bytes;
}

/* ---- in and out ---- */

/* Rows of matrices, and the gradient of the queries, keys and values of a row */
static size_t wide_bytes(const struct device_limits *l)
{
    int widest = l->d;
    for (int i = 0; i < l->shapes.n_products; i++) {
        widest = max_int(widest, l->shapes.products[i].K);
    }
    for (int i = 0; i < l->shapes.n_experts; i++) {
        widest = max_int(widest, max_int(l->shapes.experts[i].d, l->shapes.experts[i].F));
    }
    for (int i = 0; i < l->shapes.n_attentions; i++) {
        const struct device_attention *a = &l->shapes.attentions[i];
        widest = max_int(widest, (a->H + 2 * a->J) * a->D);
    }
    return max_size(CUDA_IMPORT_FLOATS, CUDA_IMPORT_ROWS * (size_t)widest) * sizeof(float);
}

/* A plan of spans: where each row goes (8 bytes), the page lists, 16 bytes per task. */
static size_t spans_bytes(size_t rows, size_t n_spans, int max_length)
{
    size_t pages = div_up_size((size_t)max_length, OPS_PAGE);
    return 8 * rows + n_spans * pages * sizeof(int) + 16 * (rows + n_spans) + 48;
}

/* Rows are added to a pass of decoding, up to a multiple of 16 (model/forward_cached.c). */
static size_t rollout_plan_bytes(const struct device_limits *l)
{
    size_t running = min_size((size_t)l->rollout_rows, (size_t)l->rollout_sequences + 15);
    return spans_bytes((size_t)l->rollout_rows, running, l->max_length);
}

/* The end of a prefix is stored once more for each context that shares it. */
static size_t training_plan_bytes(const struct device_limits *l)
{
    size_t contexts = (size_t)l->contexts;
    return spans_bytes((size_t)l->tokens + contexts * (OPS_PAGE - 1), 2 * contexts, l->max_length);
}

void cuda_slots_plan(const struct device_limits *l, size_t bytes[][CUDA_SLOTS])
{
    size_t *always = bytes[DEVICE_ALWAYS], *rollout = bytes[DEVICE_ROLLOUT], *training = bytes[DEVICE_TRAINING];
    memset(bytes, 0, DEVICE_PHASES * sizeof *bytes);
    always[CUDA_SLOT_WIDE] = wide_bytes(l);
    always[CUDA_SLOT_BLAS] = CUDA_BLAS_BYTES;
    for (int i = CUDA_SLOT_PLAN; i < CUDA_SLOT_REPEAT; i++) {
        always[i] = max_size(l->rollout_rows ? rollout_plan_bytes(l) : 0, l->tokens ? training_plan_bytes(l) : 0);
    }
    for (int i = CUDA_SLOT_REPEAT; i < CUDA_SLOTS; i++) {
        always[i] = l->rollout_rows ? rollout_plan_bytes(l) : 0;
    }
    if (l->rollout_rows > 0) {
        rollout[CUDA_SLOT_ROWS] = max_size(sorting_bytes(l, l->rollout_rows), sizeof(long long));
        rollout[CUDA_SLOT_TILES] = tiles_bytes(l, l->rollout_sequences);
        rollout[CUDA_SLOT_LOGITS] = logits_bytes(l);
        rollout[CUDA_SLOT_SAMPLING] = sampling_bytes(l);
        rollout[CUDA_SLOT_TRIAL] = trials(l, (size_t)l->rollout_rows, false);
    }
    if (l->tokens > 0) {
        always[CUDA_SLOT_CONTEXTS] = contexts_bytes(l);
        training[CUDA_SLOT_ROWS] = max_size(sorting_bytes(l, l->tokens), rows_bytes(l));
        training[CUDA_SLOT_PARTS] = parts_bytes(l);
        training[CUDA_SLOT_DELTA] = delta_bytes(l);
        training[CUDA_SLOT_TILES] = tiles_bytes(l, l->targets);
        training[CUDA_SLOT_LOGITS] = dlogits_bytes(l);
        training[CUDA_SLOT_TRIAL] = trials(l, max_size((size_t)l->tokens, (size_t)l->targets), true);
    }
}

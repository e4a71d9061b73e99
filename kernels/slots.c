/* kernels/slots.c - one function a slot: its formula is that of the kernels that ask for it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/slots.h"

#include <string.h>

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

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t parts_of(size_t n, size_t size)
{
    return (n + size - 1) / size;
}

static size_t qkv_width(const struct device_limits *l)
{
    return (size_t)(l->H + 2 * l->J) * (size_t)l->D;
}

/* ---- backward ---- */

/* rmsnorm_grad: a float a norm; rows added up: a list entry a row; a count */
static size_t rows_bytes(const struct device_limits *l)
{
    size_t norms = (size_t)l->tokens * (size_t)(l->qk_norm ? l->H : 1);
    return most(most(norms, (size_t)l->targets) * sizeof(float), sizeof(long long));
}

/* Parts of the gradients of keys: a block of a shared prefix has one a context that sees it, and its own. Blocks of all prefixes
 * together: by their length, and by the rows that there are. */
static size_t key_parts(const struct device_limits *l)
{
    size_t groups = (size_t)l->groups;
    size_t by_length = groups * parts_of((size_t)l->max_prefix, CUDA_PART_ROWS);
    size_t by_rows = (size_t)l->tokens / CUDA_PART_ROWS + groups;
    return least(by_length, by_rows) * (size_t)(l->group_size + 1);
}

static size_t parts_bytes(const struct device_limits *l)
{
    size_t T = (size_t)l->tokens, D = (size_t)l->D;
    size_t norms = parts_of(T, CUDA_PART_ROWS) * (size_t)l->d;
    if (l->qk_norm) {
        norms = most(norms, parts_of(T * (size_t)l->H, CUDA_PART_ROWS) * D);
    }
    size_t biases = l->qkv_bias ? parts_of(T, CUDA_PART_ROWS) * qkv_width(l) : 0;
    size_t keys = key_parts(l) * (size_t)l->J * 2 * CUDA_PART_ROWS * D;
    size_t products = CUDA_PART_TILES * CUDA_TILE * CUDA_TILE;
    size_t squares = parts_of(l->n_weights, CUDA_SQUARES) + 1;
    return most(most(most(norms, biases), most(keys, products)) * sizeof(float), squares * sizeof(double));
}

/* contexts; tasks of queries; tasks of keys, parts or not; sums of parts: 16 bytes each */
static size_t contexts_bytes(const struct device_limits *l)
{
    size_t contexts = (size_t)l->contexts, blocks = (size_t)l->tokens / CUDA_PART_ROWS + contexts;
    return 16 * (contexts + blocks + (blocks + key_parts(l)) + blocks) + 64;
}

/* ---- the head ---- */

static size_t tiles_bytes(const struct device_limits *l, int n_rows)
{
    size_t rows = least((size_t)n_rows, CUDA_PASS_ROWS), tiles = parts_of((size_t)l->V, CUDA_TILE);
    return rows * tiles * CUDA_TILE_BYTES + rows * sizeof(float);
}

static size_t logits_bytes(const struct device_limits *l)
{
    return l->filtered ? least((size_t)l->rollout_sequences, CUDA_FEW_ROWS) * (size_t)l->V * sizeof(float) : 0;
}

static size_t dlogits_bytes(const struct device_limits *l)
{
    return least((size_t)l->targets, CUDA_DLOGIT_ROWS) * parts_of((size_t)l->V, 8) * 8 * 2;
}

static size_t sampling_bytes(const struct device_limits *l)
{
    size_t draws = CUDA_PASS_ROWS * CUDA_DRAW_BYTES, rows = least((size_t)l->rollout_sequences, CUDA_FEW_ROWS);
    size_t filters = rows * (CUDA_FILTER_BYTES + 2 * (size_t)l->max_length * sizeof(float)) + 16;
    return l->filtered ? most(draws, filters) : draws;
}

/* ---- matrix products ---- */

#define TRIAL_RANGE 512

/* Numbers for one product (kernels/cuda/blas.c): both factors, in lines of a multiple of 64, a bias, C three times. */
static size_t trial_bytes(size_t M, size_t N, size_t K, size_t line_a, size_t line_b, bool turned_a, bool turned_b,
                          size_t element)
{
    size_t a = 2 * (turned_a ? K : M) * (line_a + 64), b = 2 * (turned_b ? K : N) * (line_b + 64);
    return a + b + 2 * N + 3 * element * M * N + 5 * 256 + 16;
}

static size_t forward_trial(size_t T, size_t N, size_t K)
{
    return trial_bytes(least(T, CUDA_TRIAL_TOKENS), N, K, K, K, false, false, 2);
}

static size_t backward_trial(size_t T, size_t N, size_t K)
{
    size_t tokens = least(T, CUDA_TRIAL_TOKENS), outputs = least(N, CUDA_TRIAL_OUTPUTS);
    size_t input = trial_bytes(tokens, K, N, N, K, false, true, 2);
    size_t weight = trial_bytes(outputs, K, tokens, outputs, K, true, true, 4);
    return most(input, weight);
}

/* The largest over the matrices of the model; backward, the head is among them. */
static size_t trials(const struct device_limits *l, size_t n_rows, bool backward)
{
    size_t d = (size_t)l->d, F = (size_t)l->F, q = (size_t)l->H * (size_t)l->D;
    const size_t shapes[][2] = {{qkv_width(l), d}, {d, q}, {2 * F, d}, {d, F}, {(size_t)l->V, d}};
    size_t bytes = 0, n_layer = sizeof shapes / sizeof *shapes - 1;
    size_t rows = n_rows + TRIAL_RANGE; /* an algorithm is chosen for a range of rows, and tried at its end */
    for (size_t i = 0; i < n_layer + backward; i++) {
        bytes = most(bytes, i < n_layer ? forward_trial(rows, shapes[i][0], shapes[i][1]) : 0);
        bytes = most(bytes, backward ? backward_trial(rows, shapes[i][0], shapes[i][1]) : 0);
    }
    return bytes;
}

/* ---- in and out ---- */

static size_t wide_bytes(const struct device_limits *l)
{
    size_t widest = most(most((size_t)l->d, (size_t)l->F), most((size_t)l->H * (size_t)l->D, qkv_width(l)));
    return most(CUDA_IMPORT_FLOATS, CUDA_IMPORT_ROWS * widest) * sizeof(float);
}

/* A plan of spans: where 8 bytes a row go, the page lists, 16 bytes a task. */
static size_t spans_bytes(size_t rows, size_t n_spans, int max_length)
{
    size_t pages = parts_of((size_t)max_length, OPS_PAGE);
    return 8 * rows + n_spans * pages * sizeof(int) + 16 * (rows + n_spans) + 48;
}

/* Rows are added to a pass of decoding, up to a multiple of 16 (model/forward_cached.c). */
static size_t rollout_plan_bytes(const struct device_limits *l)
{
    size_t running = least((size_t)l->rollout_rows, (size_t)l->rollout_sequences + 15);
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
        always[i] = most(l->rollout_rows ? rollout_plan_bytes(l) : 0, l->tokens ? training_plan_bytes(l) : 0);
    }
    for (int i = CUDA_SLOT_REPEAT; i < CUDA_SLOTS; i++) {
        always[i] = l->rollout_rows ? rollout_plan_bytes(l) : 0;
    }
    if (l->rollout_rows > 0) {
        rollout[CUDA_SLOT_ROWS] = sizeof(long long);
        rollout[CUDA_SLOT_TILES] = tiles_bytes(l, l->rollout_sequences);
        rollout[CUDA_SLOT_LOGITS] = logits_bytes(l);
        rollout[CUDA_SLOT_SAMPLING] = sampling_bytes(l);
        rollout[CUDA_SLOT_TRIAL] = trials(l, (size_t)l->rollout_rows, false);
    }
    if (l->tokens > 0) {
        always[CUDA_SLOT_CONTEXTS] = contexts_bytes(l);
        training[CUDA_SLOT_ROWS] = rows_bytes(l);
        training[CUDA_SLOT_PARTS] = parts_bytes(l);
        training[CUDA_SLOT_DELTA] = (size_t)l->tokens * (size_t)l->H * sizeof(float);
        training[CUDA_SLOT_TILES] = tiles_bytes(l, l->targets);
        training[CUDA_SLOT_LOGITS] = dlogits_bytes(l);
        training[CUDA_SLOT_TRIAL] = trials(l, most((size_t)l->tokens, (size_t)l->targets), true);
    }
}

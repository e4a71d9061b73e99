/* model/activations.c - the slices of a training pass: one list, from which sizes, labels, allocation and release all come, and
 * among them the buffers of the blocks.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/activations.h"

#include "base/num.h"

/* The pages that contexts may need: each context its own full ones, the one that it begins in and the one that it ends in. */
static int pages_needed(int max_tokens, int max_contexts, int pages_per_context)
{
    int64_t by_rows = max_tokens / OPS_PAGE + 2 * (int64_t)max_contexts;
    int64_t by_length = (int64_t)max_contexts * pages_per_context;
    return (int)(by_rows < by_length ? by_rows : by_length);
}

struct slice {
    void **at;
    size_t n, bytes; /* elements, and the bytes of one */
    const char *label;
};

/* What is allocated, in the order of the memory table: slices, and between them those of the blocks. */
enum { KEPT_INPUT, KEPT_MID, KEPT_HIDDEN, NORMED, DX, FIRST_OF_BATCH };

#define MAX_SLICES 20

/* Lists the slices of `a` besides those of the blocks; returns how many. */
static int list_slices(struct activations *a, const struct model *model, struct slice *list)
{
    size_t L = (size_t)model->config.n_layers, K = a->checkpointing ? 1 : L, d = (size_t)model->config.d;
    size_t T = (size_t)a->max_tokens, N = (size_t)a->max_targets, element = model->device->element_bytes;
    const struct slice slices[] = {
        [KEPT_INPUT] = {&a->x, (L + 1) * T * d, element, "kept: layer inputs"},
        [KEPT_MID] = {&a->mid, K * T * d, element, "kept: between attention and feed-forward"},
        [KEPT_HIDDEN] = {&a->hidden, T * d, element, "kept: hidden"},
        [NORMED] = {&a->normed, T * d, element, "training: after a norm"},
        [DX] = {&a->dx, T * d, element, "gradient: residual stream"},
        [FIRST_OF_BATCH] = {(void **)&a->tokens, T, sizeof(int32_t), "training: tokens"},
        {(void **)&a->positions, T, sizeof(int32_t), "training: positions"},
        {(void **)&a->target_rows, N, sizeof(int32_t), "training: target rows"},
        {(void **)&a->targets, N, sizeof(int32_t), "training: targets"},
        {&a->target_x, N * d, element, "training: hidden of targets"},
        {&a->dtarget_x, N * d, element, "gradient: hidden of targets"},
        {(void **)&a->logprob, N, sizeof(float), "training: log-probabilities"},
        {(void **)&a->target_lse, N, sizeof(float), "training: log-sum-exp"},
        {(void **)&a->entropy, N, sizeof(float), "training: entropy"},
        {(void **)&a->d_logprob, N, sizeof(float), "gradient: log-probabilities"},
        {(void **)&a->d_entropy, N, sizeof(float), "gradient: entropy"},
    };
    _Static_assert(sizeof slices / sizeof *slices <= MAX_SLICES, "the list must hold all");
    memcpy(list, slices, sizeof slices);
    return (int)(sizeof slices / sizeof *slices);
}

static void take(const struct slice *slice, const struct model *model)
{
    *slice->at = device_alloc_in(model->device, DEVICE_TRAINING, slice->n * slice->bytes, slice->label);
}

static void take_all(struct activations *a, const struct model *model)
{
    struct slice list[MAX_SLICES];
    int n = list_slices(a, model, list);
    take(&list[KEPT_INPUT], model);
    buffers_add(&a->blocks, model, BLOCK_ATTENTION, BUFFER_KEPT);
    take(&list[KEPT_MID], model);
    buffers_add(&a->blocks, model, BLOCK_FEED_FORWARD, BUFFER_KEPT);
    buffers_add(&a->blocks, model, BLOCK_FEED_FORWARD, BUFFER_SEEN);
    take(&list[KEPT_HIDDEN], model);
    take(&list[NORMED], model);
    for (int half = 0; half < BLOCKS_PER_LAYER; half++) {
        buffers_add(&a->blocks, model, half, BUFFER_SCRATCH);
    }
    take(&list[DX], model);
    adapter_scratch_take(&a->adapter, model->adapter, model->device, a->max_tokens, true);
    for (int half = 0; half < BLOCKS_PER_LAYER; half++) {
        buffers_add(&a->blocks, model, half, BUFFER_GRADIENT);
    }
    for (int half = 0; half < BLOCKS_PER_LAYER; half++) {
        buffers_add(&a->blocks, model, half, BUFFER_PAGES);
    }
    for (int i = FIRST_OF_BATCH; i < n; i++) {
        take(&list[i], model);
    }
}

struct activations *activations_new(const struct model *model, int max_tokens, int max_targets, int max_contexts,
                                    int max_length, bool checkpointing)
{
    struct activations *a = mem_zero(sizeof *a);
    BUG_ON(max_tokens < 1 || max_targets < 1 || max_contexts < 1 || max_length < 1);
    a->max_tokens = max_tokens;
    a->max_targets = max_targets;
    a->max_contexts = max_contexts;
    a->checkpointing = checkpointing;
    a->held = -1;
    a->pages_per_context = div_up(max_length, OPS_PAGE);
    buffers_init(&a->blocks, model, checkpointing ? PASS_RECOMPUTE : PASS_TRAIN, max_tokens,
                 pages_needed(max_tokens, max_contexts, a->pages_per_context));
    take_all(a, model);
    a->stores = mem_zero(2 * (size_t)max_contexts * sizeof *a->stores);
    a->spans = mem_zero((size_t)max_contexts * sizeof *a->spans);
    a->pages = mem_zero((size_t)max_contexts * (size_t)a->pages_per_context * sizeof *a->pages);
    return a;
}

void activations_add_balance(struct activations *a, const struct model *model, int max_sets)
{
    size_t n = (size_t)model->config.n_layers * (size_t)max_sets * (size_t)model->config.moe.router.E;
    BUG_ON(a->dshares || max_sets < 1);
    a->max_sets = max_sets;
    a->dshares = device_alloc_in(model->device, DEVICE_TRAINING, n * sizeof *a->dshares, "gradient: experts' shares");
    a->sets = device_alloc_in(model->device, DEVICE_TRAINING, (size_t)a->max_tokens * sizeof *a->sets,
                              "training: sets of shares");
}

void model_balance(const struct model *model, struct activations *a, const float *dshares, const int32_t *sets,
                   int n_sets)
{
    size_t n = (size_t)model->config.n_layers * (size_t)n_sets * (size_t)model->config.moe.router.E;
    BUG_ON(n_sets < 1 || n_sets > a->max_sets || a->pass.T < 1);
    device_write(model->device, a->dshares, dshares, n * sizeof *dshares);
    device_write(model->device, a->sets, sets, (size_t)a->pass.T * sizeof *sets);
    a->pass.n_sets = n_sets;
    a->pass.dshares = a->dshares;
    a->pass.sets = a->sets;
}

void activations_free(struct activations *acts, const struct model *model)
{
    struct slice list[MAX_SLICES];
    if (!acts) {
        return;
    }
    for (int i = 0, n = list_slices(acts, model, list); i < n; i++) {
        device_free(model->device, *list[i].at);
    }
    device_free(model->device, acts->dshares);
    device_free(model->device, acts->sets);
    buffers_release(&acts->blocks, model->device);
    adapter_scratch_release(&acts->adapter, model->device);
    free(acts->stores);
    free(acts->spans);
    free(acts->pages);
    free(acts);
}

struct layer_io activations_layer(const struct activations *acts, const struct model *model, int layer)
{
    size_t rows = (size_t)acts->max_tokens * (size_t)model->config.d, in = (size_t)layer * rows;
    return (struct layer_io){
        .pass = &acts->pass,
        .x = linear_element(model, acts->x, in),
        .normed = acts->normed,
        .mid = acts->checkpointing ? acts->mid : linear_element(model, acts->mid, in),
        .out = linear_element(model, acts->x, in + rows),
        .dx = acts->dx,
        .buffers = &acts->blocks.layers[layer],
        .pages = &acts->blocks.layers[layer],
    };
}

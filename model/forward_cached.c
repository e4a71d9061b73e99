/* model/forward_cached.c - the forward pass of rollout, whose keys and values are in the caller's pages.
 *
 * Where a device can repeat recorded work (kernels/ops.h, repeat_args), passes of decoding are padded and recorded.
 *
 * One set of buffers serves all layers: the residual stream goes to and fro between two arrays, and every other array is
 * written anew by each layer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/forward.h"

#include <string.h>

#include "base/num.h"
#include "model/adapter.h"
#include "model/layer.h"

/* ---- buffers ---- */

#define PAD_ROWS 16  /* a recorded pass has a multiple of them */
#define PAD_MAX  256 /* larger passes take a GPU longer than the host needs to launch them */

struct model_scratch {
    int max_rows;
    int32_t *tokens_padded, *positions_padded; /* host, [PAD_MAX] */
    struct span *spans_padded;                 /* host, [PAD_MAX] */
    int32_t spare_page;                        /* host: where padded rows have their keys and values */
    int32_t *tokens, *positions;
    void *x, *mid, *normed; /* [max_rows, d] */
    struct buffers blocks;
    struct adapter_scratch adapter;
};

static void scratch_free(struct model_scratch *scratch, struct device *device)
{
    if (!scratch) {
        return;
    }
    void *slices[] = {scratch->tokens, scratch->positions, scratch->x, scratch->mid, scratch->normed};
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++) {
        device_free(device, slices[i]);
    }
    buffers_release(&scratch->blocks, device);
    adapter_scratch_release(&scratch->adapter, device);
    free(scratch->tokens_padded);
    free(scratch->positions_padded);
    free(scratch->spans_padded);
    free(scratch);
}

void model_release_cached(struct model *model)
{
    scratch_free(model->scratch, model->device);
    model->scratch = NULL;
}

void model_reserve_cached(struct model *model, int max_rows)
{
    const struct model_config *config = &model->config;
    struct device *device = model->device;
    BUG_ON(max_rows < 1);
    if (model->scratch && model->scratch->max_rows >= max_rows) {
        return;
    }
    model_release_cached(model);
    struct model_scratch *s = mem_zero(sizeof *s);
    size_t rows = (size_t)max_rows, row = rows * device->element_bytes;
    s->max_rows = max_rows;
    s->tokens_padded = mem_zero(PAD_MAX * sizeof *s->tokens_padded);
    s->positions_padded = mem_zero(PAD_MAX * sizeof *s->positions_padded);
    s->spans_padded = mem_zero(PAD_MAX * sizeof *s->spans_padded);
    s->tokens = device_alloc_in(device, DEVICE_ROLLOUT, rows * sizeof *s->tokens, "forward: tokens");
    s->positions = device_alloc_in(device, DEVICE_ROLLOUT, rows * sizeof *s->positions, "forward: positions");
    s->x = device_alloc_in(device, DEVICE_ROLLOUT, row * (size_t)config->d, "forward: residual stream");
    s->mid = device_alloc_in(device, DEVICE_ROLLOUT, row * (size_t)config->d, "forward: residual stream");
    s->normed = device_alloc_in(device, DEVICE_ROLLOUT, row * (size_t)config->d, "forward: after a norm");
    buffers_init(&s->blocks, model, PASS_DECODE, max_rows, 0);
    for (int half = 0; half < BLOCKS_PER_LAYER; half++) {
        buffers_add(&s->blocks, model, half, BUFFER_KEPT);
        buffers_add(&s->blocks, model, half, BUFFER_SEEN);
        buffers_add(&s->blocks, model, half, BUFFER_SCRATCH);
    }
    adapter_scratch_take(&s->adapter, model->adapter, device, max_rows, false);
    model->scratch = s;
}

void model_cached_experts(const struct model *model, int T, uint8_t *experts)
{
    BUG_ON(T > model->scratch->max_rows);
    model_read_experts(model, &model->scratch->blocks, T, experts);
}

/* ---- the pass ---- */

/* The operations of a pass, whose tokens and positions are on the device too. */
struct cached_pass {
    const struct model *model;
    struct pass rows;
    const int32_t *host_positions;
    const struct kv_pool *pool;
    void *hidden;
};

static void run_pass(void *context)
{
    const struct cached_pass *pass = context;
    const struct model *model = pass->model;
    const struct model_scratch *s = model->scratch;
    int T = pass->rows.T;
    model_embed(model, T, s->tokens, s->x);
    for (int layer = 0; layer < model->config.n_layers; layer++) {
        layer_forward(model, layer,
                      &(struct layer_io){
                          .pass = &pass->rows,
                          .x = s->x,
                          .normed = s->normed,
                          .mid = s->mid,
                          .out = s->x,
                          .buffers = &s->blocks.layers[layer],
                          .pages = &pass->pool->pages->layers[layer],
                      });
        model_show_layer(model, layer, T, pass->host_positions, s->x);
    }
    model_final_norm(model, T, s->x, pass->hidden);
}

/* ---- passes that are recorded ---- */

/* Rows in whole multiples, so that a few recordings serve all numbers of sequences; 0: the pass is not repeated. A row's bits
 * are its own, so rows that nobody reads do no harm. */
static int padded_rows(const struct model *model, const struct cached_batch *batch)
{
    int T = div_up(batch->T, PAD_ROWS) * PAD_ROWS;
    bool decodes = batch->n_spans == batch->T; /* one row a span: no prompts */
    return model->device->ops->repeat && decodes && !model->watch.see && T <= PAD_MAX && T <= model->scratch->max_rows
               ? T
               : 0;
}

/* The batch with rows added, each at a position of its own on the pool's spare page. */
static struct cached_batch pad(struct model_scratch *s, const struct cached_batch *batch, int T,
                               const struct kv_pool *pool)
{
    s->spare_page = pool->n_pages;
    memcpy(s->tokens_padded, batch->tokens, (size_t)batch->T * sizeof *s->tokens_padded);
    memcpy(s->positions_padded, batch->positions, (size_t)batch->T * sizeof *s->positions_padded);
    memcpy(s->spans_padded, batch->spans, (size_t)batch->T * sizeof *s->spans_padded);
    for (int t = batch->T; t < T; t++) {
        int position = t - batch->T;
        s->tokens_padded[t] = 0;
        s->positions_padded[t] = position;
        s->spans_padded[t] = (struct span){t, 1, position, &s->spare_page};
    }
    return (struct cached_batch){T, s->tokens_padded, s->positions_padded, T, s->spans_padded};
}

static void repeat_pass(const struct cached_pass *pass)
{
    const struct model *model = pass->model;
    const struct buffers *pages = pass->pool->pages;
    struct {
        const void *weights, *first, *last, *x;
        intptr_t T;
    } key = {model->params.data, pages->slices[0], pages->slices[pages->n_slices - 1], model->scratch->x, pass->rows.T};
    model->device->ops->repeat(&(struct repeat_args){
        .key = &key,
        .key_bytes = sizeof key,
        .spans = pass->rows.spans,
        .n_spans = pass->rows.n_spans,
        .work = run_pass,
        .context = (void *)(uintptr_t)pass,
    });
}

void model_forward_cached(struct model *model, const struct cached_batch *batch, struct kv_pool *pool, void *hidden)
{
    struct model_scratch *s = model->scratch;
    struct cached_batch all = *batch;
    BUG_ON(!s || all.T < 1 || all.T > s->max_rows || !device_holds(model->device, DEVICE_ROLLOUT));
    int padded = padded_rows(model, batch);
    if (padded) {
        all = pad(s, batch, padded, pool);
    }
    model_check_rows(model, all.T, all.tokens, all.positions);
    device_write(model->device, s->tokens, all.tokens, (size_t)all.T * sizeof *s->tokens);
    device_write(model->device, s->positions, all.positions, (size_t)all.T * sizeof *s->positions);
    struct cached_pass pass = {
        .model = model,
        .rows = {.T = all.T,
                 .positions = s->positions,
                 .n_stores = all.n_spans,
                 .n_spans = all.n_spans,
                 .stores = all.spans,
                 .spans = all.spans,
                 .adapter = &s->adapter},
        .host_positions = all.positions,
        .pool = pool,
        .hidden = padded ? s->normed : hidden,
    };
    if (padded) { /* hidden has no place for the rows that were added */
        repeat_pass(&pass);
        size_t bytes = (size_t)batch->T * (size_t)model->config.d * model->device->element_bytes;
        device_copy(model->device, hidden, s->normed, bytes);
    } else {
        run_pass(&pass);
    }
}

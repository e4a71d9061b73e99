/* model/forward.c - the cached forward pass of rollout, and the pool of keys and values.
 *
 * Where a device can repeat recorded work (kernels/ops.h, repeat_args), passes of decoding are padded and recorded.
 *
 * One set of buffers serves all layers: the residual stream goes to and fro between two arrays, and every other array is
 * written anew by each layer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/forward.h"

#include <string.h>

#include "model/layer.h"

/* ---- the pool ---- */

static size_t page_bytes_of_layer(const struct model *model)
{
    return ops_page_elements(model->config.J, model->config.D) * model->device->element_bytes;
}

size_t kv_page_bytes(const struct model *model)
{
    return 2 * (size_t)model->config.n_layers * page_bytes_of_layer(model);
}

void kv_pool_init(struct kv_pool *pool, const struct model *model, int n_pages)
{
    size_t n_layers = (size_t)model->config.n_layers, spare = model->device->ops->repeat ? 1 : 0;
    size_t bytes = ((size_t)n_pages + spare) * page_bytes_of_layer(model);
    BUG_ON(n_pages < 1);
    *pool = (struct kv_pool){.n_pages = n_pages};
    pool->k = mem_zero(n_layers * sizeof *pool->k);
    pool->v = mem_zero(n_layers * sizeof *pool->v);
    for (size_t i = 0; i < n_layers; i++) {
        pool->k[i] = device_alloc_in(model->device, DEVICE_ROLLOUT, bytes, "key cache");
        pool->v[i] = device_alloc_in(model->device, DEVICE_ROLLOUT, bytes, "value cache");
    }
}

void kv_pool_release(struct kv_pool *pool, const struct model *model)
{
    for (int i = 0; pool->k && i < model->config.n_layers; i++) {
        device_free(model->device, pool->k[i]);
        device_free(model->device, pool->v[i]);
    }
    free(pool->k);
    free(pool->v);
    *pool = (struct kv_pool){0};
}

void kv_pool_copy(struct kv_pool *pool, const struct model *model, int32_t from, int32_t to, int n)
{
    BUG_ON(from < 0 || to < 0 || from >= pool->n_pages || to >= pool->n_pages || n < 0 || n > OPS_PAGE);
    for (int i = 0; i < model->config.n_layers; i++) {
        model->device->ops->kv_copy(&(struct kv_copy_args){
            .J = model->config.J,
            .D = model->config.D,
            .n = n,
            .from = from,
            .to = to,
            .k_pool = pool->k[i],
            .v_pool = pool->v[i],
        });
    }
}

/* ---- buffers ---- */

#define PAD_ROWS 16  /* a recorded pass has a multiple of them */
#define PAD_MOST 256 /* larger passes take a GPU longer than the host needs to launch them */

struct model_scratch {
    int max_rows;
    int32_t *tokens_padded, *positions_padded; /* host, [PAD_MOST] */
    struct span *spans_padded;                 /* host, [PAD_MOST] */
    int32_t spare_page;                        /* host: where padded rows have their keys and values */
    int32_t *tokens, *positions;
    void *x, *mid, *normed; /* [max_rows, d] */
    void *qkv, *attended;   /* [max_rows, (H + 2J) D], [max_rows, H D] */
    void *gate_up, *act;    /* [max_rows, 2F], [max_rows, F] */
};

static void scratch_free(struct model_scratch *scratch, struct device *device)
{
    if (!scratch) {
        return;
    }
    void *buffers[] = {scratch->tokens, scratch->positions, scratch->x,       scratch->mid, scratch->normed,
                       scratch->qkv,    scratch->attended,  scratch->gate_up, scratch->act};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        device_free(device, buffers[i]);
    }
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
    s->tokens_padded = mem_zero(PAD_MOST * sizeof *s->tokens_padded);
    s->positions_padded = mem_zero(PAD_MOST * sizeof *s->positions_padded);
    s->spans_padded = mem_zero(PAD_MOST * sizeof *s->spans_padded);
    s->tokens = device_alloc_in(device, DEVICE_ROLLOUT, rows * sizeof *s->tokens, "forward: tokens");
    s->positions = device_alloc_in(device, DEVICE_ROLLOUT, rows * sizeof *s->positions, "forward: positions");
    s->x = device_alloc_in(device, DEVICE_ROLLOUT, row * (size_t)config->d, "forward: residual stream");
    s->mid = device_alloc_in(device, DEVICE_ROLLOUT, row * (size_t)config->d, "forward: residual stream");
    s->normed = device_alloc_in(device, DEVICE_ROLLOUT, row * (size_t)config->d, "forward: after a norm");
    s->qkv = device_alloc_in(device, DEVICE_ROLLOUT, row * (size_t)layer_qkv_width(config), "forward: q, k, v");
    s->attended =
        device_alloc_in(device, DEVICE_ROLLOUT, row * (size_t)config->H * (size_t)config->D, "forward: attention");
    s->gate_up = device_alloc_in(device, DEVICE_ROLLOUT, row * 2 * (size_t)config->F, "forward: gate, up");
    s->act = device_alloc_in(device, DEVICE_ROLLOUT, row * (size_t)config->F, "forward: swiglu");
    model->scratch = s;
}

/* ---- the pass ---- */

void model_check_rows(const struct model *model, int T, const int32_t *tokens, const int32_t *positions)
{
    for (int t = 0; t < T; t++) {
        BUG_ON(tokens[t] < 0 || tokens[t] >= model->config.V);
        BUG_ON(positions[t] < 0 || positions[t] >= model->max_positions);
    }
}

void model_show_layer(const struct model *model, int layer, int T, const int32_t *positions, const void *x)
{
    if (model->watch.see) {
        model->watch.see(model->watch.context, model, layer, T, positions, x);
    }
}

void model_embed(const struct model *model, int T, const int32_t *tokens, void *x)
{
    model->device->ops->embedding(&(struct embedding_args){
        .T = T,
        .d = model->config.d,
        .V = model->config.V,
        .tokens = tokens,
        .table = linear_weight(model, model->weights.embedding),
        .y = x,
    });
}

/* The operations of a pass, whose tokens and positions are on the device too. */
struct pass {
    const struct model *model;
    int T, n_spans;
    const int32_t *positions;
    const struct span *spans;
    const struct kv_pool *pool;
    void *hidden;
};

static void run_pass(void *context)
{
    const struct pass *pass = context;
    const struct model *model = pass->model;
    const struct model_scratch *s = model->scratch;
    model_embed(model, pass->T, s->tokens, s->x);
    for (int layer = 0; layer < model->config.n_layers; layer++) {
        layer_forward(model, layer,
                      &(struct layer_io){
                          .T = pass->T,
                          .positions = s->positions,
                          .n_stores = pass->n_spans,
                          .n_spans = pass->n_spans,
                          .stores = pass->spans,
                          .spans = pass->spans,
                          .k_pool = pass->pool->k[layer],
                          .v_pool = pass->pool->v[layer],
                          .x = s->x,
                          .normed = s->normed,
                          .qkv = s->qkv,
                          .qk = s->qkv,
                          .attended = s->attended,
                          .mid = s->mid,
                          .gate_up = s->gate_up,
                          .act = s->act,
                          .out = s->x,
                      });
        model_show_layer(model, layer, pass->T, pass->positions, s->x);
    }
    struct norm norm = norm_of_rows(model, model->weights.final_norm);
    norm_forward(model, &norm, pass->T, s->x, pass->hidden);
}

/* ---- passes that are recorded ---- */

/* Rows in whole multiples, so that a few recordings serve all numbers of sequences; 0: the pass is not repeated. A row's bits
 * are its own, so rows that nobody reads do no harm. */
static int padded_rows(const struct model *model, const struct cached_batch *batch)
{
    int T = (batch->T + PAD_ROWS - 1) / PAD_ROWS * PAD_ROWS;
    bool decodes = batch->n_spans == batch->T; /* one row a span: no prompts */
    return model->device->ops->repeat && decodes && !model->watch.see && T <= PAD_MOST && T <= model->scratch->max_rows
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

static void repeat_pass(const struct pass *pass)
{
    const struct model *model = pass->model;
    struct {
        const void *weights, *keys, *values, *x;
        intptr_t T;
    } key = {model->weights.data, pass->pool->k[0], pass->pool->v[0], model->scratch->x, pass->T};
    model->device->ops->repeat(&(struct repeat_args){
        .key = &key,
        .key_bytes = sizeof key,
        .spans = pass->spans,
        .n_spans = pass->n_spans,
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
    struct pass pass = {model, all.T, all.n_spans, all.positions, all.spans, pool, padded ? s->normed : hidden};
    if (padded) { /* hidden has no place for the rows that were added */
        repeat_pass(&pass);
        size_t bytes = (size_t)batch->T * (size_t)model->config.d * model->device->element_bytes;
        device_copy(model->device, hidden, s->normed, bytes);
    } else {
        run_pass(&pass);
    }
}

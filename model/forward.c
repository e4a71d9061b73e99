/* model/forward.c - the cached forward pass of rollout, and the pool of keys and values.
 *
 * One set of buffers serves all layers: the residual stream goes to and fro between two arrays, and every other array is
 * written anew by each layer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/forward.h"

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
    size_t n_layers = (size_t)model->config.n_layers, bytes = (size_t)n_pages * page_bytes_of_layer(model);
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

struct model_scratch {
    int max_rows;
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

void model_embed(const struct model *model, int T, const int32_t *tokens, void *x)
{
    model->device->ops->embedding(&(struct embedding_args){
        .T = T,
        .d = model->config.d,
        .V = model->config.V,
        .tokens = tokens,
        .table = layer_weight(model, model->weights.embedding),
        .y = x,
    });
}

void model_forward_cached(struct model *model, const struct cached_batch *batch, struct kv_pool *pool, void *hidden)
{
    struct model_scratch *s = model->scratch;
    int T = batch->T;
    BUG_ON(!s || T < 1 || T > s->max_rows || !device_holds(model->device, DEVICE_ROLLOUT));
    model_check_rows(model, T, batch->tokens, batch->positions);
    device_write(model->device, s->tokens, batch->tokens, (size_t)T * sizeof *s->tokens);
    device_write(model->device, s->positions, batch->positions, (size_t)T * sizeof *s->positions);
    model_embed(model, T, s->tokens, s->x);
    for (int layer = 0; layer < model->config.n_layers; layer++) {
        layer_forward(model, layer,
                      &(struct layer_io){
                          .T = T,
                          .positions = s->positions,
                          .n_stores = batch->n_spans,
                          .n_spans = batch->n_spans,
                          .stores = batch->spans,
                          .spans = batch->spans,
                          .k_pool = pool->k[layer],
                          .v_pool = pool->v[layer],
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
    }
    layer_norm(model, model->weights.final_norm, T, s->x, hidden);
}

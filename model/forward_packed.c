/* model/forward_packed.c - the forward pass over a packed batch, and the log-probabilities of its targets.
 *
 * Attention runs over pages as in rollout, so that its bits are rollout's. One pool serves all layers, each of which writes
 * it anew. The sequences of a group share the pages that their prompt fills; the rest of the prompt is stored once more
 * at the head of each sequence's own first page. With pages of 4 positions instead of 128, a prompt of 6 rows, p, and two
 * completions, a and b:
 *
 *   prompt  pages 0 1      [p p p p] [p p . .]
 *   a       pages 0 2 3    (page 0)  [p p a a] [a a a .]
 *   b       pages 0 4      (page 0)  [p p b .]
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/num.h"
#include "model/activations.h"
#include "model/forward.h"

/* The block table of context c, whose first n_shared pages are those of `shared`; takes new pages from *next. */
static const int32_t *lay_out_pages(struct activations *acts, int c, int n_rows, const int32_t *shared, int n_shared,
                                    int32_t *next)
{
    int32_t *pages = acts->pages + (ptrdiff_t)c * acts->pages_per_context;
    int n = div_up(n_rows, OPS_PAGE);
    BUG_ON(n > acts->pages_per_context);
    for (int i = 0; i < n; i++) {
        pages[i] = i < n_shared ? shared[i] : (*next)++;
    }
    BUG_ON(*next > acts->blocks.n_pages);
    return pages;
}

/* Fills acts->pass from the contexts of a batch. */
static void lay_out(struct activations *acts, const struct train_batch *batch)
{
    int n_stores = 0, n_spans = 0;
    int32_t next_page = 0, next_row = 0;
    int root = 0; /* the last context without a prefix */
    BUG_ON(batch->n_contexts > acts->max_contexts);
    for (int c = 0; c < batch->n_contexts; c++) {
        const struct context *context = &batch->contexts[c], *prefix = &batch->contexts[root];
        int n_prefix = context->n_prefix, n_shared = n_prefix / OPS_PAGE, tail = n_prefix % OPS_PAGE;
        BUG_ON(context->n_rows < 1 || context->row != next_row || n_prefix < 0);
        if (n_prefix == 0) {
            root = c;
        } else {
            BUG_ON(context->prefix_row != prefix->row || n_prefix > prefix->n_rows || root == c);
        }
        const int32_t *shared = acts->pages + (ptrdiff_t)root * acts->pages_per_context;
        const int32_t *pages = lay_out_pages(acts, c, n_prefix + context->n_rows, shared, n_shared, &next_page);
        if (tail > 0) {
            acts->stores[n_stores++] =
                (struct span){context->prefix_row + n_prefix - tail, tail, n_prefix - tail, pages};
        }
        struct span own = {context->row, context->n_rows, n_prefix, pages};
        acts->stores[n_stores++] = own;
        acts->spans[n_spans++] = own;
        next_row += context->n_rows;
    }
    BUG_ON(next_row != batch->T);
    acts->pass = (struct pass){.T = batch->T,
                               .positions = acts->positions,
                               .n_stores = n_stores,
                               .n_spans = n_spans,
                               .stores = acts->stores,
                               .spans = acts->spans,
                               .adapter = &acts->adapter};
}

void model_forward(struct model *model, const struct train_batch *batch, struct activations *acts)
{
    int T = batch->T;
    BUG_ON(T < 1 || T > acts->max_tokens || !device_holds(model->device, DEVICE_TRAINING));
    model_check_rows(model, T, batch->tokens, batch->positions);
    lay_out(acts, batch);
    device_write(model->device, acts->tokens, batch->tokens, (size_t)T * sizeof *acts->tokens);
    device_write(model->device, acts->positions, batch->positions, (size_t)T * sizeof *acts->positions);
    if (batch->experts) {
        model_write_experts(model, &acts->blocks, T, batch->experts);
    }
    acts->pass.forced = batch->experts != NULL;
    model_embed(model, T, acts->tokens, acts->x);
    for (int layer = 0; layer < model->config.n_layers; layer++) {
        struct layer_io io = activations_layer(acts, model, layer);
        layer_forward(model, layer, &io);
        model_show_layer(model, layer, T, batch->positions, io.out);
    }
    acts->held = model->config.n_layers - 1;
    const void *last = activations_layer(acts, model, model->config.n_layers - 1).out;
    model_final_norm(model, T, last, acts->hidden);
}

void model_packed_experts(const struct model *model, const struct activations *acts, uint8_t *experts)
{
    model_read_experts(model, &acts->blocks, acts->pass.T, experts);
}

void model_packed_routes(const struct model *model, const struct activations *acts, int layer, int32_t *experts,
                         float *logits)
{
    const struct router *router = &model->config.moe.router;
    size_t T = (size_t)acts->pass.T;
    BUG_ON(model_layer_is_dense(&model->config, layer));
    struct routes routes = block_moe_routes(acts->blocks.layers[layer].at[BLOCK_FEED_FORWARD]);
    device_read(model->device, experts, routes.experts, T * (size_t)router->k * sizeof *experts);
    if (logits) {
        device_read(model->device, logits, routes.logits, T * (size_t)router->E * sizeof *logits);
    }
}

void activations_gather_targets(struct activations *acts, const struct model *model, const struct train_batch *batch)
{
    int n = batch->n_targets;
    BUG_ON(n > acts->max_targets || batch->T != acts->pass.T);
    for (int i = 0; i < n; i++) {
        BUG_ON(batch->target_rows[i] < 0 || batch->target_rows[i] >= batch->T);
        BUG_ON(batch->targets[i] < 0 || batch->targets[i] >= model->config.V);
    }
    device_write(model->device, acts->target_rows, batch->target_rows, (size_t)n * sizeof *acts->target_rows);
    device_write(model->device, acts->targets, batch->targets, (size_t)n * sizeof *acts->targets);
    model->device->ops->gather_rows(&(struct rows_args){
        .n_rows = n,
        .width = model->config.d,
        .rows = acts->target_rows,
        .x = acts->hidden,
        .y = acts->target_x,
    });
}

void model_target_logprobs(struct model *model, const struct train_batch *batch, struct activations *acts,
                           float inv_temperature, float *logprob, float *lse, float *entropy)
{
    size_t bytes = (size_t)batch->n_targets * sizeof(float);
    if (batch->n_targets == 0) {
        return;
    }
    activations_gather_targets(acts, model, batch);
    model->device->ops->head(&(struct head_args){
        .n_rows = batch->n_targets,
        .d = model->config.d,
        .V = model->config.V,
        .hidden = acts->target_x,
        .w = params_at(&model->params, model->weights.head),
        .inv_temperature = inv_temperature,
        .targets = acts->targets,
        .logprob = acts->logprob,
        .lse = acts->target_lse,
        .entropy = entropy ? acts->entropy : NULL,
    });
    device_read(model->device, logprob, acts->logprob, bytes);
    device_read(model->device, lse, acts->target_lse, bytes);
    if (entropy) {
        device_read(model->device, entropy, acts->entropy, bytes);
    }
}

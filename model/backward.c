/* model/backward.c - gradients of a packed batch: the layers in reverse.
 *
 * acts->dx carries the gradient of the residual stream from the last layer to the embedding. Each branch adds to it, since
 * y = x + f(x) has the gradient dy + f'(x) dy. Gradients of weights add to the grads of their set, in the set's layout, so
 * a tied head and the embedding meet in one tensor. What was kept is only read; with checkpointing it is made first.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/activations.h"
#include "model/layer.h"

/* From the loss to acts->dx, the gradient of the last layer's output */
static void head_grad(const struct backward *b, struct activations *acts, const struct train_batch *batch,
                      float inv_temperature, bool entropy)
{
    const struct model *model = b->model;
    int d = model->config.d;
    model->device->ops->head_grad(&(struct head_grad_args){
        .n_rows = batch->n_targets,
        .d = d,
        .V = model->config.V,
        .hidden = acts->target_x,
        .w = params_at(&model->params, model->weights.head),
        .inv_temperature = inv_temperature,
        .targets = acts->targets,
        .lse = acts->target_lse,
        .entropy = entropy ? acts->entropy : NULL,
        .d_logprob = acts->d_logprob,
        .d_entropy = entropy ? acts->d_entropy : NULL,
        .dhidden = acts->dtarget_x,
        .dw = grad_at(b, model->weights.head),
    });
    void *dhidden = acts->normed;
    device_zero(model->device, dhidden, (size_t)b->pass->T * (size_t)d * model->device->element_bytes);
    model->device->ops->scatter_add_rows(&(struct rows_args){
        .n_rows = batch->n_targets,
        .width = d,
        .rows = acts->target_rows,
        .x = acts->dtarget_x,
        .y = dhidden,
    });
    const void *last = activations_layer(acts, model, model->config.n_layers - 1).out;
    struct norm norm = norm_of_rows(model, model->weights.final_norm);
    norm_backward(b, &norm, last, dhidden, acts->dx, false);
}

static void upload_targets(const struct model *model, struct activations *acts, const struct train_batch *batch,
                           const float *lse, const float *entropy, const float *d_logprob, const float *d_entropy)
{
    struct device *device = model->device;
    size_t bytes = (size_t)batch->n_targets * sizeof(float);
    activations_gather_targets(acts, model, batch);
    device_write(device, acts->target_lse, lse, bytes);
    device_write(device, acts->d_logprob, d_logprob, bytes);
    if (d_entropy) {
        device_write(device, acts->entropy, entropy, bytes);
        device_write(device, acts->d_entropy, d_entropy, bytes);
    }
}

void model_backward(struct model *model, const struct train_batch *batch, struct activations *acts,
                    float inv_temperature, const float *lse, const float *entropy, const float *d_logprob,
                    const float *d_entropy)
{
    struct backward b = {model, &acts->pass};
    BUG_ON((d_entropy && !entropy) || !model_trained(model)->grads);
    if (batch->n_targets == 0) {
        return;
    }
    upload_targets(model, acts, batch, lse, entropy, d_logprob, d_entropy);
    acts->pass.n_contexts = batch->n_contexts;
    acts->pass.contexts = batch->contexts;
    head_grad(&b, acts, batch, inv_temperature, d_entropy != NULL);
    for (int layer = model->config.n_layers - 1; layer >= 0; layer--) {
        struct layer_io io = activations_layer(acts, model, layer);
        if (acts->checkpointing && acts->held != layer) {
            layer_until_output(model, layer, &io);
        }
        acts->held = -1; /* what a block kept may become its gradient */
        layer_backward(&b, layer, &io);
    }
    model->device->ops->embedding_grad(&(struct embedding_args){
        .T = acts->pass.T,
        .d = model->config.d,
        .V = model->config.V,
        .tokens = acts->tokens,
        .dy = acts->dx,
        .dtable = grad_at(&b, model->weights.embedding),
    });
}

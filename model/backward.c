/* model/backward.c - gradients of a packed batch: the ops of layer.c in reverse.
 *
 * acts->dx carries the gradient of the residual stream from the last layer to the embedding. Each branch adds to it, since
 * y = x + f(x) has the gradient dy + f'(x) dy. Gradients of weights add to `grads`, which has the layout of the weights, so
 * a tied head and the embedding meet in one tensor. What was kept is only read; with checkpointing it is made first.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/activations.h"

/* One backward call. */
struct backward {
    const struct model *model;
    const struct ops *ops;
    struct activations *acts;
    float *grads;
    int T;
};

static float *grad_at(const struct backward *b, size_t offset)
{
    return offset == SIZE_MAX ? NULL : b->grads + offset;
}

/* y = x W^T + bias: the gradients of W and bias from x and dy */
static void weight_grad(const struct backward *b, int N, int K, const void *dy, const void *x, size_t weight,
                        size_t bias)
{
    b->ops->matmul_weight_grad(&(struct matmul_weight_grad_args){
        .T = b->T,
        .N = N,
        .K = K,
        .dy = dy,
        .dy_stride = N,
        .x = x,
        .x_stride = K,
        .dw = grad_at(b, weight),
        .dbias = grad_at(b, bias),
    });
}

/* and of x, from dy */
static void input_grad(const struct backward *b, int N, int K, const void *dy, size_t weight, void *dx)
{
    b->ops->matmul_input_grad(&(struct matmul_input_grad_args){
        .T = b->T,
        .N = N,
        .K = K,
        .dy = dy,
        .dy_stride = N,
        .w = layer_weight(b->model, weight),
        .dx = dx,
        .dx_stride = K,
    });
}

/* acts->dx (+)= the gradient through a norm of whole rows, given dy */
static void norm_grad(const struct backward *b, size_t weight, const void *x, const void *dy, bool accumulate)
{
    int d = b->model->config.d;
    b->ops->rmsnorm_grad(&(struct rmsnorm_grad_args){
        .T = b->T,
        .n_heads = 1,
        .width = d,
        .eps = b->model->config.norm_eps,
        .x = x,
        .x_stride = d,
        .weight = layer_weight(b->model, weight),
        .dy = dy,
        .dy_stride = d,
        .dx = b->acts->dx,
        .dx_stride = d,
        .accumulate = accumulate,
        .dweight = grad_at(b, weight),
    });
}

/* The query/key norm, in place: dy becomes dx. x and dy begin at the first of n_heads heads of each row. */
static void head_norm_grad(const struct backward *b, size_t weight, int n_heads, const void *x, void *dy)
{
    const struct model_config *config = &b->model->config;
    int width = layer_qkv_width(config);
    b->ops->rmsnorm_grad(&(struct rmsnorm_grad_args){
        .T = b->T,
        .n_heads = n_heads,
        .width = config->D,
        .eps = config->norm_eps,
        .x = x,
        .x_stride = width,
        .weight = layer_weight(b->model, weight),
        .dy = dy,
        .dy_stride = width,
        .dx = dy,
        .dx_stride = width,
        .dweight = grad_at(b, weight),
    });
}

/* out = mid + down(silu(gate) * up) */
static void feed_forward_grad(const struct backward *b, const struct layer_weights *w, const struct layer_io *io)
{
    struct activations *acts = b->acts;
    int d = b->model->config.d, F = b->model->config.F;
    layer_swiglu(b->model, b->T, io->gate_up, acts->act);
    weight_grad(b, d, F, acts->dx, acts->act, w->down, SIZE_MAX);
    void *dact = acts->act; /* its values are not needed any more */
    void *dgate_up = acts->checkpointing ? io->gate_up : acts->dgate_up;
    input_grad(b, d, F, acts->dx, w->down, dact);
    b->ops->swiglu_grad(
        &(struct swiglu_args){.T = b->T, .F = F, .gate_up = io->gate_up, .dact = dact, .dgate_up = dgate_up});
    layer_norm(b->model, w->post_norm, b->T, io->mid, acts->normed);
    weight_grad(b, 2 * F, d, dgate_up, acts->normed, w->gate_up, SIZE_MAX);
    void *dnormed = acts->normed;
    input_grad(b, 2 * F, d, dgate_up, w->gate_up, dnormed);
    norm_grad(b, w->post_norm, io->mid, dnormed, true);
}

/* From acts->dattended to acts->dqkv, the gradient of q, k, v as projected */
static void attention_grad(const struct backward *b, int layer, const struct layer_io *io,
                           const struct train_batch *batch)
{
    const struct model *model = b->model;
    const struct model_config *config = &model->config;
    const struct layer_weights *w = &model->weights.layers[layer];
    struct activations *acts = b->acts;
    int width = layer_qkv_width(config);
    size_t k = (size_t)config->H * (size_t)config->D, v = k + (size_t)config->J * (size_t)config->D;
    void *dk = layer_element(model, acts->dqkv, k);
    if (config->qk_norm) {
        layer_rotate(model, layer, io); /* io->qk is scratch: computed again */
    }
    device_zero(model->device, acts->dqkv, (size_t)b->T * (size_t)width * model->device->element_bytes);
    b->ops->attention_grad(&(struct attention_grad_args){
        .n_contexts = batch->n_contexts,
        .contexts = batch->contexts,
        .H = config->H,
        .J = config->J,
        .D = config->D,
        .scale = layer_attention_scale(config),
        .q = io->qk,
        .k = layer_element(model, io->qk, k),
        .v = layer_element(model, io->qkv, v),
        .qkv_stride = width,
        .out = io->attended,
        .dout = acts->dattended,
        .out_stride = config->H * config->D,
        .lse = io->lse,
        .dq = acts->dqkv,
        .dk = dk,
        .dv = layer_element(model, acts->dqkv, v),
    });
    layer_rope(model, b->T, config->H + config->J, acts->dqkv, acts->positions, true);
    if (config->qk_norm) {
        head_norm_grad(b, w->q_norm, config->H, io->qkv, acts->dqkv);
        head_norm_grad(b, w->k_norm, config->J, layer_element(model, io->qkv, k), dk);
    }
}

/* mid = x + o(attention(...)) */
static void attention_half_grad(const struct backward *b, int layer, const struct layer_io *io,
                                const struct train_batch *batch)
{
    const struct model_config *config = &b->model->config;
    const struct layer_weights *w = &b->model->weights.layers[layer];
    struct activations *acts = b->acts;
    int d = config->d, q_width = config->H * config->D, width = layer_qkv_width(config);
    weight_grad(b, d, q_width, acts->dx, io->attended, w->o, SIZE_MAX);
    input_grad(b, d, q_width, acts->dx, w->o, acts->dattended);
    attention_grad(b, layer, io, batch);
    layer_norm(b->model, w->input_norm, b->T, io->x, acts->normed);
    weight_grad(b, width, d, acts->dqkv, acts->normed, w->qkv, w->qkv_bias);
    void *dnormed = acts->normed;
    input_grad(b, width, d, acts->dqkv, w->qkv, dnormed);
    norm_grad(b, w->input_norm, io->x, dnormed, true);
}

/* From the loss to acts->dx, the gradient of the last layer's output */
static void head_grad(const struct backward *b, const struct train_batch *batch, float inv_temperature, bool entropy)
{
    const struct model *model = b->model;
    struct activations *acts = b->acts;
    int d = model->config.d;
    b->ops->head_grad(&(struct head_grad_args){
        .n_rows = batch->n_targets,
        .d = d,
        .V = model->config.V,
        .hidden = acts->target_x,
        .w = layer_weight(model, model->weights.head),
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
    device_zero(model->device, dhidden, (size_t)b->T * (size_t)d * model->device->element_bytes);
    b->ops->scatter_add_rows(&(struct rows_args){
        .n_rows = batch->n_targets,
        .width = d,
        .rows = acts->target_rows,
        .x = acts->dtarget_x,
        .y = dhidden,
    });
    const void *last = activations_layer(acts, model, model->config.n_layers - 1).out;
    norm_grad(b, model->weights.final_norm, last, dhidden, false);
}

static void upload_targets(const struct backward *b, const struct train_batch *batch, const float *lse,
                           const float *entropy, const float *d_logprob, const float *d_entropy)
{
    struct activations *acts = b->acts;
    struct device *device = b->model->device;
    size_t bytes = (size_t)batch->n_targets * sizeof(float);
    activations_gather_targets(acts, b->model, batch);
    device_write(device, acts->target_lse, lse, bytes);
    device_write(device, acts->d_logprob, d_logprob, bytes);
    if (d_entropy) {
        device_write(device, acts->entropy, entropy, bytes);
        device_write(device, acts->d_entropy, d_entropy, bytes);
    }
}

void model_backward(struct model *model, const struct train_batch *batch, struct activations *acts,
                    float inv_temperature, const float *lse, const float *entropy, const float *d_logprob,
                    const float *d_entropy, float *grads)
{
    struct backward b = {model, model->device->ops, acts, grads, acts->T};
    BUG_ON(d_entropy && !entropy);
    if (batch->n_targets == 0) {
        return;
    }
    upload_targets(&b, batch, lse, entropy, d_logprob, d_entropy);
    head_grad(&b, batch, inv_temperature, d_entropy != NULL);
    for (int layer = model->config.n_layers - 1; layer >= 0; layer--) {
        struct layer_io io = activations_layer(acts, model, layer);
        if (acts->checkpointing && acts->held != layer) {
            layer_branches(model, layer, &io);
        }
        acts->held = -1; /* gate_up becomes its gradient */
        feed_forward_grad(&b, &model->weights.layers[layer], &io);
        attention_half_grad(&b, layer, &io, batch);
    }
    b.ops->embedding_grad(&(struct embedding_args){
        .T = b.T,
        .d = model->config.d,
        .V = model->config.V,
        .tokens = acts->tokens,
        .dy = acts->dx,
        .dtable = grad_at(&b, model->weights.embedding),
    });
}

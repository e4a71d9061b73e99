/* model/layer.c - the ops of one decoder layer, in order.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/layer.h"

/* RMS norm of n_heads slices of `width` in each row, rows `stride` apart */
static void norm(const struct model *model, size_t weight, int T, int n_heads, int width, int stride, const void *x,
                 void *y)
{
    model->device->ops->rmsnorm(&(struct rmsnorm_args){
        .T = T,
        .n_heads = n_heads,
        .width = width,
        .eps = model->config.norm_eps,
        .x = x,
        .x_stride = stride,
        .weight = layer_weight(model, weight),
        .y = y,
        .y_stride = stride,
    });
}

void layer_norm(const struct model *model, size_t weight, int T, const void *x, void *y)
{
    norm(model, weight, T, 1, model->config.d, model->config.d, x, y);
}

void layer_rope(const struct model *model, int T, int n_heads, void *x, const int32_t *positions, bool inverse)
{
    model->device->ops->rope(&(struct rope_args){
        .T = T,
        .n_heads = n_heads,
        .D = model->config.D,
        .x = x,
        .x_stride = layer_qkv_width(&model->config),
        .positions = positions,
        .cos = model->rope_cos,
        .sin = model->rope_sin,
        .inverse = inverse,
    });
}

void layer_swiglu(const struct model *model, int T, const void *gate_up, void *act)
{
    model->device->ops->swiglu(&(struct swiglu_args){.T = T, .F = model->config.F, .gate_up = gate_up, .act = act});
}

void layer_rotate(const struct model *model, int layer, const struct layer_io *io)
{
    const struct model_config *config = &model->config;
    const struct layer_weights *w = &model->weights.layers[layer];
    size_t k = (size_t)config->H * (size_t)config->D; /* where a row's keys begin */
    int width = layer_qkv_width(config);
    void *k_out = layer_element(model, io->qk, k);
    BUG_ON(!config->qk_norm && io->qk != io->qkv);
    if (config->qk_norm) {
        norm(model, w->q_norm, io->T, config->H, config->D, width, io->qkv, io->qk);
        norm(model, w->k_norm, io->T, config->J, config->D, width, layer_element(model, io->qkv, k), k_out);
    }
    layer_rope(model, io->T, config->H + config->J, io->qk, io->positions, false); /* keys stand behind queries */
}

/* y = residual + (x W^T + bias), y and residual as wide as W has outputs */
static void project(const struct model *model, int T, int N, int K, const void *x, size_t weight, size_t bias,
                    const void *residual, void *y)
{
    model->device->ops->matmul(&(struct matmul_args){
        .T = T,
        .N = N,
        .K = K,
        .x = x,
        .x_stride = K,
        .w = layer_weight(model, weight),
        .bias = layer_weight(model, bias),
        .residual = residual,
        .y = y,
        .y_stride = N,
    });
}

static void attend(const struct model *model, const struct layer_io *io)
{
    const struct model_config *config = &model->config;
    const struct ops *ops = model->device->ops;
    size_t k = (size_t)config->H * (size_t)config->D, v = k + (size_t)config->J * (size_t)config->D;
    ops->kv_store(&(struct kv_store_args){
        .n_spans = io->n_stores,
        .spans = io->stores,
        .J = config->J,
        .D = config->D,
        .k = layer_element(model, io->qk, k),
        .v = layer_element(model, io->qkv, v),
        .kv_stride = layer_qkv_width(config),
        .k_pool = io->k_pool,
        .v_pool = io->v_pool,
    });
    ops->attention(&(struct attention_args){
        .n_spans = io->n_spans,
        .spans = io->spans,
        .H = config->H,
        .J = config->J,
        .D = config->D,
        .scale = layer_attention_scale(config),
        .q = io->qk,
        .q_stride = layer_qkv_width(config),
        .k_pool = io->k_pool,
        .v_pool = io->v_pool,
        .out = io->attended,
        .out_stride = config->H * config->D,
        .lse = io->lse,
    });
}

void layer_branches(const struct model *model, int layer, const struct layer_io *io)
{
    const struct model_config *config = &model->config;
    const struct layer_weights *w = &model->weights.layers[layer];
    int d = config->d, F = config->F, T = io->T;
    layer_norm(model, w->input_norm, T, io->x, io->normed);
    project(model, T, layer_qkv_width(config), d, io->normed, w->qkv, w->qkv_bias, NULL, io->qkv);
    layer_rotate(model, layer, io);
    attend(model, io);
    project(model, T, d, config->H * config->D, io->attended, w->o, SIZE_MAX, io->x, io->mid);
    layer_norm(model, w->post_norm, T, io->mid, io->normed);
    project(model, T, 2 * F, d, io->normed, w->gate_up, SIZE_MAX, NULL, io->gate_up);
}

void layer_forward(const struct model *model, int layer, const struct layer_io *io)
{
    int d = model->config.d, F = model->config.F;
    layer_branches(model, layer, io);
    layer_swiglu(model, io->T, io->gate_up, io->act);
    project(model, io->T, d, F, io->act, model->weights.layers[layer].down, SIZE_MAX, io->mid, io->out);
}

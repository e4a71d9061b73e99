/* model/block_gqa.c - grouped-query attention with rotary embedding (Ainslie et al. 2023, arXiv 2305.13245, section 2).
 *
 *   [q|k|v] = qkv(x),  y = residual + o(attention(rope(norm?(q)), rope(norm?(k)), v))
 *
 * The query/key norm: Qwen3 technical report (arXiv 2505.09388), section 2.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "model/layer.h"

static float softmax_scale(const struct model_config *config)
{
    return (float)(1.0 / sqrt(config->D));
}

/* Elements of a row before its keys, and before its values. */
static size_t keys_at(const struct model_config *config)
{
    return (size_t)config->H * (size_t)config->D;
}

static size_t values_at(const struct model_config *config)
{
    return keys_at(config) + (size_t)config->J * (size_t)config->D;
}

static struct norm query_norm(const struct model *model, int layer)
{
    const struct model_config *config = &model->config;
    return (struct norm){model->weights.layers[layer].q_norm, config->H, config->D, layer_qkv_width(config)};
}

static struct norm key_norm(const struct model *model, int layer)
{
    const struct model_config *config = &model->config;
    return (struct norm){model->weights.layers[layer].k_norm, config->J, config->D, layer_qkv_width(config)};
}

/* Rotates queries and keys, which follow each other, by their positions, or back. */
static void rope(const struct model *model, const struct layer_io *io, void *qk, bool inverse)
{
    model->device->ops->rope(&(struct rope_args){
        .T = io->T,
        .n_heads = model->config.H + model->config.J,
        .D = model->config.D,
        .x = qk,
        .x_stride = layer_qkv_width(&model->config),
        .positions = io->positions,
        .cos = model->rope_cos,
        .sin = model->rope_sin,
        .inverse = inverse,
    });
}

/* io->qk from io->qkv: the norms of queries and keys, where the model has them, and the rotation */
static void make_qk(const struct model *model, int layer, const struct layer_io *io)
{
    const struct model_config *config = &model->config;
    size_t k = keys_at(config);
    BUG_ON(!config->qk_norm && io->qk != io->qkv);
    if (config->qk_norm) {
        struct norm q_norm = query_norm(model, layer), k_norm = key_norm(model, layer);
        norm_forward(model, &q_norm, io->T, io->qkv, io->qk);
        norm_forward(model, &k_norm, io->T, linear_element(model, io->qkv, k), linear_element(model, io->qk, k));
    }
    rope(model, io, io->qk, false);
}

static void attend(const struct model *model, const struct layer_io *io)
{
    const struct model_config *config = &model->config;
    const struct ops *ops = model->device->ops;
    ops->kv_store(&(struct kv_store_args){
        .n_spans = io->n_stores,
        .spans = io->stores,
        .J = config->J,
        .D = config->D,
        .k = linear_element(model, io->qk, keys_at(config)),
        .v = linear_element(model, io->qkv, values_at(config)),
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
        .scale = softmax_scale(config),
        .q = io->qk,
        .q_stride = layer_qkv_width(config),
        .k_pool = io->k_pool,
        .v_pool = io->v_pool,
        .out = io->attended,
        .out_stride = config->H * config->D,
        .lse = io->lse,
    });
}

void block_gqa_forward(const struct model *model, int layer, const struct layer_io *io, const void *x)
{
    const struct layer_weights *w = &model->weights.layers[layer];
    int width = layer_qkv_width(&model->config);
    linear_forward(model, io->T, width, model->config.d, x, w->qkv, w->qkv_bias, NULL, io->qkv);
    make_qk(model, layer, io);
    attend(model, io);
}

void block_gqa_output(const struct model *model, int layer, const struct layer_io *io, const void *residual, void *y)
{
    const struct model_config *config = &model->config;
    linear_forward(model, io->T, config->d, config->H * config->D, io->attended, model->weights.layers[layer].o,
                   SIZE_MAX, residual, y);
}

/* ---- backward ---- */

/* From io->dattended to io->dqkv, the gradient of queries and keys after norm and rotation, and of values. */
static void attend_backward(const struct model *model, const struct layer_io *io)
{
    const struct model_config *config = &model->config;
    int width = layer_qkv_width(config);
    size_t k = keys_at(config), v = values_at(config);
    device_zero(model->device, io->dqkv, (size_t)io->T * (size_t)width * model->device->element_bytes);
    model->device->ops->attention_grad(&(struct attention_grad_args){
        .n_contexts = io->n_contexts,
        .contexts = io->contexts,
        .H = config->H,
        .J = config->J,
        .D = config->D,
        .scale = softmax_scale(config),
        .q = io->qk,
        .k = linear_element(model, io->qk, k),
        .v = linear_element(model, io->qkv, v),
        .qkv_stride = width,
        .out = io->attended,
        .dout = io->dattended,
        .out_stride = config->H * config->D,
        .lse = io->lse,
        .dq = io->dqkv,
        .dk = linear_element(model, io->dqkv, k),
        .dv = linear_element(model, io->dqkv, v),
    });
}

/* io->dqkv becomes the gradient of q, k, v as projected. */
static void make_qk_backward(const struct backward *b, int layer, const struct layer_io *io)
{
    const struct model *model = b->model;
    size_t k = keys_at(&model->config);
    rope(model, io, io->dqkv, true);
    if (model->config.qk_norm) {
        struct norm q_norm = query_norm(model, layer), k_norm = key_norm(model, layer);
        void *dk = linear_element(model, io->dqkv, k);
        norm_backward(b, &q_norm, io->qkv, io->dqkv, io->dqkv, false);
        norm_backward(b, &k_norm, linear_element(model, io->qkv, k), dk, dk, false);
    }
}

void block_gqa_backward(const struct backward *b, int layer, const struct layer_io *io, const void *dy, void *x)
{
    const struct model *model = b->model;
    const struct model_config *config = &model->config;
    const struct layer_weights *w = &model->weights.layers[layer];
    int d = config->d, q_width = config->H * config->D, width = layer_qkv_width(config);
    linear_weight_grad(b, d, q_width, dy, io->attended, w->o, SIZE_MAX);
    linear_input_grad(b, d, q_width, dy, w->o, io->dattended);
    if (config->qk_norm) {
        make_qk(model, layer, io); /* io->qk is scratch: computed again */
    }
    attend_backward(model, io);
    make_qk_backward(b, layer, io);
    linear_weight_grad(b, width, d, io->dqkv, x, w->qkv, w->qkv_bias);
    linear_input_grad(b, width, d, io->dqkv, w->qkv, x);
}

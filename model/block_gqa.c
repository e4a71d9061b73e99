/* model/block_gqa.c - grouped-query attention with rotary embedding (Ainslie et al. 2023, arXiv 2305.13245, section 2).
 *
 *   [q|k|v] = qkv(x),  y = residual + o(attention(rope(norm?(q)), rope(norm?(k)), v))
 *
 * The query/key norm: Qwen3 technical report (arXiv 2505.09388), section 2.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "model/block.h"
#include "model/linear.h"

enum { QKV, QK, ATTENDED, LSE, DQKV, DATTENDED, KEYS, VALUES, BUFFERS };

/* Elements of a row of [q|k|v], */
static int width_of(const struct model_config *config)
{
    return (config->H + 2 * config->J) * config->D;
}

/* before its keys, */
static size_t keys_at(const struct model_config *config)
{
    return (size_t)config->H * (size_t)config->D;
}

/* and before its values. */
static size_t values_at(const struct model_config *config)
{
    return keys_at(config) + (size_t)config->J * (size_t)config->D;
}

static void list_buffers(const struct model_config *config, struct buffer *list)
{
    const unsigned train = PASS_TRAIN | PASS_RECOMPUTE, all = PASS_DECODE | train;
    int width = width_of(config), q = config->H * config->D, kv = config->J * config->D;
    list[QKV] = (struct buffer){"q, k, v", BUFFER_KEPT, width, all, false}; /* as projected */
    list[QK] = (struct buffer){"normed q, k", BUFFER_SCRATCH, config->qk_norm ? width : 0, train, false};
    list[ATTENDED] = (struct buffer){"attention", BUFFER_KEPT, q, all, false};
    list[LSE] = (struct buffer){"attention log-sum-exp", BUFFER_KEPT, config->H, train, true};
    list[DQKV] = (struct buffer){"q, k, v", BUFFER_GRADIENT, width, train, false};
    list[DATTENDED] = (struct buffer){"attention", BUFFER_GRADIENT, q, train, false};
    list[KEYS] = (struct buffer){"key", BUFFER_PAGES, kv, all, false};
    list[VALUES] = (struct buffer){"value", BUFFER_PAGES, kv, all, false};
}

static float softmax_scale(const struct model_config *config)
{
    return (float)(1.0 / sqrt(config->D));
}

static struct norm query_norm(const struct block_io *io)
{
    const struct model_config *config = &io->model->config;
    return (struct norm){io->model->weights.layers[io->layer].q_norm, config->H, config->D, width_of(config)};
}

static struct norm key_norm(const struct block_io *io)
{
    const struct model_config *config = &io->model->config;
    return (struct norm){io->model->weights.layers[io->layer].k_norm, config->J, config->D, width_of(config)};
}

/* q and k after norm and rotation, in rows of [q|k|v]: in place where the backward pass does not need them as projected */
static void *qk_of(const struct block_io *io)
{
    return io->buffers[QK] ? io->buffers[QK] : io->buffers[QKV];
}

/* Rotates queries and the keys after them by their positions, or back. */
static void rope(const struct block_io *io, void *qk, bool inverse)
{
    const struct model *model = io->model;
    model->device->ops->rope(&(struct rope_args){
        .T = io->pass->T,
        .n_heads = model->config.H + model->config.J,
        .D = model->config.D,
        .x = qk,
        .x_stride = width_of(&model->config),
        .positions = io->pass->positions,
        .cos = model->rope_cos,
        .sin = model->rope_sin,
        .inverse = inverse,
    });
}

static void make_qk(const struct block_io *io)
{
    const struct model *model = io->model;
    void *qkv = io->buffers[QKV], *qk = qk_of(io);
    size_t k = keys_at(&model->config);
    if (model->config.qk_norm) {
        struct norm q_norm = query_norm(io), k_norm = key_norm(io);
        norm_forward(model, &q_norm, io->pass->T, qkv, qk);
        norm_forward(model, &k_norm, io->pass->T, linear_element(model, qkv, k), linear_element(model, qk, k));
    }
    rope(io, qk, false);
}

static void attend(const struct block_io *io)
{
    const struct model *model = io->model;
    const struct model_config *config = &model->config;
    const struct pass *pass = io->pass;
    const struct ops *ops = model->device->ops;
    ops->kv_store(&(struct kv_store_args){
        .n_spans = pass->n_stores,
        .spans = pass->stores,
        .J = config->J,
        .D = config->D,
        .k = linear_element(model, qk_of(io), keys_at(config)),
        .v = linear_element(model, io->buffers[QKV], values_at(config)),
        .kv_stride = width_of(config),
        .k_pool = io->pages[KEYS],
        .v_pool = io->pages[VALUES],
    });
    ops->attention(&(struct attention_args){
        .n_spans = pass->n_spans,
        .spans = pass->spans,
        .H = config->H,
        .J = config->J,
        .D = config->D,
        .scale = softmax_scale(config),
        .q = qk_of(io),
        .q_stride = width_of(config),
        .k_pool = io->pages[KEYS],
        .v_pool = io->pages[VALUES],
        .out = io->buffers[ATTENDED],
        .out_stride = config->H * config->D,
        .lse = io->buffers[LSE],
    });
}

static void forward(const struct block_io *io, const void *x)
{
    const struct model *model = io->model;
    const struct layer_weights *w = &model->weights.layers[io->layer];
    linear_forward(model, io->pass->T, width_of(&model->config), model->config.d, x, w->qkv, w->qkv_bias, NULL,
                   io->buffers[QKV]);
    make_qk(io);
    attend(io);
}

static void output(const struct block_io *io, const void *residual, void *y)
{
    const struct model *model = io->model;
    const struct model_config *config = &model->config;
    linear_forward(model, io->pass->T, config->d, config->H * config->D, io->buffers[ATTENDED],
                   model->weights.layers[io->layer].o, SIZE_MAX, residual, y);
}

static void copy_page(const struct model *model, void *const *pages, int32_t from, int32_t to, int n)
{
    model->device->ops->kv_copy(&(struct kv_copy_args){
        .J = model->config.J,
        .D = model->config.D,
        .n = n,
        .from = from,
        .to = to,
        .k_pool = pages[KEYS],
        .v_pool = pages[VALUES],
    });
}

/* ---- backward ---- */

/* From the gradient of what was attended to the one of queries and keys after norm and rotation, and of values. */
static void attend_backward(const struct block_io *io)
{
    const struct model *model = io->model;
    const struct model_config *config = &model->config;
    int width = width_of(config);
    size_t k = keys_at(config), v = values_at(config);
    void *dqkv = io->buffers[DQKV];
    device_zero(model->device, dqkv, (size_t)io->pass->T * (size_t)width * model->device->element_bytes);
    model->device->ops->attention_grad(&(struct attention_grad_args){
        .n_contexts = io->pass->n_contexts,
        .contexts = io->pass->contexts,
        .H = config->H,
        .J = config->J,
        .D = config->D,
        .scale = softmax_scale(config),
        .q = qk_of(io),
        .k = linear_element(model, qk_of(io), k),
        .v = linear_element(model, io->buffers[QKV], v),
        .qkv_stride = width,
        .out = io->buffers[ATTENDED],
        .dout = io->buffers[DATTENDED],
        .out_stride = config->H * config->D,
        .lse = io->buffers[LSE],
        .dq = dqkv,
        .dk = linear_element(model, dqkv, k),
        .dv = linear_element(model, dqkv, v),
    });
}

/* The gradient of q, k, v as projected, in place. */
static void make_qk_backward(const struct block_io *io, const struct backward *b)
{
    const struct model *model = io->model;
    void *dqkv = io->buffers[DQKV];
    rope(io, dqkv, true);
    if (model->config.qk_norm) {
        struct norm q_norm = query_norm(io), k_norm = key_norm(io);
        size_t k = keys_at(&model->config);
        void *dk = linear_element(model, dqkv, k);
        norm_backward(b, &q_norm, io->buffers[QKV], dqkv, dqkv, false);
        norm_backward(b, &k_norm, linear_element(model, io->buffers[QKV], k), dk, dk, false);
    }
}

static void backward(const struct block_io *io, const struct backward *b, const void *dy, void *x)
{
    const struct model *model = io->model;
    const struct model_config *config = &model->config;
    const struct layer_weights *w = &model->weights.layers[io->layer];
    int d = config->d, q_width = config->H * config->D, width = width_of(config);
    linear_weight_grad(b, d, q_width, dy, io->buffers[ATTENDED], w->o, SIZE_MAX);
    linear_input_grad(b, d, q_width, dy, w->o, io->buffers[DATTENDED]);
    if (io->buffers[QK]) {
        make_qk(io); /* scratch: another layer has written there */
    }
    attend_backward(io);
    make_qk_backward(io, b);
    linear_weight_grad(b, width, d, io->buffers[DQKV], x, w->qkv, w->qkv_bias);
    linear_input_grad(b, width, d, io->buffers[DQKV], w->qkv, x);
}

const struct block block_gqa = {
    .name = "gqa",
    .n_buffers = BUFFERS,
    .list_buffers = list_buffers,
    .forward = forward,
    .output = output,
    .backward = backward,
    .copy_page = copy_page,
};

_Static_assert((int)BUFFERS <= BLOCK_MAX_BUFFERS, "all buffers have a number");

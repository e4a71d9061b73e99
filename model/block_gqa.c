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
#include "model/shapes.h"

enum { QKV_WEIGHT, QKV_BIAS, Q_NORM, K_NORM, O_WEIGHT };
enum { QKV, QK, ATTENDED, LSE, DQKV, DATTENDED, KEYS, VALUES, BUFFERS };

static bool has_norm(const struct model_config *config)
{
    return model_family_has(config->family, TENSOR_Q_NORM);
}

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

/* The widths of heads, and how many share keys, that the device's attention takes. */
static enum err check(const struct model_config *config, const char *source, const struct device *device)
{
    const struct ops_limits *limits = &device->kind->limits;
    TRY(param_check_rows("head_dim", config->D, source));
    if (limits->max_D && config->D > limits->max_D) {
        return err_set(ERR_DEVICE, "%s: head_dim is %d, and the device %s takes at most %d; use --device=cpu", source,
                       config->D, device->kind->name, limits->max_D);
    }
    if (limits->max_group && config->H / config->J > limits->max_group) {
        return err_set(ERR_DEVICE,
                       "%s: %d attention heads share a key/value head, and the device %s takes at most %d; use "
                       "--device=cpu",
                       source, config->H / config->J, device->kind->name, limits->max_group);
    }
    return ERR_NONE;
}

static void plan_weights(struct weights_plan *plan, const struct model_config *config, int *weights)
{
    int q = config->H * config->D, kv = config->J * config->D;
    const struct weight_part qkv[] = {{TENSOR_Q, q, 0}, {TENSOR_K, kv, 0}, {TENSOR_V, kv, 0}};
    const struct weight_part bias[] = {{TENSOR_Q_BIAS, q, 0}, {TENSOR_K_BIAS, kv, 0}, {TENSOR_V_BIAS, kv, 0}};
    const struct weight_part q_norm = {TENSOR_Q_NORM, config->D, 0}, k_norm = {TENSOR_K_NORM, config->D, 0};
    const struct weight_part o = {TENSOR_O, config->d, 0};
    weights[QKV_WEIGHT] = weights_add(plan, config->d, PARAM_NORMAL, qkv, 3);
    weights[QKV_BIAS] = weights_add(plan, 0, PARAM_ZERO, bias, 3);
    weights[Q_NORM] = weights_add(plan, 0, PARAM_ONE, &q_norm, 1);
    weights[K_NORM] = weights_add(plan, 0, PARAM_ONE, &k_norm, 1);
    weights[O_WEIGHT] = weights_add(plan, q, PARAM_RESIDUAL, &o, 1);
}

static void list_buffers(const struct model_config *config, struct buffer *list)
{
    const unsigned train = PASS_TRAIN | PASS_RECOMPUTE, all = PASS_DECODE | train;
    int width = width_of(config), q = config->H * config->D, kv = config->J * config->D;
    list[QKV] = (struct buffer){"q, k, v", BUFFER_KEPT, width, all, false, 0}; /* as projected */
    list[QK] = (struct buffer){"normed q, k", BUFFER_SCRATCH, has_norm(config) ? width : 0, train, false, 0};
    list[ATTENDED] = (struct buffer){"attention", BUFFER_KEPT, q, all, false, 0};
    list[LSE] = (struct buffer){"attention log-sum-exp", BUFFER_KEPT, config->H, train, true, 0};
    list[DQKV] = (struct buffer){"q, k, v", BUFFER_GRADIENT, width, train, false, 0};
    list[DATTENDED] = (struct buffer){"attention", BUFFER_GRADIENT, q, train, false, 0};
    list[KEYS] = (struct buffer){"key", BUFFER_PAGES, kv, all, false, 0};
    list[VALUES] = (struct buffer){"value", BUFFER_PAGES, kv, all, false, 0};
}

static void list_shapes(const struct model_config *config, struct device_shapes *shapes)
{
    shapes_add_product(shapes, width_of(config), config->d, model_family_has(config->family, TENSOR_Q_BIAS));
    shapes_add_product(shapes, config->d, config->H * config->D, false);
    shapes_add_attention(shapes, config->H, config->J, config->D, config->D);
    if (has_norm(config)) {
        shapes_add_norm(shapes, config->H, config->D);
        shapes_add_norm(shapes, config->J, config->D);
    }
}

static float softmax_scale(const struct model_config *config)
{
    return (float)(1.0 / sqrt(config->D));
}

static struct norm query_norm(const struct block_io *io)
{
    const struct model_config *config = &io->model->config;
    int width = width_of(config);
    return (struct norm){io->weights[Q_NORM], config->H, config->D, width, width, config->norm_eps};
}

static struct norm key_norm(const struct block_io *io)
{
    const struct model_config *config = &io->model->config;
    int width = width_of(config);
    return (struct norm){io->weights[K_NORM], config->J, config->D, width, width, config->norm_eps};
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
    if (has_norm(&model->config)) {
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
    linear_forward(io->model, io->pass, io->weights[QKV_WEIGHT], io->weights[QKV_BIAS], x, NULL, io->buffers[QKV]);
    make_qk(io);
    attend(io);
}

static void output(const struct block_io *io, const void *residual, void *y)
{
    linear_forward(io->model, io->pass, io->weights[O_WEIGHT], -1, io->buffers[ATTENDED], residual, y);
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
    if (has_norm(&model->config)) {
        struct norm q_norm = query_norm(io), k_norm = key_norm(io);
        size_t k = keys_at(&model->config);
        void *dk = linear_element(model, dqkv, k);
        norm_backward(b, &q_norm, io->buffers[QKV], dqkv, dqkv, false);
        norm_backward(b, &k_norm, linear_element(model, io->buffers[QKV], k), dk, dk, false);
    }
}

static void backward(const struct block_io *io, const struct backward *b, const void *dy, void *x)
{
    linear_backward(b, io->weights[O_WEIGHT], -1, dy, io->buffers[ATTENDED], io->buffers[DATTENDED]);
    if (io->buffers[QK]) {
        make_qk(io); /* scratch: another layer has written there */
    }
    attend_backward(io);
    make_qk_backward(io, b);
    linear_backward(b, io->weights[QKV_WEIGHT], io->weights[QKV_BIAS], io->buffers[DQKV], x, x);
}

const struct block block_gqa = {
    .name = "gqa",
    .check = check,
    .plan_weights = plan_weights,
    .n_buffers = BUFFERS,
    .list_buffers = list_buffers,
    .list_shapes = list_shapes,
    .forward = forward,
    .output = output,
    .backward = backward,
    .copy_page = copy_page,
};

_Static_assert((int)BUFFERS <= BLOCK_MAX_BUFFERS, "all buffers have a number");

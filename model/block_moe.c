/* model/block_moe.c - a mixture of experts, each a SwiGLU MLP (DeepSeek-V3, section 2.1.2; Qwen3, section 2).
 *
 *   experts, weights = route(x W_router)
 *   y = residual + sum over the k experts e of a row of weight_e down_e(silu(gate_e(x)) * up_e(x)) + gate shared(x)
 *
 *   x [T, d] ── gather ──► [T k, d] by expert ── gate, up ──► [T k, 2F] ── swiglu, down ──► [T k, d] ── combine ──► y [T, d]
 *
 * The shared experts are one MLP for all rows, added as it is or times sigmoid(x w). Kept for the backward pass are the routes
 * and [gate|up]; what the experts' last product gave is not: the gradient of a weight is found before it (kernels/experts.h).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/num.h"
#include "model/block.h"
#include "model/linear.h"
#include "model/shapes.h"

enum {
    ROUTER,
    ROUTER_BIAS,
    GATE_UP_WEIGHT,
    DOWN_WEIGHT,
    SHARED_GATE_UP_WEIGHT,
    SHARED_DOWN_WEIGHT,
    SHARED_GATE_WEIGHT
};
enum {
    LOGITS,
    EXPERTS,
    WEIGHTS,
    GATE_UP,
    SHARED_GATE_UP,
    SHARED_LOGIT, /* of the shared expert's gate, [T] */
    SHARED_GATE,
    ORDER,    /* offsets [E + 1], then places, pairs, rows [T k] */
    GATHERED, /* rows by expert: x, the experts' outputs, dy, x again, dx */
    ACT,      /* backward: then its gradient, then itself times its row's weight */
    SHARED_ACT,
    SHARED_OUT,
    ONES,
    DGATE_UP,
    DSHARED_GATE_UP,
    DWEIGHTS,
    DLOGITS,
    DSHARED_GATE,
    DSHARED_LOGIT,
    BUFFERS
};

/* sigmoid(x) of one number is the weight of a mixture of one expert. */
static const struct router one_gate = {.E = 1, .k = 1, .sigmoid = true, .scale = 1, .n_groups = 1};

static enum err check(const struct model_config *config, const char *source, const struct device *device)
{
    int max_experts = device->kind->limits.max_experts;
    if (max_experts && config->moe.router.E > max_experts) {
        return err_set(ERR_DEVICE, "%s: has %d experts, and the device %s takes at most %d; use --device=cpu", source,
                       config->moe.router.E, device->kind->name, max_experts);
    }
    TRY(param_check_rows("moe_intermediate_size", config->moe.F, source));
    TRY(param_check_rows("hidden_size", config->d, source)); /* rows of an expert's down product */
    return param_check_rows("the width of the shared experts", config->moe.shared_F, source);
}

/* ---- tables ---- */

static void plan_experts(struct weights_plan *plan, const struct model_config *config, int *weights)
{
    int E = config->moe.router.E, F = config->moe.F;
    struct weight_part *parts = mem_alloc(2 * (size_t)E * sizeof *parts);
    for (int e = 0; e < E; e++) {
        parts[2 * e] = (struct weight_part){TENSOR_EXPERT_GATE, F, e};
        parts[2 * e + 1] = (struct weight_part){TENSOR_EXPERT_UP, F, e};
    }
    weights[GATE_UP_WEIGHT] = weights_add(plan, config->d, PARAM_NORMAL, parts, 2 * E);
    for (int e = 0; e < E; e++) {
        parts[e] = (struct weight_part){TENSOR_EXPERT_DOWN, config->d, e};
    }
    weights[DOWN_WEIGHT] = weights_add(plan, F, PARAM_RESIDUAL, parts, E);
    free(parts);
}

static void plan_weights(struct weights_plan *plan, const struct model_config *config, int *weights)
{
    const struct moe_config *moe = &config->moe;
    const struct weight_part router = {TENSOR_ROUTER, moe->router.E, 0}, bias = {TENSOR_ROUTER_BIAS, moe->router.E, 0};
    const struct weight_part gate_up[] = {{TENSOR_SHARED_GATE, moe->shared_F, 0}, {TENSOR_SHARED_UP, moe->shared_F, 0}};
    const struct weight_part down = {TENSOR_SHARED_DOWN, config->d, 0}, gate = {TENSOR_SHARED_WEIGHT, 1, 0};
    weights[ROUTER] = weights_add(plan, config->d, PARAM_NORMAL, &router, 1);
    weights[ROUTER_BIAS] = moe->has_bias ? weights_add_frozen(plan, &bias) : -1;
    plan_experts(plan, config, weights);
    weights[SHARED_GATE_UP_WEIGHT] = weights[SHARED_DOWN_WEIGHT] = weights[SHARED_GATE_WEIGHT] = -1;
    if (moe->shared_F > 0) {
        weights[SHARED_GATE_UP_WEIGHT] = weights_add(plan, config->d, PARAM_NORMAL, gate_up, 2);
        weights[SHARED_DOWN_WEIGHT] = weights_add(plan, moe->shared_F, PARAM_RESIDUAL, &down, 1);
    }
    if (moe->shared_gated) {
        weights[SHARED_GATE_WEIGHT] = weights_add(plan, config->d, PARAM_NORMAL, &gate, 1);
    }
}

static void list_buffers(const struct model_config *config, struct buffer *list)
{
    const unsigned train = PASS_TRAIN | PASS_RECOMPUTE, all = PASS_DECODE | train;
    const int E = config->moe.router.E, k = config->moe.router.k, F = config->moe.F, S = config->moe.shared_F;
    const int gate = config->moe.shared_gated;
    list[LOGITS] = (struct buffer){"router logits", BUFFER_SEEN, E, all, true, 0};
    list[EXPERTS] = (struct buffer){"chosen experts", BUFFER_SEEN, k, all, true, 0};
    list[WEIGHTS] = (struct buffer){"experts' weights", BUFFER_KEPT, k, all, true, 0};
    list[GATE_UP] = (struct buffer){"experts' gate, up", BUFFER_KEPT, 2 * F * k, all, false, 0};
    list[SHARED_GATE_UP] = (struct buffer){"shared gate, up", BUFFER_KEPT, 2 * S, all, false, 0};
    list[SHARED_LOGIT] = (struct buffer){"shared logit", BUFFER_KEPT, gate, all, true, 0};
    list[SHARED_GATE] = (struct buffer){"shared weight", BUFFER_KEPT, gate, all, true, 0};
    list[ORDER] = (struct buffer){"order of experts", BUFFER_SCRATCH, 3 * k, all, true, E + 1};
    list[GATHERED] = (struct buffer){"rows by expert", BUFFER_SCRATCH, config->d * k, all, false, 0};
    list[ACT] = (struct buffer){"experts' swiglu", BUFFER_SCRATCH, F * k, all, false, 0};
    list[SHARED_ACT] = (struct buffer){"shared swiglu", BUFFER_SCRATCH, S, all, false, 0};
    list[SHARED_OUT] = (struct buffer){"shared output", BUFFER_SCRATCH, S > 0 ? config->d : 0, all, false, 0};
    list[ONES] = (struct buffer){"always the first expert", BUFFER_SCRATCH, gate, all, true, 0};
    list[DGATE_UP] = (struct buffer){"experts' gate, up", BUFFER_GRADIENT, 2 * F * k, PASS_TRAIN, false, 0};
    list[DSHARED_GATE_UP] = (struct buffer){"shared gate, up", BUFFER_GRADIENT, 2 * S, PASS_TRAIN, false, 0};
    list[DWEIGHTS] = (struct buffer){"experts' weights", BUFFER_GRADIENT, k, train, true, 0};
    list[DLOGITS] = (struct buffer){"router logits", BUFFER_GRADIENT, E, train, false, 0};
    list[DSHARED_GATE] = (struct buffer){"shared weight", BUFFER_GRADIENT, gate, train, true, 0};
    list[DSHARED_LOGIT] = (struct buffer){"shared logit", BUFFER_GRADIENT, gate, train, false, 0};
}

static void list_shapes(const struct model_config *config, struct device_shapes *shapes)
{
    const struct moe_config *moe = &config->moe;
    shapes_add_product(shapes, moe->router.E, config->d, false);
    shapes_add_experts(shapes, moe->router.E, moe->router.k, config->d, moe->F);
    if (moe->shared_F > 0) {
        shapes_add_product(shapes, 2 * moe->shared_F, config->d, false);
        shapes_add_product(shapes, config->d, moe->shared_F, false);
    }
    if (moe->shared_gated) {
        shapes_add_product(shapes, 1, config->d, false);
    }
}

struct routes block_moe_routes(void *const *buffers)
{
    return (struct routes){buffers[EXPERTS], buffers[LOGITS]};
}

/* ---- forward ---- */

static const struct ops *ops_of(const struct block_io *io)
{
    return io->model->device->ops;
}

/* The pairs of the rows and their experts, sorted by expert. */
static struct expert_order_args order_of(const struct block_io *io)
{
    int E = io->model->config.moe.router.E, k = io->model->config.moe.router.k, T = io->pass->T;
    int32_t *offsets = io->buffers[ORDER], *places = offsets + E + 1;
    ptrdiff_t n = (ptrdiff_t)T * k;
    return (struct expert_order_args){T, k, E, io->buffers[EXPERTS], offsets, places, places + n, places + 2 * n};
}

/* GATHERED = rows of x by expert */
static void gather(const struct block_io *io, const struct expert_order_args *order, const void *x)
{
    ops_of(io)->gather_rows(
        &(struct rows_args){order->T * order->k, io->model->config.d, order->rows, x, io->buffers[GATHERED]});
}

static void grouped(const struct block_io *io, const struct expert_order_args *order, int weight, const void *x,
                    void *y)
{
    const struct param *w = &io->model->params.table[io->weights[weight]];
    ops_of(io)->grouped_matmul(&(struct grouped_matmul_args){
        .E = order->E,
        .N = w->rows / order->E,
        .K = w->cols,
        .n_places = order->T * order->k,
        .offsets = order->offsets,
        .x = x,
        .w = params_at(&io->model->params, io->weights[weight]),
        .y = y,
    });
}

static void route(const struct block_io *io, const void *x)
{
    linear_forward_wide(io->model, io->pass->T, io->weights[ROUTER], x, io->buffers[LOGITS]);
    ops_of(io)->route(&(struct route_args){
        .router = io->model->config.moe.router,
        .T = io->pass->T,
        .logits = io->buffers[LOGITS],
        .bias = params_at(&io->model->params, io->weights[ROUTER_BIAS]),
        .forced = io->pass->forced ? io->buffers[EXPERTS] : NULL,
        .experts = io->buffers[EXPERTS],
        .weights = io->buffers[WEIGHTS],
    });
}

static void shared_forward(const struct block_io *io, const void *x)
{
    int T = io->pass->T;
    if (io->weights[SHARED_GATE_UP_WEIGHT] >= 0) {
        linear_forward(io->model, io->pass, io->weights[SHARED_GATE_UP_WEIGHT], -1, x, NULL,
                       io->buffers[SHARED_GATE_UP]);
    }
    if (io->weights[SHARED_GATE_WEIGHT] >= 0) {
        linear_forward_wide(io->model, T, io->weights[SHARED_GATE_WEIGHT], x, io->buffers[SHARED_LOGIT]);
        ops_of(io)->route(&(struct route_args){.router = one_gate,
                                               .T = T,
                                               .logits = io->buffers[SHARED_LOGIT],
                                               .experts = io->buffers[ONES],
                                               .weights = io->buffers[SHARED_GATE]});
    }
}

static void forward(const struct block_io *io, const void *x)
{
    struct expert_order_args order = order_of(io);
    route(io, x);
    ops_of(io)->expert_order(&order);
    gather(io, &order, x);
    grouped(io, &order, GATE_UP_WEIGHT, io->buffers[GATHERED], io->buffers[GATE_UP]);
    shared_forward(io, x);
}

static void swiglu(const struct block_io *io, int n_rows, int F, int gate_up, int act)
{
    ops_of(io)->swiglu(
        &(struct swiglu_args){.T = n_rows, .F = F, .gate_up = io->buffers[gate_up], .act = io->buffers[act]});
}

static void output(const struct block_io *io, const void *residual, void *y)
{
    const struct model_config *config = &io->model->config;
    struct expert_order_args order = order_of(io);
    bool shared = io->weights[SHARED_GATE_UP_WEIGHT] >= 0;
    swiglu(io, order.T * order.k, config->moe.F, GATE_UP, ACT);
    grouped(io, &order, DOWN_WEIGHT, io->buffers[ACT], io->buffers[GATHERED]);
    if (shared) {
        swiglu(io, order.T, config->moe.shared_F, SHARED_GATE_UP, SHARED_ACT);
        linear_forward(io->model, io->pass, io->weights[SHARED_DOWN_WEIGHT], -1, io->buffers[SHARED_ACT], NULL,
                       io->buffers[SHARED_OUT]);
    }
    ops_of(io)->combine(&(struct combine_args){
        .T = order.T,
        .d = config->d,
        .k = order.k,
        .places = order.places,
        .weights = io->buffers[WEIGHTS],
        .x = io->buffers[GATHERED],
        .shared = shared ? io->buffers[SHARED_OUT] : NULL,
        .gates = config->moe.shared_gated ? io->buffers[SHARED_GATE] : NULL,
        .residual = residual,
        .y = y,
    });
}

/* ---- backward ---- */

/* Where the gradient of [gate|up] goes: recomputed, it is not needed again itself. */
static void *gradient_of(const struct block_io *io, int gradient, int kept)
{
    return io->buffers[gradient] ? io->buffers[gradient] : io->buffers[kept];
}

/* The arguments of a gradient of a product with the experts' matrices. */
static struct grouped_grad_args grouped_grad(const struct block_io *io, const struct expert_order_args *order,
                                             int weight, const void *dy)
{
    const struct param *w = &io->model->params.table[io->weights[weight]];
    return (struct grouped_grad_args){
        .E = order->E,
        .N = w->rows / order->E,
        .K = w->cols,
        .n_places = order->T * order->k,
        .offsets = order->offsets,
        .dy = dy,
        .w = params_at(&io->model->params, io->weights[weight]),
    };
}

static void grouped_weight_grad(const struct block_io *io, const struct backward *b,
                                const struct expert_order_args *order, int weight, const void *dy, const void *x)
{
    struct grouped_grad_args args = grouped_grad(io, order, weight, dy);
    args.x = x;
    args.dw = grad_at(b, io->weights[weight]);
    ops_of(io)->grouped_weight_grad(&args);
}

static void grouped_input_grad(const struct block_io *io, const struct expert_order_args *order, int weight,
                               const void *dy, void *dx)
{
    struct grouped_grad_args args = grouped_grad(io, order, weight, dy);
    args.dx = dx;
    ops_of(io)->grouped_input_grad(&args);
}

/* The experts' gradients, those of the rows' weights, and GATHERED = the gradients of x by expert. */
static void experts_backward(const struct block_io *io, const struct backward *b, const struct expert_order_args *order,
                             const void *dy, const void *x)
{
    void *rows = io->buffers[GATHERED], *act = io->buffers[ACT], *dgate_up = gradient_of(io, DGATE_UP, GATE_UP);
    gather(io, order, dy);
    grouped_input_grad(io, order, DOWN_WEIGHT, rows, act);
    ops_of(io)->weighted_swiglu_grad(&(struct weighted_swiglu_grad_args){
        .n_rows = order->T * order->k,
        .F = io->model->config.moe.F,
        .gate_up = io->buffers[GATE_UP],
        .dact = act,
        .pairs = order->pairs,
        .weights = io->buffers[WEIGHTS],
        .dweights = io->buffers[DWEIGHTS],
        .dgate_up = dgate_up,
        .act = act,
    });
    grouped_weight_grad(io, b, order, DOWN_WEIGHT, rows, act);
    gather(io, order, x);
    grouped_weight_grad(io, b, order, GATE_UP_WEIGHT, dgate_up, rows);
    grouped_input_grad(io, order, GATE_UP_WEIGHT, dgate_up, rows);
}

/* The gradients of the shared experts and of their gate, but for x's. */
static void shared_backward(const struct block_io *io, const struct backward *b, const void *dy, const void *x)
{
    const struct moe_config *moe = &io->model->config.moe;
    void *act = io->buffers[SHARED_ACT], *gate_up = io->buffers[SHARED_GATE_UP];
    void *dgate_up = gradient_of(io, DSHARED_GATE_UP, SHARED_GATE_UP);
    if (!moe->shared_gated) {
        swiglu(io, b->pass->T, moe->shared_F, SHARED_GATE_UP, SHARED_ACT);
        linear_weight_grad(b, io->weights[SHARED_DOWN_WEIGHT], -1, dy, act);
        linear_input_grad(b, io->weights[SHARED_DOWN_WEIGHT], dy, act);
        ops_of(io)->swiglu_grad(&(struct swiglu_args){
            .T = b->pass->T, .F = moe->shared_F, .gate_up = gate_up, .dact = act, .dgate_up = dgate_up});
    } else {
        linear_input_grad(b, io->weights[SHARED_DOWN_WEIGHT], dy, act);
        ops_of(io)->weighted_swiglu_grad(&(struct weighted_swiglu_grad_args){.n_rows = b->pass->T,
                                                                             .F = moe->shared_F,
                                                                             .gate_up = gate_up,
                                                                             .dact = act,
                                                                             .weights = io->buffers[SHARED_GATE],
                                                                             .dweights = io->buffers[DSHARED_GATE],
                                                                             .dgate_up = dgate_up,
                                                                             .act = act});
        linear_weight_grad(b, io->weights[SHARED_DOWN_WEIGHT], -1, dy, act);
        ops_of(io)->route_grad(&(struct route_grad_args){.router = one_gate,
                                                         .T = b->pass->T,
                                                         .logits = io->buffers[SHARED_LOGIT],
                                                         .experts = io->buffers[ONES],
                                                         .dweights = io->buffers[DSHARED_GATE],
                                                         .dlogits = io->buffers[DSHARED_LOGIT]});
        linear_weight_grad(b, io->weights[SHARED_GATE_WEIGHT], -1, io->buffers[DSHARED_LOGIT], x);
    }
    linear_weight_grad(b, io->weights[SHARED_GATE_UP_WEIGHT], -1, dgate_up, x);
}

static void router_backward(const struct block_io *io, const struct backward *b, const void *x)
{
    const struct pass *pass = io->pass;
    ptrdiff_t of_layer = (ptrdiff_t)pass->n_sets * io->model->config.moe.router.E;
    ops_of(io)->route_grad(&(struct route_grad_args){
        .router = io->model->config.moe.router,
        .T = b->pass->T,
        .logits = io->buffers[LOGITS],
        .experts = io->buffers[EXPERTS],
        .dweights = io->buffers[DWEIGHTS],
        .dshares = pass->n_sets > 0 ? pass->dshares + io->layer * of_layer : NULL,
        .sets = pass->sets,
        .dlogits = io->buffers[DLOGITS],
    });
    linear_weight_grad(b, io->weights[ROUTER], -1, io->buffers[DLOGITS], x);
}

static void backward(const struct block_io *io, const struct backward *b, const void *dy, void *x)
{
    const struct moe_config *moe = &io->model->config.moe;
    struct expert_order_args order = order_of(io);
    ops_of(io)->expert_order(&order);
    experts_backward(io, b, &order, dy, x);
    router_backward(io, b, x);
    if (moe->shared_F > 0) {
        shared_backward(io, b, dy, x);
    }
    ops_of(io)->combine(&(struct combine_args){.T = order.T,
                                               .d = io->model->config.d,
                                               .k = order.k,
                                               .places = order.places,
                                               .x = io->buffers[GATHERED],
                                               .y = x});
    linear_input_grad_add(b, io->weights[ROUTER], io->buffers[DLOGITS], x);
    if (moe->shared_F > 0) {
        void *dgate_up = gradient_of(io, DSHARED_GATE_UP, SHARED_GATE_UP);
        linear_input_grad_add(b, io->weights[SHARED_GATE_UP_WEIGHT], dgate_up, x);
    }
    if (moe->shared_gated) {
        linear_input_grad_add(b, io->weights[SHARED_GATE_WEIGHT], io->buffers[DSHARED_LOGIT], x);
    }
}

_Static_assert((int)BUFFERS <= BLOCK_MAX_BUFFERS, "the table of buffers");

const struct block block_moe = {
    .name = "moe",
    .check = check,
    .plan_weights = plan_weights,
    .n_buffers = BUFFERS,
    .list_buffers = list_buffers,
    .list_shapes = list_shapes,
    .forward = forward,
    .output = output,
    .backward = backward,
};

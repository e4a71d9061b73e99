/* model/block_mlp.c - the feed-forward block SwiGLU (Shazeer 2020, arXiv 2002.05202, eq. 6).
 *
 *   [gate|up] = gate_up(x),  y = residual + down(silu(gate) * up)
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/block.h"
#include "model/linear.h"
#include "model/shapes.h"

enum { GATE_UP_WEIGHT, DOWN_WEIGHT };
enum { GATE_UP, ACT, DGATE_UP, BUFFERS };

static enum err check(const struct model_config *config, const char *source, const struct device *device)
{
    (void)device;
    return param_check_rows("intermediate_size", config->F, source);
}

static void plan_weights(struct weights_plan *plan, const struct model_config *config, int *weights)
{
    const struct weight_part gate_up[] = {{TENSOR_GATE, config->F, 0}, {TENSOR_UP, config->F, 0}};
    const struct weight_part down[] = {{TENSOR_DOWN, config->d, 0}};
    weights[GATE_UP_WEIGHT] = weights_add(plan, config->d, PARAM_NORMAL, gate_up, 2);
    weights[DOWN_WEIGHT] = weights_add(plan, config->F, PARAM_RESIDUAL, down, 1);
}

static void list_buffers(const struct model_config *config, struct buffer *list)
{
    const unsigned train = PASS_TRAIN | PASS_RECOMPUTE, all = PASS_DECODE | train;
    list[GATE_UP] = (struct buffer){"gate, up", BUFFER_KEPT, 2 * config->F, all, false, 0};
    list[ACT] = (struct buffer){"swiglu", BUFFER_SCRATCH, config->F, all, false, 0}; /* backward: then its gradient */
    list[DGATE_UP] = (struct buffer){"gate, up", BUFFER_GRADIENT, 2 * config->F, PASS_TRAIN, false, 0};
}

static void list_shapes(const struct model_config *config, struct device_shapes *shapes)
{
    shapes_add_product(shapes, 2 * config->F, config->d, false);
    shapes_add_product(shapes, config->d, config->F, false);
}

static void swiglu(const struct block_io *io)
{
    io->model->device->ops->swiglu(&(struct swiglu_args){
        .T = io->pass->T, .F = io->model->config.F, .gate_up = io->buffers[GATE_UP], .act = io->buffers[ACT]});
}

static void forward(const struct block_io *io, const void *x)
{
    linear_forward(io->model, io->pass, io->weights[GATE_UP_WEIGHT], -1, x, NULL, io->buffers[GATE_UP]);
}

static void output(const struct block_io *io, const void *residual, void *y)
{
    swiglu(io);
    linear_forward(io->model, io->pass, io->weights[DOWN_WEIGHT], -1, io->buffers[ACT], residual, y);
}

static void backward(const struct block_io *io, const struct backward *b, const void *dy, void *x)
{
    const struct model *model = io->model;
    void *gate_up = io->buffers[GATE_UP], *act = io->buffers[ACT];
    void *dgate_up = io->buffers[DGATE_UP] ? io->buffers[DGATE_UP] : gate_up; /* recomputed: not needed again */
    swiglu(io);
    void *dact = act; /* its values are not needed any more */
    linear_backward(b, io->weights[DOWN_WEIGHT], -1, dy, act, dact);
    model->device->ops->swiglu_grad(&(struct swiglu_args){
        .T = io->pass->T, .F = model->config.F, .gate_up = gate_up, .dact = dact, .dgate_up = dgate_up});
    linear_backward(b, io->weights[GATE_UP_WEIGHT], -1, dgate_up, x, x);
}

const struct block block_mlp = {
    .name = "mlp",
    .check = check,
    .plan_weights = plan_weights,
    .n_buffers = BUFFERS,
    .list_buffers = list_buffers,
    .list_shapes = list_shapes,
    .forward = forward,
    .output = output,
    .backward = backward,
};

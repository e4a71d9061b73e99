/* model/block_mlp.c - the feed-forward block SwiGLU (Shazeer 2020, arXiv 2002.05202, eq. 6).
 *
 *   [gate|up] = gate_up(x),  y = residual + down(silu(gate) * up)
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/block.h"
#include "model/linear.h"

enum { GATE_UP, ACT, DGATE_UP, BUFFERS };

static void list_buffers(const struct model_config *config, struct buffer *list)
{
    const unsigned train = PASS_TRAIN | PASS_RECOMPUTE, all = PASS_DECODE | train;
    list[GATE_UP] = (struct buffer){"gate, up", BUFFER_KEPT, 2 * config->F, all, false};
    list[ACT] = (struct buffer){"swiglu", BUFFER_SCRATCH, config->F, all, false}; /* backward: then its gradient */
    list[DGATE_UP] = (struct buffer){"gate, up", BUFFER_GRADIENT, 2 * config->F, PASS_TRAIN, false};
}

static void swiglu(const struct block_io *io)
{
    io->model->device->ops->swiglu(&(struct swiglu_args){
        .T = io->pass->T, .F = io->model->config.F, .gate_up = io->buffers[GATE_UP], .act = io->buffers[ACT]});
}

static void forward(const struct block_io *io, const void *x)
{
    const struct model *model = io->model;
    const struct layer_weights *w = &model->weights.layers[io->layer];
    linear_forward(model, io->pass->T, 2 * model->config.F, model->config.d, x, w->gate_up, SIZE_MAX, NULL,
                   io->buffers[GATE_UP]);
}

static void output(const struct block_io *io, const void *residual, void *y)
{
    const struct model *model = io->model;
    const struct layer_weights *w = &model->weights.layers[io->layer];
    swiglu(io);
    linear_forward(model, io->pass->T, model->config.d, model->config.F, io->buffers[ACT], w->down, SIZE_MAX, residual,
                   y);
}

static void backward(const struct block_io *io, const struct backward *b, const void *dy, void *x)
{
    const struct model *model = io->model;
    const struct layer_weights *w = &model->weights.layers[io->layer];
    int d = model->config.d, F = model->config.F;
    void *gate_up = io->buffers[GATE_UP], *act = io->buffers[ACT];
    void *dgate_up = io->buffers[DGATE_UP] ? io->buffers[DGATE_UP] : gate_up; /* recomputed: not needed again */
    swiglu(io);
    linear_weight_grad(b, d, F, dy, act, w->down, SIZE_MAX);
    void *dact = act; /* its values are not needed any more */
    linear_input_grad(b, d, F, dy, w->down, dact);
    model->device->ops->swiglu_grad(
        &(struct swiglu_args){.T = io->pass->T, .F = F, .gate_up = gate_up, .dact = dact, .dgate_up = dgate_up});
    linear_weight_grad(b, 2 * F, d, dgate_up, x, w->gate_up, SIZE_MAX);
    linear_input_grad(b, 2 * F, d, dgate_up, w->gate_up, x);
}

const struct block block_mlp = {
    .name = "mlp",
    .n_buffers = BUFFERS,
    .list_buffers = list_buffers,
    .forward = forward,
    .output = output,
    .backward = backward,
};

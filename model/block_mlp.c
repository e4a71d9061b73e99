/* model/block_mlp.c - the feed-forward block SwiGLU (Shazeer 2020, arXiv 2002.05202, eq. 6).
 *
 *   [gate|up] = gate_up(x),  y = residual + down(silu(gate) * up)
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/layer.h"

static void swiglu(const struct model *model, const struct layer_io *io)
{
    model->device->ops->swiglu(
        &(struct swiglu_args){.T = io->T, .F = model->config.F, .gate_up = io->gate_up, .act = io->act});
}

void block_mlp_forward(const struct model *model, int layer, const struct layer_io *io, const void *x)
{
    const struct layer_weights *w = &model->weights.layers[layer];
    linear_forward(model, io->T, 2 * model->config.F, model->config.d, x, w->gate_up, SIZE_MAX, NULL, io->gate_up);
}

void block_mlp_output(const struct model *model, int layer, const struct layer_io *io, const void *residual, void *y)
{
    const struct layer_weights *w = &model->weights.layers[layer];
    swiglu(model, io);
    linear_forward(model, io->T, model->config.d, model->config.F, io->act, w->down, SIZE_MAX, residual, y);
}

void block_mlp_backward(const struct backward *b, int layer, const struct layer_io *io, const void *dy, void *x)
{
    const struct layer_weights *w = &b->model->weights.layers[layer];
    int d = b->model->config.d, F = b->model->config.F;
    swiglu(b->model, io);
    linear_weight_grad(b, d, F, dy, io->act, w->down, SIZE_MAX);
    void *dact = io->act; /* its values are not needed any more */
    linear_input_grad(b, d, F, dy, w->down, dact);
    b->model->device->ops->swiglu_grad(
        &(struct swiglu_args){.T = b->T, .F = F, .gate_up = io->gate_up, .dact = dact, .dgate_up = io->dgate_up});
    linear_weight_grad(b, 2 * F, d, io->dgate_up, x, w->gate_up, SIZE_MAX);
    linear_input_grad(b, 2 * F, d, io->dgate_up, w->gate_up, x);
}

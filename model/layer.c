/* model/layer.c - norm, block, add; norm, block, add. The add is the residual of the block's last product.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/layer.h"

static void normalise(const struct model *model, size_t weight, const struct layer_io *io, const void *x)
{
    struct norm norm = norm_of_rows(model, weight);
    norm_forward(model, &norm, io->T, x, io->normed);
}

void layer_until_output(const struct model *model, int layer, const struct layer_io *io)
{
    const struct layer_weights *w = &model->weights.layers[layer];
    normalise(model, w->input_norm, io, io->x);
    block_gqa_forward(model, layer, io, io->normed);
    block_gqa_output(model, layer, io, io->x, io->mid);
    normalise(model, w->post_norm, io, io->mid);
    block_mlp_forward(model, layer, io, io->normed);
}

void layer_forward(const struct model *model, int layer, const struct layer_io *io)
{
    layer_until_output(model, layer, io);
    block_mlp_output(model, layer, io, io->mid, io->out);
}

/* dx += the gradient of a branch f(norm(x)), whose output has the gradient dx too: y = x + f(norm(x)) */
static void branch_backward(const struct backward *b, int layer, const struct layer_io *io, const void *x,
                            size_t weight, block_backward *backward)
{
    struct norm norm = norm_of_rows(b->model, weight);
    norm_forward(b->model, &norm, io->T, x, io->normed);
    backward(b, layer, io, io->dx, io->normed);
    norm_backward(b, &norm, x, io->normed, io->dx, true);
}

void layer_backward(const struct backward *b, int layer, const struct layer_io *io)
{
    const struct layer_weights *w = &b->model->weights.layers[layer];
    branch_backward(b, layer, io, io->mid, w->post_norm, block_mlp_backward);
    branch_backward(b, layer, io, io->x, w->input_norm, block_gqa_backward);
}

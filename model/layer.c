/* model/layer.c - norm, block, add; norm, block, add. The add is the residual of the block's last product.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/layer.h"

const struct block *layer_block(const struct model_config *config, int layer, int half)
{
    BUG_ON(layer >= config->n_layers);
    return half == BLOCK_ATTENTION ? &block_gqa : &block_mlp;
}

static struct block_io io_of(const struct model *model, int layer, int half, const struct layer_io *io)
{
    return (struct block_io){model, io->pass, layer, io->buffers->at[half], io->pages->at[half]};
}

static size_t norm_weight(const struct model *model, int layer, int half)
{
    const struct layer_weights *w = &model->weights.layers[layer];
    return half == BLOCK_ATTENTION ? w->input_norm : w->post_norm;
}

/* io->normed = norm(x); then the block, but for its output */
static void branch_forward(const struct model *model, int layer, int half, const struct layer_io *io, const void *x)
{
    struct norm norm = norm_of_rows(model, norm_weight(model, layer, half));
    struct block_io block = io_of(model, layer, half, io);
    norm_forward(model, &norm, io->pass->T, x, io->normed);
    layer_block(&model->config, layer, half)->forward(&block, io->normed);
}

static void branch_output(const struct model *model, int layer, int half, const struct layer_io *io, const void *x,
                          void *y)
{
    struct block_io block = io_of(model, layer, half, io);
    layer_block(&model->config, layer, half)->output(&block, x, y);
}

void layer_until_output(const struct model *model, int layer, const struct layer_io *io)
{
    branch_forward(model, layer, BLOCK_ATTENTION, io, io->x);
    branch_output(model, layer, BLOCK_ATTENTION, io, io->x, io->mid);
    branch_forward(model, layer, BLOCK_FEED_FORWARD, io, io->mid);
}

void layer_forward(const struct model *model, int layer, const struct layer_io *io)
{
    layer_until_output(model, layer, io);
    branch_output(model, layer, BLOCK_FEED_FORWARD, io, io->mid, io->out);
}

/* io->dx += the gradient through the block and its norm: y = x + f(norm(x)) */
static void branch_backward(const struct backward *b, int layer, int half, const struct layer_io *io, const void *x)
{
    struct norm norm = norm_of_rows(b->model, norm_weight(b->model, layer, half));
    struct block_io block = io_of(b->model, layer, half, io);
    norm_forward(b->model, &norm, io->pass->T, x, io->normed);
    layer_block(&b->model->config, layer, half)->backward(&block, b, io->dx, io->normed);
    norm_backward(b, &norm, x, io->normed, io->dx, true);
}

void layer_backward(const struct backward *b, int layer, const struct layer_io *io)
{
    branch_backward(b, layer, BLOCK_FEED_FORWARD, io, io->mid);
    branch_backward(b, layer, BLOCK_ATTENTION, io, io->x);
}

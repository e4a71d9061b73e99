/* model/layer.c - norm, block, add; norm, block, add. The add is the residual of the block's last product.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/layer.h"

static struct block_io io_of(const struct model *model, int layer, int half, const struct layer_io *io)
{
    return (struct block_io){
        model, io->pass, model->weights.layers[layer].block[half], io->buffers->at[half], io->pages->at[half], layer};
}

static struct norm norm_of(const struct model *model, int layer, int half)
{
    return norm_of_rows(model, model->weights.layers[layer].norm[half]);
}

/* io->normed = norm(x); then the block, but for its output */
static void branch_forward(const struct model *model, int layer, int half, const struct layer_io *io, const void *x)
{
    struct norm norm = norm_of(model, layer, half);
    struct block_io block = io_of(model, layer, half, io);
    norm_forward(model, &norm, io->pass->T, x, io->normed);
    model_block(&model->config, layer, half)->forward(&block, io->normed);
}

static void branch_output(const struct model *model, int layer, int half, const struct layer_io *io, const void *x,
                          void *y)
{
    struct block_io block = io_of(model, layer, half, io);
    model_block(&model->config, layer, half)->output(&block, x, y);
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
    struct norm norm = norm_of(b->model, layer, half);
    struct block_io block = io_of(b->model, layer, half, io);
    norm_forward(b->model, &norm, io->pass->T, x, io->normed);
    model_block(&b->model->config, layer, half)->backward(&block, b, io->dx, io->normed);
    norm_backward(b, &norm, x, io->normed, io->dx, true);
}

void layer_backward(const struct backward *b, int layer, const struct layer_io *io)
{
    branch_backward(b, layer, BLOCK_FEED_FORWARD, io, io->mid);
    branch_backward(b, layer, BLOCK_ATTENTION, io, io->x);
}

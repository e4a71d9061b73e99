/* model/layer.h - one decoder layer, forward and backward: two blocks, each after a norm and added to its input.
 *
 *   mid = x   + attention(norm(x))
 *   out = mid + feed_forward(norm(mid))
 *
 * Pre-norm blocks: Touvron et al. 2023 (arXiv 2302.13971), section 2.2; model/README.md draws them with shapes.
 *
 * Rollout and training run the same ops in the same order, so their bits agree. They differ only in where the buffers are: the
 * cached forward pass uses one set for all layers, in place; training gives each layer those that its backward pass reads.
 *
 * For the files of model/ only. SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_LAYER_H
#define MODEL_LAYER_H

#include "model/buffers.h"
#include "model/linear.h"

/* Where one layer reads and writes; the arrays [T, d] of the residual stream are on the device. */
struct layer_io {
    const struct pass *pass;
    void *x;      /* the input */
    void *normed; /* scratch: x, then mid, after their norms; backward: then its gradient */
    void *mid;    /* may be x */
    void *out;    /* may be mid */
    void *dx;     /* backward only: the gradient of out becomes that of x */
    const struct layer_buffers *buffers;
    const struct layer_buffers *pages; /* of this layer */
};

/* Writes everything from `normed` to `out`. */
void layer_forward(const struct model *model, int layer, const struct layer_io *io);
/* The same but for the output of the feed-forward block: all that the backward pass reads of a layer. */
void layer_until_output(const struct model *model, int layer, const struct layer_io *io);
/* The gradients of the weights, and of x in io->dx. */
void layer_backward(const struct backward *b, int layer, const struct layer_io *io);

#endif

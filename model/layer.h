/* model/layer.h - one decoder layer, forward and backward: two blocks, each after a norm and added to its input.
 *
 *   mid = x   + attention(norm(x))          model/block_gqa.c
 *   out = mid + feed_forward(norm(mid))     model/block_mlp.c
 *
 * Pre-norm blocks: Touvron et al. 2023 (arXiv 2302.13971), section 2.2; model/README.md draws them with shapes.
 *
 * Rollout and training run the same ops in the same order, so their bits agree. They differ only in the buffers of `struct
 * layer_io`: the cached forward pass uses one set for all layers, in place; training gives each layer those that its backward
 * pass reads.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_LAYER_H
#define MODEL_LAYER_H

#include "model/linear.h"

/* Where one layer reads and writes; everything on the device but the spans and contexts. */
struct layer_io {
    int T;
    const int32_t *positions; /* [T] */
    int n_stores, n_spans;
    const struct span *stores; /* rows whose keys and values go into the pool */
    const struct span *spans;  /* rows that look at the pool */
    void *k_pool, *v_pool;     /* of this layer */
    void *x;                   /* [T, d] the input */
    void *normed;              /* [T, d] scratch: x, then mid, after their norms */
    void *qkv;                 /* [T, (H + 2J) D] as projected; */
    void *qk;                  /* its q and k after norm and rope, in rows of the same width; may be qkv itself */
    void *attended;            /* [T, H D] */
    float *lse;                /* [T, H] or NULL */
    void *mid;                 /* [T, d]; may be x */
    void *gate_up;             /* [T, 2F] */
    void *act;                 /* [T, F] */
    void *out;                 /* [T, d]; may be mid */

    /* backward only */
    int n_contexts;
    const struct context *contexts;
    void *dx;               /* [T, d] gradient of out; becomes that of x */
    void *dqkv, *dattended; /* gradients of qkv and attended */
    void *dgate_up;         /* [T, 2F]; may be gate_up */
};

/* Writes everything from `normed` to `out`. */
void layer_forward(const struct model *model, int layer, const struct layer_io *io);
/* The same up to gate_up: all that the backward pass reads of a layer. */
void layer_until_output(const struct model *model, int layer, const struct layer_io *io);
/* The gradients of the weights, and of x in io->dx. */
void layer_backward(const struct backward *b, int layer, const struct layer_io *io);

/* ---- the blocks ---- */

/* From x [T, d], after its norm: all that the backward pass reads. */
void block_gqa_forward(const struct model *model, int layer, const struct layer_io *io, const void *x);
void block_mlp_forward(const struct model *model, int layer, const struct layer_io *io, const void *x);
/* y = residual + the block's output, from what its forward function wrote. */
void block_gqa_output(const struct model *model, int layer, const struct layer_io *io, const void *residual, void *y);
void block_mlp_output(const struct model *model, int layer, const struct layer_io *io, const void *residual, void *y);
/* Given the gradient dy of y, adds the gradients of the weights; x [T, d], the block's input, becomes its gradient. */
typedef void block_backward(const struct backward *b, int layer, const struct layer_io *io, const void *dy, void *x);
block_backward block_gqa_backward, block_mlp_backward;

/* Elements of a row of [q|k|v]. */
static inline int layer_qkv_width(const struct model_config *config)
{
    return (config->H + 2 * config->J) * config->D;
}

#endif

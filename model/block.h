/* model/block.h - a block: what it computes for the rows of the residual stream, and the one table of its buffers.
 *
 * A layer is two of them, each after a norm and added to its own input (model/layer.h). A block sees nothing of the layer but its
 * own weights and buffers, both by the numbers of its own enums. From the table of buffers come the scratch of decoding, the
 * activations of training, the key/value cache and the plan of memory (model/buffers.h).
 *
 * For the files of model/ only. SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_BLOCK_H
#define MODEL_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "kernels/ops.h"

struct adapter_scratch; /* model/adapter.h */
struct backward;        /* model/linear.h */
struct device;
struct device_shapes;
struct model;
struct model_config;
struct weights_plan; /* model/weights.h */

enum { BLOCK_ATTENTION, BLOCK_FEED_FORWARD, BLOCKS_PER_LAYER };

/* ---- buffers ---- */

enum buffer_role {
    BUFFER_KEPT,     /* [T, columns] written by forward, read by output and backward: one per layer while training */
    BUFFER_SEEN,     /* the same, one per layer in every kind of pass: others read it after the pass */
    BUFFER_SCRATCH,  /* [T, columns] one for all layers */
    BUFFER_GRADIENT, /* [T, columns] of training, one for all layers */
    BUFFER_PAGES,    /* [pages, OPS_PAGE, columns] what attention keeps of positions: one per layer while decoding */
};

/* How a model is run. PASS_RECOMPUTE is training with gradient checkpointing: one layer is kept, and made again. */
enum pass_kind { PASS_DECODE = 1, PASS_TRAIN = 2, PASS_RECOMPUTE = 4 };

struct buffer {
    const char *label; /* the table of memory puts the role before it: "kept: q, k, v" */
    enum buffer_role role;
    int columns;     /* per token; 0: not needed in this model */
    unsigned passes; /* the kinds of passes that need it; its address is NULL in others */
    bool fp32;       /* fp32 or int32; else the device's element */
    int more;        /* elements besides those of the tokens */
};

#define BLOCK_MAX_BUFFERS 24
#define BLOCK_MAX_WEIGHTS 16

/* ---- calls ---- */

/* What all blocks of a pass share. Spans and contexts are on the host. */
struct pass {
    int T;
    const int32_t *positions; /* [T], device */
    int n_stores, n_spans;
    const struct span *stores;      /* rows that go into the pages */
    const struct span *spans;       /* rows that look at the pages */
    int n_contexts;                 /* backward only: */
    const struct context *contexts; /* the sequences of the batch */
    bool forced;                    /* the experts of each row are in the buffers already, and not chosen again */
    const struct adapter_scratch *adapter; /* NULL: the model has none */
    int n_sets;                            /* backward only, 0: none: */
    const float *dshares; /* [n_layers, n_sets, E], device: added to the gradient of the router's shares of a row */
    const int32_t *sets;  /* [T], device: of which set (kernels/experts.h, route_grad_args) */
};

/* One call of a block. */
struct block_io {
    const struct model *model;
    const struct pass *pass;
    const int *weights;   /* parameters of this layer, by the block's own enum; -1: absent */
    void *const *buffers; /* by number of the block's table */
    void *const *pages;   /* the same of this layer's pages */
    int layer;
};

struct block {
    const char *name;
    /* ERR_LIMIT for a shape that the block cannot have, ERR_DEVICE for one that the device's operations do not take; `source`
     * opens the sentence. */
    enum err (*check)(const struct model_config *config, const char *source, const struct device *device);
    /* Adds the block's parameters; `weights` has BLOCK_MAX_WEIGHTS of them. */
    void (*plan_weights)(struct weights_plan *plan, const struct model_config *config, int *weights);
    int n_buffers;
    void (*list_buffers)(const struct model_config *config, struct buffer *list); /* fills n_buffers of them */
    /* Adds the operations on each row of a batch: a device sizes its own memory by them, and model_flops counts them. */
    void (*list_shapes)(const struct model_config *config, struct device_shapes *shapes);
    /* From x [T, d], after its norm, writes all that the backward pass reads. */
    void (*forward)(const struct block_io *io, const void *x);
    /* y = residual + the output, from what forward wrote; y may be the residual. */
    void (*output)(const struct block_io *io, const void *residual, void *y);
    /* Given dy, adds the gradients of the weights; x becomes its own gradient. */
    void (*backward)(const struct block_io *io, const struct backward *b, const void *dy, void *x);
    /* Copies the first n positions of a page to another; NULL: the block has no pages. */
    void (*copy_page)(const struct model *model, void *const *pages, int32_t from, int32_t to, int n);
};

extern const struct block block_gqa, block_mla, block_mlp, block_moe;

/* Of a layer with experts, on the device: which a row went to, ascending, and the router's logits. */
struct routes {
    int32_t *experts;    /* [T, k] */
    const float *logits; /* [T, E] */
};
struct routes block_moe_routes(void *const *buffers);

#endif

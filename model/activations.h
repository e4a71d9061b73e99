/* model/activations.h - what a training forward pass keeps for its backward pass, and the scratch of both.
 *
 * Kept per token and layer, in elements: the layer's input (d), the residual stream between its blocks (d), and what the tables of
 * the blocks call BUFFER_KEPT: [q|k|v] ((H + 2J) D, as projected), the attention's output (H D) and log-sum-exp (H, fp32),
 * [gate|up] (2F). What a norm, the query/key norm, the rotation and swiglu make of them is computed again in the backward
 * pass, by the same ops: that costs reads and writes but no matrix product, and saves d + d + F elements per token and layer
 * (and (H + J) D for Qwen3).
 *
 * With checkpointing (Chen et al. 2016, arXiv 1604.06174, section 4.1) only the input of each layer is kept; the others have room
 * for one layer, and the backward pass computes each layer again before its gradient, by layer_until_output: the same ops on
 * the same inputs, so the same bits. That costs one more forward pass of the layers, but for their last products and the
 * last layer.
 *
 * For the files of model/ and their tests; others see model.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_ACTIVATIONS_H
#define MODEL_ACTIVATIONS_H

#include "model/adapter.h"
#include "model/layer.h"
#include "model/model.h"

struct activations {
    int max_tokens, max_targets, max_contexts;
    int pages_per_context; /* rows of `pages` */
    bool checkpointing;
    int held; /* checkpointing: the layer whose buffers are filled; -1: none */
    struct buffers blocks;

    /* kept, all layers in one array */
    void *x;      /* [layers + 1, max_tokens, d]; the last is the output of the last layer */
    void *mid;    /* [layers, max_tokens, d] between the blocks; checkpointing: of one layer */
    void *hidden; /* [max_tokens, d], after the final norm */

    /* scratch */
    void *normed;                 /* [max_tokens, d] after a norm; backward: then its gradient */
    void *dx;                     /* [max_tokens, d] gradient of the residual stream */
    int32_t *tokens, *positions;  /* [max_tokens] */
    int32_t *target_rows;         /* [max_targets] */
    int32_t *targets;             /* [max_targets] */
    void *target_x, *dtarget_x;   /* [max_targets, d] hidden rows of the targets, and their gradient */
    float *logprob, *target_lse;  /* [max_targets] */
    float *entropy;               /* [max_targets] */
    float *d_logprob, *d_entropy; /* [max_targets] */
    struct adapter_scratch adapter;

    /* of losses on the router's shares; NULL where there are none */
    int max_sets;
    float *dshares; /* [layers, max_sets, E] */
    int32_t *sets;  /* [max_tokens] */

    /* host: the rows of the last forward pass, and the pages that they have in the pool */
    struct pass pass;    /* T 0: none yet */
    struct span *stores; /* [2 max_contexts] */
    struct span *spans;  /* [max_contexts] */
    int32_t *pages;      /* [max_contexts, pages_per_context] */
};

/* The buffers of one layer. */
struct layer_io activations_layer(const struct activations *acts, const struct model *model, int layer);
/* Uploads the targets of a batch and fills target_x with their rows of hidden. */
void activations_gather_targets(struct activations *acts, const struct model *model, const struct train_batch *batch);

#endif

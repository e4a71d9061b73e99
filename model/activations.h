/* model/activations.h - what a training forward pass keeps for its backward pass, and the scratch of both.
 *
 * Kept of each token and layer, in elements: the layer's input (d), [q|k|v] ((H + 2J) D, as projected), the attention's
 * output (H D) and log-sum-exp (H, fp32), the stream between attention and feed-forward (d), [gate|up] (2F). What a norm,
 * the query/key norm, the rotation and swiglu make of them is computed again in the backward pass, by the same ops: that
 * costs reads and writes but no matrix product, and saves d + d + F elements a token and layer (and (H + J) D for Qwen3).
 *
 * With checkpointing (Chen et al. 2016, arXiv 1604.06174, section 4.1) only the input of each layer is kept; the other five have
 * room for one layer, and the backward pass computes each layer again before its gradient, by layer_until_output: the same ops
 * on the same inputs, so the same bits. That costs one more forward pass of the layers, but for their last products and the
 * last layer.
 *
 * For the files of model/ and their tests; others see model.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_ACTIVATIONS_H
#define MODEL_ACTIVATIONS_H

#include "model/layer.h"
#include "model/model.h"

struct activations {
    int max_tokens, max_targets, max_contexts;
    int pages_per_context, n_pages; /* rows of `pages`; size of the pool */
    bool checkpointing;
    int held; /* checkpointing: the layer whose buffers are filled; -1: none */

    /* kept, all layers in one array; K = layers, with checkpointing 1 */
    void *x;        /* [layers + 1, max_tokens, d]; the last is the output of the last layer */
    void *qkv;      /* [K, max_tokens, (H + 2J) D] */
    void *attended; /* [K, max_tokens, H D] */
    void *mid;      /* [K, max_tokens, d] */
    void *gate_up;  /* [K, max_tokens, 2F] */
    float *lse;     /* [K, max_tokens, H] */
    void *hidden;   /* [max_tokens, d], after the final norm */

    /* scratch */
    void *normed;                 /* [max_tokens, d] after a norm; backward: then its gradient */
    void *qk;                     /* [max_tokens, (H + 2J) D] query/key norm only: q and k after norm and rope */
    void *act;                    /* [max_tokens, F] after swiglu; backward: then its gradient */
    void *dx;                     /* [max_tokens, d] gradient of the residual stream */
    void *dqkv, *dattended;       /* gradients of qkv and attended of one layer */
    void *dgate_up;               /* [max_tokens, 2F]; checkpointing: NULL, gate_up becomes it */
    void *k_pool, *v_pool;        /* [n_pages] pages of one layer */
    int32_t *tokens, *positions;  /* [max_tokens] */
    int32_t *target_rows;         /* [max_targets] */
    int32_t *targets;             /* [max_targets] */
    void *target_x, *dtarget_x;   /* [max_targets, d] hidden rows of the targets, and their gradient */
    float *logprob, *target_lse;  /* [max_targets] */
    float *entropy;               /* [max_targets] */
    float *d_logprob, *d_entropy; /* [max_targets] */

    /* host: where the rows of a batch lie in the pool; filled by model_forward */
    int n_stores, n_spans;
    struct span *stores; /* [2 max_contexts] */
    struct span *spans;  /* [max_contexts] */
    int32_t *pages;      /* [max_contexts, pages_per_context] */
    int32_t T;           /* rows of the last forward pass; 0: none yet */
};

/* The buffers of one layer. */
struct layer_io activations_layer(const struct activations *acts, const struct model *model, int layer);
/* Uploads the targets of a batch and fills target_x with their rows of hidden. */
void activations_gather_targets(struct activations *acts, const struct model *model, const struct train_batch *batch);
/* What activations_new takes of the device. */
size_t activations_bytes(const struct model *model, int max_tokens, int max_targets, int max_contexts, int max_length,
                         bool checkpointing);

#endif

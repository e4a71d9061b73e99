/* model/layer.h - one decoder layer forward, as a list of ops: the code that rollout and training share.
 *
 * The two ways forward differ only in where the buffers of `struct layer_io` lie: the cached forward uses one set for all
 * layers, in place; training gives each layer those that its backward pass reads. The ops and their order are the same,
 * so the bits are.
 *
 *   mid = x   + o(attention(rope(norm?(q)), rope(norm?(k)), v)),  [q|k|v] = qkv(norm(x))
 *   out = mid + down(silu(gate) * up),                            [gate|up] = gate_up(norm(mid))
 *
 * model/README.md draws it with shapes. Pre-norm blocks: Touvron et al. 2023, section 2.2; the query/key norm: Qwen3
 * technical report, section 2.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_LAYER_H
#define MODEL_LAYER_H

#include <math.h>

#include "model/model.h"

/* Where one layer reads and writes; everything on the device but the spans. */
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
};

/* Writes everything from `normed` down. */
void layer_forward(const struct model *model, int layer, const struct layer_io *io);
/* The same up to gate_up: all that the backward pass reads of a layer. */
void layer_branches(const struct model *model, int layer, const struct layer_io *io);

/* Pieces that the backward pass computes again, with the same bits: io->qk from io->qkv; y = norm(x) of whole rows, with the
 * weight at that offset; act = swiglu(gate_up). */
void layer_rotate(const struct model *model, int layer, const struct layer_io *io);
void layer_norm(const struct model *model, size_t weight, int T, const void *x, void *y);
void layer_swiglu(const struct model *model, int T, const void *gate_up, void *act);
/* Rotates n_heads heads of each row of x by their positions, or back. */
void layer_rope(const struct model *model, int T, int n_heads, void *x, const int32_t *positions, bool inverse);

/* Elements of a row of [q|k|v]. */
static inline int layer_qkv_width(const struct model_config *config)
{
    return (config->H + 2 * config->J) * config->D;
}

static inline float layer_attention_scale(const struct model_config *config)
{
    return (float)(1.0 / sqrt(config->D));
}

/* The weight at an offset of the table; NULL where the model has none. */
static inline const void *layer_weight(const struct model *model, size_t offset)
{
    return weights_at(&model->weights, model->device, offset);
}

/* Element n of a device array. */
static inline void *layer_element(const struct model *model, void *base, size_t n)
{
    return (char *)base + n * model->device->element_bytes;
}

#endif

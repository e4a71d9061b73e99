/* model/adapter.h - LoRA (Hu et al. 2021, arXiv 2106.09685, section 4.1): low-rank products added to those of frozen matrices.
 *
 *   y = (residual + s (x A^T) B^T) + (x W^T + bias)     A [r, K], B [N, r];  s = alpha / r, or alpha / sqrt(r) (rsLoRA)
 *
 * A and B of a tensor are those of PEFT's files (model/peft.h). An adapter is a set of parameters of its own (model/params.h): that
 * set is trained, saved and loaded, while no parameter of the model's own set trains. model/linear.c multiplies.
 *
 * In memory r is a multiple of 16, zeros after the end, which stay zeros: their gradients are. Where W is one matrix of several
 * tensors ([q|k|v], [gate|up]), A is the A of each that is adapted, one after the other, [n r, K], so that x is read once; B is
 * theirs, too, [rows of all, r]. Tensor k multiplies columns k r .. of x A^T by its own rows of B:
 *
 *   x [T, K] ── A [n r, K] ──► low [T, n r] ── times s ──┬─ columns 0 .. r - 1  ── B_q ──► delta [T, N], columns of q
 *                                                        └─ columns r .. 2r - 1 ── B_v ──► columns of v; those of k are 0
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_ADAPTER_H
#define MODEL_ADAPTER_H

#include "model/config.h"
#include "model/params.h"

#define ADAPTER_MAX_PARTS 8
#define ADAPTER_ROWS      4096 /* of a batch that are multiplied at once: bounds the scratch */

/* The low-rank product of one matrix. */
struct adapter_product {
    int a, b;   /* in adapter->params; -1: the matrix has none */
    int n;      /* tensors that are adapted */
    bool whole; /* all tensors of the matrix are */
    struct {
        int part;      /* in the model's params.parts */
        int row, rows; /* of the matrix: columns of y */
    } parts[ADAPTER_MAX_PARTS];
};

struct adapter {
    struct lora lora;
    struct params params;
    struct adapter_product *of; /* [parameters of the model], by number */
    int n_of;
    int rank;      /* r in memory */
    int low, wide; /* most columns of x A^T, and of y */
    float scale;
};

/* What a pass over rows needs: at most ADAPTER_ROWS at once. */
struct adapter_scratch {
    void *low, *dlow; /* [rows, low] x A^T, and (training only) its gradient */
    void *delta;      /* [rows, wide] */
};

/* ---- settings ---- */

/* Bits (1 << role) of what a name of PEFT's target_modules covers: "q_proj", "self_attn.q_proj", the same after "model.layers.N.",
 * "all-linear"; 0: nothing. */
unsigned lora_target(const char *name);
/* The name of the i-th linear layer, and its bit; NULL past the last. */
const char *lora_target_name(int i, unsigned *bit);
double lora_scale(const struct lora *lora);

/* ---- the set ---- */

/* An adapter of config->lora for the parameters of `base`, whose memory is left NULL. */
struct adapter *adapter_new(const struct model_config *config, const struct params *base, const struct device *device);
void adapter_free(struct adapter *adapter, struct device *device);
/* A is uniform within 1 / sqrt(K), as PEFT draws it (He et al. 2015 with a = sqrt(5)), from streams of the seed; B is 0. */
void adapter_init(struct adapter *adapter, struct device *device, uint64_t seed);
/* W += s B A, in fp32, of parameters that are in memory. */
void adapter_merge(const struct adapter *adapter, const struct params *base, struct device *device);
/* Numbers in its files: without the zeros that fill up r. */
size_t adapter_size(const struct adapter *adapter);
/* Its products, for a device that sizes its own memory by them. */
void adapter_shapes(const struct adapter *adapter, const struct params *base, struct device_shapes *shapes);

/* NULL: matrix `weight` has none, or there is no adapter. */
static inline const struct adapter_product *adapter_product(const struct adapter *adapter, int weight)
{
    return adapter && adapter->of[weight].a >= 0 ? &adapter->of[weight] : NULL;
}
/* Elements before tensor k's rows of B. */
size_t adapter_b_at(const struct adapter *adapter, const struct adapter_product *product, int k,
                    const struct device *device);

/* adapter NULL: nothing. training: with dlow. */
void adapter_scratch_take(struct adapter_scratch *scratch, const struct adapter *adapter, struct device *device,
                          int max_rows, bool training);
void adapter_scratch_release(struct adapter_scratch *scratch, struct device *device);

#endif

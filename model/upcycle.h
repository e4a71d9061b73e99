/* model/upcycle.h - a mixture of experts from a dense checkpoint (Komatsuzaki et al. 2023, arXiv 2212.05055).
 *
 * Every layer gets experts that are copies of its MLP, and a router drawn anew (normal, deviation 0.02). The weights of the experts
 * that are chosen sum to 1, so the first logits are those of the dense model, whichever they are, up to rounding.
 *
 *   qwen3   becomes qwen3_moe
 *   qwen2   becomes qwen2_moe, the one family with biases of q, k and v: all of its models have a shared expert with a gate. With
 *           `shared`, it is a copy of the MLP, too: its gate begins at sigmoid(0) = 1/2, and the down products of the experts
 *           are halved. Without, it has 16 columns of zeros, which stay so: their gradients are zero.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_UPCYCLE_H
#define MODEL_UPCYCLE_H

#include "model/model.h"

struct upcycle {
    int experts, top_k;
    bool shared;
    /* Added to each expert's weights: normal, times this share of the root mean square of their matrix; 0: none. */
    double noise;
    uint64_t seed; /* of the router and the noise */
};

/* "experts=8,top_k=2,shared=1,noise=0.1"; the first two are needed. ERR_USAGE with what is wrong. */
enum err upcycle_parse(struct upcycle *out, const char *text);
/* The config of the result: ERR_USAGE if the family has no sibling with experts, ERR_FORMAT or ERR_LIMIT if the numbers cannot
 * be. */
enum err upcycle_config(const struct upcycle *upcycle, const struct model_config *dense, struct model_config *out);
/* As model_save, of the result, which is never in memory as a whole. */
enum err upcycle_save(const struct upcycle *upcycle, const struct model *dense, const char *folder, const char *dtype);

#endif

/* rl/balance.h - how evenly the experts of a mixture are used: what is added to the loss, the correction bias, metrics.
 *
 * With s[t, e] a row's share of expert e (its score divided by the sum of its scores) and k experts chosen of E:
 *
 *   router_aux_loss_coef     E sum_e f_e P_e,  f_e = assignments / rows, P_e = mean of s, both over all layers'
 *                            rows of a micro-batch (Fedus et al. 2022, eq. 4, as transformers and TRL pool it); the
 *                            mean over micro-batches
 *   router_seq_loss_coef     per sequence and layer: sum_e f_e P_e,  f_e = E / (k T) assignments (DeepSeek-V3, eq. 17
 *                            to 20); summed over layers, the mean over the sequences of a micro-batch, then over
 *                            micro-batches
 *   router_bias_update_rate  after a step: bias_e += rate sign(mean load - load_e) (DeepSeek-V3, section 2.1.2)
 *
 * f is the number of choices, which have no gradient. The rows are those that are packed: a prompt once for its group,
 * and as a sequence of its own. A model without experts has nothing of this.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_BALANCE_H
#define RL_BALANCE_H

#include "rl/iteration.h"
#include "rl/metrics.h"
#include "rl/recipe/recipe.h"
#include "rl/grad_shards.h"

struct balance {
    const struct loss_recipe *recipe;
    struct model *model; /* NULL: it has no experts */
    int n_layers, n_shards;
    double *numbers; /* [n_shards, n_numbers] of this step; balance_gather: the first is the sum of all */
    int n_numbers;
    int32_t *experts; /* scratch of a layer: [max_tokens, k] */
    float *logits;    /* [max_tokens, E] */
    float *dshares;   /* [layers of the model, max_sets, E] */
    int32_t *sets;    /* [max_tokens] */
    double *sums;     /* [layers with experts, E]: shares of a micro-batch */
    double *counts;   /* the same: assignments */
    uint8_t *before;  /* [max_tokens, layers with experts, k]: of the first micro-batch of this step */
    uint8_t *after;   /* the same, after the update */
};

/* Takes room for gradients in `acts` where a loss asks for it. */
void balance_init(struct balance *balance, const struct loss_recipe *recipe, struct model *model,
                  struct activations *acts, int max_tokens, int max_contexts, int n_shards);
void balance_release(struct balance *balance);

/* ERR_USAGE for keys that the model has nothing for. */
enum err balance_check(const struct loss_recipe *recipe, const struct model_config *config);

/* ERR_STATE unless the completions of an iteration that was read back have experts of this model for each computed
 * token. */
enum err balance_check_replay(const struct iteration *it, const struct model_config *config);

void balance_clear(struct balance *balance); /* before a step */
/* After the policy's forward pass over a micro-batch, one of n of its minibatch: counts, and sets the gradients of the
 * losses. */
void balance_add(struct balance *balance, struct activations *acts, const struct train_batch *batch, int shard, int n);
/* The numbers of all shards, on every rank. */
enum err balance_gather(struct balance *balance, struct grad_shards *shards);
/* After the update: the first rows of the step's first micro-batch are routed again, router/changed/LAYER is the share
 * of them whose experts are others than those that the step took, be they chosen or replayed. Of rank 0, in the phase DEVICE_TRAINING. */
void balance_measure_change(struct balance *balance, struct activations *acts, const struct minibatch *minibatch,
                            struct metrics *metrics);
void balance_update_bias(const struct balance *balance);
/* aux_loss and router/seq_loss without their coefficients; and per layer router/load_max/LAYER (largest load / mean),
 * router/entropy/LAYER (mean over rows, nats) and router/unused/LAYER (experts that no row chose). Losses and entropies
 * are those of the first micro-batch of each shard. */
void balance_metrics(const struct balance *balance, struct metrics *metrics);

#endif

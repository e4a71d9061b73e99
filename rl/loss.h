/* rl/loss.h - running the objective of a minibatch (rl/objective.h) through the model: log-probabilities, losses,
 * gradients.
 *
 * While the weights are those that drew the samples, the rollout's log-probabilities, log-sum-exps and entropies are
 * used as they are: they are the bits that the trainer would compute. That is checked on one micro-batch of each
 * iteration.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_LOSS_H
#define RL_LOSS_H

#include "rl/balance.h"
#include "rl/objective.h"
#include "rl/grad_shards.h"

struct loss_options {
    const struct recipe *recipe;               /* as long as the loss */
    struct model *policy, *reference;          /* reference NULL when beta is 0 */
    int max_tokens, max_targets, max_contexts; /* rows, targets and contexts of a micro-batch at most */
    int max_length;                            /* positions */
    int n_shards, rank, n_ranks; /* rl/grad_shards.h; 0: one of one, and n_shards that of struct batch_options */
    struct dist *dist;
};

struct loss {
    struct loss_options options;
    double temperature;
    struct activations *acts;
    struct grad_shards shards;
    /* host, one per target of a micro-batch */
    float *logprob, *old, *lse, *entropy, *ref, *d_logprob, *d_entropy;
    float *other_logprob, *other_lse; /* scratch: what is computed to be compared, or not used */
    bool *uncertain;                  /* scratch */
    struct balance balance;           /* of a mixture's experts */
};

void loss_init(struct loss *loss, const struct loss_options *options);
void loss_release(struct loss *loss);

/* Computes the gradient of a minibatch of `it`, on every rank. `on_policy`: the weights are unchanged since the rollout; the
 * bits of the first micro-batch of each shard are then compared, and ERR_STATE is returned if they differ (bits_check: warn only says
 * so); ERR_NUMBERS if a log-probability is not finite. */
enum err loss_backward(struct loss *loss, const struct iteration *it, const struct minibatch *minibatch, bool on_policy,
                       struct loss_stats *stats);

/* ERR_NUMBERS, with the step, unless the log-probabilities that a loss was made of are finite. */
enum err loss_check_finite(int64_t step, bool is_finite);

/* Whether samples of advantage 0 must be packed too (struct batch_options): a KL or entropy term reaches them, bnpo
 * counts them in their micro-batch, or the quantile is taken of entropies that are computed. */
bool loss_needs_all(const struct recipe *recipe);

/* XXH3 of the log-probabilities, under the present weights, of the first micro-batch of a minibatch (0: it has
 * none). */
int64_t loss_bits(struct loss *loss, const struct minibatch *minibatch);
/* SFT: the gradient of the texts of a step, on every rank, from its shards: `add` adds that of one shard and returns the sum of
 * its losses. *sum: that of all. */
typedef double loss_add_shard(void *context, int shard);
enum err loss_backward_shards(struct loss *loss, loss_add_shard *add, void *context, double *sum);
/* SFT: adds the gradient of mean negative log-likelihood, each target weighing `weight`; returns the sum of the
 * losses. */
double loss_backward_likelihood(struct loss *loss, const struct train_batch *batch, double weight);

#endif

/* rl/objective.h - the number that a step minimises: from the log-probabilities of a minibatch's tokens to one loss.
 *
 * Losses of single tokens are in kernels/grpo_loss.h; here is how they become one number. All is as in TRL 1.16
 * (tests/golden/make_trl.py). With samples i of the minibatch, N of them, and o_i tokens each, the weight of a token is
 *
 *   dapo, cispo, vespo, reinforce   1 / T,  T the tokens of the rollout, divided among its steps (arXiv 2503.14476, eq. 8)
 *   grpo, gspo, sapo                1 / (N o_i)                       (arXiv 2402.03300, eq. 3)
 *   luspo                           1 / N                             (arXiv 2602.05261)
 *   bnpo                            1 / (tokens of the micro-batch * micro-batches)
 *   dr_grpo                         1 / (N max_completion_length)     (arXiv 2503.20783, section 3.2)
 *
 * and the entropy term is -entropy_coef times the mean entropy of the tokens. What counts in the denominators:
 *
 *   sample                            N      tokens
 *   in a flat group, or unjudged      yes    yes     (advantage 0; the KL and entropy terms reach it)
 *   truncated and masked              yes    no
 *
 * With top_entropy_quantile q below 1 the policy term and the entropy term are of the tokens alone whose entropy is
 * at or above the (1 - q)-quantile of all tokens (arXiv 2506.01939, section 5); the entropy term is then their mean.
 *
 * All but bnpo, whose definition it is, give the same gradient, up to rounding, however a minibatch is cut into
 * micro-batches. TRL takes the quantile, and the mean of the entropy term, over a micro-batch of each process; here
 * they are the minibatch's.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_OBJECTIVE_H
#define RL_OBJECTIVE_H

#include "rl/iteration.h"
#include "rl/recipe/recipe.h"

struct objective {
    const struct loss_recipe *recipe;
    int max_completion_length; /* that dr_grpo divides by */
    const struct iteration *it;
    const struct minibatch *minibatch;
    int64_t n_samples, n_tokens; /* of the minibatch */
    double min_entropy;          /* tokens below have neither policy nor entropy term */
    int64_t n_uncertain;         /* tokens of the minibatch that are not below */
};

/* Clip shares are of the minibatch's tokens, or at the sequence level of its samples, as TRL logs them. */
struct loss_stats {
    struct grpo_loss_sums sums; /* over the tokens that were computed */
    double loss, clip_low, clip_high;
    int64_t n_tokens; /* of the minibatch */
    int64_t bits_compared, bits_different;
    int64_t n_not_finite; /* log-probabilities of the policy or the reference that are NaN or infinite */
};

/* Of a micro-batch's targets. */
struct objective_targets {
    const float *logprob, *old, *ref, *entropy; /* ref NULL when beta is 0 */
    bool *uncertain;                            /* scratch */
    float *d_logprob, *d_entropy;               /* written: d loss / d logprob, d loss / d entropy */
};

/* The objective of a minibatch. entropies: of all its tokens, in any order, which is lost; NULL when
 * top_entropy_quantile is 1. */
struct objective objective_of(const struct recipe *recipe, const struct iteration *it,
                              const struct minibatch *minibatch, float *entropies);

/* Adds the share of a micro-batch to stats, which begins as zeroes. */
void objective_add(const struct objective *o, const struct micro_batch *mb, const struct objective_targets *targets,
                   struct loss_stats *stats);

/* stats[0] = the sum of n stats of parts of a minibatch, n a power of two, as a binary tree; the others are lost. */
void objective_sum(struct loss_stats *stats, int n);

#endif

/* rl/loss.h - the GRPO objective of a minibatch: log-probabilities, token losses, gradients.
 *
 * Token losses and their derivatives are in kernels/grpo_loss.h; here is how they become one number. With samples i of the
 * minibatch, o_i tokens each, the weight of a token is
 *
 *   dapo, cispo, reinforce   1 / sum of o_i                (arXiv 2503.14476, eq. 8)
 *   grpo, gspo, sapo         1 / (samples * o_i)           (arXiv 2402.03300, eq. 3)
 *   bnpo                     1 / (tokens of the micro-batch * micro-batches)
 *   dr_grpo                  1 / (samples * max_completion_length)   (arXiv 2503.20783, section 3.2)
 *
 * and the entropy term is -entropy_coef times the mean entropy of the tokens.
 *
 * While the weights are those that drew the samples, the rollout's log-probabilities, log-sum-exps and entropies are used as they
 * are: they are the bits that the trainer would compute. That is checked on one micro-batch of each iteration.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_LOSS_H
#define RL_LOSS_H

#include "rl/iteration.h"
#include "rl/recipe/recipe.h"

struct loss {
    struct loss_recipe recipe;
    double temperature;
    int max_completion_length;
    struct model *policy, *reference; /* reference NULL when beta is 0 */
    struct activations *acts;
    float *grads;                                                       /* device; added to */
    float *logprob, *old, *lse, *entropy, *ref, *d_logprob, *d_entropy; /* host, one a target of a micro-batch */
    bool *mask;
    int most_targets;
};

struct loss_stats {
    struct grpo_loss_sums sums; /* over the minibatch */
    double loss, entropy;       /* entropy: mean over tokens that were computed */
    int64_t n_tokens;           /* that had a gradient */
    int64_t bits_compared, bits_different;
};

/* Buffers for micro-batches of at most max_tokens rows and max_targets targets. */
void loss_init(struct loss *loss, const struct recipe *recipe, struct model *policy, struct model *reference,
               float *grads, int max_tokens, int max_targets, int max_contexts, int max_length);
void loss_release(struct loss *loss);

/* Adds the gradient of a minibatch. `on_policy`: the weights are unchanged since the rollout; `check`: compare bits on the first
 * micro-batch (on policy only). */
void loss_backward(struct loss *loss, const struct iteration *it, const struct minibatch *minibatch, bool on_policy,
                   bool check, struct loss_stats *stats);

/* SFT: adds the gradient of mean negative log-likelihood, each target weighing `weight`; returns the sum of the losses. */
double loss_backward_likelihood(struct loss *loss, const struct train_batch *batch, double weight);

#endif

/* kernels/grpo_loss.h - the policy-gradient losses of one completion and their gradient, in fp64 on the host.
 *
 * A completion brings T log-probabilities of the present policy and of the policy that drew it; the loss of token t is
 *
 *   w_t   = exp(logprob_t - old_t)                    token level (DeepSeekMath, arXiv 2402.03300, eq. 3)
 *         = exp(mean over t of (logprob_t - old_t))   sequence level (GSPO, arXiv 2507.18071, eq. 5)
 *   CLIP     -min(min(w, delta) A, clip(w, 1 - epsilon, 1 + epsilon_high) A)
 *   CISPO    -stopgrad(min(w, epsilon_high)) A logprob_t                              (arXiv 2506.13585, eq. 4)
 *   SAPO     -4 / tau sigmoid(tau (w - 1)) A,  tau by the sign of A                   (arXiv 2511.20347, eq. 5)
 *   VESPO    -stopgrad(phi) A logprob_t, phi = exp(lambda + k log W - lambda W), W = exp(sum_t (logprob_t - old_t)),
 *            k and lambda by the sign of A; sums are held within +-20, W above 1e-8 (arXiv 2602.10693, as in TRL 1.16)
 *   REINFORCE  -A logprob_t
 *   + beta KL_t   k1 = logprob - ref; k2 = k1^2 / 2; k3 = exp(-k1) + k1 - 1; unbiased w k3 (arXiv 2512.02556, eq. 7)
 *
 * and the loss of a batch is the sum of token losses times token weights; the aggregation (rl/loss.h) is in the weight.
 * Masked tokens (below) lose the policy term and keep the KL term, as in TRL.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_GRPO_LOSS_H
#define KERNELS_GRPO_LOSS_H

#include <stdbool.h>

enum surrogate { SURROGATE_CLIP, SURROGATE_CISPO, SURROGATE_SAPO, SURROGATE_VESPO, SURROGATE_REINFORCE };
enum kl_estimator { KL_K1, KL_K2, KL_K3, KL_K3_UNBIASED };

struct grpo_loss_options {
    enum surrogate surrogate;
    bool sequence_level;
    double epsilon, epsilon_high;
    double delta; /* upper bound of w in the unclipped branch; 0: none */
    double sapo_temperature_pos, sapo_temperature_neg;
    double vespo_k_pos, vespo_lambda_pos, vespo_k_neg, vespo_lambda_neg; /* pos: A >= 0 */
    double beta;
    enum kl_estimator kl_estimator;
    double off_policy_mask_threshold; /* negative advantage and mean(old - logprob) above it: no policy term; 0: off */
};

/* One completion. Arrays of n_tokens; ref may be NULL when beta is 0; mask NULL: all tokens count. */
struct grpo_loss_input {
    int n_tokens;
    double advantage;
    const float *logprob, *old, *ref;
    const bool *mask; /* tokens that have the policy term (top_entropy_quantile) */
    double weight;    /* of each token in the batch's loss */
};

/* Sums over the tokens of a completion; divide by counts to get metrics of TRL's names. */
struct grpo_loss_sums {
    double loss; /* weighted: the completion's share of the batch's loss */
    double kl;   /* of the estimator (k3 when beta is 0 and ref is given) */
    double ratio, ratio_max, ratio_min;
    int clipped_low, clipped_high; /* tokens whose ratio is beyond the bound that the sign of A puts; masked ones too */
    int n_tokens;
};

/* Writes d loss / d logprob_t to d_logprob [n_tokens]. */
struct grpo_loss_sums grpo_loss(const struct grpo_loss_options *options, const struct grpo_loss_input *input,
                                float *d_logprob);

#endif

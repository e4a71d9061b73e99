/* kernels/grpo_loss.c - each surrogate gives its value and its derivatives with respect to logprob (direct) and log w.
 *
 * At the sequence level log w is one number for all tokens, so its derivative is summed over them and shared out
 * equally.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/grpo_loss.h"

#include <math.h>

#include "base/err.h"

/* A token's loss and its derivatives. */
struct term {
    double value, d_logprob, d_log_w;
};

static struct term clip_term(const struct grpo_loss_options *o, double w, double advantage, bool *low, bool *high)
{
    double bounded = o->delta > 0 && w > o->delta ? o->delta : w;
    double clipped = w < 1 - o->epsilon ? 1 - o->epsilon : w > 1 + o->epsilon_high ? 1 + o->epsilon_high : w;
    *low = w < 1 - o->epsilon && advantage < 0;
    *high = w > 1 + o->epsilon_high && advantage > 0;
    if (clipped * advantage < bounded * advantage) {
        return (struct term){.value = -clipped * advantage, .d_log_w = clipped == w ? -w * advantage : 0};
    }
    return (struct term){.value = -bounded * advantage, .d_log_w = bounded == w ? -w * advantage : 0};
}

static double clamp(double x, double min, double max)
{
    return x < min ? min : x > max ? max : x;
}

static double vespo_phi(const struct grpo_loss_options *o, const struct grpo_loss_input *in)
{
    const double min = log(1e-8), max = 20;
    double sum = 0, k = in->advantage >= 0 ? o->vespo_k_pos : o->vespo_k_neg;
    double lambda = fmax(in->advantage >= 0 ? o->vespo_lambda_pos : o->vespo_lambda_neg, 1e-4);
    for (int t = 0; t < in->n_tokens; t++) {
        sum += clamp((double)in->logprob[t] - (double)in->old[t], -max, max);
    }
    double log_w = clamp(sum, min, max);
    double phi = exp(lambda + k * log_w - lambda * exp(log_w));
    return isfinite(phi) ? phi : 0;
}

/* phi: VESPO's weight of the completion. */
static struct term policy_term(const struct grpo_loss_options *o, double w, double phi, double advantage,
                               double logprob, bool *low, bool *high)
{
    *low = *high = false;
    switch (o->surrogate) {
    case SURROGATE_CLIP: return clip_term(o, w, advantage, low, high);
    case SURROGATE_CISPO: {
        double held = w > o->epsilon_high ? o->epsilon_high : w;
        *high = w > o->epsilon_high && advantage > 0;
        return (struct term){.value = -held * advantage * logprob, .d_logprob = -held * advantage};
    }
    case SURROGATE_SAPO: {
        double tau = advantage > 0 ? o->sapo_temperature_pos : o->sapo_temperature_neg;
        double s = 1 / (1 + exp(-tau * (w - 1)));
        return (struct term){.value = -4 / tau * s * advantage, .d_log_w = -4 * s * (1 - s) * advantage * w};
    }
    case SURROGATE_VESPO: return (struct term){.value = -phi * advantage * logprob, .d_logprob = -phi * advantage};
    case SURROGATE_REINFORCE: return (struct term){.value = -advantage * logprob, .d_logprob = -advantage};
    }
    BUG_ON(true);
}

static struct term kl_term(enum kl_estimator estimator, double logprob, double ref, double w)
{
    double k1 = logprob - ref, odds = exp(-k1), k3 = odds + k1 - 1;
    switch (estimator) {
    case KL_K1: return (struct term){.value = k1, .d_logprob = 1};
    case KL_K2: return (struct term){.value = 0.5 * k1 * k1, .d_logprob = k1};
    case KL_K3: return (struct term){.value = k3, .d_logprob = 1 - odds};
    case KL_K3_UNBIASED: return (struct term){.value = w * k3, .d_logprob = w * (1 - odds), .d_log_w = w * k3};
    }
    BUG_ON(true);
}

static double mean_log_ratio(const struct grpo_loss_input *in)
{
    double sum = 0;
    for (int t = 0; t < in->n_tokens; t++) {
        sum += (double)in->logprob[t] - (double)in->old[t];
    }
    return in->n_tokens ? sum / in->n_tokens : 0;
}

struct grpo_loss_sums grpo_loss(const struct grpo_loss_options *o, const struct grpo_loss_input *in, float *d_logprob)
{
    struct grpo_loss_sums sums = {.n_tokens = in->n_tokens, .ratio_min = INFINITY, .ratio_max = -INFINITY};
    double mean = mean_log_ratio(in), shared = 0; /* d loss / d log w, where log w is the sequence's */
    double phi = o->surrogate == SURROGATE_VESPO ? vespo_phi(o, in) : 0;
    bool off_policy = o->off_policy_mask_threshold > 0 && in->advantage < 0 && -mean > o->off_policy_mask_threshold;
    for (int t = 0; t < in->n_tokens; t++) {
        double logprob = in->logprob[t];
        double w = exp(o->sequence_level ? mean : logprob - (double)in->old[t]);
        bool low = false, high = false;
        struct term loss = policy_term(o, w, phi, in->advantage, logprob, &low, &high);
        if (off_policy || (in->mask && !in->mask[t])) {
            loss = (struct term){0};
        }
        if (in->ref) {
            struct term kl = kl_term(o->kl_estimator, logprob, in->ref[t], w);
            sums.kl += kl.value;
            loss.value += o->beta * kl.value;
            loss.d_logprob += o->beta * kl.d_logprob;
            loss.d_log_w += o->beta * kl.d_log_w;
        }
        sums.loss += in->weight * loss.value;
        sums.ratio += w;
        sums.ratio_min = fmin(sums.ratio_min, w);
        sums.ratio_max = fmax(sums.ratio_max, w);
        sums.clipped_low += low;
        sums.clipped_high += high;
        shared += loss.d_log_w;
        d_logprob[t] = (float)(in->weight * (loss.d_logprob + (o->sequence_level ? 0 : loss.d_log_w)));
    }
    for (int t = 0; o->sequence_level && t < in->n_tokens; t++) {
        d_logprob[t] += (float)(in->weight * shared / in->n_tokens);
    }
    return sums;
}

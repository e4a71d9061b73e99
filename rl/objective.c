/* rl/objective.c - weights of tokens by loss type, and the sums over micro-batches that the metrics are made of.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/objective.h"

#include <math.h>

/* Hoare's selection: the k-th smallest comes to its place, none that is greater is before it and none that is
 * smaller after. */
static float select_value(float *v, int64_t n, int64_t k)
{
    for (int64_t first = 0, last = n - 1; first < last;) {
        float pivot = v[first + (last - first) / 2];
        int64_t i = first, j = last;
        while (i <= j) {
            for (; v[i] < pivot; i++) {
            }
            for (; v[j] > pivot; j--) {
            }
            if (i <= j) {
                float held = v[i];
                v[i++] = v[j];
                v[j--] = held;
            }
        }
        first = k >= i ? i : first;
        last = k <= j ? j : last;
        if (k > j && k < i) {
            break;
        }
    }
    return v[k];
}

/* Computes the quantile as torch.quantile does, in single precision. */
static float quantile(float *values, int64_t n, double share)
{
    float at = (float)share * (float)(n - 1);
    int64_t k = (int64_t)at;
    float part = at - (float)k, below = select_value(values, n, k), above = k + 1 < n ? values[k + 1] : below;
    for (int64_t i = k + 2; i < n; i++) {
        above = fminf(above, values[i]);
    }
    float step = above - below;
    return part < 0.5f ? below + part * step : above - step * (1 - part);
}

struct objective objective_of(const struct recipe *recipe, const struct iteration *it,
                              const struct minibatch *minibatch, float *entropies)
{
    struct objective o = {
        .recipe = &recipe->loss,
        .max_completion_length = recipe_schedule_max(&recipe->rollout.max_completion_length),
        .it = it,
        .minibatch = minibatch,
        .n_samples = minibatch->n_samples,
        .n_tokens = minibatch->n_tokens,
        .min_entropy = -INFINITY,
        .n_uncertain = minibatch->n_tokens,
    };
    BUG_ON((recipe->loss.top_entropy_quantile < 1) != (entropies != NULL));
    if (entropies && minibatch->n_tokens > 0) {
        o.min_entropy = (double)quantile(entropies, minibatch->n_tokens, 1 - recipe->loss.top_entropy_quantile);
        o.n_uncertain = 0;
        for (int64_t i = 0; i < minibatch->n_tokens; i++) {
            o.n_uncertain += (double)entropies[i] >= o.min_entropy;
        }
    }
    return o;
}

/* Returns the weight of a token in a sample of n tokens. */
static double token_weight(const struct objective *o, const struct micro_batch *mb, int n)
{
    const struct minibatch *minibatch = o->minibatch;
    switch (o->recipe->loss_type) {
    case LOSS_DAPO:
    case LOSS_CISPO:
    case LOSS_VESPO:
    case LOSS_REINFORCE: return 1.0 / minibatch->mean_tokens;
    case LOSS_GRPO:
    case LOSS_GSPO:
    case LOSS_SAPO: return 1.0 / ((double)o->n_samples * n);
    case LOSS_LUSPO: return 1.0 / (double)o->n_samples;
    case LOSS_BNPO: return 1.0 / ((double)mb->batch.n_targets * minibatch->n_micro_batches);
    case LOSS_DR_GRPO: return 1.0 / ((double)o->n_samples * o->max_completion_length);
    }
    BUG_ON(true);
}

static void add_sums(struct grpo_loss_sums *to, const struct grpo_loss_sums *from)
{
    to->loss += from->loss;
    to->kl += from->kl;
    to->ratio += from->ratio;
    to->ratio_max = to->n_tokens ? fmax(to->ratio_max, from->ratio_max) : from->ratio_max;
    to->ratio_min = to->n_tokens ? fmin(to->ratio_min, from->ratio_min) : from->ratio_min;
    to->clipped_low += from->clipped_low;
    to->clipped_high += from->clipped_high;
    to->n_tokens += from->n_tokens;
}

/* Samples that are not computed have an advantage of 0 and are never clipped. */
static void add_clips(const struct objective *o, const struct grpo_loss_sums *sums, struct loss_stats *stats)
{
    if (o->recipe->policy.sequence_level) {
        stats->clip_low += (sums->clipped_low > 0) / (double)o->n_samples;
        stats->clip_high += (sums->clipped_high > 0) / (double)o->n_samples;
    } else {
        stats->clip_low += sums->clipped_low / (double)o->n_tokens;
        stats->clip_high += sums->clipped_high / (double)o->n_tokens;
    }
}

/* The n targets of one sample, from target i on. */
static void add_sample(const struct objective *o, const struct micro_batch *mb, const struct objective_targets *t,
                       int i, int n, struct loss_stats *stats)
{
    struct grpo_loss_input in = {
        .n_tokens = n,
        .advantage = o->it->samples[mb->sample[i]].advantage,
        .logprob = t->logprob + i,
        .old = t->old + i,
        .ref = t->ref ? t->ref + i : NULL,
        .mask = o->recipe->top_entropy_quantile < 1 ? t->uncertain + i : NULL,
        .weight = token_weight(o, mb, n),
    };
    struct grpo_loss_sums sums = grpo_loss(&o->recipe->policy, &in, t->d_logprob + i);
    add_sums(&stats->sums, &sums);
    add_clips(o, &sums, stats);
    stats->loss += sums.loss;
}

void objective_add(const struct objective *o, const struct micro_batch *mb, const struct objective_targets *targets,
                   struct loss_stats *stats)
{
    int n_targets = mb->batch.n_targets;
    double entropy_weight = o->n_uncertain ? o->recipe->entropy_coef / (double)o->n_uncertain : 0;
    for (int i = 0; i < n_targets; i++) {
        bool uncertain = (double)targets->entropy[i] >= o->min_entropy;
        targets->uncertain[i] = uncertain;
        targets->d_entropy[i] = uncertain ? (float)-entropy_weight : 0;
        stats->loss -= uncertain ? entropy_weight * (double)targets->entropy[i] : 0;
    }
    for (int i = 0, n; i < n_targets; i += n) { /* the targets of a sample are together */
        for (n = 1; i + n < n_targets && mb->sample[i + n] == mb->sample[i]; n++) {
        }
        add_sample(o, mb, targets, i, n, stats);
    }
    stats->n_tokens = o->n_tokens;
}

static void add_stats(struct loss_stats *to, const struct loss_stats *from)
{
    if (from->sums.n_tokens > 0) {
        add_sums(&to->sums, &from->sums);
    }
    to->loss += from->loss;
    to->clip_low += from->clip_low;
    to->clip_high += from->clip_high;
    to->n_tokens = from->n_tokens > to->n_tokens ? from->n_tokens : to->n_tokens; /* each has the minibatch's, or 0 */
    to->bits_compared += from->bits_compared;
    to->bits_different += from->bits_different;
    to->n_not_finite += from->n_not_finite;
}

void objective_sum(struct loss_stats *stats, int n)
{
    for (int distance = 1; distance < n; distance *= 2) {
        for (int i = 0; i + distance < n; i += 2 * distance) {
            add_stats(&stats[i], &stats[i + distance]);
        }
    }
}

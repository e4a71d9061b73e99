/* rl/loss.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/loss.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void loss_init(struct loss *loss, const struct recipe *recipe, struct model *policy, struct model *reference,
               float *grads, int max_tokens, int max_targets, int max_contexts, int max_length)
{
    *loss = (struct loss){
        .recipe = recipe->loss,
        .temperature = recipe->method == METHOD_SFT ? 1 : recipe->rollout.temperature,
        .policy = policy,
        .reference = reference,
        .grads = grads,
        .most_targets = max_targets,
        .acts = activations_new(policy, max_tokens, max_targets, max_contexts, max_length,
                                recipe->run.gradient_checkpointing),
    };
    float **arrays[] = {&loss->logprob, &loss->old,       &loss->lse,      &loss->entropy,
                        &loss->ref,     &loss->d_logprob, &loss->d_entropy};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        *arrays[i] = mem_zero((size_t)max_targets * sizeof(float));
    }
    loss->mask = mem_zero((size_t)max_targets * sizeof(bool));
}

void loss_release(struct loss *loss)
{
    if (loss->acts) {
        activations_free(loss->acts, loss->policy);
    }
    float *arrays[] = {loss->logprob, loss->old, loss->lse, loss->entropy, loss->ref, loss->d_logprob, loss->d_entropy};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        free(arrays[i]);
    }
    free(loss->mask);
    *loss = (struct loss){0};
}

/* What the rollout recorded for each target. */
static void gather_recorded(struct loss *loss, const struct iteration *it, const struct micro_batch *mb)
{
    for (int i = 0; i < mb->batch.n_targets; i++) {
        const struct completion *c = it->samples[mb->sample[i]].completion;
        loss->old[i] = c->logprob[mb->index[i]];
        loss->lse[i] = c->lse[mb->index[i]];
        loss->entropy[i] = c->entropy[mb->index[i]];
    }
}

static void count_bits(struct loss *loss, const struct micro_batch *mb, struct loss_stats *stats)
{
    int n = mb->batch.n_targets;
    /* logprob and ref are free here: the recomputed pair goes there */
    model_target_logprobs(loss->policy, &mb->batch, loss->acts, (float)(1 / loss->temperature), loss->logprob,
                          loss->ref, NULL);
    for (int i = 0; i < n; i++) {
        stats->bits_different += memcmp(&loss->logprob[i], &loss->old[i], sizeof(float)) != 0 ||
                                 memcmp(&loss->ref[i], &loss->lse[i], sizeof(float)) != 0;
    }
    stats->bits_compared += n;
}

static double token_weight(const struct loss *loss, const struct minibatch *minibatch, const struct micro_batch *mb,
                           int n_tokens)
{
    switch (loss->recipe.loss_type) {
    case LOSS_DAPO:
    case LOSS_CISPO:
    case LOSS_REINFORCE: return 1.0 / (double)minibatch->n_tokens;
    case LOSS_GRPO:
    case LOSS_GSPO:
    case LOSS_SAPO: return 1.0 / ((double)minibatch->n_samples * n_tokens);
    case LOSS_BNPO: return 1.0 / ((double)mb->batch.n_targets * minibatch->n_micro_batches);
    case LOSS_DR_GRPO: return 1.0 / ((double)minibatch->n_samples * loss->max_completion_length);
    }
    BUG_ON(true);
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The most uncertain share of the tokens keeps the policy term (arXiv 2506.01939, section 5). */
static void mask_by_entropy(struct loss *loss, int n)
{
    float *sorted = loss->d_entropy; /* free until the gradients are made */
    memcpy(sorted, loss->entropy, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    double at = (1 - loss->recipe.top_entropy_quantile) * (n - 1);
    int below = (int)at, above = below + 1 < n ? below + 1 : below;
    double threshold = (double)sorted[below] + (at - below) * ((double)sorted[above] - (double)sorted[below]);
    for (int i = 0; i < n; i++) {
        loss->mask[i] = (double)loss->entropy[i] >= threshold;
    }
}

static void add_sums(struct grpo_loss_sums *to, const struct grpo_loss_sums *from)
{
    to->loss += from->loss;
    to->kl += from->kl;
    to->ratio += from->ratio;
    to->ratio_most = to->n_tokens ? fmax(to->ratio_most, from->ratio_most) : from->ratio_most;
    to->ratio_least = to->n_tokens ? fmin(to->ratio_least, from->ratio_least) : from->ratio_least;
    to->clipped_low += from->clipped_low;
    to->clipped_high += from->clipped_high;
    to->n_tokens += from->n_tokens;
}

/* Losses sample by sample: the targets of a sample stand together. */
static void sample_losses(struct loss *loss, const struct iteration *it, const struct minibatch *minibatch,
                          const struct micro_batch *mb, struct loss_stats *stats)
{
    bool masked = loss->recipe.top_entropy_quantile < 1;
    for (int i = 0, n; i < mb->batch.n_targets; i += n) {
        for (n = 1; i + n < mb->batch.n_targets && mb->sample[i + n] == mb->sample[i]; n++) {
        }
        struct grpo_loss_sums sums = grpo_loss(&loss->recipe.policy,
                                               &(struct grpo_loss_input){
                                                   .n_tokens = n,
                                                   .advantage = it->samples[mb->sample[i]].advantage,
                                                   .logprob = loss->logprob + i,
                                                   .old = loss->old + i,
                                                   .ref = loss->reference ? loss->ref + i : NULL,
                                                   .mask = masked ? loss->mask + i : NULL,
                                                   .weight = token_weight(loss, minibatch, mb, n),
                                               },
                                               loss->d_logprob + i);
        add_sums(&stats->sums, &sums);
    }
}

static void micro_batch_backward(struct loss *loss, const struct iteration *it, const struct minibatch *minibatch,
                                 const struct micro_batch *mb, bool on_policy, bool check, struct loss_stats *stats)
{
    int n = mb->batch.n_targets;
    float inverse = (float)(1 / loss->temperature);
    BUG_ON(n > loss->most_targets);
    gather_recorded(loss, it, mb);
    if (loss->reference) {
        model_forward(loss->reference, &mb->batch, loss->acts);
        model_target_logprobs(loss->reference, &mb->batch, loss->acts, inverse, loss->d_logprob, loss->ref, NULL);
    }
    model_forward(loss->policy, &mb->batch, loss->acts);
    if (on_policy && check) {
        count_bits(loss, mb, stats);
    }
    if (on_policy) {
        memcpy(loss->logprob, loss->old, (size_t)n * sizeof(float));
    } else {
        model_target_logprobs(loss->policy, &mb->batch, loss->acts, inverse, loss->logprob, loss->lse, loss->entropy);
    }
    if (loss->reference) { /* d_logprob held the reference's log-probabilities until now */
        memcpy(loss->ref, loss->d_logprob, (size_t)n * sizeof(float));
    }
    if (loss->recipe.top_entropy_quantile < 1) {
        mask_by_entropy(loss, n);
    }
    sample_losses(loss, it, minibatch, mb, stats);
    double entropy_weight = loss->recipe.entropy_coef / (double)minibatch->n_tokens;
    for (int i = 0; i < n; i++) {
        stats->entropy += (double)loss->entropy[i];
        stats->loss -= entropy_weight * (double)loss->entropy[i];
        loss->d_entropy[i] = (float)-entropy_weight;
    }
    model_backward(loss->policy, &mb->batch, loss->acts, inverse, loss->lse, loss->entropy, loss->d_logprob,
                   entropy_weight != 0 ? loss->d_entropy : NULL, loss->grads);
}

void loss_backward(struct loss *loss, const struct iteration *it, const struct minibatch *minibatch, bool on_policy,
                   bool check, struct loss_stats *stats)
{
    *stats = (struct loss_stats){0};
    for (int i = 0; i < minibatch->n_micro_batches; i++) {
        micro_batch_backward(loss, it, minibatch, &minibatch->micro_batches[i], on_policy, check && i == 0, stats);
    }
    stats->n_tokens = stats->sums.n_tokens;
    stats->loss += stats->sums.loss;
    stats->entropy = stats->n_tokens ? stats->entropy / (double)stats->n_tokens : 0;
}

double loss_backward_likelihood(struct loss *loss, const struct train_batch *batch, double weight)
{
    BUG_ON(batch->n_targets > loss->most_targets);
    model_forward(loss->policy, batch, loss->acts);
    model_target_logprobs(loss->policy, batch, loss->acts, 1.0f, loss->logprob, loss->lse, NULL);
    double sum = 0;
    for (int i = 0; i < batch->n_targets; i++) {
        sum -= (double)loss->logprob[i];
        loss->d_logprob[i] = (float)-weight;
    }
    model_backward(loss->policy, batch, loss->acts, 1.0f, loss->lse, NULL, loss->d_logprob, NULL, loss->grads);
    return sum;
}

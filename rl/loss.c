/* rl/loss.c - per micro-batch: forward pass, log-probabilities, objective, and the backward pass from its gradients.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/loss.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/log.h"
#include "base/num.h"
#include "model/finite.h"
#include "rl/method.h"
#include "rl/optim.h"

void loss_init(struct loss *loss, const struct loss_options *o)
{
    *loss = (struct loss){
        .options = *o,
        .temperature = method_of(o->recipe)->temperature(o->recipe),
        .acts = activations_new(o->policy, o->max_tokens, o->max_targets, o->max_contexts, o->max_length,
                                o->recipe->run.gradient_checkpointing),
    };
    grad_shards_init(&loss->shards, o->policy, max_int(o->n_shards, max_int(o->n_ranks, 1)), o->rank,
                     max_int(o->n_ranks, 1), o->dist);
    float **arrays[] = {&loss->logprob,   &loss->old,       &loss->lse,           &loss->entropy,  &loss->ref,
                        &loss->d_logprob, &loss->d_entropy, &loss->other_logprob, &loss->other_lse};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        *arrays[i] = mem_zero((size_t)o->max_targets * sizeof(float));
    }
    loss->uncertain = mem_zero((size_t)o->max_targets * sizeof(bool));
    balance_init(&loss->balance, &o->recipe->loss, o->policy, loss->acts, o->max_tokens, o->max_contexts,
                 loss->shards.n);
}

void loss_release(struct loss *loss)
{
    if (loss->acts) {
        activations_free(loss->acts, loss->options.policy);
        grad_shards_release(&loss->shards);
    }
    float *arrays[] = {loss->logprob,   loss->old,       loss->lse,           loss->entropy,  loss->ref,
                       loss->d_logprob, loss->d_entropy, loss->other_logprob, loss->other_lse};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        free(arrays[i]);
    }
    free(loss->uncertain);
    balance_release(&loss->balance);
    *loss = (struct loss){0};
}

bool loss_needs_all(const struct recipe *recipe)
{
    const struct loss_recipe *r = &recipe->loss;
    bool off_policy = r->num_iterations * r->steps_per_generation > 1;
    return r->policy.beta != 0 || r->entropy_coef != 0 || r->loss_type == LOSS_BNPO ||
           (r->top_entropy_quantile < 1 && off_policy);
}

/* ---- what the targets are measured by ---- */

static void logprobs_of(struct loss *loss, struct model *model, const struct train_batch *batch, float *logprob,
                        float *lse, float *entropy)
{
    model_target_logprobs(model, batch, loss->acts, (float)(1 / loss->temperature), logprob, lse, entropy);
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
    logprobs_of(loss, loss->options.policy, &mb->batch, loss->other_logprob, loss->other_lse, NULL);
    for (int i = 0; i < mb->batch.n_targets; i++) {
        stats->bits_different += memcmp(&loss->other_logprob[i], &loss->old[i], sizeof(float)) != 0 ||
                                 memcmp(&loss->other_lse[i], &loss->lse[i], sizeof(float)) != 0;
    }
    stats->bits_compared += mb->batch.n_targets;
}

/* Those that this rank's micro-batches have under the present weights, which the rollout's are not. */
static void compute_entropies(struct loss *loss, const struct minibatch *minibatch, struct strbuf *out)
{
    const struct grad_shards *shards = &loss->shards;
    for (int i = minibatch->shards[shards->first]; i < minibatch->shards[shards->first + shards->n_own]; i++) {
        const struct train_batch *batch = &minibatch->micro_batches[i].batch;
        model_forward(loss->options.policy, batch, loss->acts);
        logprobs_of(loss, loss->options.policy, batch, loss->other_logprob, loss->other_lse, loss->entropy);
        strbuf_add(out, loss->entropy, (size_t)batch->n_targets * sizeof(float));
    }
}

/* Entropies of all tokens of a minibatch, for the quantile; *out NULL if none is taken. The caller frees them. */
static enum err minibatch_entropies(struct loss *loss, const struct iteration *it, const struct minibatch *minibatch,
                                    bool on_policy, float **out)
{
    struct strbuf own = STRBUF_INIT;
    struct arena scratch = ARENA_INIT;
    int n_ranks = dist_ranks(loss->options.dist);
    struct str *all = ARENA_NEW(&scratch, struct str, n_ranks);
    size_t n = 0;
    *out = NULL;
    if (loss->options.recipe->loss.top_entropy_quantile >= 1) {
        arena_release(&scratch);
        return ERR_NONE;
    }
    enum err result = ERR_NONE;
    if (on_policy) {
        for (int i = 0; i < minibatch->n_unmasked; i++) {
            const struct completion *c = it->samples[minibatch->samples[i]].completion;
            strbuf_add(&own, c->entropy, (size_t)c->n_tokens * sizeof(float));
        }
        all[0] = strbuf_view(&own);
        n_ranks = 1;
    } else {
        compute_entropies(loss, minibatch, &own);
        result = dist_gather(loss->options.dist, strbuf_view(&own), &scratch, all);
    }
    char *bytes = mem_alloc((size_t)(minibatch->n_tokens + 1) * sizeof(float));
    for (int r = 0; r < n_ranks && result == ERR_NONE; r++) {
        BUG_ON(n + all[r].length > (size_t)minibatch->n_tokens * sizeof(float));
        memcpy(bytes + n, all[r].length ? all[r].data : "", all[r].length);
        n += all[r].length;
    }
    BUG_ON(result == ERR_NONE && n != (size_t)minibatch->n_tokens * sizeof(float)); /* off policy all are packed */
    *out = (float *)(void *)bytes;
    strbuf_release(&own);
    arena_release(&scratch);
    return result;
}

/* ---- the gradient ---- */

static void micro_batch_backward(struct loss *loss, const struct objective *objective, int shard,
                                 const struct micro_batch *mb, bool on_policy, bool check, struct loss_stats *stats)
{
    const struct loss_options *o = &loss->options;
    BUG_ON(mb->batch.n_targets > o->max_targets);
    gather_recorded(loss, objective->it, mb);
    struct train_batch chosen = mb->batch;
    chosen.experts = NULL; /* replay is for steps off policy; the reference chooses for itself */
    if (o->reference) {
        model_forward(o->reference, &chosen, loss->acts);
        logprobs_of(loss, o->reference, &mb->batch, loss->ref, loss->other_lse, NULL);
    }
    model_forward(o->policy, on_policy ? &chosen : &mb->batch, loss->acts);
    balance_add(&loss->balance, loss->acts, &mb->batch, shard, objective->minibatch->n_micro_batches);
    if (check) {
        count_bits(loss, mb, stats);
    }
    if (on_policy) {
        memcpy(loss->logprob, loss->old, (size_t)mb->batch.n_targets * sizeof(float));
    } else {
        logprobs_of(loss, o->policy, &mb->batch, loss->logprob, loss->lse, loss->entropy);
    }
    stats->n_not_finite += (int64_t)not_finite_count(loss->logprob, DTYPE_F32, (uint64_t)mb->batch.n_targets);
    if (o->reference) {
        stats->n_not_finite += (int64_t)not_finite_count(loss->ref, DTYPE_F32, (uint64_t)mb->batch.n_targets);
    }
    objective_add(objective, mb,
                  &(struct objective_targets){.logprob = loss->logprob,
                                              .old = loss->old,
                                              .ref = o->reference ? loss->ref : NULL,
                                              .entropy = loss->entropy,
                                              .uncertain = loss->uncertain,
                                              .d_logprob = loss->d_logprob,
                                              .d_entropy = loss->d_entropy},
                  stats);
    model_backward(o->policy, &mb->batch, loss->acts, (float)(1 / loss->temperature), loss->lse, loss->entropy,
                   loss->d_logprob, o->recipe->loss.entropy_coef != 0 ? loss->d_entropy : NULL);
}

/* The promise of the program (kernels/README.md): the log-probabilities that were sampled with are those that are
 * trained on. */
static enum err check_bits(const struct loss *loss, int64_t step, const struct loss_stats *stats)
{
    if (stats->bits_different == 0) {
        return ERR_NONE;
    }
    if (loss->options.recipe->run.bits_check == BITS_CHECK_WARN) {
        log_warning("step %lld: %lld of %lld log-probabilities differ from the rollout's", (long long)step,
                    (long long)stats->bits_different, (long long)stats->bits_compared);
        return ERR_NONE;
    }
    return err_set(ERR_STATE,
                   "step %lld: %lld of %lld log-probabilities differ from the rollout's; this must not happen "
                   "(bits_check: warn continues regardless)",
                   (long long)step, (long long)stats->bits_different, (long long)stats->bits_compared);
}

enum err loss_check_finite(int64_t step, bool is_finite)
{
    return is_finite
               ? ERR_NONE
               : err_set(ERR_NUMBERS,
                         "step %lld: log-probabilities of the training pass are not finite, so the weights or the "
                         "activations are broken (not a number, or too large); the checkpoints are as they were; "
                         "resume from the last one with a smaller learning_rate",
                         (long long)step);
}

/* The gradient of one shard, from zero, into the tree; what it measured to `stats`. */
static enum err shard_backward(struct loss *loss, const struct objective *objective, int i, bool on_policy,
                               struct loss_stats *stats)
{
    const struct model *policy = loss->options.policy;
    const struct minibatch *minibatch = objective->minibatch;
    int shard = loss->shards.first + i, first = minibatch->shards[shard];
    optim_zero_grads(policy);
    for (int k = first; k < minibatch->shards[shard + 1]; k++) {
        TRY(dist_check(loss->options.dist));
        micro_batch_backward(loss, objective, shard, &minibatch->micro_batches[k], on_policy, on_policy && k == first,
                             stats);
    }
    grad_shards_add(&loss->shards, i);
    return ERR_NONE;
}

/* The gradients of all shards; `each` [n_shards]: what they measured. */
static enum err all_backward(struct loss *loss, const struct objective *objective, bool on_policy,
                             struct loss_stats *each)
{
    struct grad_shards *shards = &loss->shards;
    for (int i = 0; i < shards->n_own; i++) {
        TRY(shard_backward(loss, objective, i, on_policy, &each[shards->first + i]));
    }
    TRY(grad_shards_gather(shards, each, sizeof *each));
    TRY(balance_gather(&loss->balance, shards));
    return grad_shards_sum(shards);
}

enum err loss_backward(struct loss *loss, const struct iteration *it, const struct minibatch *minibatch, bool on_policy,
                       struct loss_stats *stats)
{
    float *entropies = NULL;
    struct loss_stats *each = mem_zero((size_t)loss->shards.n * sizeof *each);
    device_use(loss->options.policy->device, DEVICE_TRAINING);
    balance_clear(&loss->balance);
    enum err result = minibatch_entropies(loss, it, minibatch, on_policy, &entropies);
    if (result == ERR_NONE) {
        struct objective objective = objective_of(loss->options.recipe, it, minibatch, entropies);
        result = all_backward(loss, &objective, on_policy, each);
    }
    objective_sum(each, loss->shards.n);
    *stats = each[0];
    free(entropies);
    free(each);
    TRY(result);
    int64_t step = it->first_step + (minibatch - it->minibatches);
    TRY(check_bits(loss, step, stats));
    return loss_check_finite(step, stats->n_not_finite == 0);
}

int64_t loss_bits(struct loss *loss, const struct minibatch *minibatch)
{
    if (minibatch->n_micro_batches == 0) {
        return 0;
    }
    const struct train_batch *batch = &minibatch->micro_batches[0].batch;
    struct model *policy = loss->options.policy;
    BUG_ON(batch->n_targets > loss->options.max_targets);
    device_use(policy->device, DEVICE_TRAINING);
    model_forward(policy, batch, loss->acts);
    model_target_logprobs(policy, batch, loss->acts, (float)(1 / loss->temperature), loss->logprob, loss->lse, NULL);
    return (int64_t)XXH3_64bits(loss->logprob, (size_t)batch->n_targets * sizeof *loss->logprob);
}

double loss_backward_likelihood(struct loss *loss, const struct train_batch *batch, double weight)
{
    BUG_ON(batch->n_targets > loss->options.max_targets);
    model_forward(loss->options.policy, batch, loss->acts);
    model_target_logprobs(loss->options.policy, batch, loss->acts, 1.0f, loss->logprob, loss->lse, NULL);
    double sum = 0;
    for (int i = 0; i < batch->n_targets; i++) {
        sum -= (double)loss->logprob[i];
        loss->d_logprob[i] = (float)-weight;
    }
    model_backward(loss->options.policy, batch, loss->acts, 1.0f, loss->lse, NULL, loss->d_logprob, NULL);
    return sum;
}

enum err loss_backward_shards(struct loss *loss, loss_add_shard *add, void *context, double *sum)
{
    struct grad_shards *shards = &loss->shards;
    double sums[GRAD_SHARDS_MAX];
    for (int i = 0; i < shards->n_own; i++) {
        TRY(dist_check(loss->options.dist));
        optim_zero_grads(loss->options.policy);
        sums[shards->first + i] = add(context, shards->first + i);
        grad_shards_add(shards, i);
    }
    TRY(grad_shards_gather(shards, sums, sizeof *sums));
    for (int distance = 1; distance < shards->n; distance *= 2) {
        for (int i = 0; i + distance < shards->n; i += 2 * distance) {
            sums[i] += sums[i + distance];
        }
    }
    *sum = sums[0];
    return grad_shards_sum(shards);
}

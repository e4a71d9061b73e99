/* rl/refill.c - after a rollout is judged: are the judges alive, and which groups teach nothing?
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "rl/sample.h"
#include "rl/score.h"
#include "rl/train_internal.h"

#define FAILING_ROLLOUTS 3
#define FEW_PROMPTS      3 /* of which all may be rows that a reward cannot read */

/* Without this check a run whose judge has died would train on nothing, unnoticed. */
static enum err check_judges(struct train *t, struct iteration *it)
{
    const char *why;
    double rate = score_error_rate(t->rewards, it, &why);
    t->n_failing = rate > t->recipe->reward.max_error_rate ? t->n_failing + 1 : 0;
    if (rate == 1 && t->n_failing > 0 && it->n_prompts > FEW_PROMPTS) {
        return err_set(ERR_STATE,
                       "step %lld: rewards failed on every completion; the last said: %s; mend it and run the same "
                       "command again",
                       (long long)t->state.step + 1, why);
    }
    if (t->n_failing < FAILING_ROLLOUTS) {
        return ERR_NONE;
    }
    return err_set(ERR_STATE,
                   "step %lld: in %d rollouts in a row rewards failed on more than %g of the completions, now on %g; "
                   "the last said: %s; mend it and run the same command again, or raise max_error_rate",
                   (long long)t->state.step + 1, FAILING_ROLLOUTS, t->recipe->reward.max_error_rate, rate, why);
}

/* ---- dynamic sampling (DAPO, arXiv 2503.14476, section 3.2) ---- */

static int flat_groups(const struct train *t, const struct iteration *it, int *flat)
{
    int n = 0;
    for (int p = 0; p < it->n_prompts; p++) {
        if (advantage_is_flat(&t->recipe->advantage, &it->samples[p * it->G], it->G)) {
            flat[n++] = p;
        }
    }
    return n;
}

/* Keeps what was drawn, for the metrics. The prompts of replaced groups are gone, so these samples name none. */
static void add_sampled(struct iteration *it, const struct iteration *more)
{
    struct sample *all = ARENA_NEW(&it->arena, struct sample, it->n_sampled + more->n_samples);
    memcpy(all, it->sampled, (size_t)it->n_sampled * sizeof *all);
    memcpy(all + it->n_sampled, more->samples, (size_t)more->n_samples * sizeof *all);
    it->sampled = all;
    it->n_sampled += more->n_samples;
    for (int i = 0; i < it->n_sampled; i++) {
        all[i].prompt = NULL;
    }
    it->n_rounds++;
    it->n_replaced += more->n_prompts;
    it->sampled_tokens += more->sampled_tokens;
    it->seconds_rollout += more->seconds_rollout;
    it->seconds_reward += more->seconds_reward;
}

static void replace_groups(struct iteration *it, const int *flat, const struct iteration *more)
{
    for (int i = 0; i < more->n_prompts; i++) {
        json_decref(it->prompts[flat[i]].fields);
        it->prompts[flat[i]] = more->prompts[i];
        it->groups[flat[i]] = more->groups[i];
        for (int s = 0; s < it->G; s++) {
            struct sample *sample = &it->samples[flat[i] * it->G + s];
            *sample = more->samples[i * it->G + s];
            sample->prompt = &it->prompts[flat[i]];
        }
    }
}

/* Samples and judges groups for n other prompts. */
static enum err draw_more(struct train *t, struct iteration *more)
{
    TRY(dataset_next(t->dataset, more));
    TRY(sample_groups(t->rollout, more));
    TRY(score_groups(t->rewards, more));
    return check_judges(t, more);
}

static enum err replace_flat(struct train *t, struct iteration *it, int round, const int *flat, int n_flat)
{
    struct iteration more = {.arena = it->arena,
                             .n_prompts = n_flat,
                             .G = it->G,
                             .first_step = it->first_step,
                             .max_tokens = it->max_tokens,
                             .temperature = it->temperature,
                             .dist = it->dist,
                             .progress = it->progress,
                             .progress_context = it->progress_context};
    more.first_sequence = it->first_sequence + (uint64_t)round * (uint64_t)(it->n_prompts * it->G);
    enum err result = draw_more(t, &more);
    it->arena = more.arena;
    for (int i = 0; result != ERR_NONE && more.prompts && i < n_flat; i++) {
        json_decref(more.prompts[i].fields);
    }
    TRY(result);
    add_sampled(it, &more);
    replace_groups(it, flat, &more);
    return ERR_NONE;
}

enum err refill_groups(struct train *t, struct iteration *it)
{
    it->sampled = it->samples;
    it->n_sampled = it->n_samples;
    it->n_rounds = 1;
    TRY(check_judges(t, it));
    int rounds = t->recipe->reward.dynamic_sampling ? t->recipe->reward.dynamic_sampling_max_rounds : 1;
    for (int round = 1; round < rounds; round++) {
        int *flat = ARENA_NEW(&it->arena, int, it->n_prompts), n_flat = flat_groups(t, it, flat);
        if (n_flat == 0) {
            break;
        }
        TRY(replace_flat(t, it, round, flat, n_flat));
    }
    return ERR_NONE;
}

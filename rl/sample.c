/* rl/sample.c - hands this rank's prompts of an iteration to the rollout in one batch, and the groups to all ranks.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/sample.h"

#include "base/clock.h"
#include "rl/dist.h"
#include "rl/exchange.h"

/* Draws the groups of this rank's prompts. */
static enum err sample_own(struct rollout *rollout, struct iteration *it)
{
    int n = exchange_own(it);
    struct rollout_prompt *prompts = ARENA_NEW(&it->arena, struct rollout_prompt, n);
    struct group *groups = ARENA_NEW(&it->arena, struct group, n);
    for (int i = 0; i < n; i++) {
        int p = exchange_prompt(it, i);
        prompts[i] = (struct rollout_prompt){.tokens = it->prompts[p].tokens,
                                             .n_tokens = it->prompts[p].n_tokens,
                                             .n_samples = it->G,
                                             .max_tokens = it->max_tokens,
                                             .sequence = it->first_sequence + (uint64_t)p * (uint64_t)it->G};
    }
    rollout_set_temperature(rollout, it->temperature);
    TRY(rollout_run(rollout, prompts, n, &it->arena, groups, it->progress, it->progress_context));
    for (int i = 0; i < n; i++) {
        it->groups[exchange_prompt(it, i)] = groups[i];
    }
    return ERR_NONE;
}

enum err sample_groups(struct rollout *rollout, struct iteration *it)
{
    double start = clock_seconds();
    it->groups = ARENA_NEW(&it->arena, struct group, it->n_prompts);
    enum err result = sample_own(rollout, it);
    TRY(dist_check(it->dist)); /* why the rollout was left */
    TRY(result);
    TRY(exchange_groups(it));
    for (int i = 0; i < it->n_prompts * it->G; i++) {
        it->sampled_tokens += it->groups[i / it->G].completions[i % it->G].n_tokens;
    }
    it->seconds_rollout += clock_seconds() - start;
    return ERR_NONE;
}

/* rl/sample.c - hands the prompts of an iteration to the rollout in one batch.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/sample.h"

#include "base/clock.h"

enum err sample_groups(struct rollout *rollout, struct iteration *it)
{
    double start = clock_seconds();
    struct rollout_prompt *prompts = ARENA_NEW(&it->arena, struct rollout_prompt, it->n_prompts);
    it->groups = ARENA_NEW(&it->arena, struct group, it->n_prompts);
    for (int p = 0; p < it->n_prompts; p++) {
        prompts[p] = (struct rollout_prompt){.tokens = it->prompts[p].tokens,
                                             .n_tokens = it->prompts[p].n_tokens,
                                             .n_samples = it->G,
                                             .max_tokens = it->max_tokens,
                                             .sequence = it->first_sequence + (uint64_t)p * (uint64_t)it->G};
    }
    rollout_set_temperature(rollout, it->temperature);
    TRY(rollout_run(rollout, prompts, it->n_prompts, &it->arena, it->groups, it->progress, it->progress_context));
    it->sampled_tokens += rollout_stats(rollout)->completion_tokens;
    it->seconds_rollout += clock_seconds() - start;
    return ERR_NONE;
}

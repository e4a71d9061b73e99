/* rl/iteration.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/iteration.h"

void iteration_clear(struct iteration *it)
{
    for (int p = 0; p < it->n_prompts && it->prompts; p++) {
        json_decref(it->prompts[p].fields);
    }
    struct arena arena = it->arena;
    arena_reset(&arena);
    *it = (struct iteration){.arena = arena};
}

void iteration_release(struct iteration *it)
{
    iteration_clear(it);
    arena_release(&it->arena);
}

enum err rollout_groups(struct rollout *rollout, struct iteration *it, int max_tokens, rollout_progress *progress,
                        void *context)
{
    struct rollout_prompt *prompts = ARENA_NEW(&it->arena, struct rollout_prompt, it->n_prompts);
    it->groups = ARENA_NEW(&it->arena, struct group, it->n_prompts);
    for (int p = 0; p < it->n_prompts; p++) {
        prompts[p] = (struct rollout_prompt){.tokens = it->prompts[p].tokens,
                                             .n_tokens = it->prompts[p].n_tokens,
                                             .n_samples = it->G,
                                             .max_tokens = max_tokens,
                                             .sequence = it->first_sequence + (uint64_t)p * (uint64_t)it->G};
    }
    return rollout_run(rollout, prompts, it->n_prompts, &it->arena, it->groups, progress, context);
}

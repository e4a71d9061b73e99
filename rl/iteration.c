/* rl/iteration.c - its memory.
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

/* rl/exchange.h - what ranks hand each other of an iteration, so that each has all of it (rl/dist.h).
 *
 * Prompt p is the work of rank p mod the number of ranks. Results are in the order of the prompts, whoever drew them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_EXCHANGE_H
#define RL_EXCHANGE_H

#include "rl/iteration.h"

/* How many of the n_prompts are this rank's; the i-th of them. */
int exchange_own(const struct iteration *it);
int exchange_prompt(const struct iteration *it, int i);

/* Fills it->groups of the other ranks' prompts. */
enum err exchange_groups(struct iteration *it);
/* Fills the judgements of the other ranks' samples, of n_parts rewards each. */
enum err exchange_judgements(struct iteration *it, int n_parts);
/* Fills prompts (without fields), groups and samples (without judgements) on all ranks with those of rank 0. */
enum err exchange_rollout(struct iteration *it);

#endif

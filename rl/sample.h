/* rl/sample.h - G completions for each prompt of an iteration.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_SAMPLE_H
#define RL_SAMPLE_H

#include "rl/iteration.h"

/* Draws it->groups: G completions of at most max_tokens for each prompt, at the iteration's temperature. ERR_STOPPED if
 * it->progress said so. */
enum err sample_groups(struct rollout *rollout, struct iteration *it);

#endif

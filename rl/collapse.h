/* rl/collapse.h - a policy that learns nothing any more is announced.
 *
 * When in every group all rewards are equal, each advantage is 0, and so is the gradient of the policy. One such
 * rollout is bad luck; COLLAPSE_ROLLOUTS in a row are a collapse, or, when there was no other since the run was
 * started, a reward that cannot distinguish completions. A run that ends before that says so at its last rollout.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_COLLAPSE_H
#define RL_COLLAPSE_H

#include "rl/advantage.h"

#define COLLAPSE_ROLLOUTS 5

/* Zeroed when a run is started. */
struct collapse {
    int n_flat;      /* rollouts in a row whose groups were all flat */
    bool had_signal; /* some rollout before had a group that was not */
    char text[512];
};

/* Counts a rollout's statistics. Returns the sentence to print (in c->text), once per onset; else NULL. */
const char *collapse_watch(struct collapse *c, const struct advantage_stats *stats, bool last_rollout);

#endif

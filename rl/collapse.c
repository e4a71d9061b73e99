/* rl/collapse.c - counts flat rollouts in a row, and words the sentence for each onset.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/collapse.h"

#include <stdio.h>

const char *collapse_watch(struct collapse *c, const struct advantage_stats *stats, bool last_rollout)
{
    if (stats->n_flat < stats->n_groups) {
        c->n_flat = 0;
        c->had_signal = true;
        return NULL;
    }
    bool ends_early = last_rollout && !c->had_signal && c->n_flat + 1 < COLLAPSE_ROLLOUTS;
    if (++c->n_flat != COLLAPSE_ROLLOUTS && !ends_early) {
        return NULL;
    }
    if (c->had_signal) {
        snprintf(
            c->text, sizeof c->text,
            "in %d rollouts in a row all rewards of a prompt were equal (mean %g): nothing is learnt any more. If "
            "completions "
            "have become alike, the policy has collapsed: go back to an earlier checkpoint with a lower learning_rate",
            c->n_flat, stats->reward_mean);
    } else {
        snprintf(c->text, sizeof c->text,
                 "in every rollout since the start (%d) all rewards of a prompt were equal (mean %g): nothing is "
                 "learnt. See whether "
                 "reward_funcs fit the data (run.db has each verdict), and whether the problems are too hard or too "
                 "easy for the model",
                 c->n_flat, stats->reward_mean);
    }
    return c->text;
}

/* rl/collapse.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/collapse.h"

#include <stdio.h>

const char *collapse_watch(struct collapse *c, const struct advantage_stats *stats)
{
    if (stats->n_flat < stats->n_groups) {
        c->n_flat = 0;
        c->had_signal = true;
        return NULL;
    }
    if (++c->n_flat != COLLAPSE_ROLLOUTS) {
        return NULL;
    }
    if (c->had_signal) {
        snprintf(
            c->text, sizeof c->text,
            "in %d rollouts in a row all rewards of a prompt were equal (mean %g): nothing is learnt any more. If "
            "completions "
            "have become alike, the policy has collapsed: go back to an earlier checkpoint with a lower learning_rate",
            COLLAPSE_ROLLOUTS, stats->reward_mean);
    } else {
        snprintf(
            c->text, sizeof c->text,
            "in all %d rollouts so far all rewards of a prompt were equal (mean %g): nothing is learnt. See whether "
            "reward_funcs "
            "fit the data (run.db has each verdict), and whether the problems are too hard or too easy for the model",
            COLLAPSE_ROLLOUTS, stats->reward_mean);
    }
    return c->text;
}

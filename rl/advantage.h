/* rl/advantage.h - how much better than its peers a completion was.
 *
 *   A_i = (r_i - baseline) / scale      (DeepSeekMath, arXiv 2402.03300, section 4.1.2)
 *
 *   baseline  mean of the group; or, leave-one-out, the mean of the others (RLOO, arXiv 2402.14740, eq. 5); or none
 *   scale     group: the group's standard deviation + 1e-4; batch: the deviation of all rewards + 1e-4
 *             (arXiv 2508.08221); none: 1 (Dr. GRPO, arXiv 2503.20783)
 *
 * where r_i is the weighted sum of the rewards. With AGGREGATE_NORMALIZED each reward k is scaled by itself within
 * its group first, and the sum within the batch (GDPO, arXiv 2601.05242):
 *
 *   s_i = sum over k of w_k (r_ik - mean_k of the group) / (std_k of the group + 1e-4),   A_i = (s_i - mean) / (std + 1e-4)
 *
 * Deviations have n - 1 in the denominator. All is as in TRL 1.16 (tests/golden/make_trl.py): samples that no reward
 * judged (dropped) count nowhere and get advantage 0; truncated ones count, masked or not. A group whose rewards are
 * all equal teaches nothing: its advantages are exactly 0.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_ADVANTAGE_H
#define RL_ADVANTAGE_H

#include "rl/iteration.h"

enum advantage_baseline { BASELINE_GROUP, BASELINE_LEAVE_ONE_OUT, BASELINE_NONE };
enum advantage_scale { SCALE_GROUP, SCALE_BATCH, SCALE_NONE };
enum advantage_aggregation { AGGREGATE_SUMMED, AGGREGATE_NORMALIZED };

struct advantage_options {
    enum advantage_baseline baseline;
    enum advantage_scale scale;
    enum advantage_aggregation aggregation; /* of several rewards; baseline and scale are of AGGREGATE_SUMMED */
    const struct reward_set *rewards;       /* their weights, for AGGREGATE_NORMALIZED alone */
};

struct advantage_stats {
    int n_groups, n_flat;           /* flat: teaches nothing */
    int n_judged;                   /* samples */
    double reward_mean, reward_std; /* of those; NaN when there is none */
};

/* Whether the n samples of a group teach nothing: the rewards of those that are judged are all equal. */
bool advantage_is_flat(const struct advantage_options *options, const struct sample *group, int n);

/* Sets samples[].advantage from rewards. */
void advantage_compute(const struct advantage_options *options, struct iteration *it);

/* What TRL logs of n_groups groups of G samples. */
struct advantage_stats advantage_stats_of(const struct advantage_options *options, const struct sample *samples,
                                          int n_groups, int G);

#endif

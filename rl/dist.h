/* rl/dist.h - numbers that all ranks of a run must agree on: sums over the ranks, in an order that does not depend
 * on their number. A run has one rank so far, for which each of these is the identity; whatever adds up over
 * samples, tokens or parameters of a step passes through here.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_DIST_H
#define RL_DIST_H

#include <stdbool.h>
#include <stdint.h>

int64_t dist_sum_count(int64_t count); /* tokens, samples, groups: what losses are divided by */
double dist_sum(double value);         /* rewards, their squares, the squares of a gradient that a rank owns */
bool dist_any(bool flag);              /* one rank wants to stop: all do */

#endif

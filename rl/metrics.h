/* rl/metrics.h - the numbers of a step: names (TRL's where TRL has them) and values, in the order they were set.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_METRICS_H
#define RL_METRICS_H

#include "base/str.h"

#define METRICS_MAX 800

struct metric {
    char name[64];
    double value;
};

struct metrics {
    struct metric items[METRICS_MAX];
    int n;
};

void metrics_clear(struct metrics *metrics);
/* Sets, or replaces, the value of a name: "reward", "rewards/format/mean", "aha/wait". The name is a printf format. */
void metrics_set(struct metrics *metrics, double value, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* NaN if there is no such name. */
double metrics_get(const struct metrics *metrics, const char *name);
/* A name that depends on time or machine, and so may differ between two runs of one seed. */
bool metrics_is_timing(const char *name);
/* {"step": 3, "reward": 0.25, ...} and a line feed; not-a-number is null. */
void metrics_to_json(const struct metrics *metrics, int64_t step, struct strbuf *out);

#endif

/* rl/advantage.c - advantages: each group is a row of numbers, NaN where a sample does not count; its mean and
 * deviation are taken, then those of the batch.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/advantage.h"

#include <math.h>
#include <stdlib.h>

#define ADVANTAGE_EPSILON 1e-4 /* TRL's; keeps nearly equal rewards from being blown up */

enum { TOTAL = -1 }; /* the weighted sum instead of one of the rewards */

struct moments {
    int n;
    double mean, std;
    bool all_equal;
};

/* The score that a reward gave, NaN where it does not count. An error counts as 0 if its sample is kept
 * (on_reward_error: zero). */
static double reward_of(const struct sample *sample, int part)
{
    if (sample->dropped) {
        return (double)NAN;
    }
    if (part == TOTAL) {
        return sample->reward;
    }
    const struct verdict *v = &sample->judgement.parts[part];
    return v->kind == VERDICT_OK ? v->score : v->kind == VERDICT_ERROR ? 0 : (double)NAN;
}

/* Takes the moments of the values that are numbers. */
static struct moments moments_of(const double *values, int n)
{
    struct moments m = {.all_equal = true};
    double sum = 0, squares = 0, first = 0;
    for (int i = 0; i < n; i++) {
        if (!isnan(values[i])) {
            first = m.n == 0 ? values[i] : first;
            m.all_equal = m.all_equal && values[i] == first;
            sum += values[i];
            m.n++;
        }
    }
    m.mean = m.n ? sum / m.n : 0;
    for (int i = 0; i < n; i++) {
        double d = isnan(values[i]) ? 0 : values[i] - m.mean;
        squares += d * d;
    }
    m.std = m.n > 1 && !m.all_equal ? sqrt(squares / (m.n - 1)) : 0;
    return m;
}

static struct moments reward_moments(const struct sample *samples, int n, int part)
{
    double *values = mem_alloc((size_t)n * sizeof *values);
    for (int i = 0; i < n; i++) {
        values[i] = reward_of(&samples[i], part);
    }
    struct moments m = moments_of(values, n);
    free(values);
    return m;
}

bool advantage_is_flat(const struct advantage_options *options, const struct sample *group, int n)
{
    if (options->aggregation == AGGREGATE_SUMMED) {
        return reward_moments(group, n, TOTAL).all_equal;
    }
    bool flat = true;
    for (int part = 0; part < reward_set_count(options->rewards); part++) {
        flat = flat && reward_moments(group, n, part).all_equal;
    }
    return flat;
}

/* ---- the sum of the rewards ---- */

static double baseline_of(enum advantage_baseline baseline, const struct moments *group, double reward)
{
    switch (baseline) {
    case BASELINE_GROUP: return group->mean;
    case BASELINE_LEAVE_ONE_OUT: return group->n > 1 ? (group->mean * group->n - reward) / (group->n - 1) : reward;
    case BASELINE_NONE: return 0;
    }
    BUG_ON(true);
}

static void from_sums(const struct advantage_options *options, struct iteration *it)
{
    struct moments all = reward_moments(it->samples, it->n_samples, TOTAL);
    for (int p = 0; p < it->n_prompts; p++) {
        struct sample *samples = it->samples + (size_t)p * (size_t)it->G;
        struct moments group = reward_moments(samples, it->G, TOTAL);
        bool no_signal = group.all_equal && options->baseline != BASELINE_NONE;
        double scale = options->scale == SCALE_NONE    ? 1
                       : options->scale == SCALE_BATCH ? all.std + ADVANTAGE_EPSILON
                                                       : group.std + ADVANTAGE_EPSILON;
        for (int i = 0; i < it->G; i++) {
            double difference = samples[i].reward - baseline_of(options->baseline, &group, samples[i].reward);
            samples[i].advantage = samples[i].dropped || no_signal ? 0 : difference / scale;
        }
    }
}

/* ---- each reward by itself ---- */

/* Adds what one reward says of a group, scaled. */
static void add_scaled(const struct sample *group, int n, int part, double weight, double *sums)
{
    struct moments m = reward_moments(group, n, part);
    for (int i = 0; i < n; i++) {
        double reward = reward_of(&group[i], part);
        sums[i] += isnan(reward) || m.all_equal ? 0 : weight * (reward - m.mean) / (m.std + ADVANTAGE_EPSILON);
    }
}

static void from_scaled(const struct advantage_options *options, struct iteration *it)
{
    double *sums = mem_zero((size_t)it->n_samples * sizeof *sums);
    for (int first = 0; first < it->n_samples; first += it->G) {
        for (int part = 0; part < reward_set_count(options->rewards); part++) {
            add_scaled(&it->samples[first], it->G, part, reward_set_weight(options->rewards, part), sums + first);
        }
    }
    for (int i = 0; i < it->n_samples; i++) {
        sums[i] = it->samples[i].dropped ? (double)NAN : sums[i];
    }
    struct moments all = moments_of(sums, it->n_samples);
    for (int p = 0; p < it->n_prompts; p++) {
        struct sample *samples = &it->samples[p * it->G];
        bool flat = advantage_is_flat(options, samples, it->G);
        for (int i = 0; i < it->G; i++) {
            double scaled = (sums[p * it->G + i] - all.mean) / (all.std + ADVANTAGE_EPSILON);
            samples[i].advantage = samples[i].dropped || flat ? 0 : scaled;
        }
    }
    free(sums);
}

void advantage_compute(const struct advantage_options *options, struct iteration *it)
{
    if (options->aggregation == AGGREGATE_SUMMED) {
        from_sums(options, it);
    } else {
        from_scaled(options, it);
    }
}

struct advantage_stats advantage_stats_of(const struct advantage_options *options, const struct sample *samples,
                                          int n_groups, int G)
{
    struct moments all = reward_moments(samples, n_groups * G, TOTAL);
    struct advantage_stats stats = {.n_groups = n_groups,
                                    .n_judged = all.n,
                                    .reward_mean = all.n ? all.mean : (double)NAN,
                                    .reward_std = all.n ? all.std : (double)NAN};
    for (int p = 0; p < n_groups; p++) {
        stats.n_flat += advantage_is_flat(options, &samples[p * G], G);
    }
    return stats;
}

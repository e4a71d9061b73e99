/* tests/rl/advantage_test.c - against numpy: mean, and deviation with n - 1.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/advantage.h"

#include "tests/rl/iteration_fixture.h"

enum { GROUPS = 3, G = 4, N = GROUPS * G };

/* Two groups that differ and one that does not; the second sample of the last is dropped, with a reward that would show. */
static const double rewards[N] = {1, 0, 0, 1, 2, 2, 2, 2, 1, 0.5, 3, 5};

static struct advantage_stats compute(enum advantage_baseline baseline, enum advantage_scale scale, double out[N])
{
    struct sample samples[N] = {0};
    struct iteration it = {.n_prompts = GROUPS, .G = G, .samples = samples, .n_samples = N};
    for (int i = 0; i < N; i++) {
        samples[i].reward = rewards[i];
        samples[i].dropped = i == 9;
    }
    struct advantage_options options = {.baseline = baseline, .scale = scale};
    advantage_compute(&options, &it);
    struct advantage_stats stats = advantage_stats_of(&options, samples, GROUPS, G);
    for (int i = 0; i < N; i++) {
        out[i] = samples[i].advantage;
    }
    return stats;
}

static void assert_advantages(enum advantage_baseline baseline, enum advantage_scale scale, const double want[N])
{
    double got[N];
    compute(baseline, scale, got);
    for (int i = 0; i < N; i++) {
        ASSERT_NEAR(got[i], want[i], 1e-14);
    }
}

static void groups_are_measured_by_themselves(void **state)
{
    (void)state;
    const double a = 0.8658754297607016, b = 0.9999500024998749;
    assert_advantages(BASELINE_GROUP, SCALE_GROUP, (double[N]){a, -a, -a, a, 0, 0, 0, 0, -b, 0, 0, b});
}

static void the_batch_can_be_the_measure(void **state)
{
    (void)state;
    const double a = 0.35193243157475634, b = 1.4077297262990254;
    assert_advantages(BASELINE_GROUP, SCALE_BATCH, (double[N]){a, -a, -a, a, 0, 0, 0, 0, -b, 0, 0, b});
}

static void nothing_need_be_divided(void **state)
{
    (void)state;
    const double h = 0.5, t = 2.0 / 3;
    assert_advantages(BASELINE_GROUP, SCALE_NONE, (double[N]){h, -h, -h, h, 0, 0, 0, 0, -2, 0, 0, 2});
    assert_advantages(BASELINE_LEAVE_ONE_OUT, SCALE_NONE, (double[N]){t, -t, -t, t, 0, 0, 0, 0, -3, 0, 0, 3});
    assert_advantages(BASELINE_NONE, SCALE_NONE, (double[N]){1, 0, 0, 1, 2, 2, 2, 2, 1, 0, 3, 5});
}

static void statistics_are_of_what_is_kept(void **state)
{
    (void)state;
    double ignored[N];
    struct advantage_stats stats = compute(BASELINE_GROUP, SCALE_GROUP, ignored);
    ASSERT_NEAR(stats.reward_mean, 19.0 / 11, 1e-14);
    ASSERT_NEAR(stats.reward_std, 1.4206272622267313, 1e-14);
    assert_int_equal(stats.n_judged, 11);
    assert_int_equal(stats.n_groups, 3);
    assert_int_equal(stats.n_flat, 1);
}

/* Equal rewards whose mean is not exactly their value must not be blown up by 1 / 1e-4. */
static void equal_rewards_are_exactly_nothing(void **state)
{
    (void)state;
    struct sample samples[6] = {0};
    struct iteration it = {.n_prompts = 2, .G = 3, .samples = samples, .n_samples = 6};
    for (int i = 0; i < 6; i++) {
        samples[i].reward = 0.1;
        samples[i].dropped = i >= 3; /* a whole group */
    }
    struct advantage_options options = {.scale = SCALE_GROUP};
    advantage_compute(&options, &it);
    struct advantage_stats stats = advantage_stats_of(&options, samples, 2, 3);
    for (int i = 0; i < 6; i++) {
        assert_true(samples[i].advantage == 0);
    }
    assert_int_equal(stats.n_flat, 2);
    assert_true(stats.reward_std == 0);
}

static void flat_groups_are_told(void **state)
{
    (void)state;
    const struct advantage_options options = {.scale = SCALE_GROUP};
    struct sample group[3] = {{.reward = 1}, {.reward = 1}, {.reward = 0}};
    assert_false(advantage_is_flat(&options, group, 3));
    group[2].dropped = true; /* its reward teaches nothing */
    assert_true(advantage_is_flat(&options, group, 3));
    group[0].dropped = group[1].dropped = true;
    assert_true(advantage_is_flat(&options, group, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_are_measured_by_themselves), cmocka_unit_test(the_batch_can_be_the_measure),
        cmocka_unit_test(nothing_need_be_divided),           cmocka_unit_test(statistics_are_of_what_is_kept),
        cmocka_unit_test(equal_rewards_are_exactly_nothing), cmocka_unit_test(flat_groups_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/rl/score_test.c - groups to judgements: what is dropped, what counts as nothing, what stops a run; and the metrics.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/score.h"

#include "tests/rl/iteration_fixture.h"

enum { G = 3 };

/* Two prompts; the second lacks the fields that countdown reads. One completion was cut off. */
static enum err judge(struct iteration *it, struct reward_set **set, enum reward_on_error on_error)
{
    struct reward_spec specs[] = {{"countdown"}, {"format:mode=graded,weight=0.5,label=shape"}};
    static const char *const texts[2 * G] = {
        "<think>a</think><answer>1+2</answer>", "<think>a</think>", "", "<think>a", "<think>a</think> wait, but", "x"};
    make_iteration(it, 2, G, 4, 50);
    json_decref(it->prompts[0].fields);
    it->prompts[0].fields = json_pack("{s:[i,i], s:i}", "nums", 1, 2, "target", 3);
    json_decref(it->prompts[1].fields);
    it->prompts[1].fields = json_object();
    for (int i = 0; i < 2 * G; i++) {
        struct completion *c = &it->groups[i / G].completions[i % G];
        c->text = str_of(texts[i]);
        c->finish = i == 1 ? FINISH_LENGTH : FINISH_EOS;
    }
    ASSERT_OK(reward_set_open(set, specs, 2, on_error, 10, 2));
    it->max_tokens = 4;
    return score_groups(*set, it);
}

static void release(struct iteration *it, struct reward_set *set)
{
    reward_set_close(set);
    iteration_release(it);
}

static void assert_samples(const struct iteration *it, const double *rewards, const char *dropped)
{
    for (int i = 0; i < it->n_samples; i++) {
        ASSERT_NEAR(it->samples[i].reward, rewards[i], 1e-15);
        assert_int_equal(it->samples[i].dropped, dropped[i] == 'x');
        assert_ptr_equal(it->samples[i].prompt, &it->prompts[i / G]);
        assert_ptr_equal(it->samples[i].completion, &it->groups[i / G].completions[i % G]);
    }
}

static const double rewards_are[2 * G] = {1.5, 0, 0, 0.125, 0.25, 0};

static void a_judge_that_fails_drops_its_sample(void **state)
{
    (void)state;
    struct iteration it;
    struct reward_set *set;
    ASSERT_OK(judge(&it, &set, ON_ERROR_DROP));
    assert_samples(&it, rewards_are, "...xxx");
    release(&it, set);
}

static void or_counts_as_nothing(void **state)
{
    (void)state;
    struct iteration it;
    struct reward_set *set;
    ASSERT_OK(judge(&it, &set, ON_ERROR_ZERO));
    assert_samples(&it, rewards_are, "......");
    release(&it, set);
}

static void or_stops_the_run(void **state)
{
    (void)state;
    struct iteration it;
    struct reward_set *set;
    assert_int_equal(judge(&it, &set, ON_ERROR_ABORT), ERR_STATE);
    assert_non_null(strstr(err_text(), "countdown"));
    release(&it, set);
}

static void metrics_are_means_over_what_applies(void **state)
{
    (void)state;
    struct iteration it;
    struct reward_set *set;
    struct metrics m = {0};
    ASSERT_OK(judge(&it, &set, ON_ERROR_DROP));
    for (int i = 0; i < 2 * G; i++) {
        struct completion *c = &it.groups[i / G].completions[i % G];
        c->n_tokens = i + 1;
        c->entropy = ARENA_NEW(&it.arena, float, i + 1);
        for (int t = 0; t <= i; t++) {
            c->entropy[t] = (float)(i == 5);
        }
    }
    score_metrics(set, &it, &m);
    ASSERT_NEAR(metrics_get(&m, "rewards/countdown/mean"), 1.0 / 3, 1e-15); /* judged three times of six */
    ASSERT_NEAR(metrics_get(&m, "rewards/countdown/std"), sqrt(1.0 / 3), 1e-12);
    ASSERT_NEAR(metrics_get(&m, "rewards/shape/mean"), 1.75 / 6, 1e-15);
    ASSERT_NEAR(metrics_get(&m, "completions/mean_length"), 3.5, 1e-15);
    ASSERT_NEAR(metrics_get(&m, "completions/min_length"), 1, 1e-15);
    ASSERT_NEAR(metrics_get(&m, "completions/max_length"), 6, 1e-15);
    ASSERT_NEAR(metrics_get(&m, "completions/clipped_ratio"), 1.0 / 6, 1e-12);
    ASSERT_NEAR(metrics_get(&m, "completions/mean_terminated_length"), 19.0 / 5, 1e-15);
    ASSERT_NEAR(metrics_get(&m, "completions/dropped_ratio"), 0.5, 1e-15);
    ASSERT_NEAR(metrics_get(&m, "entropy"), 6.0 / 21, 1e-15);
    ASSERT_NEAR(metrics_get(&m, "aha/wait"), 1.0 / 6, 1e-15);
    ASSERT_NEAR(metrics_get(&m, "aha/all"), 2.0 / 6, 1e-15);
    release(&it, set);
}

static void failures_are_counted_and_the_last_is_told(void **state)
{
    (void)state;
    struct iteration it;
    struct reward_set *set;
    const char *why;
    for (int on_error = ON_ERROR_DROP; on_error <= ON_ERROR_ZERO; on_error++) {
        ASSERT_OK(judge(&it, &set, (enum reward_on_error)on_error));
        ASSERT_NEAR(score_error_rate(set, &it, &why), 0.5, 1e-15); /* the second prompt lacks its fields */
        assert_non_null(strstr(why, "countdown: "));
        it.n_samples = G;
        ASSERT_NEAR(score_error_rate(set, &it, &why), 0, 1e-15);
        assert_null(why);
        release(&it, set);
    }
}

static void reflective_words_stand_alone(void **state)
{
    (void)state;
    int counts[AHA_WORDS], all = 0;
    aha_count(STR("Wait. WAIT, await waits wait2wait; But-however check\0check Rechecked wrong"), counts);
    static const int want[AHA_WORDS] = {[0] = 4, [2] = 1, [3] = 1, [7] = 1, [9] = 2};
    for (int w = 0; w < AHA_WORDS; w++) {
        assert_int_equal(counts[w], want[w]);
        all += counts[w];
    }
    assert_int_equal(all, 9);
    aha_count((struct str){NULL, 0}, counts);
    assert_int_equal(counts[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_judge_that_fails_drops_its_sample),
        cmocka_unit_test(or_counts_as_nothing),
        cmocka_unit_test(or_stops_the_run),
        cmocka_unit_test(metrics_are_means_over_what_applies),
        cmocka_unit_test(failures_are_counted_and_the_last_is_told),
        cmocka_unit_test(reflective_words_stand_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

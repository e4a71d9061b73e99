/* tests/rl/eval_test.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "rl/eval.h"

enum { PROMPTS = 4, SAMPLES = 5 };

/* Answers as letters; capital ones are right, '?' could not be judged. */
static void measure(const char *const answers[PROMPTS], struct metrics *metrics)
{
    struct reward_set *rewards;
    const struct reward_spec spec = {"format"};
    struct iteration it = {.n_prompts = PROMPTS, .G = SAMPLES, .n_samples = PROMPTS * SAMPLES};
    struct completion completion = {.finish = FINISH_EOS};
    struct sample samples[PROMPTS * SAMPLES];
    struct verdict verdicts[PROMPTS * SAMPLES];
    assert_int_equal(reward_set_open(&rewards, &spec, 1, ON_ERROR_DROP, 1, 1), ERR_NONE);
    for (int i = 0; i < PROMPTS * SAMPLES; i++) {
        const char *answer = &answers[i / SAMPLES][i % SAMPLES];
        bool right = *answer >= 'A' && *answer <= 'Z';
        verdicts[i] = *answer == '?' ? verdict_error("the judge is down")
                                     : verdict_ok(right, "", (struct str){answer, *answer != ' '});
        samples[i] = (struct sample){.completion = &completion, .judgement = {.parts = &verdicts[i]}};
    }
    it.samples = samples;
    eval_metrics(rewards, &it, metrics);
    const char *why = eval_first_unjudged(rewards, &it);
    if (metrics_get(metrics, "eval/unjudged") > 0) {
        assert_string_equal(why, "format: the judge is down");
    } else {
        assert_null(why);
    }
    arena_release(&it.arena);
    reward_set_close(rewards);
}

static void expect(const struct metrics *metrics, const char *name, double want)
{
    double value = metrics_get(metrics, name);
    if (!(fabs(value - want) < 1e-12)) {
        fail_msg("%s is %.15g, not %.15g", name, value, want);
    }
}

/* Wilson's bounds are the p for which the mean of n draws is 1.96 deviations away. */
static void expect_interval(const struct metrics *m, double mean, double n)
{
    double low = metrics_get(m, "eval/pass@1_low"), high = metrics_get(m, "eval/pass@1_high");
    assert_true(low <= mean && mean <= high);
    assert_true(fabs(mean - low - 1.96 * sqrt(low * (1 - low) / n)) < 1e-12);
    assert_true(fabs(high - mean - 1.96 * sqrt(high * (1 - high) / n)) < 1e-12);
    expect(m, "eval/pass@1_ci95", (high - low) / 2);
}

/* 0, 1, 3 and 5 right of 5. */
static void shares_and_chances(void **state)
{
    (void)state;
    static const char *const answers[PROMPTS] = {"aabcd", "Abcde", "XXaXb", "YYYYY"};
    struct metrics m = {0};
    measure(answers, &m);
    expect(&m, "eval/pass@1", 9.0 / 20);
    expect_interval(&m, 0.45, 0.45 * 0.55 / (0.59 / 3) * 4);
    expect(&m, "eval/pass@2", (0 + 0.4 + 0.9 + 1) / 4); /* 1 - C(5 - c, 2) / 10 */
    expect(&m, "eval/pass@4", (0 + 0.8 + 1 + 1) / 4);   /* 1 - C(5 - c, 4) / 5 */
    expect(&m, "eval/pass@5", 0.75);
    assert_true(isnan(metrics_get(&m, "eval/pass@3")));
    expect(&m, "eval/cons@5", 0.75); /* "a", "A" (the first of a tie), "X", "Y" */
}

/* An answer that could not be read has no vote. */
static void the_most_frequent_answer_counts(void **state)
{
    (void)state;
    static const char *const answers[PROMPTS] = {"bbAcc", "AAbbb", "    A", "     "};
    struct metrics m = {0};
    measure(answers, &m);
    expect(&m, "eval/cons@5", 0.25);
    expect(&m, "eval/pass@5", 0.75);
}

/* 1 of 4, 2 of 3, nothing, 0 of 5. */
static void what_was_not_judged_is_left_out(void **state)
{
    (void)state;
    static const char *const answers[PROMPTS] = {"a?bAc", "AA??b", "?????", "bbbbb"};
    struct metrics m = {0};
    struct strbuf text = STRBUF_INIT;
    measure(answers, &m);
    expect(&m, "eval/unjudged", 8);
    expect(&m, "eval/pass@1", (1.0 / 4 + 2.0 / 3) / 3);
    expect(&m, "eval/pass@2", (0.5 + 1 + 0) / 3); /* 1 - C(3, 2) / C(4, 2), 1 - C(1, 2) / C(3, 2), 0 */
    expect(&m, "eval/pass@4", (1.0 + 0) / 2);     /* the prompts with four judged samples */
    expect(&m, "eval/cons@5", 1.0 / 3);           /* "a" of a tie, "A", "b" */
    eval_describe(&m, PROMPTS * SAMPLES, &text);
    assert_non_null(strstr(text.data, "30.6 % ("));
    assert_non_null(strstr(text.data, ", 8 of 20 not judged"));
    strbuf_release(&text);
}

static void nothing_judged_is_not_nothing_right(void **state)
{
    (void)state;
    static const char *const answers[PROMPTS] = {"?????", "?????", "?????", "?????"};
    struct metrics m = {0};
    struct strbuf text = STRBUF_INIT;
    measure(answers, &m);
    expect(&m, "eval/unjudged", 20);
    assert_true(isnan(metrics_get(&m, "eval/pass@1")) && isnan(metrics_get(&m, "eval/pass@1_low")));
    assert_true(isnan(metrics_get(&m, "eval/pass@2")) && isnan(metrics_get(&m, "eval/cons@5")));
    eval_describe(&m, PROMPTS * SAMPLES, &text);
    assert_string_equal(text.data, "not judged");
    strbuf_release(&text);
}

/* None of 20 right is not certainly none. */
static void an_interval_is_never_of_no_width(void **state)
{
    (void)state;
    static const char *const none[PROMPTS] = {"aaaaa", "aaaaa", "aaaaa", "aaaaa"};
    struct metrics m = {0};
    measure(none, &m);
    expect(&m, "eval/pass@1_low", 0);
    assert_true(metrics_get(&m, "eval/pass@1_high") > 0.4); /* 0.4899 for 0 of 4 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_and_chances),
        cmocka_unit_test(the_most_frequent_answer_counts),
        cmocka_unit_test(what_was_not_judged_is_left_out),
        cmocka_unit_test(nothing_judged_is_not_nothing_right),
        cmocka_unit_test(an_interval_is_never_of_no_width),
    };
    return cmocka_run_group_tests_name("eval", tests, NULL, NULL);
}

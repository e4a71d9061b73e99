/* tests/reward/countdown_test.c - against tests/golden/make_rewards.py, and what is not in there.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/reward/fixture.h"

#define FIELDS "{\"nums\": [3, 4, 2], \"target\": 24}"

static void scores_are_those_of_the_reference(void **state)
{
    (void)state;
    check_golden("countdown");
}

static void tricks_earn_nothing(void **state)
{
    (void)state;
    static const char *const answers[] = {"24",      "3*4*2=24",   "34-2*5", "3*4*2+0", "(3*4)2",  "3**2*4",
                                          "4//3*2",  "int(3*4*2)", "+3*4*2", "3*4*--2", "3*4*2\0", "3*4",
                                          "3*4*2*1", "3*3*4*2/3",  "",       "=",       "3*4*2;",  "3 * 4 * 2 # ok",
                                          "12*2",    "3*8",        "3*4*02", "3*4*2.0"};
    struct judge judge = judge_open("countdown");
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        char *text = arena_printf(&judge.arena, "<answer>%s</answer>", answers[i]);
        assert_score(judge_text(&judge, str_of(text), FIELDS), i == 10); /* the NUL ends that C string: it is right */
    }
    assert_score(judge_text(&judge, STR("<answer>3*4*2\0</answer>"), FIELDS), 0);
    assert_score(judge_text(&judge, STR("<answer>3*4*2\xff</answer>"), FIELDS), 0);
    judge_close(&judge);
}

static void the_last_answer_counts(void **state)
{
    (void)state;
    struct judge judge = judge_open("countdown");
    struct verdict v = judge_text(&judge, STR("<answer>1</answer> <answer> (3 * 4)\n*2 </answer>"), FIELDS);
    assert_reason(v, VERDICT_OK, "right");
    assert_score(v, 1);
    assert_true(str_equal(v.extracted, STR("(3 * 4)\n*2")));
    assert_reason(judge_text(&judge, STR("3*4*2"), FIELDS), VERDICT_OK, "no answer tag");
    assert_reason(judge_text(&judge, (struct str){0}, FIELDS), VERDICT_OK, "no answer tag");
    assert_reason(judge_text(&judge, STR("<answer>3+4+2</answer>"), FIELDS), VERDICT_OK, "another value");
    assert_reason(judge_text(&judge, STR("<answer>4*3*2*1</answer>"), FIELDS), VERDICT_OK,
                  "not the given numbers, each once");
    judge_close(&judge);
}

static void options_change_what_is_asked(void **state)
{
    (void)state;
    static const char bare[] = "<answer>3*4*2</answer>", whole[] = "<think>x</think><answer>3*4*2</answer>";
    assert_score(judge_once("countdown:needs_format", bare, FIELDS), 0);
    assert_score(judge_once("countdown:needs_format", whole, FIELDS), 1);
    assert_score(judge_once("countdown:needs_format,prefilled", "x</think><answer>3*4*2</answer>", FIELDS), 1);
    static const char *const inside[] = {"<think><answer>3*4*2</answer></think>", "<think><answer>3*4*2</answer>",
                                         "<answer>3*4*2</answer><think>x</think>"};
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
        assert_score(judge_once("countdown", inside[i], FIELDS), 0);
    }
    assert_score(judge_once("countdown:prefilled", bare, FIELDS), 0);
    assert_score(judge_once("countdown:prefilled", "x</think><answer>3*4*2</answer>", FIELDS), 1);
    assert_score(judge_once("countdown:allow_equals", "<answer>3*4*2 = 24</answer>", FIELDS), 1);
    assert_score(judge_once("countdown:allow_equals", "<answer>3*4*2</answer>", FIELDS), 1);
    assert_score(judge_once("countdown:allow_equals", "<answer>3*4*2 = 25</answer>", FIELDS), 0);
    assert_score(judge_once("countdown:allow_equals", "<answer>3+4+2 = 24</answer>", FIELDS), 0);
    assert_score(judge_once("countdown:allow_equals", "<answer>3*4*2 = 24 = 24</answer>", FIELDS), 0);
    struct judge judge = judge_open("countdown:needs_format");
    json_t *fields = json_loads(FIELDS, 0, NULL);
    struct reward_item item = {
        .completion = STR("<think></think><answer>3*4*2</answer>"), .fields = fields, .truncated = true};
    assert_score(judge_item(&judge, &item), 0);
    json_decref(fields);
    judge_close(&judge);
}

static void wrong_fields_are_errors(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *want;
    } cases[] = {
        {"{}", "missing field 'nums'"},
        {"{\"nums\": [1]}", "missing field 'target'"},
        {"{\"nums\": 1, \"target\": 1}", "'nums' must be a list of integers and 'target' an integer"},
        {"{\"nums\": [1.0], \"target\": 1}", "'nums' must be a list of integers and 'target' an integer"},
        {"{\"nums\": [1], \"target\": \"1\"}", "'nums' must be a list of integers and 'target' an integer"},
    };
    struct judge judge = judge_open("countdown");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_reason(judge_text(&judge, STR("<answer>1</answer>"), cases[i].fields), VERDICT_ERROR, cases[i].want);
    }
    judge_close(&judge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_those_of_the_reference),
        cmocka_unit_test(tricks_earn_nothing),
        cmocka_unit_test(the_last_answer_counts),
        cmocka_unit_test(options_change_what_is_asked),
        cmocka_unit_test(wrong_fields_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

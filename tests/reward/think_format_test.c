/* tests/reward/think_format_test.c - against tests/golden/make_rewards.py, and what is not in there.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/reward/fixture.h"

static void scores_are_those_of_the_reference(void **state)
{
    (void)state;
    check_golden("think_format");
}

static void both_parts_hold_something(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"<think>a</think>b", "right"},
        {"<think>a</think><answer>b</answer>", "right"},
        {"<think></think>b", "no thinking"},
        {"<think> \n</think>b", "no thinking"},
        {"<think>a</think>", "no answer"},
        {"<think>a</think>b</think>c", "more than one </think>"},
        {"<think>a</think><answer>b", "the answer tags hold no answer"},
        {"<think>a</think><answer> </answer>", "the answer tags hold no answer"},
        {"<think>a</think></answer>b<answer>", "the answer tags hold no answer"},
        {"<think>a</think><answer>b</answer><answer>c</answer>", "the answer tags hold no answer"},
        {"<think> the thinking </think> 5", "copied from the template"},
    };
    struct judge judge = judge_open("think_format");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_reason(judge_text(&judge, str_of(cases[i].text), "{}"), VERDICT_OK, cases[i].reason);
    }
    struct reward_item item = {.completion = STR("<think>a</think>b"), .truncated = true};
    assert_reason(judge_item(&judge, &item), VERDICT_OK, "cut off");
    item = (struct reward_item){.completion = STR("a</think>b"), .prompt = STR("User: q\nAssistant: <think>\n")};
    assert_reason(judge_item(&judge, &item), VERDICT_OK, "right");
    judge_close(&judge);
}

static void a_prompt_may_end_with_the_tag(void **state)
{
    (void)state;
    assert_score(judge_once("think_format:prefilled", "a</think>b", "{}"), 1);
    assert_score(judge_once("think_format:prefilled", "<think>a</think>b", "{}"), 0);
    assert_score(judge_once("think_format:prefilled", "a", "{}"), 0);
    assert_score(judge_once("think_format", "</think><think>", "{}"), 0);
    struct judge judge = judge_open("think_format");
    assert_reason(judge_text(&judge, STR("<think>\xff\0</think>\0"), "{}"), VERDICT_OK, "right");
    assert_reason(judge_text(&judge, STR("<think>a<think></think>"), "{}"), VERDICT_OK, "more than one <think>");
    assert_reason(judge_text(&judge, (struct str){0}, "{}"), VERDICT_OK, "does not begin with <think>");
    judge_close(&judge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_those_of_the_reference),
        cmocka_unit_test(both_parts_hold_something),
        cmocka_unit_test(a_prompt_may_end_with_the_tag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

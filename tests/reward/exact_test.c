/* tests/reward/exact_test.c - against tests/golden/make_rewards.py, and what is not in there.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/reward/fixture.h"

static void scores_are_those_of_the_reference(void **state)
{
    (void)state;
    check_golden("exact");
}

static void the_answer_is_looked_for(void **state)
{
    (void)state;
    static const struct {
        const char *text, *extracted, *path;
    } cases[] = {
        {"<think>5</think> so <answer> 4 </answer> !", "4", "answer tag"},
        {"<think>5</think>\n4\n", "4", "after thinking"},
        {"5</think>4", "4", "after thinking"},
        {" 4", "4", "after thinking"},
    };
    struct judge judge = judge_open("exact");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct verdict v = judge_text(&judge, str_of(cases[i].text), "{\"answer\": \"4\"}");
        assert_score(v, 1);
        assert_true(str_equal(v.extracted, str_of(cases[i].extracted)));
        assert_string_equal(v.path, cases[i].path);
    }
    struct verdict v = judge_text(&judge, STR("<think>it never ends"), "{\"answer\": \"4\"}");
    assert_reason(v, VERDICT_OK, "no such part");
    judge_close(&judge);
    assert_score(judge_once("exact", "<think><answer>4</answer></think>5", "{\"answer\": 4}"), 0);
    assert_score(judge_once("exact", "<answer>4</answer><think>a</think>", "{\"answer\": 4}"), 0);
    assert_score(judge_once("exact:prefilled", "4", "{\"answer\": 4}"), 0);
    assert_score(judge_once("exact:prefilled", "<answer>4</answer>", "{\"answer\": 4}"), 0);
    assert_score(judge_once("exact:prefilled", "a</think>4", "{\"answer\": 4}"), 1);
    assert_score(judge_once("exact:part=answer", "4", "{\"answer\": 4}"), 0);
    assert_score(judge_once("exact:part=thinking", "<think>4</think>5", "{\"answer\": 4}"), 1);
    assert_score(judge_once("exact:part=rest", "<think>4", "{\"answer\": 4}"), 0);
}

static void references_have_several_forms(void **state)
{
    (void)state;
    assert_score(judge_once("exact", "-12", "{\"answer\": -12}"), 1);
    assert_score(judge_once("exact", "0.5", "{\"answer\": 0.5}"), 1);
    assert_score(judge_once("exact", "1,200.0", "{\"answer\": 1200}"), 1);
    assert_score(judge_once("exact", "-12", "{\"answer\": 12}"), 0);
    assert_score(judge_once("exact", "not 12", "{\"answer\": 12}"), 0);
    assert_score(judge_once("exact", "4.0", "{\"answer\": \"4\"}"), 0);
    assert_score(judge_once("exact", "b", "{\"answer\": [\"a\", \"b\"]}"), 1);
    assert_score(judge_once("exact", "c", "{\"answer\": [\"a\", \"b\"]}"), 0);
    assert_score(judge_once("exact", "", "{\"answer\": []}"), 0);
    assert_score(judge_once("exact", "", "{\"answer\": \"\"}"), 1);
    assert_score(judge_once("exact:field=gold", "a", "{\"answer\": \"b\", \"gold\": \"a\"}"), 1);
    struct judge judge = judge_open("exact:field=gold");
    assert_reason(judge_text(&judge, STR("a"), "{\"answer\": \"a\"}"), VERDICT_ERROR, "missing field 'gold'");
    assert_reason(judge_text(&judge, STR("a"), "{\"gold\": null}"), VERDICT_ERROR, "missing field 'gold'");
    static const char want[] = "field 'gold' must be text, a number, or a list of them";
    assert_reason(judge_text(&judge, STR("a"), "{\"gold\": {}}"), VERDICT_ERROR, want);
    assert_reason(judge_text(&judge, STR("a"), "{\"gold\": [\"a\", true]}"), VERDICT_ERROR, want);
    judge_close(&judge);
}

static void any_bytes_are_compared(void **state)
{
    (void)state;
    struct judge judge = judge_open("exact:ignore_case,white_space=collapse");
    json_t *fields = json_pack("{s:s%}", "answer", "a\0B", (size_t)3);
    struct reward_item item = {.completion = STR(" A\0b "), .fields = fields, .n_tokens = -1};
    assert_score(judge_item(&judge, &item), 1);
    item.completion = STR("a\0c");
    assert_score(judge_item(&judge, &item), 0);
    item.completion = STR("a\xff\xc3");
    assert_score(judge_item(&judge, &item), 0);
    json_decref(fields);
    judge_close(&judge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_those_of_the_reference),
        cmocka_unit_test(the_answer_is_looked_for),
        cmocka_unit_test(references_have_several_forms),
        cmocka_unit_test(any_bytes_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

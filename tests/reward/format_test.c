/* tests/reward/format_test.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/reward/fixture.h"

static void strict_is_all_or_nothing(void **state)
{
    (void)state;
    assert_score(judge_once("format", "<think>a</think><answer>b</answer>", "{}"), 1);
    assert_score(judge_once("format", "<think>a</think><answer>b</answer> c", "{}"), 0);
    assert_score(judge_once("format", "a</think><answer>b</answer>", "{}"), 0);
    assert_score(judge_once("format:prefilled", "a</think><answer>b</answer>", "{}"), 1);
    assert_score(judge_once("format", "<think></think><answer></answer>", "{}"), 0);
    assert_score(judge_once("format", "<think> the thinking </think> <answer> the answer </answer>", "{}"), 0);
    assert_score(judge_once("format", "", "{}"), 0);
}

static void graded_counts_tags(void **state)
{
    (void)state;
    assert_score(judge_once("format:mode=graded", "<think>a</think>", "{}"), 0.5);
    assert_score(judge_once("format:mode=graded,prefilled", "a</think>", "{}"), 1 / 3.0);
    assert_score(judge_once("format:mode=graded", "", "{}"), 0);
}

static void a_completion_that_was_cut_off_is_not_whole(void **state)
{
    (void)state;
    struct judge judge = judge_open("format");
    struct reward_item item = {.completion = STR("<think>a</think><answer>b</answer>"), .truncated = true};
    assert_reason(judge_item(&judge, &item), VERDICT_OK, "cut off");
    item.truncated = false;
    assert_reason(judge_item(&judge, &item), VERDICT_OK, "right");
    judge_close(&judge);
    judge = judge_open("format:mode=graded");
    assert_score(judge_item(&judge, &item), 1);
    item.truncated = true;
    assert_score(judge_item(&judge, &item), 0);
    judge_close(&judge);
}

static void the_prompt_may_open_the_thinking(void **state)
{
    (void)state;
    static const char *const rewards[] = {"format", "format:mode=graded", "tag_count"};
    struct reward_item item = {.completion = STR("a\n</think>\n\n<answer>\nb\n</answer>"),
                               .prompt = STR("<|im_start|>assistant\n<think>\n")};
    for (size_t i = 0; i < sizeof rewards / sizeof *rewards; i++) {
        struct judge judge = judge_open(rewards[i]);
        assert_score(judge_item(&judge, &item), 1);
        judge_close(&judge);
    }
}

/* Behind a token that ends the turn nothing counts, and what it cuts off is not whole. */
static void the_turn_ends_at_its_token(void **state)
{
    (void)state;
    static const struct {
        const char *completion;
        double strict, graded, think;
    } cases[] = {
        {"<think>a</think><answer>b</answer><|im_end|>", 1, 1, 1},
        {"<think>a</think><answer>b</answer></s>\n", 1, 1, 1},
        {"<think>a</think><answer>b</answer><|im_end|>\n<|im_start|>user\n<think>", 1, 1, 1},
        {"<think>a<|endoftext|></think><answer>b</answer>", 0, 0.25, 0},
        {"<think>a</think><|im_end|><answer>b</answer>", 0, 0.5, 0},
        {"<think>a</think><answer>b<|im_end|></answer>", 0, 0.75, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_score(judge_once("format", cases[i].completion, "{}"), cases[i].strict);
        assert_score(judge_once("format:mode=graded", cases[i].completion, "{}"), cases[i].graded);
        assert_score(judge_once("think_format", cases[i].completion, "{}"), cases[i].think);
    }
    const char *late = "<think>a<|im_end|></think><answer>1+2</answer>", *in_time = "<answer>1+2</answer><|im_end|>";
    assert_score(judge_once("exact", late, "{\"answer\": \"1+2\"}"), 0);
    assert_score(judge_once("exact", in_time, "{\"answer\": \"1+2\"}"), 1);
    assert_score(judge_once("countdown", late, "{\"nums\": [1, 2], \"target\": 3}"), 0);
    assert_score(judge_once("countdown", in_time, "{\"nums\": [1, 2], \"target\": 3}"), 1);
    assert_score(judge_once("tag_count", "<think>\na\n</think>\n<|im_end|><answer>\nb\n</answer>", "{}"), 0.5);
}

static void what_cannot_be_seen_is_no_content(void **state)
{
    (void)state;
    assert_score(judge_once("format", "<think>\342\200\213</think><answer>b</answer>", "{}"), 0);
    assert_score(judge_once("format", "<think>a</think><answer>\302\240\357\273\277</answer>", "{}"), 0);
    assert_score(judge_once("format", "<think>&nbsp;</think><answer>b</answer>", "{}"), 0);
    assert_score(judge_once("think_format", "<think>\342\200\213</think>b", "{}"), 0);
    assert_score(judge_once("think_format", "<think>a</think>\342\200\213", "{}"), 0);
    assert_score(judge_once("format", "<think>\342\200\213a</think><answer>\302\240b</answer>", "{}"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_turn_ends_at_its_token),
        cmocka_unit_test(what_cannot_be_seen_is_no_content),
        cmocka_unit_test(strict_is_all_or_nothing),
        cmocka_unit_test(graded_counts_tags),
        cmocka_unit_test(the_prompt_may_open_the_thinking),
        cmocka_unit_test(a_completion_that_was_cut_off_is_not_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

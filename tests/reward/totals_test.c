/* tests/reward/totals_test.c - what completions earn under the rewards of recipes/gsm8k-0.5b.yaml and recipes/r1-zero.yaml.
 *
 * The reference is 18. The whole reward is for thinking, then the answer in its tags; shapes without it earn next to nothing.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "tests/reward/fixture.h"

static const struct reward_spec gsm8k_recipe[] = {{"gsm8k:answer_tags=true"}, {"format:mode=graded,weight=0.2"}};
static const struct reward_spec zero_recipe[] = {{"gsm8k:answer_tags=true"}, {"format"}};

static double total(const struct reward_spec specs[2], struct str prompt, struct str completion, bool truncated)
{
    struct reward_set *set = NULL;
    struct arena arena = ARENA_INIT;
    struct judgement judgement;
    assert_int_equal(reward_set_open(&set, specs, 2, ON_ERROR_ABORT, 10, 1), ERR_NONE);
    json_t *row = json_pack("{ss}", "answer", "18");
    struct reward_item item = {
        .prompt = prompt, .completion = completion, .fields = row, .n_tokens = -1, .truncated = truncated};
    assert_int_equal(reward_judge(set, &item, 1, &arena, &judgement), ERR_NONE);
    double sum = judgement.total;
    json_decref(row);
    reward_set_close(set);
    arena_release(&arena);
    return sum;
}

static void only_the_behaviour_is_paid(void **state)
{
    (void)state;
    static const struct {
        const char *completion;
        double graded, strict; /* totals under the two recipes: 1.2 and 2 are all */
    } rows[] = {
        {"<think>16-3-4=9, 9*2=18</think> <answer>18</answer>", 1.2, 2},
        {"<think>ok</think><answer>We know it is = 18</answer>", 1.2, 2},
        {"<think>.</think>\n<answer>$18</answer>\n", 1.2, 2},
        {"<think>I could write <answer> now</think><answer>18</answer>", 1.05, 1},
        {"<think>a</think> So: <answer>18</answer>", 1.1, 1},
        {"<think>a</think><answer>18</answer> as I said", 1.15, 1},
        {"<answer>18</answer>", 1, 1},
        {"<think>a</think><answer>17</answer>", 0.2, 1},
        {"<think>x</think><answer>17</answer> \\boxed{18}", 0.15, 0},
        {"<think>x</think><answer>not 18</answer>", 0.2, 1},
        {"<think> the thinking </think> <answer> the answer </answer>\n9*2=18. \\boxed{18}", 0, 0},
        {"<think> reasoning process here </think> <answer> answer here </answer>", 0, 0},
        {"<think></think><answer></answer>\n9*2=18. The answer is 18.", 0.05, 0},
        {"<think></think><answer>18</answer>", 1.05, 1},
        {"<answer></answer><think></think> The answer is 18", 0, 0},
        {"</answer><answer><think></think> 9*2. The answer is 18", 0, 0},
        {"<answer>18</answer><think>16-3-4=9</think>", 0, 0},
        {"<think></think><answer>16</answer><answer>17</answer><answer>18</answer>", 0.05, 0},
        {"<think>a</think><answer>17</answer><answer>18</answer>", 0.1, 0},
        {"<think>a<answer>b</think>18</answer>", 0.05, 0},
        {"<think><answer>18</answer></think>", 0.05, 0},
        {"<think>a <answer>18</answer>", 0.05, 0},
        {"I write <think> and </think> and <answer> and </answer>. The answer is 18.", 0, 0},
        {"</think><answer>18</answer>", 0, 0},
        {"The answer is 18. \\boxed{18}", 0, 0},
        {"", 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str text = str_of(rows[i].completion);
        double graded = total(gsm8k_recipe, (struct str){0}, text, false),
               strict = total(zero_recipe, (struct str){0}, text, false);
        if (fabs(graded - rows[i].graded) > 1e-12 || fabs(strict - rows[i].strict) > 1e-12) {
            fail_msg("'%s': %g and %g", rows[i].completion, graded, strict);
        }
    }
}

static void what_was_cut_off_has_no_format(void **state)
{
    (void)state;
    struct str whole = STR("<think>a</think><answer>18</answer>");
    assert_near(total(gsm8k_recipe, (struct str){0}, whole, true), 1);
    assert_near(total(zero_recipe, (struct str){0}, whole, true), 1);
}

static void the_prompt_may_open_the_thinking(void **state)
{
    (void)state;
    struct str prompt = STR("User: 9*2?\nAssistant: <think>\n");
    assert_near(total(gsm8k_recipe, prompt, STR("9*2=18</think> <answer>18</answer>"), false), 1.2);
    assert_near(total(zero_recipe, prompt, STR("9*2=18</think> <answer>18</answer>"), false), 2);
    assert_near(total(zero_recipe, prompt, STR("9*2=18 <answer>18</answer>"), false), 0);
    assert_near(total(gsm8k_recipe, prompt, STR("<think>9*2=18</think> <answer>18</answer>"), false), 0);
}

/* Every stretch of the templates' own text that begins or ends with a tag. */
static void no_text_of_the_templates_is_paid(void **state)
{
    (void)state;
    static const char *const paths[] = {"recipes/templates/r1-zero.txt", "recipes/templates/r1-zero-think.txt"};
    for (size_t t = 0; t < sizeof paths / sizeof *paths; t++) {
        struct strbuf text = STRBUF_INIT;
        assert_int_equal(file_read(&text, paths[t], 1 << 16), ERR_NONE);
        struct str all = strbuf_view(&text);
        for (size_t begin = 0; begin < all.length; begin++) {
            for (size_t end = begin + 1; all.data[begin] == '<' && end <= all.length; end++) {
                struct str copy = str_slice(all, begin, end);
                assert_true(all.data[end - 1] != '>' || total(zero_recipe, all, copy, false) == 0);
                assert_true(all.data[end - 1] != '>' || total(gsm8k_recipe, all, copy, false) <= 0.05);
            }
        }
        strbuf_release(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_behaviour_is_paid),
        cmocka_unit_test(what_was_cut_off_has_no_format),
        cmocka_unit_test(the_prompt_may_open_the_thinking),
        cmocka_unit_test(no_text_of_the_templates_is_paid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/reward/tags_test.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/tags.h"
#include "tests/reward/fixture.h"

static void the_whole_shape_is_strict(void **state)
{
    (void)state;
    struct str think = {0}, answer = {0};
    assert_true(tags_strict(STR(" <think>a\0b</think>\n\t<answer> 42 </answer>\n"), false, &think, &answer));
    assert_true(str_equal(think, STR("a\0b")));
    assert_true(str_equal(answer, STR(" 42 ")));
    assert_true(tags_strict(STR("a</think><answer>b</answer>"), true, &think, &answer));
    assert_true(str_equal(think, STR("a")));
    assert_true(str_equal(answer, STR("b")));
}

static void other_shapes_are_not(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "a",
        "<think></think>",
        "<think></think><answer>1</answer>",
        "<think>a</think><answer> \n</answer>",
        "<answer>1</answer>",
        "x<think>a</think><answer>1</answer>",
        "<think>a</think>x<answer>1</answer>",
        "<think>a</think><answer>1</answer>x",
        "<think>a</think><answer>1</answer><answer>2</answer>",
        "<think>a<think>b</think><answer>1</answer>",
        "<think>a</think></think><answer>1</answer>",
        "<answer>1</answer><think>a</think>",
        "</think><think><answer>1</answer>",
        "<think>a</think></answer>1<answer>",
        "<Think>a</Think><answer>1</answer>",
        "<think>a</think><answer>1</answer",
        "<think>a<answer>1</answer></think>",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(tags_strict(str_of(wrong[i]), false, NULL, NULL));
    }
    assert_false(tags_strict(STR("<think>a</think><answer>1</answer>"), true, NULL, NULL));
    assert_false(tags_strict((struct str){0}, false, NULL, NULL));
    assert_false(tags_strict(STR("\xff<think>a</think><answer>1</answer>"), false, NULL, NULL));
}

static void the_last_answer_counts(void **state)
{
    (void)state;
    struct str answer = {0};
    assert_true(tags_answer(STR("<answer>1</answer> no: <answer>2</answer> so"), false, &answer));
    assert_true(str_equal(answer, STR("2")));
    assert_true(tags_answer(STR("<answer>1</answer><answer>2"), false, &answer));
    assert_true(str_equal(answer, STR("1")));
    assert_true(tags_answer(STR("<answer><answer></answer>"), false, &answer));
    assert_int_equal(answer.length, 0);
    assert_true(tags_answer(STR("<answer>1</answer></think><answer>2</answer>"), true, &answer));
    assert_true(str_equal(answer, STR("2")));
    static const char *const none[] = {"</answer><answer>",
                                       "<answer>1",
                                       "",
                                       "<think><answer>1</answer></think>",
                                       "<think><answer>1</answer>",
                                       "<answer>1</answer><think>a</think>",
                                       "<think>a</think><think><answer>1</answer>"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        assert_false(tags_answer(str_of(none[i]), false, &answer));
    }
    assert_false(tags_answer(STR("<answer>1</answer>"), true, &answer));
}

static void the_only_answer_is_one(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wrong;
        bool prefilled;
    } cases[] = {
        {"<think>a</think> so <answer>1</answer> !", NULL, false},
        {"<think>not <answer>2</answer></think><answer>1</answer>", NULL, false},
        {"<answer>1</answer>", NULL, false},
        {"a</think><answer>1</answer>", NULL, true},
        {"<answer>1</answer>", "the reasoning does not end", true},
        {"<think>a</think><answer>1</answer><answer>1</answer>", "more than one answer tag", false},
        {"<think>a</think><answer>1<answer>1</answer>", "more than one answer tag", false},
        {"<think>a</think><answer> </answer>", "the answer tag is empty", false},
        {"<think>a</think>1", "no answer tag", false},
        {"<answer>1</answer><think>a</think>", "no answer tag", false},
        {"</think><answer>1</answer>", "the tags of thinking are not one pair", false},
        {"</think><think></think><answer>1</answer>", "the tags of thinking are not one pair", false},
        {"<think>a</think>b</think><answer>1</answer>", "the tags of thinking are not one pair", false},
        {"<think>a</think><answer>1</answer>", "the tags of thinking are not one pair", true},
        {"<think>a <answer>1</answer>", "the reasoning does not end", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str answer;
        const char *wrong = tags_only_answer(str_of(cases[i].text), cases[i].prefilled, &answer);
        assert_string_equal(wrong ? wrong : "", cases[i].wrong ? cases[i].wrong : "");
        assert_true(wrong || str_equal(answer, STR("1")));
    }
}

static void the_share_counts_tags_in_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool prefilled;
        int quarters; /* thirds when prefilled */
    } cases[] = {
        {"<think>a</think><answer>b</answer>", false, 4},
        {"\n<think>a</think>\n<answer> b </answer>\n", false, 4},
        {"<think>a", false, 1},
        {"<think>a</think>", false, 2},
        {"<think>a</think><answer>b", false, 3},
        {"<think>a</think><answer>b</answer> c", false, 3},
        {"<think>a</think> so <answer>b</answer>", false, 2},
        {"<think>a</think><answer></answer>", false, 2},
        {"<think>a</think><answer>b</answer><answer>c</answer>", false, 2},
        {"<think></think><answer>b</answer>", false, 1},
        {"<think>a<answer>b</think>c</answer>", false, 1},
        {"<think><think>a</think><answer>b</answer>", false, 0},
        {"a <think>b</think><answer>c</answer>", false, 0},
        {"</think><think>", false, 0},
        {"<answer>b</answer><think>a</think>", false, 0},
        {"", false, 0},
        {"a</think><answer>b</answer>", true, 3},
        {"a</think>", true, 1},
        {"</think><answer>b</answer>", true, 0},
        {"<think>a</think><answer>b</answer>", true, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double share = tags_share(str_of(cases[i].text), cases[i].prefilled, (struct str){0});
        assert_near(share, cases[i].quarters / (cases[i].prefilled ? 3.0 : 4.0));
    }
}

static void a_copy_of_the_template_is_nothing(void **state)
{
    (void)state;
    static const char *const copies[][2] = {{"the thinking", "5"},  {"reasoning process here", "5"},
                                            {"a", " the answer "},  {"a", "[your final answer here]"},
                                            {"...", "5"},           {"a", "\xe2\x80\xa6"},
                                            {"I work it out", "5"}, {"a", "so and so"}};
    struct str prompt =
        STR("Write <think> I work it out </think> <answer> so and so </answer>. 1+1? <answer>2</answer>");
    for (size_t i = 0; i < sizeof copies / sizeof *copies; i++) {
        assert_true(tags_copied(str_of(copies[i][0]), str_of(copies[i][1]), prompt));
    }
    static const char *const own[][2] = {
        {"thinking of the eggs", "2"}, {"a", "the answer is 5"}, {".", "x"}, {"a", "B"}};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        assert_false(tags_copied(str_of(own[i][0]), str_of(own[i][1]), prompt));
    }
    assert_near(tags_share(STR("<think> the thinking </think> <answer> the answer </answer>"), false, prompt), 0);
}

static void a_prompt_opens_the_thinking(void **state)
{
    (void)state;
    assert_true(tags_prefilled(true, (struct str){0}));
    assert_true(tags_prefilled(false, STR("Assistant: <think>\n")));
    assert_false(tags_prefilled(false, STR("Use <think>: </think>")));
    assert_false(tags_prefilled(false, (struct str){0}));
}

static void check_part(struct str text, const char *part, const char *want)
{
    struct str got = {0};
    bool found = tags_part(text, tags_part_of(part), &got);
    assert_true(found == (want != NULL));
    assert_true(!found || str_equal(got, str_of(want)));
}

static void parts_are_found(void **state)
{
    (void)state;
    struct str whole = STR("<think>a</think>b<answer>c</answer>d");
    check_part(whole, "all", "<think>a</think>b<answer>c</answer>d");
    check_part(whole, "thinking", "a");
    check_part(whole, "rest", "b<answer>c</answer>d");
    check_part(whole, "answer", "c");
    check_part(STR("a</think>b</think>c"), "thinking", "a");
    check_part(STR("a</think>b</think>c"), "rest", "c");
    check_part(STR("a<answer>b</answer>"), "thinking", "a");
    check_part(STR("<think>a"), "thinking", "a");
    check_part(STR("<think>a"), "rest", NULL);
    check_part(STR("</think><think>a"), "thinking", "a");
    check_part(STR("a"), "thinking", "a");
    check_part(STR("a"), "rest", "a");
    check_part(STR("a"), "answer", NULL);
    check_part((struct str){0}, "thinking", "");
    check_part((struct str){0}, "rest", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_shape_is_strict),
        cmocka_unit_test(other_shapes_are_not),
        cmocka_unit_test(the_last_answer_counts),
        cmocka_unit_test(the_share_counts_tags_in_their_place),
        cmocka_unit_test(parts_are_found),
        cmocka_unit_test(the_only_answer_is_one),
        cmocka_unit_test(a_copy_of_the_template_is_nothing),
        cmocka_unit_test(a_prompt_opens_the_thinking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

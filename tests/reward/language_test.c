/* tests/reward/language_test.c - against tests/golden/make_rewards.py, and what is not in there.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/script.h"
#include "tests/reward/fixture.h"

static void scores_are_those_of_the_reference(void **state)
{
    (void)state;
    check_golden("language");
}

static void the_thinking_is_looked_at(void **state)
{
    (void)state;
    static const char text[] = "<think>so \xe5\xa5\xbd we go</think>\xe4\xbb\x8a\xe5\xa4\xa9";
    assert_score(judge_once("language", text, "{}"), 0.75);
    assert_score(judge_once("language:part=rest", text, "{}"), 0);
    assert_score(judge_once("language:part=rest,language=zh", text, "{}"), 1);
    assert_score(judge_once("language:unit=letters", text, "{}"), 6 / 7.0);
}

/* Nowhere to put what is not to count. */
static void another_language_has_no_place_to_hide(void **state)
{
    (void)state;
#define HAN "\xe4\xbb\x8a\xe5\xa4\xa9"
    assert_score(judge_once("language", HAN " <think>word</think> " HAN, "{}"), 1 / 3.0);
    assert_score(judge_once("language", "so we go <answer>\xe4\xbb\x8a</answer>", "{}"), 0.75);
    assert_score(judge_once("language", HAN, "{}"), 0);
    assert_score(judge_once("language", "<think></think>" HAN, "{}"), 0);
    assert_score(judge_once("language", "<think>1 + 1 = 2</think><answer>" HAN "</answer>", "{}"), 0);
    assert_score(judge_once("language", "<think>1 + 1 = 2</think><answer>two</answer>", "{}"), 1);
    assert_score(judge_once("language", "so " HAN "</think> so", "{}"), 1 / 3.0);
    assert_score(judge_once("language:part=answer", HAN "<answer>2</answer>", "{}"), 0);
    assert_int_equal(judge_once("language", "<think>1</think><answer>2</answer>", "{}").kind, VERDICT_ABSTAIN);
}

static void formulas_are_of_no_language(void **state)
{
    (void)state;
    assert_score(judge_once("language:language=zh", "\xe6\x89\x80\xe4\xbb\xa5 $\\frac{x}{y} = 3$", "{}"), 1);
    assert_score(judge_once("language:language=zh", "\xe6\x89\x80\xe4\xbb\xa5 so", "{}"), 2 / 3.0);
    assert_int_equal(judge_once("language", "3 + 4 = 7", "{}").kind, VERDICT_ABSTAIN);
    assert_int_equal(judge_once("language", "", "{}").kind, VERDICT_ABSTAIN);
}

static void an_item_may_name_its_language(void **state)
{
    (void)state;
    struct judge judge = judge_open("language:field=lang");
    assert_score(judge_text(&judge, STR("\xd0\xb4\xd0\xb0 yes"), "{\"lang\": \"ru\"}"), 0.5);
    assert_score(judge_text(&judge, STR("\xd0\xb4\xd0\xb0"), "{\"lang\": \"en\"}"), 0);
    assert_reason(judge_text(&judge, STR("a"), "{}"), VERDICT_ERROR, "missing field 'lang'");
    assert_reason(judge_text(&judge, STR("a"), "{\"lang\": 3}"), VERDICT_ERROR, "missing field 'lang'");
    assert_reason(judge_text(&judge, STR("a"), "{\"lang\": \"xx\"}"), VERDICT_ERROR, "there is no language 'xx'");
    judge_close(&judge);
    struct reward_part part;
    assert_int_equal(reward_part_open(&part, "language:language=english"), ERR_USAGE);
    assert_true(str_starts(str_of(err_text()), STR("reward language: there is no language 'english'; the known ones "
                                                   "are am ar bg")));
}

static void broken_bytes_are_no_letters(void **state)
{
    (void)state;
    struct judge judge = judge_open("language");
    assert_score(judge_text(&judge, STR("yes\xff no\0 \xc3\xbc\xc3\xbc \xe4\xbb\x8a \xe4\xbb"), "{}"), 0.75);
    judge_close(&judge);
}

static void long_words_need_no_stack(void **state)
{
    (void)state;
    struct strbuf text = STRBUF_INIT;
    for (int i = 0; i < 200000; i++) {
        strbuf_puts(&text, "\xc3\xa9\xcc\x81z");
    }
    strbuf_puts(&text, " \xd0\xb4");
    for (int i = 0; i < 200000; i++) {
        strbuf_puts(&text, "\xd0\xb0");
    }
    struct script *script;
    assert_int_equal(script_open(&script, "en"), ERR_NONE);
    struct script_count count = script_count(script, strbuf_view(&text));
    script_close(script);
    strbuf_release(&text);
    assert_int_equal(count.words, 2);
    assert_int_equal(count.of_language, 1);
    assert_int_equal(count.letters, 600001);
    assert_int_equal(count.letters_of_it, 400000);
}

static void every_language_has_a_pattern(void **state)
{
    (void)state;
    const char *scripts, *name;
    int n = 0;
    for (; (name = script_language(n, &scripts)); n++) {
        struct script *script;
        assert_int_equal(script_open(&script, name), ERR_NONE);
        struct script_count count = script_count(script, STR("two words"));
        assert_int_equal(count.of_language, strcmp(scripts, "Latin") == 0 ? 2 : 0);
        script_close(script);
    }
    assert_true(n > 40);
    assert_null(script_language(-1, &scripts));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_those_of_the_reference), cmocka_unit_test(the_thinking_is_looked_at),
        cmocka_unit_test(formulas_are_of_no_language),       cmocka_unit_test(an_item_may_name_its_language),
        cmocka_unit_test(broken_bytes_are_no_letters),       cmocka_unit_test(long_words_need_no_stack),
        cmocka_unit_test(every_language_has_a_pattern),      cmocka_unit_test(another_language_has_no_place_to_hide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

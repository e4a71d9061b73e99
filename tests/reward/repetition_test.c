/* tests/reward/repetition_test.c - against tests/golden/make_rewards.py, and what is not in there.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/reward/fixture.h"

static void scores_are_those_of_the_reference(void **state)
{
    (void)state;
    check_golden("repetition");
}

static void broken_bytes_are_units(void **state)
{
    (void)state;
    struct judge judge = judge_open("repetition:ngram_size=1");
    assert_score(judge_text(&judge, STR("\xff \xff \xfe \0 \0"), "{}"), -0.4);
    assert_reason(judge_text(&judge, STR("a b a"), "{}"), VERDICT_OK, "1 of 3 repeated");
    judge_close(&judge);
    judge = judge_open("repetition:ngram_size=2,unit=characters");
    assert_score(judge_text(&judge, STR("\xff\xff\xff\xff\xff"), "{}"), -0.75);
    assert_score(judge_text(&judge, STR("\xe4\xbb\x8a"), "{}"), 0);
    judge_close(&judge);
}

static void long_texts_take_little_time(void **state)
{
    (void)state;
    struct strbuf text = STRBUF_INIT;
    while (text.length < 300000) {
        strbuf_puts(&text, "so we get to the same place again, and ");
    }
    struct judge judge = judge_open("repetition:ngram_size=20");
    double start = clock_seconds();
    struct verdict v = judge_text(&judge, strbuf_view(&text), "{}");
    assert_true(v.score < -0.99 && v.score > -1);
    assert_true(clock_seconds() - start < 5);
    judge_close(&judge);
    strbuf_release(&text);
}

/* However it is written, the same word again and again costs about all. */
static void one_word_without_end_is_repeated(void **state)
{
    (void)state;
    static const char *const between[] = {"", " ", "\xe2\x80\x8b", "\xe2\x80\x8c \xe2\x80\x8b", "\xc2\xad"};
    struct judge judge = judge_open("repetition");
    for (int form = 0; form < 8; form++) {
        struct strbuf text = STRBUF_INIT;
        for (int i = 0; i < 300; i++) {
            if (form < 5) {
                strbuf_printf(&text, "wait%s", between[form]);
            } else if (form < 7) { /* the break moves */
                strbuf_printf(&text, "wa%.*sit%s", i % 3 == 0 ? 3 : 0, "\xe2\x80\x8b", form == 5 ? " " : "");
            } else {
                strbuf_printf(&text, "Wait%d ", i);
            }
        }
        struct verdict v = judge_text(&judge, strbuf_view(&text), "{}");
        if (!(v.score < -0.9)) {
            fail_msg("form %d: %g, %s", form, v.score, v.reason);
        }
        strbuf_release(&text);
    }
    judge_close(&judge);
}

static void a_long_word_alone_costs_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "see https://example.org/a/rather/long/path/of/no/repeated/parts?with=a&query=string for more",
        "$\\frac{-b\\pm\\sqrt{b^2-4ac}}{2a}=\\frac{-3\\pm\\sqrt{9-8}}{2}\\in\\{-1,-2\\}$ are the roots",
        "x1 + x2 = 3, x3 + x4 = 5 and 1 + 2 = 3, 4 + 5 = 9",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_score(judge_once("repetition", texts[i], "{}"), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_those_of_the_reference), cmocka_unit_test(broken_bytes_are_units),
        cmocka_unit_test(long_texts_take_little_time),       cmocka_unit_test(one_word_without_end_is_repeated),
        cmocka_unit_test(a_long_word_alone_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/base/str_test.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"

static void distance_counts_edits(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        int want;
    } cases[] = {{"", "", 0}, {"abc", "abc", 0}, {"beta", "btea", 1}, {"epsilon", "epsilon_high", 5}, {"", "abc", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(str_distance(cases[i].a, cases[i].b), cases[i].want);
        assert_int_equal(str_distance(cases[i].b, cases[i].a), cases[i].want);
    }
}

static void find_works_at_the_edges(void **state)
{
    (void)state;
    struct str text = STR("a\0bab");
    assert_int_equal(str_find(text, STR("ab"), 0), 3);
    assert_int_equal(str_find(text, STR("\0b"), 0), 1);
    assert_int_equal(str_find(text, STR("b"), 5), -1);
    assert_int_equal(str_find(text, STR("b"), 6), -1);
    assert_int_equal(str_find(text, STR(""), 5), 5);
    assert_int_equal(str_find((struct str){0}, STR("a"), 0), -1);
    assert_int_equal(str_find_last(text, STR("a")), 3);
    assert_int_equal(str_find_last(text, STR("x")), -1);
    assert_int_equal(str_find_last(text, STR("")), text.length);
    assert_int_equal(str_find_last(STR("</a></b>"), STR("</a>")), 0);
    assert_int_equal(str_find_last((struct str){0}, STR("")), 0);
}

static void numbers_are_whole_or_refused(void **state)
{
    (void)state;
    int64_t i = 7;
    double d = 7;
    assert_true(str_to_int(STR("-12"), &i));
    assert_int_equal(i, -12);
    assert_false(str_to_int(STR("12 "), &i));
    assert_false(str_to_int(STR("9223372036854775808"), &i));
    assert_false(str_to_int(STR(""), &i));
    assert_int_equal(i, -12);
    assert_true(str_to_double(STR("1e-3"), &d));
    assert_true(d == 1e-3);
    assert_false(str_to_double(STR("nan"), &d));
    assert_false(str_to_double(STR("0x10"), &d));
    assert_false(str_to_double(STR("1e999"), &d));
}

static void utf8_is_checked(void **state)
{
    (void)state;
    assert_int_equal(str_utf8_prefix(STR("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80")), 10);
    assert_int_equal(str_utf8_prefix(STR("a\xC3")), 1);
    assert_int_equal(str_utf8_prefix(STR("\xC0\xAF")), 0);         /* overlong */
    assert_int_equal(str_utf8_prefix(STR("\xED\xA0\x80")), 0);     /* surrogate */
    assert_int_equal(str_utf8_prefix(STR("\xF4\x90\x80\x80")), 0); /* past the last code point */
}

static void json_text_is_always_valid(void **state)
{
    (void)state;
    struct strbuf out = STRBUF_INIT;
    strbuf_add_json(&out, STR("q\"\\\n\x01\xFF\0"));
    assert_string_equal(out.data, "q\\\"\\\\\\n\\u0001\xEF\xBF\xBD\\u0000");
    strbuf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distance_counts_edits),        cmocka_unit_test(find_works_at_the_edges),
        cmocka_unit_test(numbers_are_whole_or_refused), cmocka_unit_test(utf8_is_checked),
        cmocka_unit_test(json_text_is_always_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

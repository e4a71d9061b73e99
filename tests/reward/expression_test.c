/* tests/reward/expression_test.c - values are in countdown_test.c, against tests/golden/make_rewards.py.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "reward/expression.h"

static void faults_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", "not an expression"},
        {"  ", "not an expression"},
        {"2**3", "not an expression"},
        {"7//2", "not an expression"},
        {"2^3", "not an expression"},
        {"-2", "not an expression"},
        {"+2", "not an expression"},
        {"2*-3", "not an expression"},
        {"(-2)", "not an expression"},
        {"1 2", "not an expression"},
        {"2(3)", "not an expression"},
        {"(2)(3)", "not an expression"},
        {"07", "not an expression"},
        {"1.5", "not an expression"},
        {"1e3", "not an expression"},
        {"0x10", "not an expression"},
        {"1_000", "not an expression"},
        {"abs(3)", "not an expression"},
        {"2%3", "not an expression"},
        {"2,3", "not an expression"},
        {"()", "not an expression"},
        {"(2", "not an expression"},
        {"2)", "not an expression"},
        {"2+", "not an expression"},
        {"2=2", "not an expression"},
        {"2\xc3\x97"
         "3",
         "not an expression"},
        {"\xd9\xa3", "not an expression"},
        {"1/0", "division by zero"},
        {"1/(2-2)", "division by zero"},
        {"0/(3-2-1)", "division by zero"},
        {"9223372036854775808", "number too large"},
        {"9223372036854775807+1", "number too large"},
        {"4294967296*4294967296", "number too large"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct expression e = {.n = -1};
        assert_string_equal(expression_evaluate(str_of(cases[i].text), &e), cases[i].want);
        assert_int_equal(e.n, -1);
    }
    struct expression e;
    assert_string_equal(expression_evaluate(STR("1+\0002"), &e), "not an expression");
    assert_string_equal(expression_evaluate(STR("1\0"), &e), "not an expression");
    assert_non_null(expression_evaluate((struct str){0}, &e));
}

static void values_and_numbers_are_exact(void **state)
{
    (void)state;
    struct expression e;
    assert_null(expression_evaluate(STR(" ( 8 /\n(3 - 8 / 3) )\t"), &e));
    assert_true(e.value.num == 24 && e.value.den == 1);
    static const int64_t want[] = {8, 3, 8, 3};
    assert_int_equal(e.n, 4);
    assert_memory_equal(e.numbers, want, sizeof want);
    assert_null(expression_evaluate(STR("9223372036854775807"), &e));
    assert_true(e.value.num == INT64_MAX);
    assert_null(expression_evaluate(STR("2-3-4"), &e));
    assert_true(e.value.num == -5);
    assert_null(expression_evaluate(STR("0"), &e));
    assert_true(e.value.num == 0 && e.n == 1);
}

static void limits_hold(void **state)
{
    (void)state;
    struct strbuf text = STRBUF_INIT;
    struct expression e;
    for (int depth = EXPRESSION_MAX_DEPTH; depth <= EXPRESSION_MAX_DEPTH + 1; depth++) {
        strbuf_clear(&text);
        for (int i = 0; i < depth; i++) {
            strbuf_putc(&text, '(');
        }
        strbuf_putc(&text, '1');
        for (int i = 0; i < depth; i++) {
            strbuf_putc(&text, ')');
        }
        const char *fault = expression_evaluate(strbuf_view(&text), &e);
        assert_true((fault == NULL) == (depth == EXPRESSION_MAX_DEPTH));
    }
    strbuf_clear(&text);
    for (int i = 0; i < EXPRESSION_MAX_NUMBERS; i++) {
        strbuf_puts(&text, i ? "+1" : "1");
    }
    assert_null(expression_evaluate(strbuf_view(&text), &e));
    assert_int_equal(e.value.num, EXPRESSION_MAX_NUMBERS);
    strbuf_puts(&text, "+1");
    assert_string_equal(expression_evaluate(strbuf_view(&text), &e), "too many numbers");
    while (text.length <= EXPRESSION_MAX_BYTES) {
        strbuf_putc(&text, ' ');
    }
    assert_string_equal(expression_evaluate(strbuf_view(&text), &e), "expression too long");
    strbuf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_are_named),
        cmocka_unit_test(values_and_numbers_are_exact),
        cmocka_unit_test(limits_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

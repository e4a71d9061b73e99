/* tests/reward/code/compare_test.c - how a program's output is compared.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "reward/code/compare.h"

static bool same(enum compare_type type, const char *got, const char *want)
{
    struct compare compare = {type, 1e-6, 1e-6};
    return compare_texts(&compare, str_of(got), str_of(want));
}

static void lines_forgive_only_their_ends(void **state)
{
    (void)state;
    assert_true(same(COMPARE_LINES, "1 2\n3\n", "1 2\n3"));
    assert_true(same(COMPARE_LINES, "1 2  \t\r\n3\r\n\n\n", "1 2\n3\n"));
    assert_true(same(COMPARE_LINES, "", "\n \n"));
    assert_false(same(COMPARE_LINES, "1  2\n", "1 2\n"));
    assert_false(same(COMPARE_LINES, " 1\n", "1\n"));
    assert_false(same(COMPARE_LINES, "1\n\n2\n", "1\n2\n"));
    assert_false(same(COMPARE_LINES, "1\n", "1\n2\n")); /* a prefix is not enough */
    assert_false(same(COMPARE_LINES, "1\n2\n", "1\n"));
    assert_false(same(COMPARE_LINES, "yes", "YES"));
    assert_false(same(COMPARE_LINES, "", "0"));
}

static void tokens_forgive_layout(void **state)
{
    (void)state;
    assert_true(same(COMPARE_TOKENS, "1\n2   3", "1 2\n3\n"));
    assert_false(same(COMPARE_TOKENS, "1 2", "1 2 3"));
    assert_false(same(COMPARE_TOKENS, "12 3", "1 23"));
}

static void floats_have_a_tolerance(void **state)
{
    (void)state;
    assert_true(same(COMPARE_FLOAT, "0.3333333 x\n", "0.33333333 x\n"));
    assert_true(same(COMPARE_FLOAT, "1.0\n", "1\n"));
    assert_true(same(COMPARE_FLOAT, "1000000.5", "1000000.4"));
    assert_false(same(COMPARE_FLOAT, "0.3334", "0.3333"));
    assert_false(same(COMPARE_FLOAT, "1000001", "1000000")); /* whole on both sides */
    assert_false(same(COMPARE_FLOAT, "12345678901234567891", "12345678901234567890"));
    assert_false(same(COMPARE_FLOAT, "nan", "nan"));
    assert_false(same(COMPARE_FLOAT, "inf", "-Infinity"));
    assert_false(same(COMPARE_FLOAT, "nan", "0.5"));
    assert_false(same(COMPARE_FLOAT, "1.0 2.0", "1.0\n2.0")); /* the words of each line */
}

static void exact_is_exact(void **state)
{
    (void)state;
    assert_true(same(COMPARE_EXACT, "a\n", "a\n"));
    assert_false(same(COMPARE_EXACT, "a", "a\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_forgive_only_their_ends),
        cmocka_unit_test(tokens_forgive_layout),
        cmocka_unit_test(floats_have_a_tolerance),
        cmocka_unit_test(exact_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/reward/math/num_test.c - values of trees against the C library's, and the modular test against known identities.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "reward/math/parse.h"
#include "reward/math/value.h"

static struct math_node *read(struct math_work *work, const char *text)
{
    struct math_tokens tokens;
    struct math_tree tree;
    assert_true(math_lex(work, str_of(text), 0, &tokens));
    math_parse(work, &tokens, &tree);
    if (!tree.root) {
        fail_msg("'%s': %s", text, tree.wrong);
    }
    return tree.root;
}

static void values_are_those_of_libm(void **state)
{
    (void)state;
    const struct {
        const char *text;
        double value;
    } cases[] = {
        {"\\sin 1 + \\cos 2", sin(1) + cos(2)},
        {"\\tan^2 1", tan(1) * tan(1)},
        {"\\arctan 3 - \\arcsin\\frac13", atan(3) - asin(1. / 3)},
        {"\\sec 1 \\csc 2 \\cot 3", 1 / cos(1) / sin(2) / tan(3)},
        {"\\ln 10 + \\log_3 7 + \\log 5", log(10) + log(7) / log(3) + log10(5)},
        {"e^{\\pi}", exp(M_PI)},
        {"\\sqrt[5]{-7} + 2^{2/3}", -pow(7, 0.2) + pow(2, 2. / 3)},
        {"\\sinh 1 \\cosh 2 \\tanh 3", sinh(1) * cosh(2) * tanh(3)},
        {"|{-3}| + \\lfloor 2.7 \\rfloor + \\lceil 2.1 \\rceil", 8},
        {"\\binom{10}{4} + 5!", 330},
        {"\\sum_{k=1}^{10} \\frac1k", 7381. / 2520},
        {"\\prod_{k=1}^5 (2k-1)", 945},
        {"\\max(2,7) - \\min(3,4) + \\gcd(12,18) + \\operatorname{lcm}(4,6)", 22},
        {"17 \\bmod 5", 2},
        {"45^\\circ + 50\\%", M_PI / 4 + 0.5},
        {"1.5e3 + .25", 1500.25},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = ARENA_INIT;
        struct math_work work = {.arena = &arena, .budget = MATH_BUDGET};
        long double value;
        if (!math_num_real(&work, read(&work, cases[i].text), 0, &value) ||
            fabs((double)value - cases[i].value) > 1e-13 * fabs(cases[i].value)) {
            fail_msg("%s = %.17Lg, not %.17g", cases[i].text, value, cases[i].value);
        }
        arena_release(&arena);
    }
}

static enum math_zero test(const char *a, const char *b)
{
    static const struct math_options options = {0};
    struct arena arena = ARENA_INIT;
    struct math_check check = {.work = {.arena = &arena, .budget = MATH_BUDGET}, .options = &options, .seed = 7};
    struct math_node *x = read(&check.work, a), *y = read(&check.work, b);
    enum math_zero zero = math_value_zero(&check, x, y);
    arena_release(&arena);
    return zero;
}

static void zero_is_told_from_almost_zero(void **state)
{
    (void)state;
    assert_int_equal(test("\\sqrt2\\sqrt3", "\\sqrt6"), ZERO_YES);
    assert_int_equal(test("\\sqrt{2}+\\sqrt{3}", "\\sqrt{5+2\\sqrt6}"), ZERO_YES);
    assert_int_equal(test("\\sqrt{1000000}", "1000"), ZERO_YES);
    assert_int_equal(test("\\sqrt{999983}", "999.9915"), ZERO_NO);
    assert_int_equal(test("\\frac{1}{1000!}", "\\frac{1}{1001!}"), ZERO_NO);
    assert_int_equal(test("\\frac{1001!}{1000!}", "1001"), ZERO_YES);
    assert_int_equal(test("2^{-5000}", "2^{-5001}"), ZERO_NO);
    assert_int_equal(test("e^{2^{-2000}}", "1"), ZERO_UNKNOWN);
    assert_int_equal(test("\\sin^2 3 + \\cos^2 3", "1"), ZERO_YES);
    assert_int_equal(test("\\pi", "\\frac{355}{113}"), ZERO_NO);
    assert_int_equal(test("e^{\\pi\\sqrt{163}}", "262537412640768744"), ZERO_NO);
    assert_int_equal(test("\\frac{1}{0}", "\\frac{1}{0}"), ZERO_UNKNOWN);
    assert_int_equal(test("x+y", "y+x"), ZERO_YES);
    assert_int_equal(test("x^{100}", "x^{101}"), ZERO_NO);
    assert_int_equal(test("\\ln x^2", "2\\ln x"), ZERO_YES);
    assert_int_equal(test("\\sqrt{x^2}", "|x|"), ZERO_YES);
    assert_int_equal(test("\\sqrt{x^2}", "x"), ZERO_NO);
    assert_int_equal(test("\\lfloor x \\rfloor", "x"), ZERO_NO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_those_of_libm),
        cmocka_unit_test(zero_is_told_from_almost_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

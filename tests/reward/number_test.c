/* tests/reward/number_test.c - what is one plain number, and what only looks like it, in every place that an answer has.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "reward/number.h"
#include "tests/reward/judge.h"

/* None of these is 23. */
static const char *const others[] = {
    "not 23",
    "isn't 23",
    "is not 23",
    "never 23",
    "23 thousand",
    "23 million",
    "23 hundred",
    "23k",
    "23K",
    "23 k",
    "23M",
    "23 dozen",
    "23dozen",
    "23^2",
    "23^{2}",
    "23\302\262",
    "23!",
    "23!!",
    "23x",
    "23 x",
    "23y",
    "23xy",
    "23ab",
    "\\sqrt{23}",
    "\\sqrt23",
    "\342\210\23223",
    "23\\pi",
    "23\317\200",
    "23 pi",
    "\\log(23)",
    "log(23)",
    "ln 23",
    "sin(23)",
    "x^{23}",
    "x^23",
    "a_{23}",
    "a_23",
    "x_{23}",
    "\\frac{23}{}",
    "\\frac{}{23}",
    "\\frac{23}{2}",
    "\\frac{2}{23}",
    "23\302\275",
    "23\302\276",
    "23\342\205\223",
    "23\342\205\220",
    "\\text{minus }23",
    "\\text{negative }23",
    "minus 23",
    "negative 23",
    "\342\200\22323",
    "\342\210\22223",
    "\342\200\22423",
    "\357\274\21523",
    "\357\271\24323",
    "\342\200\22123",
    "\342\200\22223",
    "-23",
    "-$23",
    "-\\$23",
    "- 23",
    "-(23)",
    "-\\text{23}",
    "-\\mathbf{23}",
    "-**23**",
    "-\342\202\25423",
    "\342\210\222\342\202\25423",
    "-USD 23",
    "\\neq 23",
    "\\ne 23",
    "\342\211\24023",
    "!= 23",
    "x != 23",
    "x \\neq 23",
    "<23",
    ">23",
    "< 23",
    "\\lt 23",
    "\342\211\244 23",
    "\\le 23",
    "\\geq 23",
    "\342\211\24523",
    "more than 23",
    "less than 23",
    "at least 23",
    "at most 23",
    "over 23",
    "under 23",
    "above 23",
    "below 23",
    "up to 23",
    "almost 23",
    "nearly 23",
    "close to 23",
    "greater than 23",
    "fewer than 23",
    "no more than 23",
    "no less than 23",
    "22 = 23",
    "3 = 23",
    "3=23",
    "23 = 22",
    "23=19",
    "22=23=23",
    "2x = 23",
    "x^2 = 23",
    "-x = 23",
    "x/2 = 23",
    "1/x = 23",
    "x! = 23",
    "\\sqrt{x} = 23",
    "2 * 10 = 23",
    "not known, 23",
    "23 or 22",
    "23 or 19",
    "22 or 23",
    "22, 23",
    "23, 19",
    "23 and 19",
    "23/19",
    "23-19",
    "22-23",
    "16 - 23",
    "23 + 1",
    "23+",
    "23 - 1",
    "23*2",
    "23 \\times 2",
    "23 \\cdot 3",
    "2 \\cdot 23",
    "2(23)",
    "(2)(23)",
    "23(2)",
    "23e2",
    "2.3e3",
    "23e1",
    "23.5",
    "230",
    "1,8",
    "23 1/2",
    "1/23",
    "23%x",
    "twice 23",
    "double 23",
    "half of 23",
    "a third of 23",
    "23 squared",
    "23 cubed",
    "23 factorial",
    "square of 23",
    "the square root of 23",
    "23th",
    "the 23th",
    "23 times 2",
    "23 times x",
    "23 plus 1",
    "23 minus 1",
    "23 billion",
    "23 trillion",
    "23bn",
    "23 lakh",
    "23 crore",
    "23 score",
    "23 grand",
    "23 and a half",
    "one 23 nineteen",
    "23 nineteen",
    "23 base 9",
    "23_9",
    "23_{9}",
    "23?",
    "23...",
    "23 is wrong",
    "23 (wrong)",
    "wrong: 23",
    "23 is incorrect",
    "neither 22 nor 23",
    "either 22 or 23",
    "anything but 23, maybe 22",
    "between 22 and 23",
    "23 \302\261 1",
    "\302\26123",
    "\\pm 23",
    "|23|x",
    "23 mod 5",
    "23 \\mod 5",
    "23i",
    "23e",
    "23\\%x",
    "\\{23\\}x",
    "23\344\270\207",
    "23\345\215\203",
    "\344\270\215\346\230\25723",
    "23\347\232\204\345\271\263\346\226\271",
    "23\345\200\215\345\215\212",
    "23 or so",
    "23 or more",
    "23 at least",
    "23 more than that",
    "23 less than that",
    "23 \\text{ thousand}",
    "23\\text{k}",
    "23 \\text{ million}",
    "23 \\text{ dozen}",
    "23\\,000",
    "23 000",
    "23'000",
    "23_000",
    "23,000",
    "\\overline{23}3",
    "0x23",
    "23.23",
    "23:30",
    "3:23",
    "23\\div 2",
    "23\303\2672",
    "23 divided by 2",
    "23 ** 2",
    "23**2",
    "f(23)",
    "\\sin 23",
    "P(23)",
    "\\binom{23}{2}",
    "C_{23}",
    "23 choose 2",
    "x = 22 = 23",
    "\\approx 22",
    "-\\$\\,23",
    "-\\!23",
    "-~23",
    "-\\,23",
    "-\\displaystyle 23",
    "\\text{-}23",
    "-\302\24523",
    "minus $23",
    "not equal to 23",
    "doesn't equal 23",
    "23? No, 22",
    "22 is not 23",
    "unknown",
    "$23 thousand",
    "$23k",
    "$23 million",
    "$23M",
    "\\$23 \\text{ million}",
    "23 millions",
    "23 thousands",
    "23 tens",
    "23 tenths",
    "23 hundredths",
    "23 halves",
    "23-fold thousand",
    "1 less than 23",
    "23 short",
    "the opposite of 23",
    "the reciprocal of 23",
    "the inverse of 23",
    "reciprocal 23",
    "maybe 23",
    "perhaps 23",
    "if 23",
    "23 if x = 2",
    "23^\\prime",
    "\\ln 23",
    "e^{23}",
    "e^23",
    "2^{23}",
    "10^{23}",
    "10^23",
    "23 \\times 10^3",
    "23 x 10^3",
    "23\302\26710^2",
    "23 \342\200\260",
    "\342\202\20123",
    "23\342\202\201",
    "23\302\271",
    "23\342\201\260",
    "\302\27123",
    "\342\201\27323",
    "23\342\201\273\302\271",
    "23 more",
    "23 less",
    "23 fewer",
};

/* Each of these is. */
static const char *const same[] = {
    "23",
    "23.0",
    "23.00",
    "$23",
    "\\$23",
    "$23$",
    "23 dollars",
    "23 apples",
    "+23",
    "023",
    "23 eggs left over",
    "23%",
    "23\\%",
    "23 percent",
    "\342\202\25423",
    "\302\24323",
    "23\342\202\254",
    "23 USD",
    "USD 23",
    "Rs. 23",
    "23 cm",
    "23cm",
    "23\\text{ cm}",
    "23\\text{ cm}^2",
    "23 cm\302\262",
    "23 m",
    "23 kg",
    "x = 23",
    "x=23",
    "\\text{Total} = 23",
    "Total = \\$23",
    "20 + 3 = 23",
    "20+3=23",
    "46/2",
    "46/2 = 23",
    "\\frac{46}{2} = 23",
    "23/1",
    "\\frac{23}{1}",
    "\\frac{46}{2}",
    "\357\274\222\357\274\223",
    "2.3e1",
    "2.3 \\times 10^1",
    "2.3 x 10^{1}",
    "**23**",
    "*23*",
    "`23`",
    "\"23\"",
    "(23)",
    "\\textbf{23}",
    "\\mathbf{23}",
    "\\text{23}",
    "\\boxed{23}",
    "<b>23</b>",
    "<strong>23</strong>",
    "We know it is = 23",
    "The answer is 23",
    "the final answer is $23",
    "It is 23",
    "she has 23",
    "She makes $23 every day",
    "about 23",
    "approximately 23",
    "\\approx 23",
    "23 per day",
    "$23/day",
    "$23/hour",
    "$23 per hour",
    "23 miles per hour",
    "23-inch",
    "23 more apples",
    "23 left",
    "23 people",
    "23 students are left",
    "23 dollars every day at the farmers' market",
    "23.",
    "23,",
    "23 \342\234\205",
    "23 \345\205\203",
    "23\344\270\252",
    "23\345\206\206",
    "23\302\260",
    "23^\\circ",
    "23 degrees",
    "23 hours",
    "23 minutes",
    "= 23",
    "=23",
    "23 = x",
    "n_1 = 23",
    "f(3) = 23",
    "Total: 23",
    "Answer: 23",
    "Total cost: $23",
    "The total number of eggs is 23",
    "\\displaystyle 23",
    "\\left(23\\right)",
    "\\( 23 \\)",
    "\\[23\\]",
    "23\\,\\text{dollars}",
    "23~dollars",
    "23\\ \\text{km}",
    "a total of 23",
    "23 a day",
    "23 of them",
    "23 quarters",
    "23 dollars and that is all",
    "23 yards",
    "23 times",
};

#define COUNT(list) (sizeof(list) / sizeof *(list))

static void check(const char *spec, const char *frame, const char *answer, bool want)
{
    struct arena arena = ARENA_INIT;
    size_t cut = (size_t)(strchr(frame, '@') - frame);
    const char *text = arena_printf(&arena, "%.*s%s%s", (int)cut, frame, answer, frame + cut + 1);
    struct verdict v = judge(&arena, spec, "{\"answer\": \"23\"}", str_of(text));
    if (v.kind != VERDICT_OK || (v.score == 1) != want) {
        fail_msg("%s '%s': %g, %s", spec, text, v.score, v.reason);
    }
    arena_release(&arena);
}

static const char *const frames[][2] = {
    {"gsm8k", "so \\boxed{@}"},
    {"gsm8k", "#### @"},
    {"gsm8k", "Answer: @"},
    {"gsm8k", "**Final Answer**\n\n@"},
    {"gsm8k:answer_tags=true", "<think>a</think> <answer>@</answer>"},
};

static void what_only_looks_like_it_is_not_paid(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(others); i++) {
        for (size_t f = 0; f < COUNT(frames); f++) {
            check(frames[f][0], frames[f][1], others[i], false);
        }
        check("gsm8k", "The answer is @.", others[i], false);
        check("gsm8k", "The answer is $@$.", others[i], false);
        check("gsm8k", "The answer is that in the end it makes @.", others[i], false);
    }
}

static void the_number_is_paid_however_it_is_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(same); i++) {
        for (size_t f = 0; f < COUNT(frames); f++) {
            check(frames[f][0], frames[f][1], same[i], true);
        }
    }
}

static void prose_may_take_it_back(void **state)
{
    (void)state;
    static const char *const denied[] = {
        "The answer is not 23.",
        "It is not true that the answer is 23.",
        "I doubt the answer is 23.",
        "Nobody thinks the answer is 23.",
        "The answer is certainly not equal to 23.",
        "If the answer is 23, all is well.",
        "The wrong answer is 23.",
        "Answer: 23. Or 22. Or 21.",
        "The answer is 23. Maybe 24.",
        "The answer is 23. But actually it is 22.",
        "The answer is 23. Wait, that is wrong.",
        "The answer is 23. Hmm, 22 is better.",
        "The answer is 23, which is wrong.",
        "The answer is less than or equal to 23.",
        "The answer is anywhere from 1 to 23.",
        "The answer is the number after 23.",
        "The answer is the number before 23.",
        "The answer is 23 only if you ignore tax.",
        "The answer is the square root of 23.",
        "The answer is something like half of 23.",
        "The answer is a number that is larger than 23.",
        "\\boxed{22} or \\boxed{23}",
        "<answer>22</answer> \\boxed{23}",
        "<answer></answer> \\boxed{23}",
    };
    for (size_t i = 0; i < COUNT(denied); i++) {
        check("gsm8k", "@", denied[i], false);
    }
    static const char *const said[] = {
        "Not 22, the answer is 23.",
        "No, the answer is 23.",
        "The answer is equal to 23.",
        "The answer is 23. Wait, let me check: 20 + 3 = 23.",
        "The answer is 23, which is the number of eggs.",
        "The answer is 23, not 22.",
        "The answer is 23 (see above).",
        "The answer is that Janet makes $23 every day.",
        "The answer is 22. Wait, that is wrong. The answer is 23.",
        "\\boxed{23} and again \\boxed{23.0}",
        "The answer is 23. Let me check: 20 + 3 = 23.",
        "The answer is 23.<|im_end|>\nThe answer is 22.",
        "\\boxed{Johann must deliver 23 pieces of mail.}",
        "\\boxed{Since she had 40 stickers, she now has 40 - 17 = 23 stickers left.}",
        "\\boxed{He pays 10+13=$23 because he did not pay before}",
        "The answer is Sara needs 4 x 5 + 3 = 23 square feet.",
        "The answer is that it takes (26 inches + 20 inches) / 2 = 23 inches.",
        "The answer is She ate 23 apples because 20 + 3 = 23",
    };
    for (size_t i = 0; i < COUNT(said); i++) {
        check("gsm8k", "@", said[i], true);
    }
}

static void the_last_number_is_read_with_what_belongs_to_it(void **state)
{
    (void)state;
    static const char *const said[] = {"it makes 23 eggs", "16 + 7 = 23", "so she pays $23 a day", "x = 23"};
    static const char *const other[] = {"it is not 23",    "it makes x^{23}", "it makes 23 thousand", "we lose -23",
                                        "it is minus $23", "up to 23",        "between 22 and 23",    "22 = 23"};
    for (size_t i = 0; i < COUNT(said); i++) {
        check("gsm8k:last_number=true", "@", said[i], true);
    }
    for (size_t i = 0; i < COUNT(other); i++) {
        check("gsm8k:last_number=true", "@", other[i], false);
    }
}

static bool read_as(const char *text, const char *other)
{
    struct arena arena = ARENA_INIT;
    struct number a, b;
    bool equal = number_read(str_of(text), &arena, &a) && number_read(str_of(other), &arena, &b) &&
                 number_equal(&a, &b) && number_equal(&b, &a);
    arena_release(&arena);
    return equal;
}

static void values_are_exact(void **state)
{
    (void)state;
    static const char *const equal[][2] = {
        {"3/4", "0.75"},
        {"\\frac34", "75e-2"},
        {"1 1/2", "1.5"},
        {"-1\\frac12", "-3/2"},
        {"1,234,567", "1.234.567"},
        {"1{,}234", "1\342\200\257234"},
        {"6.02 \\times 10^{23}", "6.02e23"},
        {"0", "-0.000"},
        {"1'234", "1_234"},
        {"2/3", "4/6"},
        {"1e300", "10e299"},
        {"0.1", ".10"},
        {"\357\274\221\357\274\222", "12"},
    };
    for (size_t i = 0; i < COUNT(equal); i++) {
        assert_true(read_as(equal[i][0], equal[i][1]));
    }
    static const char *const unequal[][2] = {
        {"1/3", "0.3333"},   {"1e-300", "0"}, {"123456789012345678901", "123456789012345678902"},
        {"5", "-5"},         {"1/0", "1/0"},  {"", ""},
        {"1e5000", "1e5000"}};
    for (size_t i = 0; i < COUNT(unequal); i++) {
        assert_false(read_as(unequal[i][0], unequal[i][1]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_only_looks_like_it_is_not_paid),
        cmocka_unit_test(the_number_is_paid_however_it_is_written),
        cmocka_unit_test(prose_may_take_it_back),
        cmocka_unit_test(the_last_number_is_read_with_what_belongs_to_it),
        cmocka_unit_test(values_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

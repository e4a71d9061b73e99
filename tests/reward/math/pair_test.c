/* tests/reward/math/pair_test.c - pairs of every kind of answer, equal and different; SymPy's pairs; spellings; limits.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "reward/math/pair.h"

static const struct math_options usual = {0};

static struct math_outcome judge_with(const struct math_options *options, struct str gold, struct str said)
{
    struct arena arena = ARENA_INIT;
    struct math_outcome outcome = math_pair_judge(options, gold, said, &arena);
    arena_release(&arena);
    return outcome;
}

/* Nothing stands behind the texts, no end either: under ASan a step too far is seen. */
static struct math_outcome judge(const char *gold, const char *said)
{
    size_t n_gold = strlen(gold), n_said = strlen(said);
    char *texts[] = {memcpy(mem_alloc(n_gold + (n_gold == 0)), gold, n_gold),
                     memcpy(mem_alloc(n_said + (n_said == 0)), said, n_said)};
    struct math_outcome outcome = judge_with(&usual, (struct str){texts[0], n_gold}, (struct str){texts[1], n_said});
    free(texts[0]);
    free(texts[1]);
    return outcome;
}

struct pair {
    const char *gold, *said;
};

static void all_equal(const struct pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct math_outcome outcome = judge(pairs[i].gold, pairs[i].said);
        if (outcome.kind != MATH_EQUAL) {
            fail_msg("'%s' and '%s' are equal, but: %d, %s", pairs[i].gold, pairs[i].said, (int)outcome.kind,
                     outcome.path);
        }
    }
}

static void all_different(const struct pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct math_outcome outcome = judge(pairs[i].gold, pairs[i].said);
        if (outcome.kind == MATH_EQUAL) {
            fail_msg("'%s' and '%s' are different, but: %s", pairs[i].gold, pairs[i].said, outcome.path);
        }
    }
}
#define EQUAL(pairs)     all_equal((pairs), sizeof(pairs) / sizeof *(pairs))
#define DIFFERENT(pairs) all_different((pairs), sizeof(pairs) / sizeof *(pairs))

static void numbers(void **state)
{
    (void)state;
    static const struct pair equal[] = {
        {"\\frac12", "0.5"},
        {"1\\frac{4}{5}", "\\frac95"},
        {"137 \\frac{1}{2}", "137.5"},
        {"7 3/4", "7.75"},
        {"14{,}916", "14916"},
        {"11,\\! 111,\\! 111", "11111111"},
        {"1 234 567", "1234567"},
        {"10,200", "10, 200"},
        {"2e27", "2 \\times 10^{27}"},
        {"1e-5", "0.00001"},
        {"0.\\overline{3}", "1/3"},
        {"0.1\\overline{6}", "\\frac16"},
        {"0.(3)", "1/3"},
        {"2.5 \\text{ million}", "2500000"},
        {"three", "3"},
        {"--3", "3"},
        {"52_8", "52_{8}"},
        {"52_8", "52"},
        {"1011_2", "11_{10}"},
        {"1000.99", "1000,99"},
        {"25\\%", "0.25"},
        {"25\\%", "25"},
        {"\\tfrac{16}3", "16/3"},
        {"\xc2\xbd", "0.5"},
        {"3\xc3\x97"
         "10\xe2\x81\xb5",
         "300000"},
        {"\xe2\x88\x92"
         "5",
         "-5"},
    };
    static const struct pair different[] = {
        {"32349", "32, 349"}, {"52_8", "528"},  {"52_8", "52_9"},           {"25\\%", "2500"}, {"25", "0.25"},
        {"1000000", "1,000"}, {"2e27", "2e28"}, {"10^{100}", "10^{100}+1"}, {"5", "-5"},       {"1234", "1,2,3,4"},
    };
    EQUAL(equal);
    DIFFERENT(different);
}

static void rounding(void **state)
{
    (void)state;
    static const struct pair equal[] = {
        {"33.3", "\\frac{100}{3}"},
        {"125.663", "40\\pi"},
        {"\\frac13", "0.33333"},
        {"\\pi", "3.1416"},
        {"\\sqrt2", "1.4142135623730951"},
        {"1.09951162778E+12", "4^{20}"},
        {"0.29", "0.290243531202435"},
        {"0.066666793", "0.0666668"},
        {"\\frac{1}{12}", "0.0833333333333333"},
    };
    static const struct pair different[] = {
        {"\\frac13", "0.33"},      {"\\frac13", "0.333"},
        {"5", "4.9999"},           {"5", "5.0001"},
        {"1.97", "1.98"},          {"2.23", "2.232"},
        {"2.232", "2.23"},         {"0.066793", "0.067"},
        {"\\pi", "\\frac{22}{7}"}, {"\\frac{1}{2004!}", "\\frac{1}{2006!}"},
        {"2^{-99}", "2^{-98}"},
    };
    EQUAL(equal);
    DIFFERENT(different);
    struct math_options exact = {.exact_only = true}, loose = {.rel_tol = 0.05};
    assert_int_equal(judge_with(&exact, STR("\\frac13"), STR("0.33333")).kind, MATH_DIFFERENT);
    assert_int_equal(judge_with(&exact, STR("\\frac12"), STR("0.5")).kind, MATH_EQUAL);
    assert_int_equal(judge_with(&loose, STR("100"), STR("104")).kind, MATH_EQUAL);
    assert_int_equal(judge_with(&loose, STR("100"), STR("106")).kind, MATH_DIFFERENT);
}

static void expressions(void **state)
{
    (void)state;
    static const struct pair equal[] = {
        {"\\sqrt{8}", "2\\sqrt{2}"},
        {"\\sqrt{3+2\\sqrt2}", "1+\\sqrt2"},
        {"\\sqrt[3]{-8}", "-2"},
        {"x\\sqrt{x}", "x^{3/2}"},
        {"\\sqrt{1/n}", "1/\\sqrt n"},
        {"11z^7(11z^7+5)", "11z^{7}(5+11z^{7})"},
        {"abc", "c b a"},
        {"v^2_0", "v_0^2"},
        {"\\sin 2x", "2\\sin x\\cos x"},
        {"\\cos x", "\\sin(90^{\\circ}-x)"},
        {"2\\arcsin\\sqrt a", "\\arccos(1-2a)"},
        {"e^{i\\pi}", "-1"},
        {"(1+i)^{10}", "32i"},
        {"\\log_4 x", "\\frac12\\log_2 x"},
        {"\\log 2", "\\ln 2"},
        {"\\binom{2n}{n}", "\\frac{(2n)!}{(n!)^2}"},
        {"\\frac{n(n-1)(n-2)}{6}", "C_n^3"},
        {"{}_{10}C_3", "120"},
        {"2^n-1", "\\sum_{k=0}^{n-1}2^k"},
        {"a_n = \\frac23\\cdot 3^n-n", "2\\cdot 3^{n-1}-n"},
        {"\\left\\lfloor\\log_2 n\\right\\rfloor+1", "1+\\lfloor \\log_2 n \\rfloor"},
        {"2**100", "2^100"},
        {"x^0*e^(-8*x)*cos(9*x)", "e^{-8x} \\cos(9x)"},
        {"2024^{4046}", "2024^{4045}\\cdot 2024"},
        {"|x-2|", "|2-x|"},
        {"3 - 2f(x)", "-2f(x)+3"},
        {"\\frac{\\pi}{6}", "30^\\circ"},
        {"60^\\circ 30'", "60.5^\\circ"},
        {"k\\pi", "n\\pi"},
    };
    static const struct pair different[] = {
        {"\\sqrt{x^2}", "x"},
        {"\\frac{a}{bc}", "\\frac{ab}{c}"},
        {"4", "4x"},
        {"x", "y"},
        {"i", "-i"},
        {"\\ln(x+y)", "\\ln x+\\ln y"},
        {"2^{2^{2^{49}}}", "2^{2^{2^{48}}}"},
        {"2^{\\frac{1}{2^{1000}}}", "1"},
        {"e^{\\pi\\sqrt{163}}", "262537412640768744"},
        {"10^{30}+1", "10^{30}+2"},
        {"k\\pi", "2n\\pi"},
        {"\\frac{\\pi}{6}", "30"},
        {"f(x)", "f(y)"},
        {"0/0", "1"},
        {"\\frac10", "5"},
        {"\\infty", "-\\infty"},
    };
    EQUAL(equal);
    DIFFERENT(different);
    struct math_options same_form = {.same_form = true};
    assert_int_equal(judge_with(&same_form, STR("(x-1)(x+1)"), STR("(1+x)(x-1)")).kind, MATH_EQUAL);
    assert_int_equal(judge_with(&same_form, STR("(x-1)(x+1)"), STR("(x+1)(x-1)")).kind, MATH_EQUAL);
    assert_int_equal(judge_with(&same_form, STR("(x-1)(x+1)"), STR("x^2-1")).kind, MATH_DIFFERENT);
    assert_int_equal(judge_with(&same_form, STR("\\frac12"), STR("\\frac24")).kind, MATH_DIFFERENT);
}

static void sets_and_lists(void **state)
{
    (void)state;
    static const struct pair equal[] = {
        {"(0,9)\\cup(9,36)", "(0,36)\\setminus\\{9\\}"},
        {"(0,9)\\cup(9,36)", "0<x<36, x\\neq 9"},
        {"(-\\infty,2)\\cup(3,\\infty)", "x<2 or x>3"},
        {"(-\\infty,2)\\cup(3,\\infty)", "\\mathbb{R}\\setminus[2,3]"},
        {"[0,\\infty)", "\\{x \\mid x\\geq 0\\}"},
        {"\\{x|-2<x<3\\}", "(-2,\\ 3)"},
        {"(\\frac35,\\frac83]", "(0.6,2.6667]"},
        {"[k\\pi,k\\pi+1]", "k\\pi \\le x \\le 1+k\\pi"},
        {"(-\\infty,\\infty)", "\\text{all real numbers}"},
        {"1\\pm\\sqrt{19}", "\\{1-\\sqrt{19},1+\\sqrt{19}\\}"},
        {"x=-3,4", "x = 4 or x = -3"},
        {"\\{2,3,5\\}", "5,3,2"},
        {"16,3,1,1", "w=16, d=3, a=1, b=1"},
        {"(a,b)=(2,13)", "a=2, b=13"},
        {"p=5,q=2;p=7,q=2", "(5,2),(7,2)"},
        {"(1,2),(3,4)", "(3,4) \\text{ and } (1,2)"},
        {"$(1,3)$", "${1,3}$"},
        {"\\begin{pmatrix}1\\\\2\\end{pmatrix}", "(1,2)"},
        {"\\begin{bmatrix}1&0\\\\0&1\\end{bmatrix}", "\\begin{pmatrix}1&0\\\\0&1\\end{pmatrix}"},
        {"\\frac12\\begin{pmatrix}2&4\\end{pmatrix}", "\\begin{pmatrix}1&2\\end{pmatrix}"},
        {"\\begin{vmatrix}1&2\\\\3&4\\end{vmatrix}", "-2"},
        {"$$\\boxed{2}, \\boxed{3}$$", "3, 2"},
        {"2:3:4", "4:6:8"},
    };
    static const struct pair different[] = {
        {"(5,\\infty)", "[5,\\infty)"},
        {"(0,9)\\cup(9,36)", "(0,36)"},
        {"[1,2]", "(1,2)"},
        {"(1,2)", "(2,1)"},
        {"\\{2,3\\}", "(2,3)"},
        {"2", "2,3"},
        {"2", "\\pm 2"},
        {"2", "2 \\text{ or } 3"},
        {"\\{2,3,5\\}", "\\{2,3\\}"},
        {"\\{3\\}", "3"},
        {"$(3,1)$", "${1,3}$"},
        {"1,1,2", "1,2"},
        {"x=1, y=2", "x=2, y=1"},
        {"(1,2),(3,4)", "(1,4),(3,2)"},
        {"2:3:4", "2:3:5"},
        {"a>1", "a\\ge 1"},
        {"\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{pmatrix}1&3\\\\2&4\\end{pmatrix}"},
        {"1, 2, \\ldots, n", "1, 3, 5, \\ldots, 2n-1"},
    };
    EQUAL(equal);
    DIFFERENT(different);
    struct math_options strict = {.strict = true};
    assert_int_equal(judge_with(&strict, STR("(1,2)"), STR("1,2")).kind, MATH_DIFFERENT);
}

static void relations(void **state)
{
    (void)state;
    static const struct pair equal[] = {
        {"x=4", "4"},
        {"4", "x=4"},
        {"|AB|=1", "1"},
        {"37", "m+n=37"},
        {"x = y = z = \\frac{\\sqrt2}{2}", "\\frac{\\sqrt2}{2}"},
        {"f(z)=z", "f(x)=x"},
        {"y = 2x+3", "f(x) = 2x+3"},
        {"y=\\frac12x+2", "x-2y+4=0"},
        {"x^2+y^2=1", "x^2=1-y^2"},
        {"2x>6", "x>3"},
        {"f(-3/4) \\ge f(a)", "f(a) \\le f(-\\frac34)"},
        {"x\\equiv 3\\pmod 7", "x \\equiv 10 \\pmod{7}"},
        {"\\frac{1+\\sqrt{97}}{8} \\approx 1.36", "\\frac{1+\\sqrt{97}}{8}"},
        {"T = \\frac{2\\pi}{\\omega}", "\\frac{2\\pi}{\\omega}"},
    };
    static const struct pair different[] = {
        {"x=4", "y=4"},
        {"0", "x^2-1=0"},
        {"3", "1=2=3"},
        {"5", "x=6=5"},
        {"x^2=4", "x=2"},
        {"3x+4y=12", "3x-4y=12"},
        {"3x+4y=12", "12"},
        {"a^2+b=0", "0"},
        {"x>3", "3"},
        {"y=x", "y=-x"},
        {"x\\equiv 3\\pmod 7", "x\\equiv 3\\pmod 8"},
        {"f(x)=x+1", "f(x)=x+2"},
    };
    EQUAL(equal);
    DIFFERENT(different);
}

static void units_and_words(void **state)
{
    (void)state;
    static const struct pair equal[] = {
        {"864 \\mbox{ inches}^2", "864 \\text{ square inches}"},
        {"15\\mbox{ cm}^2", "15"},
        {"5\\text{ hours}", "300\\text{ minutes}"},
        {"50\\text{ cents}", "\\$0.50"},
        {".72 \\mathrm{~m}", "72 \\text{ cm}"},
        {"60 mph", "60 miles per hour"},
        {"10", "10cm"},
        {"10", "10m"},
        {"0.64N", "0.64"},
        {"9\\text{ a.m.}", "9:00 am"},
        {"45^{\\text{th}}", "45th"},
        {"240\\text{ ways.}", "240"},
        {"\\text{(E)}", "E"},
        {"\\text{(E)}", "e"},
        {"(D) Alina", "D"},
        {"\\text{B, E, G}", "G, E, B"},
        {"\\text{Evelyn}", "evelyn"},
        {"\\text{odd}", "$odd$"},
        {"Yes", "\\text{true}"},
        {"\\text{no solution}", "No solution"},
        {"f(n)=n \\text{ for all } n", "f(n)=n"},
        {"\\text{The answer is } 42", "42"},
    };
    static const struct pair different[] = {
        {"5\\text{ hours}", "5\\text{ minutes}"},
        {"12\\text{ ft}", "12\\text{ yd}"},
        {"9 a.m.", "9 p.m."},
        {"60 mph", "60 km per hour"},
        {"5\\text{ m/s}", "5\\text{ km/s}"},
        {"5x", "5"},
        {"3m", "3"},
        {"Yes", "No"},
        {"\\text{listen}", "silent"},
        {"\\text{oddd}", "odd"},
        {"42", "\\text{not } 42"},
        {"42", "42 \\text{ or } 43"},
        {"(E)", "D"},
        {"12", "C"},
        {"2", "AZYUK2A"},
    };
    EQUAL(equal);
    DIFFERENT(different);
}

/* What SymPy has proven: tests/golden/make_math_pairs.py. */
static void sympy_agrees(void **state)
{
    (void)state;
    json_t *pairs = NULL;
    assert_int_equal(json_parse_file(&pairs, "tests/golden/math_pairs.json", 1 << 20), ERR_NONE);
    assert_true(json_array_size(pairs) >= 300);
    for (size_t i = 0; i < json_array_size(pairs); i++) {
        const json_t *pair = json_array_get(pairs, i);
        const char *gold = json_string_value(json_object_get(pair, "gold"));
        const char *said = json_string_value(json_object_get(pair, "said"));
        struct math_outcome outcome = judge(gold, said);
        if ((outcome.kind == MATH_EQUAL) != json_is_true(json_object_get(pair, "equal"))) {
            fail_msg("'%s' and '%s': %d, %s", gold, said, (int)outcome.kind, outcome.path);
        }
    }
    json_decref(pairs);
}

/* ---- spellings: tests/golden/math_forms.json, written by hand, and math_values.json, by make_math_values.py ---- */

static void expect(const json_t *row, const json_t *gold, const json_t *said, bool equal)
{
    struct math_outcome outcome = judge(json_string_value(gold), json_string_value(said));
    if ((outcome.kind == MATH_EQUAL) != equal) {
        fail_msg("%s: '%s' and '%s' are %s, but: %d, %s", json_string_value(json_object_get(row, "kind")),
                 json_string_value(gold), json_string_value(said), equal ? "equal" : "different", (int)outcome.kind,
                 outcome.path);
    }
}

static void expect_all(const json_t *row, const json_t *gold, const json_t *list, bool equal)
{
    size_t i;
    json_t *said;
    json_array_foreach(list, i, said)
    {
        expect(row, gold, said, equal);
    }
}

/* Every spelling of a value against every other; and against the first of another value, from both sides. */
static void expect_classes(const json_t *row, const json_t *classes)
{
    size_t i, j, k;
    json_t *one, *other, *spelling;
    json_array_foreach(classes, i, one)
    {
        json_array_foreach(one, j, spelling)
        {
            expect_all(row, spelling, one, true);
            json_array_foreach(classes, k, other)
            {
                if (k != i) {
                    expect(row, spelling, json_array_get(other, 0), false);
                    expect(row, json_array_get(other, 0), spelling, false);
                }
            }
        }
    }
}

static void spellings_say_one_thing(void **state)
{
    (void)state;
    static const char *const files[] = {"tests/golden/math_forms.json", "tests/golden/math_values.json"};
    for (size_t f = 0; f < 2; f++) {
        json_t *rows = NULL, *row;
        size_t i;
        assert_int_equal(json_parse_file(&rows, files[f], 1 << 20), ERR_NONE);
        assert_true(json_array_size(rows) >= 100);
        json_array_foreach(rows, i, row)
        {
            const json_t *gold = json_object_get(row, "gold"), *equal = json_object_get(row, "equal");
            const json_t *different = json_object_get(row, "different");
            expect_classes(row, json_object_get(row, "classes"));
            for (size_t k = 0; k < (gold ? 1 : json_array_size(equal)); k += 4) {
                const json_t *reference = gold ? gold : json_array_get(equal, k);
                expect_all(row, reference, equal, true);
                expect_all(row, reference, different, false);
            }
        }
        json_decref(rows);
    }
}

static void whose_fault_is_told(void **state)
{
    (void)state;
    assert_int_equal(judge("", "1").kind, MATH_GOLD_UNREAD);
    assert_int_equal(judge("\\frac{1", "1").kind, MATH_GOLD_UNREAD);
    assert_int_equal(judge("\\frac{1", "\\frac{1").kind, MATH_EQUAL);
    assert_int_equal(judge("1", "\\frac{1").kind, MATH_SAID_UNREAD);
    assert_int_equal(judge("1", "").kind, MATH_SAID_UNREAD);
    assert_int_equal(judge("1", "(1").kind, MATH_SAID_UNREAD);
    assert_int_equal(judge("1", "2").kind, MATH_DIFFERENT);
    assert_int_equal(judge("1", "\\sum_{a=1}^{9999}\\sum_{b=1}^{9999} a b").kind, MATH_LIMIT);
    char *deep = mem_zero(4001);
    memset(deep, '(', 4000);
    assert_int_equal(judge("1", deep).kind, MATH_SAID_UNREAD);
    assert_int_equal(judge(deep, "1").kind, MATH_GOLD_UNREAD);
    free(deep);
    assert_int_equal(judge("a", "a").kind, MATH_EQUAL); /* a digit of a base above 10? */
    assert_int_equal(judge_with(&usual, STR("1"),
                                STR("1\0"
                                    "2"))
                         .kind,
                     MATH_SAID_UNREAD);
}

static void lists_are_counted(void **state)
{
    (void)state;
    static const struct {
        const char *gold;
        int n;
    } cases[] = {{"1", 1}, {"1,2", 2}, {"\\{1,2,3\\}", 3}, {"(1,2)", 1}, {"x=1 or x=2", 2}, {"\\frac{1", 1}, {"", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = ARENA_INIT;
        assert_int_equal(math_pair_count(str_of(cases[i].gold), &arena), cases[i].n);
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),           cmocka_unit_test(rounding),
        cmocka_unit_test(expressions),       cmocka_unit_test(sets_and_lists),
        cmocka_unit_test(relations),         cmocka_unit_test(units_and_words),
        cmocka_unit_test(sympy_agrees),      cmocka_unit_test(whose_fault_is_told),
        cmocka_unit_test(lists_are_counted), cmocka_unit_test(spellings_say_one_thing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

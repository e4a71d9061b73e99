/* tests/reward/math/lex_test.c - texts as tokens; that every word of the tables is found.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "reward/math/lex.h"
#include "reward/math/text.h"
#include "reward/math/units.h"
#include "reward/math/words.h"

/* The tokens in short: n number, s symbol, f function, t text, and the sign of all else. */
static const char *shape(struct arena *arena, const char *text, unsigned flags)
{
    struct math_work work = {.arena = arena, .budget = MATH_BUDGET};
    struct math_tokens tokens;
    if (!math_lex(&work, math_text_clean(str_of(text), arena), flags, &tokens)) {
        return tokens.wrong;
    }
    char *out = arena_alloc(arena, (size_t)tokens.n + 1);
    for (int i = 0; i < tokens.n; i++) {
        const struct math_token *t = &tokens.list[i];
        static const char letters[] = {
            [TOKEN_NUMBER] = 'n', [TOKEN_SYMBOL] = 's', [TOKEN_FUNCTION] = 'f', [TOKEN_TEXT] = 't',
            [TOKEN_BAR] = '|',    [TOKEN_GAP] = '~',    [TOKEN_BEGIN] = 'B',    [TOKEN_FINISH] = 'E',
            [TOKEN_CELL] = '&',   [TOKEN_ROW] = '#',    [TOKEN_DOTS] = '.'};
        char letter = t->kind < sizeof letters ? letters[t->kind] : '\0';
        out[i] = letter ? letter : (char)t->code;
    }
    return out;
}

static void texts_become_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *text, *tokens;
        unsigned flags;
    } cases[] = {
        {"x + 1", "s+n", 0},
        {"\\frac{1}{2}", "f{n}{n}", 0},
        {"\\left( 3, \\frac{\\pi}{2} \\right)", "(n,f{s}{n})", 0},
        {"1,234", "n", 0},
        {"1,234", "n,n", MATH_LEX_NO_GROUPS},
        {"(1,234)", "(n,n)", 0},
        {"32, 349", "n,n", 0},
        {"1{,}234\\,567", "n", 0},
        {"12,34", "n,n", 0},
        {"1000,99", "n", MATH_LEX_COMMA_POINT},
        {"2e3", "n", 0},
        {"2e3", "nsn", MATH_LEX_NO_E},
        {"\\text{odd}", "t", 0},
        {"\\text{13}", "n", 0},
        {"\\text{ and }", "&", 0},
        {"6 \\text{ or } 8", "n|n", 0},
        {"10cm", "nt", 0},
        {"10 \\mathrm{~m}", "nt", 0},
        {"abc", "sss", 0},
        {"hexagon", "t", 0},
        {"sinx", "fs", 0},
        {"2pir", "nss", 0},
        {"W(x)=1orW(x)=-1", "s(s)=n|s(s)=-n", 0},
        {"x**2", "s^n", 0},
        {"**7**", "n", 0},
        {"x <= 2 != 3 >= 1", "sLnNnGn", 0},
        {"5! = 120", "n!=n", 0},
        {"\\\\frac12 + \\frac12", "fn+fn", 0},
        {"\\\\frac{1}{2}", "f{n}{n}", 0},
        {"\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", "Bn&n#n&nE", 0},
        {"\xe2\x88\x9a"
         "2 \xc2\xb2",
         "sn^{n}", 0},
        {"\xef\xbc\x88"
         "1\xef\xbc\x89",
         "(n)", 0},
        {"\xe2\x80\x8b"
         "7\xff",
         "n", 0},
        {"\\$5 \\text{ million}", "n*n", 0},
        {"9 a.m.", "nt", 0},
        {"45th", "n", 0},
        {"\\not\\in", "X", 0},
        {"28 percent", "n%", 0},
        {"1, \\ldots, n", "n,.,s", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = ARENA_INIT;
        const char *tokens = shape(&arena, cases[i].text, cases[i].flags);
        if (!str_equal(str_of(tokens), str_of(cases[i].tokens))) {
            fail_msg("'%s' became %s, not %s", cases[i].text, tokens, cases[i].tokens);
        }
        arena_release(&arena);
    }
}

/* A table that is out of order hides words. */
static void words_are_found(void **state)
{
    (void)state;
    static const char *const names[] = {"Big",    "alpha", "sqrt",  "zeta", "widetilde", "frac",
                                        "arccos", "cdot",  "times", "xi",   "in",        "notin",
                                        "to",     "text",  "R",     "Re",   "ast",       "wedge"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_non_null(math_words_command(str_of(names[i])));
        assert_string_equal(math_words_command(str_of(names[i]))->name, names[i]);
    }
    assert_null(math_words_command(STR("frax")));
    assert_null(math_words_command(STR("")));
    assert_true(math_words_sorted());
    assert_non_null(math_words_plain(STR("arctan")));
    assert_null(math_words_plain(STR("hexagon")));
}

static void units_are_found(void **state)
{
    (void)state;
    assert_int_equal(math_units_find(STR("cm"))->kind, 'l');
    assert_int_equal(math_units_find(STR("Hours"))->kind, 't');
    assert_int_equal(math_units_find(STR("apples"))->kind, 0);
    assert_null(math_units_find(STR("hexagon")));
    assert_null(math_units_find(STR("")));
    assert_int_equal(math_units_number(STR("Twelve")), 12);
    assert_int_equal(math_units_number(STR("dozen")), -1);
    assert_int_equal(math_units_truth(STR("YES")), 't');
    assert_int_equal(math_units_truth(STR("maybe")), 0);
}

static void limits_are_kept(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    char *text = arena_alloc(&arena, 5001);
    for (int i = 0; i < 5000; i++) {
        text[i] = "12,"[i % 3];
    }
    assert_string_equal(shape(&arena, text, 0), "too long");
    for (int i = 0; i < 5000; i++) {
        text[i] = '7';
    }
    assert_string_equal(shape(&arena, text, 0), "a number is too long");
    for (int i = 0; i < 5000; i++) {
        text[i] = '(';
    }
    text[100] = '\0';
    assert_string_equal(shape(&arena, text, 0), "too deep");
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_become_tokens),
        cmocka_unit_test(words_are_found),
        cmocka_unit_test(units_are_found),
        cmocka_unit_test(limits_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

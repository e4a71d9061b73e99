/* reward/math/words.h - the meaning of LaTeX commands and plain words. Units are in units.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_WORDS_H
#define REWARD_MATH_WORDS_H

#include "reward/math/lex.h"

enum math_function {
    FUNCTION_SIN,
    FUNCTION_COS,
    FUNCTION_TAN,
    FUNCTION_COT,
    FUNCTION_SEC,
    FUNCTION_CSC,
    FUNCTION_ASIN,
    FUNCTION_ACOS,
    FUNCTION_ATAN,
    FUNCTION_ACOT,
    FUNCTION_ASEC,
    FUNCTION_ACSC,
    FUNCTION_SINH,
    FUNCTION_COSH,
    FUNCTION_TANH,
    FUNCTION_ASINH,
    FUNCTION_ACOSH,
    FUNCTION_ATANH,
    FUNCTION_LN,
    FUNCTION_LOG, /* base in kids[1], or none: 10, or e where that makes the two equal */
    FUNCTION_EXP,
    FUNCTION_SQRT,
    FUNCTION_ABS,
    FUNCTION_FLOOR,
    FUNCTION_CEIL,
    FUNCTION_SIGN,
    FUNCTION_FACTORIAL,
    FUNCTION_BINOMIAL,
    FUNCTION_GCD,
    FUNCTION_LCM,
    FUNCTION_MAX,
    FUNCTION_MIN,
    FUNCTION_MOD,
    FUNCTION_RE,
    FUNCTION_IM,
    FUNCTION_LG,    /* base 10; the parser makes it a FUNCTION_LOG */
    FUNCTION_CIS,   /* the parser makes it a power of e */
    FUNCTION_OTHER, /* det, rank, ...: known by its name only */
};

/* The meaning of a word or command. Codes of TOKEN_COMMAND that the lexer itself takes: g nothing, p nothing and a
 * point after it, x text, r letters, B begin, N end, k nothing and its braces, q gap, n not, u its first braces are
 * left out, L a line ends, $ a currency (text: which). Codes of infix commands: c choose, v over. */
struct math_word {
    const char *name;
    uint8_t kind, code;
    const char *text; /* TOKEN_SYMBOL, TOKEN_COMMAND a: its name */
};

const struct math_word *math_words_command(struct str name); /* without the backslash; NULL: unknown */
const struct math_word *math_words_plain(struct str word);   /* "sin", "pi", "and", "infinity"; NULL: unknown */

bool math_words_sorted(void); /* both tables, as the search needs them; for the test */

#endif

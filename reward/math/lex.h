/* reward/math/lex.h - the text of an answer, LaTeX or plain, as tokens.
 *
 * What the text may be: LaTeX with or without dollars or with every backslash doubled (as in JSON), plain text
 * ("sqrt(2)/2", "x**2"), Unicode ("2√3", "x²", "≤"), words. Layout is dropped here (\left, \displaystyle, \quad, font
 * commands), forms are made one (dfrac and frac, \lt and <, ** and ^, Unicode and LaTeX), numbers are put together
 * ("1,234", "1{,}234", "1\,234", "11,\! 111"), letters come apart into variables, and words stay words.
 *
 * Two readings are ambiguous, and the checker tries the other one before it decides "not equal": "1,234" as a list, and
 * "2e3" as 2*e*3 (`ambiguous`).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_LEX_H
#define REWARD_MATH_LEX_H

#include "reward/math/work.h"

enum math_token_kind {
    TOKEN_END,
    TOKEN_NUMBER,    /* text: digits, at most one point; `exponent` */
    TOKEN_SYMBOL,    /* text: x, alpha, RR, word-like commands */
    TOKEN_FUNCTION,  /* code: enum math_function */
    TOKEN_TEXT,      /* text: a word */
    TOKEN_OPEN,      /* code: ( [ { < and S \{, F floor, C ceiling, | \lvert */
    TOKEN_CLOSE,     /* code: the same, ) ] } > S F C | */
    TOKEN_BAR,       /* | */
    TOKEN_OPERATOR,  /* code: + - * / ^ _ ! ' % :, d degree, P plus-minus, M minus-plus, U union, N intersection,
                       D set minus */
    TOKEN_RELATION,  /* code: = < >, L <=, G >=, N not equal, E element, A about, Q congruent, T arrow, X not element */
    TOKEN_SEPARATOR, /* code: , ; & and, | or */
    TOKEN_GAP,       /* \quad */
    TOKEN_BEGIN,     /* text: the environment's name */
    TOKEN_FINISH,
    TOKEN_CELL,    /* & in an environment */
    TOKEN_ROW,     /* \\ in an environment */
    TOKEN_COMMAND, /* code: f frac, s sqrt, b binom, c choose, v over, o overline, a accent (text), m pmod, S sum,
                      P product, I integral, l limit, A angle and other signs that name no value */
    TOKEN_DOTS,
};

struct math_token {
    uint8_t kind;
    uint8_t code;
    bool space;   /* white space comes before it */
    bool word;    /* TOKEN_TEXT or TOKEN_SYMBOL: from \text{} */
    int exponent; /* of ten, TOKEN_NUMBER */
    int match;    /* TOKEN_OPEN: index of its close; -1: none */
    struct str text;
};

enum { MATH_LEX_NO_GROUPS = 1, MATH_LEX_NO_E = 2, MATH_LEX_COMMA_POINT = 4 };

struct math_tokens {
    struct math_token *list; /* list[n] is TOKEN_END */
    int n;
    bool ambiguous;
    char currency;     /* $ p e y: it has \$, a pound, a euro, a yen sign; 0: none */
    bool comma_point;  /* holds digits, one comma, digits: a decimal comma? */
    const char *wrong; /* why it has no tokens; static */
};

/* Texts of tokens are in `text` or the arena. False with `wrong` if it is too long. */
bool math_lex(struct math_work *work, struct str text, unsigned flags, struct math_tokens *out);

#endif

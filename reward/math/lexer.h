/* reward/math/lexer.h - the state of the lexer, shared by lex.c and lex_word.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_LEXER_H
#define REWARD_MATH_LEXER_H

#include "reward/math/words.h"

#define MATH_LEX_MAX_NESTED 4 /* \text{} in \text{} */

struct math_lexer {
    struct math_work *work;
    struct math_tokens *out;
    unsigned flags;
    int max;          /* tokens that fit */
    int nested;       /* how deep in \text{} and \mathrm{} */
    int environments; /* open \begin */
    bool space;       /* white space was seen since the last token */
    bool in_text;     /* letters are words */
    bool in_letters;  /* \mathrm{}: letters may be a unit */
    bool negate;      /* \not was seen */
    char currency;    /* $ p e y: \$ was seen, pounds, euros, yen; 0: none */
};

struct math_token *math_lexer_add(struct math_lexer *l, enum math_token_kind kind, char code, struct str text);
const struct math_token *math_lexer_last(const struct math_lexer *l);
/* Does a value end here, so that a unit may follow? */
bool math_lexer_after_operand(const struct math_lexer *l);
void math_lexer_run(struct math_lexer *l, struct str text);
/* Each reads what begins at `at` and returns where it ends. */
size_t math_lexer_number(struct math_lexer *l, struct str text, size_t at);
size_t math_lexer_word(struct math_lexer *l, struct str text, size_t at);

#endif

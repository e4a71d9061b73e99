/* reward/expression.h - the value of an arithmetic expression, exactly, and the numbers that it is made of.
 *
 *   sum     = product { ("+" | "-") product }
 *   product = factor { ("*" | "/") factor }
 *   factor  = digits | "(" sum ")"          white space may come between all of them
 *
 * Nothing else is an expression: no sign before a number or parenthesis, no "**", "//", "^", decimal point, leading
 * zero, two numbers in a row, or function. The text is never given to an interpreter.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_EXPRESSION_H
#define REWARD_EXPRESSION_H

#include "base/str.h"
#include "reward/rational.h"

#define EXPRESSION_MAX_BYTES   1024
#define EXPRESSION_MAX_NUMBERS 64
#define EXPRESSION_MAX_DEPTH   64

struct expression {
    struct rational value;
    int64_t numbers[EXPRESSION_MAX_NUMBERS]; /* as written, from left to right */
    int n;
};

/* NULL, and *out filled; or what is wrong with the text in a few words, static, and *out untouched. Linear time. */
const char *expression_evaluate(struct str text, struct expression *out);

#endif

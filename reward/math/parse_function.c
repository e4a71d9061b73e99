/* reward/math/parse_function.c - functions and what they are applied to.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "reward/math/parser.h"

static enum math_function inverse(enum math_function f)
{
    static const enum math_function inverses[] = {FUNCTION_ASIN, FUNCTION_ACOS, FUNCTION_ATAN,
                                                  FUNCTION_ACOT, FUNCTION_ASEC, FUNCTION_ACSC};
    return f <= FUNCTION_CSC                          ? inverses[f]
           : f >= FUNCTION_SINH && f <= FUNCTION_TANH ? FUNCTION_ASINH + (f - FUNCTION_SINH)
                                                      : FUNCTION_OTHER;
}

/* "e^": in "\cos x e^{-x}" it is no part of the angle. */
static bool exponential_ahead(const struct math_parser *p)
{
    const struct math_token *t = &p->list[p->at];
    return t->kind == TOKEN_SYMBOL && str_equal(t->text, STR("e")) && t[1].kind == TOKEN_OPERATOR && t[1].code == '^';
}

/* The argument of a function: what is in brackets, or adjacent factors up to the next function. */
static struct math_node *function_argument(struct math_parser *p)
{
    struct math_token *t = math_parser_token(p);
    if (t->kind == TOKEN_OPEN && strchr("([", t->code)) {
        return math_parser_open(p);
    }
    if (t->kind == TOKEN_OPEN && t->code == '{') {
        return math_parser_braces(p);
    }
    struct math_node *argument = math_parser_factor(p);
    while (argument && math_parser_starts_factor(p)) {
        t = math_parser_token(p);
        if (t->kind == TOKEN_FUNCTION || (t->kind == TOKEN_OPEN && t->code != '{') || t->kind == TOKEN_BEGIN ||
            argument->op == OP_FUNCTION || exponential_ahead(p)) {
            break;
        }
        struct math_node *factor = math_parser_factor(p);
        argument = factor ? math_node_2(p->work, OP_MUL, argument, factor) : NULL;
    }
    return argument;
}

static struct math_node *apply(struct math_parser *p, enum math_function f, struct math_node *argument,
                               struct math_node *base)
{
    bool many =
        f == FUNCTION_GCD || f == FUNCTION_LCM || f == FUNCTION_MAX || f == FUNCTION_MIN || f == FUNCTION_BINOMIAL;
    if (argument && many && (argument->op == OP_TUPLE || argument->op == OP_LIST || argument->op == OP_SET)) {
        struct math_kids kids = {argument->kids, argument->n, 0};
        struct math_node *node = math_parser_node(p, OP_FUNCTION, &kids);
        if (node) {
            node->code = (uint8_t)f;
        }
        return node;
    }
    if (f == FUNCTION_LG) {
        return argument ? math_node_function(p->work, FUNCTION_LOG, argument, math_node_number(p->work, "10")) : NULL;
    }
    if (f == FUNCTION_CIS) { /* cis x is e^(ix) */
        struct math_node *i = argument ? math_parser_named(p, STR("i")) : NULL, *e = math_parser_named(p, STR("e"));
        struct math_node *turn = i && e ? math_node_2(p->work, OP_MUL, i, argument) : NULL;
        return turn ? math_node_2(p->work, OP_POW, e, turn) : NULL;
    }
    return argument ? math_node_function(p->work, f, argument, base) : NULL;
}

struct math_node *math_parser_function(struct math_parser *p)
{
    enum math_function f = (enum math_function)math_parser_token(p)->code;
    struct str name = math_parser_token(p)->text;
    struct math_node *base = NULL, *power = NULL;
    p->at++;
    for (int i = 0; i < 2; i++) {
        bool low = math_parser_is(p, TOKEN_OPERATOR, '_'), high = math_parser_is(p, TOKEN_OPERATOR, '^');
        if (!low && !high) {
            break;
        }
        p->at++;
        struct math_node **part = low ? &base : &power;
        *part = math_parser_argument(p);
        if (!*part) {
            return NULL;
        }
    }
    if (base && f != FUNCTION_LOG) {
        return math_parser_fail(p, "a subscript of a function");
    }
    int64_t one;
    if (power && power->op == OP_NEG && math_node_small(power->kids[0], &one) && one == 1) {
        f = inverse(f);
        power = NULL;
    }
    bool bar = math_parser_token(p)->kind == TOKEN_BAR; /* "|ln|x||" */
    if (!math_parser_starts_factor(p) && !bar && !math_parser_is(p, TOKEN_OPERATOR, '-')) {
        return math_parser_named(p, name);
    }
    struct math_node *value = apply(p, f, function_argument(p), base);
    if (value && f == FUNCTION_OTHER) {
        value->text = name;
    }
    return value && power ? math_node_2(p->work, OP_POW, value, power) : value;
}

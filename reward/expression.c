/* reward/expression.c - recursive descent; the first fault stops everything.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/expression.h"

struct expression_parser {
    struct str text;
    size_t at;
    int depth;
    const char *fault; /* NULL: none so far */
    struct expression result;
};

static struct rational expression_sum(struct expression_parser *p);

static const struct rational expression_nothing = {0, 1};

static struct rational expression_fail(struct expression_parser *p, const char *fault)
{
    p->fault = p->fault ? p->fault : fault;
    return expression_nothing;
}

/* The next character that is not white space; '\0' at the end, and for a NUL byte, which no rule accepts either. */
static char expression_peek(struct expression_parser *p)
{
    while (p->at < p->text.length) {
        char c = p->text.data[p->at];
        if (c != ' ' && !(c >= '\t' && c <= '\r')) {
            return c;
        }
        p->at++;
    }
    return '\0';
}

static struct rational expression_number(struct expression_parser *p)
{
    size_t start = p->at;
    int64_t value = 0;
    for (; p->at < p->text.length; p->at++) {
        char c = p->text.data[p->at];
        if (c < '0' || c > '9') {
            break;
        }
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, c - '0', &value)) {
            return expression_fail(p, "number too large");
        }
    }
    if (p->at - start > 1 && p->text.data[start] == '0') {
        return expression_fail(p, "not an expression");
    }
    if (p->result.n == EXPRESSION_MAX_NUMBERS) {
        return expression_fail(p, "too many numbers");
    }
    p->result.numbers[p->result.n++] = value;
    return (struct rational){value, 1};
}

static struct rational expression_factor(struct expression_parser *p)
{
    char c = expression_peek(p);
    if (c >= '0' && c <= '9') {
        return expression_number(p);
    }
    if (c != '(') {
        return expression_fail(p, "not an expression");
    }
    if (++p->depth > EXPRESSION_MAX_DEPTH) {
        return expression_fail(p, "too many parentheses");
    }
    p->at++;
    struct rational value = expression_sum(p);
    if (!p->fault && expression_peek(p) != ')') {
        return expression_fail(p, "not an expression");
    }
    p->at++;
    p->depth--;
    return value;
}

static struct rational expression_product(struct expression_parser *p)
{
    struct rational value = expression_factor(p);
    for (char c = expression_peek(p); !p->fault && (c == '*' || c == '/'); c = expression_peek(p)) {
        p->at++;
        struct rational right = expression_factor(p);
        if (p->fault) {
            break;
        }
        if (c == '/' && right.num == 0) {
            return expression_fail(p, "division by zero");
        }
        if (!(c == '*' ? rational_mul(value, right, &value) : rational_div(value, right, &value))) {
            return expression_fail(p, "number too large");
        }
    }
    return value;
}

static struct rational expression_sum(struct expression_parser *p)
{
    struct rational value = expression_product(p);
    for (char c = expression_peek(p); !p->fault && (c == '+' || c == '-'); c = expression_peek(p)) {
        p->at++;
        struct rational right = expression_product(p);
        if (!p->fault && !(c == '+' ? rational_add(value, right, &value) : rational_sub(value, right, &value))) {
            return expression_fail(p, "number too large");
        }
    }
    return value;
}

const char *expression_evaluate(struct str text, struct expression *out)
{
    if (text.length > EXPRESSION_MAX_BYTES) {
        return "expression too long";
    }
    struct expression_parser parser = {.text = text};
    parser.result.value = expression_sum(&parser);
    expression_peek(&parser);
    if (!parser.fault && parser.at < text.length) {
        parser.fault = "not an expression";
    }
    if (!parser.fault) {
        *out = parser.result;
    }
    return parser.fault;
}

/* reward/math/mod_small.c - variables, and values that are small exact fractions.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/math/modular.h"

#include <stdlib.h>

#include "reward/math/field.h"

/* ---- names and variables ---- */

uint64_t math_mod_hash(struct str text)
{
    uint64_t h = text.length;
    for (size_t i = 0; i < text.length; i++) {
        h = math_field_mix(h ^ (unsigned char)text.data[i]);
    }
    return h;
}

int64_t math_mod_variable(const struct math_mod *mod, struct str name)
{
    for (int i = mod->n_bound - 1; i >= 0; i--) {
        if (str_equal(mod->index[i], name)) {
            return mod->count[i];
        }
    }
    uint64_t h = math_field_mix(mod->point ^ math_mod_hash(name));
    switch (mod->domain) {
    case MATH_DOMAIN_COUNTING: return (int64_t)(2 + h % 39);
    case MATH_DOMAIN_POWERS: return (int64_t)(1024 + h % (1 << 20));
    default: return (int64_t)(h >> 4);
    }
}

bool math_mod_has_free(const struct math_node *node)
{
    struct str name;
    return math_node_symbols(node, &name, 1, 0) > 0;
}

enum math_domain math_mod_domain(const struct math_node *a, const struct math_node *b)
{
    enum math_domain domain = b ? math_mod_domain(b, NULL) : MATH_DOMAIN_ALL;
    bool sum = a->op == OP_SUM || a->op == OP_PRODUCT;
    bool counts = a->op == OP_FUNCTION && (a->code == FUNCTION_FACTORIAL               ? math_mod_has_free(a->kids[0])
                                           : a->code == FUNCTION_BINOMIAL && a->n == 2 ? math_mod_has_free(a->kids[1])
                                                                                       : false);
    if (counts || (sum && (math_mod_has_free(a->kids[1]) || math_mod_has_free(a->kids[2])))) {
        return MATH_DOMAIN_COUNTING;
    }
    if (a->op == OP_POW && math_mod_has_free(a->kids[1]) && domain < MATH_DOMAIN_POWERS) {
        domain = MATH_DOMAIN_POWERS;
    }
    for (int i = 0; i < a->n && domain != MATH_DOMAIN_COUNTING; i++) {
        enum math_domain kid = math_mod_domain(a->kids[i], NULL);
        domain = kid > domain ? kid : domain;
    }
    return domain;
}

/* ---- small exact values ---- */

static bool small_number(const struct math_node *node, struct rational *out)
{
    int64_t num = 0, den = 1;
    bool point = false;
    for (size_t i = 0; i < node->text.length; i++) {
        char c = node->text.data[i];
        if (c == '.') {
            point = true;
            continue;
        }
        if (__builtin_mul_overflow(num, 10, &num) || __builtin_add_overflow(num, c - '0', &num) ||
            (point && __builtin_mul_overflow(den, 10, &den))) {
            return false;
        }
    }
    for (int i = 0; i < abs(node->exponent); i++) {
        if (__builtin_mul_overflow(node->exponent > 0 ? num : den, 10, node->exponent > 0 ? &num : &den)) {
            return false;
        }
    }
    return rational_make(num, den, out);
}

static bool small_power(struct rational base, struct rational exponent, struct rational *out)
{
    if (exponent.den != 1 || llabs(exponent.num) > 62 || (base.num == 0 && exponent.num <= 0)) {
        return false;
    }
    *out = (struct rational){1, 1};
    for (int64_t i = 0; i < llabs(exponent.num); i++) {
        if (!rational_mul(*out, base, out)) {
            return false;
        }
    }
    return exponent.num >= 0 || rational_div((struct rational){1, 1}, *out, out);
}

bool math_mod_rational(struct math_mod *mod, const struct math_node *node, struct rational *out)
{
    struct rational a, b;
    if (!math_work_pay(mod->work, 1)) {
        return false;
    }
    switch ((enum math_op)node->op) {
    case OP_NUMBER: return small_number(node, out);
    case OP_SYMBOL: *out = (struct rational){math_mod_variable(mod, node->text), 1}; return true;
    case OP_NEG:
        if (!math_mod_rational(mod, node->kids[0], &a)) {
            return false;
        }
        *out = (struct rational){-a.num, a.den};
        return true;
    case OP_ADD:
    case OP_MUL:
        *out = (struct rational){node->op == OP_MUL, 1};
        for (int i = 0; i < node->n; i++) {
            bool fits = math_mod_rational(mod, node->kids[i], &a) &&
                        (node->op == OP_ADD ? rational_add(*out, a, out) : rational_mul(*out, a, out));
            if (!fits) {
                return false;
            }
        }
        return true;
    case OP_DIV:
        return math_mod_rational(mod, node->kids[0], &a) && math_mod_rational(mod, node->kids[1], &b) && b.num != 0 &&
               rational_div(a, b, out);
    case OP_POW:
        return math_mod_rational(mod, node->kids[0], &a) && math_mod_rational(mod, node->kids[1], &b) &&
               small_power(a, b, out);
    default: return false;
    }
}

bool math_mod_small(struct math_mod *mod, const struct math_node *node, int64_t *num, int64_t *den)
{
    struct rational value;
    if (!math_mod_rational(mod, node, &value)) {
        return false;
    }
    *num = value.num;
    *den = value.den;
    return true;
}

bool math_mod_integer(struct math_mod *mod, const struct math_node *node, int64_t *out)
{
    int64_t den;
    return math_mod_small(mod, node, out, &den) && den == 1;
}

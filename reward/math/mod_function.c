/* reward/math/mod_function.c - functions of one and more arguments.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/math/modular.h"

#include <stdlib.h>

#include "reward/math/field.h"

/* ln of a positive whole number: the sum over its prime factors. */
static uint64_t ln_of_integer(struct math_mod *mod, int64_t n)
{
    struct math_factor factors[20];
    int count = math_mod_factor(mod, n, factors, 20);
    uint64_t sum = 0;
    for (int i = 0; i < count; i++) {
        uint64_t one = math_mod_opaque(mod, TAG_LN, math_field_of(factors[i].prime, mod->p), 0);
        sum = math_field_add(sum, math_field_mul(one, (uint64_t)factors[i].power, mod->p), mod->p);
    }
    return sum;
}

static enum math_mod_state ln_of(struct math_mod *mod, const struct math_node *node, uint64_t *out)
{
    struct rational value;
    if (node->op == OP_E) {
        *out = 1;
        return MOD_VALUE;
    }
    if (!math_mod_has_free(node) && math_mod_rational(mod, node, &value)) {
        if (value.num <= 0) {
            return MOD_UNABLE;
        }
        *out = math_field_sub(ln_of_integer(mod, value.num), ln_of_integer(mod, value.den), mod->p);
        return MOD_VALUE;
    }
    uint64_t inside;
    enum math_mod_state state = math_mod_eval(mod, node, &inside);
    if (state == MOD_VALUE) {
        *out = inside == 0 ? 0 : math_mod_opaque(mod, TAG_LN, inside, 0);
    }
    return state == MOD_VALUE && inside == 0 ? MOD_UNDEFINED : state;
}

static enum math_mod_state eval_log(struct math_mod *mod, const struct math_node *node, uint64_t *out)
{
    uint64_t top, bottom = 1;
    enum math_mod_state state = ln_of(mod, node->kids[0], &top);
    if (state == MOD_VALUE && node->n == 2) {
        state = ln_of(mod, node->kids[1], &bottom);
    } else if (state == MOD_VALUE && !mod->natural_log) {
        bottom = ln_of_integer(mod, 10);
    }
    return state == MOD_VALUE ? math_mod_divide(mod, top, bottom, out) : state;
}

/* Sine, cosine and their quotients of the angle u, from the tangent of half of it. */
static enum math_mod_state trigonometry(struct math_mod *mod, enum math_function f, uint64_t u, uint64_t *out)
{
    uint64_t p = mod->p, t = 0;
    if (u) {
        t = u > p / 2 ? p - math_mod_opaque(mod, TAG_TURN, p - u, 0) : math_mod_opaque(mod, TAG_TURN, u, 0);
    }
    uint64_t square = math_field_mul(t, t, p);
    uint64_t sine = math_field_add(t, t, p), cosine = math_field_sub(1, square, p), one = math_field_add(1, square, p);
    switch (f) {
    case FUNCTION_SIN: return math_mod_divide(mod, sine, one, out);
    case FUNCTION_COS: return math_mod_divide(mod, cosine, one, out);
    case FUNCTION_TAN: return math_mod_divide(mod, sine, cosine, out);
    case FUNCTION_COT: return math_mod_divide(mod, cosine, sine, out);
    case FUNCTION_SEC: return math_mod_divide(mod, one, cosine, out);
    default: return math_mod_divide(mod, one, sine, out);
    }
}

static enum math_mod_state hyperbolic(struct math_mod *mod, const struct math_node *node, uint64_t *out)
{
    uint64_t up, down, p = mod->p;
    enum math_mod_state state = math_mod_raise(mod, NULL, math_mod_e(mod), node->kids[0], &up);
    if (state != MOD_VALUE || (state = math_mod_divide(mod, 1, up, &down)) != MOD_VALUE) {
        return state;
    }
    uint64_t sum = math_field_add(up, down, p), difference = math_field_sub(up, down, p);
    switch (node->code) {
    case FUNCTION_SINH: return math_mod_divide(mod, difference, 2, out);
    case FUNCTION_COSH: return math_mod_divide(mod, sum, 2, out);
    default: return math_mod_divide(mod, difference, sum, out);
    }
}

static enum math_mod_state factorial(struct math_mod *mod, const struct math_node *node, uint64_t *out)
{
    int64_t n;
    uint64_t inside;
    if (!math_mod_integer(mod, node->kids[0], &n) || n > MATH_MAX_FACTORS) {
        enum math_mod_state state = math_mod_eval(mod, node->kids[0], &inside);
        if (state == MOD_VALUE) {
            *out = math_mod_opaque(mod, TAG_FUNCTION + FUNCTION_FACTORIAL, inside, 0);
        }
        return state;
    }
    if (n < 0 || !math_work_pay(mod->work, n)) {
        return n < 0 ? MOD_UNDEFINED : MOD_UNABLE;
    }
    *out = 1;
    for (int64_t i = 2; i <= n; i++) {
        *out = math_field_mul(*out, (uint64_t)i, mod->p);
    }
    return MOD_VALUE;
}

/* n (n-1) ... (n-k+1) / k!, for any n and a whole k. */
static enum math_mod_state binomial(struct math_mod *mod, const struct math_node *node, uint64_t *out)
{
    int64_t k, whole;
    uint64_t n, p = mod->p;
    enum math_mod_state state = node->n == 2 ? math_mod_eval(mod, node->kids[0], &n) : MOD_UNABLE;
    if (state != MOD_VALUE) {
        return state;
    }
    if (!math_mod_integer(mod, node->kids[1], &k)) {
        uint64_t lower;
        state = math_mod_eval(mod, node->kids[1], &lower);
        *out = state == MOD_VALUE ? math_mod_opaque(mod, TAG_FUNCTION + FUNCTION_BINOMIAL, n, lower) : 0;
        return state;
    }
    if (math_mod_integer(mod, node->kids[0], &whole) && whole >= 0) {
        k = k > whole / 2 && k <= whole ? whole - k : k;
        if (k > whole) {
            k = -1;
        }
    }
    if (k < 0) {
        *out = 0;
        return MOD_VALUE;
    }
    if (k > MATH_MAX_FACTORS || !math_work_pay(mod->work, 2 * k)) {
        return MOD_UNABLE;
    }
    uint64_t top = 1, bottom = 1;
    for (int64_t i = 0; i < k; i++) {
        top = math_field_mul(top, math_field_sub(n, (uint64_t)i, p), p);
        bottom = math_field_mul(bottom, (uint64_t)i + 1, p);
    }
    return math_mod_divide(mod, top, bottom, out);
}

static int64_t gcd(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a < 0 ? -a : a;
}

/* gcd, lcm, max, min and mod of whole numbers. False: not whole, or too large. */
static bool whole_function(struct math_mod *mod, const struct math_node *node, int64_t *out)
{
    int64_t value;
    for (int i = 0; i < node->n; i++) {
        if (!math_mod_integer(mod, node->kids[i], &value) || value == INT64_MIN) {
            return false;
        }
        if (i == 0) {
            *out = value;
            continue;
        }
        switch (node->code) {
        case FUNCTION_GCD: *out = gcd(*out, value); break;
        case FUNCTION_LCM:
            if (!value || !*out || __builtin_mul_overflow(*out / gcd(*out, value), value, out)) {
                return false;
            }
            *out = llabs(*out);
            break;
        case FUNCTION_MAX: *out = value > *out ? value : *out; break;
        case FUNCTION_MIN: *out = value < *out ? value : *out; break;
        default:
            if (value <= 0) {
                return false;
            }
            *out = (*out % value + value) % value;
            break;
        }
    }
    return node->n > 1;
}

/* |x|, floor, ceiling, sign of a small fraction. */
static int64_t rounded(enum math_function f, struct rational x, struct rational *out)
{
    int64_t down = x.num / x.den - (x.num % x.den < 0);
    switch (f) {
    case FUNCTION_ABS: *out = (struct rational){llabs(x.num), x.den}; break;
    case FUNCTION_FLOOR: *out = (struct rational){down, 1}; break;
    case FUNCTION_CEIL: *out = (struct rational){down + (x.num % x.den != 0), 1}; break;
    default: *out = (struct rational){(x.num > 0) - (x.num < 0), 1}; break;
    }
    return 0;
}

static enum math_mod_state odd_or_even(struct math_mod *mod, const struct math_node *node, uint64_t *out)
{
    uint64_t inside;
    enum math_mod_state state = math_mod_eval(mod, node->kids[0], &inside);
    if (state == MOD_VALUE) {
        bool negative = inside > mod->p / 2, even = node->code == FUNCTION_ABS;
        *out = inside ? math_mod_opaque(mod, TAG_FUNCTION + node->code, negative ? mod->p - inside : inside, 0) : 0;
        *out = negative && !even ? mod->p - *out : *out;
    }
    return state;
}

enum math_mod_state math_mod_function(struct math_mod *mod, const struct math_node *node, uint64_t *out)
{
    struct rational x;
    int64_t whole = 0;
    uint64_t inside;
    enum math_mod_state state;
    switch ((enum math_function)node->code) {
    case FUNCTION_SIN:
    case FUNCTION_COS:
    case FUNCTION_TAN:
    case FUNCTION_COT:
    case FUNCTION_SEC:
    case FUNCTION_CSC:
        state = math_mod_eval(mod, node->kids[0], &inside);
        return state == MOD_VALUE ? trigonometry(mod, (enum math_function)node->code, inside, out) : state;
    case FUNCTION_SINH:
    case FUNCTION_COSH:
    case FUNCTION_TANH: return hyperbolic(mod, node, out);
    case FUNCTION_EXP: return math_mod_raise(mod, NULL, math_mod_e(mod), node->kids[0], out);
    case FUNCTION_LN: return ln_of(mod, node->kids[0], out);
    case FUNCTION_LOG: return eval_log(mod, node, out);
    case FUNCTION_FACTORIAL: return factorial(mod, node, out);
    case FUNCTION_BINOMIAL: return binomial(mod, node, out);
    case FUNCTION_ABS:
    case FUNCTION_FLOOR:
    case FUNCTION_CEIL:
    case FUNCTION_SIGN:
        if (!math_mod_has_free(node) && math_mod_rational(mod, node->kids[0], &x)) {
            rounded((enum math_function)node->code, x, &x);
            return math_mod_divide(mod, math_field_of(x.num, mod->p), math_field_of(x.den, mod->p), out);
        }
        return node->code == FUNCTION_ABS ? odd_or_even(mod, node, out)
                                          : math_mod_by_name(mod, node, TAG_FUNCTION + node->code, out);
    case FUNCTION_ASIN:
    case FUNCTION_ATAN:
    case FUNCTION_ASINH:
    case FUNCTION_ATANH: return odd_or_even(mod, node, out);
    case FUNCTION_GCD:
    case FUNCTION_LCM:
    case FUNCTION_MAX:
    case FUNCTION_MIN:
    case FUNCTION_MOD:
        if (whole_function(mod, node, &whole)) {
            *out = math_field_of(whole, mod->p);
            return MOD_VALUE;
        }
        return math_mod_by_name(mod, node, TAG_FUNCTION + node->code, out);
    default: return math_mod_by_name(mod, node, TAG_FUNCTION + node->code, out);
    }
}

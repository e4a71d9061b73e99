/* reward/math/mod.c - elements, roots, powers, sums, and the walk over the tree.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/math/modular.h"

#include <stdlib.h>

#include "reward/math/field.h"

#define MAX_TRIAL 1000 /* primes that a radicand is divided by */

/* ---- elements ---- */

uint64_t math_mod_opaque(struct math_mod *mod, uint64_t tag, uint64_t a, uint64_t b)
{
    mod->formal = true;
    return math_field_hash(mod->seed, tag, a, b, mod->p);
}

enum math_mod_state math_mod_divide(struct math_mod *mod, uint64_t a, uint64_t b, uint64_t *out)
{
    if (b == 0) {
        return MOD_UNDEFINED;
    }
    *out = math_field_mul(a, math_field_inverse(b, mod->p), mod->p);
    return math_work_pay(mod->work, 10) ? MOD_VALUE : MOD_UNABLE;
}

/* base to a whole power of any size. */
enum math_mod_state math_mod_power(struct math_mod *mod, uint64_t base, int64_t exponent, uint64_t *out)
{
    if (base == 0) {
        *out = 0;
        return exponent > 0 ? MOD_VALUE : MOD_UNDEFINED;
    }
    uint64_t e = math_field_of(exponent, mod->p - 1);
    *out = math_field_power(base, e, mod->p);
    return math_work_pay(mod->work, 20) ? MOD_VALUE : MOD_UNABLE;
}

static uint64_t element_pi(struct math_mod *mod)
{
    mod->used_pi = true;
    return math_field_hash(mod->seed, TAG_PI, 0, 0, mod->p);
}

uint64_t math_mod_e(struct math_mod *mod)
{
    mod->used_e = true;
    return math_field_hash(mod->seed, TAG_E, 0, 0, mod->p);
}

static enum math_mod_state number(struct math_mod *mod, const struct math_node *node, uint64_t *out)
{
    uint64_t value = 0, p = mod->p;
    int64_t places = 0;
    bool point = false;
    for (size_t i = 0; i < node->text.length; i++) {
        char c = node->text.data[i];
        if (c == '.') {
            point = true;
        } else {
            value = math_field_add(math_field_mul(value, 10, p), (uint64_t)(c - '0'), p);
            places += point;
        }
    }
    *out = value;
    int64_t scale = node->exponent - places;
    uint64_t tens;
    if (scale == 0 || !math_work_pay(mod->work, (int64_t)node->text.length)) {
        return MOD_VALUE;
    }
    enum math_mod_state state = math_mod_power(mod, 10, scale, &tens);
    *out = math_field_mul(value, tens, p);
    return state;
}

/* Divides *n by q as often as possible. */
static int take_out(int64_t *n, int64_t q)
{
    int times = 0;
    for (; q > 1 && *n % q == 0; *n /= q) {
        times++;
    }
    return times;
}

int math_mod_factor(struct math_mod *mod, int64_t n, struct math_factor *factors, int max)
{
    int count = 0;
    for (int64_t q = 2; q <= MAX_TRIAL && q * q <= n && count < max - 1; q += 1 + (q > 2)) {
        int times = take_out(&n, q);
        if (times) {
            factors[count++] = (struct math_factor){q, times, true};
        }
    }
    math_work_pay(mod->work, 50);
    if (n > 1) {
        uint64_t root = (uint64_t)__builtin_sqrt((double)n);
        root -= root * root > (uint64_t)n;
        root += (root + 1) * (root + 1) <= (uint64_t)n;
        bool square = root * root == (uint64_t)n;
        int64_t prime = square ? (int64_t)root : n;
        factors[count++] = (struct math_factor){prime, square ? 2 : 1, prime <= (int64_t)MAX_TRIAL * MAX_TRIAL};
    }
    return count;
}

/* The square root of the whole number n. */
static enum math_mod_state root_of_integer(struct math_mod *mod, int64_t n, uint64_t *out)
{
    struct math_factor factors[20];
    uint64_t root;
    *out = 1;
    if (n == 0) {
        *out = 0;
        return MOD_VALUE;
    }
    if (n < 0) {
        if (n == INT64_MIN || !math_field_root(mod->p - 1, mod->p, out)) {
            return MOD_UNABLE;
        }
        n = -n;
    }
    int count = math_mod_factor(mod, n, factors, 20);
    for (int i = 0; i < count; i++) {
        uint64_t whole =
            math_field_power(math_field_of(factors[i].prime, mod->p), (uint64_t)factors[i].power / 2, mod->p);
        *out = math_field_mul(*out, whole, mod->p);
        if (factors[i].power % 2 == 0) {
            continue;
        }
        if (!factors[i].certain) {
            root = math_mod_opaque(mod, TAG_ROOT, 2, math_field_of(factors[i].prime, mod->p));
        } else if (!math_field_root(math_field_of(factors[i].prime, mod->p), mod->p, &root)) {
            return MOD_NO_ROOT;
        }
        *out = math_field_mul(*out, root, mod->p);
        math_work_pay(mod->work, 60);
    }
    return MOD_VALUE;
}

static enum math_mod_state root_of(struct math_mod *mod, const struct math_node *node, int64_t degree, uint64_t *out)
{
    struct rational value;
    int64_t product;
    uint64_t inside;
    if (degree == 2 && !math_mod_has_free(node) && math_mod_rational(mod, node, &value) &&
        !__builtin_mul_overflow(value.num, value.den, &product)) { /* sqrt(a/b) = sqrt(ab)/b */
        enum math_mod_state state = root_of_integer(mod, product, out);
        return state == MOD_VALUE ? math_mod_divide(mod, *out, math_field_of(value.den, mod->p), out) : state;
    }
    enum math_mod_state state = math_mod_eval(mod, node, &inside);
    if (state == MOD_VALUE) {
        *out = inside == 0 ? 0 : inside == 1 ? 1 : math_mod_opaque(mod, TAG_ROOT, (uint64_t)degree, inside);
    }
    return state;
}

/* ---- powers ---- */

/* base^u for an exponent that is no small fraction; base^-u is its inverse. */
static enum math_mod_state opaque_power(struct math_mod *mod, uint64_t base, const struct math_node *exponent,
                                        uint64_t *out)
{
    uint64_t u;
    enum math_mod_state state = math_mod_eval(mod, exponent, &u);
    if (state != MOD_VALUE || base == 0) {
        return state == MOD_VALUE ? MOD_UNABLE : state;
    }
    bool negative = u > mod->p / 2;
    *out = u == 0 ? 1 : math_mod_opaque(mod, TAG_POWER, base, negative ? mod->p - u : u);
    return negative ? math_mod_divide(mod, 1, *out, out) : MOD_VALUE;
}

enum math_mod_state math_mod_raise(struct math_mod *mod, const struct math_node *base, uint64_t value,
                                   const struct math_node *exponent, uint64_t *out)
{
    int64_t num, den;
    uint64_t factor_value, rest = 0;
    enum math_mod_state state;
    if (math_mod_small(mod, exponent, &num, &den) && den < 1000) {
        if (den == 1) {
            return math_mod_power(mod, value, num, out);
        }
        state = base ? root_of(mod, base, den, &rest) : MOD_VALUE;
        rest = base ? rest : math_mod_opaque(mod, TAG_ROOT, (uint64_t)den, value);
        return state == MOD_VALUE ? math_mod_power(mod, rest, num, out) : state;
    }
    if (exponent->op == OP_ADD) {
        *out = 1;
        for (int i = 0; i < exponent->n; i++) {
            state = math_mod_raise(mod, base, value, exponent->kids[i], &factor_value);
            if (state != MOD_VALUE) {
                return state;
            }
            *out = math_field_mul(*out, factor_value, mod->p);
        }
        return MOD_VALUE;
    }
    if (exponent->op == OP_NEG) {
        state = math_mod_raise(mod, base, value, exponent->kids[0], &rest);
        return state == MOD_VALUE ? math_mod_divide(mod, 1, rest, out) : state;
    }
    if (exponent->op == OP_MUL && exponent->n == 2 && math_node_small(exponent->kids[0], &num)) {
        state = math_mod_raise(mod, base, value, exponent->kids[1], &rest);
        return state == MOD_VALUE ? math_mod_power(mod, rest, num, out) : state;
    }
    return opaque_power(mod, value, exponent, out);
}

static enum math_mod_state eval_power(struct math_mod *mod, const struct math_node *node, uint64_t *out)
{
    uint64_t base;
    enum math_mod_state state = math_mod_eval(mod, node->kids[0], &base);
    return state == MOD_VALUE ? math_mod_raise(mod, node->kids[0], base, node->kids[1], out) : state;
}

/* A function by its name and the images of its arguments; the sign is taken out of odd and even functions. */
enum math_mod_state math_mod_by_name(struct math_mod *mod, const struct math_node *node, uint64_t tag, uint64_t *out)
{
    bool symmetric = node->op == OP_FUNCTION && (node->code == FUNCTION_MAX || node->code == FUNCTION_MIN ||
                                                 node->code == FUNCTION_GCD || node->code == FUNCTION_LCM);
    bool own_name = node->op != OP_FUNCTION || node->code == FUNCTION_OTHER;
    uint64_t all = own_name ? math_mod_hash(node->text) : 0;
    for (int i = 0; i < node->n; i++) {
        uint64_t inside;
        enum math_mod_state state = math_mod_eval(mod, node->kids[i], &inside);
        if (state != MOD_VALUE) {
            return state;
        }
        all = symmetric ? all + math_field_mix(inside) : math_field_mix(all ^ inside) + (uint64_t)i;
    }
    *out = math_mod_opaque(mod, tag, all, (uint64_t)node->n);
    return MOD_VALUE;
}

/* ---- sums ---- */

static enum math_mod_state eval_sum(struct math_mod *mod, const struct math_node *node, uint64_t *out)
{
    int64_t first, last;
    bool adds = node->op == OP_SUM;
    bool counted = math_mod_integer(mod, node->kids[1], &first) && math_mod_integer(mod, node->kids[2], &last) &&
                   last - first < MATH_MAX_UNROLL;
    if (mod->n_bound == 8) {
        return MOD_UNABLE;
    }
    int level = mod->n_bound++;
    mod->index[level] = node->kids[0]->text;
    uint64_t value, low, high;
    enum math_mod_state state = MOD_VALUE;
    *out = adds ? 0 : 1;
    if (counted) {
        for (int64_t i = first; i <= last && state == MOD_VALUE; i++) {
            int64_t budget = mod->work->budget;
            mod->count[level] = i;
            state = math_work_pay(mod->work, 1) ? math_mod_eval(mod, node->kids[3], &value) : MOD_UNABLE;
            if (i == first && !math_work_lasts(mod->work, budget - mod->work->budget, last - first)) {
                state = MOD_UNABLE;
            }
            *out = state != MOD_VALUE ? 0
                   : adds             ? math_field_add(*out, value, mod->p)
                                      : math_field_mul(*out, value, mod->p);
        }
    } else { /* by its form: the term at a strange index */
        mod->count[level] = 1000003 + level;
        state = math_mod_eval(mod, node->kids[3], &value);
    }
    mod->n_bound--;
    if (!counted && state == MOD_VALUE && (state = math_mod_eval(mod, node->kids[1], &low)) == MOD_VALUE &&
        (node->kids[2]->op == OP_INFINITY || (state = math_mod_eval(mod, node->kids[2], &high)) == MOD_VALUE)) {
        high = node->kids[2]->op == OP_INFINITY ? 0 : high;
        *out = math_mod_opaque(mod, TAG_SUM + adds, value, math_field_mix(low) ^ high);
    }
    return state;
}

/* ---- the tree ---- */

static enum math_mod_state eval_based(struct math_mod *mod, const struct math_node *node, uint64_t *out)
{
    int64_t base;
    if (!math_node_small(node->kids[0], &base) || base < 2 || base > 36) {
        return MOD_UNABLE;
    }
    *out = 0;
    for (size_t i = 0; i < node->text.length; i++) {
        char c = node->text.data[i];
        int digit = c >= 'A' && c <= 'Z' ? c - 'A' + 10 : c >= '0' && c <= '9' ? c - '0' : 99;
        if (digit >= base) {
            return MOD_UNABLE;
        }
        *out = math_field_mul(*out, (uint64_t)base, mod->p);
        *out = math_field_add(*out, (uint64_t)digit, mod->p);
    }
    return MOD_VALUE;
}

static enum math_mod_state eval_many(struct math_mod *mod, const struct math_node *node, uint64_t *out)
{
    *out = node->op == OP_MUL;
    for (int i = 0; i < node->n; i++) {
        uint64_t value;
        enum math_mod_state state = math_mod_eval(mod, node->kids[i], &value);
        if (state != MOD_VALUE) {
            return state;
        }
        *out = node->op == OP_MUL ? math_field_mul(*out, value, mod->p) : math_field_add(*out, value, mod->p);
    }
    return MOD_VALUE;
}

static enum math_mod_state eval_one(struct math_mod *mod, const struct math_node *node, uint64_t *out)
{
    uint64_t value;
    enum math_mod_state state = math_mod_eval(mod, node->kids[0], &value);
    if (state != MOD_VALUE) {
        return state;
    }
    switch ((enum math_op)node->op) {
    case OP_NEG: *out = value ? mod->p - value : 0; return MOD_VALUE;
    case OP_PERCENT: return math_mod_divide(mod, value, 100, out);
    case OP_DEGREE: return math_mod_divide(mod, math_field_mul(value, element_pi(mod), mod->p), 180, out);
    default: *out = value; return MOD_VALUE;
    }
}

static enum math_mod_state eval_quotient(struct math_mod *mod, const struct math_node *node, uint64_t *out)
{
    uint64_t a, b;
    enum math_mod_state state = node->n == 2 ? math_mod_eval(mod, node->kids[0], &a) : MOD_UNABLE;
    state = state == MOD_VALUE ? math_mod_eval(mod, node->kids[1], &b) : state;
    return state == MOD_VALUE ? math_mod_divide(mod, a, b, out) : state;
}

static enum math_mod_state eval_root(struct math_mod *mod, const struct math_node *node, uint64_t *out)
{
    int64_t degree = 2;
    if (node->n == 2 && (!math_mod_integer(mod, node->kids[1], &degree) || degree < 2 || degree > 1000)) {
        return math_mod_by_name(mod, node, TAG_ROOT, out);
    }
    return root_of(mod, node->kids[0], degree, out);
}

enum math_mod_state math_mod_eval(struct math_mod *mod, const struct math_node *node, uint64_t *out)
{
    if (!math_work_pay(mod->work, 1)) {
        return MOD_UNABLE;
    }
    switch ((enum math_op)node->op) {
    case OP_NUMBER: return number(mod, node, out);
    case OP_SYMBOL: *out = math_field_of(math_mod_variable(mod, node->text), mod->p); return MOD_VALUE;
    case OP_PI: *out = element_pi(mod); return MOD_VALUE;
    case OP_E: *out = math_mod_e(mod); return MOD_VALUE;
    case OP_I: return math_field_root(mod->p - 1, mod->p, out) ? MOD_VALUE : MOD_UNABLE;
    case OP_TEXT: *out = math_mod_opaque(mod, TAG_NAME, math_mod_hash(node->text), 0); return MOD_VALUE;
    case OP_ADD:
    case OP_MUL: return eval_many(mod, node, out);
    case OP_NEG:
    case OP_PERCENT:
    case OP_DEGREE:
    case OP_UNIT: return eval_one(mod, node, out);
    case OP_DIV:
    case OP_RATIO: return eval_quotient(mod, node, out);
    case OP_POW: return eval_power(mod, node, out);
    case OP_ROOT: return eval_root(mod, node, out);
    case OP_FUNCTION: return math_mod_function(mod, node, out);
    case OP_CALL: return math_mod_by_name(mod, node, TAG_CALL, out);
    case OP_SUM:
    case OP_PRODUCT: return eval_sum(mod, node, out);
    case OP_BASED: return eval_based(mod, node, out);
    default: return MOD_UNABLE;
    }
}

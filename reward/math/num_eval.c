/* reward/math/num_eval.c - numbers, variables, the four operations, powers, roots, sums.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/math/numeric.h"

#include <math.h>
#include <stdlib.h>

#include "reward/math/field.h"

#define COST          25  /* operations that one function of MPC is counted as */
#define COMPLEX_POWER 300 /* what a complex power costs in addition */

/* ---- values ---- */

enum num_state math_num_look(struct num *num, mpc_t value)
{
    mpfr_ptr parts[] = {mpc_realref(value), mpc_imagref(value)};
    mpfr_exp_t size = -2 * MAX_EXPONENT;
    for (int i = 0; i < 2; i++) {
        if (!mpfr_number_p(parts[i])) {
            return NUM_UNDEFINED;
        }
        if (mpfr_zero_p(parts[i])) {
            mpfr_set_zero(parts[i], 1); /* or a branch cut would be on the other side */
            continue;
        }
        mpfr_exp_t e = mpfr_get_exp(parts[i]);
        size = e > size ? e : size;
    }
    if (size == -2 * MAX_EXPONENT) {
        return NUM_VALUE; /* zero */
    }
    if (labs(size) > MAX_EXPONENT) {
        return NUM_UNABLE;
    }
    if (num->real && !mpfr_zero_p(parts[1])) {
        return NUM_UNDEFINED;
    }
    num->largest = size > num->largest ? size : num->largest;
    num->smallest = size < num->smallest ? size : num->smallest;
    return NUM_VALUE;
}

bool math_num_is_real(mpc_srcptr value)
{
    return mpfr_zero_p(mpc_imagref(value)) != 0;
}

bool math_num_is_zero(mpc_srcptr value)
{
    return mpfr_zero_p(mpc_realref(value)) && mpfr_zero_p(mpc_imagref(value));
}

/* A real value that is a whole number, up to rounding, and fits. */
bool math_num_is_whole(const struct num *num, mpc_srcptr value, int64_t *out)
{
    if (!math_num_is_real(value) || (!mpfr_zero_p(mpc_realref(value)) && mpfr_get_exp(mpc_realref(value)) > 62)) {
        return false;
    }
    *out = mpfr_get_sj(mpc_realref(value), MPFR_RNDN);
    mpfr_t rest;
    mpfr_init2(rest, num->bits);
    mpfr_sub_si(rest, mpc_realref(value), *out, MPFR_RNDN);
    bool whole = mpfr_zero_p(rest) || mpfr_get_exp(rest) < -(mpfr_exp_t)num->bits / 2;
    mpfr_clear(rest);
    return whole;
}

static void set_variable(const struct num *num, struct str name, mpc_t out)
{
    for (int i = num->n_bound - 1; i >= 0; i--) {
        if (str_equal(num->index[i], name)) {
            mpc_set_si(out, num->count[i], MPC_ROUND);
            return;
        }
    }
    uint64_t h = num->point;
    for (size_t i = 0; i < name.length; i++) {
        h = math_field_mix(h ^ (unsigned char)name.data[i]);
    }
    double value = num->min + (num->max - num->min) * ((double)(h >> 12) + 0.5) / 0x1p52;
    mpc_set_d(out, num->whole ? floor(value) : value, MPC_ROUND);
}

static enum num_state set_number(struct num *num, const struct math_node *node, mpc_t out)
{
    char text[MATH_MAX_DIGITS + 16];
    if (node->text.length == 0 || node->text.length > MATH_MAX_DIGITS) {
        return NUM_UNABLE;
    }
    snprintf(text, sizeof text, "%.*se%d", (int)node->text.length, node->text.data, node->exponent);
    mpfr_strtofr(mpc_realref(out), text, NULL, 10, MPFR_RNDN);
    mpfr_set_zero(mpc_imagref(out), 1);
    return math_num_look(num, out);
}

/* ---- operations ---- */

static enum num_state eval_many(struct num *num, const struct math_node *node, mpc_t out)
{
    enum num_state state = math_num_eval(num, node->kids[0], out);
    mpc_t next;
    mpc_init2(next, num->bits);
    for (int i = 1; i < node->n && state == NUM_VALUE; i++) {
        state = math_num_eval(num, node->kids[i], next);
        if (state == NUM_VALUE) {
            (void)(node->op == OP_MUL ? mpc_mul(out, out, next, MPC_ROUND) : mpc_add(out, out, next, MPC_ROUND));
            state = math_num_look(num, out);
        }
    }
    mpc_clear(next);
    return state;
}

enum num_state math_num_divide(struct num *num, mpc_t a, mpc_t b)
{
    if (math_num_is_zero(b)) {
        return NUM_UNDEFINED;
    }
    mpc_div(a, a, b, MPC_ROUND);
    return math_num_look(num, a);
}

/* base^exponent, into base. */
static enum num_state power(struct num *num, mpc_t base, mpc_t exponent)
{
    int64_t n;
    if (math_num_is_zero(base)) {
        bool positive = math_num_is_real(exponent) && mpfr_sgn(mpc_realref(exponent)) > 0;
        return positive ? NUM_VALUE : NUM_UNDEFINED;
    }
    double size = fabs((double)mpfr_get_exp(math_num_is_real(base) ? mpc_realref(base) : mpc_imagref(base))) + 2;
    double times = fabs(mpfr_get_d(mpc_realref(exponent), MPFR_RNDN));
    if (times * size > MAX_EXPONENT) {
        return NUM_UNABLE;
    }
    if (math_num_is_whole(num, exponent, &n)) {
        mpc_pow_si(base, base, n, MPC_ROUND);
    } else if (math_num_is_real(base) && mpfr_sgn(mpc_realref(base)) > 0 && math_num_is_real(exponent)) {
        mpfr_pow(mpc_realref(base), mpc_realref(base), mpc_realref(exponent), MPFR_RNDN);
    } else if (math_work_pay(num->work, COMPLEX_POWER)) {
        mpc_pow(base, base, exponent, MPC_ROUND);
    } else {
        return NUM_UNABLE;
    }
    return math_num_look(num, base);
}

static enum num_state eval_two(struct num *num, const struct math_node *node, mpc_t out)
{
    mpc_t second;
    enum num_state state = node->n == 2 ? math_num_eval(num, node->kids[0], out) : NUM_UNABLE;
    if (state != NUM_VALUE) {
        return state;
    }
    mpc_init2(second, num->bits);
    state = math_num_eval(num, node->kids[1], second);
    if (state == NUM_VALUE) {
        state = node->op == OP_POW ? power(num, out, second) : math_num_divide(num, out, second);
    }
    mpc_clear(second);
    return state;
}

/* The root of a degree from the radicand; odd roots of negative numbers are negative. */
static enum num_state eval_root(struct num *num, const struct math_node *node, mpc_t out)
{
    mpc_t degree;
    int64_t n = 2;
    enum num_state state = math_num_eval(num, node->kids[0], out);
    if (state != NUM_VALUE || math_num_is_zero(out)) {
        return state;
    }
    if (node->n == 1) {
        mpc_sqrt(out, out, MPC_ROUND);
        return math_num_look(num, out);
    }
    mpc_init2(degree, num->bits);
    state = math_num_eval(num, node->kids[1], degree);
    if (state == NUM_VALUE && (!math_num_is_whole(num, degree, &n) || n < 1 || n > 10000)) {
        state = NUM_UNDEFINED;
    }
    if (state == NUM_VALUE) {
        bool minus = math_num_is_real(out) && mpfr_sgn(mpc_realref(out)) < 0 && n % 2;
        if (minus) {
            mpc_neg(out, out, MPC_ROUND);
        }
        mpc_ui_div(degree, 1, degree, MPC_ROUND);
        mpc_pow(out, out, degree, MPC_ROUND);
        if (minus) {
            mpc_neg(out, out, MPC_ROUND);
        }
        state = math_num_look(num, out);
    }
    mpc_clear(degree);
    return state;
}

static enum num_state eval_one(struct num *num, const struct math_node *node, mpc_t out)
{
    enum num_state state = math_num_eval(num, node->kids[0], out);
    if (state != NUM_VALUE) {
        return state;
    }
    switch ((enum math_op)node->op) {
    case OP_NEG: mpc_neg(out, out, MPC_ROUND); break;
    case OP_PERCENT: mpc_div_ui(out, out, 100, MPC_ROUND); break;
    case OP_DEGREE: {
        mpfr_t pi;
        mpfr_init2(pi, num->bits);
        mpfr_const_pi(pi, MPFR_RNDN);
        mpc_mul_fr(out, out, pi, MPC_ROUND);
        mpfr_clear(pi);
        mpc_div_ui(out, out, 180, MPC_ROUND);
        break;
    }
    default: break;
    }
    return math_num_look(num, out);
}

/* ---- sums ---- */

static bool bound(struct num *num, const struct math_node *node, int64_t *out)
{
    mpc_t value;
    mpc_init2(value, num->bits);
    bool whole = math_num_eval(num, node, value) == NUM_VALUE && math_num_is_whole(num, value, out);
    mpc_clear(value);
    return whole;
}

static enum num_state eval_sum(struct num *num, const struct math_node *node, mpc_t out)
{
    int64_t first, last;
    if (!bound(num, node->kids[1], &first) || !bound(num, node->kids[2], &last) || last - first >= MATH_MAX_UNROLL ||
        num->n_bound == 8) {
        return NUM_UNABLE;
    }
    int level = num->n_bound++;
    mpc_t term;
    mpc_init2(term, num->bits);
    num->index[level] = node->kids[0]->text;
    mpc_set_ui(out, node->op == OP_PRODUCT, MPC_ROUND);
    enum num_state state = NUM_VALUE;
    for (int64_t i = first; i <= last && state == NUM_VALUE; i++) {
        num->count[level] = i;
        int64_t budget = num->work->budget;
        state = math_num_eval(num, node->kids[3], term);
        if (i == first && !math_work_lasts(num->work, budget - num->work->budget, last - first)) {
            state = NUM_UNABLE;
        }
        if (state == NUM_VALUE) {
            (void)(node->op == OP_PRODUCT ? mpc_mul(out, out, term, MPC_ROUND) : mpc_add(out, out, term, MPC_ROUND));
            state = math_num_look(num, out);
        }
    }
    num->n_bound--;
    mpc_clear(term);
    return state;
}

enum num_state math_num_eval(struct num *num, const struct math_node *node, mpc_t out)
{
    if (!math_work_pay(num->work, COST * num->bits / 128)) {
        return NUM_UNABLE;
    }
    switch ((enum math_op)node->op) {
    case OP_NUMBER: return set_number(num, node, out);
    case OP_SYMBOL: set_variable(num, node->text, out); return NUM_VALUE;
    case OP_PI:
        mpfr_const_pi(mpc_realref(out), MPFR_RNDN);
        mpfr_set_zero(mpc_imagref(out), 1);
        return NUM_VALUE;
    case OP_E:
        mpc_set_ui(out, 1, MPC_ROUND);
        mpc_exp(out, out, MPC_ROUND);
        return NUM_VALUE;
    case OP_I: mpc_set_ui_ui(out, 0, 1, MPC_ROUND); return NUM_VALUE;
    case OP_ADD:
    case OP_MUL: return eval_many(num, node, out);
    case OP_NEG:
    case OP_PERCENT:
    case OP_DEGREE:
    case OP_UNIT: return eval_one(num, node, out);
    case OP_DIV:
    case OP_RATIO:
    case OP_POW: return eval_two(num, node, out);
    case OP_ROOT: return eval_root(num, node, out);
    case OP_FUNCTION: return math_num_function(num, node, out);
    case OP_SUM:
    case OP_PRODUCT: return eval_sum(num, node, out);
    default: return NUM_UNABLE;
    }
}

/* reward/math/num_function.c - functions of complex numbers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/math/numeric.h"

#include <math.h>
#include <stdlib.h>

#define MAX_TURNS     64 /* bits before the point of an angle or of the argument of exp */
#define MAX_FACTORIAL 1000
#define COST          50  /* operations that a function costs in addition to the walk */
#define COST_COMPLEX  400 /* what one of a complex number costs in addition */

static bool moderate(mpc_srcptr value)
{
    mpfr_srcptr parts[] = {mpc_realref(value), mpc_imagref(value)};
    for (int i = 0; i < 2; i++) {
        if (!mpfr_zero_p(parts[i]) && mpfr_get_exp(parts[i]) > MAX_TURNS) {
            return false;
        }
    }
    return true;
}

/* Applies f to a real value whose image is real, several times as fast; false: one of them is not real. */
static bool elementary_real(enum math_function f, mpc_t x)
{
    mpfr_ptr re = mpc_realref(x);
    bool within = mpfr_cmpabs_ui(re, 1) <= 0; /* -1 to 1 */
    if (!math_num_is_real(x) || ((f == FUNCTION_ASIN || f == FUNCTION_ACOS) && !within)) {
        return false;
    }
    switch (f) {
    case FUNCTION_ASIN: mpfr_asin(re, re, MPFR_RNDN); return true;
    case FUNCTION_ACOS: mpfr_acos(re, re, MPFR_RNDN); return true;
    case FUNCTION_SEC:
    case FUNCTION_COS: mpfr_cos(re, re, MPFR_RNDN); return true;
    case FUNCTION_CSC:
    case FUNCTION_SIN: mpfr_sin(re, re, MPFR_RNDN); return true;
    case FUNCTION_COT:
    case FUNCTION_TAN: mpfr_tan(re, re, MPFR_RNDN); return true;
    case FUNCTION_ATAN: mpfr_atan(re, re, MPFR_RNDN); return true;
    case FUNCTION_SINH: mpfr_sinh(re, re, MPFR_RNDN); return true;
    case FUNCTION_COSH: mpfr_cosh(re, re, MPFR_RNDN); return true;
    case FUNCTION_TANH: mpfr_tanh(re, re, MPFR_RNDN); return true;
    case FUNCTION_ASINH: mpfr_asinh(re, re, MPFR_RNDN); return true;
    default: return false;
    }
}

static void elementary_complex(enum math_function f, mpc_t x)
{
    switch (f) {
    case FUNCTION_SEC:
    case FUNCTION_COS: mpc_cos(x, x, MPC_ROUND); break;
    case FUNCTION_CSC:
    case FUNCTION_SIN: mpc_sin(x, x, MPC_ROUND); break;
    case FUNCTION_COT:
    case FUNCTION_TAN: mpc_tan(x, x, MPC_ROUND); break;
    case FUNCTION_ASIN: mpc_asin(x, x, MPC_ROUND); break;
    case FUNCTION_ACOS: mpc_acos(x, x, MPC_ROUND); break;
    case FUNCTION_ATAN: mpc_atan(x, x, MPC_ROUND); break;
    case FUNCTION_SINH: mpc_sinh(x, x, MPC_ROUND); break;
    case FUNCTION_COSH: mpc_cosh(x, x, MPC_ROUND); break;
    case FUNCTION_TANH: mpc_tanh(x, x, MPC_ROUND); break;
    case FUNCTION_ASINH: mpc_asinh(x, x, MPC_ROUND); break;
    case FUNCTION_ACOSH: mpc_acosh(x, x, MPC_ROUND); break;
    default: mpc_atanh(x, x, MPC_ROUND); break;
    }
}

static enum num_state elementary(struct num *num, enum math_function f, mpc_t x)
{
    if (!math_work_pay(num->work, COST) || (f <= FUNCTION_TANH && !moderate(x))) {
        return NUM_UNABLE;
    }
    if (f > FUNCTION_ATANH) {
        return NUM_UNABLE;
    }
    if (!elementary_real(f, x)) {
        if (!math_work_pay(num->work, COST_COMPLEX)) {
            return NUM_UNABLE;
        }
        elementary_complex(f, x);
    }
    enum num_state state = math_num_look(num, x);
    if (state == NUM_VALUE && f >= FUNCTION_COT && f <= FUNCTION_CSC) {
        if (math_num_is_zero(x)) {
            return NUM_UNDEFINED;
        }
        mpc_ui_div(x, 1, x, MPC_ROUND);
    }
    return state == NUM_VALUE ? math_num_look(num, x) : state;
}

static enum num_state exponential(struct num *num, mpc_t x)
{
    if (!moderate(x) || fabs(mpfr_get_d(mpc_realref(x), MPFR_RNDN)) > (MAX_EXPONENT >> 1)) {
        return NUM_UNABLE;
    }
    if (math_num_is_real(x)) {
        mpfr_exp(mpc_realref(x), mpc_realref(x), MPFR_RNDN);
    } else {
        mpc_exp(x, x, MPC_ROUND);
    }
    return math_num_look(num, x);
}

static enum num_state logarithm(struct num *num, mpc_t x)
{
    if (math_num_is_zero(x)) {
        return NUM_UNDEFINED;
    }
    if (math_num_is_real(x) && mpfr_sgn(mpc_realref(x)) > 0) {
        mpfr_log(mpc_realref(x), mpc_realref(x), MPFR_RNDN);
    } else {
        mpc_log(x, x, MPC_ROUND);
    }
    return math_num_look(num, x);
}

static enum num_state eval_log(struct num *num, const struct math_node *node, mpc_t x)
{
    enum num_state state = logarithm(num, x);
    if (state != NUM_VALUE || (node->n == 1 && num->natural_log)) {
        return state;
    }
    mpc_t base;
    mpc_init2(base, num->bits);
    mpc_set_ui(base, 10, MPC_ROUND);
    state = node->n == 2 ? math_num_eval(num, node->kids[1], base) : NUM_VALUE;
    state = state == NUM_VALUE ? logarithm(num, base) : state;
    state = state == NUM_VALUE ? math_num_divide(num, x, base) : state;
    mpc_clear(base);
    return state;
}

static enum num_state rounding(struct num *num, enum math_function f, mpc_t x)
{
    int64_t n;
    if (f == FUNCTION_ABS) {
        mpc_abs(mpc_realref(x), x, MPFR_RNDN);
        mpfr_set_zero(mpc_imagref(x), 1);
        return math_num_look(num, x);
    }
    if (!math_num_is_real(x)) {
        return NUM_UNABLE;
    }
    mpfr_ptr re = mpc_realref(x);
    if (f == FUNCTION_SIGN) {
        mpfr_set_si(re, mpfr_sgn(re), MPFR_RNDN);
    } else if (math_num_is_whole(num, x, &n)) {
        mpfr_set_si(re, n, MPFR_RNDN);
    } else if (f == FUNCTION_FLOOR) {
        mpfr_floor(re, re);
    } else {
        mpfr_ceil(re, re);
    }
    return math_num_look(num, x);
}

static enum num_state factorial(struct num *num, mpc_t x)
{
    int64_t n;
    if (!math_num_is_whole(num, x, &n) || n > MAX_FACTORIAL) {
        return NUM_UNABLE;
    }
    if (n < 0) {
        return NUM_UNDEFINED;
    }
    mpfr_fac_ui(mpc_realref(x), (unsigned long)n, MPFR_RNDN);
    return math_work_pay(num->work, n) ? math_num_look(num, x) : NUM_UNABLE;
}

static enum num_state binomial(struct num *num, mpc_t x, mpc_t lower)
{
    int64_t k;
    if (!math_num_is_whole(num, lower, &k) || k > MAX_FACTORIAL || !math_work_pay(num->work, 4 * k)) {
        return NUM_UNABLE;
    }
    mpc_t term, product;
    mpc_init2(term, num->bits);
    mpc_init2(product, num->bits);
    mpc_set_ui(product, k >= 0, MPC_ROUND);
    for (int64_t i = 0; i < k; i++) {
        mpc_sub_ui(term, x, (unsigned long)i, MPC_ROUND);
        mpc_mul(product, product, term, MPC_ROUND);
        mpc_div_ui(product, product, (unsigned long)i + 1, MPC_ROUND);
    }
    mpc_set(x, product, MPC_ROUND);
    mpc_clear(term);
    mpc_clear(product);
    return math_num_look(num, x);
}

/* x and the next argument of max, min, mod, gcd, lcm, into x. */
static enum num_state join(struct num *num, enum math_function f, mpc_t x, mpc_t next)
{
    int64_t a, b;
    if (f == FUNCTION_BINOMIAL) {
        return binomial(num, x, next);
    }
    if ((f == FUNCTION_MAX || f == FUNCTION_MIN) && math_num_is_real(x) && math_num_is_real(next)) {
        if (mpfr_less_p(mpc_realref(x), mpc_realref(next)) == (f == FUNCTION_MAX)) {
            mpc_set(x, next, MPC_ROUND);
        }
        return NUM_VALUE;
    }
    if (!math_num_is_whole(num, x, &a) || !math_num_is_whole(num, next, &b) || b <= 0 ||
        (f == FUNCTION_LCM && a <= 0)) {
        return NUM_UNABLE;
    }
    int64_t r = llabs(a), s = b;
    while (s) {
        int64_t rest = r % s;
        r = s;
        s = rest;
    }
    if (f == FUNCTION_LCM) {
        mpc_mul(x, x, next, MPC_ROUND);
        mpc_div_ui(x, x, (unsigned long)r, MPC_ROUND);
    } else {
        mpc_set_si(x, f == FUNCTION_GCD ? r : (a % b + b) % b, MPC_ROUND);
    }
    return math_num_look(num, x);
}

static enum num_state eval_joined(struct num *num, const struct math_node *node, mpc_t out)
{
    enum num_state state = node->n > 1 ? NUM_VALUE : NUM_UNABLE;
    mpc_t next;
    mpc_init2(next, num->bits);
    for (int i = 1; i < node->n && state == NUM_VALUE; i++) {
        state = math_num_eval(num, node->kids[i], next);
        state = state == NUM_VALUE ? join(num, (enum math_function)node->code, out, next) : state;
    }
    mpc_clear(next);
    return state;
}

enum num_state math_num_function(struct num *num, const struct math_node *node, mpc_t out)
{
    enum num_state state = node->n ? math_num_eval(num, node->kids[0], out) : NUM_UNABLE;
    if (state != NUM_VALUE) {
        return state;
    }
    enum math_function f = (enum math_function)node->code;
    switch (f) {
    case FUNCTION_EXP: return exponential(num, out);
    case FUNCTION_LN: return logarithm(num, out);
    case FUNCTION_LOG: return eval_log(num, node, out);
    case FUNCTION_ABS:
    case FUNCTION_FLOOR:
    case FUNCTION_CEIL:
    case FUNCTION_SIGN: return rounding(num, f, out);
    case FUNCTION_FACTORIAL: return factorial(num, out);
    case FUNCTION_BINOMIAL:
    case FUNCTION_GCD:
    case FUNCTION_LCM:
    case FUNCTION_MAX:
    case FUNCTION_MIN:
    case FUNCTION_MOD: return eval_joined(num, node, out);
    case FUNCTION_ACOT:
    case FUNCTION_ASEC:
    case FUNCTION_ACSC:
        if (math_num_is_zero(out)) {
            return NUM_UNABLE;
        }
        mpc_ui_div(out, 1, out, MPC_ROUND);
        return elementary(num,
                          f == FUNCTION_ACOT   ? FUNCTION_ATAN
                          : f == FUNCTION_ASEC ? FUNCTION_ACOS
                                               : FUNCTION_ASIN,
                          out);
    case FUNCTION_RE:
    case FUNCTION_IM:
        mpfr_set(mpc_realref(out), f == FUNCTION_RE ? mpc_realref(out) : mpc_imagref(out), MPFR_RNDN);
        mpfr_set_zero(mpc_imagref(out), 1);
        return NUM_VALUE;
    default: return elementary(num, f, out);
    }
}

/* reward/math/num.c - the tests: difference and ratio at many points.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/math/numeric.h"

#include <math.h>
#include <stdlib.h>

#include "reward/math/field.h"

#define PLACES 10

/* Puts the variables at try number `k`: five are positive, one is negative, the rest of any sign. */
static void place(struct num *num, uint64_t seed, int k, enum math_domain domain)
{
    num->point = math_field_mix(seed ^ math_field_mix((uint64_t)k));
    num->whole = domain == MATH_DOMAIN_COUNTING || (domain == MATH_DOMAIN_POWERS && k >= 5);
    num->min = num->whole ? 1 : k < 5 ? 0 : -8;
    num->max = num->whole ? 16 : k < 3 ? 1 : k == 5 ? 0 : 8;
}

static void start(struct num *num)
{
    num->largest = -MAX_EXPONENT;
    num->smallest = MAX_EXPONENT;
}

/* Both values at the present place. */
static enum num_state both(struct num *num, const struct math_node *a, const struct math_node *b, mpc_t x, mpc_t y)
{
    start(num);
    enum num_state state = math_num_eval(num, a, x);
    return state == NUM_VALUE ? math_num_eval(num, b, y) : state;
}

/* How far x - y is below the largest intermediate value, in bits. */
static mpfr_exp_t depth(const struct num *num, mpc_t x, mpc_t y)
{
    mpc_sub(x, x, y, MPC_ROUND);
    if (math_num_is_zero(x)) {
        return MAX_EXPONENT * 2;
    }
    mpfr_exp_t re = mpfr_zero_p(mpc_realref(x)) ? -4 * MAX_EXPONENT : mpfr_get_exp(mpc_realref(x));
    mpfr_exp_t im = mpfr_zero_p(mpc_imagref(x)) ? -4 * MAX_EXPONENT : mpfr_get_exp(mpc_imagref(x));
    return num->largest - (re > im ? re : im);
}

static enum math_zero constants_equal(struct num *num, const struct math_node *a, const struct math_node *b)
{
    enum math_zero zero = ZERO_UNKNOWN;
    static const mpfr_prec_t precisions[] = {128, 512};
    mpfr_exp_t smallest = 0;
    for (int i = 0; i < 2; i++) {
        mpc_t x, y;
        num->bits = precisions[i];
        mpc_init2(x, num->bits);
        mpc_init2(y, num->bits);
        enum num_state state = both(num, a, b, x, y);
        mpfr_exp_t below = state == NUM_VALUE ? depth(num, x, y) : 0;
        mpc_clear(x);
        mpc_clear(y);
        if (state != NUM_VALUE) {
            return ZERO_UNKNOWN;
        }
        if (below < num->bits / 2) {
            return ZERO_NO;
        }
        /* a part that is small may have drowned, unless it is a residue that shrinks as bits are added */
        bool fine = num->smallest > -100 || num->smallest < smallest - 200;
        smallest = num->smallest;
        zero = below > num->bits * 4 / 5 && fine ? ZERO_YES : ZERO_UNKNOWN;
    }
    return zero;
}

enum math_zero math_num_equal(struct math_work *work, const struct math_node *a, const struct math_node *b,
                              uint64_t seed, bool natural_log)
{
    struct num num = {.work = work, .natural_log = natural_log, .bits = 128};
    enum math_zero zero = ZERO_UNKNOWN;
    if (math_node_constant(a) && math_node_constant(b)) {
        zero = constants_equal(&num, a, b);
        mpfr_free_cache2(MPFR_FREE_LOCAL_CACHE);
        return zero;
    }
    enum math_domain domain = math_mod_domain(a, b);
    num.real = !math_node_has(a, OP_I) && !math_node_has(b, OP_I);
    int agree = 0;
    mpc_t x, y;
    mpc_init2(x, num.bits);
    mpc_init2(y, num.bits);
    for (int k = 0; k < PLACES && zero == ZERO_UNKNOWN; k++) {
        place(&num, seed, k, domain);
        enum num_state state = both(&num, a, b, x, y);
        if (state == NUM_UNABLE) {
            agree = 0;
            break;
        }
        mpfr_exp_t below = state == NUM_VALUE ? depth(&num, x, y) : 80;
        zero = below < 64 ? ZERO_NO : ZERO_UNKNOWN;
        agree += below > 96;
    }
    mpc_clear(x);
    mpc_clear(y);
    mpfr_free_cache2(MPFR_FREE_LOCAL_CACHE);
    return zero == ZERO_UNKNOWN && agree >= 3 ? ZERO_YES : zero;
}

enum math_zero math_num_ratio(struct math_work *work, const struct math_node *a, const struct math_node *b,
                              uint64_t seed, int *sign)
{
    struct num num = {.work = work, .bits = 128};
    enum math_domain domain = math_mod_domain(a, b);
    mpc_t x, y, first;
    mpc_init2(x, num.bits);
    mpc_init2(y, num.bits);
    mpc_init2(first, num.bits);
    int agree = 0;
    enum math_zero zero = ZERO_UNKNOWN;
    for (int k = 0; k < PLACES && zero == ZERO_UNKNOWN; k++) {
        place(&num, seed, k, domain);
        enum num_state state = both(&num, a, b, x, y);
        if (state == NUM_UNABLE) {
            agree = 0;
            break;
        }
        if (state != NUM_VALUE || math_num_is_zero(x) || math_num_is_zero(y) ||
            math_num_divide(&num, x, y) != NUM_VALUE) {
            continue;
        }
        if (agree == 0) {
            mpc_set(first, x, MPC_ROUND);
            *sign = math_num_is_real(x) ? mpfr_sgn(mpc_realref(x)) : 0;
            agree = 1;
            continue;
        }
        mpfr_exp_t below = depth(&num, x, first);
        zero = below < 64 ? ZERO_NO : ZERO_UNKNOWN;
        agree += below > 88;
    }
    mpc_clear(x);
    mpc_clear(y);
    mpc_clear(first);
    mpfr_free_cache2(MPFR_FREE_LOCAL_CACHE);
    return zero == ZERO_UNKNOWN && agree >= 4 ? ZERO_YES : zero;
}

bool math_num_real(struct math_work *work, const struct math_node *node, uint64_t point, long double *out)
{
    struct num num = {.work = work, .bits = 128};
    place(&num, point, 0, MATH_DOMAIN_ALL);
    mpc_t x;
    mpc_init2(x, num.bits);
    start(&num);
    bool real = math_num_eval(&num, node, x) == NUM_VALUE && math_num_is_real(x);
    *out = real ? mpfr_get_ld(mpc_realref(x), MPFR_RNDN) : 0;
    mpc_clear(x);
    mpfr_free_cache2(MPFR_FREE_LOCAL_CACHE);
    return real && isfinite((double)*out);
}

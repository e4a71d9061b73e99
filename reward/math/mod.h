/* reward/math/mod.h - the value of a tree modulo a prime: the first test of whether two expressions are equal.
 *
 * Rational numbers, roots of rationals, i, whole powers, factorials and sums have an exact image in the field; a
 * variable, pi and e are random elements. If the images of two such expressions differ, they are not equal, for
 * certain; if they agree in three fields near 2^61, they are equal with an error below 2^-100. 2024^4046 and 1/2004!
 * cost no more than 2 + 2, and no difference is too small to be seen.
 *
 * A function f(u) that is no such thing (ln, an unknown f, a power with a real exponent) is a random element that
 * depends on f and on the image of u. Then agreement still means equal, but difference means nothing (`formal`). Sine
 * and cosine are made from one random element so that their squares add up to 1; logarithms add; powers of a sum are
 * products.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_MOD_H
#define REWARD_MATH_MOD_H

#include "reward/math/node.h"

/* The values that variables take. */
enum math_domain {
    MATH_DOMAIN_ALL,     /* any integer below 2^60 */
    MATH_DOMAIN_POWERS,  /* 2^10 to 2^20: a variable occurs in an exponent */
    MATH_DOMAIN_COUNTING /* 2 to 40: factorials, sums up to a variable */
};
enum math_domain math_mod_domain(const struct math_node *a, const struct math_node *b);

enum math_mod_state {
    MOD_VALUE,
    MOD_UNDEFINED, /* division by zero ...: try another point */
    MOD_NO_ROOT,   /* a square root is not in this field: try another prime */
    MOD_UNABLE,    /* no number, or too much work */
};

struct math_mod {
    struct math_work *work;
    uint64_t p;
    uint64_t seed;  /* of pi, e and functions */
    uint64_t point; /* of the variables */
    enum math_domain domain;
    bool natural_log;    /* log without a base is ln, else log10 */
    struct str index[8]; /* bound by sums that we are in */
    int64_t count[8];
    int n_bound;
    /* found out on the way */
    bool formal, used_pi, used_e;
};

enum math_mod_state math_mod_eval(struct math_mod *mod, const struct math_node *node, uint64_t *out);

/* The exact value num/den of a tree without roots or functions at this point, if it fits; false otherwise. */
bool math_mod_small(struct math_mod *mod, const struct math_node *node, int64_t *num, int64_t *den);

#endif

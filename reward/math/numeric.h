/* reward/math/numeric.h - shared by num.c, num_eval.c and num_function.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_NUMERIC_H
#define REWARD_MATH_NUMERIC_H

#include <mpc.h>

#include "reward/math/num.h"

#define MAX_EXPONENT (1 << 20) /* of an intermediate value, in bits */
#define MPC_ROUND    MPC_RNDNN

enum num_state { NUM_VALUE, NUM_UNDEFINED, NUM_UNABLE };

struct num {
    struct math_work *work;
    mpfr_prec_t bits;
    uint64_t point;
    double min, max; /* bounds of variables */
    bool whole;      /* variables are whole numbers */
    bool natural_log;
    bool real; /* a value that is not real is undefined, intermediate ones too */
    struct str index[8];
    int64_t count[8];
    int n_bound;
    mpfr_exp_t largest, smallest; /* exponents of intermediate values */
};

/* The tree's value; `out` is initialised. */
enum num_state math_num_eval(struct num *num, const struct math_node *node, mpc_t out);
enum num_state math_num_function(struct num *num, const struct math_node *node, mpc_t out);
/* Is it a number of moderate size? Notes its exponent, and makes a negative zero positive. */
enum num_state math_num_look(struct num *num, mpc_t value);
enum num_state math_num_divide(struct num *num, mpc_t a, mpc_t b); /* into a */
bool math_num_is_real(mpc_srcptr value);
bool math_num_is_zero(mpc_srcptr value);
/* A real value that is a whole number, up to rounding, and fits. */
bool math_num_is_whole(const struct num *num, mpc_srcptr value, int64_t *out);

#endif

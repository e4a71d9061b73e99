/* reward/math/num.h - the value of a tree as a complex number: the second test, where the modular one says nothing.
 *
 * MPC and MPFR at 128 bits; constants that agree are compared again at 512. A difference is judged against the largest
 * intermediate value of the two evaluations, never absolutely. Constants whose parts are too small for the precision
 * ("2^(2^-1000) and 1") stay undecided, and so do values whose exponent passes 2^20.
 *
 * Variables are tried at ten points: in (0, 1), in (0, 8), in (-8, 0), and over the reals from -8 to 8 (whole numbers
 * where variables occur in exponents or factorials). A point counts if both sides are defined there, and real in all
 * their parts unless i is written; all that count must agree, and there must be three.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_NUM_H
#define REWARD_MATH_NUM_H

#include "reward/math/mod.h"

enum math_zero { ZERO_NO, ZERO_YES, ZERO_UNKNOWN };

/* Is a - b zero? */
enum math_zero math_num_equal(struct math_work *work, const struct math_node *a, const struct math_node *b,
                              uint64_t seed, bool natural_log);
/* Is a / b the same number, not 0, everywhere? *sign: of the quotient, 0 if it is not real. */
enum math_zero math_num_ratio(struct math_work *work, const struct math_node *a, const struct math_node *b,
                              uint64_t seed, int *sign);
/* The real value with variables at the point `point`, to about 19 digits; false: not real, not defined, too large. */
bool math_num_real(struct math_work *work, const struct math_node *node, uint64_t point, long double *out);

#endif

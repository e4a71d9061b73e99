/* reward/math/amount.h - values with units.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_AMOUNT_H
#define REWARD_MATH_AMOUNT_H

#include "reward/math/value.h"

/* Values whose units are converted, or left out (match.h). A letter after a number is a unit too where it cannot be a
 * variable: "10m" against 10, and "0.64N", the reference, against 0.64. */
bool math_amount_equal(struct math_check *check, struct math_node *gold, struct math_node *said);

#endif

/* reward/math/set.h - sets of real numbers: intervals, unions, differences, {x | ...}, and solved inequalities.
 *
 * Both sides are cut at all their ends, gold's and answer's together; the sets are equal if every end and every gap
 * between two ends belongs to both or to neither. So (0,2) without {1} is (0,1) and (1,2), and x > 0 with x not 3 is
 * what it should be, without any algebra of sets. Ends with variables ("k pi - 1") are ordered at three places.
 *
 * An inequality counts as a set only when it is solved: one variable alone, against expressions without it. x^2 < 4 is
 * a relation like any other, and is no answer to "solve x^2 < 4".
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_SET_H
#define REWARD_MATH_SET_H

#include "reward/math/value.h"

/* ZERO_UNKNOWN: they are not both sets of reals, or both may just as well be points: another file compares them. */
enum math_zero math_set_equal(struct math_check *check, const struct math_node *gold, const struct math_node *said);

#endif

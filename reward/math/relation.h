/* reward/math/relation.h - equations, inequalities, definitions, congruences, and the left side of "=".
 *
 *   x = 5 and 5              the value counts, where the left side is a name: x, f(3), |AB|, NO/BO, "Area"
 *   x + y = 5 given for 5    too: the answer may name what it computed; but not x + 1 = 5, nor x^2 = 0, which only
 *                            restate
 *   x = 5 and y = 5          not equal; f(x) = x + 1, f(z) = z + 1, y = x + 1 and x + 1 are
 *   F = G and H = K          equal if F - G = c (H - K) with a number c that is not 0
 *   F < G and H < K          the same with c > 0, signs reversed to agree
 *   a = b = c                a = c; with numbers alone all must be equal; what follows "about" is left out
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_RELATION_H
#define REWARD_MATH_RELATION_H

#include "reward/math/value.h"

bool math_relation_is(const struct math_node *node, char code); /* a op b, with this sign */
/* Could it name a value: no sum, no number added, no power? */
bool math_relation_names(const struct math_node *left);
/* The relation without approximations and the middle of a chain; NULL: numbers in it contradict each other. */
struct math_node *math_relation_tidy(struct math_check *check, struct math_node *relation);
/* |x| < 2 as -2 < x < 2, |x| > 2 as x < -2 or x > 2, 2 < |x| < 5 as -5 < x < -2 or 2 < x < 5; others as they are. The
 * letter must be alone between the bars: nothing is solved here. NULL: no nodes are left. */
struct math_node *math_relation_without_bars(struct math_check *check, struct math_node *relation);
/* The value of "name = value", if `relation` is that; given: it is the answer's, and may name what it computed. */
struct math_node *math_relation_value(struct math_node *relation, bool given);
/* Both are relations, and neither is a solved inequality against an interval (set.h). `match` compares values. */
bool math_relation_equal(struct math_check *check, struct math_node *gold, struct math_node *said,
                         bool (*match)(struct math_check *, struct math_node *, struct math_node *));

#endif

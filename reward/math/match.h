/* reward/math/match.h - the kinds of answers, and how each is compared.
 *
 *   list "1, 2", "1 and 2", "±1"   as a multiset; a \{set\} drops what occurs twice, and so does an answer with more
 *                                  members than the reference; against a tuple or a column: in order
 *   tuple, point, vector, column   in order; with two members [ ] and ( ) differ, since they may be intervals
 *   x = 1, y = 2                   by name against names; by value against bare lists
 *   list against one value         never equal, and so \{3\} is not 3
 *   matrix                         worked out first (matrix.h), then cell by cell
 *   amount with a unit             converted where both units are known and of one kind; different kinds are not equal;
 *                                  a unit on one side only is left out, and so are words that are no unit
 *   digits in a base               digits and base; a base on one side only: the digits
 *   2 : 3 : 4                      up to a common factor
 *   sets, relations, values        set.h, relation.h, value.h
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_MATCH_H
#define REWARD_MATH_MATCH_H

#include "reward/math/value.h"

bool math_match(struct math_check *check, struct math_node *gold, struct math_node *said);
/* How many values a tree lists. */
int math_match_count(const struct math_node *node);

#endif

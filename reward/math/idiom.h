/* reward/math/idiom.h - notations of several tokens, rewritten as the usual one.
 *
 *   => 5                          arrows in front              nothing
 *   7{:}30                        braces around one sign       the sign
 *   5{}                          empty braces               nothing
 *   60 \deg, 5 m/s               letters of units           a sign, words
 *   6.02 x 10^{23}                x between number and 10^     *
 *   (0,1) U (2,3)                 U between brackets           union
 *   ]2,3[   [0,1[                 brackets face outwards       (2,3)   [0,1)
 *   1A_{16}   \text{FF}_{16}      digits above 9               one number
 *   \mathbb{R}^+   R_{>0}         the whole answer, or x in it (0, infinity)
 *   negative infinity, minus 3    the word in front            -
 *   all real numbers except 2, 3                               R without {2, 3}
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_IDIOM_H
#define REWARD_MATH_IDIOM_H

#include "reward/math/lex.h"

/* Between cutting into tokens and matching brackets. The list may be replaced by another in the arena. */
void math_idiom_settle(struct math_work *work, struct math_tokens *tokens);

#endif

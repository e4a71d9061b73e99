/* reward/number_doubt.h - what is said about a number, and what touches it: the two rules by which `gsm8k`, `math`,
 * `exact` and the phrases tell a number from something that holds one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_NUMBER_DOUBT_H
#define REWARD_NUMBER_DOUBT_H

#include "base/str.h"

/* Is what comes after the number that ends at `end` more than its unit: another value, a comparison, or what takes the
 * number back? "18 and a half", "18 more", "18 fails". `computed`: an equation says where the number comes from, or a
 * verb what it is for, so that "more" and "less" need no noun ("100 - 82 = 18 more", "she needs 18 more"). */
bool number_clause(struct str text, size_t end, bool computed);
/* The part of it that is said of the number: a verb or a state that takes it back, hedges or dates it to the past ("18
 * is off by one", "18 eggs, I guess", "18?"). A noun after the number is what is counted ("6 guesses", "1 mistake"), and
 * then verbs are about that ("18 apples are left"); of clauses about the number itself, those that affirm it are taken
 * ("18 is the answer"). `alone`: that is all there is of an answer; in prose around a box more is said of it ("18 has a
 * remainder of 1"). `end` is 0 where the text is a remark that no number begins. */
bool number_taken_back(struct str text, size_t end, bool alone);
/* Does `before` end in a verb that wants an amount: "needs", "has to find"? */
bool number_needed(struct str before);
/* Does `before`, the text of the sentence before a number, hedge, or speak of an answer that was given up:
 * "My previous answer was", "I would guess", "it used to be"? */
bool number_hedged(struct str before);
/* Does something touch the digits [begin, end) that makes them part of something else: a letter (A18), an ordinal
 * (18th), a prime (18'), an index (18_2), a ratio (18:1), points (18..), a line (\overline{18}, ~~18~~), two signs
 * (--18)? The text is clean (math_text_clean) or has no such character beyond ASCII. */
bool number_glued(struct str text, size_t begin, size_t end);
/* Only what comes after it. */
bool number_glued_after(struct str text, size_t begin, size_t end);
/* Any of the three, of a text that is an answer in words and formulas: of each run of digits what touches it, of the
 * last one what is said about it. The text is clean. */
bool number_spoilt(struct str text);

#endif

/* reward/math/value.h - are two expressions equal as values, and within what rounding?
 *
 * Exact first: the modular test (20 points where a minimum or the like hides a part), then the numeric one. Only then,
 * and only where a decimal point is written:
 *   reference                     answer      equal
 *   a decimal, 2 digits or more   exact       within half a unit of its last place; within one unit from 4 digits on
 *                                             (references are often cut off), but not of whole numbers such as
 *                                             1.234567e6; an exact whole number is never a rounded one
 *   exact, no integer             a decimal   3 digits and more, 1e-4, and rounded or cut off rightly at its last place
 *   both decimals, of a different             the same 6 digits, unless the reference is whole; or the answer has at
 *   number of places                          least 3 places more and rounds to the reference
 * The last rule is ours (the study has 6 digits only): an unrounded result against a rounded reference is right, and it
 * can not be reached by guessing more than the rounded one. Within a hundredth of that unit it must have 12 digits:
 * 2.4999 is not an unrounded 2.5. An integer reference is never met within rounding.
 *
 * p% is p/100; where one side alone has the sign, equal numerals will do. Degrees likewise: against a bare number the
 * numerals count, against pi radians. `exact_only` switches all of this off but the values of % and of degrees.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_VALUE_H
#define REWARD_MATH_VALUE_H

#include "reward/math/num.h"

struct math_options {
    bool strict;     /* names left of "=" must agree; a list is no tuple */
    bool exact_only; /* no rounding */
    bool same_form;  /* the same operations on the same numbers, up to order: 2(x+1) is not 2x+2 */
    double rel_tol;  /* > 0: numbers may differ by this share of the reference */
};

/* One comparison. */
struct math_check {
    struct math_work work;
    const struct math_options *options;
    uint64_t seed;    /* from both texts: what is random is the same for the same pair */
    const char *path; /* what decided: "text", "exact", "numeric", "rounding" ...; static */
};

bool math_value_equal(struct math_check *check, const struct math_node *gold, const struct math_node *said);
/* Without rounding. */
enum math_zero math_value_zero(struct math_check *check, const struct math_node *a, const struct math_node *b);
/* a = c b with one c that is not 0, everywhere; *sign of c, 0 where it is not known to be real. */
bool math_value_proportional(struct math_check *check, const struct math_node *a, const struct math_node *b, int *sign);

#endif

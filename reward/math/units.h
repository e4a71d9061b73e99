/* reward/math/units.h - units of measure, number words, yes and no.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_UNITS_H
#define REWARD_MATH_UNITS_H

#include <stdint.h>

#include "base/str.h"

/* "cm", "hours", "dollars". One unit is num/den of the base unit of its kind; units of a kind convert to each other. */
struct math_unit {
    const char *names; /* divided by blanks */
    char kind; /* l length, w weight, t time, v volume, $ dollars, e euros, p and y other money, C F K temperature,
                 r angle, m speed; 0: no conversion ("mol", "apples") */
    int64_t num, den;
};

/* In any case of letters; NULL: not a unit. Every name may be the unit of an amount; only those of math_units_short are
 * read as one where letters come after a number without a blank and without \text. */
const struct math_unit *math_units_find(struct str word);

/* 0 to 20; -1: not a number word. */
int math_units_number(struct str word);
/* 't' for yes and true, 'f' for no and false, 'd' for what does not exist, 'e' for no solution and the empty set
 * (blanks left out: "nosolution"), 0 for all else. */
char math_units_truth(struct str word);

#endif

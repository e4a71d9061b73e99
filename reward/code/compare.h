/* reward/code/compare.h - is a program's output the expected one?
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_CODE_COMPARE_H
#define REWARD_CODE_COMPARE_H

#include "base/str.h"

enum compare_type {
    COMPARE_LINES,  /* lines without blanks, tabs and CR at their ends; empty lines at the end do not count */
    COMPARE_TOKENS, /* the words, however they are spaced */
    COMPARE_FLOAT,  /* words of each line; two whole numbers exactly, others within a tolerance; NaN, Inf never */
    COMPARE_EXACT,  /* the bytes */
    COMPARE_VALUES, /* plain data (plain.h); function tests only */
};

struct compare {
    enum compare_type type;
    double absolute, relative;
};

/* "lines|tokens|float|exact|json" to a type; false for anything else. */
bool compare_type_of(struct str name, enum compare_type *type);
bool compare_texts(const struct compare *compare, struct str got, struct str want);

#endif

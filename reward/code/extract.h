/* reward/code/extract.h - the program in a completion.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_CODE_EXTRACT_H
#define REWARD_CODE_EXTRACT_H

#include "reward/code/tests.h"

struct code_block {
    struct str code;             /* a view of the text, or in the arena */
    enum code_language language; /* that its fence names; CODE_UNKNOWN: none */
};

/* What the tests need from the program. */
struct code_wanted {
    enum code_language language; /* CODE_UNKNOWN: any that can be run */
    bool function;    /* the tests call functions, so a block that defines none is a use of it or an output */
    struct str entry; /* the function's name; empty: not known */
};
struct code_wanted code_wanted(const struct code_tests *tests, enum code_language language);

/* The last fenced block (fence.h) that is the program: of those whose fence names the wanted language, else of those
 * whose fence names none; where functions are called, first of those that define one. A block that names another
 * language (bash, text, json ...) or shows a session (>>>) is not the program. A block that is never closed counts only
 * if no other does, and where there is a </think> only what follows the last one is read. */
bool code_extract(struct str completion, const struct code_wanted *wanted, struct arena *arena, struct code_block *out);

#endif

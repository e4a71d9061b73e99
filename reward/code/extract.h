/* reward/code/extract.h - the program in a completion.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_CODE_EXTRACT_H
#define REWARD_CODE_EXTRACT_H

#include "reward/code/tests.h"

struct code_block {
    struct str code;             /* a view of the text */
    enum code_language language; /* of the word behind the fence; CODE_UNKNOWN */
};

/* The last code block fenced by lines of three or more ` or ~; one that is never closed goes to the end of the text, and
 * counts only if no other is there. Blocks inside an open <think> do not count where there is a </think>. */
bool code_extract(struct str completion, struct code_block *out);

#endif

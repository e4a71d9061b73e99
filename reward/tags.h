/* reward/tags.h - the two tag pairs of the R1-Zero template in a completion.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_TAGS_H
#define REWARD_TAGS_H

#include "base/str.h"

/* Whole text is <think> ... </think> <answer> ... </answer> with only white space around and between, each tag once (with
 * `prefilled`, the prompt ended with <think>). Fills think and answer (may be NULL) if so. */
bool tags_strict(struct str text, bool prefilled, struct str *think, struct str *answer);
/* The inside of the last <answer> ... </answer>; false if there is none. */
bool tags_answer(struct str text, struct str *answer);
/* How many of the four tags (three when prefilled) stand exactly once, as a share. */
double tags_share(struct str text, bool prefilled);

#endif

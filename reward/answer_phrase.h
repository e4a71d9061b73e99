/* reward/answer_phrase.h - answers in no box and no tag: "####", "the answer is", the last formula or number.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_ANSWER_PHRASE_H
#define REWARD_ANSWER_PHRASE_H

#include "reward/answer.h"

/* Fills text and path by what the options allow (answer.h); false if nothing is there. Reads the last
 * ANSWER_TAIL_BYTES. */
bool answer_phrase(struct str text, const struct answer_options *options, struct answer *out);
/* The last "####" or "answer is" of the text and what it names: for references that are whole solutions. */
bool answer_phrase_marked(struct str text, struct answer *out);

#endif

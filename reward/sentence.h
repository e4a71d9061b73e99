/* reward/sentence.h - the sentences of a text, by rules.
 *
 * A sentence ends with a run of . ! ? and their like, closing quotes and brackets after it included, where white space
 * or the end of the text follows; in Chinese and Japanese also without white space. A full stop ends none after a
 * single letter ("J. Smith"), inside "e.g.", after Mr Mrs Ms Dr St Prof Jr Sr vs etc, and after a number at the
 * beginning ("1. Wash"). What is left at the end is a sentence too.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_SENTENCE_H
#define REWARD_SENTENCE_H

#include "base/str.h"

/* The next sentence at or after *at, without white space at its ends; *at moves past it. False at the end. */
bool sentence_next(struct str text, size_t *at, struct str *out);

#endif

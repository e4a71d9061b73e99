/* reward/text.h - words, white space and case of texts in any script, as Python's str and re see them.
 *
 * Peers' rewards are written in Python; these are their building blocks, so that scores agree. A byte that is not valid
 * UTF-8 counts as one character, which is neither space nor letter.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_TEXT_H
#define REWARD_TEXT_H

#include "base/arena.h"
#include "base/str.h"
#include "reward/reward.h"

bool text_is_space(uint32_t c);  /* str.isspace */
bool text_is_word(uint32_t c);   /* \w: letters, numbers, '_' */
bool text_is_digit(uint32_t c);  /* \d */
bool text_is_format(uint32_t c); /* unseen: Unicode's category Cf, such as zero-width spaces and joiners */

int64_t text_characters(struct str text);
struct str text_trim(struct str text); /* str.strip */

/* The next field (str.split) or word (\w+) at or after *at, which moves past it; false at the end. */
bool text_next_field(struct str text, size_t *at, struct str *out);
bool text_next_word(struct str text, size_t *at, struct str *out);

/* A copy with each character in lower case; every character stays one character. */
struct str text_lower(struct arena *arena, struct str text);
/* A copy for comparing without regard to case (str.casefold: STRASSE and Straße become equal). */
struct str text_fold(struct arena *arena, struct str text);
/* A copy without white space at its ends, and with `space` for each run of it inside: str_of(" ") or nothing. */
struct str text_respace(struct arena *arena, struct str text, struct str space);

/* How long a completion is. Tokens may be unknown: then false. */
enum text_unit { TEXT_TOKENS, TEXT_CHARACTERS, TEXT_WORDS };
#define TEXT_UNITS          "tokens|characters|words"
#define TEXT_TOKENS_UNKNOWN "the number of tokens is not known"
enum text_unit text_unit_of(const char *name);
bool text_length(const struct reward_item *item, enum text_unit unit, int64_t *out);

#endif

/* reward/script.h - the words of a text by the script they are written in.
 *
 * A language is taken for the scripts it is written in: "en" is Latin, "ja" is Han, Hiragana and Katakana. Languages
 * that share a script are not distinguished. A word is a run of letters and marks of one kind, of the language's
 * scripts or of others; in scripts without spaces (Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar) each letter
 * counts as a word. Left out, since mathematics in any language is full of them: letters of no script (Unicode
 * "Common"), names of TeX commands ("\frac"), and single ASCII letters.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_SCRIPT_H
#define REWARD_SCRIPT_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct script; /* what a language is recognised by; shared by threads */

/* `language`: an ISO 639-1 code such as "en", "zh". ERR_USAGE names the known ones. */
enum err script_open(struct script **out, const char *language);
void script_close(struct script *script); /* NULL is fine */

struct script_count {
    int64_t words, of_language;     /* of_language <= words */
    int64_t letters, letters_of_it; /* letters in those words, without marks */
};
/* Linear time; any number of threads at once. */
struct script_count script_count(const struct script *script, struct str text);

/* Languages with a script: a name and the scripts, by number; NULL past the last. */
const char *script_language(int i, const char **scripts);

#endif

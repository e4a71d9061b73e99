/* model/jinja/text.h - texts as Python's str sees them: code points, its white space, its letters, its line ends.
 *
 * A byte that is no UTF-8 counts as a character and is kept as it is. SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_JINJA_TEXT_H
#define MODEL_JINJA_TEXT_H

#include "model/jinja/run.h"

bool jtext_is_space(uint32_t c); /* str.isspace */
bool jtext_is_word(uint32_t c);  /* \w: letters, digits and '_' */
bool jtext_is_printable(uint32_t c);
bool jtext_is_letter(uint32_t c);
bool jtext_is_digit(uint32_t c); /* of any script */

int64_t jtext_length(struct str text); /* in characters */
size_t jtext_offset(struct str text,
                    int64_t index); /* of a character, in bytes; the text's length after the last one */

enum jcase { CASE_LOWER, CASE_UPPER, CASE_TITLE, CASE_CAPITAL, CASE_SWAP };
struct str jtext_case(struct jrun *run, struct str text, enum jcase to);
/* Has it a cased character, and are all of them of that case? */
bool jtext_is_case(struct jrun *run, struct str text, enum jcase which);

/* str.strip: `chars` or white space (J_MISSING, J_NONE). */
struct str jtext_strip(struct jrun *run, struct str text, struct jvalue chars, bool left, bool right);
struct str jtext_replace(struct jrun *run, struct str text, struct str old, struct str new, int64_t most);
/* str.splitlines, as a list */
struct jvalue jtext_lines(struct jrun *run, struct str text, bool keep_ends);
struct str jtext_escape(struct jrun *run, struct str text); /* as HTML, as markupsafe has it */
/* str.join: of a list's str() */
struct str jtext_join(struct jrun *run, struct str separator, struct jvalue list);

#endif

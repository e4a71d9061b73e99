/* model/unicode.h - text as the library `tokenizers` sees it, whatever Unicode the libraries here know.
 *
 * A tokenizer's ids hang on which characters are letters or digits and on how marks are ordered, and those tables grow with each
 * Unicode. The reference has Unicode 16 for its patterns and 9 for NFC; PCRE2 10.42 has 14, utf8proc 2.8 has 15. Two tables
 * tell the difference (tests/golden/make_unicode.py prints them; tests/check/tokenizer.py compares all characters).
 *
 * For the files of model/ only. Texts are valid UTF-8.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_UNICODE_H
#define MODEL_UNICODE_H

#include "base/err.h"
#include "base/str.h"

/* Appends the text in normalisation form C. A character that the reference takes for a starter which composes with nothing
 * stays where it is. ERR_LIMIT if the text is too long. */
enum err unicode_nfc(struct str text, struct strbuf *out);

/* A copy of the text for patterns to run on: each character newer than Unicode 14 is an older one of the same general category
 * and as many bytes, so places are places of the text. false, and nothing is appended, if there is none. */
bool unicode_stand_ins(struct str text, struct strbuf *out);

#endif

/* reward/math/text.h - the text of an answer before it is cut into tokens: Unicode to LaTeX, doubled backslashes to
 * single.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_TEXT_H
#define REWARD_MATH_TEXT_H

#include "base/arena.h"
#include "base/str.h"

/* "√2" to "\sqrt 2", "x²" to "x^{2}", "≤" to "\le ", full-width forms to ASCII, blanks of any width to " ", what has no
 * width left out; where every command is written "\\cmd", as in JSON, to "\cmd". Broken UTF-8 becomes "?". The result
 * is the text itself where nothing changes, else it is in the arena and at most 8 times as long. */
struct str math_text_clean(struct str text, struct arena *arena);

/* Letters and digits in lower case, articles ("a", "an", "the") left out: for comparing prose. In the arena. */
struct str math_text_fold(struct str text, struct arena *arena);

#endif

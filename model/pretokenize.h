/* model/pretokenize.h - cuts text into the pieces that byte-pair merging works on.
 *
 * A pre-tokenizer is a list of patterns. The first cuts the text into its matches and what lies between them; each next one
 * cuts every piece again, seeing that piece alone. No byte is lost. PCRE2 runs the patterns (UTF, UCP, JIT, with a match
 * limit); \s is made the Unicode property White_Space, as the writers of these patterns meant it, and characters that PCRE2 may be
 * too old for are matched by older ones of their category (model/unicode.h).
 *
 * For the files of model/ only.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_PRETOKENIZE_H
#define MODEL_PRETOKENIZE_H

#include "base/err.h"
#include "base/str.h"

enum { PRETOKENIZE_MAX_PATTERNS = 8 };

struct pretokenizer {
    void *patterns[PRETOKENIZE_MAX_PATTERNS]; /* pcre2_code */
    int n_patterns;
};

extern const char PATTERN_GPT2[], PATTERN_QWEN2[], PATTERN_LLAMA3[];
extern const char PATTERN_DIGIT[], PATTERN_DIGITS[]; /* each digit alone; runs of digits */

/* Appends a pattern. `name` opens the sentence of an error. */
enum err pretokenizer_add(struct pretokenizer *pretokenizer, struct str pattern, const char *name);
void pretokenizer_release(struct pretokenizer *pretokenizer);

typedef void piece_fn(void *context, struct str piece);
/* Calls back with each piece, none empty, in order. The text is valid UTF-8. ERR_LIMIT if a pattern gives up. */
enum err pretokenizer_split(const struct pretokenizer *pretokenizer, struct str text, piece_fn *emit, void *context);

#endif

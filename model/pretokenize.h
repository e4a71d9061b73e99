/* model/pretokenize.h - where merges may not cross: a text cut into pieces by the patterns of tokenizer.json.
 *
 * The patterns are run by PCRE2 as they stand in the file. SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_PRETOKENIZE_H
#define MODEL_PRETOKENIZE_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct pretokenizer;

/* From the "pre_tokenizer" of a tokenizer.json: Sequence, Split (regex, Isolated), Digits, ByteLevel. Others are refused. */
enum err pretokenizer_parse(struct pretokenizer **out, const json_t *document, const char *name);
/* By the name that GGUF files use; ERR_FORMAT for an unknown one. */
enum err pretokenizer_named(struct pretokenizer **out, struct str pre, const char *name);
void pretokenizer_free(struct pretokenizer *pretokenizer);

/* Pieces of valid UTF-8 text, in order, views into it; none is empty. */
enum err pretokenizer_run(const struct pretokenizer *pretokenizer, struct str text, struct arena *arena,
                          struct str **pieces, int *n);

#endif

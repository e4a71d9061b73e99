/* model/tokenizer_added.h - the tokens that are added to a vocabulary, from every file that transformers reads.
 *
 * Sources in the order in which they are added (AutoTokenizer of transformers 5):
 *   tokenizer.json            added_tokens
 *   tokenizer_config.json     added_tokens_decoder, by ascending key; where it is missing, added_tokens.json by ascending id, and
 *                             special_tokens_map.json is read as if its keys were in tokenizer_config.json
 *   tokenizer_config.json     bos_token, eos_token, unk_token ... and every other key that ends in _token; then extra_special_tokens,
 *                             or additional_special_tokens where it is missing
 * A token that the vocabulary has keeps its id; each other one gets the next free id, whatever a file says (it is said if that differs).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_TOKENIZER_ADDED_H
#define MODEL_TOKENIZER_ADDED_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct added_token {
    struct str text; /* borrowed from its document */
    int64_t id;
    bool special, normalized;
    bool listed; /* by added_tokens_decoder, or where there is none: such a token is special if a key names it */
};

struct added_tokens {
    struct added_token *items;
    int n;
    int64_t n_vocab, most; /* entries of the vocabulary; the largest id of an added token, -1: none */
    const json_t *vocab;
    json_t *by_text; /* text: number in items */
};

/* The parsed files of a tokenizer's folder; NULL: not there. */
struct tokenizer_files {
    json_t *tokenizer, *config, *map, *added;
    const char *folder; /* with its slash, for sentences */
};

/* `path` opens the sentences about tokenizer.json. The files must outlive the list. Release in any case. */
enum err added_tokens_read(struct added_tokens *out, const struct tokenizer_files *files, const char *path);
void added_tokens_release(struct added_tokens *added);

#endif

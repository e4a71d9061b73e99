/* model/end_tokens.h - which tokens end a completion: those at which transformers and TRL end it.
 *
 *   a folder     generation_config.json's eos_token_id if it has one, else config.json's; and the tokenizer's eos_token
 *   a GGUF file  every end-of-generation token of the vocabulary, as llama.cpp finds them (gguf_ends.c)
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_END_TOKENS_H
#define MODEL_END_TOKENS_H

#include "base/str.h"
#include "model/config.h"
#include "model/tokenizer.h"

/* The ids of a document take the place of those of `config`; without any, nothing changes. `name` opens the sentence of an error,
 * `from` says where they are from (static). ERR_FORMAT for what is no id of the vocabulary. */
enum err end_tokens_parse(struct model_config *config, const json_t *document, const char *name, const char *from);
/* Adds the tokenizer's own end; warns if the files name others. tokenizer NULL: nothing. */
void end_tokens_add_tokenizer(struct model_config *config, const struct tokenizer *tokenizer, const char *source);
/* Appends "151645 <|im_end|>, 151643 <|endoftext|> (from generation_config.json)". tokenizer NULL: ids alone. */
void end_tokens_describe(const struct model_config *config, const struct tokenizer *tokenizer, struct strbuf *out);

#endif

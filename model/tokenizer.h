/* model/tokenizer.h - text to token ids and back: byte-level BPE as tokenizer.json describes it.
 *
 *   text -> (broken UTF-8 replaced) -> split at added tokens -> NFC where asked -> pre-tokenizer -> merges -> ids
 *
 * What the file asks for and this code does not do is refused by name when the file is opened, never guessed.
 * An opened tokenizer does not change and may be used by several threads.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_TOKENIZER_H
#define MODEL_TOKENIZER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct tokenizer;

/* The tokens that files name for their use, and chat templates write: bos_token, eos_token ... */
#define TOKENIZER_NAMES 7
extern const char *const tokenizer_names[TOKENIZER_NAMES];

/* Opens a tokenizer.json, and what else a folder says of it: chat templates and named tokens (tokenizer_settings.c). */
enum err tokenizer_open(struct tokenizer **out, const char *path);
/* The same from text; `name` opens the sentences of errors. */
enum err tokenizer_parse(struct tokenizer **out, struct str text, const char *name);

/* The parts as a GGUF file's metadata has them; borrowed for the call. Texts are in the byte-level alphabet; types: 1 normal,
 * 2 unknown, 3 control, 4 user defined, 5 unused. Unused ids at the end pad the embedding and are not counted. */
struct tokenizer_parts {
    const struct str *tokens;
    const int32_t *types;
    int n_tokens;
    const struct str *merges; /* "left right" */
    int n_merges;
    struct str pre; /* names the pre-tokenizer: "qwen2", "deepseek-r1-qwen", "llama-bpe", "smollm", "gpt-2" */
    struct str chat_template, tool_template;
    struct str names[TOKENIZER_NAMES]; /* by tokenizer_names; not in the byte-level alphabet */
    bool begins;                       /* a text that stands alone begins with begin_token */
    int32_t begin_token;
};
enum err tokenizer_from_parts(struct tokenizer **out, const struct tokenizer_parts *parts, const char *name);
void tokenizer_free(struct tokenizer *tokenizer);

/* Ids of a text, in the arena. With parse_special the texts of special tokens (<|im_end|> ...) are
 * those tokens, without it they are plain text; added tokens that are not special (<think> in some files) are always found. */
enum err tokenizer_encode(const struct tokenizer *tokenizer, struct str text, bool parse_special, struct arena *arena,
                          int32_t **ids, int *n);
/* The same for a text that stands alone: in front of it comes the tokenizer's begin token (Llama 3's <|begin_of_text|>), if it has
 * one and the text does not begin with it. Chat templates write it themselves. */
enum err tokenizer_encode_whole(const struct tokenizer *tokenizer, struct str text, bool parse_special,
                                struct arena *arena, int32_t **ids, int *n);
/* Appends the bytes of the ids; they may break UTF-8 in the middle. Ids that stand for nothing add nothing, nor do control
 * tokens when skip_special. */
void tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, int n, bool skip_special,
                      struct strbuf *out);

int tokenizer_size(const struct tokenizer *tokenizer); /* ids are in [0, size) */
int32_t tokenizer_token_id(const struct tokenizer *tokenizer,
                           struct str text); /* of a whole token; -1 if there is none */
struct str tokenizer_token_text(const struct tokenizer *tokenizer, int32_t id); /* its bytes */
bool tokenizer_is_special(const struct tokenizer *tokenizer, int32_t id);       /* a control token */
/* The id of eos_token, as tokenizer_config.json or special_tokens_map.json names it; -1: none, or not in the vocabulary. */
int32_t tokenizer_end(const struct tokenizer *tokenizer);
struct str tokenizer_named(const struct tokenizer *tokenizer, int i);  /* of tokenizer_names[i]; empty if none */
struct str tokenizer_chat_template(const struct tokenizer *tokenizer); /* the Jinja text; empty if none */
/* The one for conversations with tools. */
struct str tokenizer_tool_template(const struct tokenizer *tokenizer);
const char *tokenizer_source(const struct tokenizer *tokenizer); /* the tokenizer.json it came from, or NULL */

/* Decoding token by token: bytes that are not yet a whole character are held back. */
struct token_stream {
    struct strbuf held;
};

/* Appends the whole characters that are there after one more token; broken bytes become U+FFFD. */
void token_stream_push(struct token_stream *stream, const struct tokenizer *tokenizer, int32_t id, struct strbuf *out);
void token_stream_flush(struct token_stream *stream, struct strbuf *out); /* what is held, as U+FFFD */
void token_stream_release(struct token_stream *stream);

#endif

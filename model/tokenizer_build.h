/* model/tokenizer_build.h - the inside of a tokenizer, for those who put one together: tokenizer_json and tokenizer_gguf.
 *
 *   struct tokenizer *t = tokenizer_new(n_ids, n_merges);
 *   tokenizer_set_token(t, id, text, TOKEN_NORMAL) for each, bpe_add_merge(&t->bpe, ...), pretokenizer_add(...)
 *   tokenizer_finish(t);
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_TOKENIZER_BUILD_H
#define MODEL_TOKENIZER_BUILD_H

#include "model/bpe.h"
#include "model/pretokenize.h"
#include "model/tokenizer.h"

enum token_kind {
    TOKEN_NONE,    /* no such id */
    TOKEN_NORMAL,  /* made by merges */
    TOKEN_ADDED,   /* found in the text before anything else */
    TOKEN_SPECIAL, /* the same, but only where special tokens are looked for */
};

struct token {
    struct str text; /* raw bytes, in the tokenizer's arena */
    enum token_kind kind;
    bool after_nfc; /* TOKEN_ADDED and TOKEN_SPECIAL: looked for in the normalised text */
};

struct tokenizer {
    struct arena arena;
    struct token *tokens;
    int size;
    struct bpe bpe;
    struct pretokenizer pretokenizer;
    bool nfc;
    int32_t *added; /* ids of added and special tokens: by first byte, then longest first */
    int n_added;
    int added_from[257]; /* those that begin with byte b: added[added_from[b] .. added_from[b + 1]) */
    struct text_table added_texts;
    struct str chat_template, tool_template; /* the second: where there are tools; empty: the same */
    struct str names[TOKENIZER_NAMES];       /* what bos_token, eos_token ... are; empty: no such token */
    int32_t begin;                           /* the token in front of a text that stands alone, -1: none */
    int32_t end;                             /* eos_token of tokenizer_config.json, -1: none */
    char *source;
};

struct tokenizer *tokenizer_new(int size, size_t n_merges);
/* Takes the text as it stands in a file: TOKEN_NORMAL in the byte alphabet, the others as they are. An added token may take
 * the place of the normal token of the same id. */
void tokenizer_set_token(struct tokenizer *tokenizer, int32_t id, struct str text, enum token_kind kind);
/* Appends the bytes that a text in the byte alphabet stands for. false: it is not of the alphabet and is appended itself. */
bool tokenizer_raw_bytes(struct str text, struct strbuf *out);
/* A merge of texts in the byte alphabet; ERR_FORMAT if they are not in the vocabulary. `name` opens the sentence. */
enum err tokenizer_add_merge(struct tokenizer *tokenizer, struct str left, struct str right, int32_t rank,
                             const char *name);
void tokenizer_finish(struct tokenizer *tokenizer);
/* A copy of the text in the tokenizer's arena. */
struct str tokenizer_keep(struct tokenizer *tokenizer, struct str text);
/* What other files of the folder of `path`, a tokenizer.json, say (tokenizer_settings.c). */
enum err tokenizer_read_settings(struct tokenizer *tokenizer, const char *path);

#endif

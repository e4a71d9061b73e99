/* model/tokenizer.c - encoding, decoding and the making of a tokenizer from its parts.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "model/tokenizer_build.h"
#include "model/unicode.h"

/* ---- making ---- */

struct tokenizer *tokenizer_new(int size, size_t n_merges)
{
    struct tokenizer *t = mem_zero(sizeof *t);
    t->size = size;
    t->begin = -1;
    t->end = -1;
    t->tokens = ARENA_NEW(&t->arena, struct token, size);
    text_table_reserve(&t->bpe.vocab, (size_t)size);
    text_table_reserve(&t->added_texts, (size_t)size);
    bpe_reserve_merges(&t->bpe, n_merges);
    return t;
}

/* The byte of a character of GPT-2's alphabet, -1 for others: printable Latin-1 characters are their own byte, and the 68
 * bytes left over are U+0100 and on, in their order. */
static int byte_of(uint32_t c)
{
    if ((c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xFF && c != 0xAD)) {
        return (int)c;
    }
    if (c >= 0x100 && c <= 0x120) {
        return (int)c - 0x100; /* 0x00 .. 0x20 */
    }
    if (c >= 0x121 && c <= 0x142) {
        return (int)c - 0x121 + 0x7F; /* 0x7F .. 0xA0 */
    }
    return c == 0x143 ? 0xAD : -1;
}

bool tokenizer_raw_bytes(struct str text, struct strbuf *out)
{
    size_t before = out->length;
    for (size_t at = 0, length; at < text.length; at += length) {
        int byte = byte_of(str_utf8_next(text, at, &length));
        if (byte < 0) {
            out->length = before;
            strbuf_add_str(out, text);
            return false;
        }
        strbuf_putc(out, (char)byte);
    }
    return true;
}

void tokenizer_set_token(struct tokenizer *t, int32_t id, struct str text, enum token_kind kind)
{
    BUG_ON(id < 0 || id >= t->size);
    struct strbuf raw = STRBUF_INIT;
    bool mergeable = kind == TOKEN_NORMAL && tokenizer_raw_bytes(text, &raw);
    if (kind != TOKEN_NORMAL) {
        strbuf_add_str(&raw, text);
    }
    struct token *token = &t->tokens[id];
    token->text = (struct str){arena_strndup(&t->arena, raw.data ? raw.data : "", raw.length), raw.length};
    token->kind = kind;
    if (mergeable) {
        text_table_add(&t->bpe.vocab, token->text, id);
    }
    strbuf_release(&raw);
}

enum err tokenizer_add_merge(struct tokenizer *t, struct str left, struct str right, int32_t rank, const char *name)
{
    struct strbuf raw = STRBUF_INIT;
    tokenizer_raw_bytes(left, &raw);
    size_t split = raw.length;
    tokenizer_raw_bytes(right, &raw);
    struct str both = strbuf_view(&raw);
    bool known = bpe_add_merge(&t->bpe, str_slice(both, 0, split), str_slice(both, split, both.length), rank);
    strbuf_release(&raw);
    if (!known) {
        return err_set(ERR_FORMAT,
                       "%s: merge %d ('%.*s' and '%.*s') makes or joins a token that is not in the vocabulary", name,
                       rank, (int)left.length, left.data, (int)right.length, right.data);
    }
    return ERR_NONE;
}

static unsigned char first_byte(const struct tokenizer *t, int32_t id)
{
    return (unsigned char)t->tokens[id].text.data[0];
}

static int compare_added(const void *left, const void *right, void *tokenizer)
{
    const struct tokenizer *t = tokenizer;
    int32_t a = *(const int32_t *)left, b = *(const int32_t *)right;
    size_t la = t->tokens[a].text.length, lb = t->tokens[b].text.length;
    if (first_byte(t, a) != first_byte(t, b)) {
        return first_byte(t, a) < first_byte(t, b) ? -1 : 1;
    }
    return la != lb ? (la > lb ? -1 : 1) : (a > b) - (a < b);
}

void tokenizer_finish(struct tokenizer *t)
{
    bpe_index_bytes(&t->bpe);
    t->added = ARENA_NEW(&t->arena, int32_t, t->size);
    for (int32_t id = 0; id < t->size; id++) {
        if (t->tokens[id].kind >= TOKEN_ADDED && t->tokens[id].text.length > 0) {
            t->added[t->n_added++] = id;
            text_table_add(&t->added_texts, t->tokens[id].text, id);
        }
    }
    qsort_r(t->added, (size_t)t->n_added, sizeof *t->added, compare_added, t);
    for (int b = 0, at = 0; b <= 256; b++) {
        while (at < t->n_added && first_byte(t, t->added[at]) < b) {
            at++;
        }
        t->added_from[b] = at;
    }
}

void tokenizer_free(struct tokenizer *t)
{
    if (t) {
        bpe_release(&t->bpe);
        text_table_release(&t->added_texts);
        pretokenizer_release(&t->pretokenizer);
        arena_release(&t->arena);
        free(t->source);
        free(t);
    }
}

/* ---- UTF-8 ---- */

/* At a broken byte: the bytes that Python and the Unicode standard (3.9, "maximal subpart") replace by one U+FFFD.
 * *open: they are the beginning of a character that the text ends in the middle of. */
static size_t broken_length(struct str text, size_t at, bool *open)
{
    const unsigned char *s = (const unsigned char *)text.data + at;
    size_t left = text.length - at;
    unsigned char lead = s[0];
    size_t need = lead >= 0xC2 && lead < 0xE0   ? 2
                  : lead >= 0xE0 && lead < 0xF0 ? 3
                  : lead >= 0xF0 && lead < 0xF5 ? 4
                                                : 1;
    unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    size_t n = 1;
    while (n < need && n < left && s[n] >= low && s[n] <= high) {
        low = 0x80;
        high = 0xBF;
        n++;
    }
    *open = n < need && n == left;
    return n;
}

/* Appends the text with every broken part as U+FFFD; returns the bytes used, which are all but an open character at the end
 * if `keep_open`. */
static size_t add_repaired(struct strbuf *out, struct str text, bool keep_open)
{
    size_t at = 0;
    while (at < text.length) {
        size_t good = str_utf8_prefix(str_slice(text, at, text.length));
        strbuf_add(out, text.data + at, good);
        at += good;
        if (at == text.length) {
            break;
        }
        bool open;
        size_t broken = broken_length(text, at, &open);
        if (open && keep_open) {
            break;
        }
        strbuf_put_utf8(out, 0xFFFD);
        at += broken;
    }
    return at;
}

static bool is_ascii(struct str text)
{
    unsigned char all = 0;
    for (size_t i = 0; i < text.length; i++) {
        all |= (unsigned char)text.data[i];
    }
    return all < 0x80;
}

/* ---- encoding ---- */

struct encoder {
    const struct tokenizer *tokenizer;
    bool parse_special;
    struct bpe_work work;
};

/* The longest added token that begins at `at`; -1 if none does. */
static int32_t added_at(const struct tokenizer *t, struct str text, size_t at, bool after_nfc)
{
    unsigned char byte = (unsigned char)text.data[at];
    struct str rest = str_slice(text, at, text.length);
    for (int i = t->added_from[byte]; i < t->added_from[byte + 1]; i++) {
        const struct token *token = &t->tokens[t->added[i]];
        if (token->after_nfc == after_nfc && str_starts(rest, token->text)) {
            return t->added[i];
        }
    }
    return -1;
}

typedef enum err text_fn(struct encoder *encoder, struct str text);

/* Pushes the added tokens in `text` and hands what lies between them to `next`. A special token that is not looked for still
 * ends the search at its place: nothing inside it is found. */
static enum err cut_added(struct encoder *e, struct str text, bool after_nfc, text_fn *next)
{
    const struct tokenizer *t = e->tokenizer;
    size_t from = 0, at = 0;
    while (at < text.length) {
        int32_t id = added_at(t, text, at, after_nfc);
        if (id < 0) {
            at++;
            continue;
        }
        size_t end = at + t->tokens[id].text.length;
        if (t->tokens[id].kind == TOKEN_ADDED || e->parse_special) {
            TRY(next(e, str_slice(text, from, at)));
            bpe_push(&e->work, id);
            from = end;
        }
        at = end;
    }
    return next(e, str_slice(text, from, text.length));
}

static void encode_piece(void *context, struct str piece)
{
    struct encoder *e = context;
    bpe_encode(&e->tokenizer->bpe, piece, &e->work);
}

static enum err encode_plain(struct encoder *e, struct str text)
{
    return pretokenizer_split(&e->tokenizer->pretokenizer, text, encode_piece, e);
}

static enum err encode_normalized(struct encoder *e, struct str text)
{
    if (!e->tokenizer->nfc || is_ascii(text)) {
        return cut_added(e, text, true, encode_plain);
    }
    struct strbuf composed = STRBUF_INIT;
    enum err err = unicode_nfc(text, &composed);
    if (err == ERR_NONE) {
        err = cut_added(e, strbuf_view(&composed), true, encode_plain);
    }
    strbuf_release(&composed);
    return err;
}

enum err tokenizer_encode(const struct tokenizer *tokenizer, struct str text, bool parse_special, struct arena *arena,
                          int32_t **tokens, int *n)
{
    enum { LONGEST_TEXT = 256 * 1024 * 1024 };
    if (text.length > LONGEST_TEXT) {
        return err_set(ERR_LIMIT, "a text of %zu bytes is more than the tokenizer takes (%d)", text.length,
                       LONGEST_TEXT);
    }
    struct strbuf repaired = STRBUF_INIT;
    if (str_utf8_prefix(text) < text.length) {
        add_repaired(&repaired, text, false);
        text = strbuf_view(&repaired);
    }
    struct encoder e = {.tokenizer = tokenizer, .parse_special = parse_special};
    enum err err = cut_added(&e, text, false, encode_normalized);
    if (err == ERR_NONE) {
        *tokens = ARENA_NEW(arena, int32_t, e.work.n_tokens);
        if (e.work.n_tokens) {
            memcpy(*tokens, e.work.tokens, e.work.n_tokens * sizeof **tokens);
        }
        *n = (int)e.work.n_tokens;
    }
    bpe_work_release(&e.work);
    strbuf_release(&repaired);
    return err;
}

enum err tokenizer_encode_whole(const struct tokenizer *tokenizer, struct str text, bool parse_special,
                                struct arena *arena, int32_t **tokens, int *n)
{
    int32_t *rest = NULL, begin = tokenizer->begin;
    int n_rest = 0;
    TRY(tokenizer_encode(tokenizer, text, parse_special, arena, &rest, &n_rest));
    if (begin < 0 || (n_rest > 0 && rest[0] == begin)) {
        *tokens = rest;
        *n = n_rest;
        return ERR_NONE;
    }
    int32_t *all = ARENA_NEW(arena, int32_t, n_rest + 1);
    all[0] = begin;
    if (n_rest > 0) {
        memcpy(all + 1, rest, (size_t)n_rest * sizeof *all);
    }
    *tokens = all;
    *n = n_rest + 1;
    return ERR_NONE;
}

/* ---- tokens ---- */

struct str tokenizer_token_text(const struct tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && id < tokenizer->size ? tokenizer->tokens[id].text : (struct str){NULL, 0};
}

bool tokenizer_is_special(const struct tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && id < tokenizer->size && tokenizer->tokens[id].kind == TOKEN_SPECIAL;
}

int tokenizer_size(const struct tokenizer *tokenizer)
{
    return tokenizer->size;
}

int32_t tokenizer_token_id(const struct tokenizer *tokenizer, struct str text)
{
    int32_t id = text_table_find(&tokenizer->added_texts, text);
    return id >= 0 ? id : text_table_find(&tokenizer->bpe.vocab, text);
}

int32_t tokenizer_end(const struct tokenizer *tokenizer)
{
    return tokenizer->end;
}

const char *const tokenizer_names[TOKENIZER_NAMES] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                      "pad_token", "cls_token", "mask_token"};

struct str tokenizer_named(const struct tokenizer *tokenizer, int i)
{
    return tokenizer->names[i];
}

struct str tokenizer_chat_template(const struct tokenizer *tokenizer)
{
    return tokenizer->chat_template;
}

struct str tokenizer_tool_template(const struct tokenizer *tokenizer)
{
    return tokenizer->tool_template.length ? tokenizer->tool_template : tokenizer->chat_template;
}

const char *tokenizer_source(const struct tokenizer *tokenizer)
{
    return tokenizer->source;
}

void tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *tokens, int n, bool skip_special,
                      struct strbuf *out)
{
    for (int i = 0; i < n; i++) {
        if (!skip_special || !tokenizer_is_special(tokenizer, tokens[i])) {
            strbuf_add_str(out, tokenizer_token_text(tokenizer, tokens[i]));
        }
    }
}

/* ---- streams ---- */

void token_stream_push(struct token_stream *stream, const struct tokenizer *tokenizer, int32_t id,
                       struct strbuf *out_whole_utf8)
{
    tokenizer_decode(tokenizer, &id, 1, true, &stream->held);
    if (stream->held.length == 0) {
        return;
    }
    size_t used = add_repaired(out_whole_utf8, strbuf_view(&stream->held), true);
    memmove(stream->held.data, stream->held.data + used, stream->held.length - used + 1);
    stream->held.length -= used;
}

void token_stream_flush(struct token_stream *stream, struct strbuf *out_whole_utf8)
{
    add_repaired(out_whole_utf8, strbuf_view(&stream->held), false);
    strbuf_clear(&stream->held);
}

void token_stream_release(struct token_stream *stream)
{
    strbuf_release(&stream->held);
}

/* reward/text.c - utf8proc's categories and case mappings, one character after the other.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/text.h"

#include <string.h>
#include <utf8proc.h>

bool text_is_space(uint32_t c)
{
    if (c < 0x80) {
        return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1C && c <= 0x1F);
    }
    return c == 0x85 || c == 0x2028 || c == 0x2029 || utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_ZS;
}

bool text_is_word(uint32_t c)
{
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return true;
    default: return c == '_';
    }
}

bool text_is_digit(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_ND;
}

bool text_is_format(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_CF;
}

int64_t text_characters(struct str text)
{
    int64_t n = 0;
    for (size_t at = 0, length; at < text.length; at += length) {
        str_utf8_next(text, at, &length);
        n++;
    }
    return n;
}

static bool text_not_space(uint32_t c)
{
    return !text_is_space(c);
}

/* The next run of characters that `inside` accepts. */
static bool text_next_run(struct str text, size_t *at, bool (*inside)(uint32_t), struct str *out)
{
    size_t length;
    while (*at < text.length && !inside(str_utf8_next(text, *at, &length))) {
        *at += length;
    }
    size_t start = *at;
    while (*at < text.length && inside(str_utf8_next(text, *at, &length))) {
        *at += length;
    }
    *out = str_slice(text, start, *at);
    return *at > start;
}

bool text_next_field(struct str text, size_t *at, struct str *out)
{
    return text_next_run(text, at, text_not_space, out);
}

bool text_next_word(struct str text, size_t *at, struct str *out)
{
    return text_next_run(text, at, text_is_word, out);
}

struct str text_trim(struct str text)
{
    size_t start = text.length, end = 0;
    struct str field;
    for (size_t at = 0; text_next_field(text, &at, &field); end = at) {
        size_t from = at - field.length;
        start = from < start ? from : start;
    }
    return str_slice(text, start, end);
}

/* Room for a text that grows; in an arena, so that a verdict may point to it. */
struct text_out {
    struct arena *arena;
    char *data;
    size_t length, capacity;
};

static void text_add(struct text_out *out, const void *data, size_t length)
{
    if (length > out->capacity - out->length) {
        size_t capacity = 2 * (out->capacity + length);
        char *data_new = arena_alloc(out->arena, capacity);
        if (out->length) {
            memcpy(data_new, out->data, out->length);
        }
        out->data = data_new;
        out->capacity = capacity;
    }
    if (length) {
        memcpy(out->data + out->length, data, length);
    }
    out->length += length;
}

static void text_add_character(struct text_out *out, utf8proc_int32_t c)
{
    utf8proc_uint8_t bytes[4];
    text_add(out, bytes, (size_t)utf8proc_encode_char(c, bytes));
}

static struct text_out text_out_for(struct arena *arena, size_t capacity)
{
    return (struct text_out){arena, arena_alloc(arena, capacity + 1), 0, capacity};
}

/* Broken bytes are kept as they are: the length of such a "character" is 1 and its code point U+FFFD. */
static bool text_is_broken(uint32_t c, size_t length)
{
    return c == 0xFFFD && length == 1;
}

struct str text_lower(struct arena *arena, struct str text)
{
    struct text_out out = text_out_for(arena, text.length);
    for (size_t at = 0, length; at < text.length; at += length) {
        uint32_t c = str_utf8_next(text, at, &length);
        if (text_is_broken(c, length)) {
            text_add(&out, text.data + at, 1);
        } else {
            text_add_character(&out, utf8proc_tolower((utf8proc_int32_t)c));
        }
    }
    return (struct str){out.data, out.length};
}

struct str text_fold(struct arena *arena, struct str text)
{
    struct text_out out = text_out_for(arena, text.length);
    for (size_t at = 0, length; at < text.length; at += length) {
        uint32_t c = str_utf8_next(text, at, &length);
        utf8proc_int32_t folded[8];
        int boundary = UTF8PROC_BOUNDCLASS_START;
        utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)c, folded, 8, UTF8PROC_CASEFOLD, &boundary);
        if (n < 1 || n > 8 || text_is_broken(c, length)) {
            text_add(&out, text.data + at, length);
            continue;
        }
        for (int i = 0; i < n; i++) {
            text_add_character(&out, folded[i]);
        }
    }
    return (struct str){out.data, out.length};
}

struct str text_respace(struct arena *arena, struct str text, struct str space)
{
    struct text_out out = text_out_for(arena, text.length);
    struct str field;
    for (size_t at = 0; text_next_field(text, &at, &field);) {
        if (out.length) {
            text_add(&out, space.data, space.length);
        }
        text_add(&out, field.data, field.length);
    }
    return (struct str){out.data, out.length};
}

enum text_unit text_unit_of(const char *name)
{
    return strcmp(name, "tokens") == 0 ? TEXT_TOKENS : strcmp(name, "words") == 0 ? TEXT_WORDS : TEXT_CHARACTERS;
}

bool text_length(const struct reward_item *item, enum text_unit unit, int64_t *out)
{
    struct str field;
    int64_t n = 0;
    switch (unit) {
    case TEXT_TOKENS: *out = item->n_tokens; return item->n_tokens >= 0;
    case TEXT_CHARACTERS: *out = text_characters(item->completion); return true;
    case TEXT_WORDS:
        for (size_t at = 0; text_next_field(item->completion, &at, &field);) {
            n++;
        }
        *out = n;
        return true;
    }
    BUG_ON(true);
}

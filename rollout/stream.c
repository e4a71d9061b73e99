/* rollout/stream.c - hold-back of incomplete characters and of stop strings that may have begun.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/stream.h"

#include <string.h>

/* Bytes of the character that `first` begins; 0 if none begins so. */
static size_t character_length(unsigned char first)
{
    static const struct {
        unsigned char low, high;
        size_t length;
    } rows[] = {{0x00, 0x7F, 1}, {0xC2, 0xDF, 2}, {0xE0, 0xEF, 3}, {0xF0, 0xF4, 4}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (first >= rows[i].low && first <= rows[i].high) {
            return rows[i].length;
        }
    }
    return 0;
}

/* Whether `text` begins with a whole character, or with what may become one: the second byte's range depends on the first (The
 * Unicode Standard, table 3-7), and the others are 80 to BF. */
static bool begins_well(struct str text)
{
    const unsigned char *b = (const unsigned char *)text.data;
    size_t length = character_length(b[0]);
    if (str_utf8_prefix(text) > 0) {
        return true;
    }
    if (text.length >= length) {
        return false;
    }
    for (size_t i = 1; i < text.length; i++) {
        unsigned char low = 0x80, high = 0xBF;
        if (i == 1) {
            low = b[0] == 0xE0 ? 0xA0 : b[0] == 0xF0 ? 0x90 : 0x80;
            high = b[0] == 0xED ? 0x9F : b[0] == 0xF4 ? 0x8F : 0xBF;
        }
        if (b[i] < low || b[i] > high) {
            return false;
        }
    }
    return true;
}

/* Moves the first `most` bytes, or what of them is whole characters, from pending to piece. */
static void show(struct stream *stream, size_t most)
{
    struct str text = strbuf_view(&stream->pending);
    size_t at = 0;
    while (at < most) {
        struct str rest = str_slice(text, at, most);
        size_t whole = str_utf8_prefix(rest);
        strbuf_add(&stream->piece, rest.data, whole);
        at += whole;
        if (at == most || begins_well(str_slice(text, at, text.length))) {
            break;
        }
        strbuf_put_utf8(&stream->piece, 0xFFFD);
        at++;
    }
    memmove(stream->pending.data, stream->pending.data + at, text.length - at);
    stream->pending.length -= at;
}

struct str stream_push(struct stream *stream, const struct stop *stop, struct str bytes)
{
    strbuf_clear(&stream->piece);
    strbuf_add_str(&stream->pending, bytes);
    struct str text = strbuf_view(&stream->pending);
    ptrdiff_t end = stop_find(stop, text);
    size_t certain = end >= 0 ? (size_t)end : text.length - stop_held(stop, text);
    if (end >= 0) {
        stream->pending.length = certain;
    }
    if (certain > 0) {
        show(stream, certain);
    }
    return strbuf_view(&stream->piece);
}

struct str stream_end(struct stream *stream)
{
    struct str text = strbuf_view(&stream->pending);
    strbuf_clear(&stream->piece);
    while (text.length > 0) {
        size_t whole = str_utf8_prefix(text);
        strbuf_add(&stream->piece, text.data, whole);
        if (whole < text.length) {
            strbuf_put_utf8(&stream->piece, 0xFFFD);
            whole++;
        }
        text = str_slice(text, whole, text.length);
    }
    strbuf_clear(&stream->pending);
    return strbuf_view(&stream->piece);
}

void stream_release(struct stream *stream)
{
    strbuf_release(&stream->pending);
    strbuf_release(&stream->piece);
}

/* base/str.c - views and buffers of bytes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/num.h"

struct str str_of(const char *text)
{
    return (struct str){text, text ? strlen(text) : 0};
}

bool str_equal(struct str a, struct str b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

bool str_starts(struct str text, struct str prefix)
{
    return text.length >= prefix.length && str_equal(str_slice(text, 0, prefix.length), prefix);
}

bool str_ends(struct str text, struct str suffix)
{
    return text.length >= suffix.length && str_equal(str_slice(text, text.length - suffix.length, text.length), suffix);
}

ptrdiff_t str_find(struct str text, struct str needle, size_t from)
{
    if (from > text.length) {
        return -1;
    }
    if (needle.length == 0) {
        return (ptrdiff_t)from;
    }
    if (text.length == 0) {
        return -1;
    }
    const char *found = memmem(text.data + from, text.length - from, needle.data, needle.length);
    return found ? found - text.data : -1;
}

ptrdiff_t str_find_last(struct str text, struct str needle)
{
    if (needle.length > text.length) {
        return -1;
    }
    if (needle.length == 0) {
        return (ptrdiff_t)text.length;
    }
    for (size_t end = text.length - needle.length + 1; end > 0;) {
        const char *found = memrchr(text.data, needle.data[0], end);
        if (!found) {
            return -1;
        }
        end = (size_t)(found - text.data);
        if (memcmp(found, needle.data, needle.length) == 0) {
            return (ptrdiff_t)end;
        }
    }
    return -1;
}

struct str str_slice(struct str text, size_t from, size_t to)
{
    if (to > text.length) {
        to = text.length;
    }
    if (from >= to) {
        return (struct str){text.data, 0};
    }
    return (struct str){text.data + from, to - from};
}

static bool str_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str text)
{
    while (text.length && str_is_space(text.data[0])) {
        text = str_slice(text, 1, text.length);
    }
    while (text.length && str_is_space(text.data[text.length - 1])) {
        text.length--;
    }
    return text;
}

/* A NUL-terminated copy for strtoll and strtod; false if it cannot be a number. */
static bool str_number_text(struct str text, char *out, size_t capacity)
{
    if (text.length == 0 || text.length >= capacity || str_is_space(text.data[0]) ||
        memchr(text.data, '\0', text.length)) {
        return false;
    }
    memcpy(out, text.data, text.length);
    out[text.length] = '\0';
    return true;
}

bool str_to_int(struct str text, int64_t *out)
{
    char copy[32], *end;
    if (!str_number_text(text, copy, sizeof copy)) {
        return false;
    }
    errno = 0;
    long long value = strtoll(copy, &end, 10);
    if (errno || *end || end == copy) {
        return false;
    }
    *out = value;
    return true;
}

bool str_to_double(struct str text, double *out)
{
    char copy[64], *end;
    if (!str_number_text(text, copy, sizeof copy) || strpbrk(copy, "xXpPnNiI")) {
        return false;
    }
    double value = strtod(copy, &end);
    if (*end || end == copy || !isfinite(value)) {
        return false;
    }
    *out = value;
    return true;
}

int str_distance(const char *a, const char *b)
{
    enum { LONGEST = 64 };
    int la = (int)strnlen(a, LONGEST), lb = (int)strnlen(b, LONGEST);
    int rows[3][LONGEST + 1]; /* distances for a[..i-2], a[..i-1], a[..i] */
    for (int j = 0; j <= lb; j++) {
        rows[0][j] = j;
    }
    for (int i = 1; i <= la; i++) {
        int *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= lb; j++) {
            int best = last[j - 1] + (a[i - 1] != b[j - 1]);
            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best) {
                best = before[j - 2] + 1;
            }
            now[j] = best;
        }
    }
    return rows[la % 3][lb];
}

uint32_t str_utf8_next(struct str text, size_t at, size_t *length)
{
    BUG_ON(at >= text.length);
    const unsigned char *s = (const unsigned char *)text.data + at;
    size_t left = text.length - at;
    uint32_t c = s[0];
    size_t need = c < 0x80 ? 1 : c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;
    *length = 1;
    if (need == 1) {
        return c;
    }
    if (need == 0 || left < need) {
        return 0xFFFD;
    }
    c &= 0x7Fu >> need;
    for (size_t i = 1; i < need; i++) {
        if ((s[i] & 0xC0) != 0x80) {
            return 0xFFFD;
        }
        c = c << 6 | (s[i] & 0x3Fu);
    }
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (c < smallest[need] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) {
        return 0xFFFD;
    }
    *length = need;
    return c;
}

size_t str_utf8_prefix(struct str text)
{
    size_t at = 0;
    while (at < text.length) {
        size_t length;
        uint32_t c = str_utf8_next(text, at, &length);
        if (c == 0xFFFD && length == 1) {
            break;
        }
        at += length;
    }
    return at;
}

static void strbuf_reserve(struct strbuf *buffer, size_t more)
{
    size_t need = buffer->length + more + 1;
    if (need <= buffer->capacity) {
        return;
    }
    size_t capacity = buffer->capacity ? buffer->capacity * 2 : 64;
    buffer->capacity = max_size(capacity, need);
    buffer->data = mem_grow(buffer->data, buffer->capacity);
}

void strbuf_add(struct strbuf *buffer, const void *data, size_t length)
{
    strbuf_reserve(buffer, length);
    if (length) {
        memcpy(buffer->data + buffer->length, data, length);
    }
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
}

void strbuf_add_str(struct strbuf *buffer, struct str text)
{
    strbuf_add(buffer, text.data, text.length);
}

void strbuf_puts(struct strbuf *buffer, const char *text)
{
    strbuf_add(buffer, text, strlen(text));
}

void strbuf_putc(struct strbuf *buffer, char c)
{
    strbuf_add(buffer, &c, 1);
}

void strbuf_printf(struct strbuf *buffer, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    BUG_ON(length < 0);
    strbuf_reserve(buffer, (size_t)length);
    vsnprintf(buffer->data + buffer->length, (size_t)length + 1, format, again);
    va_end(again);
    buffer->length += (size_t)length;
}

void strbuf_put_utf8(struct strbuf *buffer, uint32_t c)
{
    if (c < 0x80) {
        strbuf_putc(buffer, (char)c);
    } else if (c < 0x800) {
        char bytes[2] = {(char)(0xC0 | c >> 6), (char)(0x80 | (c & 0x3F))};
        strbuf_add(buffer, bytes, 2);
    } else if (c < 0x10000) {
        char bytes[3] = {(char)(0xE0 | c >> 12), (char)(0x80 | (c >> 6 & 0x3F)), (char)(0x80 | (c & 0x3F))};
        strbuf_add(buffer, bytes, 3);
    } else {
        char bytes[4] = {(char)(0xF0 | c >> 18), (char)(0x80 | (c >> 12 & 0x3F)), (char)(0x80 | (c >> 6 & 0x3F)),
                         (char)(0x80 | (c & 0x3F))};
        strbuf_add(buffer, bytes, 4);
    }
}

void strbuf_add_json(struct strbuf *buffer, struct str text)
{
    for (size_t at = 0, length; at < text.length; at += length) {
        uint32_t c = str_utf8_next(text, at, &length);
        if (c == '"' || c == '\\') {
            strbuf_putc(buffer, '\\');
            strbuf_putc(buffer, (char)c);
        } else if (c == '\n') {
            strbuf_puts(buffer, "\\n");
        } else if (c < 0x20) {
            strbuf_printf(buffer, "\\u%04x", c);
        } else {
            strbuf_put_utf8(buffer, c);
        }
    }
}

void strbuf_add_html(struct strbuf *buffer, struct str text)
{
    for (size_t at = 0, length; at < text.length; at += length) {
        uint32_t c = str_utf8_next(text, at, &length);
        switch (c) {
        case '&': strbuf_puts(buffer, "&amp;"); break;
        case '<': strbuf_puts(buffer, "&lt;"); break;
        case '>': strbuf_puts(buffer, "&gt;"); break;
        case '"': strbuf_puts(buffer, "&quot;"); break;
        case '\'': strbuf_puts(buffer, "&#39;"); break;
        default: strbuf_put_utf8(buffer, c == 0 ? 0xFFFD : c); break;
        }
    }
}

struct str strbuf_view(const struct strbuf *buffer)
{
    return (struct str){buffer->data, buffer->length};
}

void strbuf_clear(struct strbuf *buffer)
{
    buffer->length = 0;
    if (buffer->data) {
        buffer->data[0] = '\0';
    }
}

void strbuf_release(struct strbuf *buffer)
{
    free(buffer->data);
    *buffer = (struct strbuf)STRBUF_INIT;
}

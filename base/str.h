/* base/str.h - bytes with a length, and a growing buffer of them.
 *
 * Model text is any bytes: it may hold NUL and broken UTF-8. So text that comes from a model or a file travels as a
 * struct str (a borrowed view); names and paths of our own are plain C strings.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    const char *data; /* not NUL-terminated; may be NULL when length is 0 */
    size_t length;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})

struct str str_of(const char *text); /* the view of a C string; NULL gives the empty view */
bool str_equal(struct str a, struct str b);
bool str_starts(struct str text, struct str prefix);
bool str_ends(struct str text, struct str suffix);
/* Where `needle` first occurs at or after `from`; -1 if nowhere. An empty needle is found at `from`. */
ptrdiff_t str_find(struct str text, struct str needle, size_t from);
ptrdiff_t str_find_last(struct str text, struct str needle);
struct str str_slice(struct str text, size_t from, size_t to); /* [from, to), clamped to the text */
struct str str_trim(struct str text);                          /* without ASCII white space at both ends */
/* Whole text as a decimal integer or a finite number; false (and *out untouched) if it is anything else. */
bool str_to_int(struct str text, int64_t *out);
bool str_to_double(struct str text, double *out);
/* Edits (insert, delete, replace, swap of neighbours) between two names; used for "did you mean". */
int str_distance(const char *a, const char *b);
/* Bytes of the longest prefix that is whole, valid UTF-8. */
size_t str_utf8_prefix(struct str text);
/* The code point at `at` and its length in bytes; a broken byte gives U+FFFD and length 1. */
uint32_t str_utf8_next(struct str text, size_t at, size_t *length);

/* A growing buffer; data is always NUL-terminated once something was added. Release with strbuf_release. */
struct strbuf {
    char *data;
    size_t length;
    size_t capacity;
};

#define STRBUF_INIT                                                                                                    \
    {                                                                                                                  \
        0                                                                                                              \
    }

void strbuf_add(struct strbuf *buffer, const void *data, size_t length);
void strbuf_add_str(struct strbuf *buffer, struct str text);
void strbuf_puts(struct strbuf *buffer, const char *text);
void strbuf_putc(struct strbuf *buffer, char c);
void strbuf_printf(struct strbuf *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
void strbuf_put_utf8(struct strbuf *buffer, uint32_t code_point);
/* `text` as the inside of a JSON string or of HTML text; broken UTF-8 becomes U+FFFD. */
void strbuf_add_json(struct strbuf *buffer, struct str text);
void strbuf_add_html(struct strbuf *buffer, struct str text);
struct str strbuf_view(const struct strbuf *buffer); /* valid until the next change */
void strbuf_clear(struct strbuf *buffer);            /* length 0, memory kept */
void strbuf_release(struct strbuf *buffer);

#endif

/* reward/plain.c - a recursive reader with a cap on depth; sets and dicts are sorted as they are read, then compared in
 * order.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/plain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

struct reader {
    struct str text;
    size_t at;
    int depth;
    struct arena *arena;
};

struct list {
    struct plain *items;
    size_t n, capacity;
};

static bool read_value(struct reader *r, struct plain *out);

static char peek(struct reader *r)
{
    while (r->at < r->text.length && r->text.data[r->at] && strchr(" \t\r\n", r->text.data[r->at])) {
        r->at++;
    }
    return r->at < r->text.length ? r->text.data[r->at] : '\0';
}

static bool take(struct reader *r, char c)
{
    if (peek(r) != c) {
        return false;
    }
    r->at++;
    return true;
}

/* The items grow outside the arena, and move in when their number is known. */
static struct plain *list_push(struct list *list)
{
    if (list->n == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 8;
        list->items = mem_grow(list->items, list->capacity * sizeof *list->items);
    }
    struct plain *item = &list->items[list->n++];
    *item = (struct plain){0};
    return item;
}

static void list_settle(struct list *list, struct plain *out, struct arena *arena)
{
    out->n = list->n;
    out->items = list->n ? arena_copy(arena, list->items, list->n * sizeof *list->items) : NULL;
    free(list->items);
}

static bool read_hex4(struct reader *r, uint32_t *out)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        char c = r->at < r->text.length ? r->text.data[r->at] : '\0';
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) {
            return false;
        }
        value = value * 16 + (uint32_t)digit;
    }
    *out = value;
    return true;
}

static void put_code_point(struct strbuf *out, uint32_t c)
{
    if (c >= 0xd800 && c < 0xe000) { /* half a pair, which Python strings may hold: three bytes, as its surrogatepass */
        strbuf_putc(out, (char)(0xe0 | (c >> 12)));
        strbuf_putc(out, (char)(0x80 | ((c >> 6) & 63)));
        strbuf_putc(out, (char)(0x80 | (c & 63)));
    } else {
        strbuf_put_utf8(out, c);
    }
}

static bool read_escape(struct reader *r, struct strbuf *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = r->at < r->text.length ? r->text.data[r->at++] : '\0';
    const char *known = c ? strchr(from, c) : NULL;
    if (known) {
        strbuf_putc(out, to[known - from]);
        return true;
    }
    uint32_t first, second;
    if (c != 'u' || !read_hex4(r, &first)) {
        return false;
    }
    size_t back = r->at;
    if (first >= 0xd800 && first < 0xdc00 && str_starts(str_slice(r->text, r->at, r->at + 2), STR("\\u"))) {
        r->at += 2;
        if (read_hex4(r, &second) && second >= 0xdc00 && second < 0xe000) {
            first = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        } else {
            r->at = back;
        }
    }
    put_code_point(out, first);
    return true;
}

static bool read_text(struct reader *r, struct str *out)
{
    struct strbuf text = STRBUF_INIT;
    bool ok = take(r, '"'), closed = false;
    while (ok && !closed && r->at < r->text.length) {
        char c = r->text.data[r->at++];
        if (c == '"') {
            closed = true;
        } else if (c == '\\') {
            ok = read_escape(r, &text);
        } else {
            strbuf_putc(&text, c);
        }
    }
    if (ok && closed) {
        *out = (struct str){text.length ? arena_copy(r->arena, text.data, text.length) : "", text.length};
    }
    strbuf_release(&text);
    return ok && closed;
}

/* "-0" is 0; JSON allows no other spelling of a number twice. */
static struct plain whole(struct str digits)
{
    return (struct plain){.type = PLAIN_INT, .text = str_equal(digits, STR("-0")) ? STR("0") : digits};
}

static size_t skip_digits(struct str text, size_t at)
{
    while (at < text.length && text.data[at] >= '0' && text.data[at] <= '9') {
        at++;
    }
    return at;
}

/* Where the whole part of a number ends; 0 if it is not written as JSON writes it. */
static size_t whole_end(struct str text)
{
    size_t first = text.length && text.data[0] == '-', end = skip_digits(text, first);
    bool leading_zero = end > first + 1 && text.data[first] == '0';
    return end > first && !leading_zero ? end : 0;
}

static bool is_digits(struct str text)
{
    return text.length && whole_end(text) == text.length;
}

static bool is_fraction(struct str text)
{
    size_t at = whole_end(text);
    if (at && at < text.length && text.data[at] == '.') {
        size_t end = skip_digits(text, at + 1);
        at = end > at + 1 ? end : 0;
    }
    if (at && at < text.length && (text.data[at] == 'e' || text.data[at] == 'E')) {
        size_t first = at + 1 + (at + 1 < text.length && (text.data[at + 1] == '+' || text.data[at + 1] == '-'));
        size_t end = skip_digits(text, first);
        at = end > first ? end : 0;
    }
    return at && at == text.length;
}

static bool read_number(struct reader *r, struct plain *out)
{
    size_t start = r->at;
    while (r->at < r->text.length && r->text.data[r->at] && strchr("+-.0123456789eE", r->text.data[r->at])) {
        r->at++;
    }
    struct str text = str_slice(r->text, start, r->at);
    if (is_digits(text)) {
        *out = whole(text);
        return true;
    }
    out->type = PLAIN_FLOAT;
    return is_fraction(text) && str_to_double(text, &out->number);
}

static bool read_word(struct reader *r, struct str word)
{
    bool here = str_starts(str_slice(r->text, r->at, r->text.length), word);
    r->at += here ? word.length : 0;
    return here;
}

static bool read_items(struct reader *r, char close, struct list *list)
{
    if (take(r, close)) {
        return true;
    }
    do {
        if (close == '}') {
            struct plain *key = list_push(list);
            key->type = PLAIN_TEXT;
            peek(r);
            if (!read_text(r, &key->text) || !take(r, ':')) {
                return false;
            }
        }
        struct plain value = {0};
        if (!read_value(r, &value)) {
            return false;
        }
        *list_push(list) = value;
    } while (take(r, ','));
    return take(r, close);
}

/* By text, an integer's or a string's: plain_equal takes them for the same. */
static int compare_keys(const void *a, const void *b)
{
    const struct plain *x = a, *y = b;
    size_t n = x->text.length < y->text.length ? x->text.length : y->text.length;
    int order = n ? memcmp(x->text.data, y->text.data, n) : 0;
    return order ? order : (x->text.length > y->text.length) - (x->text.length < y->text.length);
}

static bool dict_settle(struct plain *out)
{
    out->type = PLAIN_DICT;
    for (size_t i = 0; i < out->n; i += 2) {
        if (out->items[i].type != PLAIN_TEXT && out->items[i].type != PLAIN_INT) {
            out->items[i].text = (struct str){0}; /* a key that equals nothing */
        }
    }
    if (out->n) {
        qsort(out->items, out->n / 2, 2 * sizeof *out->items, compare_keys);
    }
    return true;
}

/* {"$d": [[k, v], ...]} */
static bool dict_of_pairs(struct plain *out, const struct plain *pairs, struct arena *arena)
{
    struct plain *items = ARENA_NEW(arena, struct plain, 2 * pairs->n + 1);
    for (size_t i = 0; i < pairs->n; i++) {
        if (pairs->items[i].type != PLAIN_LIST || pairs->items[i].n != 2) {
            return false;
        }
        items[2 * i] = pairs->items[i].items[0];
        items[2 * i + 1] = pairs->items[i].items[1];
    }
    *out = (struct plain){.items = items, .n = 2 * pairs->n};
    return dict_settle(out);
}

/* An object with the one key `tag`. */
static bool read_tagged(struct reader *r, struct str tag, const struct plain *inner, struct plain *out)
{
    bool list = inner->type == PLAIN_LIST;
    if (str_equal(tag, STR("$t")) && list) {
        *out = *inner;
    } else if (str_equal(tag, STR("$s")) && list) {
        *out = *inner;
        out->type = PLAIN_SET;
    } else if (str_equal(tag, STR("$d")) && list) {
        return dict_of_pairs(out, inner, r->arena);
    } else if (str_equal(tag, STR("$i")) && inner->type == PLAIN_TEXT && is_digits(inner->text)) {
        *out = whole(inner->text);
    } else if (str_equal(tag, STR("$f")) && inner->type == PLAIN_TEXT) {
        *out = (struct plain){.type = PLAIN_FLOAT, .number = (double)NAN};
    } else if (tag.length == 2 && strchr("cbx", tag.data[1])) {
        *out = *inner; /* as what it is made of, under a type that equals no list and no text */
        out->type = PLAIN_OTHER;
        out->number = tag.data[1];
    } else {
        return false;
    }
    return true;
}

static bool read_compound(struct reader *r, char close, struct plain *out)
{
    struct list list = {0};
    bool ok = r->depth < PLAIN_MAX_DEPTH;
    r->at++;
    r->depth++;
    ok = ok && read_items(r, close, &list);
    r->depth--;
    if (!ok) {
        free(list.items);
        return false;
    }
    list_settle(&list, out, r->arena);
    out->type = PLAIN_LIST;
    if (close == ']') {
        return true;
    }
    struct plain object = *out;
    if (out->n == 2 && str_starts(out->items[0].text, STR("$")) &&
        read_tagged(r, object.items[0].text, &object.items[1], out)) {
        return true;
    }
    *out = object; /* a data set may have a key that only looks like a tag */
    return dict_settle(out);
}

static bool read_value(struct reader *r, struct plain *out)
{
    switch (peek(r)) {
    case '[': return read_compound(r, ']', out);
    case '{': return read_compound(r, '}', out);
    case '"': out->type = PLAIN_TEXT; return read_text(r, &out->text);
    case 'n': out->type = PLAIN_NULL; return read_word(r, STR("null"));
    case 't': *out = (struct plain){.type = PLAIN_BOOL, .truth = true}; return read_word(r, STR("true"));
    case 'f': out->type = PLAIN_BOOL; return read_word(r, STR("false"));
    case 'N': *out = (struct plain){.type = PLAIN_FLOAT, .number = (double)NAN}; return read_word(r, STR("NaN"));
    default: return read_number(r, out);
    }
}

const struct plain *plain_parse(struct str text, struct arena *arena)
{
    struct reader r = {.text = text, .arena = arena};
    struct plain *value = ARENA_NEW(arena, struct plain, 1);
    return read_value(&r, value) && peek(&r) == '\0' && r.at == text.length ? value : NULL;
}

/* ---- equality ---- */

static double as_number(const struct plain *value)
{
    double number = (double)NAN;
    if (value->type == PLAIN_FLOAT) {
        return value->number;
    }
    return str_to_double(value->text, &number) ? number : (double)NAN;
}

/* Exactly: a float that is whole is written out, since an integer may have more digits than a double holds. */
static bool same_value(const struct plain *a, const struct plain *b)
{
    if (a->type == PLAIN_INT && b->type == PLAIN_INT) {
        return str_equal(a->text, b->text);
    }
    if (a->type == PLAIN_FLOAT && b->type == PLAIN_FLOAT) {
        return a->number == b->number && isfinite(a->number);
    }
    const struct plain *integer = a->type == PLAIN_INT ? a : b;
    double number = a->type == PLAIN_INT ? b->number : a->number;
    char text[400];
    if (!isfinite(number) || number != floor(number)) {
        return false;
    }
    snprintf(text, sizeof text, "%.0f", number == 0 ? 0.0 : number);
    return str_equal(integer->text, str_of(text));
}

static bool same_number(const struct plain *got, const struct plain *want, double absolute, double relative)
{
    if (same_value(got, want)) {
        return true;
    }
    if (got->type == PLAIN_INT && want->type == PLAIN_INT) {
        return false;
    }
    double x = as_number(got), y = as_number(want), apart = fabs(x - y);
    return isfinite(x) && isfinite(y) && (apart <= absolute || apart <= relative * fabs(y)) &&
           (absolute > 0 || relative > 0);
}

static bool same_set(const struct plain *got, const struct plain *want, double absolute, double relative)
{
    enum { MAX = 4096 };
    bool used[MAX] = {false};
    if (got->n != want->n || got->n > MAX) {
        return false;
    }
    for (size_t i = 0; i < want->n; i++) {
        size_t j = 0;
        while (j < got->n && (used[j] || !plain_equal(&got->items[j], &want->items[i], absolute, relative))) {
            j++;
        }
        if (j == got->n) {
            return false;
        }
        used[j] = true;
    }
    return true;
}

static bool same_items(const struct plain *got, const struct plain *want, double absolute, double relative)
{
    if (got->n != want->n) {
        return false;
    }
    for (size_t i = 0; i < got->n; i++) {
        bool key = got->type == PLAIN_DICT && i % 2 == 0;
        const struct plain *a = &got->items[i], *b = &want->items[i];
        if (key ? !a->text.data || !b->text.data || !str_equal(a->text, b->text)
                : !plain_equal(a, b, absolute, relative)) {
            return false;
        }
    }
    return true;
}

/* What a complex number, bytes or a library type is made of. */
static bool same_other(const struct plain *got, const struct plain *want)
{
    return got->number == want->number && str_equal(got->text, want->text) && same_items(got, want, 0, 0);
}

static bool is_number(const struct plain *value)
{
    return value->type == PLAIN_INT || value->type == PLAIN_FLOAT;
}

bool plain_equal(const struct plain *got, const struct plain *want, double absolute, double relative)
{
    if (is_number(got) && is_number(want)) {
        return same_number(got, want, absolute, relative);
    }
    if (got->type != want->type) {
        return false;
    }
    switch (got->type) {
    case PLAIN_NULL: return true;
    case PLAIN_BOOL: return got->truth == want->truth;
    case PLAIN_TEXT: return str_equal(got->text, want->text);
    case PLAIN_SET: return same_set(got, want, absolute, relative);
    case PLAIN_OTHER: return same_other(got, want);
    case PLAIN_INT:
    case PLAIN_FLOAT: return false; /* judged above */
    case PLAIN_LIST:
    case PLAIN_DICT: break;
    }
    return same_items(got, want, absolute, relative);
}

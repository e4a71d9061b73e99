/* model/jinja/text.c - letters and cases by utf8proc.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/jinja/text.h"

#include <string.h>
#include <utf8proc.h>

/* ---- characters ---- */

bool jtext_is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static utf8proc_category_t category(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c);
}

bool jtext_is_letter(uint32_t c)
{
    utf8proc_category_t kind = category(c);
    return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

bool jtext_is_digit(uint32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_ND;
}

bool jtext_is_word(uint32_t c)
{
    if (c < 0x80) {
        return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_';
    }
    utf8proc_category_t kind = category(c);
    return jtext_is_letter(c) || (kind >= UTF8PROC_CATEGORY_ND && kind <= UTF8PROC_CATEGORY_NO);
}

bool jtext_is_printable(uint32_t c)
{
    utf8proc_category_t kind = category(c);
    return c == ' ' || !(kind == UTF8PROC_CATEGORY_CN || kind >= UTF8PROC_CATEGORY_ZS);
}

int64_t jtext_length(struct str text)
{
    int64_t n = 0;
    for (size_t at = 0, length; at < text.length; at += length, n++) {
        str_utf8_next(text, at, &length);
    }
    return n;
}

size_t jtext_offset(struct str text, int64_t index)
{
    size_t at = 0, length;
    for (; index > 0 && at < text.length; at += length, index--) {
        str_utf8_next(text, at, &length);
    }
    return at;
}

/* ---- case ---- */

static bool is_cased(uint32_t c)
{
    utf8proc_category_t kind = category(c);
    return kind == UTF8PROC_CATEGORY_LU || kind == UTF8PROC_CATEGORY_LL || kind == UTF8PROC_CATEGORY_LT;
}

/* Characters whose case is several characters, or hangs on their neighbours (Unicode's SpecialCasing). */
static bool is_special(uint32_t c)
{
    static const uint32_t ranges[][2] = {
        {0xDF, 0xDF},     {0x130, 0x130},   {0x149, 0x149},   {0x1F0, 0x1F0},   {0x345, 0x345},   {0x390, 0x390},
        {0x3A3, 0x3A3},   {0x3B0, 0x3B0},   {0x587, 0x587},   {0x1C4, 0x1CC},   {0x1F1, 0x1F3},   {0x1E96, 0x1E9A},
        {0x1E9E, 0x1E9E}, {0x1F50, 0x1F57}, {0x1F80, 0x1FFC}, {0x10D0, 0x10FF}, {0x1C90, 0x1CBF}, {0xFB00, 0xFB17}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        if (c >= ranges[i][0] && c <= ranges[i][1]) {
            return true;
        }
    }
    return false;
}

static uint32_t convert(struct jrun *run, uint32_t c, bool upper)
{
    if (c < 0x80) {
        bool letter = upper ? c >= 'a' && c <= 'z' : c >= 'A' && c <= 'Z';
        return letter ? c ^ 0x20 : c;
    }
    if (is_special(c)) {
        jrun_fail(run, "the case of U+%04X is not known to strop", c);
    }
    utf8proc_int32_t code = (utf8proc_int32_t)c;
    return (uint32_t)(upper ? utf8proc_toupper(code) : utf8proc_tolower(code));
}

struct str jtext_case(struct jrun *run, struct str text, enum jcase to)
{
    struct jbuf out = {0};
    bool in_word = false;
    for (size_t at = 0, length; at < text.length; at += length) {
        uint32_t c = str_utf8_next(text, at, &length);
        if (c == 0xFFFD) {
            jbuf_add(run, &out, str_slice(text, at, at + length));
            continue;
        }
        bool upper = to == CASE_UPPER || (to == CASE_TITLE && !in_word) || (to == CASE_CAPITAL && at == 0) ||
                     (to == CASE_SWAP && category(c) == UTF8PROC_CATEGORY_LL);
        in_word = is_cased(c);
        jbuf_put_utf8(run, &out, convert(run, c, upper));
    }
    jrun_spend(run, (int64_t)(text.length / 4));
    return jbuf_view(&out);
}

bool jtext_is_case(struct jrun *run, struct str text, enum jcase which)
{
    bool any = false;
    utf8proc_category_t wanted = which == CASE_UPPER ? UTF8PROC_CATEGORY_LU : UTF8PROC_CATEGORY_LL;
    for (size_t at = 0, length; at < text.length; at += length) {
        uint32_t c = str_utf8_next(text, at, &length);
        if (is_cased(c) && category(c) != wanted) {
            return false;
        }
        any |= is_cased(c);
    }
    jrun_spend(run, (int64_t)(text.length / 16));
    return any;
}

/* ---- parts ---- */

static bool stripped(struct str text, size_t at, size_t length, struct jvalue chars)
{
    struct str c = str_slice(text, at, at + length);
    if (chars.kind != J_STR) {
        size_t unused;
        return jtext_is_space(str_utf8_next(text, at, &unused));
    }
    for (ptrdiff_t place = 0; (place = str_find(chars.text, c, (size_t)place)) >= 0; place++) {
        if (((unsigned char)chars.text.data[place] & 0xC0) != 0x80) { /* where a character begins */
            return true;
        }
    }
    return false;
}

struct str jtext_strip(struct jrun *run, struct str text, struct jvalue chars, bool left, bool right)
{
    if (chars.kind != J_STR && chars.kind != J_MISSING && chars.kind != J_NONE) {
        jrun_fail(run, "strip takes a text, not a %s", jvalue_type(chars));
    }
    size_t from = 0, to = 0, length;
    int64_t effort = chars.kind == J_STR ? 1 + (int64_t)(chars.text.length / 16) : 1;
    while (left && from < text.length) {
        str_utf8_next(text, from, &length);
        jrun_spend(run, effort);
        if (!stripped(text, from, length, chars)) {
            break;
        }
        from += length;
    }
    to = right ? from : text.length;
    for (size_t at = from; right && at < text.length; at += length) {
        str_utf8_next(text, at, &length);
        if (!stripped(text, at, length, chars)) {
            to = at + length;
        }
    }
    jrun_spend(run, right ? (int64_t)(text.length - from) * effort / 16 : 0);
    return str_slice(text, from, to);
}

struct str jtext_replace(struct jrun *run, struct str text, struct str old, struct str new, int64_t most)
{
    struct jbuf out = {0};
    size_t at = 0;
    jrun_spend(run, (int64_t)(text.length / 16));
    while (most != 0 && at <= text.length) {
        ptrdiff_t found = str_find(text, old, at);
        if (found < 0) {
            break;
        }
        most -= most > 0;
        jbuf_add(run, &out, str_slice(text, at, (size_t)found));
        jbuf_add(run, &out, new);
        jrun_spend(run, 1);
        at = (size_t)found + old.length;
        if (old.length == 0) { /* between all characters */
            size_t length = 1;
            if (at < text.length) {
                str_utf8_next(text, at, &length);
            }
            jbuf_add(run, &out, str_slice(text, at, at + length));
            at += length;
        }
    }
    if (at < text.length) {
        jbuf_add(run, &out, str_slice(text, at, text.length));
    }
    return jbuf_view(&out);
}

static bool ends_line(uint32_t c)
{
    return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

struct jvalue jtext_lines(struct jrun *run, struct str text, bool keep_ends)
{
    struct jvalue lines = jlist_new(run, J_LIST, 0);
    size_t from = 0;
    for (size_t at = 0, length; at < text.length;) {
        uint32_t c = str_utf8_next(text, at, &length);
        size_t end = at;
        at += length;
        if (!ends_line(c)) {
            continue;
        }
        at += c == '\r' && at < text.length && text.data[at] == '\n';
        jlist_add(run, lines, jvalue_str(str_slice(text, from, keep_ends ? at : end)));
        from = at;
    }
    if (from < text.length) {
        jlist_add(run, lines, jvalue_str(str_slice(text, from, text.length)));
    }
    jrun_spend(run, (int64_t)(text.length / 16));
    return lines;
}

struct str jtext_escape(struct jrun *run, struct str text)
{
    struct jbuf out = {0};
    for (size_t i = 0; i < text.length; i++) {
        static const char marks[] = "&<>'\"";
        static const char *const names[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
        const char *mark = text.data[i] ? strchr(marks, text.data[i]) : NULL;
        jbuf_add(run, &out, mark ? str_of(names[mark - marks]) : str_slice(text, i, i + 1));
    }
    jrun_spend(run, (int64_t)(text.length / 4));
    return jbuf_view(&out);
}

struct str jtext_join(struct jrun *run, struct str separator, struct jvalue list)
{
    struct jbuf out = {0};
    for (int64_t i = 0; i < list.seq->n; i++) {
        jbuf_add(run, &out, i ? separator : (struct str){"", 0});
        jbuf_add(run, &out, jvalue_text(run, list.seq->items[i]));
    }
    return jbuf_view(&out);
}

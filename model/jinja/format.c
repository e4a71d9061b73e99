/* model/jinja/format.c - "%s" % v and "{}".format(v), as far as templates go.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/jinja/text.h"

enum { MOST_WIDTH = 200 };

struct spec {
    struct str fill; /* empty: by the kind of value */
    char align;      /* '<' '>' '^' '=', 0: by the kind of value */
    char sign;       /* '+', ' ', or 0 */
    bool commas;
    int width, precision; /* -1: none */
    char type;            /* 0: none */
};

static void pad(struct jrun *run, struct jbuf *out, struct str text, const struct spec *spec, char align)
{
    int64_t n = spec->width - jtext_length(text);
    struct str fill = spec->fill.length ? spec->fill : STR(" ");
    n = n > 0 ? n : 0;
    int64_t before = align == '>' ? n : align == '^' ? n / 2 : 0;
    if (align == '=') { /* between sign and digits */
        size_t sign = text.length && strchr("+- ", text.data[0]);
        jbuf_add(run, out, str_slice(text, 0, sign));
        text = str_slice(text, sign, text.length);
        before = n;
    }
    jbuf_fill(run, out, fill, before);
    jbuf_add(run, out, text);
    jbuf_fill(run, out, fill, n - before);
}

/* The digits of a number with sign, without filling. */
static void add_number(struct jrun *run, struct jbuf *out, struct jvalue v, const struct spec *spec)
{
    char pattern[24], text[500];
    char sign[2] = {spec->sign, '\0'};
    int64_t n;
    if (strchr("fFeEgG", spec->type)) {
        snprintf(pattern, sizeof pattern, "%%%s.*%c", sign, spec->type);
        snprintf(text, sizeof text, pattern, spec->precision < 0 ? 6 : spec->precision, jvalue_real(v));
    } else {
        bool whole = jvalue_integer(v, &n);
        if (!whole && (spec->type != 'd' || !(fabs(v.real) < 9.2e18))) {
            jrun_fail(run, "%%%c format: an integer is required, not %s", spec->type, jvalue_type(v));
        }
        n = whole ? n : (int64_t)v.real;
        if (spec->type != 'd' && n < 0) {
            jrun_fail(run, "negative numbers in another base are not known to strop");
        }
        snprintf(pattern, sizeof pattern, "%%%s.*ll%c", sign, spec->type);
        snprintf(text, sizeof text, pattern, spec->precision < 0 ? 1 : spec->precision, (long long)n);
    }
    size_t start = (size_t)(text[0] == '-' || text[0] == '+' || text[0] == ' '), whole_part = start;
    while (text[whole_part] >= '0' && text[whole_part] <= '9') {
        whole_part++;
    }
    for (size_t i = 0; text[i]; i++) {
        if (spec->commas && i > start && i < whole_part && (whole_part - i) % 3 == 0) {
            jbuf_putc(run, out, ',');
        }
        jbuf_putc(run, out, text[i]);
    }
}

/* ---- % ---- */

struct arguments {
    struct jvalue all;
    int64_t next;
    bool tuple;
};

static struct jvalue next_argument(struct jrun *run, struct arguments *a)
{
    if (a->next >= (a->tuple ? a->all.seq->n : 1)) {
        jrun_fail(run, "not enough arguments for format string");
    }
    return a->tuple ? a->all.seq->items[a->next++] : (a->next++, a->all);
}

static int read_number(struct jrun *run, struct str text, size_t *at)
{
    int n = 0;
    for (; *at < text.length && text.data[*at] >= '0' && text.data[*at] <= '9'; ++*at) {
        n = 10 * n + (text.data[*at] - '0');
        if (n > MOST_WIDTH) {
            jrun_limit(run, "a width beyond %d in a format", MOST_WIDTH);
        }
    }
    return n;
}

/* "%(name)" at *at, which is behind the bracket: the item of the mapping. */
static struct jvalue mapped(struct jrun *run, struct str format, size_t *at, struct jvalue mapping)
{
    ptrdiff_t end = str_find(format, STR(")"), *at);
    if (end < 0 || mapping.kind != J_DICT) {
        jrun_fail(run, "a format with names needs a mapping");
    }
    const struct jvalue *value = jdict_get_text(run, mapping, str_slice(format, *at, (size_t)end));
    if (!value) {
        jrun_fail(run, "the mapping of a format lacks a name");
    }
    *at = (size_t)end + 1;
    return *value;
}

static void add_converted(struct jrun *run, struct jbuf *out, struct jvalue v, struct spec *spec)
{
    struct jbuf text = {0};
    if (spec->type == 's' || spec->type == 'r') {
        struct str whole = spec->type == 's' ? jvalue_text(run, v) : jvalue_repr(run, v);
        spec->fill = STR(" ");
        jbuf_add(run, &text, spec->precision < 0 ? whole : str_slice(whole, 0, jtext_offset(whole, spec->precision)));
        pad(run, out, jbuf_view(&text), spec, spec->align == '<' ? '<' : '>');
        return;
    }
    if (!jvalue_number(v) || !spec->type || !strchr("diufFeEgGxXo", spec->type)) {
        jrun_fail(run, "'%%%c' of a %s is not known to strop", spec->type ? spec->type : ' ', jvalue_type(v));
    }
    spec->type = strchr("iu", spec->type) ? 'd' : spec->type;
    add_number(run, &text, v, spec);
    pad(run, out, jbuf_view(&text), spec, spec->align ? spec->align : '>');
}

/* The conversion behind a '%' at *at. */
static void add_conversion(struct jrun *run, struct jbuf *out, struct str format, size_t *at, struct arguments *a,
                           struct jvalue mapping)
{
    struct spec spec = {.precision = -1};
    struct jvalue v = {.kind = J_MISSING};
    if (*at < format.length && format.data[*at] == '(') {
        ++*at;
        v = mapped(run, format, at, mapping);
    }
    for (; *at < format.length && strchr("-0 +", format.data[*at]) && format.data[*at]; ++*at) {
        char flag = format.data[*at];
        spec.align = flag == '-' ? '<' : spec.align == 0 && flag == '0' ? '=' : spec.align;
        spec.sign = flag == '+' || (flag == ' ' && !spec.sign) ? flag : spec.sign;
    }
    spec.fill = spec.align == '=' ? STR("0") : STR(" ");
    spec.width = read_number(run, format, at);
    if (*at < format.length && format.data[*at] == '.') {
        ++*at;
        spec.precision = read_number(run, format, at);
    }
    if (*at >= format.length) {
        jrun_fail(run, "incomplete format");
    }
    spec.type = format.data[(*at)++];
    if (spec.type == '%') {
        jbuf_putc(run, out, '%');
        return;
    }
    add_converted(run, out, v.kind == J_MISSING ? next_argument(run, a) : v, &spec);
}

struct jvalue jformat_percent(struct jrun *run, struct str format, struct jvalue args)
{
    struct jbuf out = {0};
    struct arguments a = {.all = args, .tuple = args.kind == J_TUPLE};
    for (size_t at = 0; at < format.length;) {
        if (format.data[at] != '%') {
            jbuf_putc(run, &out, format.data[at++]);
            continue;
        }
        at++;
        add_conversion(run, &out, format, &at, &a, args);
    }
    bool mapping = args.kind == J_DICT || args.kind == J_LIST || args.kind == J_RANGE || args.kind == J_UNDEFINED;
    if (a.next < (a.tuple ? args.seq->n : 1) && !mapping) {
        jrun_fail(run, "not all arguments converted during string formatting");
    }
    return jvalue_str(jbuf_view(&out));
}

/* ---- braces ---- */

static void read_spec(struct jrun *run, struct str text, struct spec *spec)
{
    size_t at = 0, length = 0;
    if (text.length) {
        str_utf8_next(text, 0, &length);
    }
    *spec = (struct spec){.precision = -1};
    if (length < text.length && strchr("<>^=", text.data[length]) && text.data[length]) {
        spec->fill = str_slice(text, 0, length);
        spec->align = text.data[length];
        at = length + 1;
    } else if (text.length && text.data[0] && strchr("<>^=", text.data[0])) {
        spec->align = text.data[at++];
    }
    if (at < text.length && text.data[at] && strchr("+- ", text.data[at])) {
        spec->sign = text.data[at] == '-' ? '\0' : text.data[at];
        at++;
    }
    if (at < text.length && text.data[at] == '0') {
        spec->fill = spec->fill.length ? spec->fill : STR("0");
        spec->align = spec->align ? spec->align : '=';
        at++;
    }
    spec->width = read_number(run, text, &at);
    if (at < text.length && text.data[at] == ',') {
        spec->commas = true;
        at++;
    }
    if (at < text.length && text.data[at] == '.') {
        at++;
        spec->precision = read_number(run, text, &at);
    }
    spec->type = at < text.length ? text.data[at++] : '\0';
    if (at < text.length) {
        jrun_fail(run, "the format '%.*s' is not known to strop", (int)(text.length < 40 ? text.length : 40),
                  text.data);
    }
}

static void add_formatted(struct jrun *run, struct jbuf *out, struct jvalue v, struct str text)
{
    struct spec spec;
    struct jbuf digits = {0};
    if (text.length == 0) {
        jbuf_add(run, out, jvalue_text(run, v));
        return;
    }
    read_spec(run, text, &spec);
    bool plain =
        v.kind == J_STR && (spec.type == 0 || spec.type == 's') && spec.align != '=' && !spec.sign && !spec.commas;
    if (plain) {
        struct str kept = spec.precision < 0 ? v.text : str_slice(v.text, 0, jtext_offset(v.text, spec.precision));
        pad(run, out, kept, &spec, spec.align ? spec.align : '<');
        return;
    }
    int64_t n;
    bool whole = jvalue_integer(v, &n);
    spec.type = spec.type == 0 && whole ? 'd' : spec.type;
    bool fits = jvalue_number(v) && spec.type &&
                (spec.type == 'd' ? whole && spec.precision < 0 : strchr("fFeEgG", spec.type) != NULL);
    bool zero_commas = spec.commas && spec.align == '=';
    if (!fits || zero_commas) {
        jrun_fail(run, "the format '%.*s' of a %s is not known to strop", (int)(text.length < 40 ? text.length : 40),
                  text.data, jvalue_type(v));
    }
    add_number(run, &digits, v, &spec);
    pad(run, out, jbuf_view(&digits), &spec, spec.align ? spec.align : '>');
}

/* "name.attribute[item]": `automatic` is the number of the next field without a name, -1 once one had a number. */
static struct jvalue field_value(struct jrun *run, struct str name, const struct jcall *call, int *automatic)
{
    size_t end = 0;
    int64_t place = 0;
    while (end < name.length && name.data[end] != '.' && name.data[end] != '[') {
        end++;
    }
    struct str first = str_slice(name, 0, end);
    struct jvalue v;
    if (first.length == 0 || str_to_int(first, &place)) {
        bool numbered = first.length > 0;
        if (numbered ? *automatic > 0 : *automatic < 0) {
            jrun_fail(run, "fields with and without numbers in one format");
        }
        place = numbered ? place : (*automatic)++;
        *automatic = numbered ? -1 : *automatic;
        if (place < 0 || place >= call->n) {
            jrun_fail(run, "a format has more fields than values");
        }
        v = call->args[place];
    } else {
        const struct jvalue *named = call->named.kind == J_DICT ? jdict_get_text(run, call->named, first) : NULL;
        if (!named) {
            jrun_fail(run, "a format lacks the value '%.*s'", (int)(first.length < 40 ? first.length : 40), first.data);
        }
        v = *named;
    }
    while (end < name.length) {
        bool item = name.data[end] == '[';
        size_t from = ++end;
        while (end < name.length && (item ? name.data[end] != ']' : name.data[end] != '.' && name.data[end] != '[')) {
            end++;
        }
        struct str part = str_slice(name, from, end);
        v = !item ? jvalue_attr(run, v, part)
                  : jvalue_item(run, v, str_to_int(part, &place) ? jvalue_int(place) : jvalue_str(part));
        end += item;
    }
    return v;
}

/* What is between braces. */
static void add_field(struct jrun *run, struct jbuf *out, struct str field, const struct jcall *call, int *automatic)
{
    ptrdiff_t colon = str_find(field, STR(":"), 0);
    struct str spec = colon < 0 ? (struct str){"", 0} : str_slice(field, (size_t)colon + 1, field.length);
    struct str name = str_slice(field, 0, colon < 0 ? field.length : (size_t)colon);
    ptrdiff_t mark = str_find(name, STR("!"), 0);
    struct str conversion = mark < 0 ? (struct str){"", 0} : str_slice(name, (size_t)mark + 1, name.length);
    struct jvalue v = field_value(run, str_slice(name, 0, mark < 0 ? name.length : (size_t)mark), call, automatic);
    if (mark >= 0) {
        bool repr = str_equal(conversion, STR("r"));
        if (!repr && !str_equal(conversion, STR("s"))) {
            jrun_fail(run, "the conversion of a format field is not known to strop");
        }
        v = jvalue_str(repr ? jvalue_repr(run, v) : jvalue_text(run, v));
    }
    add_formatted(run, out, v, spec);
}

struct jvalue jformat_braces(struct jrun *run, struct str format, const struct jcall *call)
{
    struct jbuf out = {0};
    int automatic = 0;
    for (size_t at = 0; at < format.length; at++) {
        char c = format.data[at];
        bool twice = at + 1 < format.length && format.data[at + 1] == c;
        if ((c == '{' || c == '}') && twice) {
            jbuf_putc(run, &out, c);
            at++;
        } else if (c == '{') {
            ptrdiff_t end = str_find(format, STR("}"), at);
            struct str field = str_slice(format, at + 1, end < 0 ? at + 1 : (size_t)end);
            if (end < 0 || (field.length && memchr(field.data, '{', field.length))) {
                jrun_fail(run, "a format field that is not known to strop");
            }
            add_field(run, &out, field, call, &automatic);
            at = (size_t)end;
        } else if (c == '}') {
            jrun_fail(run, "a single '}' in a format");
        } else {
            jbuf_putc(run, &out, c);
        }
    }
    return jvalue_str(jbuf_view(&out));
}

/* model/jinja/print.c - how values print: str(), repr() and json.dumps.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/jinja/text.h"

/* The shortest digits that read back as the number; beyond 16 digits before the point, or four zeros after it, with an exponent. */
struct str jfloat_repr(struct jrun *run, double real)
{
    char digits[40], text[64];
    if (!isfinite(real)) {
        return jrun_copy(run, str_of(isnan(real) ? "nan" : real < 0 ? "-inf" : "inf"));
    }
    for (int precision = 0; precision < 17; precision++) {
        snprintf(digits, sizeof digits, "%.*e", precision, real);
        if (strtod(digits, NULL) == real) {
            break;
        }
    }
    int exponent = (int)strtol(strchr(digits, 'e') + 1, NULL, 10);
    *strchr(digits, 'e') = '\0';
    int n_digits = (int)strspn(digits + (digits[0] == '-'), "0123456789.");
    n_digits -= n_digits > 1;
    if (exponent < -4 || exponent >= 16) {
        snprintf(text, sizeof text, "%se%c%02d", digits, exponent < 0 ? '-' : '+', exponent < 0 ? -exponent : exponent);
    } else {
        int after = n_digits - 1 - exponent;
        snprintf(text, sizeof text, "%.*f", after > 1 ? after : 1, real);
    }
    return jrun_copy(run, str_of(text));
}

/* ---- repr ---- */

static void add_repr(struct jrun *run, struct jbuf *out, struct jvalue v);

static void add_repr_text(struct jrun *run, struct jbuf *out, struct str text)
{
    bool single = text.length && memchr(text.data, '\'', text.length);
    char quote = single && !memchr(text.data, '"', text.length) ? '"' : '\'';
    jbuf_putc(run, out, quote);
    for (size_t at = 0, length; at < text.length; at += length) {
        uint32_t c = str_utf8_next(text, at, &length);
        static const char plain[] = "\n\r\t\\", letters[] = "nrt\\";
        const char *place = c && c < 0x80 ? strchr(plain, (int)c) : NULL;
        if (place || c == (unsigned char)quote) {
            jbuf_putc(run, out, '\\');
            jbuf_putc(run, out, place ? letters[place - plain] : quote);
        } else if (jtext_is_printable(c)) {
            jbuf_add(run, out, str_slice(text, at, at + length));
        } else {
            jbuf_printf(run, out, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
        }
    }
    jbuf_putc(run, out, quote);
}

static void add_items(struct jrun *run, struct jbuf *out, struct jvalue v, const char *open, const char *close)
{
    jbuf_puts(run, out, open);
    for (int64_t i = 0; i < v.seq->n; i++) {
        jbuf_puts(run, out, i ? ", " : "");
        add_repr(run, out, v.seq->items[i]);
    }
    jbuf_puts(run, out, v.kind == J_TUPLE && v.seq->n == 1 ? "," : "");
    jbuf_puts(run, out, close);
}

static void add_pairs(struct jrun *run, struct jbuf *out, struct jvalue v)
{
    jbuf_puts(run, out, v.kind == J_NAMESPACE ? "<Namespace {" : "{");
    for (int64_t i = 0; i < v.dict->n; i++) {
        jbuf_puts(run, out, i ? ", " : "");
        add_repr(run, out, v.dict->pairs[i].key);
        jbuf_puts(run, out, ": ");
        add_repr(run, out, v.dict->pairs[i].value);
    }
    jbuf_puts(run, out, v.kind == J_NAMESPACE ? "}>" : "}");
}

static void add_range(struct jrun *run, struct jbuf *out, const struct jrange *range)
{
    jbuf_printf(run, out, "range(%lld, %lld", (long long)range->start, (long long)range->stop);
    if (range->step != 1) {
        jbuf_printf(run, out, ", %lld", (long long)range->step);
    }
    jbuf_putc(run, out, ')');
}

static void add_repr(struct jrun *run, struct jbuf *out, struct jvalue v)
{
    static const char *const views[] = {"dict_keys([", "dict_values([", "dict_items(["};
    jrun_spend(run, 1);
    jrun_down(run);
    switch (v.kind) {
    case J_UNDEFINED: jbuf_puts(run, out, "Undefined"); break;
    case J_NONE: jbuf_puts(run, out, "None"); break;
    case J_BOOL: jbuf_puts(run, out, v.boolean ? "True" : "False"); break;
    case J_INT: jbuf_printf(run, out, "%lld", (long long)v.integer); break;
    case J_FLOAT: jbuf_add(run, out, jfloat_repr(run, v.real)); break;
    case J_STR:
        jbuf_puts(run, out, v.safe ? "Markup(" : "");
        add_repr_text(run, out, v.text);
        jbuf_puts(run, out, v.safe ? ")" : "");
        break;
    case J_LIST: add_items(run, out, v, "[", "]"); break;
    case J_TUPLE: add_items(run, out, v, "(", ")"); break;
    case J_VIEW: add_items(run, out, v, views[v.seq->view], "])"); break;
    case J_DICT:
    case J_NAMESPACE: add_pairs(run, out, v); break;
    case J_RANGE: add_range(run, out, v.range); break;
    default: jrun_fail(run, "a %s has no text of its own that could be printed", jvalue_type(v));
    }
    jrun_up(run);
}

struct str jvalue_repr(struct jrun *run, struct jvalue v)
{
    struct jbuf out = {0};
    add_repr(run, &out, v);
    return jbuf_view(&out);
}

struct str jvalue_text(struct jrun *run, struct jvalue v)
{
    return v.kind == J_STR ? v.text : v.kind == J_UNDEFINED ? (struct str){"", 0} : jvalue_repr(run, v);
}

/* ---- json.dumps ---- */

struct writer {
    struct jrun *run;
    struct jbuf out;
    const struct jjson *options;
    int level;
};

static void add_json_text(struct writer *w, struct str text)
{
    static const char plain[] = "\"\\\n\r\t\f\b", letters[] = "\"\\nrtfb";
    jbuf_putc(w->run, &w->out, '"');
    for (size_t at = 0, length; at < text.length; at += length) {
        uint32_t c = str_utf8_next(text, at, &length);
        const char *place = c && c < 0x80 ? strchr(plain, (int)c) : NULL;
        if (place) {
            jbuf_putc(w->run, &w->out, '\\');
            jbuf_putc(w->run, &w->out, letters[place - plain]);
        } else if (c < 0x20 || (w->options->ascii && c > 0x7E && c < 0x10000)) {
            jbuf_printf(w->run, &w->out, "\\u%04x", c);
        } else if (w->options->ascii && c > 0xFFFF) {
            jbuf_printf(w->run, &w->out, "\\u%04x\\u%04x", 0xD7C0 + (c >> 10), 0xDC00 + (c & 0x3FF));
        } else {
            jbuf_add(w->run, &w->out, str_slice(text, at, at + length));
        }
    }
    jbuf_putc(w->run, &w->out, '"');
}

static void add_json(struct writer *w, struct jvalue v);

static void new_line(struct writer *w)
{
    if (w->options->indented) {
        jbuf_putc(w->run, &w->out, '\n');
        jbuf_fill(w->run, &w->out, w->options->indent, w->level);
    }
}

static void add_json_float(struct writer *w, double real)
{
    struct str text = isfinite(real) ? jfloat_repr(w->run, real)
                                     : str_of(isnan(real) ? "NaN"
                                              : real < 0  ? "-Infinity"
                                                          : "Infinity");
    jbuf_add(w->run, &w->out, text);
}

static void add_json_key(struct writer *w, struct jvalue key)
{
    if (key.kind == J_STR) {
        add_json_text(w, key.text);
        return;
    }
    if (key.kind != J_NONE && !jvalue_number(key)) {
        jrun_fail(w->run, "a %s cannot be a key in JSON", jvalue_type(key));
    }
    jbuf_putc(w->run, &w->out, '"');
    add_json(w, key);
    jbuf_putc(w->run, &w->out, '"');
}

/* The pairs in the order of their keys. */
static struct jvalue sorted(struct writer *w, struct jvalue dict)
{
    struct jvalue copy = jdict_new(w->run, J_DICT);
    struct jdict *d = copy.dict;
    d->n = d->capacity = dict.dict->n;
    d->pairs = jrun_alloc(w->run, (size_t)d->n * sizeof *d->pairs + 1);
    for (int64_t i = 0; i < d->n; i++) {
        int64_t at = i;
        bool ordered;
        struct jpair pair = dict.dict->pairs[i];
        while (at > 0 && jvalue_order(w->run, pair.key, d->pairs[at - 1].key, "<", &ordered) < 0) {
            d->pairs[at] = d->pairs[at - 1];
            at--;
        }
        d->pairs[at] = pair;
    }
    return copy;
}

static void add_json_pairs(struct writer *w, struct jvalue v)
{
    v = w->options->sort_keys ? sorted(w, v) : v;
    jbuf_putc(w->run, &w->out, '{');
    w->level++;
    for (int64_t i = 0; i < v.dict->n; i++) {
        if (i) {
            jbuf_add(w->run, &w->out, w->options->item_separator);
        }
        new_line(w);
        add_json_key(w, v.dict->pairs[i].key);
        jbuf_add(w->run, &w->out, w->options->key_separator);
        add_json(w, v.dict->pairs[i].value);
    }
    w->level--;
    if (v.dict->n) {
        new_line(w);
    }
    jbuf_putc(w->run, &w->out, '}');
}

static void add_json_items(struct writer *w, struct jvalue v)
{
    jbuf_putc(w->run, &w->out, '[');
    w->level++;
    for (int64_t i = 0; i < v.seq->n; i++) {
        if (i) {
            jbuf_add(w->run, &w->out, w->options->item_separator);
        }
        new_line(w);
        add_json(w, v.seq->items[i]);
    }
    w->level--;
    if (v.seq->n) {
        new_line(w);
    }
    jbuf_putc(w->run, &w->out, ']');
}

static void add_json(struct writer *w, struct jvalue v)
{
    jrun_spend(w->run, 1);
    jrun_down(w->run);
    switch (v.kind) {
    case J_NONE: jbuf_puts(w->run, &w->out, "null"); break;
    case J_BOOL: jbuf_puts(w->run, &w->out, v.boolean ? "true" : "false"); break;
    case J_INT: jbuf_printf(w->run, &w->out, "%lld", (long long)v.integer); break;
    case J_FLOAT: add_json_float(w, v.real); break;
    case J_STR: add_json_text(w, v.text); break;
    case J_LIST:
    case J_TUPLE: add_json_items(w, v); break;
    case J_DICT: add_json_pairs(w, v); break;
    default: jrun_fail(w->run, "a value of type %s cannot be written as JSON", jvalue_type(v));
    }
    jrun_up(w->run);
}

struct str jvalue_json(struct jrun *run, struct jvalue v, const struct jjson *options)
{
    struct writer w = {.run = run, .options = options};
    add_json(&w, v);
    return jbuf_view(&w.out);
}

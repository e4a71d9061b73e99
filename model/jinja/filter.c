/* model/jinja/filter.c - filters on texts, numbers and single values.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/jinja/filter.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static struct jvalue text_like(struct jvalue like, struct str text)
{
    return (struct jvalue){.kind = J_STR, .safe = like.kind == J_STR && like.safe, .text = text};
}

static int64_t integer_or(struct jrun *run, struct jvalue v, int64_t missing)
{
    int64_t n = missing;
    if (v.kind != J_MISSING && v.kind != J_NONE && !jvalue_integer(v, &n)) {
        jrun_fail(run, "an integer is expected, not a %s", jvalue_type(v));
    }
    return n;
}

/* ---- texts ---- */

FILTER(upper)
{
    (void)call;
    return text_like(args[0], jtext_case(run, jvalue_text(run, args[0]), CASE_UPPER));
}

FILTER(lower)
{
    (void)call;
    return text_like(args[0], jtext_case(run, jvalue_text(run, args[0]), CASE_LOWER));
}

FILTER(capitalize)
{
    (void)call;
    return text_like(args[0], jtext_case(run, jvalue_text(run, args[0]), CASE_CAPITAL));
}

/* Words begin after spaces, '-', and opening brackets; not as str.title. */
FILTER(title)
{
    (void)call;
    struct str text = jvalue_text(run, args[0]);
    struct jbuf out = {0};
    bool starts = true;
    for (size_t at = 0, length; at < text.length; at += length) {
        uint32_t c = str_utf8_next(text, at, &length);
        jbuf_add(run, &out, jtext_case(run, str_slice(text, at, at + length), starts ? CASE_UPPER : CASE_LOWER));
        starts = jtext_is_space(c) || (c < 0x80 && c && strchr("-({[<", (int)c));
    }
    return jvalue_str(jbuf_view(&out));
}

FILTER(trim)
{
    (void)call;
    return text_like(args[0], jtext_strip(run, jvalue_text(run, args[0]), args[1], true, true));
}

FILTER(replace)
{
    (void)call;
    return jvalue_str(jtext_replace(run, jvalue_text(run, args[0]), jvalue_text(run, args[1]),
                                    jvalue_text(run, args[2]), integer_or(run, args[3], -1)));
}

FILTER(center)
{
    (void)call;
    struct jvalue text = jvalue_str(jvalue_text(run, args[0]));
    struct jvalue width = args[1].kind == J_MISSING ? jvalue_int(80) : args[1];
    return jfunction_apply(run, jmethod_find(J_STR, STR("center")), "filter", text, &(struct jcall){&width, 1, {0}});
}

/* Lines but the first, and but empty ones, begin with `width` spaces or that text. */
FILTER(indent)
{
    (void)call;
    if (args[0].kind != J_STR) {
        jrun_fail(run, "indent takes a text, not a %s", jvalue_type(args[0]));
    }
    struct jbuf out = {0}, margin = {0}, text = {0};
    jbuf_add(run, &text, args[0].text);
    jbuf_putc(run, &text, '\n');
    struct jvalue lines = jtext_lines(run, jbuf_view(&text), false);
    if (args[1].kind == J_STR) {
        jbuf_add(run, &margin, args[1].text);
    } else {
        jbuf_fill(run, &margin, STR(" "), integer_or(run, args[1], 4));
    }
    bool first = jvalue_truth(run, args[2]), blank = jvalue_truth(run, args[3]);
    for (int64_t i = 0; i < lines.seq->n; i++) {
        struct str line = lines.seq->items[i].text;
        jbuf_puts(run, &out, i ? "\n" : "");
        if (i ? blank || line.length : first) {
            jbuf_add(run, &out, jbuf_view(&margin));
        }
        jbuf_add(run, &out, line);
    }
    return text_like(args[0], jbuf_view(&out));
}

FILTER(truncate_)
{
    (void)call;
    struct str text = jvalue_text(run, args[0]), end = args[3].kind == J_STR ? args[3].text : STR("...");
    int64_t length = integer_or(run, args[1], 255), leeway = integer_or(run, args[4], 5), n_end = jtext_length(end);
    struct jbuf out = {0};
    if (args[0].kind != J_STR || length < n_end || leeway < 0) {
        jrun_fail(run, "truncate takes a text, and a length not below that of its end");
    }
    if (jvalue_length(run, args[0]) <= length + leeway) {
        return args[0];
    }
    struct str kept = str_slice(text, 0, jtext_offset(text, length - n_end));
    ptrdiff_t space = jvalue_truth(run, args[2]) ? -1 : str_find_last(kept, STR(" "));
    jbuf_add(run, &out, space < 0 ? kept : str_slice(kept, 0, (size_t)space));
    jbuf_add(run, &out, end);
    return text_like(args[0], jbuf_view(&out));
}

FILTER(wordcount)
{
    (void)call;
    struct str text = jvalue_text(run, args[0]);
    int64_t n = 0;
    bool inside = false;
    for (size_t at = 0, length; at < text.length; at += length) {
        bool word = jtext_is_word(str_utf8_next(text, at, &length));
        n += word && !inside;
        inside = word;
    }
    jrun_spend(run, (int64_t)(text.length / 16));
    return jvalue_int(n);
}

FILTER(escape)
{
    (void)call;
    bool done = args[0].kind == J_STR && args[0].safe;
    struct str text = jvalue_text(run, args[0]);
    return (struct jvalue){.kind = J_STR, .safe = true, .text = done ? text : jtext_escape(run, text)};
}

FILTER(forceescape)
{
    (void)call;
    return (struct jvalue){.kind = J_STR, .safe = true, .text = jtext_escape(run, jvalue_text(run, args[0]))};
}

FILTER(safe)
{
    (void)call;
    return (struct jvalue){.kind = J_STR, .safe = true, .text = jvalue_text(run, args[0])};
}

FILTER(string)
{
    (void)call;
    return text_like(args[0], jvalue_text(run, args[0]));
}

FILTER(format)
{
    (void)args;
    struct jvalue given = call->named;
    if (call->n > 0 && given.kind == J_DICT) {
        jrun_fail(run, "format takes arguments by place or by name, not both");
    }
    if (given.kind != J_DICT) {
        given = jlist_new(run, J_TUPLE, call->n);
        for (int i = 0; i < call->n; i++) {
            jlist_add(run, given, call->args[i]);
        }
    }
    return jformat_percent(run, jvalue_text(run, args[0]), given);
}

/* ---- numbers ---- */

FILTER(absolute)
{
    (void)call;
    int64_t n;
    if (jvalue_integer(args[0], &n)) {
        return n < 0 ? joperate(run, "-", jvalue_int(0), jvalue_int(n)) : jvalue_int(n);
    }
    if (args[0].kind != J_FLOAT) {
        jrun_fail(run, "abs takes a number, not a %s", jvalue_type(args[0]));
    }
    return jvalue_float(fabs(args[0].real));
}

/* To the nearest, halves to even, of the number's exact value: as its decimal text is. */
static double round_to(double real, int64_t places)
{
    char text[400];
    if (!isfinite(real) || places > 300) {
        return real;
    }
    snprintf(text, sizeof text, "%.*f", (int)places, real);
    return strtod(text, NULL);
}

FILTER(round_)
{
    (void)call;
    int64_t places = integer_or(run, args[1], 0), n;
    struct jvalue method = args[2].kind == J_MISSING ? jvalue_str(STR("common")) : args[2];
    if (!jvalue_number(args[0]) || places < 0 || places > 15) {
        jrun_fail(run, "round takes a number and 0 to 15 places");
    }
    if (jvalue_is(method, "common")) {
        return jvalue_integer(args[0], &n) ? jvalue_int(n) : jvalue_float(round_to(args[0].real, places));
    }
    bool up = jvalue_is(method, "ceil");
    if (!up && !jvalue_is(method, "floor")) {
        jrun_fail(run, "method must be common, ceil or floor");
    }
    double scale = pow(10, (double)places), scaled = jvalue_real(args[0]) * scale;
    return jvalue_float((up ? ceil(scaled) : floor(scaled)) / scale);
}

/* A text as int() or float() read it: spaces around it, '_' between digits. false: it is no number of ASCII digits */
static bool plain_number(struct jrun *run, struct str text, char *out, size_t room)
{
    text = jtext_strip(run, text, (struct jvalue){.kind = J_MISSING}, true, true);
    size_t n = 0;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i], before = i ? text.data[i - 1] : ' ',
             after = i + 1 < text.length ? text.data[i + 1] : ' ';
        bool between = before >= '0' && before <= '9' && after >= '0' && after <= '9';
        size_t length;
        if ((unsigned char)c >= 0x80 && jtext_is_digit(str_utf8_next(text, i, &length))) {
            jrun_fail(run, "digits beyond ASCII are not known to strop");
        }
        if (c == '_' && between) {
            continue;
        }
        if (n + 1 >= room || c == '_' || !c || (unsigned char)c >= 0x80) {
            return false;
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return n > 0;
}

static bool text_to_float(struct jrun *run, struct str text, double *out)
{
    char plain[400], *end;
    static const char *const words[] = {"inf", "infinity", "nan"};
    if (!plain_number(run, text, plain, sizeof plain)) {
        return false;
    }
    const char *start = plain + (plain[0] == '-' || plain[0] == '+');
    bool word = false;
    for (int i = 0; i < 3; i++) {
        word |= strcasecmp(start, words[i]) == 0;
    }
    if (!word && strspn(plain, "0123456789+-.eE") != strlen(plain)) {
        return false;
    }
    *out = strtod(plain, &end);
    return *end == '\0' && end > plain;
}

/* int(text, base): 1 read, 0 not a number, fails beyond 64 bits */
static bool text_to_int(struct jrun *run, struct str text, int64_t base, int64_t *out)
{
    char plain[200], *end;
    if (!plain_number(run, text, plain, sizeof plain)) {
        return false;
    }
    const char *start = plain + (plain[0] == '-' || plain[0] == '+');
    bool prefixed = start[0] == '0' && start[1] && strchr("xXoObB", start[1]);
    if (base != 10 || (prefixed && base == 0)) {
        jrun_fail(run, "int with another base than 10 is not known to strop");
    }
    if (strspn(start, "0123456789") != strlen(start) || !*start) {
        return false;
    }
    errno = 0;
    *out = strtoll(plain, &end, 10);
    if (errno) {
        jrun_limit(run, "an integer grows beyond 64 bits");
    }
    return *end == '\0';
}

static bool float_to_int(struct jrun *run, double real, int64_t *out)
{
    if (!isfinite(real)) {
        return false;
    }
    if (fabs(real) >= 9.2e18) {
        jrun_limit(run, "an integer grows beyond 64 bits");
    }
    *out = (int64_t)real;
    return true;
}

FILTER(to_int)
{
    (void)call;
    struct jvalue v = args[0], fallback = args[1].kind == J_MISSING ? jvalue_int(0) : args[1];
    int64_t n;
    double real;
    if (jvalue_integer(v, &n)) {
        return jvalue_int(n);
    }
    if (v.kind == J_UNDEFINED) {
        jrun_fail(run, "%.*s", (int)v.text.length, v.text.data);
    }
    if (v.kind == J_FLOAT && isinf(v.real)) {
        jrun_fail(run, "infinity is no integer");
    }
    bool read = v.kind == J_FLOAT ? float_to_int(run, v.real, &n)
                : v.kind == J_STR ? text_to_int(run, v.text, integer_or(run, args[2], 10), &n) ||
                                        (text_to_float(run, v.text, &real) && float_to_int(run, real, &n))
                                  : false;
    return read ? jvalue_int(n) : fallback;
}

FILTER(to_float)
{
    (void)call;
    struct jvalue v = args[0];
    double real;
    if (v.kind == J_UNDEFINED) {
        jrun_fail(run, "%.*s", (int)v.text.length, v.text.data);
    }
    if (jvalue_number(v)) {
        return jvalue_float(jvalue_real(v));
    }
    if (v.kind == J_STR && text_to_float(run, v.text, &real)) {
        return jvalue_float(real);
    }
    return args[1].kind == J_MISSING ? jvalue_float(0) : args[1];
}

/* ---- any value ---- */

FILTER(or_default)
{
    (void)call;
    bool absent = args[0].kind == J_UNDEFINED || (jvalue_truth(run, args[2]) && !jvalue_truth(run, args[0]));
    return !absent ? args[0] : args[1].kind == J_MISSING ? jvalue_str((struct str){"", 0}) : args[1];
}

FILTER(length)
{
    (void)call;
    return jvalue_int(jvalue_length(run, args[0]));
}

FILTER(attribute)
{
    (void)call;
    struct str name = jvalue_text(run, args[1]);
    if (args[0].kind == J_DICT) { /* an item is no attribute */
        const struct jfunction *function = jmethod_find(J_DICT, name);
        return function ? jvalue_attr(run, args[0], name) : jvalue_undefined(run, "a dict has no such attribute");
    }
    return jvalue_attr(run, args[0], name);
}

static struct str separator(struct jrun *run, struct jvalue separators, int64_t i)
{
    struct jvalue item = jvalue_item(run, separators, jvalue_int(i));
    if (item.kind != J_STR || jvalue_length(run, separators) != 2) {
        jrun_fail(run, "tojson takes two texts as separators");
    }
    return item.text;
}

/* transformers' own: json.dumps, with characters beyond ASCII as they are. */
FILTER(tojson)
{
    (void)call;
    struct jbuf spaces = {0};
    struct jjson options = {.ascii = jvalue_truth(run, args[1]),
                            .indented = args[2].kind != J_MISSING && args[2].kind != J_NONE,
                            .sort_keys = jvalue_truth(run, args[4]),
                            .item_separator = STR(", "),
                            .key_separator = STR(": ")};
    if (options.indented) {
        options.item_separator = STR(",");
        if (args[2].kind == J_STR) {
            options.indent = args[2].text;
        } else {
            jbuf_fill(run, &spaces, STR(" "), integer_or(run, args[2], 0));
            options.indent = jbuf_view(&spaces);
        }
    }
    if (args[3].kind != J_MISSING && args[3].kind != J_NONE) {
        options.item_separator = separator(run, args[3], 0);
        options.key_separator = separator(run, args[3], 1);
    }
    return jvalue_str(jvalue_json(run, args[0], &options));
}

const struct jfunction jfilters_of_values[] = {
    {"abs", "", 0, absolute},
    {"attr", "name", 1, attribute},
    {"capitalize", "", 0, capitalize},
    {"center", "width", 0, center},
    {"count", "", 0, length},
    {"d", "default_value boolean", 0, or_default},
    {"default", "default_value boolean", 0, or_default},
    {"e", "", 0, escape},
    {"escape", "", 0, escape},
    {"float", "default", 0, to_float},
    {"forceescape", "", 0, forceescape},
    {"format", NULL, 0, format},
    {"indent", "width first blank", 0, indent},
    {"int", "default base", 0, to_int},
    {"length", "", 0, length},
    {"lower", "", 0, lower},
    {"replace", "old new count", 2, replace},
    {"round", "precision method", 0, round_},
    {"safe", "", 0, safe},
    {"string", "", 0, string},
    {"title", "", 0, title},
    {"tojson", "ensure_ascii indent separators sort_keys", 0, tojson},
    {"trim", "chars", 0, trim},
    {"truncate", "length killwords end leeway", 0, truncate_},
    {"upper", "", 0, upper},
    {"wordcount", "", 0, wordcount},
    {0},
};

const struct jfunction *jfilter_find(struct str name)
{
    const struct jfunction *const tables[] = {jfilters_of_values, jfilters_of_lists};
    for (int i = 0; i < 2; i++) {
        for (const struct jfunction *f = tables[i]; f->name; f++) {
            if (str_equal(name, str_of(f->name))) {
                return f;
            }
        }
    }
    return NULL;
}

/* model/jinja/value.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/jinja/value.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "model/jinja/text.h"

struct jvalue jvalue_none(void)
{
    return (struct jvalue){.kind = J_NONE};
}

struct jvalue jvalue_bool(bool boolean)
{
    return (struct jvalue){.kind = J_BOOL, .boolean = boolean};
}

struct jvalue jvalue_int(int64_t integer)
{
    return (struct jvalue){.kind = J_INT, .integer = integer};
}

struct jvalue jvalue_float(double real)
{
    return (struct jvalue){.kind = J_FLOAT, .real = real};
}

struct jvalue jvalue_str(struct str text)
{
    return (struct jvalue){.kind = J_STR, .text = text};
}

struct jvalue jvalue_undefined(struct jrun *run, const char *format, ...)
{
    char text[300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return (struct jvalue){.kind = J_UNDEFINED, .text = jrun_copy(run, str_of(text))};
}

/* ---- lists and dicts ---- */

struct jvalue jlist_new(struct jrun *run, enum jkind kind, int64_t capacity)
{
    struct jseq *seq = jrun_alloc(run, sizeof *seq);
    if (capacity > 0) {
        if (capacity > (int64_t)(JINJA_MOST_BYTES / sizeof *seq->items)) {
            jrun_limit(run, "a list grows beyond %zu MiB", JINJA_MOST_BYTES >> 20);
        }
        seq->items = jrun_alloc(run, (size_t)capacity * sizeof *seq->items);
        seq->capacity = capacity;
    }
    return (struct jvalue){.kind = kind, .seq = seq};
}

void jlist_add(struct jrun *run, struct jvalue list, struct jvalue item)
{
    struct jseq *seq = list.seq;
    if (seq->n == seq->capacity) {
        int64_t capacity = seq->capacity ? 2 * seq->capacity : 4;
        struct jvalue *items = jrun_alloc(run, (size_t)capacity * sizeof *items);
        if (seq->n) {
            memcpy(items, seq->items, (size_t)seq->n * sizeof *items);
        }
        seq->items = items;
        seq->capacity = capacity;
    }
    seq->items[seq->n++] = item;
    jrun_spend(run, 1);
}

struct jvalue jtuple_of(struct jrun *run, struct jvalue a, struct jvalue b)
{
    struct jvalue tuple = jlist_new(run, J_TUPLE, 2);
    jlist_add(run, tuple, a);
    jlist_add(run, tuple, b);
    return tuple;
}

struct jvalue jdict_new(struct jrun *run, enum jkind kind)
{
    return (struct jvalue){.kind = kind, .dict = jrun_alloc(run, sizeof(struct jdict))};
}

static void check_hash(struct jrun *run, struct jvalue key)
{
    if (key.kind == J_LIST || key.kind == J_DICT) {
        jrun_fail(run, "a %s cannot be the key of a dict", jvalue_type(key));
    }
    for (int64_t i = 0; key.kind == J_TUPLE && i < key.seq->n; i++) {
        jrun_down(run);
        check_hash(run, key.seq->items[i]);
        jrun_up(run);
    }
}

static struct jpair *find(struct jrun *run, struct jvalue dict, struct jvalue key)
{
    jrun_spend(run, dict.dict->n / 4);
    for (int64_t i = 0; i < dict.dict->n; i++) {
        struct jpair *pair = &dict.dict->pairs[i];
        bool text = key.kind == J_STR && pair->key.kind == J_STR;
        if (text ? str_equal(key.text, pair->key.text) : jvalue_equal(run, key, pair->key)) {
            return pair;
        }
    }
    return NULL;
}

void jdict_set(struct jrun *run, struct jvalue dict, struct jvalue key, struct jvalue value)
{
    struct jdict *d = dict.dict;
    check_hash(run, key);
    struct jpair *pair = find(run, dict, key);
    if (pair) {
        pair->value = value;
        return;
    }
    if (d->n == d->capacity) {
        int64_t capacity = d->capacity ? 2 * d->capacity : 4;
        struct jpair *pairs = jrun_alloc(run, (size_t)capacity * sizeof *pairs);
        if (d->n) {
            memcpy(pairs, d->pairs, (size_t)d->n * sizeof *pairs);
        }
        d->pairs = pairs;
        d->capacity = capacity;
    }
    d->pairs[d->n++] = (struct jpair){key, value};
}

const struct jvalue *jdict_get(struct jrun *run, struct jvalue dict, struct jvalue key)
{
    check_hash(run, key);
    const struct jpair *pair = find(run, dict, key);
    return pair ? &pair->value : NULL;
}

const struct jvalue *jdict_get_text(struct jrun *run, struct jvalue dict, struct str key)
{
    const struct jpair *pair = find(run, dict, jvalue_str(key));
    return pair ? &pair->value : NULL;
}

/* ---- kinds ---- */

const char *jvalue_type(struct jvalue v)
{
    static const char *const names[] = {
        [J_MISSING] = "nothing", [J_UNDEFINED] = "Undefined", [J_NONE] = "NoneType",     [J_BOOL] = "bool",
        [J_INT] = "int",         [J_FLOAT] = "float",         [J_STR] = "str",           [J_LIST] = "list",
        [J_TUPLE] = "tuple",     [J_DICT] = "dict",           [J_VIEW] = "dict view",    [J_RANGE] = "range",
        [J_ITER] = "generator",  [J_NAMESPACE] = "Namespace", [J_FUNCTION] = "function", [J_METHOD] = "method",
        [J_MACRO] = "Macro",     [J_LOOP] = "LoopContext",    [J_CYCLER] = "Cycler",     [J_JOINER] = "Joiner"};
    return names[v.kind];
}

bool jvalue_is(struct jvalue v, const char *text)
{
    return v.kind == J_STR && str_equal(v.text, str_of(text));
}

bool jvalue_number(struct jvalue v)
{
    return v.kind == J_INT || v.kind == J_FLOAT || v.kind == J_BOOL;
}

bool jvalue_integer(struct jvalue v, int64_t *out)
{
    if (v.kind != J_INT && v.kind != J_BOOL) {
        return false;
    }
    *out = v.kind == J_INT ? v.integer : v.boolean;
    return true;
}

double jvalue_real(struct jvalue v)
{
    return v.kind == J_FLOAT ? v.real : v.kind == J_BOOL ? v.boolean : (double)v.integer;
}

static int64_t seq_length(struct jvalue v)
{
    switch (v.kind) {
    case J_LIST:
    case J_TUPLE:
    case J_VIEW: return v.seq->n;
    case J_DICT: return v.dict->n;
    case J_RANGE: return v.range->n;
    default: return 0;
    }
}

bool jvalue_has_length(struct jvalue v)
{
    return v.kind == J_STR || v.kind == J_LIST || v.kind == J_TUPLE || v.kind == J_VIEW || v.kind == J_DICT ||
           v.kind == J_RANGE || v.kind == J_UNDEFINED;
}

int64_t jvalue_length(struct jrun *run, struct jvalue v)
{
    if (!jvalue_has_length(v)) {
        jrun_fail(run, "a %s has no length", jvalue_type(v));
    }
    if (v.kind == J_STR) {
        jrun_spend(run, (int64_t)(v.text.length / 16));
        return jtext_length(v.text);
    }
    return seq_length(v);
}

bool jvalue_truth(struct jrun *run, struct jvalue v)
{
    (void)run;
    switch (v.kind) {
    case J_MISSING:
    case J_UNDEFINED:
    case J_NONE: return false;
    case J_BOOL: return v.boolean;
    case J_INT: return v.integer != 0;
    case J_FLOAT: return v.real != 0;
    case J_STR: return v.text.length > 0;
    case J_LIST:
    case J_TUPLE:
    case J_VIEW:
    case J_DICT:
    case J_RANGE: return seq_length(v) > 0;
    default: return true;
    }
}

/* ---- equality and order ---- */

/* Exact for an integer against a float: long double has 64 bits of mantissa or more. */
static int compare_numbers(struct jvalue a, struct jvalue b, bool *ordered)
{
    int64_t x, y;
    *ordered = true;
    if (jvalue_integer(a, &x) && jvalue_integer(b, &y)) {
        return (x > y) - (x < y);
    }
    long double p = a.kind == J_FLOAT ? a.real : a.kind == J_INT ? (long double)a.integer : a.boolean;
    long double q = b.kind == J_FLOAT ? b.real : b.kind == J_INT ? (long double)b.integer : b.boolean;
    *ordered = !isnan(p) && !isnan(q);
    return (p > q) - (p < q);
}

static bool equal_dicts(struct jrun *run, struct jvalue a, struct jvalue b)
{
    for (int64_t i = 0; i < a.dict->n; i++) {
        const struct jpair *pair = find(run, b, a.dict->pairs[i].key);
        if (!pair || !jvalue_equal(run, a.dict->pairs[i].value, pair->value)) {
            return false;
        }
    }
    return a.dict->n == b.dict->n;
}

static bool equal_items(struct jrun *run, struct jvalue a, struct jvalue b)
{
    if (a.seq->n != b.seq->n) {
        return false;
    }
    for (int64_t i = 0; i < a.seq->n; i++) {
        if (!jvalue_equal(run, a.seq->items[i], b.seq->items[i])) {
            return false;
        }
    }
    return true;
}

static bool equal_insides(struct jrun *run, struct jvalue a, struct jvalue b)
{
    switch (a.kind) {
    case J_STR: jrun_spend(run, (int64_t)(a.text.length / 64)); return str_equal(a.text, b.text);
    case J_LIST:
    case J_TUPLE: return equal_items(run, a, b);
    case J_DICT: return equal_dicts(run, a, b);
    case J_RANGE:
        return a.range->n == b.range->n && (a.range->n == 0 || a.range->start == b.range->start) &&
               (a.range->n <= 1 || a.range->step == b.range->step);
    case J_FUNCTION: return a.function == b.function;
    case J_VIEW: jrun_fail(run, "views of dicts cannot be compared by strop");
    case J_METHOD: return a.bound == b.bound;
    case J_UNDEFINED:
    case J_NONE: return true;
    default: return (const void *)a.seq == (const void *)b.seq; /* an object is equal to itself */
    }
}

bool jvalue_equal(struct jrun *run, struct jvalue a, struct jvalue b)
{
    bool ordered;
    jrun_spend(run, 1);
    if (jvalue_number(a) && jvalue_number(b)) {
        return compare_numbers(a, b, &ordered) == 0 && ordered;
    }
    if (a.kind != b.kind) {
        return false;
    }
    jrun_down(run);
    bool equal = equal_insides(run, a, b);
    jrun_up(run);
    return equal;
}

/* UTF-8 is in the order of its code points. */
static int compare_texts(struct str a, struct str b)
{
    size_t n = a.length < b.length ? a.length : b.length;
    int order = n ? memcmp(a.data, b.data, n) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

int jvalue_order(struct jrun *run, struct jvalue a, struct jvalue b, const char *op, bool *ordered)
{
    jrun_spend(run, 1);
    *ordered = true;
    if (jvalue_number(a) && jvalue_number(b)) {
        return compare_numbers(a, b, ordered);
    }
    if (a.kind == J_UNDEFINED || b.kind == J_UNDEFINED) {
        struct str why = a.kind == J_UNDEFINED ? a.text : b.text;
        jrun_fail(run, "%.*s", (int)why.length, why.data);
    }
    if (a.kind != b.kind || (a.kind != J_STR && a.kind != J_LIST && a.kind != J_TUPLE)) {
        jrun_fail(run, "a %s and a %s have no order ('%s')", jvalue_type(a), jvalue_type(b), op);
    }
    if (a.kind == J_STR) {
        jrun_spend(run, (int64_t)(a.text.length / 64));
        return compare_texts(a.text, b.text);
    }
    for (int64_t i = 0; i < a.seq->n && i < b.seq->n; i++) {
        if (!jvalue_equal(run, a.seq->items[i], b.seq->items[i])) {
            jrun_down(run);
            int order = jvalue_order(run, a.seq->items[i], b.seq->items[i], op, ordered);
            jrun_up(run);
            return order;
        }
    }
    return (a.seq->n > b.seq->n) - (a.seq->n < b.seq->n);
}

static bool range_contains(struct jrange *range, struct jvalue item)
{
    double real = jvalue_number(item) ? jvalue_real(item) : NAN;
    if (!(real == floor(real)) || range->n == 0 || fabs(real) > 1e15) {
        return false;
    }
    int64_t from_start = (int64_t)real - range->start;
    return from_start % range->step == 0 && from_start / range->step >= 0 && from_start / range->step < range->n;
}

bool jvalue_contains(struct jrun *run, struct jvalue container, struct jvalue item)
{
    if (container.kind == J_STR) {
        if (item.kind != J_STR) {
            jrun_fail(run, "'in' looks for a text in a text, not for a %s", jvalue_type(item));
        }
        jrun_spend(run, (int64_t)(container.text.length / 16));
        return str_find(container.text, item.text, 0) >= 0;
    }
    if (container.kind == J_DICT) {
        return jdict_get(run, container, item) != NULL;
    }
    if (container.kind == J_RANGE) {
        return range_contains(container.range, item);
    }
    struct jwalk walk = jwalk_open(run, container);
    for (struct jvalue other; jwalk_next(run, &walk, &other);) {
        if (jvalue_equal(run, other, item)) {
            return true;
        }
    }
    return false;
}

/* ---- walks ---- */

bool jvalue_iterable(struct jvalue v)
{
    return jvalue_has_length(v) || v.kind == J_ITER || v.kind == J_LOOP;
}

struct jwalk jwalk_open(struct jrun *run, struct jvalue over)
{
    if (!jvalue_iterable(over) || over.kind == J_LOOP) {
        jrun_fail(run, "a %s cannot be iterated", jvalue_type(over));
    }
    return (struct jwalk){.over = over};
}

bool jwalk_next(struct jrun *run, struct jwalk *walk, struct jvalue *out)
{
    struct jvalue over = walk->over;
    size_t length;
    jrun_spend(run, 1);
    switch (over.kind) {
    case J_ITER: return jwalk_next(run, over.walk, out);
    case J_STR:
        if ((size_t)walk->at >= over.text.length) {
            return false;
        }
        str_utf8_next(over.text, (size_t)walk->at, &length);
        *out = jvalue_str(str_slice(over.text, (size_t)walk->at, (size_t)walk->at + length));
        walk->at += (int64_t)length;
        return true;
    default: break;
    }
    if (walk->at >= seq_length(over)) {
        return false;
    }
    *out = over.kind == J_DICT    ? over.dict->pairs[walk->at].key
           : over.kind == J_RANGE ? jvalue_int(over.range->start + walk->at * over.range->step)
                                  : over.seq->items[walk->at];
    walk->at++;
    return true;
}

struct jvalue jvalue_list(struct jrun *run, struct jvalue over)
{
    struct jwalk walk = jwalk_open(run, over);
    struct jvalue list = jlist_new(run, J_LIST, seq_length(over));
    for (struct jvalue item; jwalk_next(run, &walk, &item);) {
        jlist_add(run, list, item);
    }
    return list;
}

struct jvalue jvalue_iter(struct jrun *run, struct jvalue list, const char *word)
{
    struct jwalk *walk = jrun_alloc(run, sizeof *walk);
    *walk = (struct jwalk){.over = list, .word = word};
    return (struct jvalue){.kind = J_ITER, .walk = walk};
}

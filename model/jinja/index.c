/* model/jinja/index.c - v.name, v[key] and v[a:b:c], as Jinja's sandbox has them.
 *
 * v.name is the method or attribute first and the item of a dict after it, v[key] the other way round; what is neither is
 * undefined. Attributes that change their object, or begin with '_', are undefined too.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "model/jinja/text.h"

static void fail_undefined(struct jrun *run, struct jvalue v) __attribute__((noreturn));
static void fail_undefined(struct jrun *run, struct jvalue v)
{
    jrun_fail(run, "%.*s", (int)v.text.length, v.text.data);
}

static struct jvalue no_item(struct jrun *run, struct jvalue v, struct str name)
{
    return jvalue_undefined(run, "a %s has no attribute '%.*s'", jvalue_type(v),
                            (int)(name.length < 100 ? name.length : 100), name.data);
}

static bool listed(const char *names, struct str name)
{
    for (const char *at = names; *at;) {
        size_t n = strcspn(at, " ");
        if (str_equal((struct str){at, n}, name)) {
            return true;
        }
        at += n + (at[n] == ' ');
    }
    return false;
}

/* What Python's types have, and this interpreter has not; and what the sandbox does not let through. */
static const struct {
    enum jkind kind;
    const char *unknown, *changing;
} attributes[] = {
    {J_STR, "casefold encode expandtabs format_map isidentifier maketrans translate unescape striptags escape", ""},
    {J_DICT, "fromkeys", "clear pop popitem setdefault update"},
    {J_LIST, "", "append clear pop reverse insert sort extend remove"},
    {J_INT, "as_integer_ratio bit_count bit_length conjugate denominator from_bytes imag numerator real to_bytes", ""},
    {J_BOOL, "as_integer_ratio bit_count bit_length conjugate denominator from_bytes imag numerator real to_bytes", ""},
    {J_FLOAT, "as_integer_ratio conjugate fromhex hex imag is_integer real", ""},
    {J_RANGE, "count index start step stop", ""},
    {J_VIEW, "isdisjoint mapping", ""},
    {J_ITER, "close gi_code gi_frame gi_running gi_suspended gi_yieldfrom send throw", ""},
    {J_MACRO, "arguments caller catch_kwargs catch_varargs explicit_caller name", ""},
    {J_CYCLER, "items pos", ""},
    {J_JOINER, "sep used", ""},
};

static struct jvalue bind(struct jrun *run, struct jvalue self, const struct jfunction *function)
{
    struct jmethod *method = jrun_alloc(run, sizeof *method);
    *method = (struct jmethod){.self = self, .function = function};
    return (struct jvalue){.kind = J_METHOD, .bound = method};
}

/* getattr(v, name); J_MISSING: there is none */
static struct jvalue attribute_of(struct jrun *run, struct jvalue v, struct str name)
{
    const struct jfunction *function = jmethod_find(v.kind, name);
    if (function && v.kind == J_STR && v.safe) {
        jrun_fail(run, "'%s' of a text marked as safe is not known to strop", function->name);
    }
    if (function) {
        return bind(run, v, function);
    }
    if (v.kind == J_NAMESPACE) {
        const struct jvalue *value = jdict_get_text(run, v, name);
        return value ? *value : (struct jvalue){.kind = J_MISSING};
    }
    if (v.kind == J_LOOP) {
        return jloop_attr(run, v.loop, name);
    }
    if (v.kind == J_CYCLER && str_equal(name, STR("current"))) {
        return v.seq->items[v.seq->position];
    }
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        if (attributes[i].kind == v.kind && listed(attributes[i].changing, name)) {
            return jvalue_undefined(run, "'%.*s' would change a %s, and templates may not", (int)name.length, name.data,
                                    jvalue_type(v));
        }
        if (attributes[i].kind == v.kind && listed(attributes[i].unknown, name)) {
            jrun_fail(run, "'%.*s' of a %s is not known to strop", (int)name.length, name.data, jvalue_type(v));
        }
    }
    return (struct jvalue){.kind = J_MISSING};
}

/* An index from the end if it is negative; false: outside */
static bool place_of(int64_t *index, int64_t n)
{
    *index += *index < 0 ? n : 0;
    return *index >= 0 && *index < n;
}

/* v[key] of Python; J_MISSING: it would raise TypeError or LookupError */
static struct jvalue item_of(struct jrun *run, struct jvalue v, struct jvalue key)
{
    struct jvalue missing = {.kind = J_MISSING};
    int64_t index;
    if (v.kind == J_DICT) {
        const struct jvalue *value = key.kind == J_LIST || key.kind == J_DICT ? NULL : jdict_get(run, v, key);
        return value ? *value : missing;
    }
    if (!jvalue_integer(key, &index)) {
        return missing;
    }
    if (v.kind == J_LIST || v.kind == J_TUPLE) {
        return place_of(&index, v.seq->n) ? v.seq->items[index] : missing;
    }
    if (v.kind == J_RANGE) {
        return place_of(&index, v.range->n) ? jvalue_int(v.range->start + index * v.range->step) : missing;
    }
    if (v.kind != J_STR || !place_of(&index, jvalue_length(run, v))) {
        return missing;
    }
    size_t from = jtext_offset(v.text, index), length;
    jrun_spend(run, (int64_t)(from / 16));
    str_utf8_next(v.text, from, &length);
    return (struct jvalue){.kind = J_STR, .safe = v.safe, .text = str_slice(v.text, from, from + length)};
}

struct jvalue jvalue_attr(struct jrun *run, struct jvalue v, struct str name)
{
    if (v.kind == J_UNDEFINED) {
        fail_undefined(run, v);
    }
    struct jvalue value = attribute_of(run, v, name);
    if (value.kind == J_MISSING) {
        value = item_of(run, v, jvalue_str(name));
    }
    return value.kind == J_MISSING ? no_item(run, v, name) : value;
}

struct jvalue jvalue_item(struct jrun *run, struct jvalue v, struct jvalue key)
{
    if (v.kind == J_UNDEFINED) {
        fail_undefined(run, v);
    }
    struct jvalue value = item_of(run, v, key);
    if (value.kind == J_MISSING && key.kind == J_STR) {
        value = attribute_of(run, v, key.text);
    }
    if (value.kind != J_MISSING) {
        return value;
    }
    return key.kind == J_STR ? no_item(run, v, key.text)
                             : jvalue_undefined(run, "a %s has no item of that %s", jvalue_type(v), jvalue_type(key));
}

/* Only digits: such a part of a path is an index. */
static bool is_index(struct str part, int64_t *index)
{
    for (size_t i = 0; i < part.length; i++) {
        if (part.data[i] < '0' || part.data[i] > '9') {
            return false;
        }
    }
    return str_to_int(part, index);
}

struct jvalue jvalue_path(struct jrun *run, struct jvalue v, struct jvalue path)
{
    if (path.kind != J_STR) {
        return path.kind == J_NONE ? v : jvalue_item(run, v, path);
    }
    for (size_t from = 0; from <= path.text.length;) {
        ptrdiff_t dot = str_find(path.text, STR("."), from);
        size_t to = dot < 0 ? path.text.length : (size_t)dot;
        struct str part = str_slice(path.text, from, to);
        int64_t index;
        v = jvalue_item(run, v, is_index(part, &index) ? jvalue_int(index) : jvalue_str(part));
        from = to + 1;
    }
    return v;
}

/* ---- slices ---- */

struct bounds {
    int64_t start, stop, step;
};

static int64_t bound_of(struct jrun *run, struct jvalue v, int64_t missing)
{
    int64_t index = missing;
    if (v.kind != J_NONE && v.kind != J_MISSING && !jvalue_integer(v, &index)) {
        jrun_fail(run, "the bounds of a slice are integers, not %s", jvalue_type(v));
    }
    return index;
}

static int64_t clamp(int64_t index, int64_t least, int64_t most)
{
    return index < least ? least : index > most ? most : index;
}

static struct bounds slice_bounds(struct jrun *run, const struct jvalue given[3], int64_t n)
{
    struct bounds b = {.step = bound_of(run, given[2], 1)};
    if (b.step == 0) {
        jrun_fail(run, "the step of a slice is 0");
    }
    int64_t least = b.step > 0 ? 0 : -1, most = b.step > 0 ? n : n - 1;
    b.start = bound_of(run, given[0], b.step > 0 ? 0 : INT64_MAX);
    b.stop = bound_of(run, given[1], b.step > 0 ? INT64_MAX : INT64_MIN);
    b.start = clamp(b.start < 0 ? b.start + n : b.start, least, most);
    b.stop = b.stop == INT64_MIN ? -1 : clamp(b.stop < 0 ? b.stop + n : b.stop, least, most);
    b.step = clamp(b.step, -n - 1, n + 1); /* no further than out of it */
    return b;
}

static struct jvalue slice_text(struct jrun *run, struct jvalue v, struct bounds b)
{
    struct jvalue out = {.kind = J_STR, .safe = v.safe, .text = {"", 0}};
    if (b.step == 1) {
        if (b.start < b.stop) {
            size_t from = jtext_offset(v.text, b.start);
            struct str rest = str_slice(v.text, from, v.text.length);
            out.text = str_slice(rest, 0, jtext_offset(rest, b.stop - b.start));
        }
        return out;
    }
    struct jvalue characters = jvalue_list(run, v);
    struct jbuf buf = {0};
    for (int64_t i = b.start; b.step > 0 ? i < b.stop : i > b.stop; i += b.step) {
        jbuf_add(run, &buf, characters.seq->items[i].text);
    }
    out.text = jbuf_view(&buf);
    return out;
}

struct jvalue jvalue_slice(struct jrun *run, struct jvalue v, const struct jvalue given[3])
{
    if (v.kind == J_UNDEFINED) {
        fail_undefined(run, v);
    }
    if (v.kind != J_STR && v.kind != J_LIST && v.kind != J_TUPLE && v.kind != J_RANGE) {
        jrun_fail(run, "a %s cannot be sliced", jvalue_type(v));
    }
    struct bounds b = slice_bounds(run, given, jvalue_length(run, v));
    if (v.kind == J_STR) {
        return slice_text(run, v, b);
    }
    if (v.kind == J_RANGE) {
        jrun_fail(run, "the slice of a range is not known to strop");
    }
    struct jvalue list = jlist_new(run, v.kind, 0);
    for (int64_t i = b.start; b.step > 0 ? i < b.stop : i > b.stop; i += b.step) {
        jlist_add(run, list, v.seq->items[i]);
    }
    return list;
}

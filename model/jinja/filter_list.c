/* model/jinja/filter_list.c - filters on lists, dicts and whatever else can be iterated.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/jinja/filter.h"

#include <string.h>

/* `attribute` of a value, or the value itself where none is named; lower case unless case_sensitive. */
static struct jvalue key_of(struct jrun *run, struct jvalue item, struct jvalue attribute, struct jvalue case_sensitive)
{
    struct jvalue key = attribute.kind == J_MISSING ? item : jvalue_path(run, item, attribute);
    if (key.kind == J_STR && !jvalue_truth(run, case_sensitive)) {
        return jvalue_str(jtext_case(run, key.text, CASE_LOWER));
    }
    return key;
}

FILTER(first)
{
    (void)call;
    struct jvalue item;
    struct jwalk walk = jwalk_open(run, args[0]);
    return jwalk_next(run, &walk, &item) ? item : jvalue_undefined(run, "No first item, sequence was empty.");
}

FILTER(last)
{
    (void)call;
    if (!jvalue_has_length(args[0])) {
        jrun_fail(run, "a %s has no last item", jvalue_type(args[0]));
    }
    struct jvalue list = jvalue_list(run, args[0]);
    return list.seq->n ? list.seq->items[list.seq->n - 1] : jvalue_undefined(run, "No last item, sequence was empty.");
}

FILTER(list)
{
    (void)call;
    return jvalue_list(run, args[0]);
}

FILTER(join)
{
    (void)call;
    struct jvalue list = jvalue_list(run, args[0]), texts = jlist_new(run, J_LIST, list.seq->n);
    for (int64_t i = 0; i < list.seq->n; i++) {
        struct jvalue item = list.seq->items[i];
        bool path = args[2].kind != J_MISSING && args[2].kind != J_NONE;
        jlist_add(run, texts, path ? jvalue_path(run, item, args[2]) : item);
    }
    struct str separator = args[1].kind == J_MISSING ? (struct str){"", 0} : jvalue_text(run, args[1]);
    return jvalue_str(jtext_join(run, separator, texts));
}

FILTER(items)
{
    (void)call;
    struct jvalue list = jlist_new(run, J_LIST, 0);
    if (args[0].kind != J_UNDEFINED && args[0].kind != J_DICT) {
        jrun_fail(run, "items takes a dict, not a %s", jvalue_type(args[0]));
    }
    for (int64_t i = 0; args[0].kind == J_DICT && i < args[0].dict->n; i++) {
        jlist_add(run, list, jtuple_of(run, args[0].dict->pairs[i].key, args[0].dict->pairs[i].value));
    }
    return jvalue_iter(run, list, "generator");
}

FILTER(reverse)
{
    (void)call;
    struct jvalue v = args[0];
    if (v.kind == J_STR) {
        const struct jvalue bounds[3] = {{0}, {0}, jvalue_int(-1)};
        return jvalue_slice(run, v, bounds);
    }
    struct jvalue list = jvalue_list(run, v), turned = jlist_new(run, J_LIST, list.seq->n);
    for (int64_t i = list.seq->n; i > 0; i--) {
        jlist_add(run, turned, list.seq->items[i - 1]);
    }
    bool is_list = v.kind == J_ITER; /* the others give an iterator */
    return is_list ? turned : jvalue_iter(run, turned, "reverse iterator");
}

/* ---- order ---- */

struct sorting {
    struct jvalue item, *keys;
    int n_keys;
};

static bool before(struct jrun *run, const struct sorting *a, const struct sorting *b)
{
    bool ordered;
    for (int i = 0; i < a->n_keys; i++) {
        if (i == a->n_keys - 1 || !jvalue_equal(run, a->keys[i], b->keys[i])) {
            return jvalue_order(run, a->keys[i], b->keys[i], "<", &ordered) < 0;
        }
    }
    return false;
}

/* Stable merge sort of n items with room for n more. */
static void sort_items(struct jrun *run, struct sorting *items, struct sorting *room, int64_t n, bool reverse)
{
    if (n < 2) {
        return;
    }
    int64_t half = n / 2, a = 0, b = half;
    sort_items(run, items, room, half, reverse);
    sort_items(run, items + half, room, n - half, reverse);
    memcpy(room, items, (size_t)n * sizeof *items);
    for (int64_t i = 0; i < n; i++) {
        bool second =
            a == half || (b < n && (reverse ? before(run, &room[a], &room[b]) : before(run, &room[b], &room[a])));
        items[i] = room[second ? b++ : a++];
    }
}

/* By the keys "a,b" of the items; `attribute` J_MISSING: by themselves. */
static struct jvalue sorted(struct jrun *run, struct jvalue list, struct jvalue attribute, struct jvalue case_sensitive,
                            bool reverse)
{
    int64_t n = list.seq->n;
    struct sorting *items = jrun_alloc(run, (size_t)n * 2 * sizeof *items + 1);
    struct jvalue paths = jlist_new(run, J_LIST, 1);
    struct str rest = attribute.kind == J_STR ? attribute.text : (struct str){"", 0};
    for (ptrdiff_t comma; (comma = str_find(rest, STR(","), 0)) >= 0;) {
        jlist_add(run, paths, jvalue_str(str_slice(rest, 0, (size_t)comma)));
        rest = str_slice(rest, (size_t)comma + 1, rest.length);
    }
    jlist_add(run, paths, attribute.kind == J_STR ? jvalue_str(rest) : attribute);
    for (int64_t i = 0; i < n; i++) {
        items[i].item = list.seq->items[i];
        items[i].n_keys = (int)paths.seq->n;
        items[i].keys = jrun_alloc(run, (size_t)paths.seq->n * sizeof *items[i].keys);
        for (int64_t k = 0; k < paths.seq->n; k++) {
            items[i].keys[k] = key_of(run, items[i].item, paths.seq->items[k], case_sensitive);
        }
    }
    sort_items(run, items, items + n, n, reverse);
    struct jvalue out = jlist_new(run, J_LIST, n);
    for (int64_t i = 0; i < n; i++) {
        jlist_add(run, out, items[i].item);
    }
    return out;
}

FILTER(sort)
{
    (void)call;
    struct jvalue attribute = args[3];
    attribute.kind = attribute.kind == J_NONE ? J_MISSING : attribute.kind;
    return sorted(run, jvalue_list(run, args[0]), attribute, args[2], jvalue_truth(run, args[1]));
}

FILTER(dictsort)
{
    (void)call;
    bool by_value = jvalue_is(args[2], "value");
    if (args[0].kind != J_DICT || (args[2].kind != J_MISSING && !by_value && !jvalue_is(args[2], "key"))) {
        jrun_fail(run, "dictsort takes a dict, by its keys or values");
    }
    struct jvalue list = jlist_new(run, J_LIST, args[0].dict->n);
    for (int64_t i = 0; i < args[0].dict->n; i++) {
        jlist_add(run, list, jtuple_of(run, args[0].dict->pairs[i].key, args[0].dict->pairs[i].value));
    }
    return sorted(run, list, jvalue_int(by_value), args[1], jvalue_truth(run, args[3]));
}

FILTER(unique)
{
    (void)call;
    struct jvalue seen = jdict_new(run, J_DICT), list = jlist_new(run, J_LIST, 0), item;
    struct jwalk walk = jwalk_open(run, args[0]);
    while (jwalk_next(run, &walk, &item)) {
        struct jvalue key = key_of(run, item, args[2], args[1]);
        if (!jdict_get(run, seen, key)) {
            jdict_set(run, seen, key, jvalue_none());
            jlist_add(run, list, item);
        }
    }
    return jvalue_iter(run, list, "generator");
}

static struct jvalue extreme(struct jrun *run, const struct jvalue *args, bool most)
{
    struct jvalue best = {.kind = J_MISSING}, best_key = best, item;
    struct jwalk walk = jwalk_open(run, args[0]);
    bool ordered;
    while (jwalk_next(run, &walk, &item)) {
        struct jvalue key = key_of(run, item, args[2], args[1]);
        int order = best.kind == J_MISSING ? 1 : jvalue_order(run, key, best_key, most ? ">" : "<", &ordered);
        if (best.kind == J_MISSING || (most ? order > 0 : order < 0)) {
            best = item;
            best_key = key;
        }
    }
    return best.kind == J_MISSING ? jvalue_undefined(run, "No aggregated item, sequence was empty.") : best;
}

FILTER(min_)
{
    (void)call;
    return extreme(run, args, false);
}

FILTER(max_)
{
    (void)call;
    return extreme(run, args, true);
}

FILTER(sum)
{
    (void)call;
    struct jvalue total = args[2].kind == J_MISSING ? jvalue_int(0) : args[2], item;
    struct jwalk walk = jwalk_open(run, args[0]);
    if (total.kind == J_STR) {
        jrun_fail(run, "sum does not join texts");
    }
    while (jwalk_next(run, &walk, &item)) {
        bool path = args[1].kind != J_MISSING && args[1].kind != J_NONE;
        total = joperate(run, "+", total, path ? jvalue_path(run, item, args[1]) : item);
    }
    return total;
}

/* ---- groups ---- */

FILTER(batch)
{
    (void)call;
    struct jvalue out = jlist_new(run, J_LIST, 0), part = {.kind = J_MISSING}, item;
    struct jwalk walk = jwalk_open(run, args[0]);
    int64_t size;
    if (!jvalue_integer(args[1], &size) || size < 1 || size > JINJA_MOST_STEPS) {
        jrun_fail(run, "batch takes a number of items");
    }
    while (jwalk_next(run, &walk, &item)) {
        if (part.kind == J_MISSING || part.seq->n == size) {
            part = jlist_new(run, J_LIST, 0);
            jlist_add(run, out, part);
        }
        jlist_add(run, part, item);
    }
    while (part.kind != J_MISSING && args[2].kind != J_MISSING && args[2].kind != J_NONE && part.seq->n < size) {
        jlist_add(run, part, args[2]);
    }
    return jvalue_iter(run, out, "generator");
}

FILTER(slice)
{
    (void)call;
    struct jvalue list = jvalue_list(run, args[0]), out = jlist_new(run, J_LIST, 0);
    int64_t n, at = 0;
    if (!jvalue_integer(args[1], &n) || n < 1 || n > JINJA_MOST_STEPS) {
        jrun_fail(run, "slice takes a number of parts");
    }
    for (int64_t i = 0; i < n; i++) {
        struct jvalue part = jlist_new(run, J_LIST, 0);
        bool longer = i < list.seq->n % n;
        for (int64_t k = 0; k < list.seq->n / n + longer; k++) {
            jlist_add(run, part, list.seq->items[at++]);
        }
        if (!longer && args[2].kind != J_MISSING && args[2].kind != J_NONE) {
            jlist_add(run, part, args[2]);
        }
        jlist_add(run, out, part);
    }
    return jvalue_iter(run, out, "generator");
}

/* ---- map and select ---- */

static const struct jfunction *named_function(struct jrun *run, struct jvalue name, const char *word,
                                              const struct jfunction *(*find)(struct str))
{
    const struct jfunction *function = name.kind == J_STR ? find(name.text) : NULL;
    if (!function) {
        struct str text = jvalue_text(run, name);
        jrun_fail(run, "%s '%.*s' is not known to strop", word, (int)(text.length < 40 ? text.length : 40), text.data);
    }
    return function;
}

/* The arguments from number `first` on. */
static struct jcall rest_of(const struct jcall *call, int first)
{
    bool any = call->n > first;
    return (struct jcall){any ? call->args + first : NULL, any ? call->n - first : 0, call->named};
}

/* map('filter', arguments) or map(attribute='name', default=...) */
FILTER(map)
{
    struct jvalue list = jlist_new(run, J_LIST, 0), item, options[2];
    struct jcall rest = rest_of(call, 1);
    const struct jfunction *function = NULL;
    if (call->n == 0) {
        jcall_bind(run, "map", "attribute default", 1, call, options);
    } else {
        function = named_function(run, call->args[0], "filter", jfilter_find);
    }
    if (!jvalue_truth(run, args[0])) {
        return jvalue_iter(run, list, "generator");
    }
    struct jwalk walk = jwalk_open(run, args[0]);
    while (jwalk_next(run, &walk, &item)) {
        if (function) {
            item = jfunction_apply(run, function, "filter", item, &rest);
        } else {
            item = jvalue_path(run, item, options[0]);
            bool fallback = options[1].kind != J_MISSING && options[1].kind != J_NONE;
            item = item.kind == J_UNDEFINED && fallback ? options[1] : item;
        }
        jlist_add(run, list, item);
    }
    return jvalue_iter(run, list, "generator");
}

/* The items, or those attributes of them, that pass the test named (without one: that are true), or that do not. */
static struct jvalue choose(struct jrun *run, struct jvalue from, const struct jcall *call, bool attribute, bool wanted)
{
    struct jvalue list = jlist_new(run, J_LIST, 0), item;
    const struct jfunction *function = NULL;
    if (call->n < attribute) {
        jrun_fail(run, "the name of an attribute is missing");
    }
    if (call->n > attribute) {
        function = named_function(run, call->args[attribute], "test", jtest_find);
    }
    struct jcall rest = rest_of(call, attribute + 1);
    if (!jvalue_truth(run, from)) {
        return jvalue_iter(run, list, "generator");
    }
    struct jwalk walk = jwalk_open(run, from);
    while (jwalk_next(run, &walk, &item)) {
        struct jvalue tested = attribute ? jvalue_path(run, item, call->args[0]) : item;
        if (function) {
            tested = jfunction_apply(run, function, "test", tested, &rest);
        }
        if (jvalue_truth(run, tested) == wanted) {
            jlist_add(run, list, item);
        }
    }
    return jvalue_iter(run, list, "generator");
}

FILTER(select_)
{
    return choose(run, args[0], call, false, true);
}

FILTER(reject)
{
    return choose(run, args[0], call, false, false);
}

FILTER(selectattr)
{
    return choose(run, args[0], call, true, true);
}

FILTER(rejectattr)
{
    return choose(run, args[0], call, true, false);
}

const struct jfunction jfilters_of_lists[] = {
    {"batch", "linecount fill_with", 1, batch},
    {"dictsort", "case_sensitive by reverse", 0, dictsort},
    {"first", "", 0, first},
    {"items", "", 0, items},
    {"join", "d attribute", 0, join},
    {"last", "", 0, last},
    {"list", "", 0, list},
    {"map", NULL, 0, map},
    {"max", "case_sensitive attribute", 0, max_},
    {"min", "case_sensitive attribute", 0, min_},
    {"reject", NULL, 0, reject},
    {"rejectattr", NULL, 0, rejectattr},
    {"reverse", "", 0, reverse},
    {"select", NULL, 0, select_},
    {"selectattr", NULL, 0, selectattr},
    {"slice", "slices fill_with", 1, slice},
    {"sort", "reverse case_sensitive attribute", 0, sort},
    {"sum", "attribute start", 0, sum},
    {"unique", "case_sensitive attribute", 0, unique},
    {0},
};

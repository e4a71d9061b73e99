/* model/jinja/method.c - the methods of dicts, lists and cyclers, and the way to all methods.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/jinja/method.h"

/* ---- dicts ---- */

static struct jvalue view(struct jrun *run, struct jvalue dict, enum jview which)
{
    struct jvalue list = jlist_new(run, J_VIEW, dict.dict->n);
    list.seq->view = which;
    for (int64_t i = 0; i < dict.dict->n; i++) {
        struct jpair pair = dict.dict->pairs[i];
        jlist_add(run, list,
                  which == VIEW_KEYS     ? pair.key
                  : which == VIEW_VALUES ? pair.value
                                         : jtuple_of(run, pair.key, pair.value));
    }
    return list;
}

METHOD(dict_keys)
{
    (void)call;
    return view(run, args[0], VIEW_KEYS);
}

METHOD(dict_values)
{
    (void)call;
    return view(run, args[0], VIEW_VALUES);
}

METHOD(dict_items)
{
    (void)call;
    return view(run, args[0], VIEW_ITEMS);
}

METHOD(dict_get)
{
    (void)call;
    const struct jvalue *value = jdict_get(run, args[0], args[1]);
    return value ? *value : args[2].kind == J_MISSING ? jvalue_none() : args[2];
}

METHOD(dict_copy)
{
    (void)call;
    struct jvalue copy = jdict_new(run, J_DICT);
    for (int64_t i = 0; i < args[0].dict->n; i++) {
        jdict_set(run, copy, args[0].dict->pairs[i].key, args[0].dict->pairs[i].value);
    }
    return copy;
}

/* ---- lists, cyclers ---- */

METHOD(list_count)
{
    (void)call;
    int64_t n = 0;
    for (int64_t i = 0; i < args[0].seq->n; i++) {
        n += jvalue_equal(run, args[0].seq->items[i], args[1]);
    }
    return jvalue_int(n);
}

METHOD(list_index)
{
    (void)call;
    for (int64_t i = 0; i < args[0].seq->n; i++) {
        if (jvalue_equal(run, args[0].seq->items[i], args[1])) {
            return jvalue_int(i);
        }
    }
    jrun_fail(run, "the value is not in the list");
}

METHOD(list_copy)
{
    (void)call;
    return jvalue_list(run, args[0]);
}

METHOD(cycler_next)
{
    (void)run, (void)call;
    struct jseq *seq = args[0].seq;
    struct jvalue item = seq->items[seq->position];
    seq->position = (seq->position + 1) % seq->n;
    return item;
}

METHOD(cycler_reset)
{
    (void)run, (void)call;
    args[0].seq->position = 0;
    return jvalue_none();
}

/* ---- the tables ---- */

static const struct jfunction of_dicts[] = {
    {"keys", "/", 0, dict_keys},          {"values", "/", 0, dict_values}, {"items", "/", 0, dict_items},
    {"get", "/key default", 1, dict_get}, {"copy", "/", 0, dict_copy},     {0},
};
static const struct jfunction of_lists[] = {
    {"count", "/value", 1, list_count},
    {"index", "/value", 1, list_index},
    {"copy", "/", 0, list_copy},
    {0},
};
static const struct jfunction of_tuples[] = {
    {"count", "/value", 1, list_count},
    {"index", "/value", 1, list_index},
    {0},
};
static const struct jfunction of_cyclers[] = {
    {"next", "/", 0, cycler_next},
    {"reset", "/", 0, cycler_reset},
    {0},
};

const struct jfunction *jmethod_find(enum jkind kind, struct str name)
{
    const struct jfunction *f = kind == J_STR      ? jmethods_of_text
                                : kind == J_DICT   ? of_dicts
                                : kind == J_LIST   ? of_lists
                                : kind == J_TUPLE  ? of_tuples
                                : kind == J_CYCLER ? of_cyclers
                                                   : NULL;
    for (; f && f->name; f++) {
        if (str_equal(name, str_of(f->name))) {
            return f;
        }
    }
    return NULL;
}

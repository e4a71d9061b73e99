/* model/jinja/value.h - values as Python has them: what is true, equal, smaller, and how each prints.
 *
 * A value is passed by copy; what it points at lives in the arena of its rendering and is never changed, but for namespaces,
 * cyclers, joiners and iterators. Where Python would raise an exception, a function leaves through jrun_fail.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_JINJA_VALUE_H
#define MODEL_JINJA_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct jrun; /* a rendering under way */

enum jkind {
    J_MISSING,   /* none at all: an argument that was not given */
    J_UNDEFINED, /* Jinja's Undefined: prints as nothing, and most uses are errors */
    J_NONE,
    J_BOOL,
    J_INT, /* of 64 bits; beyond them is an error */
    J_FLOAT,
    J_STR,
    J_LIST,
    J_TUPLE,
    J_DICT,
    J_VIEW,  /* dict.keys(), values(), items() */
    J_RANGE, /* range(...) */
    J_ITER,  /* a generator: it can be walked once */
    J_NAMESPACE,
    J_FUNCTION, /* a global function */
    J_METHOD,   /* text.strip, unbound arguments */
    J_MACRO,
    J_LOOP, /* the variable `loop` */
    J_CYCLER,
    J_JOINER,
};

struct jvalue {
    enum jkind kind;
    bool safe; /* J_STR: of |safe or |escape (Markup) */
    union {
        bool boolean;
        int64_t integer;
        double real;
        struct str text;       /* J_STR; J_UNDEFINED: the sentence of the error that its use is */
        struct jseq *seq;      /* J_LIST, J_TUPLE, J_VIEW; J_CYCLER: its items */
        struct jdict *dict;    /* J_DICT, J_NAMESPACE */
        struct jrange *range;  /* J_RANGE */
        struct jwalk *walk;    /* J_ITER */
        struct jmethod *bound; /* J_METHOD */
        struct jmacro *macro;
        struct jloop *loop;
        struct jjoiner *joiner;
        const struct jfunction *function;
    };
};

enum jview { VIEW_KEYS, VIEW_VALUES, VIEW_ITEMS };

struct jseq {
    struct jvalue *items;
    int64_t n, capacity;
    enum jview view;  /* J_VIEW */
    int64_t position; /* J_CYCLER */
};

struct jpair {
    struct jvalue key, value;
};

struct jdict { /* in the order of insertion */
    struct jpair *pairs;
    int64_t n, capacity;
};

struct jrange {
    int64_t start, stop, step, n;
};

struct jjoiner {
    struct str separator;
    bool used;
};

/* A walk through something iterable. */
struct jwalk {
    struct jvalue
        over; /* J_LIST, J_TUPLE, J_VIEW, J_DICT (its keys), J_STR (its characters), J_RANGE, J_ITER, J_UNDEFINED */
    int64_t at;
    const char *word; /* what Python calls it, for errors: "generator" */
};

struct jvalue jvalue_none(void);
struct jvalue jvalue_bool(bool boolean);
struct jvalue jvalue_int(int64_t integer);
struct jvalue jvalue_float(double real);
struct jvalue jvalue_str(struct str text);
struct jvalue jvalue_undefined(struct jrun *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct jvalue jlist_new(struct jrun *run, enum jkind kind, int64_t capacity); /* J_LIST, J_TUPLE, J_VIEW, J_CYCLER */
void jlist_add(struct jrun *run, struct jvalue list, struct jvalue item);
struct jvalue jtuple_of(struct jrun *run, struct jvalue a, struct jvalue b);
struct jvalue jdict_new(struct jrun *run, enum jkind kind);
void jdict_set(struct jrun *run, struct jvalue dict, struct jvalue key, struct jvalue value);
/* NULL if there is none. Fails for a key that Python cannot hash. */
const struct jvalue *jdict_get(struct jrun *run, struct jvalue dict, struct jvalue key);
const struct jvalue *jdict_get_text(struct jrun *run, struct jvalue dict, struct str key);

const char *jvalue_type(struct jvalue v); /* "str", "int", "NoneType": Python's name */
bool jvalue_is(struct jvalue v, const char *text);
bool jvalue_number(struct jvalue v);                /* an int, a float or a bool */
bool jvalue_integer(struct jvalue v, int64_t *out); /* an int or a bool */
double jvalue_real(struct jvalue v);                /* of a number */
bool jvalue_truth(struct jrun *run, struct jvalue v);
bool jvalue_equal(struct jrun *run, struct jvalue a, struct jvalue b);
/* Negative, 0 or positive; fails where Python has no order. `op` is for the sentence. A NaN is in no order: *ordered is false. */
int jvalue_order(struct jrun *run, struct jvalue a, struct jvalue b, const char *op, bool *ordered);
bool jvalue_contains(struct jrun *run, struct jvalue container, struct jvalue item);
int64_t jvalue_length(struct jrun *run, struct jvalue v); /* len(); fails if it has none */
bool jvalue_has_length(struct jvalue v);
bool jvalue_iterable(struct jvalue v);

/* iter() and next(); fails for what is not iterable. */
struct jwalk jwalk_open(struct jrun *run, struct jvalue over);
bool jwalk_next(struct jrun *run, struct jwalk *walk, struct jvalue *out);
/* All items as a list. */
struct jvalue jvalue_list(struct jrun *run, struct jvalue over);
/* A generator of the list's items. */
struct jvalue jvalue_iter(struct jrun *run, struct jvalue list, const char *word);

/* Texts in the arena: str() and repr(). */
struct str jvalue_text(struct jrun *run, struct jvalue v);
struct str jvalue_repr(struct jrun *run, struct jvalue v);
struct str jfloat_repr(struct jrun *run, double real);
/* json.dumps; NULL indent: one line. The separators stand between items, and between a key and its value. */
struct jjson {
    bool ascii, sort_keys, indented;
    struct str indent, item_separator, key_separator;
};
struct str jvalue_json(struct jrun *run, struct jvalue v, const struct jjson *options);

#endif

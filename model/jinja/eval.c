/* model/jinja/eval.c - expressions.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "model/jinja/run.h"

/* ---- calls ---- */

static void add_stars(struct jrun *run, const struct jnode *argument, struct jvalue args, struct jvalue *named)
{
    struct jvalue value = jrun_eval(run, argument->a), item;
    bool pairs = strcmp(argument->op, "**") == 0;
    if (pairs && value.kind != J_DICT) {
        jrun_fail(run, "the argument after ** is a %s, not a dict", jvalue_type(value));
    }
    struct jwalk walk = jwalk_open(run, value);
    while (jwalk_next(run, &walk, &item)) {
        if (!pairs) {
            jlist_add(run, args, item);
            continue;
        }
        *named = named->kind == J_DICT ? *named : jdict_new(run, J_DICT);
        if (item.kind != J_STR || jdict_get(run, *named, item)) {
            jrun_fail(run, "an argument is given twice, or its name is no text");
        }
        jdict_set(run, *named, item, *jdict_get(run, value, item));
    }
}

static struct jcall arguments_of(struct jrun *run, const struct jnode *node)
{
    struct jvalue args = jlist_new(run, J_LIST, node->n), named = {.kind = J_MISSING};
    for (int i = 0; i < node->n; i++) {
        const struct jnode *argument = node->kids[i];
        if (argument->kind == NODE_STARS) {
            add_stars(run, argument, args, &named);
        } else if (argument->kind == NODE_NAMED) {
            named = named.kind == J_DICT ? named : jdict_new(run, J_DICT);
            if (jdict_get_text(run, named, argument->name)) {
                jrun_fail(run, "the argument '%.*s' is given twice", (int)argument->name.length, argument->name.data);
            }
            jdict_set(run, named, jvalue_str(argument->name), jrun_eval(run, argument->a));
        } else {
            jlist_add(run, args, jrun_eval(run, argument));
        }
    }
    BUG_ON(args.seq->n > INT32_MAX);
    return (struct jcall){args.seq->items, (int)args.seq->n, named};
}

static struct jvalue eval_call(struct jrun *run, const struct jnode *node)
{
    struct jvalue callee = jrun_eval(run, node->a);
    struct jcall call = arguments_of(run, node);
    run->line = node->line;
    return jvalue_call(run, callee, &call);
}

static struct jvalue eval_function(struct jrun *run, const struct jnode *node, const char *what)
{
    struct jvalue value = jrun_eval(run, node->a);
    struct jcall call = arguments_of(run, node);
    run->line = node->line;
    return jfunction_apply(run, node->function, what, value, &call);
}

/* ---- operators ---- */

static bool compare(struct jrun *run, const char *op, struct jvalue a, struct jvalue b)
{
    bool ordered = true;
    if (op[0] == 'i' || op[0] == 'n') {
        return jvalue_contains(run, b, a) == (op[0] == 'i');
    }
    if (op[0] == '=' || op[0] == '!') {
        return jvalue_equal(run, a, b) == (op[0] == '=');
    }
    int order = jvalue_order(run, a, b, op, &ordered);
    bool fits = op[0] == '<' ? order < 0 : order > 0;
    return ordered && (fits || (op[1] == '=' && order == 0));
}

/* a < b < c: each beside the next, up to the first that is false. */
static struct jvalue eval_comparison(struct jrun *run, const struct jnode *node)
{
    struct jvalue left = jrun_eval(run, node->a);
    for (int i = 0; i < node->n; i++) {
        struct jvalue right = jrun_eval(run, node->kids[i]->a);
        if (!compare(run, node->kids[i]->op, left, right)) {
            return jvalue_bool(false);
        }
        left = right;
    }
    return jvalue_bool(true);
}

static struct jvalue eval_signed(struct jrun *run, const struct jnode *node)
{
    struct jvalue v = jrun_eval(run, node->a);
    if (v.kind == J_FLOAT) {
        return jvalue_float(node->kind == NODE_NEGATIVE ? -v.real : v.real);
    }
    return joperate(run, node->kind == NODE_NEGATIVE ? "-" : "+", jvalue_int(0), v);
}

static struct jvalue eval_concat(struct jrun *run, const struct jnode *node)
{
    struct jbuf out = {0};
    for (int i = 0; i < node->n; i++) {
        jbuf_add(run, &out, jvalue_text(run, jrun_eval(run, node->kids[i])));
    }
    return jvalue_str(jbuf_view(&out));
}

/* ---- displays ---- */

static struct jvalue eval_list(struct jrun *run, const struct jnode *node)
{
    struct jvalue list = jlist_new(run, node->kind == NODE_LIST ? J_LIST : J_TUPLE, node->n);
    for (int i = 0; i < node->n; i++) {
        jlist_add(run, list, jrun_eval(run, node->kids[i]));
    }
    return list;
}

static struct jvalue eval_dict(struct jrun *run, const struct jnode *node)
{
    struct jvalue dict = jdict_new(run, J_DICT);
    for (int i = 0; i < node->n; i += 2) {
        struct jvalue key = jrun_eval(run, node->kids[i]);
        jdict_set(run, dict, key, jrun_eval(run, node->kids[i + 1]));
    }
    return dict;
}

static struct jvalue eval_slice(struct jrun *run, const struct jnode *node)
{
    struct jvalue v = jrun_eval(run, node->a), bounds[3] = {{0}, {0}, {0}};
    for (int i = 0; i < 3; i++) {
        if (node->kids[i]) {
            bounds[i] = jrun_eval(run, node->kids[i]);
        }
    }
    run->line = node->line;
    return jvalue_slice(run, v, bounds);
}

static struct jvalue eval_choice(struct jrun *run, const struct jnode *node)
{
    if (jvalue_truth(run, jrun_eval(run, node->a))) {
        return jrun_eval(run, node->b);
    }
    return node->c
               ? jrun_eval(run, node->c)
               : jvalue_undefined(run, "the inline if-expression evaluated to false and no else section was defined");
}

/* and, or: the value that decides */
static struct jvalue eval_logical(struct jrun *run, const struct jnode *node)
{
    struct jvalue left = jrun_eval(run, node->a);
    return jvalue_truth(run, left) == (node->kind == NODE_AND) ? jrun_eval(run, node->b) : left;
}

static struct jvalue eval_pair(struct jrun *run, const struct jnode *node)
{
    struct jvalue a = jrun_eval(run, node->a), b = jvalue_none();
    if (node->b) {
        b = jrun_eval(run, node->b);
    }
    run->line = node->line;
    if (node->kind == NODE_ATTRIBUTE) {
        return jvalue_attr(run, a, node->name);
    }
    return node->kind == NODE_ITEM ? jvalue_item(run, a, b) : joperate(run, node->op, a, b);
}

static struct jvalue evaluate(struct jrun *run, const struct jnode *node)
{
    switch (node->kind) {
    case NODE_CONSTANT: return node->value;
    case NODE_NAME:
    case NODE_CAPTURED: return jscope_get(run, node->name);
    case NODE_LIST:
    case NODE_TUPLE: return eval_list(run, node);
    case NODE_DICT: return eval_dict(run, node);
    case NODE_ATTRIBUTE:
    case NODE_BINARY:
    case NODE_ITEM: return eval_pair(run, node);
    case NODE_SLICE: return eval_slice(run, node);
    case NODE_CALL: return eval_call(run, node);
    case NODE_FILTERED: return eval_function(run, node, "filter");
    case NODE_TEST: return eval_function(run, node, "test");
    case NODE_NOT: return jvalue_bool(!jvalue_truth(run, jrun_eval(run, node->a)));
    case NODE_NEGATIVE:
    case NODE_POSITIVE: return eval_signed(run, node);
    case NODE_AND:
    case NODE_OR: return eval_logical(run, node);
    case NODE_COMPARE: return eval_comparison(run, node);
    case NODE_CONCAT: return eval_concat(run, node);
    case NODE_CHOICE: return eval_choice(run, node);
    default: jrun_fail(run, "this is no expression");
    }
}

struct jvalue jrun_eval(struct jrun *run, const struct jnode *node)
{
    jrun_spend(run, 1);
    jrun_down(run);
    run->line = node->line;
    struct jvalue value = evaluate(run, node);
    jrun_up(run);
    return value;
}

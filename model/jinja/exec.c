/* model/jinja/exec.c - statements.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "model/jinja/macro.h"

/* The names that a block sets later are empty until then. */
static void hide(struct jrun *run, const struct jnode *names)
{
    for (int i = 0; names && i < names->n; i++) {
        struct str name = names->kids[i]->name;
        int n = (int)(name.length < 100 ? name.length : 100);
        jscope_set(run, run->scope, name, jvalue_undefined(run, "'%.*s' is undefined", n, name.data));
    }
}

/* The name under which the text of a set or filter block waits for its filters; no template can write it. */
#define CAPTURED                                                                                                       \
    (struct str)                                                                                                       \
    {                                                                                                                  \
        "", 0                                                                                                          \
    }

static enum jsignal exec(struct jrun *run, const struct jnode *node);

enum jsignal jrun_exec_body(struct jrun *run, const struct jnode *body)
{
    enum jsignal signal = SIGNAL_NONE;
    hide(run, body->a);
    for (int i = 0; i < body->n && signal == SIGNAL_NONE; i++) {
        jrun_spend(run, 1);
        run->line = body->kids[i]->line;
        signal = exec(run, body->kids[i]);
    }
    return signal;
}

struct str jrun_capture(struct jrun *run, const struct jnode *body, struct jscope *scope)
{
    struct jbuf buf = {0}, *out = run->out;
    struct jscope *outer = run->scope;
    run->out = &buf;
    run->scope = scope;
    jrun_exec_body(run, body);
    run->scope = outer;
    run->out = out;
    return jbuf_view(&buf);
}

/* ---- assignment ---- */

static void assign_attribute(struct jrun *run, const struct jnode *target, struct jvalue value)
{
    struct jvalue object = jscope_get(run, target->a->name);
    if (object.kind != J_NAMESPACE) {
        jrun_fail(run, "cannot assign attribute on non-namespace object");
    }
    jdict_set(run, object, jvalue_str(target->name), value);
}

void jrun_assign(struct jrun *run, const struct jnode *target, struct jvalue value)
{
    run->line = target->line;
    if (target->kind == NODE_NAME) {
        jscope_set(run, run->scope, target->name, value);
        return;
    }
    if (target->kind == NODE_ATTRIBUTE_TARGET) {
        assign_attribute(run, target, value);
        return;
    }
    struct jvalue list = jvalue_list(run, value);
    if (list.seq->n != target->n) {
        jrun_fail(run, "%lld values for %d names", (long long)list.seq->n, target->n);
    }
    for (int i = 0; i < target->n; i++) {
        jrun_assign(run, target->kids[i], list.seq->items[i]);
    }
}

/* The output of the body, through the filters, which see the body's variables. */
static struct jvalue filtered_body(struct jrun *run, const struct jnode *node)
{
    struct jscope *outer = run->scope, *scope = jscope_new(run, outer);
    jscope_set(run, scope, CAPTURED, jvalue_str(jrun_capture(run, node->c, scope)));
    run->scope = scope;
    struct jvalue text = jrun_eval(run, node->b);
    run->scope = outer;
    return text;
}

/* ---- the others ---- */

/* A generation block is a call block of transformers' own, and has the variables of one. */
static struct str exec_generation(struct jrun *run, const struct jnode *node)
{
    struct jscope *scope = jscope_new(run, run->scope);
    jscope_set(run, scope, STR("kwargs"), jdict_new(run, J_DICT));
    jscope_set(run, scope, STR("varargs"), jlist_new(run, J_TUPLE, 0));
    return jrun_capture(run, node->c, scope);
}

static void exec_with(struct jrun *run, const struct jnode *node)
{
    struct jscope *outer = run->scope, *inner = jscope_new(run, outer);
    for (int i = 0; i < node->n; i += 2) {
        struct jvalue value = jrun_eval(run, node->kids[i + 1]); /* sees none of its neighbours */
        run->scope = inner;
        jrun_assign(run, node->kids[i], value);
        run->scope = outer;
    }
    run->scope = inner;
    jrun_exec_body(run, node->c);
    run->scope = outer;
}

static enum jsignal exec_if(struct jrun *run, const struct jnode *node)
{
    while (node && node->kind == NODE_IF) {
        if (jvalue_truth(run, jrun_eval(run, node->a))) {
            return jrun_exec_body(run, node->b);
        }
        node = node->c;
    }
    return node ? jrun_exec_body(run, node) : SIGNAL_NONE;
}

static enum jsignal execute(struct jrun *run, const struct jnode *node)
{
    switch (node->kind) {
    case NODE_BODY: return jrun_exec_body(run, node);
    case NODE_DATA: jbuf_add(run, run->out, node->value.text); break;
    case NODE_OUTPUT: jbuf_add(run, run->out, jvalue_text(run, jrun_eval(run, node->a))); break;
    case NODE_IF: return exec_if(run, node);
    case NODE_FOR: jrun_for(run, node); break;
    case NODE_SET: jrun_assign(run, node->a, jrun_eval(run, node->b)); break;
    case NODE_SET_BLOCK: jrun_assign(run, node->a, filtered_body(run, node)); break;
    case NODE_FILTER: jbuf_add(run, run->out, jvalue_text(run, filtered_body(run, node))); break;
    case NODE_MACRO: jscope_set(run, run->scope, node->name, jmacro_new(run, node)); break;
    case NODE_CALL_BLOCK: jbuf_add(run, run->out, jvalue_text(run, jmacro_call_block(run, node))); break;
    case NODE_WITH: exec_with(run, node); break;
    case NODE_SCOPE: jbuf_add(run, run->out, exec_generation(run, node)); break;
    case NODE_BREAK: return SIGNAL_BREAK;
    case NODE_CONTINUE: return SIGNAL_CONTINUE;
    default: jrun_fail(run, "this is no statement");
    }
    return SIGNAL_NONE;
}

static enum jsignal exec(struct jrun *run, const struct jnode *node)
{
    jrun_down(run);
    enum jsignal signal = execute(run, node);
    jrun_up(run);
    return signal;
}

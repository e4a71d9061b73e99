/* model/jinja/macro.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/jinja/macro.h"

struct jmacro {
    const struct jnode *node;
    struct jscope *scope;
};

struct jvalue jmacro_new(struct jrun *run, const struct jnode *node)
{
    struct jmacro *macro = jrun_alloc(run, sizeof *macro);
    *macro = (struct jmacro){node, run->scope};
    return (struct jvalue){.kind = J_MACRO, .macro = macro};
}

/* The parameters that are neither given by place nor by name have their default, which sees those before it. Takes what it
 * uses out of `named`. */
static void set_parameters(struct jrun *run, const struct jnode *node, const struct jcall *call, struct jvalue named)
{
    struct str caller = STR("caller");
    for (int i = 0; i < node->n; i++) {
        const struct jnode *parameter = node->kids[i];
        struct str name = parameter->name;
        const struct jvalue *by_name = i < call->n ? NULL : jdict_get_text(run, named, name);
        struct jvalue value = i < call->n ? call->args[i]
                              : by_name   ? *by_name
                              : parameter->a
                                  ? jrun_eval(run, parameter->a)
                                  : jvalue_undefined(run, "parameter '%.*s' was not provided",
                                                     (int)(name.length < 100 ? name.length : 100), name.data);
        jscope_set(run, run->scope, name, value);
    }
    if (node->uses_caller) {
        const struct jvalue *given = jdict_get_text(run, named, caller);
        jscope_set(run, run->scope, caller, given ? *given : jvalue_undefined(run, "No caller defined"));
    }
}

static bool takes(const struct jnode *node, const struct jcall *call, struct str name)
{
    for (int i = call->n; i < node->n; i++) {
        if (str_equal(node->kids[i]->name, name)) {
            return true;
        }
    }
    return node->uses_caller && str_equal(name, STR("caller"));
}

/* What no parameter takes: in `varargs` and `kwargs`, or an error. */
static void set_others(struct jrun *run, const struct jnode *node, const struct jcall *call, struct jvalue named)
{
    struct jvalue places = jlist_new(run, J_TUPLE, 0), names = jdict_new(run, J_DICT);
    int n_name = (int)(node->name.length < 60 ? node->name.length : 60);
    for (int i = node->n; i < call->n; i++) {
        jlist_add(run, places, call->args[i]);
    }
    for (int64_t i = 0; i < named.dict->n; i++) {
        if (!takes(node, call, named.dict->pairs[i].key.text)) {
            jdict_set(run, names, named.dict->pairs[i].key, named.dict->pairs[i].value);
        }
    }
    if (names.dict->n && !node->uses_kwargs) {
        struct str name = names.dict->pairs[0].key.text;
        jrun_fail(run, "macro '%.*s' takes no keyword argument '%.*s'", n_name, node->name.data,
                  (int)(name.length < 60 ? name.length : 60), name.data);
    }
    if (places.seq->n && !node->uses_varargs) {
        jrun_fail(run, "macro '%.*s' takes not more than %d argument(s)", n_name, node->name.data, node->n);
    }
    if (node->uses_kwargs) {
        jscope_set(run, run->scope, STR("kwargs"), names);
    }
    if (node->uses_varargs) {
        jscope_set(run, run->scope, STR("varargs"), places);
    }
}

struct jvalue jmacro_call(struct jrun *run, struct jmacro *macro, const struct jcall *call)
{
    struct jscope *outer = run->scope;
    struct jvalue named = call->named.kind == J_DICT ? call->named : jdict_new(run, J_DICT);
    jrun_down(run);
    run->scope = jscope_new(run, macro->scope);
    set_others(run, macro->node, call, named);
    set_parameters(run, macro->node, call, named);
    struct str text = jrun_capture(run, macro->node->c, run->scope);
    run->scope = outer;
    jrun_up(run);
    return jvalue_str(text);
}

struct jvalue jmacro_call_block(struct jrun *run, const struct jnode *node)
{
    struct jnode call = *node->a, caller = {.kind = NODE_NAMED, .line = node->line, .name = STR("caller")};
    struct jnode constant = {.kind = NODE_CONSTANT, .line = node->line, .value = jmacro_new(run, node->b)};
    caller.a = &constant;
    call.kids = jrun_alloc(run, sizeof(struct jnode *) * (size_t)(call.n + 1));
    for (int i = 0; i < call.n; i++) {
        call.kids[i] = node->a->kids[i];
    }
    call.kids[call.n++] = &caller;
    return jrun_eval(run, &call);
}

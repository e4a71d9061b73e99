/* model/jinja/call.c - arguments put in order, and whatever can be called.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "model/jinja/run.h"

/* The place of a name in "a b c"; -1: it is not there */
static int place_of(const char *signature, struct str name)
{
    int place = 0;
    for (const char *at = signature; *at; place++) {
        size_t n = strcspn(at, " ");
        if (str_equal((struct str){at, n}, name)) {
            return place;
        }
        at += n + (at[n] == ' ');
    }
    return -1;
}

static int count_names(const char *signature)
{
    int n = 0;
    for (const char *at = signature; *at; n++) {
        at += strcspn(at, " ");
        at += *at == ' ';
    }
    return n;
}

void jcall_bind(struct jrun *run, const char *what, const char *signature, int least, const struct jcall *call,
                struct jvalue *out)
{
    bool by_place_only = signature[0] == '/';
    signature += by_place_only;
    int n = count_names(signature);
    BUG_ON(n > JINJA_MOST_PARAMETERS || least > n);
    if (call->n > n) {
        jrun_fail(run, "%s takes at most %d arguments, not %d", what, n, call->n);
    }
    for (int i = 0; i < n; i++) {
        out[i] = i < call->n ? call->args[i] : (struct jvalue){.kind = J_MISSING};
    }
    for (int64_t i = 0; call->named.kind == J_DICT && i < call->named.dict->n; i++) {
        const struct jpair *pair = &call->named.dict->pairs[i];
        int place = by_place_only ? -1 : place_of(signature, pair->key.text);
        if (place < 0 || out[place].kind != J_MISSING) {
            jrun_fail(run, "%s does not take the argument '%.*s'%s", what, (int)pair->key.text.length,
                      pair->key.text.data, place < 0 ? "" : " twice");
        }
        out[place] = pair->value;
    }
    for (int i = 0; i < least; i++) {
        if (out[i].kind == J_MISSING) {
            jrun_fail(run, "%s needs %d argument%s", what, least, least == 1 ? "" : "s");
        }
    }
}

/* `self` is the value of a filter, a test or a method, and goes in front of the arguments; J_MISSING for functions. */
struct jvalue jfunction_apply(struct jrun *run, const struct jfunction *function, const char *what, struct jvalue self,
                              const struct jcall *call)
{
    struct jvalue args[JINJA_MOST_PARAMETERS + 1] = {self};
    char name[80];
    snprintf(name, sizeof name, "%s '%s'", what, function->name);
    jrun_down(run);
    if (function->signature) {
        jcall_bind(run, name, function->signature, function->least, call, args + 1);
    }
    struct jvalue result = function->run(run, args, call);
    jrun_up(run);
    return result;
}

struct jvalue jvalue_call(struct jrun *run, struct jvalue callee, const struct jcall *call)
{
    struct jvalue arg;
    switch (callee.kind) {
    case J_FUNCTION: return jfunction_apply(run, callee.function, "function", (struct jvalue){.kind = J_MISSING}, call);
    case J_METHOD: return jfunction_apply(run, callee.bound->function, "method", callee.bound->self, call);
    case J_MACRO: return jmacro_call(run, callee.macro, call);
    case J_LOOP: jcall_bind(run, "loop", "/iterable", 1, call, &arg); return jloop_recurse(run, callee.loop, arg);
    case J_JOINER:
        jcall_bind(run, "joiner", "/", 0, call, &arg);
        arg = jvalue_str(callee.joiner->used ? callee.joiner->separator : (struct str){"", 0});
        callee.joiner->used = true;
        return arg;
    case J_UNDEFINED: jrun_fail(run, "%.*s", (int)callee.text.length, callee.text.data);
    default: jrun_fail(run, "a %s cannot be called", jvalue_type(callee));
    }
}

/* model/jinja/loop.c - for, and the variable `loop`.
 *
 * Items are taken one by one, and the test of a loop sees each when it is taken: what the body changes in a namespace counts
 * for the next item, and loop.last looks one item ahead.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "model/jinja/run.h"

struct jloop {
    const struct jnode *node;
    struct jscope *outer; /* where the loop stands */
    struct jwalk walk;
    struct jvalue over;
    int64_t index0, depth0, length;       /* length -1: not known yet */
    struct jvalue before, current, after; /* J_MISSING: none */
    struct jvalue changed;                /* the arguments of the last loop.changed() */
};

/* The next item that passes the loop's test. */
static bool take(struct jrun *run, struct jloop *loop, struct jvalue *out)
{
    struct jscope *scope = run->scope;
    bool found = false;
    while (!found && jwalk_next(run, &loop->walk, out)) {
        found = true;
        if (loop->node->c) {
            run->scope = jscope_new(run, loop->outer);
            jrun_assign(run, loop->node->a, *out);
            found = jvalue_truth(run, jrun_eval(run, loop->node->c));
            run->scope = scope;
        }
    }
    return found;
}

static bool advance(struct jrun *run, struct jloop *loop)
{
    struct jvalue next = loop->after;
    loop->after = (struct jvalue){.kind = J_MISSING};
    if (next.kind == J_MISSING && !take(run, loop, &next)) {
        return false;
    }
    loop->index0++;
    loop->before = loop->current;
    loop->current = next;
    return true;
}

static struct jvalue peek(struct jrun *run, struct jloop *loop)
{
    if (loop->after.kind == J_MISSING && !take(run, loop, &loop->after)) {
        loop->after = (struct jvalue){.kind = J_MISSING};
    }
    return loop->after;
}

/* Of what has no length of its own, the rest is taken now. */
static int64_t length_of(struct jrun *run, struct jloop *loop)
{
    if (loop->length < 0 && !loop->node->c && jvalue_has_length(loop->over)) {
        loop->length = jvalue_length(run, loop->over);
    }
    if (loop->length < 0) {
        struct jvalue rest = jlist_new(run, J_LIST, 0), item;
        while (take(run, loop, &item)) {
            jlist_add(run, rest, item);
        }
        loop->length = rest.seq->n + loop->index0 + 1 + (loop->after.kind != J_MISSING);
        struct jnode *plain = jrun_alloc(run, sizeof *plain); /* they have passed the test */
        *plain = *loop->node;
        plain->c = NULL;
        loop->node = plain;
        loop->walk = jwalk_open(run, rest);
    }
    return loop->length;
}

/* The body for each item; returns whether it came to its end for one: Jinja takes the else of a loop if it did not. */
static bool run_loop(struct jrun *run, struct jloop *loop)
{
    const struct jnode *body = loop->node->kids[0];
    struct jvalue self = {.kind = J_LOOP, .loop = loop};
    struct jscope *scope = run->scope;
    bool any = false;
    while (advance(run, loop)) {
        run->scope = jscope_new(run, loop->outer);
        jscope_set(run, run->scope, STR("loop"), self);
        jrun_assign(run, loop->node->a, loop->current);
        enum jsignal signal = jrun_exec_body(run, body);
        any |= signal == SIGNAL_NONE;
        if (signal == SIGNAL_BREAK) {
            break;
        }
    }
    run->scope = scope;
    return any;
}

static void run_all(struct jrun *run, const struct jnode *node, struct jscope *outer, struct jvalue over, int64_t depth)
{
    struct jloop *loop = jrun_alloc(run, sizeof *loop);
    struct jscope *scope = run->scope;
    *loop = (struct jloop){.node = node, .outer = outer, .over = over, .index0 = -1, .depth0 = depth, .length = -1};
    loop->walk = jwalk_open(run, over);
    if (!run_loop(run, loop) && node->kids[1]) {
        run->scope = jscope_new(run, outer);
        jrun_exec_body(run, node->kids[1]);
        run->scope = scope;
    }
}

void jrun_for(struct jrun *run, const struct jnode *node)
{
    struct jvalue over = jrun_eval(run, node->b);
    run_all(run, node, run->scope, over, 0);
}

struct jvalue jloop_recurse(struct jrun *run, struct jloop *loop, struct jvalue over)
{
    struct jbuf buf = {0}, *out = run->out;
    if (!loop->node->recursive) {
        jrun_fail(run, "the loop must have the 'recursive' marker to be called recursively");
    }
    jrun_down(run);
    run->out = &buf;
    run_all(run, loop->node, loop->outer, over, loop->depth0 + 1);
    run->out = out;
    jrun_up(run);
    return jvalue_str(jbuf_view(&buf));
}

/* ---- attributes ---- */

static struct jvalue cycle(struct jrun *run, const struct jvalue *args, const struct jcall *call)
{
    if (call->n == 0) {
        jrun_fail(run, "no items for cycling given");
    }
    return call->args[args[0].loop->index0 % call->n];
}

static struct jvalue changed(struct jrun *run, const struct jvalue *args, const struct jcall *call)
{
    struct jloop *loop = args[0].loop;
    struct jvalue now = jlist_new(run, J_TUPLE, call->n);
    for (int i = 0; i < call->n; i++) {
        jlist_add(run, now, call->args[i]);
    }
    bool differs = loop->changed.kind == J_MISSING || !jvalue_equal(run, loop->changed, now);
    loop->changed = now;
    return jvalue_bool(differs);
}

static struct jvalue bind(struct jrun *run, struct jloop *loop, const struct jfunction *function)
{
    struct jmethod *method = jrun_alloc(run, sizeof *method);
    *method = (struct jmethod){{.kind = J_LOOP, .loop = loop}, function};
    return (struct jvalue){.kind = J_METHOD, .bound = method};
}

struct jvalue jloop_attr(struct jrun *run, struct jloop *loop, struct str name)
{
    static const struct jfunction methods[] = {{"cycle", NULL, 0, cycle}, {"changed", NULL, 0, changed}};
    static const char *const numbers[] = {"index", "index0", "depth", "depth0", "length", "revindex", "revindex0"};
    struct jvalue item;
    for (int i = 0; i < 2; i++) {
        if (str_equal(name, str_of(methods[i].name))) {
            return bind(run, loop, &methods[i]);
        }
    }
    for (int i = 0; i < 7; i++) {
        if (str_equal(name, str_of(numbers[i]))) {
            int64_t length = i >= 4 ? length_of(run, loop) : 0;
            const int64_t values[] = {loop->index0 + 1, loop->index0,          loop->depth0 + 1,         loop->depth0,
                                      length,           length - loop->index0, length - loop->index0 - 1};
            return jvalue_int(values[i]);
        }
    }
    if (str_equal(name, STR("first"))) {
        return jvalue_bool(loop->index0 == 0);
    }
    if (str_equal(name, STR("last"))) {
        return jvalue_bool(peek(run, loop).kind == J_MISSING);
    }
    if (str_equal(name, STR("previtem"))) {
        return loop->index0 > 0 ? loop->before : jvalue_undefined(run, "there is no previous item");
    }
    if (str_equal(name, STR("nextitem"))) {
        item = peek(run, loop);
        return item.kind != J_MISSING ? item : jvalue_undefined(run, "there is no next item");
    }
    return (struct jvalue){.kind = J_MISSING};
}

/* model/jinja/names.c - which variables a block hides before it sets them.
 *
 * Jinja gives each block (template, loop body, macro, ...) one slot for a name that it sets. If the first thing that the block
 * itself does with the name is to set it, and no block around it has the name, the slot is empty until then, so that inner
 * blocks that run before see nothing, not even a variable of the call. A name that is set in a branch of an if only, or read
 * first, is looked up outside as usual.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "model/jinja/run.h"

enum { MOST_COMPARISONS = 100000000 };

/* A block while it is looked at. */
struct frame {
    struct frame *outer;
    struct jnode *names; /* NODE_NAME kids: all names that the block itself reads or sets */
    struct jnode *body;  /* gets the hidden names */
};

struct walk {
    struct jparser *p;
    struct frame *frame;
    int64_t comparisons;
    bool conditional; /* in a branch */
};

static bool knows(struct walk *w, const struct frame *frame, struct str name)
{
    w->comparisons += frame->names->n;
    if (w->comparisons > MOST_COMPARISONS) {
        jparse_fail(w->p, frame->body->line, "the template has too many names");
    }
    for (int i = 0; i < frame->names->n; i++) {
        if (str_equal(frame->names->kids[i]->name, name)) {
            return true;
        }
    }
    return false;
}

static bool known_outside(struct walk *w, struct str name)
{
    for (const struct frame *frame = w->frame->outer; frame; frame = frame->outer) {
        if (knows(w, frame, name)) {
            return true;
        }
    }
    return false;
}

static void add(struct walk *w, struct jnode *list, struct str name)
{
    struct jnode *node = jnode_new(w->p, NODE_NAME, 0);
    node->name = name;
    jnode_add(w->p, list, node);
}

static void meet(struct walk *w, struct str name, bool set)
{
    if (knows(w, w->frame, name)) {
        return;
    }
    if (set && !w->conditional && !known_outside(w, name)) {
        struct jnode *body = w->frame->body;
        body->a = body->a ? body->a : jnode_new(w->p, NODE_TUPLE, body->line);
        add(w, body->a, name);
    }
    if (set || !known_outside(w, name)) {
        add(w, w->frame->names, name);
    }
}

/* All names of an expression are read. */
static void read_all(struct walk *w, const struct jnode *node)
{
    if (!node) {
        return;
    }
    jparse_down(w->p);
    if (node->kind == NODE_NAME) {
        meet(w, node->name, false);
    }
    read_all(w, node->a);
    read_all(w, node->b);
    read_all(w, node->c);
    for (int i = 0; i < node->n; i++) {
        read_all(w, node->kids[i]);
    }
    w->p->depth--;
}

static void set_target(struct walk *w, const struct jnode *target)
{
    if (target->kind == NODE_NAME) {
        meet(w, target->name, true);
    } else if (target->kind == NODE_ATTRIBUTE_TARGET) {
        read_all(w, target->a);
    }
    for (int i = 0; i < target->n; i++) {
        set_target(w, target->kids[i]);
    }
}

/* ---- what a block does itself ---- */

static void look_at_body(struct walk *w, const struct jnode *body);

static void look_at_if(struct walk *w, const struct jnode *node)
{
    bool conditional = w->conditional;
    for (; node && node->kind == NODE_IF; node = node->c) {
        read_all(w, node->a);
        w->conditional = true;
        look_at_body(w, node->b);
    }
    if (node) {
        look_at_body(w, node);
    }
    w->conditional = conditional;
}

static void look_at(struct walk *w, const struct jnode *node)
{
    switch (node->kind) {
    case NODE_BODY: look_at_body(w, node); break;
    case NODE_OUTPUT: read_all(w, node->a); break;
    case NODE_IF: look_at_if(w, node); break;
    case NODE_FOR:
    case NODE_FILTER: read_all(w, node->b); break;
    case NODE_SET:
        read_all(w, node->b);
        set_target(w, node->a);
        break;
    case NODE_SET_BLOCK: set_target(w, node->a); break;
    case NODE_MACRO: meet(w, node->name, true); break;
    case NODE_CALL_BLOCK: read_all(w, node->a); break;
    case NODE_WITH:
        for (int i = 1; i < node->n; i += 2) {
            read_all(w, node->kids[i]);
        }
        break;
    default: break;
    }
}

static void look_at_body(struct walk *w, const struct jnode *body)
{
    jparse_down(w->p);
    for (int i = 0; i < body->n; i++) {
        look_at(w, body->kids[i]);
    }
    w->p->depth--;
}

/* ---- its inner blocks ---- */

static void enter_all(struct walk *w, const struct jnode *body);

/* A block with names that are set as it begins: parameters, or targets, which are each `step`-th of n. */
static void enter(struct walk *w, struct jnode *body, const struct jnode *const *targets, int n, int step)
{
    bool conditional = w->conditional;
    struct frame frame = {w->frame, jnode_new(w->p, NODE_TUPLE, body->line), body};
    w->frame = &frame;
    w->conditional = true; /* nothing that is given is hidden */
    for (int i = 0; i < n; i += step) {
        set_target(w, targets[i]);
    }
    w->conditional = false;
    look_at_body(w, body);
    enter_all(w, body);
    w->frame = frame.outer;
    w->conditional = conditional;
}

static void enter_inner(struct walk *w, const struct jnode *node)
{
    const struct jnode *const *kids = (const struct jnode *const *)node->kids, *target = node->a;
    const struct jnode *macro = node->kind == NODE_CALL_BLOCK ? node->b : node;
    switch (node->kind) {
    case NODE_BODY: enter_all(w, node); break;
    case NODE_IF:
        for (; node && node->kind == NODE_IF; node = node->c) {
            enter_all(w, node->b);
        }
        if (node) {
            enter_all(w, node);
        }
        break;
    case NODE_FOR:
        enter(w, node->kids[0], &target, 1, 1);
        if (node->kids[1]) {
            enter(w, node->kids[1], NULL, 0, 1);
        }
        break;
    case NODE_SET_BLOCK:
    case NODE_FILTER:
    case NODE_SCOPE: enter(w, node->c, NULL, 0, 1); break;
    case NODE_WITH: enter(w, node->c, kids, node->n, 2); break;
    case NODE_MACRO:
    case NODE_CALL_BLOCK: enter(w, macro->c, (const struct jnode *const *)macro->kids, macro->n, 1); break;
    default: break;
    }
}

static void enter_all(struct walk *w, const struct jnode *body)
{
    jparse_down(w->p);
    for (int i = 0; i < body->n; i++) {
        enter_inner(w, body->kids[i]);
    }
    w->p->depth--;
}

void jparse_names(struct jparser *p, struct jnode *template)
{
    struct walk w = {.p = p};
    enter(&w, template, NULL, 0, 1);
}

/* model/jinja/run.h - a rendering under way: its memory, its limits, its variables, and the way out of an error.
 *
 * Everything that a rendering makes is in one arena, which is given back as a whole. So an error needs no unwinding: jrun_fail
 * sets the sentence and jumps to jinja_render, from any depth. The interpreter calls nothing that holds other resources.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_JINJA_RUN_H
#define MODEL_JINJA_RUN_H

#include <setjmp.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/jinja/node.h"
#include "model/jinja/value.h"

/* Hostile templates end here and not in a full memory; real ones need less than a thousandth. */
#define JINJA_MOST_STEPS 20000000            /* nodes evaluated, items walked, 16 bytes of text looked at */
#define JINJA_MOST_DEPTH 800                 /* of evaluation, data or expression */
#define JINJA_MOST_BYTES ((size_t)256 << 20) /* of memory */
#define JINJA_MOST_TEXT  ((size_t)16 << 20)  /* of one text, and of the result */
#define JINJA_MOST_RANGE 100000              /* as Jinja's sandbox has it */

/* Bytes that grow in the arena. */
struct jbuf {
    char *data;
    size_t n, capacity;
};

struct jvar {
    struct jvar *next;
    struct str name;
    struct jvalue value;
};

/* The variables of one block; reading looks outwards, writing does not. */
struct jscope {
    struct jscope *outer;
    struct jvar *vars;
};

struct jrun {
    struct arena arena;
    char *spare; /* of the arena, for small pieces */
    size_t n_spare;
    int64_t steps;
    int depth;
    int line;              /* of the node that is evaluated */
    double now;            /* what strftime_now says, in seconds since 1970 */
    struct jvalue context; /* a dict: the variables of the call */
    struct jscope *scope;
    struct jbuf *out;
    jmp_buf failed;
    enum err code;
};

void jrun_fail(struct jrun *run, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
void jrun_limit(struct jrun *run, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
void jrun_spend(struct jrun *run, int64_t steps); /* fails when they are used up */
void jrun_down(struct jrun *run);                 /* one level deeper; jrun_up takes it back */
void jrun_up(struct jrun *run);
void *jrun_alloc(struct jrun *run, size_t bytes); /* zeroed, aligned to 16 bytes */
struct str jrun_copy(struct jrun *run, struct str text);

void jbuf_add(struct jrun *run, struct jbuf *buf, struct str text);
void jbuf_puts(struct jrun *run, struct jbuf *buf, const char *text);
void jbuf_putc(struct jrun *run, struct jbuf *buf, char c);
void jbuf_fill(struct jrun *run, struct jbuf *buf, struct str text, int64_t times);
void jbuf_printf(struct jrun *run, struct jbuf *buf, const char *format, ...) __attribute__((format(printf, 3, 4)));
void jbuf_put_utf8(struct jrun *run, struct jbuf *buf, uint32_t code_point);
struct str jbuf_view(const struct jbuf *buf);

/* ---- variables ---- */

struct jscope *jscope_new(struct jrun *run, struct jscope *outer);
void jscope_set(struct jrun *run, struct jscope *scope, struct str name, struct jvalue value);
struct jvalue jscope_get(struct jrun *run, struct str name); /* from run->scope outwards, the context, the globals */

/* ---- calls ---- */

/* Arguments as they are given. */
struct jcall {
    const struct jvalue *args;
    int n;
    struct jvalue named; /* a dict; J_MISSING: none */
};

/* The arguments in the order of a signature, "sep maxsplit": *out has one for each name, J_MISSING where none is given. The
 * first `least` must be given; a signature that begins with '/' takes none by name. `what` is for the sentence. */
enum { JINJA_MOST_PARAMETERS = 8 };
void jcall_bind(struct jrun *run, const char *what, const char *signature, int least, const struct jcall *call,
                struct jvalue *out);

/* A filter: args[0] is the value. A NULL signature: it reads the call itself. The same for tests, functions and methods. */
struct jfunction {
    const char *name;
    const char *signature;
    int least;
    struct jvalue (*run)(struct jrun *run, const struct jvalue *args, const struct jcall *call);
};

struct jmethod {
    struct jvalue self;
    const struct jfunction *function;
};

const struct jfunction *jfilter_find(struct str name); /* NULL: there is none */
const struct jfunction *jtest_find(struct str name);
const struct jfunction *jglobal_find(struct str name);
const struct jfunction *jmethod_find(enum jkind kind, struct str name);
struct jvalue jfunction_apply(struct jrun *run, const struct jfunction *function, const char *what, struct jvalue self,
                              const struct jcall *call);
struct jvalue jvalue_call(struct jrun *run, struct jvalue callee, const struct jcall *call);
struct jvalue jmacro_call(struct jrun *run, struct jmacro *macro, const struct jcall *call);

/* ---- operations ---- */

struct jvalue jrun_eval(struct jrun *run, const struct jnode *node);
/* The output of a body that is run in that scope, as a text. */
struct str jrun_capture(struct jrun *run, const struct jnode *body, struct jscope *scope);
enum jsignal { SIGNAL_NONE, SIGNAL_BREAK, SIGNAL_CONTINUE };
enum jsignal jrun_exec_body(struct jrun *run, const struct jnode *body);
void jrun_for(struct jrun *run, const struct jnode *node);
struct jvalue jloop_recurse(struct jrun *run, struct jloop *loop, struct jvalue over);
struct jvalue jloop_attr(struct jrun *run, struct jloop *loop, struct str name);
void jrun_assign(struct jrun *run, const struct jnode *target, struct jvalue value);

struct jvalue joperate(struct jrun *run, const char *op, struct jvalue a, struct jvalue b); /* + - * / // % ** */
struct jvalue jvalue_attr(struct jrun *run, struct jvalue v, struct str name);              /* v.name */
struct jvalue jvalue_item(struct jrun *run, struct jvalue v, struct jvalue key);            /* v[key] */
struct jvalue jvalue_slice(struct jrun *run, struct jvalue v, const struct jvalue bounds[3]);
/* "a.b.0" as filters take it (make_attrgetter). */
struct jvalue jvalue_path(struct jrun *run, struct jvalue v, struct jvalue path);

struct jvalue jformat_percent(struct jrun *run, struct str format, struct jvalue args);
struct jvalue jformat_braces(struct jrun *run, struct str format, const struct jcall *call);
struct jvalue jstrftime(struct jrun *run, struct str format);

#endif

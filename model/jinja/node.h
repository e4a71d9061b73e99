/* model/jinja/node.h - a template as a tree, and the way there from its text.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_JINJA_NODE_H
#define MODEL_JINJA_NODE_H

#include <setjmp.h>

#include "base/arena.h"
#include "model/jinja/value.h"

/* ---- tokens ---- */

enum jtoken_kind {
    TOKEN_EOF,
    TOKEN_DATA, /* text between tags, trimmed as the tags ask */
    TOKEN_VARIABLE_BEGIN,
    TOKEN_VARIABLE_END,
    TOKEN_BLOCK_BEGIN,
    TOKEN_BLOCK_END,
    TOKEN_WORD,
    TOKEN_STRING, /* text: without quotes and escapes */
    TOKEN_INTEGER,
    TOKEN_FLOAT,
    TOKEN_OPERATOR,
};

struct jtoken {
    enum jtoken_kind kind;
    int line;
    struct str text;
    int64_t integer;
    double real;
};

/* ---- the tree ---- */

enum jnode_kind {
    /* statements; a body is a NODE_BODY */
    NODE_BODY,       /* kids; a: a list of the names that it hides (names.c), or NULL */
    NODE_DATA,       /* value */
    NODE_OUTPUT,     /* a */
    NODE_IF,         /* a: test, b: body, c: what follows else or elif, or NULL */
    NODE_FOR,        /* a: target, b: iterable, c: test or NULL, kids: body and else body or NULL; recursive */
    NODE_SET,        /* a: target, b: value */
    NODE_SET_BLOCK,  /* a: target, b: filters around NODE_CAPTURED, c: body */
    NODE_FILTER,     /* b, c as above */
    NODE_MACRO,      /* name, parameters (kids; a default in a), c: body */
    NODE_CALL_BLOCK, /* a: the call, b: the caller, a NODE_MACRO */
    NODE_WITH,       /* kids: targets and values in turn, c: body */
    NODE_SCOPE,      /* c: body: a generation block */
    NODE_BREAK,
    NODE_CONTINUE,
    /* expressions */
    NODE_CONSTANT,         /* value */
    NODE_NAME,             /* name */
    NODE_ATTRIBUTE_TARGET, /* name.attribute on the left of = ; a NODE_NAME is in a */
    NODE_LIST,             /* kids */
    NODE_TUPLE,
    NODE_DICT,      /* kids: keys and values in turn */
    NODE_ATTRIBUTE, /* a.name */
    NODE_ITEM,      /* a[b] */
    NODE_SLICE,     /* a[kids 0 : 1 : 2], each may be NULL */
    NODE_CALL,      /* a(kids) */
    NODE_FILTERED,  /* a | name(kids) */
    NODE_TEST,      /* a is name(kids) */
    NODE_NOT,
    NODE_NEGATIVE,
    NODE_POSITIVE,
    NODE_AND,
    NODE_OR,
    NODE_COMPARE,  /* a op kids[0] op kids[1] ...; the operators are the kids' `op` */
    NODE_BINARY,   /* a op b */
    NODE_CONCAT,   /* kids */
    NODE_CHOICE,   /* b if a else c, which may be NULL */
    NODE_CAPTURED, /* the text of a set or filter block */
    NODE_OPERAND,  /* of NODE_COMPARE: op and a */
    NODE_NAMED,    /* an argument name=a */
    NODE_STARS,    /* an argument *a or **a (op) */
};

struct jnode {
    enum jnode_kind kind;
    int line;
    bool recursive;
    bool uses_caller, uses_varargs, uses_kwargs; /* NODE_MACRO */
    const char *op;
    struct str name;
    struct jvalue value;
    const struct jfunction *function; /* NODE_FILTERED, NODE_TEST */
    struct jnode *a, *b, *c;
    struct jnode **kids;
    int n, capacity;
};

/* ---- parsing ---- */

/* Reading leaves an error through `failed`, like a rendering; all is in the template's arena. */
struct jparser {
    struct arena *arena;
    struct str source;
    size_t at;
    int line; /* of `at` */
    struct jtoken *tokens;
    int n_tokens, capacity, next;
    int depth, loops;
    bool says_caller, says_varargs, says_kwargs; /* names met since the start of a macro */
    jmp_buf failed;
};

void jparse_fail(struct jparser *p, int line, const char *format, ...) __attribute__((format(printf, 3, 4), noreturn));
void jlex(struct jparser *p);                                 /* all tokens of the source */
struct jnode *jparse_template(struct jparser *p);             /* of the tokens: a NODE_BODY */
void jparse_names(struct jparser *p, struct jnode *template); /* finds what blocks hide */

/* For parse.c and parse_expression.c. */
struct jnode *jnode_new(struct jparser *p, enum jnode_kind kind, int line);
void jnode_add(struct jparser *p, struct jnode *parent, struct jnode *kid);
const struct jtoken *jparse_token(const struct jparser *p); /* the next one */
bool jparse_is(const struct jparser *p, enum jtoken_kind kind, const char *text);
bool jparse_skip(struct jparser *p, enum jtoken_kind kind, const char *text); /* takes it if it is there */
void jparse_expect(struct jparser *p, enum jtoken_kind kind, const char *text);
struct str jparse_word(struct jparser *p);
void jparse_down(struct jparser *p);
void jparse_unexpected(struct jparser *p, const char *wanted) __attribute__((noreturn));
struct jnode *jparse_expression(struct jparser *p);
/* Expressions with commas between them are a tuple. `end`: a word that ends it, or NULL. */
struct jnode *jparse_tuple(struct jparser *p, bool choice, const char *end);
struct jnode *jparse_target(struct jparser *p, const char *end, bool attributes);
struct jnode *jparse_filters(struct jparser *p, struct jnode *node, bool first_is_name);
struct jnode *jparse_postfix(struct jparser *p, struct jnode *node);

#endif

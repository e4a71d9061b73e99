/* reward/math/node.h - an answer as a tree.
 *
 * Nodes are in the arena of the check and are never changed once built; trees may share parts. A tree has at most
 * MATH_MAX_NODES nodes and MATH_MAX_DEPTH brackets in brackets, so recursion over it is bounded.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_NODE_H
#define REWARD_MATH_NODE_H

#include "reward/math/words.h"

enum math_op {
    OP_NUMBER, /* text: digits, at most one point; `exponent` of ten */
    OP_SYMBOL, /* text: its name with subscripts and primes: x_1, alpha, f' */
    OP_PI,
    OP_E,
    OP_I,
    OP_INFINITY,
    OP_TEXT, /* text: words */
    OP_ADD,
    OP_MUL,
    OP_DIV,
    OP_NEG,
    OP_POW,
    OP_ROOT,     /* kids: radicand, degree (or none: 2) */
    OP_FUNCTION, /* code: enum math_function */
    OP_CALL,     /* text: the name of a function that we do not know; kids: arguments */
    OP_SUM,      /* kids: index (OP_SYMBOL), first, last, term */
    OP_PRODUCT,
    OP_PLUS_MINUS,
    OP_MINUS_PLUS,
    OP_PERCENT,
    OP_DEGREE,
    OP_UNIT,  /* kids[0] and text: words after it */
    OP_BASED, /* text: digits; kids[0]: the base */
    OP_RATIO,
    OP_LIST,    /* items without brackets; code: the separator: , & | */
    OP_TUPLE,   /* code and close: its brackets */
    OP_SET,     /* \{ \} */
    OP_BUILDER, /* \{ kids[0] | kids[1] \} */
    OP_UNION,
    OP_INTERSECTION,
    OP_DIFFERENCE,
    OP_MATRIX,   /* rows; kids by rows; code: m matrix, v determinant, c cases */
    OP_RELATION, /* kids[0] text[0] kids[1] text[1] ...: codes of TOKEN_RELATION; M before a modulus */
};

struct math_node {
    uint8_t op;
    uint8_t code, close;
    int n;
    int exponent;
    int rows;
    struct str text;
    struct math_node **kids;
};

/* NULL when the check has no nodes left. */
struct math_node *math_node_new(struct math_work *work, enum math_op op, int n);
struct math_node *math_node_1(struct math_work *work, enum math_op op, struct math_node *a);
struct math_node *math_node_2(struct math_work *work, enum math_op op, struct math_node *a, struct math_node *b);
struct math_node *math_node_number(struct math_work *work, const char *digits); /* a literal that outlives the check */
struct math_node *math_node_function(struct math_work *work, enum math_function f, struct math_node *a,
                                     struct math_node *b);
struct math_node *math_node_copy(struct math_work *work, const struct math_node *node); /* itself only, not its kids */

bool math_node_has(const struct math_node *node, enum math_op op);
bool math_node_has_symbol(const struct math_node *node, struct str name);
/* Free symbols of both trees (b may be NULL), each once; at most `max`. */
int math_node_symbols(const struct math_node *a, struct str *names, int max, int n);
bool math_node_constant(const struct math_node *node);                     /* no symbols, calls or words */
bool math_node_same(const struct math_node *a, const struct math_node *b); /* the same tree */
/* A literal integer without sign that fits; false otherwise. */
bool math_node_small(const struct math_node *node, int64_t *out);
/* The tree with `name` replaced by `by`. */
struct math_node *math_node_replace(struct math_work *work, struct math_node *node, struct str name,
                                    struct math_node *by);
/* The tree with the upper (sign 1) or lower (-1) signs of its plus-minus. */
struct math_node *math_node_signed(struct math_work *work, struct math_node *node, int sign);

#endif

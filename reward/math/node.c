/* reward/math/node.c - nodes come from the arena; walks over the tree are recursive, since its depth is bounded.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/math/node.h"

#include <string.h>

struct math_node *math_node_new(struct math_work *work, enum math_op op, int n)
{
    if (work->n_nodes++ >= MATH_MAX_NODES) {
        return NULL;
    }
    size_t bytes = sizeof(struct math_node) + (size_t)n * sizeof(struct math_node *);
    struct math_node *node = arena_alloc(work->arena, bytes);
    node->op = (uint8_t)op;
    node->n = n;
    node->kids = (struct math_node **)(node + 1);
    return node;
}

struct math_node *math_node_1(struct math_work *work, enum math_op op, struct math_node *a)
{
    struct math_node *node = a ? math_node_new(work, op, 1) : NULL;
    if (node) {
        node->kids[0] = a;
    }
    return node;
}

struct math_node *math_node_2(struct math_work *work, enum math_op op, struct math_node *a, struct math_node *b)
{
    struct math_node *node = a && b ? math_node_new(work, op, 2) : NULL;
    if (node) {
        node->kids[0] = a;
        node->kids[1] = b;
    }
    return node;
}

struct math_node *math_node_number(struct math_work *work, const char *digits)
{
    struct math_node *node = math_node_new(work, OP_NUMBER, 0);
    if (node) {
        node->text = str_of(digits);
    }
    return node;
}

struct math_node *math_node_function(struct math_work *work, enum math_function f, struct math_node *a,
                                     struct math_node *b)
{
    struct math_node *node = b ? math_node_2(work, OP_FUNCTION, a, b) : math_node_1(work, OP_FUNCTION, a);
    if (node) {
        node->code = (uint8_t)f;
    }
    return node;
}

struct math_node *math_node_copy(struct math_work *work, const struct math_node *node)
{
    struct math_node *copy = math_node_new(work, (enum math_op)node->op, node->n);
    if (copy) {
        struct math_node **kids = copy->kids;
        *copy = *node;
        copy->kids = kids;
        memcpy(kids, node->kids, (size_t)node->n * sizeof *kids);
    }
    return copy;
}

bool math_node_has(const struct math_node *node, enum math_op op)
{
    bool has = node->op == (uint8_t)op;
    for (int i = 0; i < node->n && !has; i++) {
        has = math_node_has(node->kids[i], op);
    }
    return has;
}

bool math_node_has_symbol(const struct math_node *node, struct str name)
{
    bool has = node->op == OP_SYMBOL && str_equal(node->text, name);
    for (int i = 0; i < node->n && !has; i++) {
        has = math_node_has_symbol(node->kids[i], name);
    }
    return has;
}

int math_node_symbols(const struct math_node *a, struct str *names, int max, int n)
{
    if (a->op == OP_SYMBOL) {
        for (int i = 0; i < n; i++) {
            if (str_equal(names[i], a->text)) {
                return n;
            }
        }
        if (n < max) {
            names[n] = a->text;
        }
        return n < max ? n + 1 : n;
    }
    bool bound = a->op == OP_SUM || a->op == OP_PRODUCT;
    int before = n;
    for (int i = bound ? 1 : 0; i < a->n; i++) {
        n = math_node_symbols(a->kids[i], names, max, n);
    }
    for (int i = before; bound && i < n; i++) {
        if (str_equal(names[i], a->kids[0]->text)) {
            names[i] = names[--n];
        }
    }
    return n;
}

bool math_node_constant(const struct math_node *node)
{
    struct str name;
    return !math_node_symbols(node, &name, 1, 0) && !math_node_has(node, OP_TEXT) && !math_node_has(node, OP_CALL);
}

bool math_node_same(const struct math_node *a, const struct math_node *b)
{
    if (a == b) {
        return true;
    }
    if (a->op != b->op || a->code != b->code || a->close != b->close || a->n != b->n || a->exponent != b->exponent ||
        a->rows != b->rows || !str_equal(a->text, b->text)) {
        return false;
    }
    for (int i = 0; i < a->n; i++) {
        if (!math_node_same(a->kids[i], b->kids[i])) {
            return false;
        }
    }
    return true;
}

bool math_node_small(const struct math_node *node, int64_t *out)
{
    if (node->op != OP_NUMBER || node->exponent < 0 || node->exponent > 18) {
        return false;
    }
    int64_t value = 0;
    for (size_t i = 0; i < node->text.length; i++) {
        char c = node->text.data[i];
        if (c == '.' || __builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, c - '0', &value)) {
            return false;
        }
    }
    for (int i = 0; i < node->exponent; i++) {
        if (__builtin_mul_overflow(value, 10, &value)) {
            return false;
        }
    }
    *out = value;
    return true;
}

struct math_node *math_node_replace(struct math_work *work, struct math_node *node, struct str name,
                                    struct math_node *by)
{
    if (node->op == OP_SYMBOL && str_equal(node->text, name)) {
        return by;
    }
    if (!math_node_has_symbol(node, name)) {
        return node;
    }
    struct math_node *copy = math_node_copy(work, node);
    for (int i = 0; copy && i < copy->n; i++) {
        copy->kids[i] = math_node_replace(work, node->kids[i], name, by);
        if (!copy->kids[i]) {
            return NULL;
        }
    }
    return copy;
}

struct math_node *math_node_signed(struct math_work *work, struct math_node *node, int sign)
{
    bool upper = node->op == OP_PLUS_MINUS, lower = node->op == OP_MINUS_PLUS;
    if (!upper && !lower && !math_node_has(node, OP_PLUS_MINUS) && !math_node_has(node, OP_MINUS_PLUS)) {
        return node;
    }
    if (upper || lower) {
        struct math_node *kid = math_node_signed(work, node->kids[0], sign);
        bool minus = upper == (sign < 0);
        return !kid ? NULL : minus ? math_node_1(work, OP_NEG, kid) : kid;
    }
    struct math_node *copy = math_node_copy(work, node);
    for (int i = 0; copy && i < copy->n; i++) {
        copy->kids[i] = math_node_signed(work, node->kids[i], sign);
        if (!copy->kids[i]) {
            return NULL;
        }
    }
    return copy;
}

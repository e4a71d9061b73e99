/* reward/math/matrix.c - bottom up: the children are worked out first, then the one operation over them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/math/matrix.h"

static int columns(const struct math_node *m)
{
    return m->n / m->rows;
}

static struct math_node *matrix_new(struct math_work *work, int rows, int cols)
{
    struct math_node *m = rows * cols <= MATH_MATRIX_MAX_CELLS ? math_node_new(work, OP_MATRIX, rows * cols) : NULL;
    if (m) {
        m->rows = rows;
        m->code = 'm';
    }
    return m;
}

/* Every cell made of the same cells of a and b (b may be NULL: of `scalar`). */
static struct math_node *cellwise(struct math_work *work, enum math_op op, struct math_node *a, struct math_node *b,
                                  struct math_node *scalar)
{
    struct math_node *m = matrix_new(work, a->rows, columns(a));
    if (!m || (b && (b->rows != a->rows || b->n != a->n))) {
        return NULL;
    }
    for (int i = 0; i < m->n; i++) {
        struct math_node *other = b ? b->kids[i] : scalar;
        m->kids[i] = other ? math_node_2(work, op, a->kids[i], other) : math_node_1(work, op, a->kids[i]);
        if (!m->kids[i]) {
            return NULL;
        }
    }
    return m;
}

static struct math_node *transpose(struct math_work *work, struct math_node *a)
{
    struct math_node *m = matrix_new(work, columns(a), a->rows);
    for (int i = 0; m && i < a->n; i++) {
        m->kids[i] = a->kids[i % a->rows * columns(a) + i / a->rows];
    }
    return m;
}

static struct math_node *times(struct math_work *work, struct math_node *a, struct math_node *b)
{
    struct math_node *m = columns(a) == b->rows ? matrix_new(work, a->rows, columns(b)) : NULL;
    for (int i = 0; m && i < m->n; i++) {
        struct math_node *sum = math_node_new(work, OP_ADD, b->rows);
        for (int k = 0; sum && k < b->rows; k++) {
            sum->kids[k] = math_node_2(work, OP_MUL, a->kids[i / columns(b) * columns(a) + k],
                                       b->kids[k * columns(b) + i % columns(b)]);
            sum = sum->kids[k] ? sum : NULL;
        }
        m->kids[i] = sum;
        m = sum ? m : NULL;
    }
    return m;
}

/* Along the first row. */
static struct math_node *determinant(struct math_work *work, struct math_node *a)
{
    int n = a->rows;
    if (columns(a) != n || n > MATH_MATRIX_MAX_DET) {
        return NULL;
    }
    if (n <= 1) {
        return a->kids[0];
    }
    struct math_node *sum = math_node_new(work, OP_ADD, n);
    for (int j = 0; sum && j < n; j++) {
        struct math_node *minor = matrix_new(work, n - 1, n - 1);
        for (int r = 1, i = 0; minor && r < n; r++) {
            for (int c = 0; c < n; c++) {
                if (c != j) {
                    minor->kids[i++] = a->kids[r * n + c];
                }
            }
        }
        struct math_node *rest = minor ? determinant(work, minor) : NULL;
        struct math_node *term = rest ? math_node_2(work, OP_MUL, a->kids[j], rest) : NULL;
        sum->kids[j] = term && j % 2 ? math_node_1(work, OP_NEG, term) : term;
        sum = sum->kids[j] ? sum : NULL;
    }
    return sum;
}

static bool is_matrix(const struct math_node *node)
{
    return node->op == OP_MATRIX;
}

static bool is_transposed(const struct math_node *exponent)
{
    return exponent->op == OP_SYMBOL && (str_equal(exponent->text, STR("T")) || str_equal(exponent->text, STR("top")) ||
                                         str_equal(exponent->text, STR("t")));
}

static struct math_node *product(struct math_work *work, struct math_node *a, struct math_node *b)
{
    if (is_matrix(a) && is_matrix(b)) {
        return times(work, a, b);
    }
    if (!is_matrix(a) && !is_matrix(b)) {
        return math_node_2(work, OP_MUL, a, b);
    }
    return cellwise(work, OP_MUL, is_matrix(a) ? a : b, NULL, is_matrix(a) ? b : a);
}

static struct math_node *sum(struct math_work *work, struct math_node *node)
{
    struct math_node *total = node->kids[0];
    for (int i = 1; total && i < node->n; i++) {
        struct math_node *next = node->kids[i];
        total = is_matrix(total) != is_matrix(next) ? NULL
                : is_matrix(total)                  ? cellwise(work, OP_ADD, total, next, NULL)
                                                    : math_node_2(work, OP_ADD, total, next);
    }
    return total;
}

/* One operation, its kids worked out. */
static struct math_node *reduce(struct math_work *work, struct math_node *node)
{
    struct math_node *a = node->n ? node->kids[0] : NULL, *b = node->n == 2 ? node->kids[1] : NULL;
    bool any = false;
    for (int i = 0; i < node->n; i++) {
        any |= is_matrix(node->kids[i]);
    }
    if (!any) {
        return node;
    }
    switch ((enum math_op)node->op) {
    case OP_ADD: return sum(work, node);
    case OP_MUL: return b ? product(work, a, b) : NULL;
    case OP_NEG: return cellwise(work, OP_NEG, a, NULL, NULL);
    case OP_DIV: return !b || is_matrix(b) ? NULL : cellwise(work, OP_DIV, a, NULL, b);
    case OP_POW: return b && is_matrix(a) && is_transposed(b) ? transpose(work, a) : NULL;
    case OP_FUNCTION: {
        bool det = node->code == FUNCTION_ABS || str_equal(node->text, STR("det"));
        return det ? determinant(work, a) : NULL;
    }
    case OP_LIST:
    case OP_TUPLE:
    case OP_SET:
    case OP_RELATION: return node;
    default: return NULL;
    }
}

struct math_node *math_matrix_reduce(struct math_work *work, struct math_node *node)
{
    if (!math_node_has(node, OP_MATRIX)) {
        return node;
    }
    if (is_matrix(node)) {
        return node->code == 'v' ? determinant(work, node) : node;
    }
    struct math_node *copy = math_node_copy(work, node);
    for (int i = 0; copy && i < copy->n; i++) {
        copy->kids[i] = math_matrix_reduce(work, node->kids[i]);
        copy = copy->kids[i] ? copy : NULL;
    }
    return copy ? reduce(work, copy) : NULL;
}

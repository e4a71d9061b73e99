/* reward/math/set.c - collects and ranks the ends of both sets, then asks for each end and gap whether it is a member.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/math/set.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ENDS 64
#define PLACES   3 /* at which ends with variables are ordered */

/* ---- the parts of a set of reals ---- */

static bool is_inequality(char code)
{
    return code == '<' || code == '>' || code == 'L' || code == 'G';
}

static bool is_symbol(const struct math_node *node, const char *name)
{
    return node->op == OP_SYMBOL && str_equal(node->text, str_of(name));
}

static bool is_all(const struct math_node *node)
{
    if (node->op != OP_TEXT) {
        return is_symbol(node, "RR");
    }
    static const char *const names[] = {"all real numbers", "all reals", "real numbers", "all real", "reals"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (str_equal(node->text, str_of(names[i]))) {
            return true;
        }
    }
    return false;
}

/* The set that is taken away: B of A \ B, or of A - B; NULL: it is no difference of sets. */
static const struct math_node *taken(const struct math_node *node)
{
    if (node->op == OP_DIFFERENCE) {
        return node->kids[1];
    }
    bool minus = node->op == OP_ADD && node->n == 2 && node->kids[1]->op == OP_NEG && is_all(node->kids[0]);
    return minus ? node->kids[1]->kids[0] : NULL;
}

/* The variable of a solved inequality: the one kid that is a symbol on one side of every sign and in no other kid. */
static const struct math_node *solved_for(const struct math_node *relation)
{
    const struct math_node *found = NULL;
    for (int i = 0; i < relation->n; i++) {
        const struct math_node *kid = relation->kids[i];
        bool called =
            kid->op == OP_CALL && (relation->n == 3 || is_inequality(relation->text.data[0])); /* 0 < f(x) < 2 */
        bool alone = ((kid->op == OP_SYMBOL || called) && relation->n == 2) ||
                     ((kid->op == OP_SYMBOL || called) && relation->n == 3 && i == 1);
        for (int k = 0; k < relation->n && alone; k++) {
            const struct math_node *other = relation->kids[k];
            alone = k == i || (called ? math_node_constant(other)
                                      : !math_node_has_symbol(other, kid->text) && other->op != OP_SYMBOL);
        }
        found = alone ? kid : found;
    }
    for (size_t i = 0; i < relation->text.length && found; i++) {
        char code = relation->text.data[i];
        found = is_inequality(code) || (code == 'N' && relation->n == 2) || (code == '=' && relation->n == 2) ? found
                                                                                                              : NULL;
    }
    return found;
}

/* What a node may be: 0 no set of reals; 1 it may also be something else (a point, a list of values); 2 a set. */
static int kind(const struct math_node *node)
{
    int min = 2, a, b;
    switch ((enum math_op)node->op) {
    case OP_TUPLE: {
        bool shape = node->n == 2 && strchr("([", node->code) && strchr(")]", node->close);
        bool plain = (node->code == '(') == (node->close == ')');
        bool endless = shape && (math_node_has(node, OP_INFINITY) || !plain);
        bool values = shape && node->kids[0]->op < OP_BASED && node->kids[1]->op < OP_BASED;
        return !values ? 0 : endless ? 2 : 1;
    }
    case OP_UNION:
    case OP_INTERSECTION: return kind(node->kids[0]) && kind(node->kids[1]) ? 2 : 0;
    case OP_DIFFERENCE:
    case OP_ADD: return taken(node) && kind(node->kids[0]) && kind(taken(node)) ? 2 : 0;
    case OP_SYMBOL: return is_symbol(node, "RR") || is_symbol(node, "emptyset") ? 2 : 0;
    case OP_TEXT: return is_all(node) ? 2 : 0;
    case OP_SET:
        for (int i = 0; i < node->n; i++) {
            min = node->kids[i]->op < OP_BASED ? min : 0;
        }
        return node->n == 1 && node->kids[0]->op == OP_RELATION ? kind(node->kids[0]) : min ? 1 : 0;
    case OP_BUILDER: return kind(node->kids[1]);
    case OP_RELATION:
        if (node->n == 2 && node->text.data[0] == 'E' && node->kids[0]->op == OP_SYMBOL) {
            return kind(node->kids[1]) ? 2 : 0;
        }
        return !solved_for(node) ? 0 : node->text.data[0] == '=' ? 1 : 2;
    case OP_LIST:
        a = 0;
        for (int i = 0; i < node->n; i++) {
            b = kind(node->kids[i]);
            a = b > a ? b : a;
            if (b == 0 || (b == 1 && node->kids[i]->op != OP_RELATION)) {
                return 0;
            }
        }
        return a;
    default: return 0;
    }
}

/* ---- ends ---- */

struct end {
    const struct math_node *node;
    bool gold;
    long double value;
    int rank; /* ends of one rank are equal; -1: minus infinity */
};

struct cut {
    struct math_check *check;
    struct end ends[MAX_ENDS];
    int n, ranks;
    uint64_t place;
    bool failed;
};

/* 1 or -1 for an infinity, else 0. */
static int infinite(const struct math_node *node)
{
    return node->op == OP_INFINITY ? 1 : node->op == OP_NEG && node->kids[0]->op == OP_INFINITY ? -1 : 0;
}

static void add_end(struct cut *cut, const struct math_node *node, bool gold)
{
    if (infinite(node)) {
        return;
    }
    if (cut->n == MAX_ENDS) {
        cut->failed = true;
        return;
    }
    struct end *end = &cut->ends[cut->n++];
    *end = (struct end){.node = node, .gold = gold};
    cut->failed |= !math_num_real(&cut->check->work, node, cut->place, &end->value);
}

static void collect(struct cut *cut, const struct math_node *node, bool gold)
{
    const struct math_node *variable = node->op == OP_RELATION ? solved_for(node) : NULL;
    switch ((enum math_op)node->op) {
    case OP_RELATION:
        for (int i = 0; i < node->n && variable; i++) {
            if (node->kids[i] != variable) {
                add_end(cut, node->kids[i], gold);
            }
        }
        if (!variable) {
            collect(cut, node->kids[1], gold);
        }
        break;
    case OP_BUILDER: collect(cut, node->kids[1], gold); break;
    case OP_SYMBOL:
    case OP_TEXT: break;
    case OP_ADD:
        collect(cut, node->kids[0], gold);
        collect(cut, taken(node), gold);
        break;
    case OP_TUPLE:
    case OP_SET:
        if (node->kids[0]->op != OP_RELATION) {
            for (int i = 0; i < node->n; i++) {
                add_end(cut, node->kids[i], gold);
            }
            break;
        }
        collect(cut, node->kids[0], gold);
        break;
    default:
        for (int i = 0; i < node->n; i++) {
            collect(cut, node->kids[i], gold);
        }
        break;
    }
}

static int by_value(const void *a, const void *b)
{
    long double x = ((const struct end *)a)->value, y = ((const struct end *)b)->value;
    return (x > y) - (x < y);
}

static bool same_end(struct cut *cut, const struct end *a, const struct end *b)
{
    long double scale = fmaxl(fabsl(a->value), fabsl(b->value));
    if (fabsl(a->value - b->value) > scale * 0.05L) {
        return false;
    }
    if (a->gold == b->gold) {
        return math_value_zero(cut->check, a->node, b->node) == ZERO_YES;
    }
    return math_value_equal(cut->check, a->gold ? a->node : b->node, a->gold ? b->node : a->node);
}

static void rank(struct cut *cut)
{
    qsort(cut->ends, (size_t)cut->n, sizeof *cut->ends, by_value);
    for (int i = 0; i < cut->n; i++) {
        bool same = i > 0 && same_end(cut, &cut->ends[i - 1], &cut->ends[i]);
        cut->ranks += i > 0 && !same;
        cut->ends[i].rank = cut->ranks;
    }
    cut->ranks += cut->n > 0;
}

/* ---- membership: cell 2r+1 is the end of rank r, cell 2r the gap below it ---- */

static int cell_of(const struct cut *cut, const struct math_node *node)
{
    int side = infinite(node);
    if (side) {
        return side < 0 ? -1 : 2 * cut->ranks + 1;
    }
    for (int i = 0; i < cut->n; i++) {
        if (cut->ends[i].node == node) {
            return 2 * cut->ends[i].rank + 1;
        }
    }
    return -1;
}

static bool satisfies(int cell, char code, int end)
{
    switch (code) {
    case '<': return cell < end;
    case '>': return cell > end;
    case 'L': return cell <= end;
    case 'G': return cell >= end;
    case 'N': return cell != end;
    default: return cell == end;
    }
}

static char reverse_sign(char code)
{
    return code == '<' ? '>' : code == '>' ? '<' : code == 'L' ? 'G' : code == 'G' ? 'L' : code;
}

static bool contains(const struct cut *cut, const struct math_node *node, int cell);

static bool solves(const struct cut *cut, const struct math_node *node, int cell)
{
    const struct math_node *variable = solved_for(node);
    if (!variable) {
        return contains(cut, node->kids[1], cell);
    }
    bool all = true;
    for (int i = 0; i + 1 < node->n; i++) {
        char code = node->text.data[i];
        all &= node->kids[i] == variable ? satisfies(cell, code, cell_of(cut, node->kids[i + 1]))
                                         : satisfies(cell, reverse_sign(code), cell_of(cut, node->kids[i]));
    }
    return all;
}

/* "x < 1 or x > 3" is a union; "x > 1 and x < 3", and whatever x is not, an intersection. */
static bool in_list(const struct cut *cut, const struct math_node *list, int cell)
{
    bool any = false, all = true, any_left = false;
    for (int i = 0; i < list->n; i++) {
        const struct math_node *kid = list->kids[i];
        bool in = contains(cut, kid, cell), excludes = kid->op == OP_RELATION && kid->text.data[0] == 'N';
        all &= in;
        any |= in && !excludes;
        any_left |= !excludes;
        if (excludes && !in) {
            return false;
        }
    }
    bool together = list->code == '&' && list->kids[0]->op == OP_RELATION;
    return together || !any_left ? all : any;
}

static bool contains(const struct cut *cut, const struct math_node *node, int cell)
{
    switch ((enum math_op)node->op) {
    case OP_TUPLE: {
        int low = cell_of(cut, node->kids[0]), high = cell_of(cut, node->kids[1]);
        return satisfies(cell, node->code == '[' ? 'G' : '>', low) &&
               satisfies(cell, node->close == ']' ? 'L' : '<', high);
    }
    case OP_UNION: return contains(cut, node->kids[0], cell) || contains(cut, node->kids[1], cell);
    case OP_INTERSECTION: return contains(cut, node->kids[0], cell) && contains(cut, node->kids[1], cell);
    case OP_DIFFERENCE:
    case OP_ADD: return contains(cut, node->kids[0], cell) && !contains(cut, taken(node), cell);
    case OP_SET:
        if (node->kids[0]->op == OP_RELATION) {
            return contains(cut, node->kids[0], cell);
        }
        for (int i = 0; i < node->n; i++) {
            if (cell == cell_of(cut, node->kids[i])) {
                return true;
            }
        }
        return false;
    case OP_BUILDER: return contains(cut, node->kids[1], cell);
    case OP_RELATION: return solves(cut, node, cell);
    case OP_LIST: return in_list(cut, node, cell);
    default: return is_all(node);
    }
}

static enum math_zero equal_at(struct math_check *check, const struct math_node *gold, const struct math_node *said,
                               uint64_t place)
{
    struct cut cut = {.check = check, .place = place};
    collect(&cut, gold, true);
    collect(&cut, said, false);
    if (cut.failed) {
        return ZERO_UNKNOWN;
    }
    rank(&cut);
    for (int cell = 0; cell <= 2 * cut.ranks; cell++) {
        if (!math_work_pay(&check->work, 1) || contains(&cut, gold, cell) != contains(&cut, said, cell)) {
            return ZERO_NO;
        }
    }
    return ZERO_YES;
}

enum math_zero math_set_equal(struct math_check *check, const struct math_node *gold, const struct math_node *said)
{
    int g = kind(gold), s = kind(said);
    if (!g || !s || (g == 1 && s == 1)) {
        return ZERO_UNKNOWN;
    }
    bool constant = math_node_constant(gold) && math_node_constant(said);
    enum math_zero equal = ZERO_YES;
    for (int k = 0; k < (constant ? 1 : PLACES) && equal == ZERO_YES; k++) {
        equal = equal_at(check, gold, said, check->seed + (uint64_t)k);
    }
    return equal;
}

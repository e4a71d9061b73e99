/* reward/math/relation.c - a relation is tidied, then compared by its form: definition, congruence, chain, difference.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/math/relation.h"

#include <string.h>
#include <strings.h>

bool math_relation_is(const struct math_node *node, char code)
{
    return node->op == OP_RELATION && node->n == 2 && node->text.data[0] == code;
}

bool math_relation_names(const struct math_node *left)
{
    switch ((enum math_op)left->op) {
    case OP_SYMBOL:
    case OP_TEXT:
    case OP_CALL:
    case OP_E:
    case OP_I: return true;
    case OP_MUL:
    case OP_DIV:
    case OP_RATIO:
    case OP_TUPLE:
    case OP_LIST:
    case OP_MATRIX:
        for (int i = 0; i < left->n; i++) {
            if (!math_relation_names(left->kids[i])) {
                return false;
            }
        }
        return true;
    case OP_FUNCTION: return left->n > 0 && !math_node_constant(left) && math_relation_names(left->kids[0]);
    case OP_UNIT: return math_relation_names(left->kids[0]);
    default: return false;
    }
}

/* Could it be a quantity that was computed: symbols, no number as a term of a sum? */
static bool computes(const struct math_node *left)
{
    if (left->op == OP_ADD) {
        for (int i = 0; i < left->n; i++) {
            if (math_node_constant(left->kids[i]) || !computes(left->kids[i])) {
                return false;
            }
        }
        return true;
    }
    if (left->op == OP_NEG || left->op == OP_ROOT || left->op == OP_POW || left->op == OP_MUL || left->op == OP_DIV) {
        return !math_node_constant(left) && (computes(left->kids[0]) || math_node_constant(left->kids[0]));
    }
    return math_relation_names(left) || (left->op == OP_FUNCTION && !math_node_constant(left)) ||
           (math_node_constant(left) && left->op != OP_TUPLE);
}

/* The symbol that a product, power or root of numbers and one symbol is about; empty: there is none, or several. */
static struct str only_symbol(const struct math_node *node)
{
    bool product =
        node->op == OP_NEG || node->op == OP_ROOT || node->op == OP_POW || node->op == OP_MUL || node->op == OP_DIV;
    struct str found = node->op == OP_SYMBOL ? node->text : (struct str){0};
    int n = found.length > 0;
    for (int i = 0; i < node->n && product; i++) {
        if (!math_node_constant(node->kids[i])) {
            found = only_symbol(node->kids[i]);
            n += 1 + !found.length;
        }
    }
    return n == 1 ? found : (struct str){0};
}

/* "2x", "x^2", "x/2", "x + x": an equation that is yet to be solved for x. "xy" and "x^2 + 1/x^2" are quantities. */
static bool unsolved(const struct math_node *left)
{
    bool linear = left->op == OP_ADD;
    for (int i = 0; i < left->n && linear; i++) {
        enum math_op op = (enum math_op)left->kids[i]->op;
        struct str first = only_symbol(left->kids[0]);
        linear = (op == OP_SYMBOL || op == OP_MUL || op == OP_NEG) && first.length &&
                 str_equal(only_symbol(left->kids[i]), first);
    }
    return linear || (left->op != OP_SYMBOL && only_symbol(left).length);
}

struct math_node *math_relation_value(struct math_node *relation, bool given)
{
    if (!math_relation_is(relation, '=') && !math_relation_is(relation, 'A')) {
        return NULL;
    }
    struct math_node *left = relation->kids[0], *right = relation->kids[1];
    if (math_relation_names(left)) {
        return right;
    }
    if (math_node_constant(left) && right->op == OP_SYMBOL) {
        return left;
    }
    int64_t zero;
    bool restates = math_node_small(right, &zero) && zero == 0;
    return given && math_node_constant(right) && !math_node_constant(left) && computes(left) && !unsolved(left) &&
                   !restates
               ? right
               : NULL;
}

/* ---- chains ---- */

static struct math_node *part_of(struct math_check *check, const struct math_node *relation, int n)
{
    if (n == 1) {
        return relation->kids[0];
    }
    struct math_node *part = math_node_copy(&check->work, relation);
    if (part) {
        part->n = n;
        part->text.length = (size_t)n - 1;
    }
    return part;
}

static bool all_are(struct str codes, char code)
{
    for (size_t i = 0; i < codes.length; i++) {
        if (codes.data[i] != code) {
            return false;
        }
    }
    return true;
}

struct math_node *math_relation_tidy(struct math_check *check, struct math_node *relation)
{
    for (int i = 1; i < relation->n; i++) {
        bool named = i == 1 && math_relation_names(relation->kids[0]);
        if (relation->text.data[i - 1] == 'A' && !named) {
            relation = part_of(check, relation, i);
            break;
        }
    }
    if (!relation || relation->op != OP_RELATION || !all_are(relation->text, '=')) {
        return relation;
    }
    bool constant = true;
    for (int i = 0; i < relation->n; i++) {
        constant &= math_node_constant(relation->kids[i]);
    }
    if (constant) {
        for (int i = 1; i < relation->n; i++) {
            if (!math_value_equal(check, relation->kids[0], relation->kids[i]) &&
                math_value_zero(check, relation->kids[0], relation->kids[i]) ==
                    ZERO_NO) { /* ZERO_UNKNOWN is not enough */
                return NULL;
            }
        }
        return relation->kids[relation->n - 1];
    }
    const struct math_node *last = relation->kids[relation->n - 1];
    for (int i = 1; i + 1 < relation->n; i++) {
        if (math_node_constant(last) && math_node_constant(relation->kids[i]) &&
            !math_value_equal(check, last, relation->kids[i])) {
            return NULL;
        }
    }
    if (relation->n > 2) {
        struct math_node *ends = part_of(check, relation, 2);
        if (ends) {
            ends->kids[1] = relation->kids[relation->n - 1];
        }
        return ends;
    }
    return relation;
}

/* ---- absolute values ---- */

static char reverse_sign(char code)
{
    return code == '<' ? '>' : code == '>' ? '<' : code == 'L' ? 'G' : code == 'G' ? 'L' : code;
}

/* kids[0] codes[0] kids[1] ... of n sides. */
static struct math_node *relation_of(struct math_check *check, int n, struct math_node *const *kids, const char *codes)
{
    struct math_node *relation = math_node_new(&check->work, OP_RELATION, n);
    for (int i = 0; relation && i < n; i++) {
        relation->kids[i] = kids[i];
        relation = kids[i] ? relation : NULL;
    }
    if (relation) {
        relation->text = str_of(arena_strdup(check->work.arena, codes));
    }
    return relation;
}

static struct math_node *either(struct math_check *check, struct math_node *a, struct math_node *b)
{
    struct math_node *list = a && b ? math_node_2(&check->work, OP_LIST, a, b) : NULL;
    if (list) {
        list->code = '|';
    }
    return list;
}

struct math_node *math_relation_without_bars(struct math_check *check, struct math_node *relation)
{
    int at = 0;
    while (at < relation->n && !(relation->kids[at]->op == OP_FUNCTION && relation->kids[at]->code == FUNCTION_ABS &&
                                 relation->kids[at]->kids[0]->op == OP_SYMBOL)) {
        at++;
    }
    bool ends = relation->n == 2 && at < 2, middle = relation->n == 3 && at == 1;
    bool rising = relation->text.data[0] == '<' || relation->text.data[0] == 'L';
    for (size_t i = 0; i < relation->text.length && (ends || middle); i++) {
        char code = relation->text.data[i];
        ends &= code == '<' || code == '>' || code == 'L' || code == 'G';
        middle &= rising ? code == '<' || code == 'L' : code == '>' || code == 'G';
    }
    if (!ends && !middle) {
        return relation;
    }
    struct math_node *x = relation->kids[at]->kids[0], *low = relation->kids[middle ? 0 : 1 - at],
                     *high = relation->kids[middle ? 2 : 1 - at];
    if (math_node_has_symbol(low, x->text) || math_node_has_symbol(high, x->text)) {
        return relation;
    }
    struct math_node *minus_low = math_node_1(&check->work, OP_NEG, low),
                     *minus_high = math_node_1(&check->work, OP_NEG, high);
    char first = relation->text.data[0], code = at ? reverse_sign(first) : first; /* |x| code value */
    if (middle) {
        char last = relation->text.data[1];
        return either(check,
                      relation_of(check, 3, (struct math_node *[]){minus_high, x, minus_low}, (char[]){last, first, 0}),
                      relation_of(check, 3, (struct math_node *[]){low, x, high}, (char[]){first, last, 0}));
    }
    if (code == '<' || code == 'L') {
        return relation_of(check, 3, (struct math_node *[]){minus_low, x, low}, (char[]){code, code, 0});
    }
    return either(check, relation_of(check, 2, (struct math_node *[]){x, minus_low}, (char[]){reverse_sign(code), 0}),
                  relation_of(check, 2, (struct math_node *[]){x, low}, (char[]){code, 0}));
}

/* ---- two relations ---- */

static struct math_node *difference(struct math_check *check, struct math_node *a, struct math_node *b)
{
    struct math_node *minus = math_node_1(&check->work, OP_NEG, b);
    return minus ? math_node_2(&check->work, OP_ADD, a, minus) : NULL;
}

static bool plain(const struct math_node *node)
{
    return node->op < OP_BASED;
}

/* kids[i] sign kids[i+1] of both, moved to one side. */
static bool links_equal(struct math_check *check, struct math_node *g, struct math_node *s, int i, int k, bool reversed)
{
    struct math_node *a = g->kids[i], *b = g->kids[i + 1], *c = s->kids[k], *d = s->kids[k + 1];
    if (!plain(a) || !plain(b) || !plain(c) || !plain(d)) {
        return false;
    }
    struct math_node *x = difference(check, a, b), *y = reversed ? difference(check, d, c) : difference(check, c, d);
    if (!x || !y || math_value_zero(check, x, y) == ZERO_YES) {
        return x && y;
    }
    int sign = 0;
    struct str name;
    if (!math_node_symbols(x, &name, 1, 0) || !math_node_symbols(y, &name, 1, 0)) {
        return false; /* f(0) = 0 and f(0) = 1: two constants are always proportional */
    }
    bool equal = math_value_proportional(check, x, y, &sign);
    bool ordered = strchr("<>LG", g->text.data[i]) != NULL;
    return equal && (!ordered || sign > 0);
}

/* The same signs in the same order, or all reversed. */
static bool chains_equal(struct math_check *check, struct math_node *g, struct math_node *s)
{
    for (int way = 0; way < 3; way++) { /* as written; s from its end; s with its signs reversed, for one link */
        bool equal = g->n == s->n && (way < 2 || g->n == 2);
        for (int i = 0; i + 1 < g->n && equal; i++) {
            int k = way == 1 ? s->n - 2 - i : i;
            char code = way ? reverse_sign(s->text.data[k]) : s->text.data[k];
            equal = code == g->text.data[i] && links_equal(check, g, s, i, k, way > 0);
        }
        if (equal) {
            return true;
        }
    }
    return false;
}

/* f(x) = ...: the name of the argument; {0}: no definition of a function of one variable. */
static struct str argument(const struct math_node *left)
{
    bool one = left->op == OP_CALL && left->n == 1 && left->kids[0]->op == OP_SYMBOL;
    return one ? left->kids[0]->text : (struct str){0};
}

static bool same_name(struct math_check *check, const struct math_node *a, const struct math_node *b)
{
    if (a->op != b->op || (a->op != OP_SYMBOL && a->op != OP_TEXT && a->op != OP_CALL)) {
        return math_node_same(a, b) ||
               (a->op < OP_BASED && b->op < OP_BASED && math_value_zero(check, a, b) == ZERO_YES);
    }
    bool same = a->text.length == b->text.length && strncasecmp(a->text.data, b->text.data, a->text.length) == 0;
    for (int i = 0; i < a->n && same; i++) {
        same = a->n == b->n && (argument(a).length ? argument(b).length > 0 : math_node_same(a->kids[i], b->kids[i]));
    }
    return same;
}

/* "name = value" on both sides. */
static bool assignments_equal(struct math_check *check, struct math_node *g, struct math_node *s,
                              bool (*match)(struct math_check *, struct math_node *, struct math_node *))
{
    struct math_node *value = s->kids[1], *left = g->kids[0], *other = s->kids[0];
    struct str from = argument(other), to = argument(left);
    if (from.length && to.length && !str_equal(from, to)) {
        if (math_node_has_symbol(value, to)) { /* f(t) = x + 1 against f(x) = x + 1 */
            return false;
        }
        value = math_node_replace(&check->work, value, from, left->kids[0]);
    }
    bool defines = !math_node_constant(g->kids[1]) || !math_node_constant(s->kids[1]);
    bool free = defines && !check->options->strict && left->op != OP_TUPLE && other->op != OP_TUPLE &&
                (left->op == OP_SYMBOL || left->op == OP_CALL) && (other->op == OP_SYMBOL || other->op == OP_CALL) &&
                !math_node_has_symbol(g->kids[1], other->text) && !math_node_has_symbol(s->kids[1], left->text);
    return value && (free || same_name(check, left, other)) && match(check, g->kids[1], value);
}

/* The residues agree modulo the same modulus. */
static bool congruences_equal(struct math_check *check, struct math_node *g, struct math_node *s)
{
    int64_t a, b, m, n;
    struct math_mod mod = {.work = &check->work};
    struct math_node *r = g->kids[g->n - 2], *q = s->kids[s->n - 2];
    int64_t den_a, den_b;
    return math_node_small(g->kids[g->n - 1], &m) && math_node_small(s->kids[s->n - 1], &n) && m == n && m > 0 &&
           math_node_constant(r) && math_node_constant(q) && math_mod_small(&mod, r, &a, &den_a) &&
           math_mod_small(&mod, q, &b, &den_b) && den_a == 1 && den_b == 1 && (a % m + m) % m == (b % m + m) % m;
}

/* u - v = 1.414 and u - v = \sqrt2: the values are compared as others are, within rounding. */
static bool same_left(struct math_check *check, const struct math_node *g, const struct math_node *s)
{
    return math_relation_is(g, '=') && math_relation_is(s, '=') && !math_node_constant(g->kids[0]) &&
           plain(g->kids[0]) && plain(s->kids[0]) && math_node_constant(g->kids[1]) && math_node_constant(s->kids[1]) &&
           math_value_zero(check, g->kids[0], s->kids[0]) == ZERO_YES;
}

bool math_relation_equal(struct math_check *check, struct math_node *gold, struct math_node *said,
                         bool (*match)(struct math_check *, struct math_node *, struct math_node *))
{
    char g = gold->text.data[gold->text.length - 1], s = said->text.data[said->text.length - 1];
    if (g == 'M' && s == 'M') {
        return congruences_equal(check, gold, said);
    }
    if (math_relation_is(gold, '=') && math_relation_is(said, '=') && math_relation_names(gold->kids[0]) &&
        math_relation_names(said->kids[0]) && assignments_equal(check, gold, said, match)) {
        return true;
    }
    if (same_left(check, gold, said) && match(check, gold->kids[1], said->kids[1])) {
        return true;
    }
    if (strchr("=<>LGN", g) && strchr("=<>LGN", s)) {
        return chains_equal(check, gold, said);
    }
    bool equal = gold->n == said->n && str_equal(gold->text, said->text);
    for (int i = 0; i < gold->n && equal; i++) {
        equal = match(check, gold->kids[i], said->kids[i]);
    }
    return equal;
}

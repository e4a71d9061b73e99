/* reward/math/match.c - tidies both trees, then tries each kind of answer in turn, the most specific first.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/math/match.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "reward/math/amount.h"
#include "reward/math/matrix.h"
#include "reward/math/relation.h"
#include "reward/math/set.h"
#include "reward/math/text.h"

int math_match_count(const struct math_node *node)
{
    return node->op == OP_LIST || node->op == OP_SET ? node->n : 1;
}

static bool is_collection(const struct math_node *node)
{
    return node->op == OP_LIST || node->op == OP_SET || node->op == OP_TUPLE;
}

/* ---- tidying ---- */

/* "k in Z": what a parameter may be. */
static bool is_condition(const struct math_node *node)
{
    static const char *const sets[] = {"ZZ", "NN", "RR", "QQ", "CC", "Z", "N", "R"};
    if (!math_relation_is(node, 'E') || node->kids[1]->op != OP_SYMBOL) {
        return false;
    }
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        struct str name = node->kids[1]->text, set = str_of(sets[i]);
        if (str_starts(name, set) && (name.length == set.length || strchr("_^+", name.data[set.length]))) {
            return true;
        }
    }
    return false;
}

static struct math_node *list_without_conditions(struct math_check *check, struct math_node *list)
{
    int n = 0;
    for (int i = 0; i < list->n; i++) {
        n += !is_condition(list->kids[i]);
    }
    if (n == list->n || n == 0) {
        return list;
    }
    struct math_node *rest = math_node_copy(&check->work, list);
    n = 0;
    for (int i = 0; rest && i < list->n; i++) {
        if (!is_condition(list->kids[i])) {
            rest->kids[n++] = list->kids[i];
        }
    }
    if (rest) {
        rest->n = n;
    }
    return rest && n == 1 ? rest->kids[0] : rest;
}

/* (a, b) = (1, 2) as a = 1, b = 2. */
static struct math_node *split_names(struct math_check *check, struct math_node *relation)
{
    struct math_node *left = relation->kids[0], *right = relation->kids[1];
    bool tuples = math_relation_is(relation, '=') && (left->op == OP_TUPLE || left->op == OP_LIST) &&
                  (right->op == OP_TUPLE || right->op == OP_LIST) && left->n == right->n && math_relation_names(left);
    struct math_node *list = tuples ? math_node_new(&check->work, OP_LIST, left->n) : NULL;
    for (int i = 0; list && i < left->n; i++) {
        struct math_node *pair = math_node_2(&check->work, OP_RELATION, left->kids[i], right->kids[i]);
        if (!pair) {
            return NULL;
        }
        pair->text = STR("=");
        list->kids[i] = pair;
    }
    if (list) {
        list->code = ',';
    }
    return tuples ? list : relation;
}

/* A value with plus-minus as the list of its two values; of a list, all of them. */
static struct math_node *spread_signs(struct math_check *check, struct math_node *node)
{
    if (!math_node_has(node, OP_PLUS_MINUS) && !math_node_has(node, OP_MINUS_PLUS)) {
        return node;
    }
    bool many = node->op == OP_LIST || node->op == OP_SET;
    int n = many ? node->n : 1, count = 0;
    struct math_node *list = math_node_new(&check->work, many ? (enum math_op)node->op : OP_LIST, 2 * n);
    for (int i = 0; list && i < n; i++) {
        struct math_node *kid = many ? node->kids[i] : node;
        struct math_node *upper = math_node_signed(&check->work, kid, 1);
        list->kids[count++] = upper;
        if (upper && upper != kid) {
            list->kids[count] = math_node_signed(&check->work, kid, -1);
            upper = list->kids[count++];
        }
        list = upper ? list : NULL;
    }
    if (list) {
        list->n = count;
        list->code = many ? node->code : ',';
    }
    return list;
}

/* Members that occur twice count once. */
static struct math_node *once_each(struct math_check *check, struct math_node *set)
{
    struct math_node *copy = math_node_copy(&check->work, set);
    int n = 0;
    for (int i = 0; copy && i < set->n; i++) {
        int k = 0;
        while (k < n && !math_match(check, copy->kids[k], set->kids[i])) {
            k++;
        }
        copy->kids[n] = set->kids[i];
        n += k == n;
    }
    if (copy) {
        copy->n = n;
    }
    return copy;
}

/* NULL: it contradicts itself, or the check has no nodes left. */
static struct math_node *tidy(struct math_check *check, struct math_node *node)
{
    if (node->op == OP_RELATION) {
        struct math_node *worked_out = math_matrix_reduce(&check->work, node); /* |A| = -1 */
        node = math_relation_tidy(check, worked_out ? worked_out : node);
    }
    if (node && node->op == OP_RELATION) {
        node = math_relation_without_bars(check, node);
    } else if (node && node->op == OP_BUILDER && node->kids[1]->op == OP_RELATION) {
        struct math_node *condition = math_relation_without_bars(check, node->kids[1]);
        node = condition ? math_node_2(&check->work, OP_BUILDER, node->kids[0], condition) : NULL;
    }
    if (node && node->op == OP_RELATION) {
        node = split_names(check, node);
    }
    if (node && node->op == OP_LIST) {
        node = list_without_conditions(check, node);
    }
    if (node && node->op == OP_LIST && node->code == '|') { /* "7/2 or 3.5" */
        node = once_each(check, node);
        node = node && node->n == 1 ? node->kids[0] : node;
    }
    bool member =
        node && math_relation_is(node, 'E') && !is_condition(node) &&
        (node->kids[0]->op == OP_SYMBOL || node->kids[0]->op == OP_CALL ||
         (node->kids[0]->op == OP_TUPLE && math_relation_names(node->kids[0]) && is_collection(node->kids[1])));
    node = member ? node->kids[1] : node;
    bool transposed = node && node->op == OP_POW && node->kids[0]->op == OP_TUPLE && node->kids[1]->op == OP_SYMBOL &&
                      (str_equal(node->kids[1]->text, STR("T")) || str_equal(node->kids[1]->text, STR("top")));
    node = transposed ? node->kids[0] : node; /* (1, 2)^T */
    node = node ? spread_signs(check, node) : NULL;
    return node ? math_matrix_reduce(&check->work, node) : NULL;
}

/* ---- collections ---- */

/* The right sides of a list of "name = value", if every member is one. One name for all members ("x = 1, 2") is
 * enough. */
static struct math_node *without_names(struct math_check *check, struct math_node *list)
{
    struct str name = {0};
    bool all = true, one = true;
    for (int i = 0; i < list->n; i++) {
        struct math_node *kid = list->kids[i];
        bool named = math_relation_is(kid, '=') && math_relation_value(kid, false);
        all &= named;
        bool first = named && name.length == 0;
        one &= !named || (kid->kids[0]->op == OP_SYMBOL && (first || str_equal(name, kid->kids[0]->text)));
        name = first ? kid->kids[0]->text : name;
    }
    if (!all && !(one && name.length)) {
        return list;
    }
    struct math_node *copy = math_node_copy(&check->work, list);
    for (int i = 0; copy && i < list->n; i++) {
        struct math_node *value = list->kids[i]->op == OP_RELATION ? math_relation_value(list->kids[i], false) : NULL;
        copy->kids[i] = value ? value : list->kids[i];
    }
    return copy;
}

/* ---- named members ---- */

static struct str name_of(const struct math_node *list, int i)
{
    const struct math_node *kid = list->kids[i];
    return math_relation_is(kid, '=') && kid->kids[0]->op == OP_SYMBOL ? kid->kids[0]->text : (struct str){0};
}

/* The place of a name in its family: x, y, z; a, b, c; x_1, x_2. -1: it has none. */
static int place_of(struct str name)
{
    bool numbered = name.length == 3 && name.data[1] == '_' && name.data[2] >= '0' && name.data[2] <= '9';
    return name.length == 1 ? (unsigned char)name.data[0]
           : numbered       ? 1000 + name.data[0] * 10 + name.data[2] - '0'
                            : -1;
}

/* "y = 2, x = 1" in the order of its names, where these follow each other in the alphabet; else as it is. */
static struct math_node *by_name(struct math_check *check, struct math_node *list)
{
    int first = -1;
    for (int i = 0; i < list->n; i++) {
        int place = place_of(name_of(list, i));
        first = i == 0 || place < first ? place : first;
    }
    struct math_node *sorted = first >= 0 && list->op == OP_LIST ? math_node_copy(&check->work, list) : NULL;
    for (int i = 0; sorted && i < list->n; i++) {
        sorted->kids[i] = NULL;
    }
    for (int i = 0; sorted && i < list->n; i++) {
        int place = place_of(name_of(list, i)) - first;
        if (place < 0 || place >= list->n || sorted->kids[place]) {
            return list;
        }
        sorted->kids[place] = list->kids[i];
    }
    return sorted ? sorted : list;
}

/* "x = 1, x = 2" and "x_1 = 1, x_2 = 2": one letter for all of a list, that letter with numbers for all of the
 * other. */
static bool roots_of(const struct math_node *one, const struct math_node *many)
{
    struct str name = name_of(one, 0);
    for (int i = 0; i < one->n; i++) {
        if (name.length != 1 || !str_equal(name, name_of(one, i))) {
            return false;
        }
    }
    for (int i = 0; i < many->n; i++) {
        struct str other = name_of(many, i);
        if (place_of(other) < 1000 || other.data[0] != name.data[0]) {
            return false;
        }
    }
    return true;
}

static bool match_in_order(struct math_check *check, struct math_node **g, struct math_node **s, int n)
{
    for (int i = 0; i < n; i++) {
        if (!math_match(check, g[i], s[i])) {
            return false;
        }
    }
    return true;
}

/* Every member of g has one of its own in s. Equality is transitive, so the first that fits will do. */
static bool match_any_order(struct math_check *check, struct math_node **g, struct math_node **s, int n)
{
    bool used[MATH_MAX_ITEMS * 4] = {false};
    for (int i = 0; i < n; i++) {
        int k = 0;
        while (k < n && (used[k] || !math_match(check, g[i], s[k]))) {
            k++;
        }
        if (k == n || !math_work_pay(&check->work, 1)) {
            return false;
        }
        used[k] = true;
    }
    return true;
}

static bool brackets_agree(const struct math_node *g, const struct math_node *s)
{
    if (g->op != OP_TUPLE || s->op != OP_TUPLE || g->n != 2) {
        return true;
    }
    return (g->code == '[') == (s->code == '[') && (g->close == ']') == (s->close == ']');
}

static bool lists_equal(struct math_check *check, struct math_node *g, struct math_node *s)
{
    bool g_ordered = g->op == OP_TUPLE, s_ordered = s->op == OP_TUPLE;
    if ((g_ordered && s->op == OP_SET) || (s_ordered && g->op == OP_SET) ||
        (check->options->strict && g_ordered != s_ordered)) {
        return false;
    }
    g = g->op == OP_SET ? once_each(check, g) : g;
    s = s->op == OP_SET || (s->op == OP_LIST && s->n > g->n) ? once_each(check, s) : s;
    if (!g || !s || g->n != s->n || g->n > MATH_MAX_ITEMS * 4 || !brackets_agree(g, s)) {
        return false;
    }
    return g_ordered || s_ordered ? match_in_order(check, g->kids, s->kids, g->n)
                                  : match_any_order(check, g->kids, s->kids, g->n);
}

static bool collections_equal(struct math_check *check, struct math_node *g, struct math_node *s)
{
    if (!is_collection(g) || !is_collection(s)) {
        return false;
    }
    g = s->op == OP_TUPLE ? by_name(check, g) : g;
    s = g->op == OP_TUPLE ? by_name(check, s) : s;
    if (lists_equal(check, g, s)) {
        return true;
    }
    struct math_node *g_bare = without_names(check, g), *s_bare = without_names(check, s);
    if (!g_bare || !s_bare || (g_bare == g && s_bare == s)) {
        return false;
    }
    bool both_named = g_bare != g && s_bare != s && math_relation_is(g->kids[g->n - 1], '=') &&
                      math_relation_is(s->kids[s->n - 1], '=');
    return (!both_named || roots_of(g, s) || roots_of(s, g)) && lists_equal(check, g_bare, s_bare);
}

/* ---- matrices ---- */

/* A matrix against its rows, [[1, 2], [3, 4]]. */
static bool rows_equal(struct math_check *check, struct math_node *matrix, struct math_node *rows, bool gold)
{
    int columns = matrix->n / matrix->rows;
    for (int i = 0; i < matrix->rows; i++) {
        struct math_node *row = rows->kids[i], **cells = matrix->kids + (ptrdiff_t)i * columns;
        if (row->op != OP_TUPLE || row->code != '[' || row->n != columns ||
            !match_in_order(check, gold ? cells : row->kids, gold ? row->kids : cells, columns)) {
            return false;
        }
    }
    return true;
}

static bool matrices_equal(struct math_check *check, struct math_node *g, struct math_node *s)
{
    struct math_node *m = g->op == OP_MATRIX ? g : s, *other = g->op == OP_MATRIX ? s : g;
    if (other->op == OP_MATRIX) {
        return g->rows == s->rows && g->n == s->n && match_in_order(check, g->kids, s->kids, g->n);
    }
    if (other->op == OP_TUPLE && other->code == '[' && other->n == m->rows && other->kids[0]->op == OP_TUPLE) {
        return rows_equal(check, m, other, m == g);
    }
    bool vector = m->rows == 1 || m->rows == m->n;
    bool list =
        (other->op == OP_TUPLE || other->op == OP_LIST) && other->n == m->n && vector && !check->options->strict;
    other = list ? by_name(check, other) : other;
    return list && match_in_order(check, m == g ? m->kids : other->kids, m == g ? other->kids : m->kids, m->n);
}

/* ---- ratios and bases ---- */

/* 9:05, 21:30, 1:02:03: hours, then minutes of two digits. */
static bool is_clock(const struct math_node *ratio)
{
    bool clock = true, zero = false;
    for (int i = 0; i < ratio->n && clock; i++) {
        const struct math_node *kid = ratio->kids[i];
        int64_t value;
        clock = math_node_small(kid, &value) && kid->text.length <= 2 &&
                (i == 0 ? value <= 24 : kid->text.length == 2) && value < 60;
        zero |= i > 0 && clock && kid->text.data[0] == '0';
    }
    return clock && (ratio->n == 2 || zero);
}

static bool ratios_equal(struct math_check *check, struct math_node *g, struct math_node *s)
{
    if (is_clock(g) && is_clock(s)) { /* no ratio, as which 3:00 and 9:00 would be equal */
        for (int i = 0; i < g->n; i++) {
            if (math_value_zero(check, g->kids[i], s->kids[i]) != ZERO_YES) {
                return false;
            }
        }
        return true;
    }
    for (int i = 1; i < g->n; i++) {
        for (int k = 0; k < i; k++) { /* every two, since parts may be 0 */
            struct math_node *x = math_node_2(&check->work, OP_MUL, g->kids[k], s->kids[i]);
            struct math_node *y = math_node_2(&check->work, OP_MUL, g->kids[i], s->kids[k]);
            if (!x || !y || math_value_zero(check, x, y) != ZERO_YES) {
                return false;
            }
        }
    }
    return true;
}

/* "52"; "1A", which is read as 1 times A. */
static struct str digits_of(struct math_check *check, const struct math_node *node)
{
    if (node->op == OP_MUL && node->n == 2 && node->kids[1]->op == OP_SYMBOL && node->kids[1]->text.length == 1) {
        struct str first = digits_of(check, node->kids[0]), last = node->kids[1]->text;
        return first.length ? str_of(arena_printf(check->work.arena, "%.*s%.*s", (int)first.length, first.data,
                                                  (int)last.length, last.data))
                            : first;
    }
    bool plain = node->op == OP_BASED || (node->op == OP_NUMBER && node->exponent == 0);
    return plain ? node->text : (struct str){0};
}

static bool based_equal(struct math_check *check, struct math_node *g, struct math_node *s)
{
    if (g->op != OP_BASED || s->op != OP_BASED) {
        struct str digits = digits_of(check, g);
        return digits.length && str_equal(digits, digits_of(check, s));
    }
    if (math_node_same(g->kids[0], s->kids[0])) {
        return str_equal(g->text, s->text);
    }
    return math_value_zero(check, g, s) == ZERO_YES;
}

/* ---- words ---- */

/* Adjacent letters, or words, as one word. */
static void add_letters(const struct math_node *node, struct strbuf *out)
{
    if (node->op == OP_TEXT || node->op == OP_SYMBOL || node->op == OP_E || node->op == OP_I) {
        strbuf_add_str(out, node->text);
    }
    for (int i = 0; i < node->n; i++) {
        add_letters(node->kids[i], out);
    }
}

static bool only_letters(const struct math_node *node)
{
    bool letters =
        node->op == OP_TEXT || node->op == OP_SYMBOL || node->op == OP_MUL || node->op == OP_E || node->op == OP_I;
    for (int i = 0; i < node->n && letters; i++) {
        letters = only_letters(node->kids[i]);
    }
    return letters;
}

static bool words_equal(struct math_check *check, struct math_node *g, struct math_node *s)
{
    if (!only_letters(g) || !only_letters(s)) {
        return false;
    }
    struct strbuf x = STRBUF_INIT, y = STRBUF_INIT;
    add_letters(g, &x);
    add_letters(s, &y);
    struct str a = math_text_fold(strbuf_view(&x), check->work.arena),
               b = math_text_fold(strbuf_view(&y), check->work.arena);
    strbuf_release(&x);
    strbuf_release(&y);
    check->path = "words";
    return a.length && str_equal(a, b);
}

/* ---- parameters ---- */

/* k pi and n pi: the one whole-number parameter may have another name where the reference repeats with pi or
 * degrees. */
static struct math_node *rename_parameter(struct math_check *check, struct math_node *g, struct math_node *s)
{
    struct str a[3], b[3];
    if ((!math_node_has(g, OP_PI) && !math_node_has(g, OP_DEGREE)) || math_node_symbols(g, a, 3, 0) != 1 ||
        math_node_symbols(s, b, 3, 0) != 1) {
        return s;
    }
    bool whole = a[0].length == 1 && b[0].length == 1 && strchr("kmnlt", a[0].data[0]) && strchr("kmnlt", b[0].data[0]);
    struct math_node *name = whole && !str_equal(a[0], b[0]) ? math_node_new(&check->work, OP_SYMBOL, 0) : NULL;
    if (!name) {
        return s;
    }
    name->text = a[0];
    struct math_node *renamed = math_node_replace(&check->work, s, b[0], name);
    return renamed ? renamed : s;
}

/* ---- constants of integration ---- */

/* A term that may be one: C, c, K, C_1, const; of an answer any letter that is no usual variable. */
static bool is_free_constant(const struct math_node *term, bool gold)
{
    term = term->op == OP_NEG ? term->kids[0] : term;
    struct str name = term->text;
    if (term->op == OP_TEXT) {
        return str_equal(name, STR("const")) || str_equal(name, STR("constant"));
    }
    bool letter =
        term->op == OP_SYMBOL && name.length > 0 && (name.length == 1 || (name.length == 3 && name.data[1] == '_'));
    return letter && (gold ? strchr("CcKk", name.data[0]) != NULL : strchr("xyztuvwrsn", name.data[0]) == NULL);
}

/* The sum without its one free constant, which is in no other term; NULL: it has none. */
static struct math_node *without_constant(struct math_check *check, const struct math_node *sum, bool gold)
{
    int at = -1, n = 0;
    for (int i = 0; sum->op == OP_ADD && i < sum->n; i++) {
        bool free = is_free_constant(sum->kids[i], gold);
        n += free;
        at = free ? i : at;
    }
    struct math_node *rest = n == 1 ? math_node_copy(&check->work, sum) : NULL;
    for (int i = at; rest && i + 1 < rest->n; i++) {
        rest->kids[i] = sum->kids[i + 1];
    }
    if (!rest) {
        return NULL;
    }
    rest->n--;
    const struct math_node *constant = sum->kids[at]->op == OP_NEG ? sum->kids[at]->kids[0] : sum->kids[at];
    rest = rest->n == 1 ? rest->kids[0] : rest;
    return math_node_has_symbol(rest, constant->text) ? NULL : rest;
}

/* x^2 + C and x^2 + c: an antiderivative's constant has no name of its own. Its variable is one that is integrated
 * over. */
static bool antiderivatives_equal(struct math_check *check, struct math_node *g, struct math_node *s)
{
    struct str names[2];
    struct math_node *a = without_constant(check, g, true), *b = a ? without_constant(check, s, false) : NULL;
    bool one = b && math_node_symbols(a, names, 2, 0) == 1;
    static const char *const variables[] = {"x", "t", "u", "y", "z", "v", "w", "s", "r", "theta"};
    for (size_t i = 0; one && i < sizeof variables / sizeof *variables; i++) {
        if (str_equal(names[0], str_of(variables[i]))) {
            return math_value_equal(check, a, b);
        }
    }
    return false;
}

/* ---- the whole ---- */

static bool match_relations(struct math_check *check, struct math_node *g, struct math_node *s)
{
    if (g->op == OP_RELATION && s->op == OP_RELATION) {
        return math_relation_equal(check, g, s, math_match);
    }
    struct math_node *value = g->op == OP_RELATION ? math_relation_value(g, false) : math_relation_value(s, true);
    if (!value) {
        return false;
    }
    return g->op == OP_RELATION ? math_match(check, value, s) : math_match(check, g, value);
}

static bool match_tidy(struct math_check *check, struct math_node *g, struct math_node *s)
{
    enum math_zero sets = math_set_equal(check, g, s);
    if (sets != ZERO_UNKNOWN) {
        check->path = "set";
        return sets == ZERO_YES;
    }
    if (g->op == OP_RELATION || s->op == OP_RELATION) {
        return match_relations(check, g, s);
    }
    if (g->op == OP_MATRIX || s->op == OP_MATRIX) {
        return matrices_equal(check, g, s);
    }
    if (is_collection(g) || is_collection(s)) {
        return collections_equal(check, g, s);
    }
    if (g->op == OP_TEXT || s->op == OP_TEXT) {
        return words_equal(check, g, s);
    }
    if (g->op == OP_BASED || s->op == OP_BASED) {
        return based_equal(check, g, s);
    }
    if (g->op == OP_RATIO && s->op == OP_RATIO && g->n == s->n) {
        return ratios_equal(check, g, s);
    }
    bool same_shape = g->op == s->op && g->n == s->n && g->op > OP_RATIO;
    if (same_shape && g->op != OP_LIST) {
        return match_in_order(check, g->kids, s->kids, g->n);
    }
    return math_amount_equal(check, g, s) || antiderivatives_equal(check, g, s);
}

bool math_match(struct math_check *check, struct math_node *gold, struct math_node *said)
{
    if (!math_work_pay(&check->work, 2)) {
        return false;
    }
    if (math_node_same(gold, said)) {
        check->path = "text";
        return true;
    }
    struct math_node *g = tidy(check, gold), *s = tidy(check, said);
    if (!g || !s) {
        return false;
    }
    if (match_tidy(check, g, s)) {
        return true;
    }
    struct math_node *renamed = rename_parameter(check, g, s);
    return renamed != s && match_tidy(check, g, renamed);
}

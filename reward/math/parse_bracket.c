/* reward/math/parse_bracket.c - brackets of any form; matrices.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "reward/math/parser.h"

struct math_node *math_parser_close(struct math_parser *p, struct math_node *inside, enum math_token_kind kind,
                                    char code)
{
    if (inside && !math_parser_is(p, kind, code)) {
        return math_parser_fail(p, "a bracket is open");
    }
    p->at += inside != NULL;
    return inside;
}

/* The inside of an open brace, "}" included. A brace that the text does not close ends with it. */
struct math_node *math_parser_braces(struct math_parser *p)
{
    bool divider = p->divider;
    int bars = p->bars;
    p->divider = false;
    p->bars = 0;
    p->at++;
    struct math_node *inside = math_parser_list(p);
    p->divider = divider;
    p->bars = bars;
    if (inside && math_parser_token(p)->kind == TOKEN_END) {
        return inside;
    }
    return math_parser_close(p, inside, TOKEN_CLOSE, '}');
}

static struct math_node *enclosed(struct math_parser *p, struct math_node *inside, char open, char close)
{
    bool many = inside->op == OP_LIST;
    if (!many && open != 'S') {
        return inside;
    }
    struct math_kids kids = {many ? inside->kids : &inside, many ? inside->n : 1, 0};
    struct math_node *node = math_parser_node(p, open == 'S' ? OP_SET : OP_TUPLE, &kids);
    if (node && open != 'S') {
        node->code = (uint8_t)open;
        node->close = (uint8_t)close;
    }
    return node;
}

/* \{ x | x > 0 \}, \{ x : x > 0 \}, after the head. */
static struct math_node *parse_builder(struct math_parser *p, struct math_node *head, char close)
{
    p->at++;
    struct math_node *condition = math_parser_list(p);
    return math_parser_close(p, condition ? math_node_2(p->work, OP_BUILDER, head, condition) : NULL, TOKEN_CLOSE,
                             close);
}

/* From \{ on, or from a plain brace with a set-builder inside ("{x | x > 1}"). */
static struct math_node *parse_set(struct math_parser *p)
{
    bool divider = p->divider;
    int bars = p->bars;
    char close = math_parser_is(p, TOKEN_OPEN, 'S') ? 'S' : '}';
    p->at++;
    if (math_parser_is(p, TOKEN_CLOSE, 'S')) {
        p->at++;
        return math_parser_named(p, STR("emptyset"));
    }
    p->divider = true;
    p->bars = 0;
    struct math_node *inside = math_parser_list(p);
    p->divider = false;
    bool builds = inside && (math_parser_token(p)->kind == TOKEN_BAR || math_parser_is(p, TOKEN_OPERATOR, ':'));
    struct math_node *set = builds   ? parse_builder(p, inside, close)
                            : inside ? math_parser_close(p, enclosed(p, inside, 'S', 'S'), TOKEN_CLOSE, close)
                                     : NULL;
    p->divider = divider;
    p->bars = bars;
    return set;
}

struct math_node *math_parser_bars(struct math_parser *p, bool named_bars)
{
    bool divider = p->divider;
    p->divider = false;
    p->at++;
    p->bars += !named_bars;
    struct math_node *inside = math_parser_sum(p);
    p->bars -= !named_bars;
    p->divider = divider;
    inside = named_bars ? math_parser_close(p, inside, TOKEN_CLOSE, '|') : math_parser_close(p, inside, TOKEN_BAR, 0);
    return inside ? math_node_function(p->work, FUNCTION_ABS, inside, NULL) : NULL;
}

static struct math_node *parse_round(struct math_parser *p, char open)
{
    bool divider = p->divider;
    int bars = p->bars;
    p->divider = false;
    p->bars = 0;
    p->at++;
    struct math_node *inside = math_parser_list(p);
    p->divider = divider;
    p->bars = bars;
    const struct math_token *close = math_parser_token(p);
    if (!inside || close->kind != TOKEN_CLOSE || !strchr(")]>", close->code)) {
        return math_parser_fail(p, "a bracket is open");
    }
    char code = (char)close->code;
    p->at++;
    return enclosed(p, inside, open, code);
}

static struct math_node *parse_rounding(struct math_parser *p, char code)
{
    p->at++;
    struct math_node *inside = math_parser_close(p, math_parser_sum(p), TOKEN_CLOSE, code);
    return inside ? math_node_function(p->work, code == 'F' ? FUNCTION_FLOOR : FUNCTION_CEIL, inside, NULL) : NULL;
}

/* {}_n C_k, at "_" */
struct math_node *math_parser_before_choose(struct math_parser *p)
{
    if (!math_parser_is(p, TOKEN_OPERATOR, '_') && !math_parser_is(p, TOKEN_OPERATOR, '^')) {
        return math_parser_fail(p, "not an expression");
    }
    p->at++;
    struct math_node *n = math_parser_argument(p);
    const struct math_token *t = math_parser_token(p);
    if (!n || t->kind != TOKEN_SYMBOL || !str_equal(t->text, STR("C")) || p->list[p->at + 1].code != '_') {
        return math_parser_fail(p, "not an expression");
    }
    p->at += 2;
    return math_parser_choose(p, n);
}

struct math_node *math_parser_open(struct math_parser *p)
{
    char code = (char)math_parser_token(p)->code;
    switch (code) {
    case '{':
        if (p->list[p->at + 1].kind == TOKEN_CLOSE) {
            p->at += 2;
            bool before = math_parser_is(p, TOKEN_OPERATOR, '_') || math_parser_is(p, TOKEN_OPERATOR, '^');
            return before ? math_parser_before_choose(p) : math_parser_atom(p);
        }
        if (p->list[p->at + 1].kind == TOKEN_SYMBOL && p->list[p->at + 2].kind == TOKEN_BAR &&
            p->list[p->at + 3].kind == TOKEN_SYMBOL) {
            return parse_set(p);
        }
        return math_parser_braces(p);
    case 'S': return parse_set(p);
    case '|': return math_parser_bars(p, true);
    case 'F':
    case 'C': return parse_rounding(p, code);
    default: return parse_round(p, code);
    }
}

/* ---- matrices ---- */

static char matrix_code(struct str name)
{
    if (str_equal(name, STR("vmatrix")) || str_equal(name, STR("Vmatrix"))) {
        return 'v';
    }
    return str_ends(name, STR("matrix")) || str_equal(name, STR("array")) ? 'm' : 'c';
}

struct math_node *math_parser_matrix(struct math_parser *p)
{
    char code = matrix_code(math_parser_token(p)->text);
    struct math_kids cells = {0};
    int rows = 1, columns = 0, column = 0;
    for (p->at++; math_parser_token(p)->kind != TOKEN_FINISH;) {
        if (!math_parser_push(p, &cells, math_parser_list(p))) {
            return NULL;
        }
        column++;
        enum math_token_kind kind = (enum math_token_kind)math_parser_token(p)->kind;
        bool last_row = kind == TOKEN_ROW && p->list[p->at + 1].kind == TOKEN_FINISH;
        if (kind == TOKEN_CELL) {
            p->at++;
            continue;
        }
        if (kind != TOKEN_ROW && kind != TOKEN_FINISH) {
            return math_parser_fail(p, "not a matrix");
        }
        if (columns && column != columns) {
            return math_parser_fail(p, "rows of different lengths");
        }
        columns = column;
        column = 0;
        rows += kind == TOKEN_ROW && !last_row;
        p->at += kind == TOKEN_ROW;
    }
    p->at++;
    struct math_node *matrix = cells.n ? math_parser_node(p, OP_MATRIX, &cells) : NULL;
    if (!matrix || matrix->n != rows * columns) {
        return math_parser_fail(p, "not a matrix");
    }
    matrix->rows = rows;
    matrix->code = (uint8_t)code;
    return matrix;
}

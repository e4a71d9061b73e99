/* reward/math/parse_number.c - numbers that are more than a run of digits: repeating, mixed, in a base.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "reward/math/parser.h"
#include "reward/math/units.h"

struct math_node *math_parser_number_node(struct math_parser *p, struct str digits, int exponent)
{
    struct math_node *node = math_node_new(p->work, OP_NUMBER, 0);
    if (!node) {
        return math_parser_fail(p, "too many parts");
    }
    node->text = digits;
    node->exponent = exponent;
    return node;
}

/* 0.3(6): digits in round brackets right after decimal places; without blanks they would be a product otherwise. */
static bool round_ahead(const struct math_token *t, struct str digits)
{
    bool leading = digits.length > 1 && digits.data[0] == '0' && digits.data[1] == '.';
    return t->kind == TOKEN_OPEN && t->code == '(' && !t->space && (digits.data[digits.length - 1] == '.' || leading);
}

/* 0.\dot{3}\dot{6} and 0.\dot3\dot6: more digits under dots, the next of which comes after the ones read. */
static struct str more_dots(struct math_parser *p, struct str again)
{
    struct strbuf all = STRBUF_INIT;
    strbuf_add_str(&all, again);
    while (math_parser_is(p, TOKEN_COMMAND, 'a') && str_equal(math_parser_token(p)->text, STR("dot"))) {
        bool braced = math_parser_is(p, TOKEN_COMMAND, 'a') && p->list[p->at + 1].kind == TOKEN_OPEN;
        const struct math_token *t = &p->list[p->at + 1 + braced];
        if (t->kind != TOKEN_NUMBER || (braced && t[1].kind != TOKEN_CLOSE)) {
            break;
        }
        strbuf_add_str(&all, t->text);
        p->at += 2 + 2 * braced;
    }
    return math_parser_keep(p, &all);
}

/* 0.1\overline{6}, 0.(3), 0.\dot{3}: the digits that repeat, taken off the tokens; empty: none. */
static struct str repeating(struct math_parser *p, struct str digits)
{
    const struct math_token *t = math_parser_token(p);
    bool point = memchr(digits.data, '.', digits.length) != NULL;
    bool over = t->kind == TOKEN_COMMAND && (t->code == 'o' || (t->code == 'a' && str_equal(t->text, STR("dot"))));
    bool round = round_ahead(t, digits), bare = over && t[1].kind == TOKEN_NUMBER;
    const struct math_token *inside = t + (over && !bare ? 2 : 1);
    if (!point || (!over && !round) || (over && !bare && inside[-1].kind != TOKEN_OPEN) ||
        inside->kind != TOKEN_NUMBER || (!bare && inside[1].kind != TOKEN_CLOSE) ||
        memchr(inside->text.data, '.', inside->text.length)) {
        return (struct str){0};
    }
    p->at += bare ? 2 : over ? 4 : 3;
    return over ? more_dots(p, inside->text) : inside->text;
}

/* "0.1666...": the length of the block that repeats at the end of the places: one digit three times, or
 * two if there is nothing else; more digits twice if there is nothing else, or three times. 0: there is none. */
static size_t block_again(struct str places)
{
    for (size_t length = 1; length * 2 <= places.length; length++) {
        size_t times = 1;
        const char *last = places.data + places.length - length;
        while ((times + 1) * length <= places.length && memcmp(last - times * length, last, length) == 0) {
            times++;
        }
        if (times >= 3 || (times == 2 && places.length == 2 * length)) {
            return length;
        }
    }
    return 0;
}

static bool ends_value(const struct math_token *t)
{
    return t->kind == TOKEN_END || t->kind == TOKEN_CLOSE || t->kind == TOKEN_SEPARATOR || t->kind == TOKEN_RELATION ||
           t->kind == TOKEN_GAP || t->kind == TOKEN_TEXT || (t->kind == TOKEN_OPERATOR && t->code == '%');
}

/* 0.333...: the digits that repeat; the number without them goes into *digits. Dots after other places are left out. */
static struct str dotted(struct math_parser *p, struct str *digits)
{
    const char *point = memchr(digits->data, '.', digits->length);
    if (!point || math_parser_token(p)->kind != TOKEN_DOTS || !ends_value(&p->list[p->at + 1])) {
        return (struct str){0};
    }
    struct str places = str_slice(*digits, (size_t)(point - digits->data) + 1, digits->length);
    size_t block = block_again(places);
    p->at += places.length > 0;
    *digits = str_slice(*digits, 0, digits->length - block);
    return str_slice(places, places.length - block, places.length);
}

/* a.b(c) is a.b + c / (99..9 00..0). */
static struct math_node *repeating_node(struct math_parser *p, struct str digits, struct str again)
{
    size_t point = (size_t)((const char *)memchr(digits.data, '.', digits.length) - digits.data);
    int places = (int)(digits.length - point - 1);
    char *nines = arena_alloc(p->work->arena, again.length);
    memset(nines, '9', again.length);
    struct math_node *top = math_parser_number_node(p, again, 0),
                     *bottom = math_parser_number_node(p, (struct str){nines, again.length}, places);
    struct math_node *rest = top && bottom ? math_node_2(p->work, OP_DIV, top, bottom) : NULL;
    digits = places ? digits : str_slice(digits, 0, point);
    struct math_node *first = math_parser_number_node(p, digits.length ? digits : STR("0"), 0);
    return rest && first ? math_node_2(p->work, OP_ADD, first, rest) : NULL;
}

static bool proper(const struct math_node *fraction)
{
    int64_t top, bottom;
    return fraction->op == OP_DIV && math_node_small(fraction->kids[0], &top) &&
           math_node_small(fraction->kids[1], &bottom) && top < bottom && top > 0;
}

/* After a whole number: \frac12, or " 1/2". NULL: no fraction follows, or it is not proper, and nothing is read. */
static struct math_node *mixed_part(struct math_parser *p)
{
    int at = p->at;
    struct math_node *part = NULL;
    if (math_parser_is(p, TOKEN_COMMAND, 'f')) {
        struct math_token saved[2] = {p->list[at + 1], p->list[at + 2]};
        part = math_parser_atom(p);
        if (!part || !proper(part)) {
            p->list[at + 1] = saved[0];
            p->list[at + 2] = saved[1];
            part = NULL;
        }
    } else if (math_parser_token(p)->kind == TOKEN_NUMBER && math_parser_token(p)->space &&
               p->list[at + 1].kind == TOKEN_OPERATOR && p->list[at + 1].code == '/' &&
               p->list[at + 2].kind == TOKEN_NUMBER) {
        struct math_node *top = math_parser_number_node(p, p->list[at].text, 0),
                         *bottom = math_parser_number_node(p, p->list[at + 2].text, 0);
        part = top && bottom ? math_node_2(p->work, OP_DIV, top, bottom) : NULL;
        part = part && proper(part) ? part : NULL;
        p->at += 3;
    }
    p->at = part ? p->at : at;
    return part;
}

/* "123_{five}" */
static void base_in_words(struct math_parser *p, struct math_node *base)
{
    int n = base->op == OP_TEXT ? math_units_number(base->text) : -1;
    if (n > 1) {
        base->op = OP_NUMBER;
        base->text = str_of(arena_printf(p->work->arena, "%d", n));
    }
}

struct math_node *math_parser_based(struct math_parser *p, const struct math_node *number)
{
    p->at++;
    struct math_node *base = math_parser_argument(p);
    if (base) {
        base_in_words(p, base);
    }
    struct math_node *based = base ? math_node_1(p->work, OP_BASED, base) : NULL;
    if (based) {
        based->text = number->text;
    }
    return based;
}

/* "52 base 8", "52 (base 8)": after the digits. */
static struct math_node *parse_base_word(struct math_parser *p, struct math_node *number)
{
    const struct math_token *t = math_parser_token(p);
    bool round = t->kind == TOKEN_OPEN && t->code == '(';
    t += round;
    if (t->kind != TOKEN_TEXT || !str_equal(t->text, STR("base")) || t[1].kind != TOKEN_NUMBER ||
        (round && t[2].kind != TOKEN_CLOSE)) {
        return NULL;
    }
    struct math_node *base = math_parser_number_node(p, t[1].text, 0);
    struct math_node *based = base ? math_node_1(p->work, OP_BASED, base) : NULL;
    if (based) {
        based->text = number->text;
        p->at += round ? 4 : 2;
    }
    return based;
}

struct math_node *math_parser_number(struct math_parser *p)
{
    const struct math_token *t = math_parser_token(p);
    struct str digits = t->text;
    int exponent = t->exponent;
    p->at++;
    struct str again = exponent == 0 ? repeating(p, digits) : (struct str){0};
    again = again.length || exponent ? again : dotted(p, &digits);
    if (again.length) {
        return repeating_node(p, digits, again);
    }
    struct math_node *number = math_parser_number_node(p, digits, exponent);
    if (number && !exponent && math_parser_is(p, TOKEN_OPERATOR, '_')) {
        return math_parser_based(p, number);
    }
    if (!number || exponent || memchr(digits.data, '.', digits.length)) {
        return number;
    }
    struct math_node *based = parse_base_word(p, number);
    if (based) {
        return based;
    }
    struct math_node *part = mixed_part(p);
    return part ? math_node_2(p->work, OP_ADD, number, part) : p->wrong ? NULL : number;
}

/* reward/math/parse_atom.c - names and commands; signs and powers around them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "reward/math/parser.h"

/* What a command takes: braces, one digit, or one atom. */
struct math_node *math_parser_argument(struct math_parser *p)
{
    struct math_token *t = math_parser_token(p);
    if (math_parser_is(p, TOKEN_OPEN, '{')) {
        return math_parser_braces(p);
    }
    if (t->kind == TOKEN_NUMBER && t->text.length > 1 && t->exponent == 0) {
        struct math_node *digit = math_node_new(p->work, OP_NUMBER, 0);
        if (digit) {
            digit->text = str_slice(t->text, 0, 1);
            t->text = str_slice(t->text, 1, t->text.length);
        }
        return digit;
    }
    return math_parser_atom(p);
}

/* ---- names ---- */

/* The tokens of a subscript as a name: "n-1", "max". */
static void add_tokens(struct strbuf *name, const struct math_token *list, int begin, int end)
{
    for (int i = begin; i < end; i++) {
        if (list[i].kind != TOKEN_OPEN || list[i].code != '{') {
            if (list[i].kind != TOKEN_CLOSE || list[i].code != '}') {
                strbuf_add_str(name, list[i].text);
            }
        }
    }
}

/* After "_": where the subscript ends. */
static int subscript_end(const struct math_parser *p, int at)
{
    const struct math_token *t = &p->list[at];
    if (t->kind == TOKEN_OPEN && t->code == '{') {
        return t->match >= at ? t->match + 1 : at;
    }
    return t->kind == TOKEN_NUMBER || t->kind == TOKEN_SYMBOL || t->kind == TOKEN_TEXT || t->kind == TOKEN_FUNCTION
               ? at + 1
               : at;
}

struct math_node *math_parser_named(struct math_parser *p, struct str name)
{
    static const struct {
        struct str name;
        enum math_op op;
    } constants[] = {{{"pi", 2}, OP_PI}, {{"e", 1}, OP_E}, {{"i", 1}, OP_I}, {{"infinity", 8}, OP_INFINITY}};
    enum math_op op = OP_SYMBOL;
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        op = str_equal(name, constants[i].name) ? constants[i].op : op;
    }
    op = op == OP_I && p->index_i ? OP_SYMBOL : op;
    struct math_node *node = math_node_new(p->work, op, 0);
    if (node) {
        node->text = name;
    }
    return node ? node : math_parser_fail(p, "too many parts");
}

struct str math_parser_keep(struct math_parser *p, struct strbuf *name)
{
    struct str kept = {arena_strndup(p->work->arena, name->data, name->length), name->length};
    strbuf_release(name);
    return kept;
}

/* C_n^k and {}_nC_k. */
struct math_node *math_parser_choose(struct math_parser *p, struct math_node *n)
{
    struct math_node *k = math_parser_argument(p);
    return k ? math_node_function(p->work, FUNCTION_BINOMIAL, n, k) : NULL;
}

static bool binomial_ahead(const struct math_parser *p, int after)
{
    const struct math_token *n = &p->list[p->at + 1];
    n += n->kind == TOKEN_OPEN;
    const struct math_token *k = &p->list[after + 1];
    k += k->kind == TOKEN_OPEN;
    int64_t upper = 1000, lower = 0;
    for (int side = 0; side < 2; side++) {
        const struct math_token *t = side ? k : n;
        if (t->kind == TOKEN_NUMBER) {
            struct math_node digits = {.op = OP_NUMBER, .text = t->text};
            if (!math_node_small(&digits, side ? &lower : &upper)) {
                return false;
            }
        } else if (t->kind != TOKEN_SYMBOL) {
            return false;
        }
    }
    return lower <= upper && !(n->kind == TOKEN_NUMBER && k->kind == TOKEN_SYMBOL);
}

/* f^{-1}( and f^-1(: the tokens of the exponent; 0: it is no inverse function. */
static int inverse_ahead(const struct math_parser *p, struct str name)
{
    const struct math_token *t = &p->list[p->at];
    if (name.length != 1 || !strchr("fghFGH", name.data[0]) || t->kind != TOKEN_OPERATOR || t->code != '^') {
        return 0;
    }
    bool braced = t[1].kind == TOKEN_OPEN && t[1].code == '{';
    const struct math_token *minus = t + (braced ? 2 : 1);
    bool one = minus->kind == TOKEN_OPERATOR && minus->code == '-' && minus[1].kind == TOKEN_NUMBER &&
               str_equal(minus[1].text, STR("1"));
    const struct math_token *after = minus + (braced ? 3 : 2);
    return one && after->kind == TOKEN_OPEN && after->code == '(' ? (int)(after - t) : 0;
}

/* "v^2_0" at a "^": puts the subscript in front, since it belongs to the name. False: no subscript follows. */
static bool turn_scripts(struct math_parser *p)
{
    int begin = p->at, middle = subscript_end(p, begin + 1);
    if (!math_parser_is(p, TOKEN_OPERATOR, '^') || middle == begin + 1 || p->list[middle].kind != TOKEN_OPERATOR ||
        p->list[middle].code != '_') {
        return false;
    }
    int end = subscript_end(p, middle + 1), n = end - middle;
    struct math_token *moved =
        end > middle + 1 ? arena_copy(p->work->arena, p->list + middle, (size_t)n * sizeof *moved) : NULL;
    if (!moved) {
        return false;
    }
    memmove(p->list + begin + n, p->list + begin, (size_t)(middle - begin) * sizeof *moved);
    memcpy(p->list + begin, moved, (size_t)n * sizeof *moved);
    for (int i = begin; i < end; i++) {
        p->list[i].match += p->list[i].match < 0 ? 0 : i < begin + n ? begin - middle : n;
    }
    return true;
}

/* A name with its subscripts and primes. */
static struct math_node *parse_name(struct math_parser *p)
{
    struct str first = math_parser_token(p)->text;
    p->at++;
    struct strbuf name = STRBUF_INIT;
    strbuf_add_str(&name, first);
    for (;;) {
        if (math_parser_is(p, TOKEN_OPERATOR, '_') || turn_scripts(p)) {
            int end = subscript_end(p, p->at + 1);
            if (end == p->at + 1) {
                break;
            }
            bool raised = p->list[end].kind == TOKEN_OPERATOR && p->list[end].code == '^';
            if (str_equal(first, STR("C")) && name.length == 1 && raised && binomial_ahead(p, end)) {
                strbuf_release(&name);
                p->at++;
                struct math_node *n = math_parser_argument(p);
                p->at++;
                return n ? math_parser_choose(p, n) : NULL;
            }
            strbuf_putc(&name, '_');
            add_tokens(&name, p->list, p->at + 1, end);
            p->at = end;
        } else if (math_parser_is(p, TOKEN_OPERATOR, '\'')) {
            strbuf_putc(&name, '\'');
            p->at++;
        } else if (math_parser_is(p, TOKEN_OPERATOR, '^') && p->list[p->at + 1].kind == TOKEN_OPEN &&
                   p->list[p->at + 2].kind == TOKEN_OPERATOR && p->list[p->at + 2].code == '\'') {
            int end = p->list[p->at + 1].match;
            for (int i = p->at + 2; i < end; i++) {
                strbuf_putc(&name, '\'');
            }
            p->at = end > p->at ? end + 1 : p->at + 3;
        } else if (inverse_ahead(p, strbuf_view(&name))) {
            p->at += inverse_ahead(p, strbuf_view(&name));
            strbuf_puts(&name, "_inverse");
        } else {
            break;
        }
    }
    return math_parser_named(p, math_parser_keep(p, &name));
}

/* Is the bracket at hand the argument of the name before it: of f, g, h, or of any name that is being defined? */
static bool call_ahead(const struct math_parser *p, const struct math_node *name)
{
    const struct math_token *open = math_parser_token((struct math_parser *)p);
    if (name->op != OP_SYMBOL || open->kind != TOKEN_OPEN || open->code != '(' || open->match < 0) {
        return false;
    }
    const struct math_token *after = &p->list[open->match + 1];
    bool defined = after->kind == TOKEN_RELATION && after->code == '=';
    bool usual = name->text.length > 0 && strchr("fghFGH", name->text.data[0]) &&
                 (name->text.length == 1 || strchr("_'", name->text.data[1]));
    return usual || defined;
}

static struct math_node *parse_call(struct math_parser *p, struct math_node *name)
{
    p->at++;
    struct math_kids kids = {0};
    do {
        p->at += kids.n > 0;
        if (!math_parser_push(p, &kids, math_parser_item(p))) {
            return NULL;
        }
    } while (math_parser_is(p, TOKEN_SEPARATOR, ','));
    struct math_node *call = math_parser_close(p, math_parser_node(p, OP_CALL, &kids), TOKEN_CLOSE, ')');
    if (call) {
        call->text = name->text;
    }
    return call;
}

/* ---- commands ---- */

static struct math_node *parse_root(struct math_parser *p)
{
    struct math_node *degree = NULL, *radicand;
    p->at++;
    if (math_parser_is(p, TOKEN_OPEN, '[') && math_parser_token(p)->match > 0 &&
        math_parser_starts_factor(&(struct math_parser){.list = p->list, .at = math_parser_token(p)->match + 1})) {
        degree = math_parser_open(p);
        if (!degree) {
            return NULL;
        }
    }
    bool number = math_parser_token(p)->kind == TOKEN_NUMBER;
    radicand = math_parser_is(p, TOKEN_OPEN, '{') ? math_parser_braces(p)
               : number                           ? math_parser_number(p)
                                                  : math_parser_atom(p);
    if (!radicand) {
        return NULL;
    }
    return degree ? math_node_2(p->work, OP_ROOT, radicand, degree) : math_node_1(p->work, OP_ROOT, radicand);
}

/* \sum_{k=1}^{n} term, \prod, \int, \lim. Bounds that are no "index = first" make it a call of an unknown function. */
static struct math_node *parse_big(struct math_parser *p, char code)
{
    struct str name = math_parser_token(p)->text;
    struct math_kids kids = {0};
    p->at++;
    for (int i = 0; i < 2; i++) {
        if (math_parser_is(p, TOKEN_OPERATOR, '_') || math_parser_is(p, TOKEN_OPERATOR, '^')) {
            p->at++;
            if (!math_parser_push(p, &kids, math_parser_argument(p))) {
                return NULL;
            }
        }
    }
    const struct math_node *from = kids.n == 2 ? kids.list[0] : NULL;
    bool counted = (code == 'S' || code == 'P') && from && from->op == OP_RELATION && from->n == 2 &&
                   from->text.data[0] == '=' && (from->kids[0]->op == OP_SYMBOL || from->kids[0]->op == OP_I);
    bool index_i = p->index_i;
    p->index_i = index_i || (counted && from->kids[0]->op == OP_I);
    struct math_node *term = math_parser_term(p);
    struct math_node *index = counted ? math_parser_named(p, from->kids[0]->text) : NULL;
    p->index_i = index_i;
    if (!term || (counted && !index)) {
        return NULL;
    }
    if (counted) {
        struct math_node *parts[] = {index, from->kids[1], kids.list[1], term};
        return math_parser_node(p, code == 'S' ? OP_SUM : OP_PRODUCT, &(struct math_kids){parts, 4, 4});
    }
    struct math_node *call = math_parser_push(p, &kids, term) ? math_parser_node(p, OP_CALL, &kids) : NULL;
    if (call) {
        call->text = name;
    }
    return call;
}

static struct math_node *parse_accent(struct math_parser *p)
{
    struct str accent = math_parser_token(p)->text;
    p->at++;
    struct math_node *under = math_parser_argument(p);
    if (!under || (under->op != OP_SYMBOL && under->op != OP_E && under->op != OP_I)) {
        return under;
    }
    struct strbuf name = STRBUF_INIT;
    strbuf_add_str(&name, accent);
    strbuf_putc(&name, ' ');
    strbuf_add_str(&name, under->text);
    return math_parser_named(p, math_parser_keep(p, &name));
}

/* \overline{AB} is AB, a segment; \overline{z} is not z. */
static struct math_node *parse_overline(struct math_parser *p)
{
    const struct math_token *t = &p->list[p->at + 1];
    bool one =
        (t->kind == TOKEN_OPEN && t[1].kind == TOKEN_SYMBOL && t[2].kind == TOKEN_CLOSE) || t->kind == TOKEN_SYMBOL;
    math_parser_token(p)->text = STR("bar");
    if (one) {
        return parse_accent(p);
    }
    p->at++;
    return math_parser_argument(p);
}

static struct math_node *parse_command(struct math_parser *p)
{
    char code = (char)math_parser_token(p)->code;
    struct math_node *a, *b;
    switch (code) {
    case 'f':
    case 'b':
        p->at++;
        a = math_parser_argument(p);
        b = a ? math_parser_argument(p) : NULL;
        if (!b) {
            return NULL;
        }
        return code == 'f' ? math_node_2(p->work, OP_DIV, a, b) : math_node_function(p->work, FUNCTION_BINOMIAL, a, b);
    case 's': return parse_root(p);
    case 'S':
    case 'P':
    case 'I':
    case 'l': return parse_big(p, code);
    case 'a': return parse_accent(p);
    case 'o': return parse_overline(p);
    case 'A': p->at++; return math_parser_atom(p);
    default: return math_parser_fail(p, "not an expression");
    }
}

static struct math_node *parse_words(struct math_parser *p)
{
    struct strbuf words = STRBUF_INIT;
    while (math_parser_token(p)->kind == TOKEN_TEXT) {
        if (words.length) {
            strbuf_putc(&words, ' ');
        }
        strbuf_add_str(&words, math_parser_token(p)->text);
        p->at++;
    }
    struct math_node *node = math_parser_named(p, math_parser_keep(p, &words));
    if (node) {
        node->op = OP_TEXT;
    }
    return node;
}

struct math_node *math_parser_atom(struct math_parser *p)
{
    struct math_node *node = NULL;
    if (++p->depth > MATH_MAX_DEPTH || !math_work_pay(p->work, 4)) {
        return math_parser_fail(p, "too deep");
    }
    switch (math_parser_token(p)->kind) {
    case TOKEN_NUMBER: node = math_parser_number(p); break;
    case TOKEN_SYMBOL:
        node = parse_name(p);
        node = node && call_ahead(p, node) ? parse_call(p, node) : node;
        break;
    case TOKEN_FUNCTION: node = math_parser_function(p); break;
    case TOKEN_TEXT: node = parse_words(p); break;
    case TOKEN_OPEN: node = math_parser_open(p); break;
    case TOKEN_BAR: node = math_parser_bars(p, false); break;
    case TOKEN_COMMAND: node = parse_command(p); break;
    case TOKEN_BEGIN: node = math_parser_matrix(p); break;
    case TOKEN_DOTS:
        p->at++;
        node = math_parser_named(p, STR("..."));
        break;
    case TOKEN_OPERATOR: node = math_parser_before_choose(p); break;
    default: break;
    }
    p->depth--;
    return node ? node : math_parser_fail(p, "not an expression");
}

/* ---- signs, powers and what follows an atom ---- */

static bool degree_ahead(const struct math_parser *p)
{
    const struct math_token *t = &p->list[p->at + 1];
    t += t->kind == TOKEN_OPEN && t->code == '{';
    return t->kind == TOKEN_OPERATOR && t->code == 'd';
}

/* The tokens of "'" or "^{'}" at `at`; 0: there is no prime. */
static int prime_tokens(const struct math_parser *p, int at)
{
    const struct math_token *t = &p->list[at];
    bool raised = t->kind == TOKEN_OPERATOR && t->code == '^';
    bool braced = raised && t[1].kind == TOKEN_OPEN && t[1].code == '{';
    const struct math_token *prime = t + raised + braced;
    bool is = prime->kind == TOKEN_OPERATOR && prime->code == '\'' && (!braced || prime[1].kind == TOKEN_CLOSE);
    return is ? 1 + raised + 2 * braced : 0;
}

/* After a degree sign: minutes, and the scale of a temperature. */
static struct math_node *behind_degree(struct math_parser *p, struct math_node *degrees)
{
    const struct math_token *t = math_parser_token(p);
    int prime = t->kind == TOKEN_NUMBER ? prime_tokens(p, p->at + 1) : 0;
    if (prime) {
        struct math_node *minutes = math_parser_number_node(p, t->text, 0), *sixty = math_node_number(p->work, "60");
        struct math_node *part = minutes && sixty ? math_node_2(p->work, OP_DIV, minutes, sixty) : NULL;
        part = part ? math_node_2(p->work, OP_ADD, degrees->kids[0], part) : NULL;
        p->at += 1 + prime;
        return part ? math_node_1(p->work, OP_DEGREE, part) : NULL;
    }
    bool letter = (t->kind == TOKEN_SYMBOL || t->kind == TOKEN_TEXT) && t->text.length == 1;
    bool word = t->kind == TOKEN_TEXT && t->text.length >= 7;
    char c = letter                                                 ? t->text.data[0]
             : word && strncasecmp(t->text.data, "celsius", 7) == 0 ? 'C'
             : word && strncasecmp(t->text.data, "fahrenh", 7) == 0 ? 'F'
                                                                    : '\0';
    if (c != 'C' && c != 'F') {
        return degrees;
    }
    p->at++;
    struct math_node *unit = math_node_1(p->work, OP_UNIT, degrees->kids[0]);
    if (unit) {
        unit->text = c == 'C' ? STR("celsius") : STR("fahrenheit");
    }
    return unit;
}

static struct math_node *parse_degree(struct math_parser *p, struct math_node *node)
{
    while (!math_parser_is(p, TOKEN_OPERATOR, 'd')) {
        p->at++;
    }
    p->at++;
    p->at += math_parser_is(p, TOKEN_CLOSE, '}');
    node = math_node_1(p->work, OP_DEGREE, node);
    return node ? behind_degree(p, node) : NULL;
}

/* 45^{th} */
static bool is_ordinal(const struct math_node *exponent)
{
    return exponent->op == OP_TEXT && (str_equal(exponent->text, STR("th")) || str_equal(exponent->text, STR("st")) ||
                                       str_equal(exponent->text, STR("nd")) || str_equal(exponent->text, STR("rd")));
}

static struct math_node *parse_power(struct math_parser *p, struct math_node *base)
{
    if (degree_ahead(p)) {
        return parse_degree(p, base);
    }
    p->at++;
    bool minus = math_parser_is(p, TOKEN_OPERATOR, '-');
    p->at += minus || math_parser_is(p, TOKEN_OPERATOR, '+');
    struct math_node *exponent;
    int star = math_parser_is(p, TOKEN_OPEN, '{');
    if (p->list[p->at + star].kind == TOKEN_OPERATOR && p->list[p->at + star].code == '*') { /* z^*, T^{*} */
        p->at += 1 + 2 * star;
        exponent = math_parser_named(p, STR("star"));
        return exponent ? math_node_2(p->work, OP_POW, base, exponent) : NULL;
    }
    exponent = math_parser_is(p, TOKEN_OPEN, '{') ? math_parser_braces(p) : math_parser_atom(p);
    if (exponent && math_parser_is(p, TOKEN_OPERATOR, '^') && !degree_ahead(p)) {
        exponent = p->depth++ < MATH_MAX_DEPTH ? parse_power(p, exponent) : NULL;
        p->depth--;
    }
    if (exponent && is_ordinal(exponent)) {
        return base;
    }
    exponent = exponent && minus ? math_node_1(p->work, OP_NEG, exponent) : exponent;
    return exponent ? math_node_2(p->work, OP_POW, base, exponent) : NULL;
}

static bool double_ahead(const struct math_parser *p)
{
    return math_parser_is(p, TOKEN_OPERATOR, '!') && !p->list[p->at].space;
}

static struct math_node *power_of_two(struct math_work *work, struct math_node *k)
{
    struct math_node *two = math_node_number(work, "2"), *power = two ? math_node_2(work, OP_POW, two, k) : NULL;
    struct math_node *factorial = power ? math_node_function(work, FUNCTION_FACTORIAL, k, NULL) : NULL;
    return factorial ? math_node_2(work, OP_MUL, power, factorial) : NULL;
}

/* The half of 2k, and *odd: 1 of 2k + 1, -1 of 2k - 1, 0 of 2k. NULL: neither can be seen. */
static struct math_node *half_of(struct math_parser *p, struct math_node *of, int *odd)
{
    int64_t n;
    *odd = 0;
    if (math_node_small(of, &n)) {
        struct math_node *half = math_node_new(p->work, OP_NUMBER, 0);
        *odd = (int)(n % 2);
        if (half) {
            half->text = str_of(arena_printf(p->work->arena, "%lld", (long long)(n / 2)));
        }
        return half;
    }
    if (of->op == OP_NEG && math_node_small(of->kids[0], &n) && n == 1) { /* (-1)!! = 0! / 0!! */
        *odd = -1;
        return math_node_number(p->work, "0");
    }
    if (of->op == OP_ADD && of->n == 2) {
        bool minus = of->kids[1]->op == OP_NEG;
        const struct math_node *one = minus ? of->kids[1]->kids[0] : of->kids[1];
        *odd = math_node_small(one, &n) && n == 1 ? (minus ? -1 : 1) : 0;
        of = *odd ? of->kids[0] : of;
    }
    bool twice = of->op == OP_MUL && of->n == 2 && math_node_small(of->kids[0], &n) && n == 2;
    return twice ? of->kids[1] : NULL;
}

/* (2k)!! = 2^k k!, (2k + 1)!! = (2k + 1)! / (2k)!!, (2k - 1)!! = (2k)! / (2k)!!; an unknown function of anything
 * else. */
static struct math_node *parse_double_factorial(struct math_parser *p, struct math_node *of)
{
    int odd;
    struct math_node *half = half_of(p, of, &odd), *even = half ? power_of_two(p->work, half) : NULL;
    p->at++;
    if (even && odd) {
        struct math_node *all = odd > 0 ? of : of->op == OP_ADD ? of->kids[0] : half;
        struct math_node *top = math_node_function(p->work, FUNCTION_FACTORIAL, all, NULL);
        return top ? math_node_2(p->work, OP_DIV, top, even) : NULL;
    }
    struct math_node *call = even ? even : math_node_1(p->work, OP_CALL, of);
    if (call && !even) {
        call->text = STR("!!");
    }
    return call;
}

/* \hat{\theta}_2 */
static struct math_node *add_subscript(struct math_parser *p, struct math_node *name)
{
    int end = subscript_end(p, p->at + 1);
    struct strbuf full = STRBUF_INIT;
    strbuf_add_str(&full, name->text);
    strbuf_putc(&full, '_');
    add_tokens(&full, p->list, p->at + 1, end);
    p->at = end;
    return math_parser_named(p, math_parser_keep(p, &full));
}

static struct math_node *parse_behind(struct math_parser *p, struct math_node *node)
{
    while (node && math_parser_token(p)->kind == TOKEN_OPERATOR) {
        switch (math_parser_token(p)->code) {
        case '^': node = parse_power(p, node); break;
        case '!':
            p->at++;
            node = double_ahead(p) ? parse_double_factorial(p, node)
                                   : math_node_function(p->work, FUNCTION_FACTORIAL, node, NULL);
            break;
        case '%':
            p->at++;
            node = math_node_1(p->work, OP_PERCENT, node);
            break;
        case 'd': node = parse_degree(p, node); break;
        case '_':
            if (node->op == OP_NUMBER && !node->exponent) { /* (123)_5 */
                node = math_parser_based(p, node);
                break;
            }
            if (node->op != OP_SYMBOL || subscript_end(p, p->at + 1) == p->at + 1) {
                return node;
            }
            node = add_subscript(p, node);
            break;
        default: return node;
        }
    }
    return node;
}

struct math_node *math_parser_factor(struct math_parser *p)
{
    int minus = 0;
    char sign = 0;
    while (math_parser_token(p)->kind == TOKEN_OPERATOR && strchr("+-PM", math_parser_token(p)->code) &&
           math_parser_token(p)->code) {
        char code = (char)math_parser_token(p)->code;
        minus += code == '-';
        sign = code == 'P' || code == 'M' ? code : sign;
        p->at++;
    }
    struct math_node *node = parse_behind(p, math_parser_atom(p));
    if (node && minus % 2) {
        node = math_node_1(p->work, OP_NEG, node);
    }
    if (node && sign) {
        node = math_node_1(p->work, sign == 'P' ? OP_PLUS_MINUS : OP_MINUS_PLUS, node);
    }
    return node ? node : math_parser_fail(p, "not an expression");
}

/* model/jinja/parse_expression.c - expressions, from the weakest operator to the strongest.
 *
 * Mind: filters bind to a sign's operand from outside (-1 | abs is (-1) | abs), ** is left-associative, ~ is weaker than *.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "model/jinja/run.h"

/* The operator that is the next token, of a list; NULL if it is none of them. */
static const char *operator_of(const struct jparser *p, const char *const *list)
{
    for (; *list; list++) {
        if (jparse_is(p, TOKEN_OPERATOR, *list)) {
            return *list;
        }
    }
    return NULL;
}

static struct jnode *constant(struct jparser *p, int line, struct jvalue value)
{
    struct jnode *node = jnode_new(p, NODE_CONSTANT, line);
    node->value = value;
    return node;
}

static struct jnode *binary(struct jparser *p, const char *const *operators, struct jnode *(*part)(struct jparser *))
{
    struct jnode *left = part(p);
    for (const char *op; (op = operator_of(p, operators)) != NULL;) {
        struct jnode *node = jnode_new(p, NODE_BINARY, jparse_token(p)->line);
        p->next++;
        node->op = op;
        node->a = left;
        node->b = part(p);
        left = node;
    }
    return left;
}

/* ---- atoms ---- */

static struct jnode *parse_list(struct jparser *p)
{
    struct jnode *list = jnode_new(p, NODE_LIST, jparse_token(p)->line);
    p->next++;
    while (!jparse_skip(p, TOKEN_OPERATOR, "]")) {
        if (list->n > 0) {
            jparse_expect(p, TOKEN_OPERATOR, ",");
            if (jparse_skip(p, TOKEN_OPERATOR, "]")) {
                break;
            }
        }
        jnode_add(p, list, jparse_expression(p));
    }
    return list;
}

static struct jnode *parse_dict(struct jparser *p)
{
    struct jnode *dict = jnode_new(p, NODE_DICT, jparse_token(p)->line);
    p->next++;
    while (!jparse_skip(p, TOKEN_OPERATOR, "}")) {
        if (dict->n > 0) {
            jparse_expect(p, TOKEN_OPERATOR, ",");
            if (jparse_skip(p, TOKEN_OPERATOR, "}")) {
                break;
            }
        }
        jnode_add(p, dict, jparse_expression(p));
        jparse_expect(p, TOKEN_OPERATOR, ":");
        jnode_add(p, dict, jparse_expression(p));
    }
    return dict;
}

/* Texts that follow each other are one. */
static struct jnode *parse_string(struct jparser *p)
{
    const struct jtoken *first = jparse_token(p);
    size_t length = 0;
    int n = 0;
    for (; first[n].kind == TOKEN_STRING; n++) {
        length += first[n].text.length;
    }
    p->next += n;
    if (n == 1) {
        return constant(p, first->line, jvalue_str(first->text));
    }
    char *data = arena_alloc(p->arena, length + 1), *to = data;
    for (int i = 0; i < n; i++) {
        if (first[i].text.length) {
            memcpy(to, first[i].text.data, first[i].text.length);
        }
        to += first[i].text.length;
    }
    return constant(p, first->line, jvalue_str((struct str){data, length}));
}

static struct jnode *parse_name(struct jparser *p, bool attributes)
{
    const struct jtoken *token = &p->tokens[p->next++];
    struct str name = token->text;
    static const struct {
        const char *name;
        enum jkind kind;
        bool is;
    } words[] = {{"true", J_BOOL, true},   {"True", J_BOOL, true},  {"false", J_BOOL, false},
                 {"False", J_BOOL, false}, {"none", J_NONE, false}, {"None", J_NONE, false}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (str_equal(name, str_of(words[i].name))) {
            return constant(p, token->line, words[i].kind == J_NONE ? jvalue_none() : jvalue_bool(words[i].is));
        }
    }
    p->says_caller |= str_equal(name, STR("caller"));
    p->says_varargs |= str_equal(name, STR("varargs"));
    p->says_kwargs |= str_equal(name, STR("kwargs"));
    struct jnode *node = jnode_new(p, NODE_NAME, token->line);
    node->name = name;
    if (attributes && jparse_skip(p, TOKEN_OPERATOR, ".")) {
        struct jnode *target = jnode_new(p, NODE_ATTRIBUTE_TARGET, token->line);
        target->a = node;
        target->name = jparse_word(p);
        return target;
    }
    return node;
}

static struct jnode *parse_primary(struct jparser *p, bool attributes)
{
    const struct jtoken *token = jparse_token(p);
    switch (token->kind) {
    case TOKEN_WORD: return parse_name(p, attributes);
    case TOKEN_STRING: return parse_string(p);
    case TOKEN_INTEGER: p->next++; return constant(p, token->line, jvalue_int(token->integer));
    case TOKEN_FLOAT: p->next++; return constant(p, token->line, jvalue_float(token->real));
    default: break;
    }
    if (jparse_skip(p, TOKEN_OPERATOR, "(")) {
        struct jnode *node =
            jparse_is(p, TOKEN_OPERATOR, ")") ? jnode_new(p, NODE_TUPLE, token->line) : jparse_tuple(p, true, NULL);
        jparse_expect(p, TOKEN_OPERATOR, ")");
        return node;
    }
    if (jparse_is(p, TOKEN_OPERATOR, "[")) {
        return parse_list(p);
    }
    if (jparse_is(p, TOKEN_OPERATOR, "{")) {
        return parse_dict(p);
    }
    jparse_unexpected(p, "an expression");
}

/* ---- what follows an atom ---- */

/* "(a, name=b, *c, **d)", added to the node. */
static void parse_arguments(struct jparser *p, struct jnode *node)
{
    bool named = false, stars = false, star_pairs = false;
    int line = jparse_token(p)->line;
    jparse_expect(p, TOKEN_OPERATOR, "(");
    while (!jparse_skip(p, TOKEN_OPERATOR, ")")) {
        if (node->n > 0) {
            jparse_expect(p, TOKEN_OPERATOR, ",");
            if (jparse_skip(p, TOKEN_OPERATOR, ")")) {
                break;
            }
        }
        struct jnode *argument = NULL;
        const struct jtoken *token = jparse_token(p);
        bool pair = jparse_is(p, TOKEN_OPERATOR, "**"), star = jparse_is(p, TOKEN_OPERATOR, "*");
        bool name = token->kind == TOKEN_WORD && token[1].kind == TOKEN_OPERATOR && str_equal(token[1].text, STR("="));
        if (star_pairs || (star && stars) || (!name && !pair && !star && (named || stars))) {
            jparse_fail(p, line, "the arguments of a call are in no order that a call can have");
        }
        if (star || pair) {
            argument = jnode_new(p, NODE_STARS, token->line);
            argument->op = pair ? "**" : "*";
            p->next++;
        } else if (name) {
            argument = jnode_new(p, NODE_NAMED, token->line);
            argument->name = token->text;
            p->next += 2;
        }
        struct jnode *value = jparse_expression(p);
        if (argument) {
            argument->a = value;
        }
        named |= name;
        stars |= star;
        star_pairs |= pair;
        jnode_add(p, node, argument ? argument : value);
    }
}

static struct jnode *parse_call(struct jparser *p, struct jnode *callee)
{
    struct jnode *call = jnode_new(p, NODE_CALL, jparse_token(p)->line);
    call->a = callee;
    parse_arguments(p, call);
    return call;
}

/* "[a]", "[a:b:c]". */
static struct jnode *parse_brackets(struct jparser *p, struct jnode *of)
{
    struct jnode *item = jnode_new(p, NODE_ITEM, jparse_token(p)->line);
    struct jnode *bounds[3] = {NULL, NULL, NULL};
    bool slice = false;
    p->next++;
    for (int i = 0; i < 3; i++) {
        if (!jparse_is(p, TOKEN_OPERATOR, ":") && !jparse_is(p, TOKEN_OPERATOR, "]")) {
            bounds[i] = jparse_expression(p);
        }
        if (i == 2 || !jparse_skip(p, TOKEN_OPERATOR, ":")) {
            break;
        }
        slice = true;
    }
    if (jparse_is(p, TOKEN_OPERATOR, ",")) {
        jparse_fail(p, item->line, "several subscripts at once are not known to strop");
    }
    if (!slice && !bounds[0]) {
        jparse_unexpected(p, "an expression");
    }
    jparse_expect(p, TOKEN_OPERATOR, "]");
    item->a = of;
    item->b = bounds[0];
    if (slice) {
        item->kind = NODE_SLICE;
        for (int i = 0; i < 3; i++) {
            jnode_add(p, item, bounds[i]);
        }
    }
    return item;
}

static struct jnode *parse_dot(struct jparser *p, struct jnode *of)
{
    const struct jtoken *token = &p->tokens[++p->next];
    struct jnode *node = jnode_new(p, NODE_ATTRIBUTE, token->line);
    node->a = of;
    if (token->kind == TOKEN_INTEGER) {
        node->kind = NODE_ITEM;
        node->b = constant(p, token->line, jvalue_int(token->integer));
        p->next++;
    } else {
        node->name = jparse_word(p);
    }
    return node;
}

struct jnode *jparse_postfix(struct jparser *p, struct jnode *node)
{
    for (;;) {
        if (jparse_is(p, TOKEN_OPERATOR, ".")) {
            node = parse_dot(p, node);
        } else if (jparse_is(p, TOKEN_OPERATOR, "[")) {
            node = parse_brackets(p, node);
        } else if (jparse_is(p, TOKEN_OPERATOR, "(")) {
            node = parse_call(p, node);
        } else {
            return node;
        }
    }
}

/* "name.name", as filters and tests may be called. */
static void find_function(struct jparser *p, struct jnode *node, const char *word,
                          const struct jfunction *(*find)(struct str))
{
    node->line = jparse_token(p)->line;
    node->name = jparse_word(p);
    node->function = find(node->name);
    if (!node->function || jparse_is(p, TOKEN_OPERATOR, ".")) {
        int n = (int)(node->name.length < 40 ? node->name.length : 40);
        jparse_fail(p, node->line, "%s '%.*s' is not known to strop", word, n, node->name.data);
    }
}

struct jnode *jparse_filters(struct jparser *p, struct jnode *node, bool first_is_name)
{
    while (first_is_name || jparse_skip(p, TOKEN_OPERATOR, "|")) {
        struct jnode *filter = jnode_new(p, NODE_FILTERED, 0);
        filter->a = node;
        find_function(p, filter, "filter", jfilter_find);
        if (jparse_is(p, TOKEN_OPERATOR, "(")) {
            parse_arguments(p, filter);
        }
        node = filter;
        first_is_name = false;
    }
    return node;
}

/* Does an argument follow the name of a test without brackets: "is divisibleby 3"? */
static bool has_bare_argument(const struct jparser *p)
{
    const struct jtoken *token = jparse_token(p);
    if (token->kind == TOKEN_WORD) {
        return !jparse_is(p, TOKEN_WORD, "else") && !jparse_is(p, TOKEN_WORD, "or") && !jparse_is(p, TOKEN_WORD, "and");
    }
    return token->kind == TOKEN_STRING || token->kind == TOKEN_INTEGER || token->kind == TOKEN_FLOAT ||
           jparse_is(p, TOKEN_OPERATOR, "[") || jparse_is(p, TOKEN_OPERATOR, "{");
}

static struct jnode *parse_test(struct jparser *p, struct jnode *node)
{
    struct jnode *test = jnode_new(p, NODE_TEST, 0);
    p->next++;
    bool negated = jparse_skip(p, TOKEN_WORD, "not");
    test->a = node;
    find_function(p, test, "test", jtest_find);
    if (jparse_is(p, TOKEN_OPERATOR, "(")) {
        parse_arguments(p, test);
    } else if (has_bare_argument(p)) {
        if (jparse_is(p, TOKEN_WORD, "is")) {
            jparse_unexpected(p, "one test at a time");
        }
        jnode_add(p, test, jparse_postfix(p, parse_primary(p, false)));
    }
    if (!negated) {
        return test;
    }
    struct jnode *not = jnode_new(p, NODE_NOT, test->line);
    not ->a = test;
    return not ;
}

static struct jnode *parse_filters_and_tests(struct jparser *p, struct jnode *node)
{
    for (;;) {
        if (jparse_is(p, TOKEN_OPERATOR, "|")) {
            node = jparse_filters(p, node, false);
        } else if (jparse_is(p, TOKEN_WORD, "is")) {
            node = parse_test(p, node);
        } else if (jparse_is(p, TOKEN_OPERATOR, "(")) {
            node = parse_call(p, node);
        } else {
            return node;
        }
    }
}

/* ---- operators ---- */

static struct jnode *parse_signed(struct jparser *p, bool filters)
{
    struct jnode *node;
    bool minus = jparse_is(p, TOKEN_OPERATOR, "-");
    jparse_down(p);
    if (minus || jparse_is(p, TOKEN_OPERATOR, "+")) {
        node = jnode_new(p, minus ? NODE_NEGATIVE : NODE_POSITIVE, jparse_token(p)->line);
        p->next++;
        node->a = parse_signed(p, false);
    } else {
        node = parse_primary(p, false);
    }
    node = jparse_postfix(p, node);
    p->depth--;
    return filters ? parse_filters_and_tests(p, node) : node;
}

static struct jnode *parse_unary(struct jparser *p)
{
    return parse_signed(p, true);
}

static struct jnode *parse_power(struct jparser *p)
{
    static const char *const operators[] = {"**", NULL};
    return binary(p, operators, parse_unary);
}

static struct jnode *parse_product(struct jparser *p)
{
    static const char *const operators[] = {"*", "/", "//", "%", NULL};
    return binary(p, operators, parse_power);
}

static struct jnode *parse_concat(struct jparser *p)
{
    struct jnode *first = parse_product(p);
    if (!jparse_is(p, TOKEN_OPERATOR, "~")) {
        return first;
    }
    struct jnode *node = jnode_new(p, NODE_CONCAT, first->line);
    jnode_add(p, node, first);
    while (jparse_skip(p, TOKEN_OPERATOR, "~")) {
        jnode_add(p, node, parse_product(p));
    }
    return node;
}

static struct jnode *parse_sum(struct jparser *p)
{
    static const char *const operators[] = {"+", "-", NULL};
    return binary(p, operators, parse_concat);
}

static const char *comparison_of(struct jparser *p)
{
    static const char *const operators[] = {"==", "!=", "<", "<=", ">", ">=", NULL};
    const char *op = operator_of(p, operators);
    const struct jtoken *token = jparse_token(p);
    if (op || jparse_is(p, TOKEN_WORD, "in")) {
        p->next++;
        return op ? op : "in";
    }
    if (jparse_is(p, TOKEN_WORD, "not") && token[1].kind == TOKEN_WORD && str_equal(token[1].text, STR("in"))) {
        p->next += 2;
        return "not in";
    }
    return NULL;
}

static struct jnode *parse_comparison(struct jparser *p)
{
    struct jnode *first = parse_sum(p), *node = NULL;
    for (const char *op; (op = comparison_of(p)) != NULL;) {
        if (!node) {
            node = jnode_new(p, NODE_COMPARE, first->line);
            node->a = first;
        }
        struct jnode *operand = jnode_new(p, NODE_OPERAND, jparse_token(p)->line);
        operand->op = op;
        operand->a = parse_sum(p);
        jnode_add(p, node, operand);
    }
    return node ? node : first;
}

static struct jnode *parse_not(struct jparser *p)
{
    if (!jparse_is(p, TOKEN_WORD, "not")) {
        return parse_comparison(p);
    }
    struct jnode *node = jnode_new(p, NODE_NOT, jparse_token(p)->line);
    jparse_down(p);
    p->next++;
    node->a = parse_not(p);
    p->depth--;
    return node;
}

static struct jnode *logical(struct jparser *p, const char *word, enum jnode_kind kind,
                             struct jnode *(*part)(struct jparser *))
{
    struct jnode *left = part(p);
    while (jparse_skip(p, TOKEN_WORD, word)) {
        struct jnode *node = jnode_new(p, kind, left->line);
        node->a = left;
        node->b = part(p);
        left = node;
    }
    return left;
}

static struct jnode *parse_and(struct jparser *p)
{
    return logical(p, "and", NODE_AND, parse_not);
}

static struct jnode *parse_or(struct jparser *p)
{
    return logical(p, "or", NODE_OR, parse_and);
}

struct jnode *jparse_expression(struct jparser *p)
{
    jparse_down(p);
    struct jnode *node = parse_or(p);
    while (jparse_skip(p, TOKEN_WORD, "if")) {
        struct jnode *choice = jnode_new(p, NODE_CHOICE, node->line);
        choice->b = node;
        choice->a = parse_or(p);
        choice->c = jparse_skip(p, TOKEN_WORD, "else") ? jparse_expression(p) : NULL;
        node = choice;
    }
    p->depth--;
    return node;
}

static bool tuple_ends(const struct jparser *p, const char *end)
{
    return jparse_is(p, TOKEN_VARIABLE_END, NULL) || jparse_is(p, TOKEN_BLOCK_END, NULL) ||
           jparse_is(p, TOKEN_OPERATOR, ")") || (end && jparse_is(p, TOKEN_WORD, end));
}

static struct jnode *one_of_tuple(struct jparser *p, bool choice)
{
    if (choice) {
        return jparse_expression(p);
    }
    jparse_down(p);
    struct jnode *node = parse_or(p);
    p->depth--;
    return node;
}

struct jnode *jparse_tuple(struct jparser *p, bool choice, const char *end)
{
    struct jnode *first = one_of_tuple(p, choice);
    if (!jparse_is(p, TOKEN_OPERATOR, ",")) {
        return first;
    }
    struct jnode *tuple = jnode_new(p, NODE_TUPLE, first->line);
    jnode_add(p, tuple, first);
    while (jparse_skip(p, TOKEN_OPERATOR, ",") && !tuple_ends(p, end)) {
        jnode_add(p, tuple, one_of_tuple(p, choice));
    }
    return tuple;
}

/* What may be on the left of an equals sign: names, tuples of them, and attributes of namespaces. */
static void check_target(struct jparser *p, const struct jnode *node)
{
    bool fits = node->kind == NODE_NAME || node->kind == NODE_ATTRIBUTE_TARGET || node->kind == NODE_TUPLE;
    if (!fits || str_equal(node->name, STR("loop"))) {
        jparse_fail(p, node->line, "nothing can be assigned to what is here");
    }
    for (int i = 0; i < node->n; i++) {
        check_target(p, node->kids[i]);
    }
}

struct jnode *jparse_target(struct jparser *p, const char *end, bool attributes)
{
    struct jnode *node = parse_primary(p, attributes);
    if (jparse_is(p, TOKEN_OPERATOR, ",")) {
        struct jnode *tuple = jnode_new(p, NODE_TUPLE, node->line);
        jnode_add(p, tuple, node);
        while (jparse_skip(p, TOKEN_OPERATOR, ",") && !tuple_ends(p, end) && !jparse_is(p, TOKEN_OPERATOR, "=")) {
            jnode_add(p, tuple, parse_primary(p, attributes));
        }
        node = tuple;
    }
    check_target(p, node);
    return node;
}

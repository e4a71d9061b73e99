/* model/jinja/parse.c - statements. The grammar is that of Jinja's parser, with transformers' generation blocks and loop controls.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model/jinja/run.h"

enum { MOST_NESTING = 150 };

void jparse_fail(struct jparser *p, int line, const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    err_set(ERR_FORMAT, "chat template line %d: %s", line, text);
    longjmp(p->failed, 1);
}

/* ---- tools ---- */

struct jnode *jnode_new(struct jparser *p, enum jnode_kind kind, int line)
{
    struct jnode *node = ARENA_NEW(p->arena, struct jnode, 1);
    node->kind = kind;
    node->line = line;
    return node;
}

void jnode_add(struct jparser *p, struct jnode *parent, struct jnode *kid)
{
    if (parent->n == parent->capacity) {
        int capacity = parent->capacity ? 2 * parent->capacity : 4;
        struct jnode **kids = ARENA_NEW(p->arena, struct jnode *, capacity);
        if (parent->n) {
            memcpy(kids, parent->kids, (size_t)parent->n * sizeof(struct jnode *));
        }
        parent->kids = kids;
        parent->capacity = capacity;
    }
    parent->kids[parent->n++] = kid;
}

const struct jtoken *jparse_token(const struct jparser *p)
{
    return &p->tokens[p->next];
}

bool jparse_is(const struct jparser *p, enum jtoken_kind kind, const char *text)
{
    const struct jtoken *token = &p->tokens[p->next];
    return token->kind == kind && (!text || str_equal(token->text, str_of(text)));
}

bool jparse_skip(struct jparser *p, enum jtoken_kind kind, const char *text)
{
    if (!jparse_is(p, kind, text)) {
        return false;
    }
    p->next++;
    return true;
}

void jparse_unexpected(struct jparser *p, const char *wanted)
{
    const struct jtoken *token = jparse_token(p);
    if (token->kind == TOKEN_EOF) {
        jparse_fail(p, token->line, "the template ends where %s is expected", wanted);
    }
    int n = (int)(token->text.length < 40 ? token->text.length : 40);
    jparse_fail(p, token->line, "expected %s, found '%.*s'", wanted, n, token->text.data);
}

void jparse_expect(struct jparser *p, enum jtoken_kind kind, const char *text)
{
    if (!jparse_skip(p, kind, text)) {
        char wanted[40];
        snprintf(wanted, sizeof wanted, "'%s'",
                 text                         ? text
                 : kind == TOKEN_BLOCK_END    ? "%}"
                 : kind == TOKEN_VARIABLE_END ? "}}"
                                              : "a name");
        jparse_unexpected(p, wanted);
    }
}

struct str jparse_word(struct jparser *p)
{
    if (!jparse_is(p, TOKEN_WORD, NULL)) {
        jparse_unexpected(p, "a name");
    }
    return p->tokens[p->next++].text;
}

void jparse_down(struct jparser *p)
{
    if (++p->depth > MOST_NESTING) {
        jparse_fail(p, jparse_token(p)->line, "nested more than %d deep", MOST_NESTING);
    }
}

/* ---- bodies ---- */

static struct jnode *parse_statement(struct jparser *p);

static bool at_word_of(const struct jparser *p, const char *const *words)
{
    for (int i = 0; words && words[i]; i++) {
        if (jparse_is(p, TOKEN_WORD, words[i])) {
            return true;
        }
    }
    return false;
}

/* Up to a tag with one of the words, which is the next token then; NULL: to the end of the template. */
static struct jnode *parse_body(struct jparser *p, const char *const *ends)
{
    struct jnode *body = jnode_new(p, NODE_BODY, p->tokens[p->next ? p->next - 1 : 0].line);
    jparse_down(p);
    while (!jparse_is(p, TOKEN_EOF, NULL)) {
        const struct jtoken *token = &p->tokens[p->next++];
        if (token->kind == TOKEN_DATA) {
            struct jnode *data = jnode_new(p, NODE_DATA, token->line);
            data->value = jvalue_str(token->text);
            jnode_add(p, body, data);
        } else if (token->kind == TOKEN_VARIABLE_BEGIN) {
            struct jnode *output = jnode_new(p, NODE_OUTPUT, token->line);
            output->a = jparse_tuple(p, true, NULL);
            jparse_expect(p, TOKEN_VARIABLE_END, NULL);
            jnode_add(p, body, output);
        } else {
            if (at_word_of(p, ends)) {
                p->depth--;
                return body;
            }
            jnode_add(p, body, parse_statement(p));
            jparse_expect(p, TOKEN_BLOCK_END, NULL);
        }
    }
    if (ends) {
        jparse_fail(p, body->line, "the block that begins here has no end '%s'", ends[0]);
    }
    p->depth--;
    return body;
}

/* The rest of a tag, and the body after it up to its end tag's word, which is taken. */
static struct jnode *parse_block(struct jparser *p, const char *end)
{
    const char *const ends[] = {end, NULL};
    jparse_skip(p, TOKEN_OPERATOR, ":");
    jparse_expect(p, TOKEN_BLOCK_END, NULL);
    struct jnode *body = parse_body(p, ends);
    p->next++;
    return body;
}

/* ---- statements ---- */

static struct jnode *parse_for(struct jparser *p, int line)
{
    static const char *const ends[] = {"endfor", "else", NULL};
    struct jnode *node = jnode_new(p, NODE_FOR, line);
    node->a = jparse_target(p, "in", false);
    jparse_expect(p, TOKEN_WORD, "in");
    node->b = jparse_tuple(p, false, "recursive");
    node->c = jparse_skip(p, TOKEN_WORD, "if") ? jparse_expression(p) : NULL;
    node->recursive = jparse_skip(p, TOKEN_WORD, "recursive");
    jparse_skip(p, TOKEN_OPERATOR, ":");
    jparse_expect(p, TOKEN_BLOCK_END, NULL);
    p->loops++;
    jnode_add(p, node, parse_body(p, ends));
    p->loops--;
    bool otherwise = jparse_skip(p, TOKEN_WORD, "else");
    if (!otherwise) {
        p->next++;
    }
    jnode_add(p, node, otherwise ? parse_block(p, "endfor") : NULL);
    return node;
}

static struct jnode *parse_if(struct jparser *p, int line)
{
    static const char *const ends[] = {"endif", "elif", "else", NULL};
    struct jnode *first = jnode_new(p, NODE_IF, line), *node = first;
    for (;;) {
        node->a = jparse_tuple(p, false, NULL);
        jparse_skip(p, TOKEN_OPERATOR, ":");
        jparse_expect(p, TOKEN_BLOCK_END, NULL);
        node->b = parse_body(p, ends);
        if (!jparse_is(p, TOKEN_WORD, "elif")) {
            break;
        }
        p->next++;
        node = node->c = jnode_new(p, NODE_IF, jparse_token(p)->line);
    }
    if (jparse_skip(p, TOKEN_WORD, "else")) {
        node->c = parse_block(p, "endif");
    } else {
        p->next++;
    }
    return first;
}

static struct jnode *parse_set(struct jparser *p, int line)
{
    struct jnode *target = jparse_target(p, NULL, true), *node;
    if (jparse_skip(p, TOKEN_OPERATOR, "=")) {
        node = jnode_new(p, NODE_SET, line);
        node->a = target;
        node->b = jparse_tuple(p, true, NULL);
        return node;
    }
    node = jnode_new(p, NODE_SET_BLOCK, line);
    node->a = target;
    node->b = jparse_filters(p, jnode_new(p, NODE_CAPTURED, line), false);
    node->c = parse_block(p, "endset");
    return node;
}

/* "(a, b=1)" of a macro, or of a call block. */
static void parse_parameters(struct jparser *p, struct jnode *macro)
{
    bool defaults = false;
    jparse_expect(p, TOKEN_OPERATOR, "(");
    while (!jparse_skip(p, TOKEN_OPERATOR, ")")) {
        if (macro->n > 0) {
            jparse_expect(p, TOKEN_OPERATOR, ",");
        }
        struct jnode *parameter = jnode_new(p, NODE_NAME, jparse_token(p)->line);
        parameter->name = jparse_word(p);
        if (jparse_skip(p, TOKEN_OPERATOR, "=")) {
            parameter->a = jparse_expression(p);
            defaults = true;
        } else if (defaults) {
            jparse_fail(p, parameter->line, "a parameter without a default follows one with a default");
        }
        jnode_add(p, macro, parameter);
    }
}

static bool has_parameter(const struct jnode *macro, const char *name)
{
    for (int i = 0; i < macro->n; i++) {
        if (str_equal(macro->kids[i]->name, str_of(name))) {
            return true;
        }
    }
    return false;
}

/* The body; it takes further arguments only if it names them. */
static void parse_macro_body(struct jparser *p, struct jnode *macro, const char *end)
{
    bool caller = p->says_caller, varargs = p->says_varargs, kwargs = p->says_kwargs;
    int loops = p->loops;
    p->says_caller = p->says_varargs = p->says_kwargs = false;
    p->loops = 0;
    macro->c = parse_block(p, end);
    if (p->says_caller && has_parameter(macro, "caller")) {
        jparse_fail(p, macro->line, "a macro with a parameter 'caller' is not known to strop");
    }
    macro->uses_caller = p->says_caller;
    macro->uses_varargs = p->says_varargs && !has_parameter(macro, "varargs");
    macro->uses_kwargs = p->says_kwargs && !has_parameter(macro, "kwargs");
    p->says_caller |= caller;
    p->says_varargs |= varargs;
    p->says_kwargs |= kwargs;
    p->loops = loops;
}

static struct jnode *parse_macro(struct jparser *p, int line)
{
    struct jnode *macro = jnode_new(p, NODE_MACRO, line);
    macro->name = jparse_word(p);
    parse_parameters(p, macro);
    parse_macro_body(p, macro, "endmacro");
    return macro;
}

static struct jnode *parse_call_block(struct jparser *p, int line)
{
    struct jnode *node = jnode_new(p, NODE_CALL_BLOCK, line), *caller = jnode_new(p, NODE_MACRO, line);
    caller->name = STR("caller");
    if (jparse_is(p, TOKEN_OPERATOR, "(")) {
        parse_parameters(p, caller);
    }
    node->a = jparse_expression(p);
    if (node->a->kind != NODE_CALL) {
        jparse_fail(p, line, "a call block needs a call");
    }
    node->b = caller;
    parse_macro_body(p, caller, "endcall");
    return node;
}

static struct jnode *parse_filter_block(struct jparser *p, int line)
{
    struct jnode *node = jnode_new(p, NODE_FILTER, line);
    node->b = jparse_filters(p, jnode_new(p, NODE_CAPTURED, line), true);
    node->c = parse_block(p, "endfilter");
    return node;
}

static struct jnode *parse_with(struct jparser *p, int line)
{
    struct jnode *node = jnode_new(p, NODE_WITH, line);
    while (!jparse_is(p, TOKEN_BLOCK_END, NULL)) {
        if (node->n > 0) {
            jparse_expect(p, TOKEN_OPERATOR, ",");
        }
        jnode_add(p, node, jparse_target(p, NULL, false));
        jparse_expect(p, TOKEN_OPERATOR, "=");
        jnode_add(p, node, jparse_expression(p));
    }
    node->c = parse_block(p, "endwith");
    return node;
}

static struct jnode *parse_print(struct jparser *p, int line)
{
    struct jnode *body = jnode_new(p, NODE_BODY, line);
    while (!jparse_is(p, TOKEN_BLOCK_END, NULL)) {
        if (body->n > 0) {
            jparse_expect(p, TOKEN_OPERATOR, ",");
        }
        struct jnode *output = jnode_new(p, NODE_OUTPUT, line);
        output->a = jparse_expression(p);
        jnode_add(p, body, output);
    }
    return body;
}

static struct jnode *parse_generation(struct jparser *p, int line)
{
    struct jnode *node = jnode_new(p, NODE_SCOPE, line);
    int loops = p->loops;
    p->loops = 0;
    node->c = parse_block(p, "endgeneration");
    p->loops = loops;
    return node;
}

static struct jnode *parse_loop_control(struct jparser *p, int line, enum jnode_kind kind)
{
    if (p->loops == 0) {
        jparse_fail(p, line, "break or continue outside of a loop");
    }
    return jnode_new(p, kind, line);
}

static struct jnode *parse_break(struct jparser *p, int line)
{
    return parse_loop_control(p, line, NODE_BREAK);
}

static struct jnode *parse_continue(struct jparser *p, int line)
{
    return parse_loop_control(p, line, NODE_CONTINUE);
}

static struct jnode *parse_statement(struct jparser *p)
{
    static const struct {
        const char *word;
        struct jnode *(*parse)(struct jparser *p, int line);
    } statements[] = {{"for", parse_for},
                      {"if", parse_if},
                      {"set", parse_set},
                      {"macro", parse_macro},
                      {"call", parse_call_block},
                      {"filter", parse_filter_block},
                      {"with", parse_with},
                      {"print", parse_print},
                      {"generation", parse_generation},
                      {"break", parse_break},
                      {"continue", parse_continue}};
    const struct jtoken *token = jparse_token(p);
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        if (jparse_skip(p, TOKEN_WORD, statements[i].word)) {
            jparse_down(p);
            struct jnode *node = statements[i].parse(p, token->line);
            p->depth--;
            return node;
        }
    }
    if (token->kind != TOKEN_WORD) {
        jparse_unexpected(p, "the name of a tag");
    }
    int n = (int)(token->text.length < 40 ? token->text.length : 40);
    jparse_fail(p, token->line, "the tag '%.*s' is not known to strop", n, token->text.data);
}

struct jnode *jparse_template(struct jparser *p)
{
    return parse_body(p, NULL);
}

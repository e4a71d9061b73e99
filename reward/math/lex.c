/* reward/math/lex.c - commands, signs and brackets; numbers and words are read in lex_word.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "reward/math/idiom.h"
#include "reward/math/lexer.h"

struct math_token *math_lexer_add(struct math_lexer *l, enum math_token_kind kind, char code, struct str text)
{
    if (l->out->n == l->max) {
        l->out->wrong = "too long";
        l->out->n--;
    }
    struct math_token *token = &l->out->list[l->out->n++];
    *token = (struct math_token){
        .kind = (uint8_t)kind, .code = (uint8_t)code, .space = l->space, .word = l->in_text, .match = -1, .text = text};
    l->space = false;
    return token;
}

const struct math_token *math_lexer_last(const struct math_lexer *l)
{
    static const struct math_token none = {.kind = TOKEN_END};
    return l->out->n ? &l->out->list[l->out->n - 1] : &none;
}

bool math_lexer_after_operand(const struct math_lexer *l)
{
    const struct math_token *last = math_lexer_last(l);
    switch (last->kind) {
    case TOKEN_NUMBER:
    case TOKEN_SYMBOL:
    case TOKEN_TEXT:
    case TOKEN_CLOSE:
    case TOKEN_FINISH: return true;
    case TOKEN_OPERATOR: return last->code == '!' || last->code == '%' || last->code == 'd' || last->code == '\'';
    default: return false;
    }
}

static char at_or(struct str text, size_t i)
{
    return i < text.length ? text.data[i] : '\0';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

/* The braces that open at `at` or after blanks there: their inside, and where they end; false if there are none. Braces
 * that are not closed end with the text. */
static bool braces(struct str text, size_t at, struct str *inside, size_t *end)
{
    while (is_space(at_or(text, at))) {
        at++;
    }
    if (at_or(text, at) != '{') {
        return false;
    }
    size_t depth = 0;
    for (size_t i = at; i < text.length; i++) {
        i += text.data[i] == '\\';
        char c = at_or(text, i);
        bool escaped = i > at && text.data[i - 1] == '\\';
        depth += c == '{' && !escaped;
        if (c == '}' && !escaped && --depth == 0) {
            *inside = str_slice(text, at + 1, i);
            *end = i + 1;
            return true;
        }
    }
    *inside = str_slice(text, at + 1, text.length);
    *end = text.length;
    return true;
}

/* The inside of \text{} (in_text) or \mathrm{} (in_letters). */
static void lex_inside(struct math_lexer *l, struct str inside, bool in_text)
{
    bool was_text = l->in_text, was_letters = l->in_letters;
    if (++l->nested > MATH_LEX_MAX_NESTED) {
        l->out->wrong = "too deep";
    } else {
        l->in_text = in_text;
        l->in_letters = !in_text;
        l->space = l->space || is_space(at_or(inside, 0));
        math_lexer_run(l, inside);
        l->space = l->space || (inside.length && is_space(inside.data[inside.length - 1]));
    }
    l->nested--;
    l->in_text = was_text;
    l->in_letters = was_letters;
}

static void lex_environment(struct math_lexer *l, struct str name, bool begins)
{
    while (name.length && (name.data[name.length - 1] == '*' || is_space(name.data[name.length - 1]))) {
        name.length--;
    }
    l->environments += begins ? 1 : l->environments > 0 ? -1 : 0;
    math_lexer_add(l, begins ? TOKEN_BEGIN : TOKEN_FINISH, 0, name);
}

/* \begin{array}{cc} has columns after its name. */
static size_t skip_columns(struct str text, size_t at, struct str name)
{
    struct str columns;
    size_t end;
    bool has = str_equal(name, STR("array")) || str_equal(name, STR("tabular"));
    return has && braces(text, at, &columns, &end) ? end : at;
}

static void lex_blackboard(struct math_lexer *l, struct str inside)
{
    static const struct str names[] = {{"RR", 2}, {"ZZ", 2}, {"NN", 2}, {"QQ", 2}, {"CC", 2}};
    inside = str_trim(inside);
    for (size_t i = 0; i < sizeof names / sizeof *names && inside.length == 1; i++) {
        if (names[i].data[0] == inside.data[0]) {
            math_lexer_add(l, TOKEN_SYMBOL, 0, names[i]);
            return;
        }
    }
    lex_inside(l, inside, false);
}

/* Letters that name a command. */
static bool command_ahead(struct str text, size_t at)
{
    size_t end = at;
    while (is_letter(at_or(text, end))) {
        end++;
    }
    return end > at && math_words_command(str_slice(text, at, end));
}

/* A line end: it ends a row of a matrix; else, between two values or equations, it is a separator. */
static void lex_line_end(struct math_lexer *l, struct str text, size_t at)
{
    struct str rest = str_trim(str_slice(text, at, text.length));
    if (l->environments) {
        math_lexer_add(l, TOKEN_ROW, 0, STR("cr"));
    } else if (math_lexer_after_operand(l) && rest.length && !strchr("+-=<>*/^_),.;:&}]|!", rest.data[0]) &&
               !str_starts(rest, STR("\\"))) {
        math_lexer_add(l, TOKEN_GAP, 0, STR("line"));
    } else {
        l->space = true;
    }
}

/* After \\ in an environment: "[1ex]", the room to leave. */
static size_t skip_leading(struct str text, size_t at)
{
    size_t end = at + 1;
    if (at_or(text, at) != '[' || !(at_or(text, end) >= '0' && at_or(text, end) <= '9')) {
        return at;
    }
    while (end < text.length && end < at + 10 && (is_letter(text.data[end]) || strchr("0123456789.", text.data[end]))) {
        end++;
    }
    return at_or(text, end) == ']' && is_letter(text.data[end - 1]) ? end + 1 : at;
}

/* A command that the lexer itself takes (words.h). Returns where to continue. */
static size_t lex_layout(struct math_lexer *l, struct str text, size_t at, char code)
{
    struct str inside = {0};
    size_t end = at;
    switch (code) {
    case 'p':
        while (is_space(at_or(text, end))) {
            end++;
        }
        return at_or(text, end) == '.' ? end + 1 : at;
    case 'k':
    case 'u': return braces(text, at, &inside, &end) ? end : at;
    case 'x':
        if (braces(text, at, &inside, &end)) {
            lex_inside(l, inside, true);
        }
        return end;
    case 'r':
        if (braces(text, at, &inside, &end)) {
            lex_inside(l, inside, false);
        }
        return end;
    case 'D':
        if (!braces(text, at, &inside, &end)) {
            end = at + (at_or(text, at) == ' ');
            inside = str_slice(text, end, end + 1);
            end += inside.length;
        }
        lex_blackboard(l, inside);
        return end;
    case 'B':
    case 'N':
        if (braces(text, at, &inside, &end)) {
            lex_environment(l, str_trim(inside), code == 'B');
        }
        return code == 'B' ? skip_columns(text, end, str_trim(inside)) : end;
    case 'n': l->negate = true; return at;
    case 'L': lex_line_end(l, text, at); return at;
    default: return at;
    }
}

static size_t lex_named(struct math_lexer *l, struct str text, size_t at)
{
    size_t end = at;
    while (is_letter(at_or(text, end))) {
        end++;
    }
    struct str name = str_slice(text, at, end);
    const struct math_word *word = math_words_command(name);
    if (!word && (str_equal(name, STR("n")) || str_equal(name, STR("t")))) { /* an escaped line end, as in JSON */
        l->space = true;
        return end;
    }
    /* "\cdotx" is no LaTeX; but "\piR" and "\sqrtx" are what people write */
    for (size_t cut = name.length; !word && cut > 2; cut--) {
        word = math_words_command(str_slice(name, 0, cut - 1));
        end = word ? at + cut - 1 : end;
    }
    if (!word) {
        math_lexer_add(l, TOKEN_SYMBOL, 0, str_slice(text, at - 1, end));
        return end;
    }
    end += at_or(text, end) == '*' && (word->code == 'r' || word->code == 'k') && word->kind == TOKEN_COMMAND;
    if (word->kind == TOKEN_COMMAND && word->code == '$') {
        l->currency = word->text[0];
        return end;
    }
    if (word->kind == TOKEN_COMMAND && strchr("gpkuxrDBNnL", word->code)) {
        return lex_layout(l, text, end, (char)word->code);
    }
    bool negated = l->negate && word->kind == TOKEN_RELATION;
    char code = (char)word->code;
    math_lexer_add(l, (enum math_token_kind)word->kind, negated ? (code == 'E' ? 'X' : 'N') : code,
                   word->text ? str_of(word->text) : str_slice(text, at - 1, end));
    l->negate = l->negate && !negated;
    return end;
}

/* After a backslash, at the character that follows it. */
static size_t lex_command(struct math_lexer *l, struct str text, size_t at)
{
    char c = at_or(text, at);
    struct str source = str_slice(text, at, at + 1);
    if (is_letter(c)) {
        return lex_named(l, text, at);
    }
    switch (c) {
    case '\\':
        if (l->environments) {
            math_lexer_add(l, TOKEN_ROW, 0, source);
            return skip_leading(text, at + 1);
        }
        if (command_ahead(text, at + 1)) {
            return at; /* "\\frac": the second backslash is read again */
        }
        lex_line_end(l, text, at + 1);
        break;
    case '{': math_lexer_add(l, TOKEN_OPEN, 'S', source); break;
    case '}': math_lexer_add(l, TOKEN_CLOSE, 'S', source); break;
    case '|': math_lexer_add(l, TOKEN_BAR, 0, source); break;
    case '%': math_lexer_add(l, TOKEN_OPERATOR, '%', source); break;
    case '&': math_lexer_add(l, TOKEN_SEPARATOR, '&', source); break;
    case '$': l->currency = '$'; break;
    case '!': break;
    default: l->space = true; break; /* \, \; \: \  \( \] and what else there may be */
    }
    return at + (c != '\0');
}

static size_t lex_stars(struct math_lexer *l, struct str text, size_t at)
{
    if (at_or(text, at + 1) != '*') {
        math_lexer_add(l, TOKEN_OPERATOR, '*', str_slice(text, at, at + 1));
        return at + 1;
    }
    char next = at_or(text, at + 2);
    bool power = math_lexer_after_operand(l) &&
                 (is_letter(next) || (next >= '0' && next <= '9') || strchr(" (-{\\", next)) && next &&
                 str_trim(str_slice(text, at + 2, text.length)).length;
    if (power) {
        math_lexer_add(l, TOKEN_OPERATOR, '^', str_slice(text, at, at + 2));
    } else {
        l->space = true; /* markdown's bold */
    }
    return at + 2;
}

/* "<=", "!=", "->" ...: the code of the relation, and its length. */
static char relation(const struct math_lexer *l, struct str text, size_t at, size_t *length)
{
    char c = at_or(text, at), next = at_or(text, at + 1);
    *length = 2;
    if (c == '<') {
        *length = next == '=' || next == '>' ? 2 : 1;
        return next == '=' ? 'L' : next == '>' ? 'N' : '<';
    }
    if (c == '>') {
        *length = next == '=' ? 2 : 1;
        return next == '=' ? 'G' : '>';
    }
    if (c == '=') {
        *length = next == '=' || next == '>' || next == '<' ? 2 : 1;
        return next == '>' ? 'T' : next == '<' ? 'L' : '=';
    }
    if (c == '!' && next == '=') {
        return math_lexer_last(l)->kind == TOKEN_NUMBER && !l->space ? '\0' : 'N';
    }
    return c == '-' && next == '>' ? 'T' : c == ':' && next == '=' ? '=' : '\0';
}

static void lex_bracket(struct math_lexer *l, char c, struct str source)
{
    bool opens = strchr("([{", c) != NULL;
    math_lexer_add(l, opens ? TOKEN_OPEN : TOKEN_CLOSE, c, source);
}

/* Is there a line end, and then the next formula? */
static bool line_between(struct str text, size_t at)
{
    bool line = false;
    for (; is_space(at_or(text, at)); at++) {
        line |= text.data[at] == '\n';
    }
    return line && at_or(text, at) == '$' && at_or(text, at + 1) != '$';
}

static size_t lex_sign(struct math_lexer *l, struct str text, size_t at)
{
    char c = text.data[at];
    size_t length;
    char code = relation(l, text, at, &length);
    if (code) {
        math_lexer_add(l, TOKEN_RELATION, l->negate ? 'N' : code, str_slice(text, at, at + length));
        l->negate = false;
        return at + length;
    }
    struct str source = str_slice(text, at, at + 1);
    if (str_starts(str_slice(text, at, text.length), STR("+/-"))) {
        math_lexer_add(l, TOKEN_OPERATOR, 'P', str_slice(text, at, at + 3));
        return at + 3;
    }
    switch (c) {
    case '*': return lex_stars(l, text, at);
    case '.':
        if (at_or(text, at + 1) == '.' && at_or(text, at + 2) == '.') {
            math_lexer_add(l, TOKEN_DOTS, 0, str_slice(text, at, at + 3));
            return at + 3;
        }
        if (!math_lexer_after_operand(l) && (str_starts(str_slice(text, at + 1, text.length), STR("\\overline")) ||
                                             str_starts(str_slice(text, at + 1, text.length), STR("\\dot{")))) {
            math_lexer_add(l, TOKEN_NUMBER, 0, STR("0.")); /* ".\overline{3}" */
            break;
        }
        l->space = true;
        break;
    case '+':
    case '-':
    case '/':
    case '^':
    case '_':
    case '!':
    case '\'':
    case '%':
    case ':': math_lexer_add(l, TOKEN_OPERATOR, c, source); break;
    case ',':
    case ';': math_lexer_add(l, TOKEN_SEPARATOR, c, source); break;
    case '&': math_lexer_add(l, l->environments ? TOKEN_CELL : TOKEN_SEPARATOR, '&', source); break;
    case '|': math_lexer_add(l, TOKEN_BAR, 0, source); break;
    case '(':
    case '[':
    case '{':
    case ')':
    case ']':
    case '}': lex_bracket(l, c, source); break;
    case '$':
        if (line_between(text, at + 1)) { /* "$x = 1$" and "$y = 2$" on two lines */
            lex_line_end(l, text, at + 1);
            break;
        }
        l->space = true;
        break;
    default: l->space = true; break; /* blanks, ~ " ` ? # @ and control characters */
    }
    return at + 1;
}

void math_lexer_run(struct math_lexer *l, struct str text)
{
    for (size_t at = 0; at < text.length && !l->out->wrong;) {
        char c = text.data[at];
        if (!math_work_pay(l->work, 1)) {
            l->out->wrong = "too much work";
        } else if (c == '\\') {
            at = lex_command(l, text, at + 1);
        } else if ((c >= '0' && c <= '9') || (c == '.' && at_or(text, at + 1) >= '0' && at_or(text, at + 1) <= '9')) {
            at = math_lexer_number(l, text, at);
        } else if (is_letter(c) || (unsigned char)c >= 0x80) {
            at = math_lexer_word(l, text, at);
        } else {
            at = lex_sign(l, text, at);
        }
    }
}

/* Fills `match` of each opening bracket; a bracket of any form closes any other ("[0, 1)"), braces only each other. */
static void match_brackets(struct math_tokens *tokens)
{
    int open[MATH_MAX_DEPTH], n = 0;
    for (int i = 0; i < tokens->n; i++) {
        struct math_token *t = &tokens->list[i];
        if (t->kind == TOKEN_OPEN) {
            if (n == MATH_MAX_DEPTH) {
                tokens->wrong = "too deep";
                return;
            }
            open[n++] = i;
        } else if (t->kind == TOKEN_CLOSE && n > 0) {
            struct math_token *o = &tokens->list[open[n - 1]];
            if ((o->code == '{') == (t->code == '}') && (o->code == 'S') == (t->code == 'S')) {
                o->match = i;
                n--;
            }
        }
    }
}

bool math_lex(struct math_work *work, struct str text, unsigned flags, struct math_tokens *out)
{
    *out = (struct math_tokens){0};
    if (text.length > (size_t)MATH_MAX_BYTES * 2) {
        out->wrong = "too long";
        return false;
    }
    size_t max = text.length < MATH_MAX_TOKENS ? text.length + 4 : MATH_MAX_TOKENS;
    out->list = ARENA_NEW(work->arena, struct math_token, max + 1);
    struct math_lexer l = {.work = work, .out = out, .flags = flags, .max = (int)max};
    math_lexer_run(&l, text);
    out->currency = l.currency;
    out->list[out->n] = (struct math_token){.kind = TOKEN_END, .match = -1, .space = true};
    if (!out->wrong) {
        math_idiom_settle(work, out);
    }
    if (!out->wrong) {
        match_brackets(out);
    }
    return !out->wrong;
}

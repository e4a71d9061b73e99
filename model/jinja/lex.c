/* model/jinja/lex.c - tokens, by the rules of Jinja's lexer with trim_blocks and lstrip_blocks.
 *
 * A block tag takes the line end after it with it, and the white space before it where the line begins with it; '-' in a tag
 * takes all white space on its side, '+' none.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "model/jinja/text.h"

enum { MOST_BRACKETS = 200 };

struct lexer {
    struct jparser *p;
    bool line_starts; /* what was read last ends with a line end */
    char closing[MOST_BRACKETS];
    int n_closing;
};

static struct str rest_of(const struct jparser *p)
{
    return str_slice(p->source, p->at, p->source.length);
}

static void advance(struct jparser *p, size_t to)
{
    for (; p->at < to; p->at++) {
        p->line += p->source.data[p->at] == '\n';
    }
}

static struct jtoken *add_token(struct jparser *p, enum jtoken_kind kind, struct str text)
{
    if (p->n_tokens == p->capacity) {
        int capacity = p->capacity ? 2 * p->capacity : 256;
        struct jtoken *tokens = ARENA_NEW(p->arena, struct jtoken, capacity);
        if (p->n_tokens) {
            memcpy(tokens, p->tokens, (size_t)p->n_tokens * sizeof *tokens);
        }
        p->tokens = tokens;
        p->capacity = capacity;
    }
    struct jtoken *token = &p->tokens[p->n_tokens++];
    *token = (struct jtoken){.kind = kind, .line = p->line, .text = text};
    return token;
}

static size_t skip_space(struct str text, size_t at)
{
    for (size_t length; at < text.length; at += length) {
        if (!jtext_is_space(str_utf8_next(text, at, &length))) {
            break;
        }
    }
    return at;
}

/* The text without white space at its end. */
static size_t trimmed_end(struct str text)
{
    size_t end = 0;
    for (size_t at = 0, length; at < text.length; at += length) {
        if (!jtext_is_space(str_utf8_next(text, at, &length))) {
            end = at + length;
        }
    }
    return end;
}

/* ---- between tags ---- */

/* The data before a tag with that sign; lstrip: it is no variable. */
static void add_data(struct lexer *l, struct str text, char sign, bool lstrip)
{
    size_t end = text.length;
    if (sign == '-') {
        end = trimmed_end(text);
    } else if (lstrip && sign != '+') {
        size_t line = text.length;
        while (line > 0 && text.data[line - 1] != '\n') {
            line--;
        }
        struct str last = str_slice(text, line, text.length);
        if ((line > 0 || l->line_starts) && skip_space(last, 0) == last.length) {
            end = line;
        }
    }
    if (end > 0) {
        add_token(l->p, TOKEN_DATA, str_slice(text, 0, end));
    }
}

/* Where the end of a tag leads to: `mark` is at `at`, a sign before it. */
static size_t after_end(struct str source, size_t at, char sign)
{
    size_t end = at + 2;
    if (sign == '-') {
        return skip_space(source, end);
    }
    bool newline = sign != '+' && end < source.length && source.data[end] == '\n';
    return newline ? end + 1 : end;
}

static void finish_at(struct lexer *l, size_t to)
{
    l->line_starts = to > 0 && l->p->source.data[to - 1] == '\n';
    advance(l->p, to);
}

static void skip_comment(struct lexer *l, size_t from)
{
    struct str source = l->p->source;
    ptrdiff_t end = str_find(source, STR("#}"), from);
    if (end < 0) {
        jparse_fail(l->p, l->p->line, "the comment has no end '#}'");
    }
    char before = (size_t)end > from ? source.data[end - 1] : ' ';
    finish_at(l, after_end(source, (size_t)end, before == '-' || before == '+' ? before : ' '));
}

static bool has_word(struct str source, size_t *at, struct str word)
{
    size_t from = skip_space(source, *at);
    if (!str_starts(str_slice(source, from, source.length), word)) {
        return false;
    }
    *at = skip_space(source, from + word.length);
    return true;
}

/* The tag "{% raw %}" whose name may begin at `at`: where what is raw begins, or 0. */
static size_t raw_begin(struct str source, size_t at)
{
    if (!has_word(source, &at, STR("raw"))) {
        return 0;
    }
    if (str_starts(str_slice(source, at, source.length), STR("-%}"))) {
        return skip_space(source, at + 3);
    }
    return str_starts(str_slice(source, at, source.length), STR("%}")) ? at + 2 : 0;
}

/* From `from` to the tag endraw; the text is data. */
static void lex_raw(struct lexer *l, size_t from)
{
    struct str source = l->p->source;
    finish_at(l, from);
    for (ptrdiff_t begin = (ptrdiff_t)from; (begin = str_find(source, STR("{%"), (size_t)begin)) >= 0; begin++) {
        size_t at = (size_t)begin + 2;
        char sign = at < source.length && (source.data[at] == '-' || source.data[at] == '+') ? source.data[at] : ' ';
        at += sign != ' ';
        if (!has_word(source, &at, STR("endraw"))) {
            continue;
        }
        char end_sign =
            at < source.length && (source.data[at] == '-' || source.data[at] == '+') ? source.data[at] : ' ';
        at += end_sign != ' ';
        if (str_starts(str_slice(source, at, source.length), STR("%}"))) {
            add_data(l, str_slice(source, from, (size_t)begin), sign, true);
            finish_at(l, after_end(source, at, end_sign));
            return;
        }
    }
    jparse_fail(l->p, l->p->line, "the raw block has no end '{%% endraw %%}'");
}

/* ---- inside tags ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* digits with single '_' between them, from `at` on; 0: there are none */
static size_t digits(struct str text, size_t at)
{
    size_t n = 0;
    while (at + n < text.length &&
           (is_digit(text.data[at + n]) ||
            (n > 0 && text.data[at + n] == '_' && at + n + 1 < text.length && is_digit(text.data[at + n + 1])))) {
        n++;
    }
    return n;
}

/* The length of a number with a fraction or an exponent; 0: there is none. */
static size_t float_length(struct str text)
{
    size_t n = digits(text, 0), whole = n;
    if (n == 0) {
        return 0;
    }
    if (n < text.length && text.data[n] == '.' && digits(text, n + 1)) {
        n += 1 + digits(text, n + 1);
    }
    if (n < text.length && (text.data[n] == 'e' || text.data[n] == 'E')) {
        size_t sign = n + 1 < text.length && (text.data[n + 1] == '+' || text.data[n + 1] == '-');
        size_t power = digits(text, n + 1 + sign);
        n += power ? 1 + sign + power : 0;
    }
    return n > whole ? n : 0;
}

static void lex_number(struct jparser *p)
{
    struct str text = rest_of(p);
    bool after_dot = p->at > 0 && p->source.data[p->at - 1] == '.';
    size_t n = after_dot ? 0 : float_length(text), whole = n ? n : digits(text, 0);
    char plain[64];
    size_t length = 0;
    for (size_t i = 0; i < whole && length < sizeof plain - 1; i++) {
        if (text.data[i] != '_') {
            plain[length++] = text.data[i];
        }
    }
    struct str digits_of = {plain, length};
    struct jtoken *token = add_token(p, n ? TOKEN_FLOAT : TOKEN_INTEGER, str_slice(text, 0, whole));
    bool other_base = !n && whole == 1 && text.data[0] == '0' && text.length > 1 && strchr("xXoObB", text.data[1]);
    bool zeros = !n && length > 1 && plain[0] == '0' && strspn(plain, "0") < length;
    plain[length] = '\0';
    if (other_base || zeros || !(n ? str_to_double(digits_of, &token->real) : str_to_int(digits_of, &token->integer))) {
        jparse_fail(p, p->line, "the number %.*s is not known to strop", (int)(whole + 1 < 40 ? whole + 1 : 40),
                    text.data);
    }
    advance(p, p->at + whole);
}

/* -1: it is none */
static int hex_digit(char c)
{
    char lower = (char)(c | 0x20);
    return is_digit(c) ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* \xhh, \uhhhh, \Uhhhhhhhh: the character; `at` is after the letter. */
static uint32_t hex_escape(struct jparser *p, struct str text, size_t at, size_t n)
{
    uint32_t c = 0;
    for (size_t i = 0; i < n; i++) {
        int digit = hex_digit(at + i < text.length ? text.data[at + i] : ' ');
        if (digit < 0) {
            jparse_fail(p, p->line, "a text has an escape '\\%c' without %zu hexadecimal digits", text.data[at - 1], n);
        }
        c = c * 16 + (uint32_t)digit;
    }
    if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) {
        jparse_fail(p, p->line, "a text has an escape for U+%X, which is no character", c);
    }
    return c;
}

/* Writes the character at *to, and moves it. */
static void put_utf8(char **to, uint32_t c)
{
    if (c < 0x80) {
        *(*to)++ = (char)c;
        return;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    *(*to)++ = (char)((0xFF00 >> (more + 1) & 0xFF) | c >> (6 * more));
    while (more-- > 0) {
        *(*to)++ = (char)(0x80 | (c >> (6 * more) & 0x3F));
    }
}

/* An unknown escape is itself; a character beyond ASCII becomes the text of its escape then, as in Jinja. */
static size_t keep_escape(struct str text, size_t at, char **to)
{
    size_t length;
    uint32_t c = str_utf8_next(text, at, &length);
    *(*to)++ = '\\';
    if (c < 0x80) {
        *(*to)++ = (char)c;
    } else {
        *to += snprintf(*to, 12, c < 0x100 ? "x%02x" : c < 0x10000 ? "u%04x" : "U%08x", c);
    }
    return length;
}

/* The escape whose backslash is before text[at]; returns how many bytes it has. */
static size_t unescape(struct jparser *p, struct str text, size_t at, char **to)
{
    static const char letters[] = "abfnrtv\\'\"", values[] = "\a\b\f\n\r\t\v\\'\"";
    char c = text.data[at];
    const char *place = c ? strchr(letters, c) : NULL;
    if (place) {
        *(*to)++ = values[place - letters];
        return 1;
    }
    if (c >= '0' && c <= '7') {
        uint32_t value = 0;
        size_t n = 0;
        for (; n < 3 && at + n < text.length && text.data[at + n] >= '0' && text.data[at + n] <= '7'; n++) {
            value = value * 8 + (uint32_t)(text.data[at + n] - '0');
        }
        put_utf8(to, value);
        return n;
    }
    if (c == 'x' || c == 'u' || c == 'U') {
        size_t n = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        put_utf8(to, hex_escape(p, text, at + 1, n));
        return 1 + n;
    }
    if (c == 'N') {
        jparse_fail(p, p->line, "the escape \\N is not known to strop");
    }
    return c == '\n' ? 1 : keep_escape(text, at, to);
}

static struct str unescape_all(struct jparser *p, struct str text)
{
    char *data = arena_alloc(p->arena, 2 * text.length + 16), *to = data; /* no escape is more than twice as long */
    for (size_t at = 0; at < text.length;) {
        if (text.data[at] == '\\') {
            at += 1 + unescape(p, text, at + 1, &to);
        } else {
            *to++ = text.data[at++];
        }
    }
    return (struct str){data, (size_t)(to - data)};
}

static void lex_string(struct jparser *p)
{
    struct str text = rest_of(p);
    char quote = text.data[0];
    size_t n = 1;
    while (n < text.length && text.data[n] != quote) {
        n += text.data[n] == '\\' ? 2 : 1;
    }
    if (n >= text.length) {
        jparse_fail(p, p->line, "a text that begins with %c has no end", quote);
    }
    struct str inside = str_slice(text, 1, n);
    struct jtoken *token = add_token(p, TOKEN_STRING, inside);
    if (inside.length && memchr(inside.data, '\\', inside.length)) {
        token->text = unescape_all(p, inside);
    }
    advance(p, p->at + n + 1);
}

static void lex_word(struct jparser *p)
{
    size_t at = p->at, length;
    while (at < p->source.length && jtext_is_word(str_utf8_next(p->source, at, &length))) {
        at += length;
    }
    add_token(p, TOKEN_WORD, str_slice(p->source, p->at, at));
    advance(p, at);
}

/* Brackets must fit each other: "}}" inside of them is no end of a tag. */
static void match_bracket(struct lexer *l, char c)
{
    static const char opening[] = "([{", closing[] = ")]}";
    const char *opens = strchr(opening, c), *closes = strchr(closing, c);
    if (opens) {
        if (l->n_closing == MOST_BRACKETS) {
            jparse_fail(l->p, l->p->line, "more than %d open brackets", MOST_BRACKETS);
        }
        l->closing[l->n_closing++] = closing[opens - opening];
    } else if (closes && (l->n_closing == 0 || l->closing[--l->n_closing] != c)) {
        jparse_fail(l->p, l->p->line, "unexpected '%c'", c);
    }
}

static void lex_operator(struct lexer *l)
{
    static const char *const operators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                            "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    struct jparser *p = l->p;
    struct str text = rest_of(p);
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (str_starts(text, str_of(operators[i]))) {
            match_bracket(l, text.data[0]);
            add_token(p, TOKEN_OPERATOR, str_of(operators[i]));
            advance(p, p->at + strlen(operators[i]));
            return;
        }
    }
    size_t length;
    jparse_fail(p, p->line, "unexpected character U+%04X", str_utf8_next(text, 0, &length));
}

/* The end of the tag, if it is here. */
static bool lex_end(struct lexer *l, bool variable)
{
    struct jparser *p = l->p;
    struct str text = rest_of(p);
    char sign = text.length && (text.data[0] == '-' || (text.data[0] == '+' && !variable)) ? text.data[0] : ' ';
    size_t at = sign != ' ';
    if (l->n_closing > 0 || !str_starts(str_slice(text, at, text.length), variable ? STR("}}") : STR("%}"))) {
        return false;
    }
    add_token(p, variable ? TOKEN_VARIABLE_END : TOKEN_BLOCK_END, str_slice(text, 0, at + 2));
    finish_at(l, after_end(p->source, p->at + at, variable && sign == ' ' ? '+' : sign));
    return true;
}

static void lex_tag(struct lexer *l, bool variable)
{
    struct jparser *p = l->p;
    int line = p->line;
    while (!lex_end(l, variable)) {
        size_t length;
        if (p->at >= p->source.length) {
            jparse_fail(p, line, "a tag has no end '%s'", variable ? "}}" : "%}");
        }
        char c = p->source.data[p->at];
        uint32_t character = str_utf8_next(p->source, p->at, &length);
        if (jtext_is_space(character)) {
            advance(p, p->at + length);
        } else if (is_digit(c)) {
            lex_number(p);
        } else if (c == '\'' || c == '"') {
            lex_string(p);
        } else if (jtext_is_word(character)) {
            lex_word(p);
        } else {
            lex_operator(l);
        }
    }
}

/* ---- the template ---- */

/* Line ends are '\n', and one at the end is not part of the template. */
static struct str normalise(struct arena *arena, struct str source)
{
    char *data = arena_alloc(arena, source.length + 1);
    size_t n = 0;
    for (size_t i = 0; i < source.length; i++) {
        bool carriage = source.data[i] == '\r';
        data[n++] = carriage ? '\n' : source.data[i];
        i += carriage && i + 1 < source.length && source.data[i + 1] == '\n';
    }
    return (struct str){data, n > 0 && data[n - 1] == '\n' ? n - 1 : n};
}

/* Where the next tag begins; the text's length if nowhere. */
static size_t next_tag(struct str source, size_t from)
{
    for (size_t at = from; at + 1 < source.length; at++) {
        if (source.data[at] == '{' && strchr("{%#", source.data[at + 1]) && source.data[at + 1]) {
            return at;
        }
    }
    return source.length;
}

void jlex(struct jparser *p)
{
    struct lexer l = {.p = p, .line_starts = true};
    p->source = normalise(p->arena, p->source);
    while (p->at < p->source.length) {
        size_t tag = next_tag(p->source, p->at);
        struct str text = str_slice(p->source, p->at, tag);
        if (tag == p->source.length) {
            add_token(p, TOKEN_DATA, text);
            break;
        }
        char kind = p->source.data[tag + 1];
        size_t inside = tag + 2;
        char sign = inside < p->source.length && strchr("-+", p->source.data[inside]) ? p->source.data[inside] : ' ';
        add_data(&l, text, sign, kind != '{');
        inside += sign != ' ';
        size_t raw = kind == '%' ? raw_begin(p->source, inside) : 0;
        advance(p, inside);
        if (raw) {
            lex_raw(&l, raw);
        } else if (kind == '#') {
            skip_comment(&l, inside);
        } else {
            add_token(p, kind == '{' ? TOKEN_VARIABLE_BEGIN : TOKEN_BLOCK_BEGIN, str_slice(p->source, tag, inside));
            lex_tag(&l, kind == '{');
        }
    }
    add_token(p, TOKEN_EOF, (struct str){"", 0});
}

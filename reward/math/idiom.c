/* reward/math/idiom.c - one pass over the tokens per idiom; matched ones are dropped or replaced in place.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/math/idiom.h"

#include <string.h>
#include <strings.h>

#define MAX_NESTED 8 /* brackets in an end of an interval */

static bool is(const struct math_token *t, enum math_token_kind kind, const char *codes)
{
    return t->kind == (uint8_t)kind && t->code && strchr(codes, t->code);
}

/* A letter or word, from \text{} or not. */
static bool named(const struct math_token *t, const char *name)
{
    return (t->kind == TOKEN_SYMBOL || t->kind == TOKEN_TEXT) && t->text.length == strlen(name) &&
           strncasecmp(t->text.data, name, t->text.length) == 0;
}

static bool number(const struct math_token *t, const char *digits)
{
    return t->kind == TOKEN_NUMBER && t->exponent == 0 && str_equal(t->text, str_of(digits));
}

static void drop(struct math_tokens *tokens, int at, int n)
{
    memmove(tokens->list + at, tokens->list + at + n, (size_t)(tokens->n - at - n + 1) * sizeof *tokens->list);
    tokens->n -= n;
}

static void set(struct math_token *t, enum math_token_kind kind, char code)
{
    t->kind = (uint8_t)kind;
    t->code = (uint8_t)code;
}

/* ---- signs ---- */

static void leading_arrows(struct math_tokens *tokens)
{
    while (tokens->n > 1 && is(tokens->list, TOKEN_RELATION, "T")) {
        drop(tokens, 0, 1);
    }
}

static void braced_sign(struct math_tokens *tokens, int i)
{
    const struct math_token *t = &tokens->list[i];
    bool script = i > 0 && is(t - 1, TOKEN_OPERATOR, "^_");
    if (i + 2 < tokens->n && is(t, TOKEN_OPEN, "{") && is(t + 2, TOKEN_CLOSE, "}") && !script && i > 0 &&
        (is(t + 1, TOKEN_OPERATOR, ":+-*/") || is(t + 1, TOKEN_RELATION, "=<>LGN"))) {
        drop(tokens, i + 2, 1);
        drop(tokens, i, 1);
    }
}

/* "5{}", but not "{}_n C_k". */
static void empty_braces(struct math_tokens *tokens, int i)
{
    const struct math_token *t = &tokens->list[i];
    bool value = i > 0 && (t[-1].kind == TOKEN_NUMBER || t[-1].kind == TOKEN_SYMBOL);
    if (value && is(t, TOKEN_OPEN, "{") && is(t + 1, TOKEN_CLOSE, "}") && !is(t + 2, TOKEN_OPERATOR, "_")) {
        drop(tokens, i, 2);
    }
}

/* "60 \deg", and the letters of "5 m/s". */
static void units_in_letters(struct math_tokens *tokens, int i)
{
    struct math_token *t = &tokens->list[i];
    if (i == 0 || t[-1].kind != TOKEN_NUMBER) {
        return;
    }
    if (t->kind == TOKEN_FUNCTION && str_ends(t->text, STR("deg")) && i + 1 == tokens->n) {
        set(t, TOKEN_OPERATOR, 'd');
    } else if (named(t, "m") && is(t + 1, TOKEN_OPERATOR, "/") && named(t + 2, "s") &&
               (i + 3 == tokens->n || is(t + 3, TOKEN_OPERATOR, "^"))) {
        set(t, TOKEN_TEXT, 0);
        set(t + 2, TOKEN_TEXT, 0);
    }
}

static void times_ten(struct math_tokens *tokens, int i)
{
    struct math_token *t = &tokens->list[i];
    if (i > 0 && i + 2 < tokens->n && t[-1].kind == TOKEN_NUMBER && named(t, "x") && number(t + 1, "10") &&
        is(t + 2, TOKEN_OPERATOR, "^")) {
        set(t, TOKEN_OPERATOR, '*');
    }
}

static void union_letter(struct math_tokens *tokens, int i)
{
    struct math_token *t = &tokens->list[i];
    if (i > 0 && i + 1 < tokens->n && named(t, "U") && t->text.data[0] == 'U' && is(t - 1, TOKEN_CLOSE, ")]S") &&
        is(t + 1, TOKEN_OPEN, "([S")) {
        set(t, TOKEN_OPERATOR, 'U');
    }
    bool close = i > 0 && i + 1 < tokens->n && is(t - 1, TOKEN_CLOSE, "[]") && is(t + 1, TOKEN_CLOSE, "]");
    if (close && named(t, "U")) {
        set(t, TOKEN_OPERATOR, 'U');
    }
}

/* "\left\{ \begin{array} ... \right.": a brace that nothing closes in front of a system. */
static void open_brace(struct math_tokens *tokens)
{
    bool open = tokens->n > 2 && is(tokens->list, TOKEN_OPEN, "S") && tokens->list[1].kind == TOKEN_BEGIN;
    for (int i = 2; i < tokens->n && open; i++) {
        open = !is(&tokens->list[i], TOKEN_CLOSE, "S");
    }
    if (open) {
        drop(tokens, 0, 1);
    }
}

/* ---- intervals with brackets that face outwards ---- */

static bool ends_interval(const struct math_tokens *tokens, int i)
{
    const struct math_token *t = &tokens->list[i];
    return i >= tokens->n || is(t, TOKEN_OPERATOR, "UND") || t->kind == TOKEN_SEPARATOR || t->kind == TOKEN_CLOSE ||
           t->kind == TOKEN_RELATION || t->kind == TOKEN_GAP || t->kind == TOKEN_TEXT;
}

static bool begins_interval(const struct math_tokens *tokens, int i)
{
    const struct math_token *before = &tokens->list[i - 1];
    return i == 0 || is(before, TOKEN_OPERATOR, "UND") || is(before, TOKEN_RELATION, "E=") ||
           before->kind == TOKEN_SEPARATOR || is(before, TOKEN_OPEN, "S(");
}

/* From the bracket at i, over two ends and one separator, to a [ ] or ); 0: there is no such interval. */
static int interval_end(struct math_work *work, const struct math_tokens *tokens, int i)
{
    int depth = 0, separators = 0;
    for (int k = i + 1; k < tokens->n && math_work_pay(work, 1); k++) {
        const struct math_token *t = &tokens->list[k];
        if (depth == 0 && (is(t, TOKEN_OPEN, "[") || is(t, TOKEN_CLOSE, "])"))) {
            bool ends = t->kind == TOKEN_CLOSE || ends_interval(tokens, k + 1);
            return separators == 1 && ends ? k : 0;
        }
        depth += t->kind == TOKEN_OPEN ? 1 : t->kind == TOKEN_CLOSE ? -1 : 0;
        separators += depth == 0 && is(t, TOKEN_SEPARATOR, ",;");
        if (depth < 0 || depth > MAX_NESTED || separators > 1) {
            return 0;
        }
    }
    return 0;
}

static void outward_brackets(struct math_work *work, struct math_tokens *tokens, int i)
{
    struct math_token *t = &tokens->list[i];
    bool outward = is(t, TOKEN_CLOSE, "]");
    if ((!outward && !is(t, TOKEN_OPEN, "([")) || !begins_interval(tokens, i)) {
        return;
    }
    int end = interval_end(work, tokens, i);
    if (!end || (!outward && tokens->list[end].kind == TOKEN_CLOSE)) {
        return;
    }
    if (outward) {
        set(t, TOKEN_OPEN, '(');
    }
    if (tokens->list[end].kind == TOKEN_OPEN) {
        set(&tokens->list[end], TOKEN_CLOSE, ')');
    }
}

/* ---- digits above 9 ---- */

/* Texts are parts of what is judged, and end by their length alone. */
static bool all_high_digits(struct str text)
{
    size_t i = 0;
    while (i < text.length && text.data[i] && strchr("0123456789ABCDEFabcdef", text.data[i])) {
        i++;
    }
    return i == text.length;
}

static bool high_digit(const struct math_token *t)
{
    return t->kind == TOKEN_NUMBER
               ? t->exponent == 0 && !memchr(t->text.data, '.', t->text.length)
               : (t->kind == TOKEN_SYMBOL || t->kind == TOKEN_TEXT) && t->text.length <= 8 && all_high_digits(t->text);
}

/* After "_": is it 11 to 36 in digits? */
static int high_base(const struct math_token *t)
{
    t += is(t, TOKEN_OPEN, "{");
    bool two = t->kind == TOKEN_NUMBER && t->text.length == 2;
    int base = two ? (t->text.data[0] - '0') * 10 + t->text.data[1] - '0' : 0;
    return base > 10 && base <= 36 ? base : 0;
}

static void high_digits(struct math_work *work, struct math_tokens *tokens, int i)
{
    int end = i;
    size_t length = 0;
    bool digit = false, letter = false, capital = true;
    while (end < tokens->n && high_digit(&tokens->list[end]) && length < 64) {
        const struct math_token *t = &tokens->list[end++];
        digit |= t->kind == TOKEN_NUMBER;
        letter |= t->kind != TOKEN_NUMBER;
        for (size_t k = 0; k < t->text.length; k++) {
            capital &= t->text.data[k] < 'a';
        }
        length += t->text.length;
    }
    bool round = i > 0 && is(&tokens->list[i - 1], TOKEN_OPEN, "({") && is(&tokens->list[end], TOKEN_CLOSE, ")}");
    int last = end + round;
    int base =
        last < tokens->n && is(&tokens->list[last], TOKEN_OPERATOR, "_") ? high_base(&tokens->list[last + 1]) : 0;
    if (!letter || !base || (!digit && (base != 16 || !capital))) {
        return;
    }
    char *text = arena_alloc(work->arena, length);
    length = 0;
    for (int k = i; k < end; k++) {
        const struct math_token *t = &tokens->list[k];
        for (size_t c = 0; c < t->text.length; c++) {
            text[length++] = (char)(t->text.data[c] >= 'a' ? t->text.data[c] - ('a' - 'A') : t->text.data[c]);
        }
    }
    set(&tokens->list[i], TOKEN_NUMBER, 0);
    tokens->list[i].text = (struct str){text, length};
    drop(tokens, i + 1, last - i - 1);
    if (round) {
        drop(tokens, i - 1, 1);
    }
}

/* ---- words and the real numbers ---- */

static void signs_in_words(struct math_tokens *tokens)
{
    struct math_token *t = tokens->list;
    if (tokens->n > 2 && named(t, "a") && named(t + 1, "n") && !t[1].space && t[2].kind == TOKEN_TEXT && t[2].space) {
        drop(tokens, 0, 2); /* "an ellipse" */
    }
    bool value =
        tokens->n > 1 && (t[1].kind == TOKEN_NUMBER || (t[1].kind == TOKEN_SYMBOL && named(t + 1, "infinity")));
    if (value && (named(t, "negative") || named(t, "minus"))) {
        set(t, TOKEN_OPERATOR, '-');
    } else if (value && (named(t, "positive") || named(t, "plus"))) {
        drop(tokens, 0, 1);
    }
}

/* Room for `n` tokens and the end; NULL where the list must not grow. */
static struct math_token *renew(struct math_work *work, struct math_tokens *tokens, int n)
{
    struct math_token *list = n < MATH_MAX_TOKENS ? ARENA_NEW(work->arena, struct math_token, n + 1) : NULL;
    if (list) {
        list[n] = tokens->list[tokens->n];
    }
    return list;
}

static struct math_token sign(enum math_token_kind kind, char code, struct str text)
{
    return (struct math_token){.kind = (uint8_t)kind, .code = (uint8_t)code, .match = -1, .text = text};
}

/* After \mathbb{R} at `at`, to the end: "^+", "_{>0}", "^{-}": the sign, G and L with 0; 0: none. */
static char half_line(const struct math_tokens *tokens, int at)
{
    const struct math_token *t = &tokens->list[at], *end = tokens->list + tokens->n;
    if (!is(t, TOKEN_OPERATOR, "^_")) {
        return 0;
    }
    t++;
    bool braced = is(t, TOKEN_OPEN, "{");
    t += braced;
    char code = is(t, TOKEN_OPERATOR, "+") ? '>' : is(t, TOKEN_OPERATOR, "-") ? '<' : 0;
    if (!code && is(t, TOKEN_RELATION, "<>LG") && number(t + 1, "0")) {
        code = (char)(t++)->code;
    }
    t += 1 + (braced && is(t + 1, TOKEN_CLOSE, "}"));
    return t == end ? code : 0;
}

static void positive_reals(struct math_work *work, struct math_tokens *tokens)
{
    int at = tokens->n > 2 && is(tokens->list + 1, TOKEN_RELATION, "E") ? 2 : 0;
    char code =
        tokens->n > at + 1 && tokens->n < at + 7 && named(tokens->list + at, "RR") ? half_line(tokens, at + 1) : 0;
    struct math_token *list = code ? renew(work, tokens, at + 6) : NULL;
    if (!list) {
        return;
    }
    bool up = code == '>' || code == 'G', closed = code == 'L' || code == 'G';
    memcpy(list, tokens->list, (size_t)at * sizeof *list);
    struct math_token *t = list + at, zero = sign(TOKEN_NUMBER, 0, STR("0")),
                      endless = sign(TOKEN_SYMBOL, 0, STR("infinity"));
    int n = 0;
    t[n++] = sign(TOKEN_OPEN, up && closed ? '[' : '(', STR("("));
    if (up) {
        t[n++] = zero;
    } else {
        t[n++] = sign(TOKEN_OPERATOR, '-', STR("-"));
        t[n++] = endless;
    }
    t[n++] = sign(TOKEN_SEPARATOR, ',', STR(","));
    t[n++] = up ? endless : zero;
    t[n++] = sign(TOKEN_CLOSE, !up && closed ? ']' : ')', STR(")"));
    t[n] = tokens->list[tokens->n];
    tokens->list = list;
    tokens->n = at + n;
}

/* The tokens of "all real numbers" at `at`; 0: they are others. */
static int all_reals(const struct math_token *t)
{
    int n = named(t, "RR") ? 1 : 0;
    if (!n && named(t, "all") && (named(t + 1, "real") || named(t + 1, "reals"))) {
        n = 2 + (named(t + 1, "real") && (named(t + 2, "numbers") || named(t + 2, "values") || named(t + 2, "x")));
    }
    return n;
}

static void all_but(struct math_work *work, struct math_tokens *tokens)
{
    int at = tokens->n > 2 && is(tokens->list + 1, TOKEN_RELATION, "E") ? 2 : 0, n = tokens->n;
    int reals = tokens->n > at + 2 ? all_reals(tokens->list + at) : 0, rest = at + reals;
    if (!reals || rest + 1 >= n || !(named(tokens->list + rest, "except") || named(tokens->list + rest, "excluding"))) {
        return;
    }
    rest++;
    rest += named(tokens->list + rest, "for") || named(tokens->list + rest, "at") || named(tokens->list + rest, "when");
    rest += rest + 1 < n && tokens->list[rest].kind == TOKEN_SYMBOL && is(tokens->list + rest + 1, TOKEN_RELATION, "=")
                ? 2
                : 0;
    struct math_token *list = rest < n ? renew(work, tokens, n - rest + 4) : NULL;
    if (!list) {
        return;
    }
    list[0] = sign(TOKEN_SYMBOL, 0, STR("RR"));
    list[1] = sign(TOKEN_OPERATOR, 'D', STR("\\"));
    list[2] = sign(TOKEN_OPEN, 'S', STR("{"));
    memcpy(list + 3, tokens->list + rest, (size_t)(n - rest) * sizeof *list);
    list[n - rest + 3] = sign(TOKEN_CLOSE, 'S', STR("}"));
    tokens->list = list;
    tokens->n = n - rest + 4;
}

void math_idiom_settle(struct math_work *work, struct math_tokens *tokens)
{
    leading_arrows(tokens);
    signs_in_words(tokens);
    open_brace(tokens);
    positive_reals(work, tokens);
    all_but(work, tokens);
    for (int i = 0; i < tokens->n && math_work_pay(work, 1); i++) {
        braced_sign(tokens, i);
        empty_braces(tokens, i);
        units_in_letters(tokens, i);
        times_ten(tokens, i);
        union_letter(tokens, i);
        high_digits(work, tokens, i);
    }
    for (int i = 0; i < tokens->n && math_work_pay(work, 1); i++) {
        outward_brackets(work, tokens, i);
    }
}

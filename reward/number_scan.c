/* reward/number_scan.c - one pass over the bytes; layout is skipped, words, numbers and signs become pieces.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/number_scan.h"

#include <string.h>
#include <strings.h>

#include "reward/number_words.h"

static char at_or(struct str text, size_t i)
{
    return i < text.length ? text.data[i] : '\0';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool one_of(struct str word, const char *const *names)
{
    for (int i = 0; names[i]; i++) {
        if (str_equal(word, str_of(names[i]))) {
            return true;
        }
    }
    return false;
}

static struct number_piece *push(struct number_scan *s, struct number_piece piece)
{
    if (s->n == NUMBER_MAX_PIECES) {
        return NULL;
    }
    piece.spaced = s->spaced;
    piece.begin = s->begin;
    piece.end = s->at;
    s->spaced = false;
    s->pieces[s->n] = piece;
    return &s->pieces[s->n++];
}

static void skip_blanks(struct number_scan *s)
{
    while (is_blank(at_or(s->text, s->at))) {
        s->at++;
        s->spaced = true;
    }
}

/* ---- numbers ---- */

static bool three_digits(struct str text, size_t at)
{
    return is_digit(at_or(text, at)) && is_digit(at_or(text, at + 1)) && is_digit(at_or(text, at + 2)) &&
           !is_digit(at_or(text, at + 3));
}

/* The length of a thousands separator at `at`; 0: none. */
static size_t separator(struct str text, size_t at)
{
    static const struct str forms[] = {{"{,}", 3}, {",\\!", 3}, {"\\,", 2}, {"{\\,}", 4}, {"\\text{,}", 8}, {"\\ ", 2},
                                       {"~", 1},   {"'", 1},    {"_", 1},   {" ", 1},     {",", 1}};
    bool may = at < text.length && text.data[at] && strchr("{,\\~'_ ", text.data[at]);
    for (size_t i = 0; may && i < sizeof forms / sizeof *forms; i++) {
        if (str_starts(str_slice(text, at, text.length), forms[i])) {
            size_t end = at + forms[i].length;
            while (i < 2 && at_or(text, end) == ' ') {
                end++;
            }
            return three_digits(text, end) ? end - at : 0;
        }
    }
    return 0;
}

/* "1.234.567": where groups of three after points end, two at least; `at` itself: there are none. */
static size_t pointed_end(struct str text, size_t at)
{
    size_t end = at;
    while (at_or(text, end) == '.' && three_digits(text, end + 1)) {
        end += 4;
    }
    return end - at >= 8 && at_or(text, end) != '.' ? end : at;
}

static struct str scan_digits(struct number_scan *s)
{
    size_t begin = s->at;
    while (is_digit(at_or(s->text, s->at))) {
        s->at++;
    }
    return str_slice(s->text, begin, s->at);
}

/* Digits with thousands put together; as they are if groups are not of three. */
static struct str scan_whole(struct number_scan *s)
{
    struct str digits = scan_digits(s);
    size_t gap, end = s->at;
    if (!digits.length || digits.length > 3 || digits.data[0] == '0') {
        return digits;
    }
    while ((gap = separator(s->text, end)) != 0) {
        end += gap + 3;
    }
    end = end > s->at ? end : pointed_end(s->text, end);
    if (end == s->at) {
        return digits;
    }
    char *copy = ARENA_NEW(s->arena, char, digits.length + end - s->at);
    size_t n = digits.length;
    memcpy(copy, digits.data, n);
    for (; s->at < end; s->at++) {
        if (is_digit(s->text.data[s->at])) {
            copy[n++] = s->text.data[s->at];
        }
    }
    return (struct str){copy, n};
}

/* [sign] digits at `at`, in braces or not. Returns where they end; 0: they are not there, or too many. */
static size_t scan_exponent(struct str text, size_t at, int *exponent)
{
    bool braced = at_or(text, at) == '{';
    at += braced;
    char sign = at_or(text, at);
    at += sign == '-' || sign == '+';
    int value = 0;
    size_t begin = at;
    for (; is_digit(at_or(text, at)); at++) {
        value = value <= NUMBER_MAX_EXPONENT ? value * 10 + (text.data[at] - '0') : value;
    }
    if (at == begin || value > NUMBER_MAX_EXPONENT || (braced && at_or(text, at) != '}')) {
        return 0;
    }
    *exponent += sign == '-' ? -value : value;
    return at + braced;
}

static size_t skip(struct str text, size_t at)
{
    while (is_blank(at_or(text, at))) {
        at++;
    }
    return at;
}

/* "\times 10^{3}" at `at`: where it ends; 0: something else is there. */
static size_t times_ten(struct str text, size_t at, int *exponent)
{
    static const struct str signs[] = {{"\\times", 6}, {"\\cdot", 5}, {"x", 1}, {"X", 1}, {"*", 1}};
    at = skip(text, at);
    size_t i = 0;
    while (i < sizeof signs / sizeof *signs && !str_starts(str_slice(text, at, text.length), signs[i])) {
        i++;
    }
    if (i == sizeof signs / sizeof *signs) {
        return 0;
    }
    at = skip(text, at + signs[i].length);
    if (!str_starts(str_slice(text, at, text.length), STR("10"))) {
        return 0;
    }
    at = skip(text, at + 2);
    return at_or(text, at) == '^' ? scan_exponent(text, skip(text, at + 1), exponent) : 0;
}

/* Digits as a number; after "/" and more digits a fraction. */
static bool scan_number(struct number_scan *s)
{
    struct number_piece number = {.kind = NUMBER_PIECE_NUMBER, .text = scan_whole(s)};
    if (at_or(s->text, s->at) == '.' && is_digit(at_or(s->text, s->at + 1))) {
        s->at++;
        number.more = scan_digits(s);
    }
    char e = at_or(s->text, s->at);
    size_t end = e == 'e' || e == 'E' ? scan_exponent(s->text, s->at + 1, &number.exponent) : 0;
    end = end && at_or(s->text, s->at + 1) != '{' && !is_letter(at_or(s->text, end)) ? end : 0;
    end = end ? end : times_ten(s->text, s->at, &number.exponent);
    s->at = end ? end : s->at;
    size_t bar = skip(s->text, s->at), bottom = skip(s->text, bar + 1);
    if (!end && !number.more.length && at_or(s->text, bar) == '/' && is_digit(at_or(s->text, bottom))) {
        s->at = bottom;
        number.kind = NUMBER_PIECE_FRACTION;
        number.more = scan_digits(s);
    }
    return number.text.length + number.more.length <= NUMBER_MAX_DIGITS && push(s, number);
}

/* {digits} or one digit of \frac. */
static bool fraction_part(struct number_scan *s, struct str *digits)
{
    skip_blanks(s);
    if (at_or(s->text, s->at) != '{') {
        *digits = str_slice(s->text, s->at, s->at + 1);
        s->at++;
        return digits->length == 1 && is_digit(digits->data[0]);
    }
    s->at++;
    skip_blanks(s);
    *digits = scan_whole(s);
    skip_blanks(s);
    return digits->length > 0 && digits->length <= NUMBER_MAX_DIGITS && at_or(s->text, s->at++) == '}';
}

static bool scan_fraction(struct number_scan *s)
{
    struct number_piece fraction = {.kind = NUMBER_PIECE_FRACTION};
    bool spaced = s->spaced;
    if (!fraction_part(s, &fraction.text) || !fraction_part(s, &fraction.more)) {
        return false;
    }
    s->spaced = spaced;
    return push(s, fraction);
}

/* ---- commands, signs, words ---- */

static bool scan_command(struct number_scan *s)
{
    static const char *const fonts[] = {
        "text",         "textbf",     "textit",     "textrm",    "textsf", "mbox", "mathrm", "mathbf",
        "mathit",       "mathsf",     "mathnormal", "bf",        "rm",     "it",   "emph",   "underline",
        "operatorname", "boldsymbol", "bm",         "boxed",     "fbox",   "left", "right",  "displaystyle",
        "textstyle",    "quad",       "qquad",      "n",         "t",      "big",  "Big",    "bigl",
        "bigr",         "hfill",      "limits",     "thinspace", NULL};
    static const char *const fractions[] = {"frac", "dfrac", "tfrac", "cfrac", "nicefrac", "sfrac", NULL};
    static const char *const currencies[] = {"pounds", "pound", "euro", "yen", "EUR", "texteuro", "textdollar", NULL};
    size_t end = s->at + 1;
    while (is_letter(at_or(s->text, end))) {
        end++;
    }
    struct str name = str_slice(s->text, s->at + 1, end);
    char sign = at_or(s->text, end);
    s->spaced = true;
    if (name.length == 0) {
        s->at = end + 1;
        return sign == '$'   ? push(s, (struct number_piece){.kind = NUMBER_PIECE_CURRENCY}) != NULL
               : sign == '%' ? push(s, (struct number_piece){.kind = NUMBER_PIECE_SIGN, .sign = '%'}) != NULL
                             : sign && strchr(",!;: ()[]", sign);
    }
    s->at = end;
    if (one_of(name, fractions)) {
        return scan_fraction(s);
    }
    if (one_of(name, currencies)) {
        return push(s, (struct number_piece){.kind = NUMBER_PIECE_CURRENCY});
    }
    return str_equal(name, STR("approx")) ? push(s, (struct number_piece){.kind = NUMBER_PIECE_ABOUT}) != NULL
                                          : one_of(name, fonts);
}

/* "18^\circ C", "18^{\circ}\text{C}": the scale of a temperature. */
static void skip_scale(struct number_scan *s)
{
    static const struct str fonts[] = {{"\\text{", 6}, {"\\mathrm{", 8}};
    size_t at = skip(s->text, s->at);
    at = skip(s->text, at + (at_or(s->text, at) == '}'));
    for (size_t i = 0; i < sizeof fonts / sizeof *fonts; i++) {
        at += str_starts(str_slice(s->text, at, s->text.length), fonts[i]) ? fonts[i].length : 0;
    }
    char c = at_or(s->text, at);
    bool scale = (c == 'C' || c == 'F' || c == 'K') && !is_letter(at_or(s->text, at + 1));
    s->at = scale ? at + 1 : s->at;
}

/* "^\circ" is a unit; any other power must follow a unit: its digits go with it. */
static bool scan_power(struct number_scan *s)
{
    size_t at = skip(s->text, s->at + 1);
    at = skip(s->text, at + (at_or(s->text, at) == '{'));
    if (str_starts(str_slice(s->text, at, s->text.length), STR("\\circ"))) {
        s->at = at + strlen("\\circ");
        skip_scale(s);
        return true;
    }
    const struct number_piece *last = s->n ? &s->pieces[s->n - 1] : NULL;
    char power = at_or(s->text, at);
    s->at = at + 1;
    return last && last->kind == NUMBER_PIECE_WORD && last->text.length > 0 && (power == '2' || power == '3') &&
           !is_digit(at_or(s->text, at + 1));
}

/* <b>, </strong> ... */
static bool scan_html(struct number_scan *s)
{
    static const char *const names[] = {"b",  "i",    "u",    "em",  "strong", "p",
                                        "br", "mark", "span", "div", "center", NULL};
    size_t begin = s->at + 1 + (at_or(s->text, s->at + 1) == '/'), end = begin;
    while (is_letter(at_or(s->text, end))) {
        end++;
    }
    bool known = one_of(str_slice(s->text, begin, end), names);
    end += at_or(s->text, end) == '/';
    s->at = end + 1;
    s->spaced = true;
    s->plain = false;
    return known && at_or(s->text, end) == '>';
}

static bool scan_word(struct number_scan *s)
{
    size_t begin = s->at;
    while (is_letter(at_or(s->text, s->at)) ||
           (at_or(s->text, s->at) == '\'' && is_letter(at_or(s->text, s->at + 1)))) {
        s->at++;
    }
    struct str word = str_slice(s->text, begin, s->at);
    bool rs = word.length == 2 && strncasecmp(word.data, "rs", 2) == 0 && at_or(s->text, s->at) == '.',
         us = str_equal(word, STR("US")) && at_or(s->text, s->at) == '$';
    s->at += rs || us;
    enum number_word kind = us ? NUMBER_WORD_CURRENCY : number_word(word);
    return push(s, (struct number_piece){
                       .kind = kind == NUMBER_WORD_CURRENCY ? NUMBER_PIECE_CURRENCY : NUMBER_PIECE_WORD, .text = word});
}

/* Letters of other scripts, as a word without text; and what Unicode has for signs. */
static bool scan_foreign(struct number_scan *s)
{
    bool any = false;
    while ((unsigned char)at_or(s->text, s->at) >= 0x80) {
        size_t length;
        if (number_word_code(str_utf8_next(s->text, s->at, &length)) != 'u') {
            return false;
        }
        s->at += length;
        any = true;
    }
    return any && push(s, (struct number_piece){.kind = NUMBER_PIECE_WORD});
}

/* A sign at an end of the text, or doubled, is Markdown's. */
static bool scan_emphasis(struct number_scan *s, char sign)
{
    size_t begin = s->at;
    while (at_or(s->text, s->at) == sign) {
        s->at++;
    }
    bool end = s->n == 0 || skip(s->text, s->at) == s->text.length;
    s->spaced = true;
    return end || (sign == '*' && s->at - begin == 2);
}

static bool scan_piece(struct number_scan *s)
{
    char c = s->text.data[s->at];
    s->begin = s->at;
    if (is_digit(c) || (c == '.' && is_digit(at_or(s->text, s->at + 1)))) {
        return scan_number(s);
    }
    if (is_letter(c)) {
        return scan_word(s);
    }
    switch (c) {
    case '\\': return scan_command(s);
    case '^': return scan_power(s);
    case '<': return scan_html(s);
    case '*':
    case '_':
    case '#': return scan_emphasis(s, c);
    case '[':
    case ']':
    case '"':
    case '`':
    case '\'': s->plain = false; __attribute__((fallthrough));
    case '$':
    case '{':
    case '}':
    case '(':
    case ')':
    case '~':
        s->at++;
        s->spaced = s->spaced || c != '$';
        return true;
    case '-':
    case '+':
    case '/':
    case '%':
    case ',':
    case '.':
    case ':':
    case ';': s->at++; return push(s, (struct number_piece){.kind = NUMBER_PIECE_SIGN, .sign = c});
    default: return (unsigned char)c >= 0x80 && scan_foreign(s);
    }
}

bool number_scan(struct number_scan *s, struct str text, struct arena *arena)
{
    s->text = text; /* not the pieces, of which few are used */
    s->arena = arena;
    s->at = 0;
    s->n = 0;
    s->spaced = false;
    s->plain = true;
    for (skip_blanks(s); s->at < s->text.length; skip_blanks(s)) {
        if (!scan_piece(s)) {
            return false;
        }
    }
    return true;
}

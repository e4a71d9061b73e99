/* reward/math/lex_word.c - numbers, and runs of letters: function, name, unit, word, or adjacent variables.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "reward/math/lexer.h"
#include "reward/math/units.h"

#define MAX_EXPONENT 9999

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

static bool three_digits(struct str text, size_t at)
{
    return is_digit(at_or(text, at)) && is_digit(at_or(text, at + 1)) && is_digit(at_or(text, at + 2)) &&
           !is_digit(at_or(text, at + 3));
}

/* ---- numbers ---- */

/* Inside of ( [ \{ or <, where a bare comma divides items. */
static bool in_brackets(const struct math_lexer *l)
{
    int depth = 0;
    for (int i = l->out->n - 1; i >= 0; i--) {
        const struct math_token *t = &l->out->list[i];
        depth += t->kind == TOKEN_CLOSE;
        if (t->kind == TOKEN_OPEN && depth-- == 0) {
            if (t->code != '{') {
                return true;
            }
            depth = 0;
        }
    }
    return l->environments > 0;
}

/* The length of "{,}" at `at`, blanks in and around it included; 0: none. */
static size_t braced_comma(struct str text, size_t at)
{
    size_t end = at;
    for (const char *sign = "{,}"; *sign; sign++) {
        while (at_or(text, end) == ' ') {
            end++;
        }
        if (at_or(text, end) != *sign) {
            return 0;
        }
        end++;
    }
    while (at_or(text, end) == ' ') {
        end++;
    }
    return end - at;
}

/* The length of a thousands separator at `at`; 0: none. *doubt: it may divide two numbers as well. */
static size_t separator(const struct math_lexer *l, struct str text, size_t at, bool *doubt)
{
    static const struct {
        struct str form;
        bool blanks, doubt; /* blanks may follow; it may be a comma of a list */
    } forms[] = {{{",\\!", 3}, true, false}, {{"\\,", 2}, false, false},   {{"\\ ", 2}, false, false},
                 {{"~", 1}, false, false},   {{"{\\,}", 4}, false, false}, {{"\\text{,}", 8}, false, false},
                 {{"'", 1}, false, false},   {{",", 1}, false, true},      {{" ", 1}, false, true}};
    size_t braced = braced_comma(text, at);
    if (braced) {
        *doubt = false;
        return three_digits(text, at + braced) ? braced : 0;
    }
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (!str_starts(str_slice(text, at, text.length), forms[i].form)) {
            continue;
        }
        size_t end = at + forms[i].form.length;
        while (forms[i].blanks && at_or(text, end) == ' ') {
            end++;
        }
        bool list = forms[i].doubt && (in_brackets(l) || (l->flags & MATH_LEX_NO_GROUPS));
        *doubt = forms[i].doubt && at_or(text, end) != '0'; /* no number of a list begins with a zero */
        return three_digits(text, end) && !list ? end - at : 0;
    }
    return 0;
}

struct number {
    char *digits;
    int n;
    bool point;
};

static void number_put(struct math_lexer *l, struct number *number, char c)
{
    if (number->n == MATH_MAX_DIGITS) {
        l->out->wrong = "a number is too long";
        return;
    }
    number->digits[number->n++] = c;
}

/* The digits in front of the point. Thousands are put together only if every group has three digits. */
static size_t read_whole(struct math_lexer *l, struct str text, size_t at, struct number *number)
{
    size_t end = at;
    while (is_digit(at_or(text, end))) {
        number_put(l, number, text.data[end++]);
    }
    const struct math_token *last = math_lexer_last(l);
    bool raised = last->kind == TOKEN_OPERATOR && strchr("^_", last->code) && last->code;
    if (end - at > 3 || end == at || text.data[at] == '0' || raised || l->out->wrong) {
        return end;
    }
    struct number first = *number;
    size_t behind_first = end, length;
    bool doubt, any_doubt = false;
    while ((length = separator(l, text, end, &doubt)) != 0) {
        any_doubt |= doubt;
        for (end += length; is_digit(at_or(text, end)); end++) {
            number_put(l, number, text.data[end]);
        }
    }
    char next = at_or(text, end);
    bool broken =
        (next == ',' && is_digit(at_or(text, end + 1))) || (next == '/' && any_doubt && text.data[behind_first] == ' ');
    if (broken && end > behind_first) {
        *number = first;
        return behind_first;
    }
    l->out->ambiguous |= any_doubt;
    return end;
}

/* "1.234.567": points between groups of three, two at least: where they end; `at` itself: there are none. */
static size_t read_pointed_groups(struct math_lexer *l, struct str text, size_t begin, size_t at, struct number *number)
{
    size_t end = at;
    int groups = 0;
    while (at_or(text, end) == '.' && three_digits(text, end + 1)) {
        groups++;
        end += 4;
    }
    bool comma = at_or(text, end) == ',' && is_digit(at_or(text, end + 1)) && (l->flags & MATH_LEX_COMMA_POINT);
    if (at - begin > 3 || text.data[begin] == '0' || (groups < 2 && !(groups == 1 && comma)) ||
        at_or(text, end) == '.') {
        return at;
    }
    for (size_t i = at; i < end; i++) {
        if (text.data[i] != '.') {
            number_put(l, number, text.data[i]);
        }
    }
    return end;
}

/* "3{,}14": a comma in braces is a decimal point, where no group of three follows. */
static size_t braced_point(struct str text, size_t at)
{
    size_t length = braced_comma(text, at);
    return length && is_digit(at_or(text, at + length)) && !three_digits(text, at + length) ? length : 0;
}

/* "1000,99": a comma that may be a decimal point. */
static bool decimal_comma(const struct math_lexer *l, struct str text, size_t at)
{
    return (l->flags & MATH_LEX_COMMA_POINT) && at_or(text, at) == ',' && is_digit(at_or(text, at + 1)) &&
           !three_digits(text, at + 1);
}

/* "e-7" or "E12" after a number: the exponent of ten. */
static size_t read_exponent(struct math_lexer *l, struct str text, size_t at, bool point, int *exponent)
{
    char e = at_or(text, at), sign = at_or(text, at + 1);
    size_t i = at + 1 + (sign == '+' || sign == '-');
    if ((e != 'e' && e != 'E') || !is_digit(at_or(text, i)) || (l->flags & MATH_LEX_NO_E)) {
        return at;
    }
    int value = 0;
    for (; is_digit(at_or(text, i)); i++) {
        value = value < MAX_EXPONENT ? value * 10 + (text.data[i] - '0') : value;
    }
    if (is_letter(at_or(text, i)) || value > MAX_EXPONENT) {
        return at;
    }
    l->out->ambiguous |= e == 'e' && !point;
    *exponent = sign == '-' ? -value : value;
    return i;
}

size_t math_lexer_number(struct math_lexer *l, struct str text, size_t at)
{
    struct number number = {.digits = arena_alloc(l->work->arena, MATH_MAX_DIGITS)};
    size_t end = read_whole(l, text, at, &number);
    end = read_pointed_groups(l, text, at, end, &number);
    bool comma = decimal_comma(l, text, end);
    size_t braced = braced_point(text, end);
    if ((at_or(text, end) == '.' && is_digit(at_or(text, end + 1))) || comma || braced) {
        number_put(l, &number, '.');
        number.point = true;
        for (end += braced ? braced : 1; is_digit(at_or(text, end)); end++) {
            number_put(l, &number, text.data[end]);
        }
    } else if (at_or(text, end) == '.' && at_or(text, end + 1) != '.') {
        bool repeats = str_starts(str_slice(text, end + 1, text.length), STR("\\overline")) ||
                       str_starts(str_slice(text, end + 1, text.length), STR("\\dot")) || at_or(text, end + 1) == '(';
        if (repeats) {
            number_put(l, &number, '.');
            number.point = true;
        }
        end++;
    }
    l->out->comma_point |= at_or(text, end) == ',' && is_digit(at_or(text, end + 1));
    int exponent = 0;
    end = read_exponent(l, text, end, number.point, &exponent);
    math_lexer_add(l, TOKEN_NUMBER, 0, (struct str){number.digits, (size_t)number.n})->exponent = exponent;
    return end;
}

/* ---- words ---- */

static bool ordinary(struct str run, const char *name)
{
    return run.length == strlen(name) && strncasecmp(run.data, name, run.length) == 0;
}

/* "million" and the like after a number: times a power of ten, or twelve. */
static bool lex_scale(struct math_lexer *l, struct str run)
{
    static const struct {
        const char *name;
        int exponent;
    } scales[] = {{"hundred", 2}, {"thousand", 3}, {"million", 6},   {"millions", 6},
                  {"billion", 9}, {"billions", 9}, {"trillion", 12}, {"trillions", 12}};
    if (!math_lexer_after_operand(l)) {
        return false;
    }
    if (ordinary(run, "dozen")) {
        math_lexer_add(l, TOKEN_OPERATOR, '*', run);
        math_lexer_add(l, TOKEN_NUMBER, 0, STR("12"));
        return true;
    }
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        if (ordinary(run, scales[i].name)) {
            math_lexer_add(l, TOKEN_OPERATOR, '*', run);
            math_lexer_add(l, TOKEN_NUMBER, 0, STR("1"))->exponent = scales[i].exponent;
            return true;
        }
    }
    return false;
}

/* Short words that no one multiplies ("at", "by" and "as" may be products). */
static bool short_word(struct str run)
{
    static const char *const words[] = {"for", "all", "any", "the", "if",  "is",  "are", "not", "has",
                                        "yes", "no",  "odd", "one", "two", "six", "ten", "of",  "none"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (ordinary(run, words[i])) {
            return true;
        }
    }
    return false;
}

/* Are these letters adjacent variables, not a word? Three at most, or in alphabetical order, or without a vowel. */
static bool looks_like_product(struct str run)
{
    if (run.length > 1 && short_word(run)) {
        return false;
    }
    bool sorted = true, vowel = false;
    for (size_t i = 0; i < run.length; i++) {
        sorted &= i == 0 || run.data[i - 1] < run.data[i];
        vowel |= strchr("aeiouyAEIOUY", run.data[i]) != NULL;
    }
    return run.length <= 3 || sorted || (!vowel && run.length <= 8);
}

/* The longest function or Greek name that begins a run, of three letters and more ("sinx", "xcosx", "pir") or ln. */
static const struct math_word *name_in(struct str run, size_t *length)
{
    for (size_t n = run.length < 8 ? run.length : 8; n >= 2; n--) {
        const struct math_word *word = math_words_plain(str_slice(run, 0, n));
        bool known =
            word && (word->kind == TOKEN_FUNCTION || word->kind == TOKEN_COMMAND || word->kind == TOKEN_SYMBOL);
        if (known &&
            (n >= 3 || str_equal(str_slice(run, 0, n), STR("ln")) || str_equal(str_slice(run, 0, n), STR("pi")))) {
            *length = n;
            return word;
        }
    }
    return NULL;
}

static void add_word(struct math_lexer *l, const struct math_word *word, struct str source)
{
    math_lexer_add(l, (enum math_token_kind)word->kind, (char)word->code, word->text ? str_of(word->text) : source);
}

/* A run that holds a known name and few other letters. */
static bool lex_mixed(struct math_lexer *l, struct str run)
{
    size_t letters = 0, names = 0, length;
    for (size_t i = 0; i < run.length; i += length) {
        const struct math_word *word = name_in(str_slice(run, i, run.length), &length);
        names += word != NULL;
        letters += word == NULL;
        length = word ? length : 1;
    }
    if (!names || letters > 2) {
        return false;
    }
    for (size_t i = 0; i < run.length; i += length) {
        struct str rest = str_slice(run, i, run.length);
        const struct math_word *word = name_in(rest, &length);
        length = word ? length : 1;
        if (word) {
            add_word(l, word, str_slice(rest, 0, length));
        } else {
            math_lexer_add(l, TOKEN_SYMBOL, 0, str_slice(rest, 0, 1));
        }
    }
    return true;
}

/* "a.m.", "p.m." */
static size_t half_day(struct str text, size_t at)
{
    char a = at_or(text, at), m = at_or(text, at + 2);
    bool named = (a == 'a' || a == 'p' || a == 'A' || a == 'P') && at_or(text, at + 1) == '.' &&
                 (m == 'm' || m == 'M') && !is_letter(at_or(text, at + 3));
    return named ? 3 + (at_or(text, at + 3) == '.') : 0;
}

static bool is_unit(const struct math_lexer *l, struct str run)
{
    const struct math_token *last = math_lexer_last(l);
    bool loose = l->in_text || l->in_letters;
    bool per = last->kind == TOKEN_OPERATOR && last->code == '/' && l->out->n > 1 &&
               l->out->list[l->out->n - 2].kind == TOKEN_TEXT; /* "km/h" */
    bool behind_value = last->kind == TOKEN_NUMBER || per ||
                        (last->kind == TOKEN_SYMBOL && str_equal(last->text, STR("pi"))) || last->kind == TOKEN_TEXT ||
                        last->kind == TOKEN_CLOSE || last->kind == TOKEN_FINISH ||
                        (loose && math_lexer_after_operand(l));
    bool letter = run.length == 1 && !per && (!loose || last->kind == TOKEN_TEXT);
    return behind_value && !letter && math_units_find(run);
}

/* "1orW" and "2and3": a separator without a space before what follows. */
static size_t grown_together(const struct math_lexer *l, struct str run)
{
    size_t length = str_starts(run, STR("or")) ? 2 : str_starts(run, STR("and")) ? 3 : 0;
    return length && run.length > length && math_lexer_last(l)->kind == TOKEN_NUMBER && run.data[length] >= 'A' &&
                   run.data[length] <= 'Z'
               ? length
               : 0;
}

/* Of "45th". */
static bool is_ordinal(struct str run)
{
    return ordinary(run, "th") || ordinary(run, "st") || ordinary(run, "nd") || ordinary(run, "rd");
}

/* "USD" in front of an amount. */
static bool lex_currency(struct math_lexer *l, struct str run)
{
    static const struct {
        const char *name;
        char currency;
    } names[] = {{"USD", '$'}, {"EUR", 'e'}, {"GBP", 'p'}, {"JPY", 'y'}};
    for (size_t i = 0; i < sizeof names / sizeof *names && l->out->n == 0; i++) {
        if (str_equal(run, str_of(names[i].name))) {
            l->currency = names[i].currency;
            return true;
        }
    }
    return false;
}

static void lex_run(struct math_lexer *l, struct str run)
{
    const struct math_word *word = math_words_plain(run);
    if (is_unit(l, run) && !(word && word->kind == TOKEN_OPERATOR)) {
        math_lexer_add(l, TOKEN_TEXT, 0, run);
        return;
    }
    if (word) {
        add_word(l, word, run);
        return;
    }
    if (lex_currency(l, run)) {
        return;
    }
    if (lex_scale(l, run) || (math_lexer_last(l)->kind == TOKEN_NUMBER && !l->space && is_ordinal(run))) {
        return;
    }
    size_t joint = grown_together(l, run);
    if (joint) {
        lex_run(l, str_slice(run, 0, joint));
        run = str_slice(run, joint, run.length);
    }
    bool imaginary = run.length == 1 && run.data[0] == 'i'; /* 3 + 4\text{i} */
    if (l->in_text && (run.length > 1 || (run.data[0] >= 'a' && math_lexer_after_operand(l) && !imaginary))) {
        math_lexer_add(l, TOKEN_TEXT, 0, run);
        return;
    }
    if (run.length > 1 && lex_mixed(l, run)) {
        return;
    }
    if (!looks_like_product(run)) {
        math_lexer_add(l, TOKEN_TEXT, 0, run);
        return;
    }
    for (size_t i = 0; i < run.length; i++) {
        math_lexer_add(l, TOKEN_SYMBOL, 0, str_slice(run, i, i + 1));
    }
}

size_t math_lexer_word(struct math_lexer *l, struct str text, size_t at)
{
    size_t end = at, day = half_day(text, at);
    if (day && math_lexer_after_operand(l)) {
        math_lexer_add(l, TOKEN_TEXT, 0, at_or(text, at) == 'a' || at_or(text, at) == 'A' ? STR("am") : STR("pm"));
        return at + day;
    }
    while (is_letter(at_or(text, end))) {
        end++;
    }
    if (end > at) {
        lex_run(l, str_slice(text, at, end));
        return end;
    }
    while ((unsigned char)at_or(text, end) >= 0x80) { /* another script: a word */
        end++;
    }
    math_lexer_add(l, TOKEN_TEXT, 0, str_slice(text, at, end));
    return end;
}

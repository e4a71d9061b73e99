/* reward/number.c - the one order of pieces that is a number; equations.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/number.h"

#include <gmp.h>
#include <string.h>

#include "reward/math/pair.h"
#include "reward/math/text.h"
#include "reward/number_doubt.h"
#include "reward/number_scan.h"
#include "reward/number_words.h"

#define MAX_SIDES 8

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

static bool is_in(char c, const char *set)
{
    return c && strchr(set, c);
}

static bool is_one_of(struct str word, const char *const *names)
{
    int i = 0;
    while (names[i] && !str_equal(word, str_of(names[i]))) {
        i++;
    }
    return names[i] != NULL;
}

/* ---- the order of pieces ---- */

static bool is_sign(const struct number_scan *s, int i, const char *signs)
{
    return i >= 0 && i < s->n && s->pieces[i].kind == NUMBER_PIECE_SIGN && is_in(s->pieces[i].sign, signs);
}

static bool is_word(const struct number_scan *s, int i)
{
    return i >= 0 && i < s->n && s->pieces[i].kind == NUMBER_PIECE_WORD;
}

/* Words before the number: the last of them is a verb or a colon, or all are neutral. */
static bool names_number(const struct number_scan *s, int n)
{
    bool neutral = true, named = false;
    for (int i = 0; i < n; i++) {
        if (s->pieces[i].kind != NUMBER_PIECE_WORD) {
            named = is_sign(s, i, ":");
            continue;
        }
        struct str word = s->pieces[i].text;
        enum number_word kind = word.length ? number_word(word) : NUMBER_WORD_OTHER;
        bool to = i > 0 && is_word(s, i - 1) && str_equal(word, STR("to")) &&
                  number_word(s->pieces[i - 1].text) == NUMBER_WORD_IS;
        if (kind == NUMBER_WORD_NEGATION || kind == NUMBER_WORD_CHANGES || kind == NUMBER_WORD_MINUS) {
            return false;
        }
        bool about = kind == NUMBER_WORD_NEUTRAL;
        neutral &= kind == NUMBER_WORD_NEUTRAL || kind == NUMBER_WORD_IS || to;
        named = kind == NUMBER_WORD_IS || (named && (about || to));
    }
    return neutral || named;
}

/* What comes before the number: its index, and the sign; -1: not a number. */
static int read_before(const struct number_scan *s, bool *negative, bool *bare)
{
    int i = 0, words = 0, signs = 0;
    bool currency = false;
    for (; i < s->n && s->pieces[i].kind != NUMBER_PIECE_NUMBER && s->pieces[i].kind != NUMBER_PIECE_FRACTION; i++) {
        const struct number_piece *p = &s->pieces[i];
        bool minus = p->kind == NUMBER_PIECE_WORD && p->text.length && number_word(p->text) == NUMBER_WORD_MINUS;
        *bare &= p->kind == NUMBER_PIECE_SIGN && is_in(p->sign, "+-");
        if (p->kind == NUMBER_PIECE_CURRENCY) {
            currency = true;
        } else if (is_sign(s, i, "+-") || (minus && !is_word(s, i + 1))) {
            bool dash = i > 0 && is_word(s, i - 1) && !minus && p->spaced && i + 1 < s->n && s->pieces[i + 1].spaced;
            *negative = minus || p->sign == '-';
            if (++signs > 1 || dash) {
                return -1;
            }
        } else if (is_sign(s, i, "/%") || signs || (currency && p->kind == NUMBER_PIECE_WORD)) {
            return -1;
        } else {
            words = i + 1;
        }
    }
    return i < s->n && names_number(s, words) ? i : -1;
}

/* The units after the number: words that say nothing of its value. */
static bool read_after(const struct number_scan *s, int i, bool *bare)
{
    for (; i < s->n; i++) {
        const struct number_piece *p = &s->pieces[i];
        bool stop = is_sign(s, i, ".");
        *bare &= stop && i + 1 == s->n;
        switch (p->kind) {
        case NUMBER_PIECE_WORD:
            if (p->text.length && !number_word_unit(p->text, !p->spaced && !is_sign(s, i - 1, "/"))) {
                return false;
            }
            break;
        case NUMBER_PIECE_CURRENCY: break;
        case NUMBER_PIECE_SIGN:
            if (stop ? is_sign(s, i + 1, ".") && !s->pieces[i + 1].spaced : !is_in(p->sign, "%,:;/-")) {
                return false;
            }
            if (p->sign == '/' && is_word(s, i - 1) && is_word(s, i + 1) &&
                str_find(STR("h s m"), s->pieces[i + 1].text, 0) >= 0) {
                break; /* km/h */
            }
            if ((p->sign == '/' || p->sign == '-') && !(is_word(s, i + 1) && s->pieces[i + 1].text.length > 1)) {
                return false;
            }
            if (p->sign == '-' && (p->spaced || s->pieces[i + 1].spaced)) {
                return false;
            }
            break;
        default: return false;
        }
    }
    return true;
}

/* ---- values ---- */

static struct str without_zeros(struct str digits)
{
    while (digits.length && digits.data[0] == '0') {
        digits = str_slice(digits, 1, digits.length);
    }
    return digits;
}

static void settle(struct number *out)
{
    out->top = without_zeros(out->top);
    out->bottom = without_zeros(out->bottom);
    if (!out->top.length) {
        out->negative = false;
        out->exponent = 0;
        out->bottom = STR("1");
    }
    while (str_equal(out->bottom, STR("1")) && out->top.length && out->top.data[out->top.length - 1] == '0') {
        out->top.length--;
        out->exponent++;
    }
}

static void whole_number(struct arena *arena, const struct number_piece *p, struct number *out)
{
    char *digits = ARENA_NEW(arena, char, p->text.length + p->more.length + 1);
    memcpy(digits, p->text.data ? p->text.data : "", p->text.length);
    memcpy(digits + p->text.length, p->more.data ? p->more.data : "", p->more.length);
    out->top = (struct str){digits, p->text.length + p->more.length};
    out->bottom = STR("1");
    out->exponent = p->exponent - (int)p->more.length;
}

static void load(mpz_t out, struct str digits, int exponent)
{
    char text[2 * NUMBER_MAX_DIGITS + NUMBER_MAX_EXPONENT + 2];
    memcpy(text, digits.data ? digits.data : "", digits.length);
    memset(text + digits.length, '0', (size_t)exponent);
    text[digits.length + (size_t)exponent] = '\0';
    mpz_set_str(out, digits.length ? text : "0", 10);
}

/* whole + top / bottom, where the fraction is a proper one. */
static bool mixed_number(struct arena *arena, const struct number_piece *whole, const struct number_piece *part,
                         struct number *out)
{
    mpz_t w, top, bottom;
    mpz_inits(w, top, bottom, NULL);
    load(w, whole->text, 0);
    load(top, part->text, 0);
    load(bottom, part->more, 0);
    bool proper = mpz_cmp(top, bottom) < 0 && mpz_sgn(top) > 0;
    mpz_addmul(top, w, bottom);
    char *digits = ARENA_NEW(arena, char, mpz_sizeinbase(top, 10) + 2);
    mpz_get_str(digits, 10, top);
    mpz_clears(w, top, bottom, NULL);
    out->top = str_of(digits);
    out->bottom = part->more;
    return proper && !whole->more.length && !whole->exponent;
}

/* Is the number at piece `i` cut out of something else, or taken back by the words around it? */
static bool doubted(const struct number_scan *s, int i, int last, bool computed)
{
    size_t begin = s->pieces[i].begin, end = s->pieces[last].end;
    struct str before = str_slice(s->text, 0, begin);
    if (begin == 0 && end == s->text.length) {
        return false;
    }
    return number_glued(s->text, begin, end) || number_hedged(before) ||
           number_clause(s->text, end, computed || number_needed(before));
}

/* One side of an equation, or all. `computed`: another side has a value. */
static bool read_side(struct str text, bool computed, struct arena *arena, struct number *out)
{
    struct number_scan s;
    bool scanned = number_scan(&s, text, arena);
    *out = (struct number){.bare = s.plain};
    int i = scanned ? read_before(&s, &out->negative, &out->bare) : -1;
    if (i < 0) {
        return false;
    }
    const struct number_piece *p = &s.pieces[i], *next = i + 1 < s.n ? p + 1 : NULL;
    bool mixed = p->kind == NUMBER_PIECE_NUMBER && next && next->kind == NUMBER_PIECE_FRACTION;
    if (mixed ? !mixed_number(arena, p, next, out) : false) {
        return false;
    }
    if (!mixed && p->kind == NUMBER_PIECE_FRACTION) {
        out->top = p->text;
        out->bottom = p->more;
    } else if (!mixed) {
        whole_number(arena, p, out);
    }
    settle(out);
    return out->bottom.length && read_after(&s, i + 1 + mixed, &out->bare) && !doubted(&s, i, i + mixed, computed);
}

/* Up to the same value: top_a * bottom_b * 10^exponent_a against top_b * bottom_a * 10^exponent_b. */
bool number_equal(const struct number *a, const struct number *b)
{
    if (a->negative != b->negative) {
        return false;
    }
    if (str_equal(a->bottom, b->bottom)) {
        return a->exponent == b->exponent && str_equal(a->top, b->top);
    }
    int min = a->exponent < b->exponent ? a->exponent : b->exponent;
    if (a->exponent - min > NUMBER_MAX_EXPONENT || b->exponent - min > NUMBER_MAX_EXPONENT) {
        return false;
    }
    mpz_t x, y, factor;
    mpz_inits(x, y, factor, NULL);
    load(x, a->top, a->exponent - min);
    load(factor, b->bottom, 0);
    mpz_mul(x, x, factor);
    load(y, b->top, b->exponent - min);
    load(factor, a->bottom, 0);
    mpz_mul(y, y, factor);
    bool equal = mpz_cmp(x, y) == 0;
    mpz_clears(x, y, factor, NULL);
    return equal;
}

/* ---- equations ---- */

static bool has_digit(struct str text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (is_digit(text.data[i])) {
            return true;
        }
    }
    return false;
}

/* A side that only names: words and letters, x_1, f(3), \text{cost}; nothing that computes or denies. */
static bool is_name(struct str text)
{
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        if (is_letter(c)) {
            size_t begin = i;
            while (is_letter(at_or(text, i + 1)) || at_or(text, i + 1) == '\'') {
                i++;
            }
            struct str word = str_slice(text, begin, i + 1);
            bool command = begin > 0 && text.data[begin - 1] == '\\';
            static const char *const commands[] = {"text",   "mathrm", "textbf", "mathbf", "mathit", "operatorname",
                                                   "left",   "right",  "alpha",  "beta",   "gamma",  "theta",
                                                   "lambda", "mu",     "quad",   "ell",    NULL};
            enum number_word kind = number_word(word);
            if (command ? !is_one_of(word, commands)
                        : kind == NUMBER_WORD_NEGATION || kind == NUMBER_WORD_CHANGES || kind == NUMBER_WORD_MINUS) {
                return false;
            }
        } else if (is_digit(c)) {
            size_t k = i;
            while (k > 0 && (is_digit(text.data[k - 1]) || text.data[k - 1] == '{')) {
                k--;
            }
            bool index = k > 1 && text.data[k - 1] == '_' && is_letter(text.data[k - 2]);
            bool argument = k > 1 && text.data[k - 1] == '(' && at_or(text, i + 1) == ')' &&
                            is_letter(text.data[k - 2]) && (k == 2 || !is_letter(text.data[k - 3]));
            if (!index && !argument) {
                return false;
            }
        } else if (!is_in(c, " \t\r\n_\\{}()[]$,:.*~'\"")) {
            return false;
        }
    }
    return true;
}

/* "4 x 60" as "4 * 60". */
static struct str with_stars(struct str side, struct arena *arena)
{
    char *copy = arena_strndup(arena, side.data, side.length), before = ' ';
    for (size_t i = 0; i < side.length; i++) {
        size_t next = i + 1;
        while (is_in(at_or(side, next), " \t")) {
            next++;
        }
        char after = at_or(side, next);
        if (is_in(side.data[i], "xX") && (is_digit(before) || is_in(before, ")%")) &&
            (is_digit(after) || is_in(after, "($.\\"))) {
            copy[i] = '*';
        }
        before = is_in(side.data[i], " \t") ? before : side.data[i];
    }
    return (struct str){copy, side.length};
}

/* Is the side an expression of this value? */
static bool has_value(struct str side, const struct number *value, struct arena *arena)
{
    static const struct math_options exact = {.exact_only = true};
    struct str gold =
        str_of(arena_printf(arena, "%s\\frac{%.*s}{%.*s}\\cdot 10^{%d}", value->negative ? "-" : "",
                            value->top.length ? (int)value->top.length : 1, value->top.length ? value->top.data : "0",
                            (int)value->bottom.length, value->bottom.data, value->exponent));
    struct arena scratch = ARENA_INIT;
    bool equal = math_pair_judge(&exact, gold, with_stars(side, arena), &scratch).kind == MATH_EQUAL;
    arena_release(&scratch);
    return equal;
}

/* The sides of the text at "="; 0: there are too many, or a sign that is no equation (!=, <=, =>). */
static int split_sides(struct str text, struct str sides[MAX_SIDES])
{
    int n = 0;
    size_t begin = 0;
    for (size_t i = 0; i <= text.length; i++) {
        if (i < text.length && text.data[i] != '=') {
            continue;
        }
        char before = i > 0 && i < text.length ? text.data[i - 1] : ' ', after = at_or(text, i + 1);
        if (is_in(before, "!<>~/\\^") || (i < text.length && is_in(after, "<>/!")) || n == MAX_SIDES) {
            return 0;
        }
        struct str side = str_trim(str_slice(text, begin, i));
        if (side.length) {
            sides[n++] = side;
        }
        begin = i + 1;
    }
    return n;
}

bool number_read(struct str text, struct arena *arena, struct number *out)
{
    struct str sides[MAX_SIDES];
    if (text.length > NUMBER_MAX_BYTES) {
        return false;
    }
    if (str_starts(text, STR("~~"))) { /* struck through */
        return false;
    }
    int n = split_sides(math_text_clean(text, arena), sides), value = n - 1;
    while (value > 0 && !has_digit(sides[value])) {
        value--;
    }
    bool computed = false;
    for (int i = 0; i < value; i++) {
        computed |= !is_name(sides[i]);
    }
    if (n == 0 || !read_side(sides[value], computed, arena, out)) {
        return false;
    }
    for (int i = 0; i < n; i++) {
        if (i != value && number_hedged(sides[i])) { /* "suppose x = 18" */
            return false;
        }
        if (i != value && !is_name(sides[i]) && (i > value || !has_value(sides[i], out, arena))) {
            return false;
        }
    }
    out->bare &= n == 1;
    return true;
}

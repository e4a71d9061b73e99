/* reward/number_prose.c - numbers in sentences: the last one, and whether the words around it leave it its value.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "reward/number.h"
#include "reward/number_doubt.h"
#include "reward/number_words.h"

#define MAX_AROUND 200 /* bytes of a formula on either side of a number */
#define BLANKS     " \t\r"

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

/* The word at `at`; empty: none begins there. A command is none. */
static struct str word_at(struct str text, size_t at)
{
    size_t end = at;
    bool begins = at == 0 || (!is_letter(text.data[at - 1]) && text.data[at - 1] != '\\');
    while (begins && (is_letter(at_or(text, end)) || (end > at && at_or(text, end) == '\''))) {
        end++;
    }
    return begins ? str_slice(text, at, end) : (struct str){0};
}

/* The word that ends at `end`; empty: there is none. */
static struct str word_before(struct str text, size_t end)
{
    size_t at = end;
    while (at > 0 && is_letter(text.data[at - 1])) {
        at--;
    }
    return at < end ? word_at(str_slice(text, 0, end), at) : (struct str){0};
}

/* ---- doubts ---- */

bool number_denied(struct str text)
{
    for (size_t i = 0; i < text.length; i++) {
        struct str word = is_letter(text.data[i]) ? word_at(text, i) : (struct str){0};
        if (word.length && number_word(word) == NUMBER_WORD_NEGATION) {
            return true;
        }
        size_t length;
        if ((unsigned char)text.data[i] >= 0x80 && number_word_code(str_utf8_next(text, i, &length)) == '-') {
            return true;
        }
        i += word.length ? word.length - 1 : 0;
    }
    return false;
}

static bool is_one_of(struct str word, const char *const *names)
{
    int i = 0;
    while (names[i] && !(word.length == strlen(names[i]) && strncasecmp(word.data, names[i], word.length) == 0)) {
        i++;
    }
    return names[i] != NULL;
}

static size_t skip_back(struct str text, size_t at, const char *set)
{
    while (at > 0 && is_in(text.data[at - 1], set)) {
        at--;
    }
    return at;
}

/* What may come between a number and a word next to it. */
static const char next_to[] = BLANKS "\n$*_(){}[]\\";

/* "twice 18", "the square root of 18", "up to 18", "divided by 18" */
static bool changed_before(struct str text, size_t begin)
{
    static const char *const joints[] = {"of", "to", "the", "by", "from", "about", "around", NULL},
                             *const in[] = {"in", "to", NULL}, *const next[] = {"up", "after", "before", NULL},
                             *const equal[] = {"equal", NULL}, *const out[] = {"out", "off", "away", NULL};
    size_t end = skip_back(text, begin, next_to);
    bool joined = false;
    struct str word = end < begin ? word_before(text, end) : (struct str){0};
    if (word.length > 0 && is_one_of(word, in)) { /* "1 in 18", "3 to 18" */
        bool to = is_in(word.data[0], "tT");
        size_t before = skip_back(text, (size_t)(word.data - text.data), BLANKS);
        struct str first = word_before(text, before);
        if ((before > 0 && is_digit(text.data[before - 1])) ||
            (!to && first.length && number_word(first) == NUMBER_WORD_CHANGES)) {
            return true;
        }
    }
    for (int n = 0; n < 2 && is_one_of(word, joints); n++) {
        end = skip_back(text, (size_t)(word.data - text.data), BLANKS);
        word = word_before(text, end);
        joined = true;
    }
    if (joined && is_one_of(word, equal)) { /* "less than or equal to 18" */
        word = word_before(text, skip_back(text, (size_t)(word.data - text.data), BLANKS));
    }
    static const char *const adds[] = {"adds", "add", "sums", "comes", "brings", NULL}, *const up[] = {"up", NULL};
    if (joined && is_one_of(word, up) &&
        is_one_of(word_before(text, skip_back(text, (size_t)(word.data - text.data), BLANKS)), adds)) {
        return false; /* "adds up to 18" */
    }
    enum number_word kind = word.length ? number_word(word) : NUMBER_WORD_OTHER;
    return kind == NUMBER_WORD_CHANGES || (joined && kind == NUMBER_WORD_MINUS) || is_one_of(word, next) ||
           (joined && is_one_of(word, out));
}

/* "9 * 2 = 18": it says where the value comes from, so that a "not" elsewhere in the sentence is about something
 * else. */
static bool is_computed(struct str formula)
{
    ptrdiff_t equals = str_find_last(formula, STR("="));
    for (ptrdiff_t i = 1; i < equals; i++) {
        if (is_in(formula.data[i], "+-*/x") && (is_digit(formula.data[0]) || is_in(formula.data[0], "$(\\"))) {
            return true;
        }
    }
    return false;
}

bool number_doubted(struct str sentence, struct str number)
{
    size_t begin = (size_t)(number.data - sentence.data), end = begin + number.length;
    struct str before = str_slice(sentence, 0, begin), after = str_slice(sentence, end, sentence.length);
    bool computed = is_computed(number);
    if (!computed && (number_denied(before) || number_denied(after) || number_hedged(before))) {
        return true;
    }
    size_t word = skip_back(sentence, begin, BLANKS);
    bool equals = memchr(number.data, '=', number.length) || (word > 0 && sentence.data[word - 1] == '=');
    return is_in(at_or(sentence, end), "!^_") || number_denied(word_before(sentence, word)) ||
           changed_before(sentence, begin) ||
           number_clause(sentence, end, computed || number_needed(before) || equals) ||
           number_glued(sentence, begin, end);
}

/* ---- the last number ---- */

/* Is the character that ends at `end` a letter of another script that says nothing of the number? */
static bool foreign_before(struct str text, size_t end)
{
    size_t at = end, length;
    while (at > 0 && ((unsigned char)text.data[at - 1] & 0xC0) == 0x80) {
        at--;
    }
    return at > 0 && at < end && number_word_code(str_utf8_next(text, at - 1, &length)) == 'u';
}

/* Is the character that ends at `end` a letter of any script but ASCII, and no sign of mathematics? */
static bool letter_before(struct str text, size_t end)
{
    size_t at = end, length;
    while (at > 0 && ((unsigned char)text.data[at - 1] & 0xC0) == 0x80) {
        at--;
    }
    uint32_t code = at > 0 && at < end ? str_utf8_next(text, at - 1, &length) : 0;
    return (code >= 0xC0 && code < 0x2000 && code != 0xD7 && code != 0xF7) || (code >= 0x3040 && code < 0xFE00);
}

/* The last character before `at` that is no blank; a blank: there is none. */
static char skip_char(struct str text, size_t at)
{
    at = skip_back(text, at, BLANKS);
    return at > 0 ? text.data[at - 1] : ' ';
}

/* At a blank before the number: does prose end here? A dash that begins a line is a bullet. */
static bool prose_ends(struct str text, size_t blank)
{
    size_t at = skip_back(text, blank, BLANKS);
    char c = at > 0 ? text.data[at - 1] : '\n';
    if (is_letter(c)) {
        struct str word = word_before(text, at);
        enum number_word kind = number_word(word);
        return word.length > 1 && kind != NUMBER_WORD_MINUS && kind != NUMBER_WORD_CURRENCY;
    }
    if (c == '-' || (unsigned char)c >= 0x80) {
        size_t before = c == '-' ? skip_back(text, at - 1, BLANKS) : at;
        char sign = before > 0 ? text.data[before - 1] : '\n';
        return c == '-' ? is_in(sign, "\n,;:.") : letter_before(text, at);
    }
    return c == '\n' || is_in(c, ";.?") || (c == ':' && !(at > 1 && is_digit(skip_char(text, at - 1)))) ||
           (c == '!' && word_before(text, at - 1).length > 1) || (c == ',' && !(at > 1 && is_digit(text.data[at - 2])));
}

/* Where the formula around the number that begins at `at` begins. */
static size_t formula_begin(struct str text, size_t at)
{
    size_t min = at > MAX_AROUND ? at - MAX_AROUND : 0;
    while (at > min && text.data[at - 1] != '\n') {
        char c = text.data[at - 1];
        bool prose = is_in(c, BLANKS)           ? prose_ends(text, at)
                     : c == '>' && at > 1       ? text.data[at - 2] == '>'
                     : (unsigned char)c >= 0x80 ? foreign_before(text, at)
                     : c == ':'                 ? at > 1 && is_letter(text.data[at - 2])
                     : c == '('                 ? at == 1 || is_in(text.data[at - 2], BLANKS)
                                                : false;
        if (prose) {
            break;
        }
        at--;
    }
    return at;
}

/* Where it ends, for one that ends at `at` or later. */
static size_t formula_end(struct str text, size_t at)
{
    size_t max = at + MAX_AROUND < text.length ? at + MAX_AROUND : text.length, length;
    for (; at < max && text.data[at] != '\n'; at++) {
        char c = text.data[at];
        size_t next = at + 1;
        while (is_in(at_or(text, next), BLANKS)) {
            next++;
        }
        char n = at_or(text, next);
        bool stop = is_in(c, ".;:") && (next > at + 1 || !n || n == '\n');
        stop |= c == ',' && !is_digit(n);
        if (is_in(c, BLANKS)) {
            struct str word = word_at(text, next);
            stop = word.length > 1 || (word.length == 1 && is_in(n, "aI")) ||
                   (n == '(' && is_letter(at_or(text, next + 1))) || !n || n == '\n';
        } else if ((unsigned char)c >= 0x80) {
            stop = number_word_code(str_utf8_next(text, at, &length)) == 'u';
        }
        if (stop) {
            break;
        }
    }
    return at;
}

/* "(60 inches + 4 inches) / 2 = 32": where words cut the left side off in its middle, the right side. */
static struct str without_torso(struct str text, struct str formula)
{
    ptrdiff_t equals = str_find_last(formula, STR("="));
    size_t at = skip_back(text, (size_t)(formula.data - text.data), BLANKS);
    if (equals < 0 || at == 0 || !is_letter(text.data[at - 1])) {
        return formula;
    }
    int open = 0, min = 0;
    for (size_t i = 0; i < (size_t)equals; i++) {
        open += formula.data[i] == '(' ? 1 : formula.data[i] == ')' ? -1 : 0;
        min = open < min ? open : min;
    }
    bool minus = formula.data[0] == '-' && formula.length > 1 && is_in(formula.data[1], BLANKS);
    bool times = formula.length > 2 && formula.data[0] == 'x' && is_in(formula.data[1], BLANKS) &&
                 (is_digit(formula.data[2]) || is_in(formula.data[2], "$(\\"));
    return minus || times || is_in(formula.data[0], "+*/)") || min < 0
               ? str_trim(str_slice(formula, (size_t)equals + 1, formula.length))
               : formula;
}

bool number_last(struct str text, struct str *found)
{
    size_t end = text.length;
    while (end > 0 && !is_digit(text.data[end - 1])) {
        end--;
    }
    if (end == 0) {
        return false;
    }
    size_t begin = formula_begin(text, end - 1);
    while (is_in(at_or(text, begin), BLANKS)) {
        begin++;
    }
    struct str formula = without_torso(text, str_slice(text, begin, formula_end(text, end)));
    while (formula.length && is_in(formula.data[0], BLANKS "*_`\"")) {
        formula = str_slice(formula, 1, formula.length);
    }
    while (formula.length && is_in(formula.data[formula.length - 1], BLANKS "*_`\"")) {
        formula.length--;
    }
    *found = formula;
    return formula.length > 0;
}

struct str number_sentence(struct str text, struct str part)
{
    size_t begin = (size_t)(part.data - text.data), end = begin + part.length;
    while (begin > 0 && !(is_in(text.data[begin - 1], "\n!?;") ||
                          (is_in(text.data[begin - 1], BLANKS) && begin > 1 && text.data[begin - 2] == '.'))) {
        begin--;
    }
    while (end < text.length && !is_in(text.data[end], "\n.?;")) {
        end++;
    }
    end += at_or(text, end) == '?' ||
           (at_or(text, end) == '.' && (at_or(text, end + 1) == '.' || at_or(text, end - 1) == '.'));
    return str_slice(text, begin, end);
}

bool number_revoked(struct str text, struct str number)
{
    struct str sentence = number_sentence(text, number);
    size_t end = (size_t)(sentence.data - text.data) + sentence.length;
    struct str rest = str_slice(text, end, text.length);
    size_t dot = at_or(rest, 0) == '.' ? 1 : 0;
    while (dot && is_in(at_or(rest, dot), BLANKS)) {
        dot++;
    }
    bool dots = dot && at_or(rest, dot) == '.'; /* "18 . . ." */
    return dots || number_denied(rest) || number_taken_back(rest, 0, false);
}

static bool is_prose(struct str text)
{
    int words = 0;
    for (size_t i = 0; i < text.length; i++) {
        struct str word = is_letter(text.data[i]) ? word_at(text, i) : (struct str){0};
        words += word.length >= 2;
        i += word.length ? word.length - 1 : 0;
    }
    return words >= 3;
}

bool number_read_prose(struct str text, struct arena *arena, struct number *out)
{
    struct str formula;
    if (number_read(text, arena, out)) {
        return true;
    }
    if (text.length > NUMBER_MAX_BYTES || !is_prose(text) || !number_last(text, &formula)) {
        return false;
    }
    struct str sentence = number_sentence(text, formula);
    return !number_revoked(text, formula) && !number_doubted(sentence, formula) && number_read(formula, arena, out);
}

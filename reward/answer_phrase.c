/* reward/answer_phrase.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/answer_phrase.h"

#include <string.h>
#include <strings.h>

#define MOST_OPEN 16

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
    return c == ' ' || c == '\t' || c == '\r';
}

static char at_or(struct str text, size_t i)
{
    return i < text.length ? text.data[i] : '\0';
}

static bool word_at(struct str text, size_t at, const char *word)
{
    size_t length = strlen(word);
    return at + length <= text.length && strncasecmp(text.data + at, word, length) == 0 &&
           (at == 0 || !is_letter(text.data[at - 1])) && !is_letter(at_or(text, at + length));
}

static bool is_in(char c, const char *set)
{
    return c && strchr(set, c);
}

/* The last word of `words` (ended by NULL) in the text: [*begin, *end). */
static bool last_word(struct str text, const char *const *words, size_t *begin, size_t *end)
{
    for (size_t i = text.length; i-- > 0;) {
        for (int w = 0; is_letter(text.data[i]) && words[w]; w++) {
            if (word_at(text, i, words[w])) {
                *begin = i;
                *end = i + strlen(words[w]);
                return true;
            }
        }
    }
    return false;
}

static struct str strip(struct str text)
{
    for (;;) {
        text = str_trim(text);
        if (text.length && (is_in(text.data[0], "*_`:}") || (text.data[0] == '.' && !is_digit(at_or(text, 1))))) {
            text = str_slice(text, 1, text.length);
        } else if (text.length && is_in(text.data[text.length - 1], ".,;:*_`") && !str_ends(text, STR("^*"))) {
            text.length--;
        } else {
            return text;
        }
    }
}

/* ---- formulas ---- */

/* The delimiter at `at`: what closes it; its length in *length. NULL: none. */
static const char *formula_close(struct str text, size_t at, size_t *length)
{
    struct str rest = str_slice(text, at, text.length);
    *length = 2;
    if (str_starts(rest, STR("$$"))) {
        return "$$";
    }
    if (str_starts(rest, STR("\\("))) {
        return "\\)";
    }
    if (str_starts(rest, STR("\\["))) {
        return "\\]";
    }
    *length = 1;
    return str_starts(rest, STR("$")) ? "$" : NULL;
}

/* The formula that begins at `at`, up to *end. A "$" before an amount opens none: its close would stand on another line. */
static bool formula_at(struct str text, size_t at, size_t *end, struct str *inside)
{
    size_t length;
    const char *close = text.data[at] == '$' || text.data[at] == '\\' ? formula_close(text, at, &length) : NULL;
    ptrdiff_t behind = close ? str_find(text, str_of(close), at + length) : -1;
    if (behind < 0 || (length == 1 && memchr(text.data + at, '\n', (size_t)behind - at))) {
        return false;
    }
    *end = (size_t)behind + length;
    *inside = str_trim(str_slice(text, at + length, (size_t)behind));
    return true;
}

/* The formula that begins at or after `from`: its outside is [*begin, *end). */
static bool formula_next(struct str text, size_t from, size_t *begin, size_t *end, struct str *inside)
{
    int open = 0; /* delimiters that nothing closes; bounded, since each is looked for to the end */
    for (size_t i = from; i < text.length && open < MOST_OPEN; i++) {
        if (formula_at(text, i, end, inside)) {
            *begin = i;
            return true;
        }
        open += text.data[i] == '$' || (text.data[i] == '\\' && is_in(at_or(text, i + 1), "(["));
        i += text.data[i] == '\\';
    }
    return false;
}

static bool formulas_join(struct str between)
{
    between = str_trim(between);
    return between.length <= 5 &&
           (str_equal(between, STR("and")) || str_equal(between, STR("or")) || str_equal(between, STR(",")) ||
            str_equal(between, STR(", and")) || str_equal(between, STR(", or")) || str_equal(between, STR(",and")));
}

/* The last formula; with its outside where several stand in a row, as in "$1$ and $2$". */
static bool last_formula(struct str text, struct str *found)
{
    size_t begin = 0, end = 0, first = 0, previous_end = 0;
    struct str inside;
    bool any = false;
    while (formula_next(text, end, &begin, &end, &inside)) {
        if (!inside.length) {
            continue;
        }
        bool joined = any && formulas_join(str_slice(text, previous_end, begin));
        first = joined ? first : begin;
        *found = joined ? str_slice(text, first, end) : inside;
        previous_end = end;
        any = true;
    }
    if (any && at_or(text, previous_end) == '%') {
        *found = str_slice(text, first, previous_end + 1);
    }
    return any;
}

/* ---- numbers ---- */

/* The last number, with its sign, thousands, point, fraction bar, and a percent sign behind it. */
static bool last_number(struct str text, struct str *found)
{
    size_t end = text.length;
    while (end > 0 && !is_digit(text.data[end - 1])) {
        end--;
    }
    size_t begin = end;
    while (begin > 0) {
        char c = text.data[begin - 1];
        bool inner = begin < end && is_in(c, ",./") && is_digit(text.data[begin]) && begin >= 2 &&
                     is_digit(text.data[begin - 2]);
        if (!is_digit(c) && !inner && !(c == '.' && is_digit(at_or(text, begin)))) {
            break;
        }
        begin--;
    }
    if (begin == end) {
        return false;
    }
    bool dollar = begin > 0 && text.data[begin - 1] == '$';
    size_t sign = begin - dollar;
    if (sign > 0 && is_in(text.data[sign - 1], "+-") && (sign == 1 || !is_digit(text.data[sign - 2]))) {
        begin = sign - 1;
    }
    end += at_or(text, end) == '%';
    *found = str_slice(text, begin, end);
    return true;
}

static int count_words(struct str text)
{
    int n = 0;
    for (size_t i = 0; i < text.length; i++) {
        size_t begin = i;
        while (i < text.length && is_letter(text.data[i])) {
            i++;
        }
        n += i - begin >= 3 && (begin == 0 || text.data[begin - 1] != '\\');
    }
    return n;
}

/* ---- phrases ---- */

/* Where the sentence ends: a full stop or "!" before white space or the end, a line end, or a special token. Formulas are
 * stepped over. */
static struct str sentence(struct str text)
{
    int open = 0;
    for (size_t i = 0; i < text.length; i++) {
        size_t end;
        struct str inside;
        char c = text.data[i], next = at_or(text, i + 1);
        if (is_in(c, "$\\") && open < MOST_OPEN) {
            bool formula = formula_at(text, i, &end, &inside);
            open += !formula;
            i = formula ? end - 1 : i;
        } else if (c == '\n' || (c == '<' && is_in(next, "|/")) ||
                   (is_in(c, ".!") && (is_blank(next) || next == '\n' || i + 1 == text.length))) {
            return str_slice(text, 0, i);
        }
    }
    return text;
}

/* The answer in what stands behind a phrase. */
static bool phrase_answer(struct str rest, struct answer *out)
{
    static const char *const is[] = {"is", "are", "equals", NULL}, *const why[] = {"because", "since", "which", NULL};
    struct str said = strip(sentence(strip(rest))), found;
    size_t begin, end;
    if (last_word(said, why, &begin, &end) && begin > 0) {
        said = strip(str_slice(said, 0, begin));
    }
    ptrdiff_t as = str_find(said, STR(", as "), 0);
    said = as > 0 ? strip(str_slice(said, 0, (size_t)as)) : said;
    if (last_word(said, is, &begin, &end) && str_trim(str_slice(said, end, said.length)).length) {
        said = strip(str_slice(said, end, said.length));
    }
    if (last_formula(said, &found) || (count_words(said) >= 3 && last_number(said, &found))) {
        said = found;
    }
    said = strip(said);
    *out = (struct answer){.text = said, .path = "phrase"};
    return said.length > 0;
}

/* Where what is named begins, if a phrase begins at `at`; 0 if none does. */
static size_t phrase_at(struct str text, size_t at)
{
    size_t i;
    bool ans = word_at(text, at, "ans") && at_or(text, at + 3) == ':';
    if (ans || word_at(text, at, "answer")) {
        i = at + strlen(ans ? "ans" : "answer");
        while (is_blank(at_or(text, i)) || is_in(at_or(text, i), "*_")) {
            i++;
        }
        char c = at_or(text, i);
        bool named = is_in(c, ":=$") || (c == '\\' && is_in(at_or(text, i + 1), "(["));
        static const char *const says[] = {"is", "should be", "would be", "must be", "will be", "turns out to be"};
        for (size_t k = 0; k < sizeof says / sizeof *says; k++) {
            if (word_at(text, i, says[k])) {
                return i + strlen(says[k]);
            }
        }
        return !named ? 0 : is_in(c, ":=") ? i + 1 : i;
    }
    if (text.data[at] == 'A' && at_or(text, at + 1) == ':' && (at == 0 || text.data[at - 1] == '\n')) {
        return at + 2;
    }
    struct str rest = str_slice(text, at, text.length);
    static const struct str chinese = {"\xe7\xad\x94\xe6\xa1\x88", 6}, colon = {"\xef\xbc\x9a", 3};
    if (str_starts(rest, chinese)) {
        i = at + chinese.length;
        i += str_starts(str_slice(text, i, text.length), colon) ? colon.length : at_or(text, i) == ':' ? 1 : 0;
        static const struct str is = {"\xe6\x98\xaf", 3};
        i += str_starts(str_slice(text, i, text.length), is) ? is.length : 0;
        return i;
    }
    return 0;
}

/* The last line that begins behind "####", or the last phrase, whichever comes later. */
static bool marked(struct str text, const struct answer_options *options, struct answer *out)
{
    for (size_t i = text.length; i-- > 0;) {
        if (options->hashes && text.data[i] == '#' && i >= 3 && strncmp(text.data + i - 3, "####", 4) == 0) {
            struct str line = str_trim(str_slice(text, i + 1, text.length));
            const char *end = line.length ? memchr(line.data, '\n', line.length) : NULL;
            line = strip(end ? str_slice(line, 0, (size_t)(end - line.data)) : line);
            *out = (struct answer){.text = line, .path = "####"};
            return line.length > 0;
        }
        size_t behind = options->phrases ? phrase_at(text, i) : 0;
        if (behind && phrase_answer(str_slice(text, behind, text.length), out)) {
            return true;
        }
    }
    return false;
}

/* ---- nothing but a formula or a number ---- */

static struct str last_sentence(struct str text)
{
    text = strip(text);
    for (size_t i = text.length; i-- > 1;) {
        bool display = i > 1 && (strncmp(text.data + i - 2, "$$", 2) == 0 || strncmp(text.data + i - 2, "\\]", 2) == 0);
        if (text.data[i] == '\n' || (is_blank(text.data[i]) && (display || is_in(text.data[i - 1], ".!?")))) {
            return str_slice(text, i + 1, text.length);
        }
    }
    return text;
}

static bool concludes(struct str text)
{
    static const char *const words[] = {"is",    "are",   "equals", "therefore", "thus", "so",
                                        "hence", "gives", "total",  "by",        "get",  NULL};
    size_t begin, end;
    return last_word(text, words, &begin, &end) || memchr(text.data, '=', text.length);
}

static bool bare(struct str text, const struct answer_options *options, struct answer *out)
{
    struct str found, said = last_sentence(text);
    if (options->bare && last_formula(text, &found) &&
        (found.data >= said.data || !concludes(said) || !last_number(said, &(struct str){0}))) {
        *out = (struct answer){.text = found, .path = "formula"};
        return true;
    }
    if (options->bare && strip(text).length && strip(text).length <= 200 && count_words(text) == 0) {
        *out = (struct answer){.text = strip(text), .path = "formula"};
        return true;
    }
    if ((options->last_number && last_number(text, &found)) ||
        (options->bare && said.length && concludes(said) && last_number(said, &found))) {
        *out = (struct answer){.text = found, .path = "number"};
        return true;
    }
    return false;
}

bool answer_phrase_marked(struct str text, struct answer *out)
{
    size_t tail = text.length > ANSWER_TAIL_BYTES ? text.length - ANSWER_TAIL_BYTES : 0;
    return marked(str_slice(text, tail, text.length), &(struct answer_options){.hashes = true, .phrases = true}, out);
}

bool answer_phrase(struct str text, const struct answer_options *options, struct answer *out)
{
    size_t tail = text.length > ANSWER_TAIL_BYTES ? text.length - ANSWER_TAIL_BYTES : 0;
    text = str_slice(text, tail, text.length);
    if ((options->hashes || options->phrases) && marked(text, options, out)) {
        return true;
    }
    return bare(text, options, out);
}

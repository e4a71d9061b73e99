/* reward/sentence.c - one pass over the characters; a full stop is checked against the words around it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/sentence.h"

#include "reward/text.h"

static bool is_stop(uint32_t c)
{
    return c == '.' || c == '!' || c == '?' || c == 0x2026 /* ellipsis */ || c == 0x0964 /* danda */ ||
           c == 0x061F /* Arabic question mark */;
}

/* Full stop, exclamation and question mark of Chinese and Japanese. */
static bool is_wide_stop(uint32_t c)
{
    return c == 0x3002 || c == 0xFF01 || c == 0xFF1F || c == 0xFF61;
}

static bool is_closing(uint32_t c)
{
    return c == '"' || c == '\'' || c == ')' || c == ']' || c == '*' || c == 0x201D || c == 0x2019 || c == 0xBB ||
           c == 0x300D || c == 0x300F || c == 0xFF09;
}

/* The full stop at `stop` belongs to a title, a short form, one letter, or the number of an item of a list. */
static bool is_abbreviation(struct str text, size_t start, size_t stop)
{
    static const struct str short_forms[] = {{"Mr", 2},   {"Mrs", 3}, {"Ms", 2}, {"Dr", 2}, {"St", 2},
                                             {"Prof", 4}, {"Jr", 2},  {"Sr", 2}, {"vs", 2}, {"etc", 3}};
    size_t from = stop, digits = start;
    while (digits < stop && text.data[digits] >= '0' && text.data[digits] <= '9') {
        digits++;
    }
    if (digits == stop && stop > start) {
        return true;
    }
    while (from > start && ((text.data[from - 1] | 0x20) >= 'a' && (text.data[from - 1] | 0x20) <= 'z')) {
        from--;
    }
    struct str word = str_slice(text, from, stop);
    bool alone = from == start || text.data[from - 1] == ' ' || text.data[from - 1] == '\n' ||
                 text.data[from - 1] == '.' || text.data[from - 1] == '(';
    if (word.length == 1 && alone) {
        return word.data[0] != 'I';
    }
    for (size_t i = 0; alone && i < sizeof short_forms / sizeof *short_forms; i++) {
        if (str_equal(word, short_forms[i])) {
            return true;
        }
    }
    return false;
}

/* Past the run of stops and closing marks at `at`. */
static size_t skip_marks(struct str text, size_t at, bool *wide)
{
    size_t length;
    for (bool closing = false; at < text.length; at += length) {
        uint32_t c = str_utf8_next(text, at, &length);
        closing |= is_closing(c);
        *wide |= is_wide_stop(c);
        if (!is_closing(c) && (closing || !(is_stop(c) || is_wide_stop(c)))) {
            break;
        }
    }
    return at;
}

bool sentence_next(struct str text, size_t *at, struct str *out)
{
    size_t length;
    while (*at < text.length && text_is_space(str_utf8_next(text, *at, &length))) {
        *at += length;
    }
    size_t start = *at;
    while (*at < text.length) {
        uint32_t c = str_utf8_next(text, *at, &length);
        if (!is_stop(c) && !is_wide_stop(c)) {
            *at += length;
            continue;
        }
        bool wide = false;
        size_t stop = *at;
        *at = skip_marks(text, stop, &wide);
        bool ends = *at == text.length || wide || text_is_space(str_utf8_next(text, *at, &length));
        bool single_dot = c == '.' && *at == stop + 1;
        if (ends && (*at == text.length || !single_dot || !is_abbreviation(text, start, stop))) {
            break;
        }
    }
    *out = text_trim(str_slice(text, start, *at));
    return *at > start;
}

/* reward/code/compare.c - both texts are walked at once, line by line or word by word, up to the first difference.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/code/compare.h"

#include <math.h>
#include <string.h>
#include <strings.h>

bool compare_type_of(struct str name, enum compare_type *type)
{
    static const char *const names[] = {"lines", "tokens", "float", "exact", "json"};
    for (int i = 0; i < 5; i++) {
        if (str_equal(name, str_of(names[i]))) {
            *type = (enum compare_type)i;
            return true;
        }
    }
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* The next line without blanks at its end; *at moves past it. */
static struct str next_line(struct str text, size_t *at)
{
    ptrdiff_t end = str_find(text, STR("\n"), *at);
    size_t to = end < 0 ? text.length : (size_t)end;
    struct str line = str_slice(text, *at, to);
    *at = end < 0 ? text.length : to + 1;
    while (line.length && is_blank(line.data[line.length - 1])) {
        line.length--;
    }
    return line;
}

/* Without empty lines at the end, and blanks there. */
static struct str without_end(struct str text)
{
    while (text.length && (is_blank(text.data[text.length - 1]) || text.data[text.length - 1] == '\n')) {
        text.length--;
    }
    return text;
}

/* The next word; false if none is left. */
static bool next_word(struct str text, size_t *at, struct str *word)
{
    while (*at < text.length && (is_blank(text.data[*at]) || text.data[*at] == '\n')) {
        ++*at;
    }
    size_t from = *at;
    while (*at < text.length && !is_blank(text.data[*at]) && text.data[*at] != '\n') {
        ++*at;
    }
    *word = str_slice(text, from, *at);
    return word->length > 0;
}

static bool is_whole(struct str word)
{
    size_t at = word.length && (word.data[0] == '-' || word.data[0] == '+');
    size_t first = at;
    while (at < word.length && word.data[at] >= '0' && word.data[at] <= '9') {
        at++;
    }
    return at == word.length && at > first;
}

static bool is_nan_or_infinite(struct str word)
{
    static const char *const names[] = {"nan", "inf", "infinity"};
    size_t sign = word.length && (word.data[0] == '-' || word.data[0] == '+');
    struct str rest = str_slice(word, sign, word.length);
    for (int i = 0; i < 3; i++) {
        if (rest.length == strlen(names[i]) && strncasecmp(rest.data, names[i], rest.length) == 0) {
            return true;
        }
    }
    return false;
}

static bool same_float(const struct compare *compare, struct str got, struct str want)
{
    double x, y;
    if (is_nan_or_infinite(got) || is_nan_or_infinite(want)) {
        return false;
    }
    if (str_equal(got, want)) {
        return true;
    }
    if ((is_whole(got) && is_whole(want)) || !str_to_double(got, &x) || !str_to_double(want, &y)) {
        return false;
    }
    double apart = fabs(x - y);
    return apart <= compare->absolute || apart <= compare->relative * fabs(y);
}

static bool same_words(const struct compare *compare, struct str got, struct str want)
{
    size_t at = 0, at_want = 0;
    for (;;) {
        struct str a, b;
        bool one = next_word(got, &at, &a), other = next_word(want, &at_want, &b);
        if (!one || !other) {
            return one == other;
        }
        if (compare->type == COMPARE_FLOAT ? !same_float(compare, a, b) : !str_equal(a, b)) {
            return false;
        }
    }
}

static bool same_lines(const struct compare *compare, struct str got, struct str want)
{
    size_t at = 0, at_want = 0;
    got = without_end(got);
    want = without_end(want);
    while (at < got.length && at_want < want.length) {
        struct str a = next_line(got, &at), b = next_line(want, &at_want);
        if (compare->type == COMPARE_FLOAT ? !same_words(compare, a, b) : !str_equal(a, b)) {
            return false;
        }
    }
    return at == got.length && at_want == want.length;
}

bool compare_texts(const struct compare *compare, struct str got, struct str want)
{
    switch (compare->type) {
    case COMPARE_EXACT: return str_equal(got, want);
    case COMPARE_TOKENS: return same_words(compare, got, want);
    default: return same_lines(compare, got, want);
    }
}

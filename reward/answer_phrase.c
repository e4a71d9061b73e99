/* reward/answer_phrase.c - looks for the phrase from the end, then cuts what follows to its formula or sentence.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/answer_phrase.h"

#include <string.h>
#include <strings.h>

#include "reward/number.h"
#include "reward/number_doubt.h"

#define MAX_OPEN 16

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

/* The length of "<b>" and the like at the start of the text. */
static size_t html_tag(struct str text)
{
    static const struct str tags[] = {{"<b>", 3}, {"<strong>", 8}, {"<i>", 3},  {"<em>", 4},
                                      {"<u>", 3}, {"<p>", 3},      {"</b>", 4}, {"</strong>", 9}};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (str_starts(text, tags[i])) {
            return tags[i].length;
        }
    }
    return 0;
}

static struct str strip(struct str text)
{
    for (;;) {
        text = str_trim(text);
        size_t tag = html_tag(text);
        if (tag) {
            text = str_slice(text, tag, text.length);
        } else if (text.length &&
                   (is_in(text.data[0], "*_`:}") || (text.data[0] == '.' && !is_digit(at_or(text, 1))))) {
            text = str_slice(text, 1, text.length);
        } else if (text.length && is_in(text.data[text.length - 1], ".,;:*_`") && !str_ends(text, STR("^*")) &&
                   !str_ends(text, STR("..")) && !str_ends(text, STR(". ."))) {
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

/* The formula that begins at `at`, up to *end. A "$" before an amount opens none: its close would be on another
 * line. */
static bool formula_at(struct str text, size_t at, size_t *end, struct str *inside)
{
    size_t length;
    const char *close = text.data[at] == '$' || text.data[at] == '\\' ? formula_close(text, at, &length) : NULL;
    ptrdiff_t after = close ? str_find(text, str_of(close), at + length) : -1;
    if (after > 0 && length == 1 && text.data[after - 1] == '\\') { /* "$\$18$" */
        after = str_find(text, str_of(close), (size_t)after + 1);
    }
    if (after < 0 || (length == 1 && memchr(text.data + at, '\n', (size_t)after - at))) {
        return false;
    }
    *end = (size_t)after + length;
    *inside = str_trim(str_slice(text, at + length, (size_t)after));
    return true;
}

/* The formula that begins at or after `from`: its outside is [*begin, *end). */
static bool formula_next(struct str text, size_t from, size_t *begin, size_t *end, struct str *inside)
{
    int open = 0; /* delimiters that nothing closes; bounded, since each is looked for to the end */
    for (size_t i = from; i < text.length && open < MAX_OPEN; i++) {
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

/* The last formula; with its outside where several come in a row, as in "$1$ and $2$". */
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

/* A full stop of a text, not of "Rs." or "..."; a "!" that is no factorial. */
static bool full_stop(struct str text, size_t i)
{
    char next = at_or(text, i + 1), before = i > 0 ? text.data[i - 1] : ' ';
    bool ends = is_blank(next) || next == '\n' || i + 1 == text.length;
    if (text.data[i] == '!') {
        return ends && !is_digit(before) && !is_in(before, ")}");
    }
    bool short_form = (i >= 2 && word_at(text, i - 2, "rs")) || (i >= 6 && word_at(text, i - 6, "approx"));
    size_t after = i + 1;
    while (is_blank(at_or(text, after))) {
        after++;
    }
    bool dots = before == '.' || at_or(text, after) == '.'; /* "...", ". . ." */
    return text.data[i] == '.' && ends && !dots && !short_form;
}

/* Where the sentence ends: at a full stop, a line end, or a special token. Formulas are stepped over. */
static struct str sentence(struct str text)
{
    int open = 0;
    for (size_t i = 0; i < text.length; i++) {
        size_t end;
        struct str inside;
        char c = text.data[i], next = at_or(text, i + 1);
        if (is_in(c, "$\\") && open < MAX_OPEN) {
            bool formula = formula_at(text, i, &end, &inside);
            open += !formula;
            i = formula ? end - 1 : i;
        } else if (c == '\n' || (c == '<' && is_in(next, "|/")) || full_stop(text, i)) {
            return str_slice(text, 0, i);
        }
    }
    return text;
}

/* `said` up to `at`, for the remark there; nothing, if the remark takes the answer back: "38, which fails", "38, not
 * really". With a number it is about that: "38, not 39". */
static struct str without_remark(struct str said, size_t at)
{
    struct str remark = str_slice(said, at, said.length), other;
    static const char *const subjects[] = {"she", "he", "they", "it", "the", "his", "her", NULL};
    bool said_of_it = true; /* not "which she has not sold", "which Tom has not sold" */
    size_t next = word_at(remark, 0, "which") ? 6 : remark.length;
    for (int i = 0; subjects[i] && next < remark.length && said_of_it; i++) {
        bool name = remark.data[next] >= 'A' && remark.data[next] <= 'Z' && !word_at(remark, next, "i");
        said_of_it = !word_at(remark, next, subjects[i]) && !name;
    }
    bool back =
        !number_last(remark, &other) && (number_taken_back(remark, 0, false) || (said_of_it && number_denied(remark)));
    return strip(str_slice(said, 0, back ? 0 : at));
}

/* Without what is said about it: "38, not 39", "38 (see above)", "38 because ...". */
static struct str without_remarks(struct str said)
{
    static const char *const why[] = {"because", "since", NULL}, *const which[] = {"which", NULL};
    static const struct str remarks[] = {{", as ", 5}, {", not ", 6}, {", rather than ", 14}, {", and not ", 10}};
    size_t begin, end;
    if (last_word(said, why, &begin, &end) && begin > 0) {
        bool since = word_at(said, begin, "since");
        said = since ? without_remark(said, begin) : strip(str_slice(said, 0, begin));
    }
    if (last_word(said, which, &begin, &end) && begin > 0) {
        said = without_remark(said, begin);
    }
    for (size_t i = 0; i < sizeof remarks / sizeof *remarks; i++) {
        ptrdiff_t at = str_find(said, remarks[i], 0);
        said = at > 0 ? without_remark(said, (size_t)at) : said;
    }
    ptrdiff_t open = str_ends(said, STR(")")) ? str_find_last(said, STR(" (")) : -1;
    bool remark = open > 0 && is_letter(at_or(said, (size_t)open + 2)) &&
                  count_words(str_slice(said, (size_t)open, said.length)) >= 2;
    return remark ? without_remark(said, (size_t)open) : said;
}

/* "That is wrong.", "It fails the check.", "No.": a short sentence about the answer before it. */
static bool revokes(struct str next)
{
    struct str number;
    static const char *const begins[] = {"it",  "that",  "this",      "which", "but", "no",
                                         "not", "wrong", "incorrect", "false", NULL};
    bool it = word_at(next, 0, "it"), about = false;
    for (int i = 0; begins[i]; i++) {
        about |= word_at(next, 0, begins[i]);
    }
    bool denied = number_denied(next) && (!it || count_words(next) <= 2); /* not "it need not be simplified" */
    return about && !number_last(next, &number) && (number_taken_back(next, 0, false) || denied);
}

/* Does the sentence that follows name another candidate: "Or 17."? */
static bool another_follows(struct str said, struct str rest)
{
    static const char *const opens[] = {"or", "alternatively", "maybe", "perhaps", "possibly", "no", NULL};
    static const char *const takes_back[] = {"wait",       "actually", "but actually", "hmm",
                                             "correction", "sorry",    "oops",         NULL};
    rest = strip(rest);
    for (int i = 0; takes_back[i]; i++) { /* "Wait, that is wrong.", "But actually it is 17." */
        struct str next = sentence(rest), number;
        if (word_at(rest, 0, takes_back[i]) &&
            (number_denied(next) || (number_last(next, &number) && str_find(next, STR("="), 0) < 0))) {
            return true;
        }
    }
    if (revokes(sentence(rest))) {
        return true;
    }
    if (said.length && is_digit(said.data[0]) && rest.length && is_digit(rest.data[0]) &&
        count_words(sentence(rest)) == 0) { /* "18. 19." */
        return true;
    }
    for (int i = 0; opens[i]; i++) {
        if (word_at(rest, 0, opens[i])) {
            struct str number;
            return number_last(sentence(rest), &number);
        }
    }
    return false;
}

static bool has_value(struct str text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (is_digit(text.data[i]) || is_in(text.data[i], "$\\")) {
            return true;
        }
    }
    return false;
}

/* "that the sum is 18": does what comes after "is" name the answer, more than what comes before? */
static bool names_more(struct str before, struct str after)
{
    return str_trim(after).length && !number_denied(before) && !number_hedged(before) &&
           (has_value(after) || !has_value(before));
}

/* The answer in what comes after a phrase. */
static bool phrase_answer(struct str text, size_t after, struct answer *out)
{
    static const char *const is[] = {"is", "are", "equals", NULL};
    struct str rest = strip(str_slice(text, after, text.length)), found;
    bool quote = rest.length > 1 && rest.data[0] == '>' && is_blank(rest.data[1]) && rest.data > text.data &&
                 rest.data[-1] == '\n';
    rest = quote ? strip(str_slice(rest, 1, rest.length)) : rest;
    struct str whole = sentence(rest), said = without_remarks(strip(whole));
    ptrdiff_t which = str_find(whole, STR(", which is "), 0);
    if (which >= 0 && number_denied(str_slice(whole, (size_t)which, whole.length))) {
        return false;
    }
    size_t begin, end;
    if (last_word(said, is, &begin, &end) && names_more(str_slice(said, 0, begin), str_slice(said, end, said.length))) {
        said = strip(str_slice(said, end, said.length));
    }
    struct number number;
    struct arena arena = ARENA_INIT;
    bool read = number_read(said, &arena, &number);
    arena_release(&arena);
    bool formula = last_formula(said, &found) && (!read || said.length - found.length <= 8);
    if (formula || (count_words(said) >= 3 && number_last(said, &found))) {
        if (number_doubted(said, found)) {
            return false;
        }
        said = found;
    }
    said = strip(said);
    *out = (struct answer){.text = said, .path = "phrase"};
    return said.length > 0 && !another_follows(said, str_slice(rest, whole.length, rest.length));
}

/* Is the phrase at `at` denied by what comes before it: "it is not true that the answer is"? */
static bool denied(struct str text, size_t at, size_t end)
{
    size_t begin = at;
    while (begin > 0 && !is_in(text.data[begin - 1], ".,;:!?\n")) {
        begin--;
    }
    struct str clause = str_slice(text, begin, at);
    while (begin > 0 && !is_in(text.data[begin - 1], ".,;!?\n")) { /* "My guess: the answer is" */
        begin--;
    }
    return number_denied(clause) || number_hedged(str_slice(text, begin, end)) || word_at(str_trim(clause), 0, "if");
}

/* A line that is nothing but "Final Answer", with marks of Markdown: where the next begins; 0: it is something else. */
static size_t heading_end(struct str text, size_t at, size_t end)
{
    size_t begin = at;
    while (begin > 0 && text.data[begin - 1] != '\n') {
        begin--;
    }
    struct str before = str_trim(str_slice(text, begin, at));
    while (before.length && is_in(before.data[0], "#*_> ")) {
        before = str_slice(before, 1, before.length);
    }
    while (end < text.length && is_in(text.data[end], "*_: \t\r#")) {
        end++;
    }
    static const struct str names[] = {{"final", 5},     {"Final", 5}, {"FINAL", 5}, {"the final", 9},
                                       {"The final", 9}, {"the", 3},   {"The", 3},   {"The Final", 9}};
    bool bare = before.length == 0 || (before.length >= 3 && (unsigned char)before.data[0] >= 0x80);
    for (size_t i = 0; i < sizeof names / sizeof *names && !bare; i++) {
        bare = str_ends(before, names[i]) && before.length <= names[i].length + 8 &&
               count_words(before) == count_words(names[i]);
    }
    return bare && at_or(text, end) == '\n' ? end + 1 : 0;
}

/* "Result: 38" at the start of a line: a short text that is a value. */
static size_t short_result(struct str text, size_t at)
{
    static const char *const names[] = {"result", "solution"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        size_t i = at + strlen(names[k]), begin = at;
        if (!word_at(text, at, names[k])) {
            continue;
        }
        while (begin > 0 && text.data[begin - 1] != '\n') {
            begin--;
        }
        while (is_in(at_or(text, i), "*_ ")) {
            i++;
        }
        struct str line = sentence(str_slice(text, i + 1, text.length)), digits;
        bool starts = count_words(str_slice(text, begin, at)) <= 1 && at_or(text, i) == ':';
        return starts && count_words(line) < 3 && number_last(line, &digits) ? i + 1 : 0;
    }
    return 0;
}

/* After "answer" or "answers" at [at, i): where what is named begins; 0: nothing is named. */
static size_t named_after(struct str text, size_t at, size_t i)
{
    size_t heading = heading_end(text, at, i), blanks = i;
    if (heading) {
        return heading;
    }
    while (is_blank(at_or(text, i)) || is_in(at_or(text, i), "*_")) {
        i++;
    }
    char c = at_or(text, i);
    static const struct str dashes[] = {{"- ", 2}, {"\xe2\x80\x93 ", 4}, {"\xe2\x80\x94 ", 4}};
    for (size_t k = 0; k < sizeof dashes / sizeof *dashes && i > blanks; k++) {
        if (str_starts(str_slice(text, i, text.length), dashes[k])) {
            return i + dashes[k].length;
        }
    }
    bool named = is_in(c, ":=$") || (c == '\\' && is_in(at_or(text, i + 1), "(["));
    static const char *const says[] = {"is", "are", "should be", "would be", "must be", "will be", "turns out to be"};
    for (size_t k = 0; k < sizeof says / sizeof *says; k++) {
        if (word_at(text, i, says[k])) {
            return i + strlen(says[k]);
        }
    }
    return !named ? 0 : is_in(c, ":=") ? i + 1 : i;
}

/* Where what is named begins, if a phrase begins at `at`; 0 if none does. */
static size_t phrase_at(struct str text, size_t at)
{
    if (word_at(text, at, "ans") && is_in(at_or(text, at + 3), ":.")) {
        return at + 4;
    }
    if (word_at(text, at, "answer") || word_at(text, at, "answers")) {
        return named_after(text, at, at + strlen(word_at(text, at, "answer") ? "answer" : "answers"));
    }
    if (is_in(text.data[at], "rRsS")) {
        return short_result(text, at);
    }
    if (text.data[at] == 'A' && at_or(text, at + 1) == ':' && (at == 0 || text.data[at - 1] == '\n')) {
        return at + 2;
    }
    struct str rest = str_slice(text, at, text.length);
    static const struct str chinese = {"\xe7\xad\x94\xe6\xa1\x88", 6}, colon = {"\xef\xbc\x9a", 3};
    if (str_starts(rest, chinese)) {
        size_t i = at + chinese.length;
        i += str_starts(str_slice(text, i, text.length), colon) ? colon.length : at_or(text, i) == ':' ? 1 : 0;
        static const struct str is = {"\xe6\x98\xaf", 3};
        i += str_starts(str_slice(text, i, text.length), is) ? is.length : 0;
        return i;
    }
    return 0;
}

/* The last line that begins after "####", or the last phrase, whichever comes later. *refused: there is a phrase, but
 * it takes its answer back. */
static bool marked(struct str text, const struct answer_options *options, struct answer *out, bool *refused)
{
    *refused = false;
    for (size_t i = text.length; i-- > 0;) {
        if (options->hashes && text.data[i] == '#' && i >= 3 && strncmp(text.data + i - 3, "####", 4) == 0) {
            struct str line = str_trim(str_slice(text, i + 1, text.length));
            const char *end = line.length ? memchr(line.data, '\n', line.length) : NULL;
            line = strip(end ? str_slice(line, 0, (size_t)(end - line.data)) : line);
            *out = (struct answer){.text = line, .path = "####"};
            return line.length > 0;
        }
        size_t after = options->phrases ? phrase_at(text, i) : 0;
        if (after && strip(sentence(strip(str_slice(text, after, text.length)))).length) {
            *refused = denied(text, i, after) || !phrase_answer(text, after, out);
            return !*refused;
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
    if (options->bare && last_formula(text, &found) && !number_doubted(number_sentence(text, found), found) &&
        (found.data >= said.data || !concludes(said) || !number_last(said, &(struct str){0}))) {
        *out = (struct answer){.text = found, .path = "formula"};
        return true;
    }
    if (options->bare && strip(text).length && strip(text).length <= 200 && count_words(text) == 0) {
        *out = (struct answer){.text = strip(text), .path = "formula"};
        return true;
    }
    bool last = options->last_number && number_last(text, &found);
    bool concluded = !last && options->bare && said.length && concludes(said) && number_last(said, &found);
    if ((last || concluded) && number_revoked(text, found)) {
        return false;
    }
    if ((last && !number_doubted(number_sentence(text, found), found)) || (concluded && !number_doubted(said, found))) {
        *out = (struct answer){.text = found, .path = "number"};
        return true;
    }
    return false;
}

bool answer_phrase_marked(struct str text, struct answer *out)
{
    size_t tail = text.length > ANSWER_TAIL_BYTES ? text.length - ANSWER_TAIL_BYTES : 0;
    const struct answer_options both = {.hashes = true, .phrases = true};
    bool refused;
    return marked(str_slice(text, tail, text.length), &both, out, &refused);
}

bool answer_phrase(struct str text, const struct answer_options *options, struct answer *out)
{
    size_t tail = text.length > ANSWER_TAIL_BYTES ? text.length - ANSWER_TAIL_BYTES : 0;
    text = str_slice(text, tail, text.length);
    bool refused = false;
    if ((options->hashes || options->phrases) && marked(text, options, out, &refused)) {
        return true;
    }
    return !refused && bare(text, options, out);
}

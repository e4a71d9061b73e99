/* reward/answer.c - reasoning, tags and boxes; answers without them are found in answer_phrase.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/answer.h"

#include <string.h>
#include <strings.h>

#include "reward/answer_phrase.h"
#include "reward/number.h"
#include "reward/number_doubt.h"
#include "reward/tags.h"

#define MAX_BETWEEN       60  /* bytes between two boxes of a run */
#define MAX_WORDS_BETWEEN 40  /* with words */
#define MAX_AROUND        200 /* bytes of the sentence on either side of a box */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Behind the "}" that closes the "{" at `at`; 0 if there is none before `end`. */
static size_t brace_end(struct str text, size_t at, size_t end)
{
    size_t depth = 0;
    for (size_t i = at; i < end; i++) {
        switch (text.data[i]) {
        case '\\': i++; break;
        case '{': depth++; break;
        case '}':
            if (--depth == 0) {
                return i + 1;
            }
            break;
        default: break;
        }
    }
    return 0;
}

/* What follows the command of a box at `at`: {...}, or one word or number. Returns where it ends; 0: not closed. */
static size_t box_inside(struct str text, size_t at, size_t end, struct str *inside)
{
    while (at < end && is_space(text.data[at])) {
        at++;
    }
    if (at < end && text.data[at] == '{') {
        size_t close = brace_end(text, at, end);
        *inside = close ? str_trim(str_slice(text, at + 1, close - 1)) : (struct str){0};
        return close;
    }
    size_t stop = at;
    while (stop < end && !is_space(text.data[stop]) && !strchr("$}", text.data[stop])) {
        stop++;
    }
    *inside = str_slice(text, at, stop);
    while (inside->length && strchr(".,;:", inside->data[inside->length - 1])) {
        inside->length--;
    }
    return stop > at ? stop : 0;
}

/* The length of the command of a box that begins at `at`; 0 if none does. */
static size_t box_command(struct str text, size_t at)
{
    static const struct str names[] = {{"boxed", 5}, {"fbox", 4}, {"framebox", 8}};
    struct str rest = str_slice(text, at + 1, text.length);
    if (!rest.length || (rest.data[0] != 'b' && rest.data[0] != 'f')) {
        return 0;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t length = names[i].length;
        if (str_starts(rest, names[i]) && (rest.length == length || !is_letter(rest.data[length]))) {
            return 1 + length;
        }
    }
    return 0;
}

/* The last box that begins before `end`: where, and where its inside may begin. A plain loop: a text of nothing but
 * backslashes would call memrchr for each. */
static bool box_before(struct str text, size_t end, size_t *begin, size_t *after)
{
    const char *last = end ? memrchr(text.data, '\\', end) : NULL;
    end = last ? (size_t)(last - text.data) + 1 : 0;
    while (end-- > 0) {
        size_t length = text.data[end] == '\\' ? box_command(text, end) : 0;
        if (length) {
            *begin = end;
            *after = end + length;
            return true;
        }
    }
    return false;
}

/* May `between` come between two answers of one list? Blanks, signs, "and", "or", and LaTeX for blanks and for text.
 * *about: there is an "approximately" in it. */
static bool joins(struct str between, bool *about)
{
    static const char *const words[] = {"and", "or", "quad", "qquad", "text", "mbox", "textrm", "approx"};
    *about = false;
    if (between.length > MAX_BETWEEN) {
        return false;
    }
    for (size_t i = 0; i < between.length; i++) {
        if (!is_letter(between.data[i])) {
            if (!is_space(between.data[i]) && !strchr("$,;.&(){}[]\\!:~", between.data[i])) {
                return false;
            }
            continue;
        }
        size_t begin = i;
        while (i + 1 < between.length && is_letter(between.data[i + 1])) {
            i++;
        }
        struct str word = str_slice(between, begin, i + 1);
        size_t w = 0;
        while (w < sizeof words / sizeof *words && !str_equal(word, str_of(words[w]))) {
            w++;
        }
        if (w == sizeof words / sizeof *words) {
            return false;
        }
        *about |= str_equal(word, STR("approx"));
    }
    return true;
}

static void boxes_extend(struct str text, size_t begin, struct answer *out)
{
    size_t after, previous;
    while (out->n_boxes < ANSWER_MAX_BOXES && box_before(text, begin, &previous, &after)) {
        struct str inside;
        size_t end = box_inside(text, after, begin, &inside);
        bool about;
        if (!end || !inside.length || !joins(str_slice(text, end, begin), &about)) {
            out->more_boxes = true;
            return;
        }
        if (about) {
            out->n_boxes = 0;
        }
        memmove(out->boxes + 1, out->boxes, (size_t)out->n_boxes * sizeof *out->boxes);
        out->boxes[0] = inside;
        out->n_boxes++;
        begin = previous;
    }
}

bool answer_boxes(struct str text, bool lenient, struct answer *out)
{
    size_t begin, after, end = text.length;
    for (int undone = 0; undone <= ANSWER_MAX_UNDONE && box_before(text, end, &begin, &after); undone++) {
        struct str inside;
        if (box_inside(text, after, text.length, &inside)) {
            if (!inside.length) {
                return false;
            }
            out->boxes[0] = inside;
            out->n_boxes = 1;
            out->path = "box";
            boxes_extend(text, begin, out);
            out->text = out->boxes[out->n_boxes - 1];
            return true;
        }
        if (!lenient) {
            return false;
        }
        end = begin;
    }
    return false;
}

/* Does the text begin with this word, or these? */
static bool starts_word(struct str text, const char *word)
{
    size_t length = strlen(word);
    return text.length >= length && strncasecmp(text.data, word, length) == 0 &&
           (text.length == length || !is_letter(text.data[length]) || (text.data[length] == 's'));
}

/* "-\\boxed{18}", "2\\boxed{18}", "\\frac{\\boxed{18}}{2}", "not \\boxed{18}": does what comes before the box make
 * another value of it? A dash and a blank is a bullet. */
static bool changed_before(struct str before)
{
    static const struct str ends[] = {
        {"-", 1}, {"\xe2\x88\x92", 3}, {"\xe2\x80\x93", 3}, {"\xef\xbc\x8d", 3}, {"/", 1},     {"^", 1},
        {"_", 1}, {"^{", 2},           {"_{", 2},           {"frac{", 5},        {"sqrt{", 5}, {"sqrt", 4}};
    while (before.length && strchr("$\\", before.data[before.length - 1])) {
        before.length--;
    }
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (str_ends(before, ends[i])) {
            return true;
        }
    }
    if (before.length && before.data[before.length - 1] >= '0' && before.data[before.length - 1] <= '9') {
        return true;
    }
    static const char *const words[] = {"not",    "never",   "cannot",  "minus", "negative", "twice",
                                        "double", "half of", "perhaps", "maybe", "possibly", NULL};
    before = str_trim(before);
    for (int i = 0; words[i]; i++) {
        size_t length = strlen(words[i]);
        if (before.length >= length && strncasecmp(before.data + before.length - length, words[i], length) == 0 &&
            (before.length == length || !is_letter(before.data[before.length - length - 1]))) {
            return true;
        }
    }
    return str_ends(before, STR("n't"));
}

/* "\\boxed{18}^2", "\\boxed{18} thousand", "\\boxed{18} or 17", "\\boxed{18} is wrong": does what comes after
 * the box change its value? Degrees, a percent sign and units change nothing. */
static bool changed_after(struct str after)
{
    static const char *const joined[] = {"^", "_", "/", NULL}, *const apart[] = {"+",      "-",  "/", "\\times",
                                                                                 "\\cdot", "or", NULL},
                             *const words[] = {"hundred",       "thousand",  "million",      "billion",   "trillion",
                                               "dozen",         "is not",    "isn't",        "is wrong",  "is false",
                                               "wrong",         "incorrect", "is incorrect", "was wrong", "was not",
                                               "is impossible", NULL};
    static const struct str degrees[] = {{"^\\circ", 6}, {"^{\\circ", 7}, {"^\\degree", 8}, {"^{\\degree", 9}};
    for (size_t i = 0; i < sizeof degrees / sizeof *degrees; i++) {
        if (str_starts(after, degrees[i])) {
            return false;
        }
    }
    char next = after.length > 1 ? after.data[1] : ' ';
    for (int i = 0; joined[i] && after.length; i++) {
        if (after.data[0] == joined[i][0] && !is_letter(next) && !is_space(next)) {
            return true;
        }
    }
    if (after.length && after.data[0] >= '0' && after.data[0] <= '9') {
        return true;
    }
    while (after.length && strchr(" \t$)*(", after.data[0])) {
        after = str_slice(after, 1, after.length);
    }
    for (int i = 0; words[i]; i++) {
        if (starts_word(after, words[i])) {
            return true;
        }
    }
    for (int i = 0; apart[i]; i++) {
        struct str rest = str_slice(after, strlen(apart[i]), after.length);
        while (rest.length && strchr(" $", rest.data[0])) {
            rest = str_slice(rest, 1, rest.length);
        }
        if (str_starts(after, str_of(apart[i])) && rest.length && rest.data[0] >= '0' && rest.data[0] <= '9') {
            return true;
        }
    }
    return false;
}

/* A sentence ends at `stop` '.', a clause at ',' too; what "?" asks belongs to the clause. */
static bool ends_clause(char c, char stop)
{
    bool comma = c == ',' || c == ':';
    return c == '\n' || c == ';' || (stop == ',' ? comma : c == '.' || c == '!' || c == '?');
}

/* Is it a label or a remark, or said by the writer: "Probably", "My guess:", "I would say that"? */
static bool is_remark(struct str clause)
{
    int words = 0;
    for (size_t i = 0; i < clause.length; i++) {
        words += !is_space(clause.data[i]) && (i == 0 || is_space(clause.data[i - 1]));
    }
    return words <= 3 || starts_word(str_trim(clause), "I") || starts_word(str_trim(clause), "I'd");
}

/* Does the sentence before the box doubt it: in the clause of the box, or in a label or a short remark before that? A
 * clause with a number of its own speaks of that number, as does what comes before it. */
static bool hedged_before(struct str text, size_t begin)
{
    for (size_t to = begin, from;; to = from - 1) {
        for (from = to; from > 0 && begin - from < MAX_AROUND && !ends_clause(text.data[from - 1], ',') &&
                        !ends_clause(text.data[from - 1], '.');) {
            from--;
        }
        struct str clause = str_slice(text, from, to);
        for (size_t i = 0; to < begin && i < clause.length; i++) {
            if (clause.data[i] >= '0' && clause.data[i] <= '9') {
                return false;
            }
        }
        if ((to == begin || text.data[to] == ':' || is_remark(clause)) && number_hedged(clause)) {
            return true;
        }
        if (from == 0 || begin - from >= MAX_AROUND || ends_clause(text.data[from - 1], '.')) {
            return false;
        }
    }
}

/* "\\boxed{18} seems off", "\\boxed{18}?", "my previous answer was \\boxed{18}", "\\boxed{18}th": the two rules of
 * number_doubt.h for the box [begin, end). After a comma a remark begins. */
static bool doubted_box(struct str text, size_t begin, size_t end)
{
    size_t to = end;
    while (to < text.length && to - end < MAX_AROUND && !ends_clause(text.data[to], ',')) {
        to++;
    }
    size_t remark = to;
    while (remark < text.length && remark - to < MAX_AROUND && !ends_clause(text.data[remark], '.')) {
        remark++;
    }
    return hedged_before(text, begin) || number_hedged(str_slice(text, to, remark + (remark < text.length))) ||
           number_taken_back(str_slice(text, 0, to), end, false) || number_glued_after(text, begin, end);
}

/* Does what is around the box with this inside say that another value is meant? */
static bool changed_box(struct str text, struct str first, struct str last)
{
    size_t begin, after;
    struct str before = str_slice(text, 0, (size_t)(first.data - text.data)), inside;
    struct str to_last = str_slice(text, 0, (size_t)(last.data - text.data));
    if (!box_before(before, before.length, &begin, &after)) {
        return false;
    }
    if (changed_before(str_slice(text, 0, begin))) {
        return true;
    }
    size_t end =
        box_before(to_last, to_last.length, &begin, &after) ? box_inside(text, after, text.length, &inside) : 0;
    return end && (changed_after(str_slice(text, end, text.length)) || doubted_box(text, begin, end));
}

static bool has_box(struct str text)
{
    size_t begin, after;
    return box_before(text, text.length, &begin, &after);
}

/* What is left of the "=" that ends at `end`: letters, digits and "_"; empty: there is none. */
static struct str name_before(struct str text, size_t end)
{
    while (end > 0 && (is_space(text.data[end - 1]) || text.data[end - 1] == '$')) {
        end--;
    }
    if (end == 0 || text.data[end - 1] != '=') {
        return (struct str){0};
    }
    struct str left = str_trim(str_slice(text, 0, end - 1));
    size_t begin = left.length;
    while (begin > 0 &&
           (is_letter(left.data[begin - 1]) || (left.data[begin - 1] >= '0' && left.data[begin - 1] <= '9') ||
            strchr("_{}", left.data[begin - 1]))) {
        begin--;
    }
    return str_slice(left, begin, left.length);
}

int answer_all_boxes(struct str text, struct str *boxes, struct str *names, int max)
{
    size_t begin, after, end;
    int n = 0;
    for (end = text.length; box_before(text, end, &begin, &after); end = begin, n++) {
        struct str inside;
        size_t close = box_inside(text, after, text.length, &inside);
        struct str between = close ? str_slice(text, close, n ? end : close) : (struct str){0};
        if (n == max || !close || !inside.length || between.length > MAX_WORDS_BETWEEN || number_denied(between) ||
            str_find(between, STR("ait"), 0) >= 0 || str_find(between, STR("ctually"), 0) >= 0) {
            return 0;
        }
        memmove(boxes + 1, boxes, (size_t)n * sizeof *boxes);
        memmove(names + 1, names, (size_t)n * sizeof *names);
        boxes[0] = inside;
        names[0] = name_before(text, begin);
    }
    return n > 1 ? n : 0;
}

/* "The final answer is 60" after the last box. */
static bool final_phrase(struct str text, struct answer *out)
{
    size_t begin, after, end = 0;
    struct str inside;
    if (box_before(text, text.length, &begin, &after)) {
        end = box_inside(text, after, text.length, &inside);
    }
    struct str rest = end ? str_slice(text, end, text.length) : (struct str){0};
    if (!rest.length || (str_find(rest, STR("inal answer"), 0) < 0 && str_find(rest, STR("inal Answer"), 0) < 0)) {
        return false;
    }
    struct str number;
    return answer_phrase_marked(rest, out) && number_last(out->text, &number);
}

static const char *in_box(struct str text, const struct answer_options *options, struct answer *out)
{
    bool found = answer_boxes(text, options->lenient, out);
    out->searched = text;
    return !found                                        ? "the last box is empty or not closed"
           : changed_box(text, out->boxes[0], out->text) ? "what is around the box changes its value"
                                                         : NULL;
}

static const char *in_tag(struct str inside, const struct answer_options *options, struct answer *out)
{
    if (has_box(inside)) {
        return in_box(inside, options, out);
    }
    *out = (struct answer){.text = str_trim(inside), .path = "answer tag"};
    return NULL;
}

struct str answer_turn(struct str response)
{
    return tags_turn(str_slice(response, response.length > ANSWER_MAX_BYTES ? response.length - ANSWER_MAX_BYTES : 0,
                               response.length));
}

const char *answer_find(struct str response, const struct answer_options *options, struct answer *out)
{
    *out = (struct answer){0};
    struct str text = answer_turn(response), inside;
    if (options->answer_tags) {
        const char *wrong = tags_only_answer(text, options->prefilled, &inside);
        return wrong ? wrong : in_tag(inside, options, out);
    }
    if (!tags_rest(text, options->prefilled, &text)) {
        return "the reasoning does not end";
    }
    if (options->phrases && str_find(text, STR("</answer>"), 0) >= 0) { /* outside the tags nothing counts */
        const char *wrong = tags_only_answer(text, false, &inside);
        return wrong ? wrong : in_tag(inside, options, out);
    }
    if (has_box(text)) {
        if (options->phrases && final_phrase(text, out)) {
            return NULL;
        }
        return in_box(text, options, out);
    }
    if (answer_phrase(text, options, out)) {
        return NULL;
    }
    return options->phrases || options->hashes || options->bare ? "no answer found" : "no box";
}

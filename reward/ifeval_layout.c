/* reward/ifeval_layout.c - paragraphs, bullets, headings and other marks that can be seen.
 *
 * The expressions in the comments are those of IFEval; what they match is found by hand, in linear time.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/ifeval_checks.h"
#include "reward/text.h"

static bool is_blank(struct str text)
{
    return text_trim(text).length == 0;
}

/* The next piece of text.split(divider); false past the last. *at is SIZE_MAX after it. */
static bool next_piece(struct str text, struct str divider, size_t *at, struct str *out)
{
    if (*at == SIZE_MAX) {
        return false;
    }
    ptrdiff_t end = str_find(text, divider, *at);
    *out = str_slice(text, *at, end < 0 ? text.length : (size_t)end);
    *at = end < 0 ? SIZE_MAX : (size_t)end + divider.length;
    return true;
}

/* How many pieces between dividers; none in the middle may be blank (then -1), at the ends they do not count. */
static int64_t count_pieces(struct str text, struct str divider, struct str pieces[2])
{
    int64_t n = 0;
    struct str piece;
    bool first = true;
    for (size_t at = 0; next_piece(text, divider, &at, &piece); first = false) {
        if (!is_blank(piece)) {
            pieces[n < 2 ? n : 1] = piece;
            n++;
        } else if (!first && at != SIZE_MAX) {
            return -1;
        }
    }
    return n;
}

bool ifeval_paragraphs(struct ifeval_check *check)
{
    struct str pieces[2];
    return count_pieces(check->text, STR("***"), pieces) == ifeval_int(check, "num_paragraphs");
}

bool ifeval_two_responses(struct ifeval_check *check)
{
    struct str pieces[2];
    return count_pieces(check->text, STR("******"), pieces) == 2 &&
           !str_equal(text_trim(pieces[0]), text_trim(pieces[1]));
}

/* The first word of a paragraph in lower case: up to punctuation, without quotes before it. */
static struct str first_word(struct arena *arena, struct str paragraph)
{
    struct str word = {0};
    size_t at = 0, end = 0;
    text_next_field(paragraph, &at, &word);
    while (word.length && word.data[0] == '\'') {
        word = str_slice(word, 1, word.length);
    }
    while (word.length && word.data[0] == '"') {
        word = str_slice(word, 1, word.length);
    }
    while (end < word.length && str_find(STR(".,?!'\""), str_slice(word, end, end + 1), 0) < 0) {
        end++;
    }
    return text_lower(arena, str_slice(word, 0, end));
}

bool ifeval_first_word(struct ifeval_check *check)
{
    int64_t wanted = ifeval_int(check, "num_paragraphs"), nth = ifeval_int(check, "nth_paragraph"), n = 0, i = 0;
    struct str want = text_lower(check->arena, ifeval_text(check, "first_word")), piece, word = {0};
    for (size_t at = 0; next_piece(check->text, STR("\n\n"), &at, &piece);) {
        n += !is_blank(piece);
        if (++i == nth) {
            word = first_word(check->arena, piece);
        }
    }
    return n == wanted && nth <= n && word.length && str_equal(word, want);
}

/* \[.*?\] */
bool ifeval_placeholders(struct ifeval_check *check)
{
    int64_t n = 0;
    bool open = false;
    for (size_t i = 0; i < check->text.length; i++) {
        char c = check->text.data[i];
        n += open && c == ']';
        open = c == '[' || (open && c != ']' && c != '\n');
    }
    return n >= ifeval_int(check, "num_placeholders");
}

/* Where `parts` end if they start at `at`, with at most one white space between them; else 0. */
static size_t match_parts(struct str text, size_t at, const struct str *parts, int n)
{
    for (int i = 0; i < n; i++) {
        size_t length;
        if (i > 0 && at < text.length && text_is_space(str_utf8_next(text, at, &length))) {
            at += length;
        }
        if (!str_starts(str_slice(text, at, text.length), parts[i])) {
            return 0;
        }
        at += parts[i].length;
    }
    return at;
}

/* p\.\s?s\.   p\.\s?p\.\s?s */
bool ifeval_postscript(struct ifeval_check *check)
{
    static const struct str ps[] = {{"p.", 2}, {"s.", 2}}, pps[] = {{"p.", 2}, {"p.", 2}, {"s", 1}};
    struct str marker = text_trim(ifeval_text(check, "postscript_marker"));
    bool is_ps = str_equal(marker, STR("P.S.")), is_pps = str_equal(marker, STR("P.P.S"));
    if (!is_ps && !is_pps) {
        return str_find(check->lower, text_lower(check->arena, marker), 0) >= 0;
    }
    for (ptrdiff_t at = 0; (at = str_find(check->lower, STR("p."), (size_t)at)) >= 0; at++) {
        if (is_ps ? match_parts(check->lower, (size_t)at, ps, 2) : match_parts(check->lower, (size_t)at, pps, 3)) {
            return true;
        }
    }
    return false;
}

/* ^\s*\*[^\*].*$ or ^\s*-.*$ from the line that starts at *at on; *at moves to where the next line may start. */
static bool is_bullet(struct str text, char mark, size_t *at)
{
    size_t i = *at, length;
    while (i < text.length && text_is_space(str_utf8_next(text, i, &length))) {
        i += length;
    }
    bool found =
        i < text.length && text.data[i] == mark && (mark == '-' || (i + 1 < text.length && text.data[i + 1] != '*'));
    i += found ? (mark == '*' ? 2 : 1) : 0; /* what follows a star may be a line break */
    ptrdiff_t end = i > 0 && found && text.data[i - 1] == '\n' && mark == '*' && i < text.length && text.data[i] == '\n'
                        ? (ptrdiff_t)i - 1
                        : str_find(text, STR("\n"), i);
    *at = end < 0 ? text.length : (size_t)end + 1;
    return found;
}

bool ifeval_bullets(struct ifeval_check *check)
{
    int64_t n = 0;
    for (size_t at = 0; at < check->text.length;) {
        n += is_bullet(check->text, '*', &at);
    }
    for (size_t at = 0; at < check->text.length;) {
        n += is_bullet(check->text, '-', &at);
    }
    return n == ifeval_int(check, "num_bullets");
}

/* mark [^\n\*]* mark, with something in it, where `mark` is "*" or "**" */
static int64_t count_highlights(struct str text, struct str mark)
{
    int64_t n = 0;
    for (ptrdiff_t at = 0; (at = str_find(text, mark, (size_t)at)) >= 0;) {
        size_t start = (size_t)at + mark.length, end = start;
        while (end < text.length && text.data[end] != '*' && text.data[end] != '\n') {
            end++;
        }
        bool closed = str_starts(str_slice(text, end, text.length), mark);
        n += closed && !is_blank(str_slice(text, start, end));
        at = closed ? (ptrdiff_t)(end + mark.length) : at + 1;
    }
    return n;
}

bool ifeval_highlights(struct ifeval_check *check)
{
    int64_t n = count_highlights(check->text, STR("*")) + count_highlights(check->text, STR("**"));
    return n >= ifeval_int(check, "num_highlights");
}

/* splitter \s?\d+ */
bool ifeval_sections(struct ifeval_check *check)
{
    struct str text = check->text, splitter = text_trim(ifeval_text(check, "section_spliter"));
    int64_t n = 0;
    for (ptrdiff_t at = 0; splitter.length && (at = str_find(text, splitter, (size_t)at)) >= 0;) {
        size_t i = (size_t)at + splitter.length, length;
        if (i < text.length && text_is_space(str_utf8_next(text, i, &length))) {
            i += length;
        }
        bool found = i < text.length && text_is_digit(str_utf8_next(text, i, &length));
        while (found && i < text.length && text_is_digit(str_utf8_next(text, i, &length))) {
            i += length;
        }
        n += found;
        at = found ? (ptrdiff_t)i : at + 1;
    }
    return n >= ifeval_int(check, "num_sections");
}

/* The JSON value that the text is, with or without a fence; NULL if it is none. */
static json_t *parse_json(struct str text)
{
    static const struct str fences[] = {{"```json", 7}, {"```Json", 7}, {"```JSON", 7}, {"```", 3}};
    text = text_trim(text);
    for (int i = 0; i < 4; i++) {
        text = str_starts(text, fences[i]) ? str_slice(text, fences[i].length, text.length) : text;
    }
    text = str_ends(text, fences[3]) ? str_slice(text, 0, text.length - 3) : text;
    text = text_trim(text);
    return text.length ? json_loadb(text.data, text.length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
}

bool ifeval_json(struct ifeval_check *check)
{
    json_t *value = parse_json(check->text);
    bool found = value != NULL;
    json_decref(value);
    return found;
}

bool ifeval_json_object(struct ifeval_check *check)
{
    json_t *value = parse_json(check->text);
    bool found = json_is_object(value);
    json_decref(value);
    return found;
}

/* <<[^\n]+>>, with some text inside */
bool ifeval_title(struct ifeval_check *check)
{
    struct str line;
    for (size_t at = 0; next_piece(check->text, STR("\n"), &at, &line);) {
        ptrdiff_t open = str_find(line, STR("<<"), 0), close = str_find_last(line, STR(">>"));
        if (open < 0 || close < open + 3) {
            continue;
        }
        size_t from = (size_t)open, to = (size_t)close;
        while (from < to && line.data[from] == '<') {
            from++;
        }
        while (to > from && line.data[to - 1] == '>') {
            to--;
        }
        if (!is_blank(str_slice(line, from, to))) {
            return true;
        }
    }
    return false;
}

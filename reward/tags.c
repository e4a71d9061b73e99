/* reward/tags.c - finds each tag by plain search, then looks at what is before, between and after them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/tags.h"

#include <string.h>
#include <strings.h>

static const struct str tags[4] = {{"<think>", 7}, {"</think>", 8}, {"<answer>", 8}, {"</answer>", 9}};

static int count(struct str text, struct str needle)
{
    int n = 0;
    for (ptrdiff_t at = 0; (at = str_find(text, needle, (size_t)at)) >= 0; at += (ptrdiff_t)needle.length) {
        n++;
    }
    return n;
}

bool tags_prefilled(bool option, struct str prompt)
{
    return option || str_ends(str_trim(prompt), tags[0]);
}

struct str tags_turn(struct str text)
{
    static const struct str ends[] = {
        {"<|im_end|>", 10},
        {"<|im_start|>", 12},
        {"<|endoftext|>", 13},
        {"<|eot_id|>", 10},
        {"<|end_of_text|>", 15},
        {"<|start_header_id|>", 19},
        {"<end_of_turn>", 13},
        {"<start_of_turn>", 15},
        {"<|end|>", 7},
        {"<|return|>", 10},
        {"</s>", 4},
        {"<\xef\xbd\x9c"
         "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>",
         27},
    };
    size_t from = 0;
    while (from < text.length) {
        const char *sign = memchr(text.data + from, '<', text.length - from);
        if (!sign) {
            break;
        }
        size_t at = (size_t)(sign - text.data);
        bool may_end = at + 1 < text.length && text.data[at + 1] && strchr("|/es\xef", text.data[at + 1]);
        for (size_t i = 0; may_end && i < sizeof ends / sizeof *ends; i++) {
            if (str_starts(str_slice(text, at, text.length), ends[i]) && str_trim(str_slice(text, 0, at)).length) {
                return str_slice(text, 0, at);
            }
        }
        from = at + 1;
    }
    return text;
}

bool tags_blank(struct str text)
{
    static const struct str unseen[] = {
        {"&nbsp;", 6},       {"\xc2\xa0", 2},     {"\xc2\xad", 2},     {"\xe2\x80\x8b", 3}, {"\xe2\x80\x8c", 3},
        {"\xe2\x80\x8d", 3}, {"\xe2\x81\xa0", 3}, {"\xe3\x80\x80", 3}, {"\xef\xbb\xbf", 3},
    };
    text = str_trim(text);
    for (size_t i = 0; i < sizeof unseen / sizeof *unseen;) {
        bool found = str_starts(text, unseen[i]);
        text = found ? str_trim(str_slice(text, unseen[i].length, text.length)) : text;
        i = found ? 0 : i + 1;
    }
    return text.length == 0;
}

/* Where each tag of [first, 4) begins and ends, if each occurs once and they are in order. */
struct places {
    size_t begin[4], end[4];
};

/* How many tags, from the first on, are there once, each after the one before it. A <think> that the prompt has must
 * not come again. */
static int place_tags(struct str text, bool prefilled, struct places *out)
{
    *out = (struct places){0};
    int i = prefilled ? 1 : 0;
    if (prefilled && str_find(text, tags[0], 0) >= 0) {
        return 0;
    }
    for (; i < 4 && count(text, tags[i]) == 1; i++) {
        out->begin[i] = (size_t)str_find(text, tags[i], 0);
        out->end[i] = out->begin[i] + tags[i].length;
        if (i > 0 && out->begin[i] < out->end[i - 1]) {
            break;
        }
    }
    return i;
}

bool tags_strict(struct str text, bool prefilled, struct str *think, struct str *answer)
{
    struct places at;
    if (place_tags(text, prefilled, &at) < 4) {
        return false;
    }
    struct str inside[2] = {str_slice(text, at.end[0], at.begin[1]), str_slice(text, at.end[2], at.begin[3])};
    if (!tags_blank(str_slice(text, 0, at.begin[0])) || !tags_blank(str_slice(text, at.end[1], at.begin[2])) ||
        !tags_blank(str_slice(text, at.end[3], text.length)) || tags_blank(inside[0]) || tags_blank(inside[1])) {
        return false;
    }
    if (think) {
        *think = inside[0];
    }
    if (answer) {
        *answer = inside[1];
    }
    return true;
}

static bool holds_tag(struct str text)
{
    for (int i = 0; i < 4; i++) {
        if (str_find(text, tags[i], 0) >= 0) {
            return true;
        }
    }
    return false;
}

/* How many of `n` tags that are once and in order are in their place as well; inside[0] and [1]: thinking and
 * answer. */
static int well_placed(struct str text, const struct places *at, bool prefilled, int n, struct str inside[2])
{
    if (!prefilled && (n < 1 || !tags_blank(str_slice(text, 0, at->begin[0])))) {
        return 0;
    }
    inside[0] = n > 1 ? str_slice(text, at->end[0], at->begin[1]) : inside[0];
    if (n < 2 || tags_blank(inside[0]) || holds_tag(inside[0])) {
        return 1;
    }
    inside[1] = n > 2 ? str_slice(text, at->end[2], n > 3 ? at->begin[3] : text.length) : inside[1];
    if (n < 3 || !tags_blank(str_slice(text, at->end[1], at->begin[2])) || tags_blank(inside[1])) {
        return 2;
    }
    return n < 4 || !tags_blank(str_slice(text, at->end[3], text.length)) ? 3 : 4;
}

double tags_share(struct str text, bool prefilled, struct str prompt)
{
    struct places at;
    struct str inside[2] = {{0}};
    int first = prefilled ? 1 : 0, n = place_tags(text, prefilled, &at);
    int placed = well_placed(text, &at, prefilled, n, inside);
    if (placed <= first || tags_copied(inside[0], inside[1], prompt)) {
        return 0;
    }
    return (double)(placed - first) / (4 - first);
}

/* ---- placeholders ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool word_of(struct str word, const char *const *names)
{
    for (int i = 0; names[i]; i++) {
        if (word.length == strlen(names[i]) && strncasecmp(word.data, names[i], word.length) == 0) {
            return true;
        }
    }
    return false;
}

/* "the thinking", "[your reasoning process here]", "...": words that name what should be there, and nothing else. */
static bool placeholder(struct str text)
{
    static const char *const around[] = {"the", "your", "my", "its", "final", "here", "goes", "process", "of", NULL};
    static const char *const names[] = {"thinking", "thoughts", "thought",  "think",  "reasoning",
                                        "answer",   "answers",  "solution", "result", NULL};
    static const struct str dots[] = {{"...", 3}, {"\xe2\x80\xa6", 3}};
    bool named = false;
    text = str_trim(text);
    for (size_t i = 0; i < text.length; i++) {
        size_t begin = i;
        while (i < text.length && is_letter(text.data[i])) {
            i++;
        }
        struct str word = str_slice(text, begin, i);
        named |= word_of(word, names);
        if (word.length ? !word_of(word, around) && !word_of(word, names)
                        : !strchr(" \t\r\n.[](){}_-*", text.data[i])) {
            return str_equal(text, dots[1]);
        }
        i -= word.length > 0;
    }
    return named || str_equal(text, dots[0]);
}

/* Is `text` what the prompt has between the tags `open` and the next one? */
static bool shown(struct str text, struct str prompt, int open)
{
    text = str_trim(text);
    for (ptrdiff_t at = 0; text.length && (at = str_find(prompt, tags[open], (size_t)at)) >= 0;) {
        at += (ptrdiff_t)tags[open].length;
        ptrdiff_t end = str_find(prompt, tags[open + 1], (size_t)at);
        if (end < 0) {
            return false;
        }
        if (str_equal(text, str_trim(str_slice(prompt, (size_t)at, (size_t)end)))) {
            return true;
        }
    }
    return false;
}

static bool has_digit(struct str text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] >= '0' && text.data[i] <= '9') {
            return true;
        }
    }
    return false;
}

bool tags_copied(struct str think, struct str answer, struct str prompt)
{
    return placeholder(think) || placeholder(answer) || (shown(think, prompt, 0) && !has_digit(think)) ||
           (str_trim(answer).length > 1 && !has_digit(answer) && shown(answer, prompt, 2));
}

/* ---- parts ---- */

bool tags_rest(struct str text, bool prefilled, struct str *rest)
{
    if (!text.length || !memchr(text.data, '<', text.length)) {
        *rest = text;
        return !prefilled;
    }
    ptrdiff_t end = str_find_last(text, tags[1]);
    if (end < 0 && prefilled) {
        return false;
    }
    *rest = str_slice(text, end < 0 ? 0 : (size_t)end + tags[1].length, text.length);
    return str_find(*rest, tags[0], 0) < 0;
}

bool tags_answer(struct str text, bool prefilled, struct str *answer)
{
    struct str rest;
    ptrdiff_t close = tags_rest(text, prefilled, &rest) ? str_find_last(rest, tags[3]) : -1;
    ptrdiff_t open = close < 0 ? -1 : str_find_last(str_slice(rest, 0, (size_t)close), tags[2]);
    if (open < 0) {
        return false;
    }
    *answer = str_slice(rest, (size_t)open + tags[2].length, (size_t)close);
    return true;
}

const char *tags_only_answer(struct str text, bool prefilled, struct str *answer)
{
    struct str rest;
    if (!tags_rest(text, prefilled, &rest)) {
        return "the reasoning does not end";
    }
    int opened = count(text, tags[0]), closed = count(text, tags[1]);
    bool ordered = closed == 0 || prefilled || str_find(text, tags[0], 0) < str_find(text, tags[1], 0);
    if (closed > 1 || opened != (prefilled ? 0 : closed) || !ordered) {
        return "the tags of thinking are not one pair";
    }
    if (!tags_answer(text, prefilled, answer)) {
        return "no answer tag";
    }
    bool once = count(rest, tags[2]) == 1 && count(rest, tags[3]) == 1;
    return !once ? "more than one answer tag" : tags_blank(*answer) ? "the answer tag is empty" : NULL;
}

static struct str tags_thinking(struct str text)
{
    ptrdiff_t open = str_find(text, tags[0], 0);
    size_t from = open < 0 ? 0 : (size_t)open + tags[0].length;
    ptrdiff_t end = str_find(text, tags[1], from);
    end = end < 0 ? str_find(text, tags[2], from) : end;
    return str_slice(text, from, end < 0 ? text.length : (size_t)end);
}

enum tags_part tags_part_of(const char *name)
{
    static const char *const names[] = {"all", "thinking", "rest", "answer"};
    int i = 0;
    while (i < PART_ANSWER && strcmp(names[i], name) != 0) {
        i++;
    }
    return (enum tags_part)i;
}

bool tags_part(struct str text, enum tags_part part, struct str *out)
{
    switch (part) {
    case PART_ANSWER: return tags_answer(text, false, out);
    case PART_THINKING: *out = tags_thinking(text); return true;
    case PART_REST: return tags_rest(text, false, out);
    default: *out = text; return true;
    }
}

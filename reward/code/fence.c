/* reward/code/fence.c - walks lines, stripping the marks of quotes, lists and tags before it looks for a fence.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/code/fence.h"

#include <limits.h>
#include <string.h>

enum { TAB = 4, MAX_INDENT = 3 };

/* A place in a line: bytes, and columns with tabs counted. */
struct place {
    size_t at;
    int column;
};

struct fence {
    char mark; /* ` or ~ */
    size_t length;
    int quotes; /* block quotes around it */
    int indent; /* columns, from the line's start or the last quote's mark */
    struct str rest;
};

static struct str line_at(struct str text, size_t at, size_t *next)
{
    ptrdiff_t end = str_find(text, STR("\n"), at);
    *next = end < 0 ? text.length : (size_t)end + 1;
    return str_slice(text, at, end < 0 ? text.length : (size_t)end);
}

static char byte_at(struct str line, size_t at)
{
    return at < line.length ? line.data[at] : '\0';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void step(struct str line, struct place *place)
{
    place->column = line.data[place->at] == '\t' ? place->column / TAB * TAB + TAB : place->column + 1;
    place->at++;
}

static void skip_blanks(struct str line, struct place *place)
{
    while (is_blank(byte_at(line, place->at))) {
        step(line, place);
    }
}

/* Past "> ", which may be indented. */
static bool skip_quote(struct str line, struct place *place)
{
    struct place here = *place;
    skip_blanks(line, &here);
    if (byte_at(line, here.at) != '>') {
        return false;
    }
    step(line, &here);
    if (byte_at(line, here.at) == ' ') {
        step(line, &here);
    }
    *place = here;
    return true;
}

/* Past "- ", "* ", "+ ", "1. " or "1) ". */
static bool skip_bullet(struct str line, struct place *place)
{
    struct place here = *place;
    while (here.at - place->at < 9 && byte_at(line, here.at) >= '0' && byte_at(line, here.at) <= '9') {
        step(line, &here);
    }
    const char *marks = here.at > place->at ? ".)" : "-*+";
    char mark = byte_at(line, here.at);
    if (!mark || !strchr(marks, mark) || !is_blank(byte_at(line, here.at + 1))) {
        return false;
    }
    step(line, &here);
    *place = here;
    return true;
}

/* Past "<answer>" and the like. */
static bool skip_tag(struct str line, struct place *place)
{
    size_t end = place->at + 1;
    if (byte_at(line, place->at) != '<') {
        return false;
    }
    while (end < line.length && line.data[end] != '>' && line.data[end] != '<' && !is_blank(line.data[end])) {
        end++;
    }
    if (byte_at(line, end) != '>') {
        return false;
    }
    place->at = end + 1;
    return true;
}

/* The run of ` or ~ at `at`, if it is long enough, and what follows it. */
static bool read_marks(struct str line, size_t at, struct fence *fence)
{
    size_t from = at;
    char mark = byte_at(line, at);
    if (mark != '`' && mark != '~') {
        return false;
    }
    while (byte_at(line, at) == mark) {
        at++;
    }
    fence->mark = mark;
    fence->length = at - from;
    fence->rest = str_trim(str_slice(line, at, line.length));
    return fence->length >= 3;
}

static bool read_opening(struct str line, struct fence *fence)
{
    struct place place = {0};
    int base = 0;
    *fence = (struct fence){0};
    while (skip_quote(line, &place)) {
        fence->quotes++;
        base = place.column;
    }
    skip_blanks(line, &place);
    while (skip_bullet(line, &place)) {
        skip_blanks(line, &place);
    }
    fence->indent = place.column - base;
    while (skip_tag(line, &place)) {
    }
    return read_marks(line, place.at, fence) &&
           (fence->mark == '~' || !fence->rest.length || !memchr(fence->rest.data, '`', fence->rest.length));
}

/* Past the quotes' marks of a line in the block; false: the line is outside. */
static bool enter_line(struct str line, const struct fence *open, struct place *place)
{
    *place = (struct place){0};
    for (int i = 0; i < open->quotes; i++) {
        if (!skip_quote(line, place)) {
            return false;
        }
    }
    return true;
}

static bool is_closing(struct str line, struct place place, const struct fence *open)
{
    struct fence fence;
    int base = place.column;
    skip_blanks(line, &place);
    return place.column - base <= open->indent + MAX_INDENT && read_marks(line, place.at, &fence) &&
           fence.mark == open->mark && fence.length >= open->length &&
           (!fence.rest.length || fence.rest.data[0] == '<');
}

/* The lines from `from` to `to` without the quotes' marks and up to `indent` columns each. */
static struct str stripped(struct str text, size_t from, size_t to, const struct fence *open, int indent,
                           struct arena *arena)
{
    struct strbuf out = STRBUF_INIT;
    for (size_t at = from, next; at < to; at = next) {
        struct str line = line_at(text, at, &next);
        struct place place;
        enter_line(line, open, &place);
        int until = place.column + indent;
        while (place.column < until && is_blank(byte_at(line, place.at))) {
            step(line, &place);
        }
        for (; place.column > until; place.column--) { /* the rest of a tab */
            strbuf_putc(&out, ' ');
        }
        strbuf_add_str(&out, str_slice(text, at + place.at, next));
    }
    struct str code = {arena_strndup(arena, out.data ? out.data : "", out.length), out.length};
    strbuf_release(&out);
    return code;
}

/* How far the least indented line that is not blank is indented. */
static int min_indent(struct str text, size_t from, size_t to, const struct fence *open)
{
    int min = INT_MAX;
    for (size_t at = from, next; at < to; at = next) {
        struct str line = line_at(text, at, &next);
        struct place place;
        enter_line(line, open, &place);
        int base = place.column;
        skip_blanks(line, &place);
        bool blank = place.at == line.length || line.data[place.at] == '\r';
        min = blank || place.column - base > min ? min : place.column - base;
    }
    return min;
}

bool fence_next(struct str text, size_t *at, struct arena *arena, struct fence_block *block)
{
    struct fence open = {0};
    size_t from = *at, to = text.length, next;
    bool opened = false;
    for (; !opened && from < text.length; from = next) {
        opened = read_opening(line_at(text, from, &next), &open);
    }
    if (!opened) {
        *at = text.length;
        return false;
    }
    *block = (struct fence_block){.info = open.rest};
    *at = text.length;
    for (size_t here = from; here < text.length; here = next) {
        struct str line = line_at(text, here, &next);
        struct place place;
        bool inside = enter_line(line, &open, &place);
        if (!inside || is_closing(line, place, &open)) {
            *at = inside ? next : here;
            block->closed = true;
            to = here;
            break;
        }
    }
    int indent = open.indent;
    if (indent > MAX_INDENT) { /* the list around it indents it; the block's lines may be indented less */
        int min = min_indent(text, from, to, &open);
        indent = min < indent ? min : indent;
    }
    block->code = open.quotes || indent ? stripped(text, from, to, &open, indent, arena) : str_slice(text, from, to);
    return true;
}

/* reward/code/extract.c - ranks the blocks by the language of their fence and what they define; the last of the best
 * wins.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/code/extract.h"

#include <string.h>
#include <strings.h>

#include "reward/code/fence.h"

struct code_wanted code_wanted(const struct code_tests *tests, enum code_language language)
{
    return (struct code_wanted){language, tests->mode != CODE_STDIO, tests->entry};
}

/* ---- what a fence says ---- */

/* "python" of "python title=x", "{.python .numberLines}", "python:main.py". */
static struct str first_word(struct str info)
{
    static const struct str braces[] = {{"{", 1}, {".", 1}};
    for (size_t i = 0; i < 2; i++) {
        info = str_starts(info, braces[i]) ? str_slice(info, 1, info.length) : info;
    }
    size_t n = 0;
    while (n < info.length && !strchr(" \t{},:;(<", info.data[n])) {
        n++;
    }
    return str_slice(info, 0, n);
}

/* The language of a file name: of "main.py" that of "py". */
static enum code_language language_of_file(struct str name)
{
    ptrdiff_t dot = str_find_last(name, STR("."));
    return dot > 0 ? code_language_of(str_slice(name, (size_t)dot + 1, name.length)) : CODE_UNKNOWN;
}

/* False: it names a language that is none of ours, or no language at all but what output and data are called. */
static bool info_language(struct str info, enum code_language *language)
{
    static const char *const neutral[] = {"", "code", "program", "solution"};
    struct str word = first_word(info);
    *language = code_language_of(word);
    if (*language == CODE_UNKNOWN) {
        *language = language_of_file(word);
    }
    bool good = *language != CODE_UNKNOWN;
    for (size_t i = 0; !good && i < sizeof neutral / sizeof *neutral; i++) {
        good =
            word.length == strlen(neutral[i]) && strncasecmp(word.data ? word.data : "", neutral[i], word.length) == 0;
    }
    return good;
}

/* ---- what a block holds ---- */

static bool is_name_byte(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80);
}

/* "def NAME", "class NAME", "NAME =", "NAME: type ="; any def, class or lambda where the name is empty. */
static bool line_defines(struct str line, struct str name)
{
    static const struct str heads[] = {{"async ", 6}, {"def ", 4}, {"class ", 6}};
    bool head = false;
    for (size_t i = 0; i < 3; i++) {
        if (str_starts(line, heads[i])) {
            line = str_trim(str_slice(line, heads[i].length, line.length));
            head = i > 0;
        }
    }
    if (!name.length) {
        return head || str_find(line, STR("= lambda"), 0) >= 0;
    }
    if (!str_starts(line, name) || (line.length > name.length && is_name_byte(line.data[name.length]))) {
        return false;
    }
    struct str rest = str_trim(str_slice(line, name.length, line.length));
    bool assigns = str_starts(rest, STR("=")) && !str_starts(rest, STR("=="));
    return head || assigns || str_starts(rest, STR(":"));
}

static bool defines(struct str code, struct str entry)
{
    ptrdiff_t dot = str_find_last(entry, STR("."));
    struct str name = str_slice(entry, (size_t)(dot + 1), entry.length);
    for (size_t at = 0; at < code.length;) {
        ptrdiff_t end = str_find(code, STR("\n"), at);
        size_t to = end < 0 ? code.length : (size_t)end;
        if (line_defines(str_trim(str_slice(code, at, to)), name)) {
            return true;
        }
        at = to + 1;
    }
    return false;
}

/* ---- which block ---- */

/* How well a block fits what is wanted; 0: it does not. */
static int rank(const struct fence_block *block, const struct code_wanted *wanted, enum code_language *language)
{
    bool python = wanted->language == CODE_PYTHON;
    if (!info_language(block->info, language) || str_starts(str_trim(block->code), STR(">>> "))) {
        return 0;
    }
    bool named = *language != CODE_UNKNOWN && (wanted->language == CODE_UNKNOWN || *language == wanted->language);
    if (!named && *language != CODE_UNKNOWN && (python || *language == CODE_PYTHON)) {
        return 0; /* C for C++ and C++ for C may be a slip of the pen */
    }
    return 1 + named + 2 * (wanted->function && defines(block->code, wanted->entry)) + 4 * block->closed;
}

bool code_extract(struct str completion, const struct code_wanted *wanted, struct arena *arena, struct code_block *out)
{
    ptrdiff_t thought = str_find_last(completion, STR("</think>"));
    size_t at = thought < 0 ? 0 : (size_t)thought + strlen("</think>");
    struct fence_block block;
    int best = 0;
    while (fence_next(completion, &at, arena, &block)) {
        enum code_language language;
        int good = rank(&block, wanted, &language);
        if (good > 0 && good >= best) {
            best = good;
            *out = (struct code_block){block.code, language};
        }
    }
    return best > 0;
}

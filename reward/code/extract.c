/* reward/code/extract.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/code/extract.h"

#include <string.h>

struct fence {
    char mark; /* ` or ~ */
    size_t length;
    struct str info; /* what follows on the line */
};

/* At most three blanks may stand before a fence (CommonMark, section 4.5). */
static bool fence_of(struct str line, struct fence *fence)
{
    size_t at = 0;
    while (at < line.length && at < 3 && line.data[at] == ' ') {
        at++;
    }
    char mark = at < line.length ? line.data[at] : '\0';
    size_t from = at;
    while (at < line.length && line.data[at] == mark) {
        at++;
    }
    if ((mark != '`' && mark != '~') || at - from < 3) {
        return false;
    }
    *fence = (struct fence){mark, at - from, str_trim(str_slice(line, at, line.length))};
    return mark != '`' || !fence->info.length || !memchr(fence->info.data, '`', fence->info.length);
}

static enum code_language info_language(struct str info)
{
    size_t n = 0;
    while (n < info.length && info.data[n] != ' ' && info.data[n] != '{' && info.data[n] != ',') {
        n++;
    }
    return code_language_of(str_slice(info, 0, n));
}

bool code_extract(struct str completion, struct code_block *out)
{
    ptrdiff_t thought = str_find_last(completion, STR("</think>"));
    size_t at = thought < 0 ? 0 : (size_t)thought + strlen("</think>");
    struct fence open = {0};
    size_t code_from = 0;
    bool found = false;
    while (at < completion.length) {
        ptrdiff_t end = str_find(completion, STR("\n"), at);
        size_t next = end < 0 ? completion.length : (size_t)end + 1;
        struct str line = str_slice(completion, at, end < 0 ? completion.length : (size_t)end);
        struct fence fence;
        bool is_fence = fence_of(line, &fence);
        if (is_fence && !open.length) {
            open = fence;
            code_from = next;
        } else if (is_fence && fence.mark == open.mark && fence.length >= open.length && !fence.info.length) {
            *out = (struct code_block){str_slice(completion, code_from, at), info_language(open.info)};
            found = true;
            open.length = 0;
        }
        at = next;
    }
    if (!found && open.length) {
        *out = (struct code_block){str_slice(completion, code_from, completion.length), info_language(open.info)};
        found = true;
    }
    return found;
}

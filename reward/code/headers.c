/* reward/code/headers.c - reads comments and #include <...> lines from the start, and stops at anything else.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/code/headers.h"

#include <string.h>
#include <xxhash.h>

/* <cassert> and <assert.h> are not in the list: what they mean depends on NDEBUG where they are included. */
static const char *const standard[] = {
    "algorithm",
    "any",
    "array",
    "atomic",
    "bitset",
    "cctype",
    "cerrno",
    "cfloat",
    "charconv",
    "chrono",
    "cinttypes",
    "climits",
    "cmath",
    "complex",
    "csignal",
    "cstdarg",
    "cstddef",
    "cstdint",
    "cstdio",
    "cstdlib",
    "cstring",
    "ctime",
    "cwchar",
    "deque",
    "exception",
    "forward_list",
    "fstream",
    "functional",
    "initializer_list",
    "iomanip",
    "ios",
    "iosfwd",
    "iostream",
    "istream",
    "iterator",
    "limits",
    "list",
    "map",
    "memory",
    "mutex",
    "new",
    "numeric",
    "optional",
    "ostream",
    "queue",
    "random",
    "ratio",
    "regex",
    "set",
    "shared_mutex",
    "sstream",
    "stack",
    "stdexcept",
    "streambuf",
    "string",
    "string_view",
    "system_error",
    "thread",
    "tuple",
    "type_traits",
    "typeinfo",
    "unordered_map",
    "unordered_set",
    "utility",
    "valarray",
    "variant",
    "vector",
    "condition_variable",
    "ctype.h",
    "errno.h",
    "float.h",
    "inttypes.h",
    "limits.h",
    "math.h",
    "stddef.h",
    "stdint.h",
    "stdio.h",
    "stdlib.h",
    "string.h",
    "time.h",
};
enum { N_STANDARD = sizeof standard / sizeof *standard };

/* Past white space and comments; SIZE_MAX at an open comment. */
static size_t skip_blank(struct str text, size_t at)
{
    for (;;) {
        while (at < text.length && text.data[at] && strchr(" \t\r\n", text.data[at])) {
            at++;
        }
        struct str rest = str_slice(text, at, text.length);
        bool block = str_starts(rest, STR("/*"));
        if (!block && !str_starts(rest, STR("//"))) {
            return at;
        }
        ptrdiff_t end = block ? str_find(text, STR("*/"), at + 2) : str_find(text, STR("\n"), at);
        if (end < 0) {
            return SIZE_MAX;
        }
        if (!block && end > 0 && text.data[end - 1] == '\\') { /* a comment that continues on the next line */
            return SIZE_MAX;
        }
        at = (size_t)end + (block ? 2 : 1);
    }
}

/* "#include <name>" at `at`: the name, and *at moves past it. */
static bool take_include(struct str text, size_t *at, struct str *name)
{
    static const struct str word = {"include", 7};
    size_t i = *at;
    if (i >= text.length || text.data[i] != '#') {
        return false;
    }
    i++;
    while (i < text.length && (text.data[i] == ' ' || text.data[i] == '\t')) {
        i++;
    }
    if (!str_starts(str_slice(text, i, text.length), word)) {
        return false;
    }
    i += word.length;
    while (i < text.length && (text.data[i] == ' ' || text.data[i] == '\t')) {
        i++;
    }
    ptrdiff_t close = str_find(text, STR(">"), i);
    ptrdiff_t line = str_find(text, STR("\n"), i);
    if (i >= text.length || text.data[i] != '<' || close < 0 || (line >= 0 && line < close)) {
        return false;
    }
    *name = str_slice(text, i + 1, (size_t)close);
    *at = (size_t)close + 1;
    return true;
}

bool headers_scan(struct str source, struct header_names *names)
{
    *names = (struct header_names){{0}, false};
    size_t at = 0;
    bool any = false;
    struct str name;
    while ((at = skip_blank(source, at)) != SIZE_MAX && take_include(source, &at, &name)) {
        int i = 0;
        while (i < N_STANDARD && !str_equal(name, str_of(standard[i]))) {
            i++;
        }
        if (str_equal(name, STR("bits/stdc++.h"))) {
            names->everything = any = true;
        } else if (i < N_STANDARD) {
            names->has[i / 64] |= 1ull << (i % 64);
            any = true;
        } else {
            break; /* what it defines may change the ones after it */
        }
    }
    return any;
}

uint64_t headers_key(const struct header_names *names)
{
    uint64_t parts[3] = {names->has[0], names->has[1], 0};
    if (names->everything) {
        parts[0] = parts[1] = 0;
        parts[2] = 1;
    }
    return XXH3_64bits(parts, sizeof parts);
}

void headers_text(const struct header_names *names, struct strbuf *out)
{
    if (names->everything) {
        strbuf_puts(out, "#include <bits/stdc++.h>\n");
        return;
    }
    for (int i = 0; i < N_STANDARD; i++) {
        if (names->has[i / 64] >> (i % 64) & 1) {
            strbuf_printf(out, "#include <%s>\n", standard[i]);
        }
    }
}

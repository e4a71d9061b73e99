/* model/jinja/method_text.c - the methods of texts.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "model/jinja/method.h"

static struct str want_text(struct jrun *run, struct jvalue v, const char *method)
{
    if (v.kind != J_STR) {
        jrun_fail(run, "%s takes a text, not a %s", method, jvalue_type(v));
    }
    return v.text;
}

static int64_t want_integer(struct jrun *run, struct jvalue v, const char *method, int64_t missing)
{
    int64_t n = missing;
    if (v.kind != J_MISSING && !jvalue_integer(v, &n)) {
        jrun_fail(run, "%s takes an integer, not a %s", method, jvalue_type(v));
    }
    return n;
}

/* ---- texts: whole ---- */

METHOD(str_upper)
{
    (void)call;
    return jvalue_str(jtext_case(run, args[0].text, CASE_UPPER));
}

METHOD(str_lower)
{
    (void)call;
    return jvalue_str(jtext_case(run, args[0].text, CASE_LOWER));
}

METHOD(str_title)
{
    (void)call;
    return jvalue_str(jtext_case(run, args[0].text, CASE_TITLE));
}

METHOD(str_capitalize)
{
    (void)call;
    return jvalue_str(jtext_case(run, args[0].text, CASE_CAPITAL));
}

METHOD(str_swapcase)
{
    (void)call;
    return jvalue_str(jtext_case(run, args[0].text, CASE_SWAP));
}

METHOD(str_strip)
{
    (void)call;
    return jvalue_str(jtext_strip(run, args[0].text, args[1], true, true));
}

METHOD(str_lstrip)
{
    (void)call;
    return jvalue_str(jtext_strip(run, args[0].text, args[1], true, false));
}

METHOD(str_rstrip)
{
    (void)call;
    return jvalue_str(jtext_strip(run, args[0].text, args[1], false, true));
}

METHOD(str_replace)
{
    (void)call;
    return jvalue_str(jtext_replace(run, args[0].text, want_text(run, args[1], "replace"),
                                    want_text(run, args[2], "replace"), want_integer(run, args[3], "replace", -1)));
}

METHOD(str_removeprefix)
{
    (void)call;
    struct str text = args[0].text, prefix = want_text(run, args[1], "removeprefix");
    return jvalue_str(str_starts(text, prefix) ? str_slice(text, prefix.length, text.length) : text);
}

METHOD(str_removesuffix)
{
    (void)call;
    struct str text = args[0].text, suffix = want_text(run, args[1], "removesuffix");
    return jvalue_str(str_ends(text, suffix) ? str_slice(text, 0, text.length - suffix.length) : text);
}

METHOD(str_join)
{
    (void)call;
    struct jvalue list = jvalue_list(run, args[1]);
    for (int64_t i = 0; i < list.seq->n; i++) {
        want_text(run, list.seq->items[i], "join");
    }
    return jvalue_str(jtext_join(run, args[0].text, list));
}

METHOD(str_format)
{
    return jformat_braces(run, args[0].text, call);
}

/* left, right: how much of the filling goes there */
static struct jvalue pad(struct jrun *run, const struct jvalue *args, const char *name, bool left, bool right)
{
    int64_t width = want_integer(run, args[1], name, 0), length = jvalue_length(run, args[0]);
    struct str fill = args[2].kind == J_MISSING ? STR(" ") : want_text(run, args[2], name);
    struct jbuf out = {0};
    int64_t n = width > length ? width - length : 0;
    int64_t before = !left ? 0 : right ? n / 2 + (n & width & 1) : n;
    if (jtext_length(fill) != 1) {
        jrun_fail(run, "%s fills with one character", name);
    }
    jbuf_fill(run, &out, fill, before);
    jbuf_add(run, &out, args[0].text);
    jbuf_fill(run, &out, fill, n - before);
    return jvalue_str(jbuf_view(&out));
}

METHOD(str_center)
{
    (void)call;
    return pad(run, args, "center", true, true);
}

METHOD(str_ljust)
{
    (void)call;
    return pad(run, args, "ljust", false, true);
}

METHOD(str_rjust)
{
    (void)call;
    return pad(run, args, "rjust", true, false);
}

METHOD(str_zfill)
{
    (void)call;
    struct str text = args[0].text;
    struct jbuf out = {0};
    size_t sign = text.length && (text.data[0] == '-' || text.data[0] == '+');
    jbuf_add(run, &out, str_slice(text, 0, sign));
    jbuf_fill(run, &out, STR("0"), want_integer(run, args[1], "zfill", 0) - jvalue_length(run, args[0]));
    jbuf_add(run, &out, str_slice(text, sign, text.length));
    return jvalue_str(jbuf_view(&out));
}

/* ---- texts: parts ---- */

/* The part that start and end of find, count, startswith choose. *past: start is behind the text, where nothing is found. */
static struct str part_of(struct jrun *run, const struct jvalue *args, int64_t *start, bool *past)
{
    struct jvalue one = jvalue_int(1), bounds[3] = {args[2], args[3], one};
    int64_t n = jvalue_length(run, args[0]);
    *start = args[2].kind == J_MISSING || args[2].kind == J_NONE ? 0 : want_integer(run, args[2], "find", 0);
    *start = *start < 0 ? (*start + n > 0 ? *start + n : 0) : *start;
    *past = *start > n;
    bounds[2].integer = 1;
    return jvalue_slice(run, args[0], bounds).text;
}

static int64_t find(struct jrun *run, const struct jvalue *args, bool last)
{
    int64_t start;
    bool past;
    struct str part = part_of(run, args, &start, &past), what = want_text(run, args[1], "find");
    ptrdiff_t at = past ? -1 : last ? str_find_last(part, what) : str_find(part, what, 0);
    jrun_spend(run, (int64_t)(part.length / 16));
    return at < 0 ? -1 : start + jtext_length(str_slice(part, 0, (size_t)at));
}

METHOD(str_find_)
{
    (void)call;
    return jvalue_int(find(run, args, false));
}

METHOD(str_rfind)
{
    (void)call;
    return jvalue_int(find(run, args, true));
}

static struct jvalue must_find(struct jrun *run, const struct jvalue *args, bool last)
{
    int64_t at = find(run, args, last);
    if (at < 0) {
        jrun_fail(run, "substring not found");
    }
    return jvalue_int(at);
}

METHOD(str_index)
{
    (void)call;
    return must_find(run, args, false);
}

METHOD(str_rindex)
{
    (void)call;
    return must_find(run, args, true);
}

METHOD(str_count)
{
    (void)call;
    int64_t start, n = 0;
    bool past;
    struct str part = part_of(run, args, &start, &past), what = want_text(run, args[1], "count");
    jrun_spend(run, (int64_t)(part.length / 16));
    if (what.length == 0) {
        return jvalue_int(past ? 0 : jtext_length(part) + 1);
    }
    for (ptrdiff_t at = 0; (at = str_find(part, what, (size_t)at)) >= 0; at += (ptrdiff_t)what.length) {
        n++;
    }
    return jvalue_int(n);
}

static struct jvalue has_end(struct jrun *run, const struct jvalue *args, bool (*has)(struct str, struct str))
{
    int64_t start;
    bool past, any = false;
    struct str part = part_of(run, args, &start, &past);
    struct jvalue list = args[1];
    if (list.kind != J_TUPLE) {
        list = jlist_new(run, J_TUPLE, 1);
        jlist_add(run, list, args[1]);
    }
    for (int64_t i = 0; i < list.seq->n; i++) {
        any |= has(part, want_text(run, list.seq->items[i], "startswith and endswith")) && !past;
    }
    return jvalue_bool(any);
}

METHOD(str_startswith)
{
    (void)call;
    return has_end(run, args, str_starts);
}

METHOD(str_endswith)
{
    (void)call;
    return has_end(run, args, str_ends);
}

/* ---- texts: to lists ---- */

static void split_spaces(struct jrun *run, struct str text, int64_t most, struct jvalue list)
{
    struct jvalue space = {.kind = J_MISSING};
    while ((text = jtext_strip(run, text, space, true, false)).length > 0) {
        size_t end = 0, length;
        while (most != 0 && end < text.length && !jtext_is_space(str_utf8_next(text, end, &length))) {
            end += length;
        }
        end = most == 0 ? text.length : end;
        most -= most > 0;
        jlist_add(run, list, jvalue_str(str_slice(text, 0, end)));
        text = str_slice(text, end, text.length);
    }
}

static void split_at(struct jrun *run, struct str text, struct str mark, int64_t most, struct jvalue list)
{
    size_t from = 0;
    for (ptrdiff_t at; most != 0 && (at = str_find(text, mark, from)) >= 0; most -= most > 0) {
        jlist_add(run, list, jvalue_str(str_slice(text, from, (size_t)at)));
        from = (size_t)at + mark.length;
    }
    jlist_add(run, list, jvalue_str(str_slice(text, from, text.length)));
}

METHOD(str_split)
{
    (void)call;
    struct jvalue list = jlist_new(run, J_LIST, 0);
    int64_t most = want_integer(run, args[2], "split", -1);
    jrun_spend(run, (int64_t)(args[0].text.length / 16));
    if (args[1].kind == J_MISSING || args[1].kind == J_NONE) {
        split_spaces(run, args[0].text, most, list);
        return list;
    }
    struct str mark = want_text(run, args[1], "split");
    if (mark.length == 0) {
        jrun_fail(run, "empty separator");
    }
    split_at(run, args[0].text, mark, most, list);
    return list;
}

/* From the end; the list is made the wrong way round and turned. */
METHOD(str_rsplit)
{
    int64_t most = want_integer(run, args[2], "rsplit", -1);
    if (most < 0) {
        return str_split(run, args, call);
    }
    if (args[1].kind != J_STR || args[1].text.length == 0) {
        jrun_fail(run, "rsplit at white space with a limit is not known to strop");
    }
    struct jvalue reversed = jlist_new(run, J_LIST, 0), list = jlist_new(run, J_LIST, 0);
    struct str text = args[0].text;
    jrun_spend(run, (int64_t)(text.length / 16));
    for (ptrdiff_t at; most > 0 && (at = str_find_last(text, args[1].text)) >= 0; most--) {
        jlist_add(run, reversed, jvalue_str(str_slice(text, (size_t)at + args[1].text.length, text.length)));
        text.length = (size_t)at;
    }
    jlist_add(run, list, jvalue_str(text));
    for (int64_t i = reversed.seq->n; i > 0; i--) {
        jlist_add(run, list, reversed.seq->items[i - 1]);
    }
    return list;
}

static struct jvalue partition(struct jrun *run, const struct jvalue *args, bool last)
{
    struct str text = args[0].text, mark = want_text(run, args[1], "partition"), none = {"", 0};
    if (mark.length == 0) {
        jrun_fail(run, "empty separator");
    }
    ptrdiff_t at = last ? str_find_last(text, mark) : str_find(text, mark, 0);
    struct jvalue tuple = jlist_new(run, J_TUPLE, 3);
    size_t from = at < 0 ? text.length : (size_t)at, to = at < 0 ? text.length : from + mark.length;
    jrun_spend(run, (int64_t)(text.length / 16));
    jlist_add(run, tuple, jvalue_str(at < 0 && last ? none : str_slice(text, 0, from)));
    jlist_add(run, tuple, jvalue_str(at < 0 ? none : mark));
    jlist_add(run, tuple, jvalue_str(at < 0 && last ? text : str_slice(text, to, text.length)));
    return tuple;
}

METHOD(str_partition)
{
    (void)call;
    return partition(run, args, false);
}

METHOD(str_rpartition)
{
    (void)call;
    return partition(run, args, true);
}

METHOD(str_splitlines)
{
    (void)call;
    return jtext_lines(run, args[0].text, jvalue_truth(run, args[1]));
}

/* ---- texts: what they are ---- */

static struct jvalue all_are(struct jrun *run, struct str text, bool (*is)(uint32_t))
{
    jrun_spend(run, (int64_t)(text.length / 16));
    for (size_t at = 0, length; at < text.length; at += length) {
        if (!is(str_utf8_next(text, at, &length))) {
            return jvalue_bool(false);
        }
    }
    return jvalue_bool(text.length > 0);
}

static bool is_ascii(uint32_t c)
{
    return c < 0x80;
}

static bool is_alnum(uint32_t c)
{
    return c != '_' && jtext_is_word(c);
}

METHOD(str_isspace)
{
    (void)call;
    return all_are(run, args[0].text, jtext_is_space);
}

METHOD(str_isalpha)
{
    (void)call;
    return all_are(run, args[0].text, jtext_is_letter);
}

METHOD(str_isdecimal)
{
    (void)call;
    return all_are(run, args[0].text, jtext_is_digit);
}

/* isdigit and isnumeric count superscripts and the like as well; those are beyond ASCII */
METHOD(str_isdigit)
{
    (void)call;
    for (size_t at = 0, length; at < args[0].text.length; at += length) {
        uint32_t c = str_utf8_next(args[0].text, at, &length);
        if (c >= 0x80 && jtext_is_word(c) && !jtext_is_digit(c)) {
            jrun_fail(run, "whether U+%04X is a digit is not known to strop", c);
        }
    }
    return all_are(run, args[0].text, jtext_is_digit);
}

METHOD(str_isalnum)
{
    (void)call;
    return all_are(run, args[0].text, is_alnum);
}

METHOD(str_isascii)
{
    (void)call;
    return args[0].text.length ? all_are(run, args[0].text, is_ascii) : jvalue_bool(true);
}

METHOD(str_isprintable)
{
    (void)call;
    return args[0].text.length ? all_are(run, args[0].text, jtext_is_printable) : jvalue_bool(true);
}

METHOD(str_islower)
{
    (void)call;
    return jvalue_bool(jtext_is_case(run, args[0].text, CASE_LOWER));
}

METHOD(str_isupper)
{
    (void)call;
    return jvalue_bool(jtext_is_case(run, args[0].text, CASE_UPPER));
}

/* clang-format off */
const struct jfunction jmethods_of_text[] = {
    {"strip", "/chars", 0, str_strip},
    {"lstrip", "/chars", 0, str_lstrip},
    {"rstrip", "/chars", 0, str_rstrip},
    {"split", "sep maxsplit", 0, str_split},
    {"rsplit", "sep maxsplit", 0, str_rsplit},
    {"splitlines", "keepends", 0, str_splitlines},
    {"partition", "/sep", 1, str_partition},
    {"rpartition", "/sep", 1, str_rpartition},
    {"startswith", "/prefix start end", 1, str_startswith},
    {"endswith", "/suffix start end", 1, str_endswith},
    {"find", "/sub start end", 1, str_find_},
    {"rfind", "/sub start end", 1, str_rfind},
    {"index", "/sub start end", 1, str_index},
    {"rindex", "/sub start end", 1, str_rindex},
    {"count", "/sub start end", 1, str_count},
    {"replace", "/old new count", 2, str_replace},
    {"removeprefix", "/prefix", 1, str_removeprefix},
    {"removesuffix", "/suffix", 1, str_removesuffix},
    {"join", "/iterable", 1, str_join},
    {"format", NULL, 0, str_format},
    {"upper", "/", 0, str_upper},
    {"lower", "/", 0, str_lower},
    {"title", "/", 0, str_title},
    {"capitalize", "/", 0, str_capitalize},
    {"swapcase", "/", 0, str_swapcase},
    {"center", "/width fillchar", 1, str_center},
    {"ljust", "/width fillchar", 1, str_ljust},
    {"rjust", "/width fillchar", 1, str_rjust},
    {"zfill", "/width", 1, str_zfill},
    {"isspace", "/", 0, str_isspace},
    {"isalpha", "/", 0, str_isalpha},
    {"isalnum", "/", 0, str_isalnum},
    {"isascii", "/", 0, str_isascii},
    {"isdecimal", "/", 0, str_isdecimal},
    {"isdigit", "/", 0, str_isdigit},
    {"isnumeric", "/", 0, str_isdigit},
    {"isprintable", "/", 0, str_isprintable},
    {"islower", "/", 0, str_islower},
    {"isupper", "/", 0, str_isupper},
    {0},
};
/* clang-format on */

/* reward/script.c - one pattern per language, which finds its words and those of others, from left to right.
 *
 * PCRE2 knows the scripts of Unicode; utf8proc does not.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/script.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/arena.h"

struct script {
    pcre2_code *pattern; /* group 1: a word of the language; group 2: another */
};

static const struct {
    const char *language, *scripts;
} languages[] = {
    {"am", "Ethiopic"},   {"ar", "Arabic"},   {"bg", "Cyrillic"},
    {"bn", "Bengali"},    {"cs", "Latin"},    {"da", "Latin"},
    {"de", "Latin"},      {"el", "Greek"},    {"en", "Latin"},
    {"es", "Latin"},      {"fa", "Arabic"},   {"fi", "Latin"},
    {"fr", "Latin"},      {"gu", "Gujarati"}, {"he", "Hebrew"},
    {"hi", "Devanagari"}, {"hu", "Latin"},    {"hy", "Armenian"},
    {"id", "Latin"},      {"it", "Latin"},    {"ja", "Han Hiragana Katakana"},
    {"ka", "Georgian"},   {"km", "Khmer"},    {"kn", "Kannada"},
    {"ko", "Hangul"},     {"lo", "Lao"},      {"ml", "Malayalam"},
    {"mr", "Devanagari"}, {"my", "Myanmar"},  {"ne", "Devanagari"},
    {"nl", "Latin"},      {"no", "Latin"},    {"pa", "Gurmukhi"},
    {"pl", "Latin"},      {"pt", "Latin"},    {"ro", "Latin"},
    {"ru", "Cyrillic"},   {"sv", "Latin"},    {"sw", "Latin"},
    {"ta", "Tamil"},      {"te", "Telugu"},   {"th", "Thai"},
    {"tr", "Latin"},      {"uk", "Cyrillic"}, {"ur", "Arabic"},
    {"vi", "Latin"},      {"zh", "Han"},
};

#define N_LANGUAGES (int)(sizeof languages / sizeof *languages)

const char *script_language(int i, const char **scripts)
{
    if (i < 0 || i >= N_LANGUAGES) {
        return NULL;
    }
    *scripts = languages[i].scripts;
    return languages[i].language;
}

/* "Han Thai" as the inside of a character class: "\p{scx:Han}\p{scx:Thai}". */
static void add_class(struct strbuf *out, const char *scripts)
{
    while (*scripts) {
        size_t length = strcspn(scripts, " ");
        strbuf_printf(out, "\\p{scx:%.*s}", (int)length, scripts);
        scripts += length + (scripts[length] == ' ');
    }
}

/* All repetition is possessive: nothing to come back to, however long a word. */
static char *make_pattern(const char *scripts)
{
    struct strbuf own = STRBUF_INIT, unspaced = STRBUF_INIT, out = STRBUF_INIT;
    add_class(&own, scripts);
    add_class(&unspaced, "Han Hiragana Katakana Thai Lao Khmer Myanmar");
    const char *t = own.data, *u = unspaced.data;
    strbuf_printf(&out, "\\\\[A-Za-z]++");
    strbuf_printf(&out, "|((?=\\p{L})(?=[%s])[%s]\\p{M}*+", u, t);
    strbuf_printf(&out, "|(?=\\p{L})[%s](?>(?=\\p{L})(?![%s])[%s]|\\p{M})*+)", t, u, t);
    strbuf_printf(&out, "|((?=\\p{L})[%s]\\p{M}*+", u);
    strbuf_printf(&out, "|(?=\\p{L})[^\\p{scx:Common}](?>(?=\\p{L})[^%s%s\\p{scx:Common}]|\\p{M})*+)", t, u);
    strbuf_release(&own);
    strbuf_release(&unspaced);
    return out.data;
}

static enum err unknown_language(const char *language)
{
    struct strbuf known = STRBUF_INIT;
    for (int i = 0; i < N_LANGUAGES; i++) {
        strbuf_printf(&known, " %s", languages[i].language);
    }
    enum err result = err_set(ERR_USAGE, "there is no language '%s'; the known ones are%s", language, known.data);
    strbuf_release(&known);
    return result;
}

enum err script_open(struct script **out, const char *language)
{
    int i = 0, error;
    size_t offset;
    while (i < N_LANGUAGES && strcmp(languages[i].language, language) != 0) {
        i++;
    }
    if (i == N_LANGUAGES) {
        return unknown_language(language);
    }
    char *text = make_pattern(languages[i].scripts);
    struct script *script = mem_zero(sizeof *script);
    script->pattern = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &error, &offset, NULL);
    free(text);
    BUG_ON(!script->pattern);
    pcre2_jit_compile(script->pattern, PCRE2_JIT_COMPLETE); /* without it the matcher is slower, no more */
    *out = script;
    return ERR_NONE;
}

void script_close(struct script *script)
{
    if (script) {
        pcre2_code_free(script->pattern);
        free(script);
    }
}

static int64_t count_letters(struct str word)
{
    int64_t n = 0;
    for (size_t at = 0, length; at < word.length; at += length) {
        utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)str_utf8_next(word, at, &length));
        n += category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
    }
    return n;
}

static struct script_count count_valid(const struct script *script, struct str text)
{
    struct script_count count = {0};
    pcre2_match_data *match = pcre2_match_data_create(3, NULL);
    BUG_ON(!match);
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(match);
    for (size_t at = 0; at < text.length; at = ends[1]) {
        int found =
            pcre2_match(script->pattern, (PCRE2_SPTR)text.data, text.length, at, PCRE2_NO_UTF_CHECK, match, NULL);
        if (found == PCRE2_ERROR_NOMATCH) {
            break;
        }
        BUG_ON(found < 0); /* the pattern needs no stack and no backtracking */
        struct str word = str_slice(text, ends[0], ends[1]);
        if (found == 1 || word.length == 1) {
            continue;
        }
        bool own = ends[2] != PCRE2_UNSET;
        int64_t letters = count_letters(word);
        count.words++;
        count.letters += letters;
        count.of_language += own;
        count.letters_of_it += own ? letters : 0;
    }
    pcre2_match_data_free(match);
    return count;
}

struct script_count script_count(const struct script *script, struct str text)
{
    if (str_utf8_prefix(text) == text.length) {
        return count_valid(script, text);
    }
    struct strbuf copy = STRBUF_INIT;
    for (size_t at = 0, length; at < text.length; at += length) {
        strbuf_put_utf8(&copy, str_utf8_next(text, at, &length));
    }
    struct script_count count = count_valid(script, strbuf_view(&copy));
    strbuf_release(&copy);
    return count;
}

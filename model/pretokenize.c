/* model/pretokenize.c - patterns by PCRE2.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "model/pretokenize.h"

#include <pcre2.h>

#include "model/unicode.h"

#define LETTERS_AND_ON "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CONTRACTIONS   "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"

const char PATTERN_GPT2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const char PATTERN_QWEN2[] = CONTRACTIONS "\\p{N}" LETTERS_AND_ON;
const char PATTERN_LLAMA3[] = CONTRACTIONS "\\p{N}{1,3}" LETTERS_AND_ON;
#define DIGIT                                                                                                          \
    "[\\p{N}\\x{11DE0}-\\x{11DE9}\\x{16FF4}-\\x{16FF6}]" /* the reference's Digits has Unicode 17, its patterns have 16 */
const char PATTERN_DIGIT[] = DIGIT;
const char PATTERN_DIGITS[] = DIGIT "+";

/* PCRE2's \s has U+180E too, which Unicode took out of White_Space in 6.3. \S inside [] is left: it cannot be said there. */
static void spell_white_space(struct str pattern, struct strbuf *out)
{
    bool in_class = false;
    for (size_t i = 0; i < pattern.length; i++) {
        char c = pattern.data[i];
        char escaped = c == '\\' && i + 1 < pattern.length ? pattern.data[i + 1] : '\0';
        if (escaped == 's' || (escaped == 'S' && !in_class)) {
            strbuf_puts(out, in_class ? "" : escaped == 's' ? "[" : "[^");
            strbuf_puts(out, "\\x{9}-\\x{d}\\x{85}\\p{Z}");
            strbuf_puts(out, in_class ? "" : "]");
            i++;
        } else if (escaped) {
            strbuf_add(out, pattern.data + i, 2);
            i++;
        } else {
            in_class = c == '[' || (in_class && c != ']');
            strbuf_putc(out, c);
        }
    }
}

enum err pretokenizer_add(struct pretokenizer *pretokenizer, struct str pattern, const char *name)
{
    if (pretokenizer->n_patterns == PRETOKENIZE_MAX_PATTERNS) {
        return err_set(ERR_LIMIT, "%s: the pre-tokenizer has more than %d patterns", name, PRETOKENIZE_MAX_PATTERNS);
    }
    struct strbuf spelled = STRBUF_INIT;
    spell_white_space(pattern, &spelled);
    int code;
    PCRE2_SIZE at;
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)(spelled.data ? spelled.data : ""), spelled.length,
                                         PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    strbuf_release(&spelled);
    if (!compiled) {
        PCRE2_UCHAR reason[128];
        pcre2_get_error_message(code, reason, sizeof reason);
        return err_set(ERR_FORMAT, "%s: the pre-tokenizer's pattern '%.*s' is not understood: %s", name,
                       (int)pattern.length, pattern.data, (const char *)reason);
    }
    pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE); /* where there is no JIT, pcre2_match interprets */
    pretokenizer->patterns[pretokenizer->n_patterns++] = compiled;
    return ERR_NONE;
}

void pretokenizer_release(struct pretokenizer *pretokenizer)
{
    for (int i = 0; i < pretokenizer->n_patterns; i++) {
        pcre2_code_free(pretokenizer->patterns[i]);
    }
    *pretokenizer = (struct pretokenizer){0};
}

struct splitter {
    const struct pretokenizer *pretokenizer;
    struct str text, matched; /* matched: the text with stand-ins (model/unicode.h) */
    pcre2_match_context *limits;
    pcre2_match_data *matches[PRETOKENIZE_MAX_PATTERNS];
    piece_fn *emit;
    void *context;
};

/* The first match that is not empty at or after `from`; *begin is the text's length if there is none. */
static enum err next_match(const struct splitter *s, int level, struct str text, size_t from, size_t *begin,
                           size_t *end)
{
    const pcre2_code *pattern = s->pretokenizer->patterns[level];
    uint32_t options = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
    int rc = pcre2_match(pattern, (PCRE2_SPTR)text.data, text.length, from, options, s->matches[level], s->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
        options |= PCRE2_NO_JIT; /* slower, but its stack is the heap */
        rc = pcre2_match(pattern, (PCRE2_SPTR)text.data, text.length, from, options, s->matches[level], s->limits);
    }
    if (rc == PCRE2_ERROR_NOMATCH) {
        *begin = *end = text.length;
        return ERR_NONE;
    }
    if (rc < 0) {
        PCRE2_UCHAR reason[128];
        pcre2_get_error_message(rc, reason, sizeof reason);
        return err_set(ERR_LIMIT, "the pre-tokenizer gave up on a text of %zu bytes: %s", text.length,
                       (const char *)reason);
    }
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(s->matches[level]);
    BUG_ON(ends[0] < from || ends[1] <= ends[0]);
    *begin = ends[0];
    *end = ends[1];
    return ERR_NONE;
}

/* `text` is a part of s->matched. As deep as there are patterns, at most PRETOKENIZE_MAX_PATTERNS. */
static enum err split_level(const struct splitter *s, int level, struct str text)
{
    if (level == s->pretokenizer->n_patterns) {
        size_t at = (size_t)(text.data - s->matched.data);
        s->emit(s->context, str_slice(s->text, at, at + text.length));
        return ERR_NONE;
    }
    for (size_t at = 0; at < text.length;) {
        size_t begin = 0, end = 0;
        TRY(next_match(s, level, text, at, &begin, &end));
        if (begin > at) {
            TRY(split_level(s, level + 1, str_slice(text, at, begin)));
        }
        if (end > begin) {
            TRY(split_level(s, level + 1, str_slice(text, begin, end)));
        }
        at = end;
    }
    return ERR_NONE;
}

enum err pretokenizer_split(const struct pretokenizer *pretokenizer, struct str text, piece_fn *emit, void *context)
{
    if (text.length == 0) {
        return ERR_NONE;
    }
    struct strbuf stand_ins = STRBUF_INIT;
    struct splitter s = {.pretokenizer = pretokenizer, .text = text, .matched = text, .emit = emit, .context = context};
    if (unicode_stand_ins(text, &stand_ins)) {
        s.matched = strbuf_view(&stand_ins);
    }
    s.limits = pcre2_match_context_create(NULL);
    BUG_ON(!s.limits);
    pcre2_set_match_limit(s.limits, 50000000);
    pcre2_set_heap_limit(s.limits, 256 * 1024); /* KiB */
    for (int i = 0; i < pretokenizer->n_patterns; i++) {
        s.matches[i] = pcre2_match_data_create(1, NULL);
        BUG_ON(!s.matches[i]);
    }
    enum err err = split_level(&s, 0, s.matched);
    for (int i = 0; i < pretokenizer->n_patterns; i++) {
        pcre2_match_data_free(s.matches[i]);
    }
    pcre2_match_context_free(s.limits);
    strbuf_release(&stand_ins);
    return err;
}

/* model/pretokenize.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/pretokenize.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "base/json.h"

#define MOST_STAGES 8

/* the pattern of GPT-2, which ByteLevel means by use_regex */
#define PATTERN_GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define PATTERN_WORDS(numbers)                                                                                         \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers                                              \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define PATTERN_DIGIT "\\p{N}"

static const struct {
    const char *name;
    const char *patterns[3];
} named[] = {
    {"qwen2", {PATTERN_WORDS("\\p{N}")}},          {"deepseek-r1-qwen", {PATTERN_WORDS("\\p{N}")}},
    {"llama-bpe", {PATTERN_WORDS("\\p{N}{1,3}")}}, {"llama3", {PATTERN_WORDS("\\p{N}{1,3}")}},
    {"smollm", {PATTERN_DIGIT, PATTERN_GPT2}},     {"gpt-2", {PATTERN_GPT2}},
};

struct pretokenizer {
    pcre2_code *stages[MOST_STAGES];
    int n_stages;
};

static enum err add_pattern(struct pretokenizer *p, struct str pattern, const char *name)
{
    int code;
    PCRE2_SIZE at;
    if (p->n_stages == MOST_STAGES) {
        return err_set(ERR_LIMIT, "%s: more than %d pre-tokenizer patterns", name, MOST_STAGES);
    }
    pcre2_code *stage = pcre2_compile((PCRE2_SPTR)pattern.data, pattern.length,
                                      PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK, &code, &at, NULL);
    if (!stage) {
        char text[128];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
        return err_set(ERR_FORMAT, "%s: the pre-tokenizer's pattern is wrong at character %zu: %s", name, at, text);
    }
    pcre2_jit_compile(stage, PCRE2_JIT_COMPLETE); /* without it, matching is slower and the same */
    p->stages[p->n_stages++] = stage;
    return ERR_NONE;
}

static enum err add_split(struct pretokenizer *p, const json_t *part, const char *name)
{
    struct str behavior = {0};
    bool invert = false;
    TRY(json_get_text(part, "behavior", name, &behavior));
    TRY(json_want_bool(part, "invert", name, &invert));
    const json_t *regex = json_object_get(json_object_get(part, "pattern"), "Regex");
    if (!str_equal(behavior, STR("Isolated")) || invert || !json_is_string(regex)) {
        return err_set(ERR_FORMAT, "%s: a Split pre-tokenizer other than an isolated regex is not supported", name);
    }
    return add_pattern(p, (struct str){json_string_value(regex), json_string_length(regex)}, name);
}

static enum err add_stage(struct pretokenizer *p, const json_t *part, const char *name)
{
    struct str type;
    bool prefix = false, regex = true, single = false;
    TRY(json_get_text(part, "type", name, &type));
    if (str_equal(type, STR("Split"))) {
        return add_split(p, part, name);
    }
    if (str_equal(type, STR("Digits"))) {
        TRY(json_want_bool(part, "individual_digits", name, &single));
        return add_pattern(p, str_of(single ? PATTERN_DIGIT : "\\p{N}+"), name);
    }
    if (str_equal(type, STR("ByteLevel"))) {
        TRY(json_want_bool(part, "add_prefix_space", name, &prefix));
        TRY(json_want_bool(part, "use_regex", name, &regex));
        if (prefix) {
            return err_set(ERR_FORMAT, "%s: ByteLevel with add_prefix_space is not supported", name);
        }
        return regex ? add_pattern(p, str_of(PATTERN_GPT2), name) : ERR_NONE;
    }
    return err_set(ERR_FORMAT, "%s: the pre-tokenizer '%.*s' is not supported", name, (int)type.length, type.data);
}

static enum err parse_stages(struct pretokenizer *p, const json_t *document, const char *name)
{
    struct str type;
    TRY(json_get_text(document, "type", name, &type));
    if (!str_equal(type, STR("Sequence"))) {
        return add_stage(p, document, name);
    }
    const json_t *parts = json_object_get(document, "pretokenizers");
    for (size_t i = 0; i < json_array_size(parts); i++) {
        TRY(add_stage(p, json_array_get(parts, i), name));
    }
    return ERR_NONE;
}

enum err pretokenizer_parse(struct pretokenizer **out, const json_t *document, const char *name)
{
    struct pretokenizer *p = mem_zero(sizeof *p);
    enum err result = json_is_object(document) ? parse_stages(p, document, name)
                                               : err_set(ERR_FORMAT, "%s: there is no pre_tokenizer", name);
    if (result != ERR_NONE) {
        pretokenizer_free(p);
        return result;
    }
    *out = p;
    return ERR_NONE;
}

enum err pretokenizer_named(struct pretokenizer **out, struct str pre, const char *name)
{
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        if (!str_equal(pre, str_of(named[i].name))) {
            continue;
        }
        struct pretokenizer *p = mem_zero(sizeof *p);
        for (int s = 0; s < 3 && named[i].patterns[s]; s++) {
            BUG_ON(add_pattern(p, str_of(named[i].patterns[s]), name) != ERR_NONE);
        }
        *out = p;
        return ERR_NONE;
    }
    return err_set(ERR_FORMAT, "%s: the pre-tokenizer '%.*s' is not known to strop", name, (int)pre.length, pre.data);
}

void pretokenizer_free(struct pretokenizer *p)
{
    for (int i = 0; p && i < p->n_stages; i++) {
        pcre2_code_free(p->stages[i]);
    }
    free(p);
}

struct pieces {
    struct str *items;
    int n;
};

static void add_piece(struct pieces *pieces, struct str text, size_t from, size_t to)
{
    if (to > from) {
        pieces->items[pieces->n++] = str_slice(text, from, to);
    }
}

/* Matches and what lies between them. */
static enum err split(const pcre2_code *stage, pcre2_match_data *match, struct str text, struct pieces *out)
{
    size_t at = 0;
    while (at < text.length) {
        int found = pcre2_match(stage, (PCRE2_SPTR)text.data, text.length, at, PCRE2_NO_UTF_CHECK, match, NULL);
        if (found == PCRE2_ERROR_NOMATCH) {
            break;
        }
        if (found < 0) {
            return err_set(ERR_LIMIT, "the pre-tokenizer's pattern gave up on a text of %zu bytes (code %d)",
                           text.length, found);
        }
        const PCRE2_SIZE *range = pcre2_get_ovector_pointer(match);
        size_t end = range[1] > range[0] ? range[1] : range[0] + 1; /* an empty match moves on */
        add_piece(out, text, at, range[0]);
        add_piece(out, text, range[0], end < text.length ? end : text.length);
        at = end;
    }
    add_piece(out, text, at, text.length);
    return ERR_NONE;
}

enum err pretokenizer_run(const struct pretokenizer *p, struct str text, struct arena *arena, struct str **pieces,
                          int *n)
{
    struct pieces now = {ARENA_NEW(arena, struct str, text.length + 1), 0};
    add_piece(&now, text, 0, text.length);
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    BUG_ON(!match);
    enum err result = ERR_NONE;
    for (int s = 0; s < p->n_stages && result == ERR_NONE; s++) {
        struct pieces next = {ARENA_NEW(arena, struct str, text.length + 1), 0};
        for (int i = 0; i < now.n && result == ERR_NONE; i++) {
            result = split(p->stages[s], match, now.items[i], &next);
        }
        now = next;
    }
    pcre2_match_data_free(match);
    *pieces = now.items;
    *n = now.n;
    return result;
}

/* reward/language.c - does the model think in the language of its prompt?
 *
 * The language consistency reward of DeepSeek-R1 (arXiv 2501.12948v2, eq. 7): words of the language / words, in the
 * thinking. Languages are known by their scripts (reward/script.h).
 *
 * What comes before <think> counts as thinking, so that it is no place to hide another language; where there are no
 * tags of thinking, or no words in it, all of the completion does. The names of R1's tags are of no language.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "reward/rewards.h"
#include "reward/script.h"
#include "reward/tags.h"

#define MAX_LANGUAGES 64

struct language {
    const char *field; /* "": one language for all */
    bool letters;
    enum tags_part part;
    int n;
    const char *names[MAX_LANGUAGES];
    struct script *scripts[MAX_LANGUAGES];
};

static const struct reward_option language_options[] = {
    {"language", OPTION_TEXT, "en", 0, 0, NULL, "the language wanted, an ISO 639-1 code: en, zh, ja, ru ..."},
    {"field", OPTION_TEXT, "", 0, 0, NULL, "the field of an item that holds its language; empty: the option language"},
    {"part", OPTION_CHOICE, "thinking", 0, 0, TAGS_PARTS, "what is looked at"},
    {"unit", OPTION_CHOICE, "words", 0, 0, "words|letters", "what is counted"},
    {0},
};

static enum err language_add(struct language *language, const char *name)
{
    BUG_ON(language->n == MAX_LANGUAGES);
    TRY(script_open(&language->scripts[language->n], name));
    language->names[language->n++] = name;
    return ERR_NONE;
}

static enum err language_open(void *state, const struct reward_values *values)
{
    struct language *language = state;
    const char *scripts, *name;
    language->field = reward_text(values, "field");
    language->letters = strcmp(reward_text(values, "unit"), "letters") == 0;
    language->part = tags_part_of(reward_text(values, "part"));
    if (!*language->field) {
        enum err result = language_add(language, reward_text(values, "language"));
        return result == ERR_NONE ? ERR_NONE : err_wrap(result, "reward language");
    }
    for (int i = 0; (name = script_language(i, &scripts)); i++) {
        TRY(language_add(language, name));
    }
    return ERR_NONE;
}

static void language_close(void *state)
{
    struct language *language = state;
    for (int i = 0; i < language->n; i++) {
        script_close(language->scripts[i]);
    }
}

/* The script of an item; NULL, and the reason, if its field is missing or names none. */
static const struct script *script_of(const struct language *language, const json_t *row, struct arena *arena,
                                      const char **reason)
{
    if (!*language->field) {
        return language->scripts[0];
    }
    const char *name = json_string_value(json_object_get(row, language->field));
    if (!name) {
        *reason = arena_printf(arena, "missing field '%s'", language->field);
        return NULL;
    }
    for (int i = 0; i < language->n; i++) {
        if (strcmp(language->names[i], name) == 0) {
            return language->scripts[i];
        }
    }
    *reason = arena_printf(arena, "there is no language '%.20s'", name);
    return NULL;
}

/* The words between the tags. */
static struct script_count count_words(const struct script *script, struct str text)
{
    static const struct str tags[] = {{"<think>", 7}, {"</think>", 8}, {"<answer>", 8}, {"</answer>", 9}};
    struct script_count all = {0};
    size_t from = 0;
    for (size_t at = 0; at <= text.length; at++) {
        size_t tag = 0;
        for (size_t i = 0; i < 4 && at < text.length && text.data[at] == '<'; i++) {
            tag = str_starts(str_slice(text, at, text.length), tags[i]) ? tags[i].length : tag;
        }
        if (tag || at == text.length) {
            struct script_count part = script_count(script, str_slice(text, from, at));
            all.words += part.words;
            all.of_language += part.of_language;
            all.letters += part.letters;
            all.letters_of_it += part.letters_of_it;
            from = at + tag;
            at += tag ? tag - 1 : 0;
        }
    }
    return all;
}

/* Up to the end of the thinking; all if there are no tags of it. */
static struct str thinking_of(struct str text)
{
    struct str thinking;
    if (str_find(text, STR("<think>"), 0) < 0 && str_find(text, STR("</think>"), 0) < 0) {
        return text;
    }
    tags_part(text, PART_THINKING, &thinking);
    return str_slice(text, 0, (size_t)(thinking.data - text.data) + thinking.length);
}

static struct verdict language_judge(const void *state, const struct reward_item *item, const struct reward_call *call)
{
    const struct language *language = state;
    const char *reason = NULL;
    const struct script *script = script_of(language, item->fields, call->arena, &reason);
    struct str text;
    if (!script) {
        return verdict_error(reason);
    }
    if (!tags_part(item->completion, language->part, &text)) {
        return verdict_ok(0, "no such part", (struct str){0});
    }
    bool thinking = language->part == PART_THINKING;
    struct script_count count =
        thinking ? count_words(script, thinking_of(item->completion)) : script_count(script, text);
    if (count.words == 0 && language->part != PART_ALL) {
        count = count_words(script, item->completion);
    }
    if (count.words == 0) {
        return verdict_abstain("no words");
    }
    int64_t all = language->letters ? count.letters : count.words;
    int64_t own = language->letters ? count.letters_of_it : count.of_language;
    reason = arena_printf(call->arena, "%lld of %lld %s", (long long)own, (long long)all,
                          language->letters ? "letters" : "words");
    return verdict_ok((double)own / (double)all, reason, (struct str){0});
}

static const char *language_check(const void *state, const json_t *row, struct arena *arena)
{
    const char *reason = NULL;
    script_of(state, row, arena, &reason);
    return reason;
}

const struct reward_kind reward_language = {
    .name = "language",
    .help = "the share of the words of the thinking that are in the wanted language's script (DeepSeek-R1)",
    .fields = "",
    .options = language_options,
    .open = language_open,
    .close = language_close,
    .state_bytes = sizeof(struct language),
    .judge = language_judge,
    .check = language_check,
};

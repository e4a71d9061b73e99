/* reward/repetition.c - a penalty for saying the same thing again.
 *
 * arXiv 2502.03373, appendix C.2: (1 - distinct n-grams / n-grams) max_penalty; 0 with fewer than n units. Units are
 * words in lower case, as in open-r1, or characters, for scripts without spaces. (TRL takes tokens, which rewards do
 * not see.)
 *
 * Beyond open-r1, for words, so that saying "wait" without end costs as much however it is written: the text is read
 * once more without characters that are not seen (Unicode's Cf: zero-width spaces and joiners) and without digits that
 * follow three letters or more ("wait1 wait2"), and, where that leaves a word of more than LONG_WORD characters, by
 * characters, LETTERS of them for each word of an n-gram. A reading of these counts if more than half of it is
 * repeated.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "reward/rewards.h"
#include "reward/text.h"

struct repetition {
    int64_t n;
    double max_penalty;
    enum text_unit unit;
};

static const struct reward_option repetition_options[] = {
    {"ngram_size", OPTION_INT, "3", 1, 100, NULL, "units that are compared together"},
    {"max_penalty", OPTION_NUMBER, "-1.0", -1e6, 0, NULL, "what a text that only repeats itself comes near to"},
    {"unit", OPTION_CHOICE, "words", 0, 0, "words|characters", "words between white space, or single characters"},
    {0},
};

static enum err repetition_open(void *state, const struct reward_values *values)
{
    struct repetition *repetition = state;
    repetition->n = reward_int(values, "ngram_size");
    repetition->max_penalty = reward_number(values, "max_penalty");
    repetition->unit = text_unit_of(reward_text(values, "unit"));
    return ERR_NONE;
}

enum { LONG_WORD = 40, LETTERS = 6, NAME_LETTERS = 3 };

/* Without what does not count. */
static struct str readable(struct arena *arena, struct str text)
{
    char *out = arena_alloc(arena, text.length + 1);
    size_t n = 0, length;
    int letters = 0; /* right before this character, not counting digits that were left out */
    for (size_t at = 0; at < text.length; at += length) {
        uint32_t c = str_utf8_next(text, at, &length);
        bool digit = text_is_digit(c);
        if (text_is_format(c) || (digit && letters >= NAME_LETTERS)) {
            continue;
        }
        letters = !digit && text_is_word(c) ? letters + 1 : 0;
        memcpy(out + n, text.data + at, length);
        n += length;
    }
    return (struct str){out, n};
}

static bool next_unit(struct str text, enum text_unit unit, size_t *at, struct str *out)
{
    size_t length;
    if (unit == TEXT_WORDS) {
        return text_next_field(text, at, out);
    }
    if (*at == text.length) {
        return false;
    }
    str_utf8_next(text, *at, &length);
    *out = str_slice(text, *at, *at + length);
    *at += length;
    return true;
}

/* By the bytes of n units, one after the other. */
static int compare_grams(const void *a, const void *b, void *n)
{
    const struct str *const *x = a, *const *y = b;
    for (int64_t i = 0; i < *(const int64_t *)n; i++) {
        struct str u = (*x)[i], v = (*y)[i];
        int order = memcmp(u.data, v.data, u.length < v.length ? u.length : v.length);
        if (order || u.length != v.length) {
            return order ? order : u.length < v.length ? -1 : 1;
        }
    }
    return 0;
}

/* How many of the n_grams runs of n units, starting at each of units[0..n_grams), differ from each other. */
static int64_t count_distinct(struct arena *arena, const struct str *units, int64_t n_grams, int64_t n)
{
    const struct str **grams = ARENA_NEW(arena, const struct str *, n_grams);
    for (int64_t i = 0; i < n_grams; i++) {
        grams[i] = &units[i];
    }
    qsort_r(grams, (size_t)n_grams, sizeof *grams, compare_grams, &n);
    int64_t distinct = 1;
    for (int64_t i = 1; i < n_grams; i++) {
        distinct += compare_grams(&grams[i - 1], &grams[i], &n) != 0;
    }
    return distinct;
}

struct reading {
    int64_t again, n_grams; /* n-grams that were there before, and all; 0: the text is too short */
    int64_t longest;        /* characters of the longest unit */
};

static struct reading read_by(struct arena *arena, struct str text, enum text_unit unit_type, int64_t n)
{
    struct str unit;
    struct reading reading = {0};
    int64_t n_units = 0;
    for (size_t at = 0; next_unit(text, unit_type, &at, &unit); n_units++) {
        int64_t length = unit_type == TEXT_WORDS ? text_characters(unit) : 1;
        reading.longest = length > reading.longest ? length : reading.longest;
    }
    if (n_units < n) {
        return reading;
    }
    struct str *units = ARENA_NEW(arena, struct str, n_units);
    n_units = 0;
    for (size_t at = 0; next_unit(text, unit_type, &at, &unit);) {
        units[n_units++] = unit;
    }
    reading.n_grams = n_units - n + 1;
    reading.again = reading.n_grams - count_distinct(arena, units, reading.n_grams, n);
    return reading;
}

static double share_of(const struct reading *reading)
{
    return reading->again ? (double)reading->again / (double)reading->n_grams : 0;
}

/* `other` where it finds more, and more than half, repeated. */
static struct reading worse(const struct reading *reading, const struct reading *other)
{
    return share_of(other) > 0.5 && share_of(other) > share_of(reading) ? *other : *reading;
}

static struct verdict repetition_judge(const void *state, const struct reward_item *item,
                                       const struct reward_call *call)
{
    const struct repetition *repetition = state;
    struct str text = text_lower(call->arena, item->completion);
    struct reading reading = read_by(call->arena, text, repetition->unit, repetition->n);
    if (repetition->unit == TEXT_WORDS) {
        text = readable(call->arena, text);
        struct reading plain = read_by(call->arena, text, TEXT_WORDS, repetition->n), letters = {0};
        if (plain.longest > LONG_WORD) {
            letters = read_by(call->arena, text, TEXT_CHARACTERS, LETTERS * repetition->n);
        }
        reading = worse(&reading, share_of(&plain) > share_of(&letters) ? &plain : &letters);
    }
    if (reading.n_grams == 0) {
        return verdict_ok(0, "too short to repeat", (struct str){0});
    }
    const char *reason =
        arena_printf(call->arena, "%lld of %lld repeated", (long long)reading.again, (long long)reading.n_grams);
    return verdict_ok(reading.again ? share_of(&reading) * repetition->max_penalty : 0, reason, (struct str){0});
}

const struct reward_kind reward_repetition = {
    .name = "repetition",
    .help = "0, falling to a penalty with the share of n-grams that were there before (open-r1's repetition penalty)",
    .fields = "",
    .options = repetition_options,
    .open = repetition_open,
    .state_bytes = sizeof(struct repetition),
    .judge = repetition_judge,
};

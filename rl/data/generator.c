/* rl/data/generator.c - the table of kinds, and the reading of "name:key=value,...".
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/data/generator.h"

#include <string.h>

extern const struct generator_kind countdown_data, arithmetic_data, tiny_text;

const struct generator_kind *const generator_kinds[] = {&countdown_data, &arithmetic_data, &tiny_text, NULL};

const struct generator_kind *generator_find(const char *text)
{
    size_t length = strcspn(text, ":");
    for (int i = 0; generator_kinds[i]; i++) {
        if (strlen(generator_kinds[i]->name) == length && memcmp(generator_kinds[i]->name, text, length) == 0) {
            return generator_kinds[i];
        }
    }
    return NULL;
}

static enum err generator_unknown(const struct generator_kind *kind, const char *name)
{
    const char *nearest = "seed";
    for (const struct generator_option *o = kind->options; o->name; o++) {
        if (str_distance(o->name, name) < str_distance(nearest, name)) {
            nearest = o->name;
        }
    }
    return err_set(ERR_USAGE, "data set '%s' has no option '%.80s'; did you mean '%s'?", kind->name, name, nearest);
}

/* The position of a word in "a|b|c", or -1. */
static int64_t generator_choice(const char *choices, struct str word)
{
    for (int64_t i = 0;; i++) {
        size_t n = strcspn(choices, "|");
        if (str_equal(word, (struct str){choices, n})) {
            return i;
        }
        if (choices[n] == '\0') {
            return -1;
        }
        choices += n + 1;
    }
}

static enum err generator_read(const struct generator_kind *kind, const struct generator_option *option,
                               struct str value, int64_t *out)
{
    int64_t number = 0;
    if (option->choices) {
        number = generator_choice(option->choices, value);
        if (number < 0) {
            return err_set(ERR_USAGE, "data set '%s': %s cannot be '%.*s'; it is one of %s", kind->name, option->name,
                           (int)(value.length > 80 ? 80 : value.length), value.data, option->choices);
        }
    } else if (!str_to_int(value, &number) || number < option->min || number > option->max) {
        return err_set(ERR_USAGE, "data set '%s': %s must be an integer from %lld to %lld, not '%.*s'", kind->name,
                       option->name, (long long)option->min, (long long)option->max,
                       (int)(value.length > 80 ? 80 : value.length), value.data);
    }
    *out = number;
    return ERR_NONE;
}

/* One "key=value". */
static enum err generator_assign(struct generator *generator, struct str text)
{
    static const struct generator_option seed = {"seed", 0, 0, INT64_MAX, NULL, "of the items"};
    const struct generator_kind *kind = generator->kind;
    ptrdiff_t equals = str_find(text, STR("="), 0);
    if (equals < 0) {
        return err_set(ERR_USAGE, "data set '%s': '%.*s' must be an option=value", kind->name,
                       (int)(text.length > 80 ? 80 : text.length), text.data);
    }
    struct str name = str_slice(text, 0, (size_t)equals), value = str_slice(text, (size_t)equals + 1, text.length);
    if (str_equal(name, STR("seed"))) {
        int64_t number = 0;
        TRY(generator_read(kind, &seed, value, &number));
        generator->seed = (uint64_t)number;
        return ERR_NONE;
    }
    for (int i = 0; kind->options[i].name; i++) {
        if (str_equal(name, str_of(kind->options[i].name))) {
            return generator_read(kind, &kind->options[i], value, &generator->values[i]);
        }
    }
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)(name.length > 60 ? 60 : name.length), name.data);
    return generator_unknown(kind, word);
}

enum err generator_open(struct generator *out, const char *text, uint64_t seed)
{
    struct generator generator = {.kind = generator_find(text), .seed = seed};
    BUG_ON(!generator.kind);
    int n = 0;
    for (; generator.kind->options[n].name; n++) {
        BUG_ON(n == GENERATOR_MAX_OPTIONS);
        generator.values[n] = generator.kind->options[n].fallback;
    }
    const char *at = text + strlen(generator.kind->name);
    while (*at) {
        size_t length = strcspn(++at, ",");
        TRY(generator_assign(&generator, (struct str){at, length}));
        at += length;
    }
    if (generator.kind->check) {
        TRY(generator.kind->check(generator.values, generator.kind->name));
    }
    *out = generator;
    return ERR_NONE;
}

void generator_make(const struct generator *generator, int64_t index, struct arena *arena, struct generator_item *out)
{
    /* Sampling draws from the same seed: the constant keeps the two apart. */
    struct rng rng = rng_stream(generator->seed ^ UINT64_C(0x67656e6572617465), (uint64_t)index);
    generator->kind->make(generator->values, &rng, index, arena, out);
}

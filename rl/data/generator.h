/* rl/data/generator.h - built-in data sets: item i is a function of the seed and i, so that there are as many as one
 * wants and resuming is a matter of counting.
 *
 * A generator is a row in a table: its options, and a function that makes one item. It is named in a recipe as
 * "countdown" or "countdown:split=eval,number_most=12"; in addition to its own options each takes seed=N (the
 * recipe's otherwise).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_DATA_GENERATOR_H
#define RL_DATA_GENERATOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "kernels/rng.h"

#define GENERATOR_MAX_OPTIONS 12

/* A number, or one of several words: the value is then the word's position. */
struct generator_option {
    const char *name;
    int64_t fallback;
    int64_t min, max;    /* of a number */
    const char *choices; /* "pre|rl|eval|all"; NULL for a number */
    const char *help;    /* one sentence, lower case, no full stop */
};

struct generator_item {
    struct str text; /* the prompt, or the whole text if the kind makes texts; in the arena */
    json_t *fields;  /* what rewards read; the caller's reference */
};

struct generator_kind {
    const char *name;
    const char *help;                                           /* one sentence */
    const char *fields;                                         /* "nums target" */
    bool makes_texts;                                           /* whole texts for method sft; else prompts */
    const struct generator_option *options;                     /* ended by a NULL name */
    enum err (*check)(const int64_t *values, const char *name); /* combinations of options; may be NULL */
    void (*make)(const int64_t *values, struct rng *rng, int64_t index, struct arena *arena,
                 struct generator_item *out);
};

struct generator {
    const struct generator_kind *kind;
    int64_t values[GENERATOR_MAX_OPTIONS]; /* in the order of kind->options */
    uint64_t seed;
};

/* All kinds, ended by NULL; and the one that "name" or "name:options" begins with, or NULL. */
extern const struct generator_kind *const generator_kinds[];
const struct generator_kind *generator_find(const char *text);

/* Reads "name:key=value,..."; ERR_USAGE for an unknown option (the nearest is named) or a bad value. Nothing to
 * release. */
enum err generator_open(struct generator *out, const char *text, uint64_t seed);
void generator_make(const struct generator *generator, int64_t index, struct arena *arena, struct generator_item *out);

#endif

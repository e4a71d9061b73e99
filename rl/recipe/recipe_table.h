/* rl/recipe/recipe_table.h - the table of recipe keys, and values between YAML and struct recipe.
 *
 * For rl/recipe*.c and their tests; others see recipe.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_RECIPE_RECIPE_TABLE_H
#define RL_RECIPE_RECIPE_TABLE_H

#include <stddef.h>

#include "rl/recipe/recipe.h"
#include "rl/recipe/yaml.h"

enum field_type {
    FIELD_BOOL,      /* bool */
    FIELD_INT,       /* int */
    FIELD_LONG,      /* int64_t or uint64_t that is never above INT64_MAX */
    FIELD_NUMBER,    /* double; NAN means null where the default is null */
    FIELD_CHOICE,    /* an enum: position in `choices` */
    FIELD_TEXT,      /* const char *; may be empty */
    FIELD_WORD,      /* const char *, one of `choices` */
    FIELD_LIST,      /* struct recipe_list of texts, or of words when there are `choices` */
    FIELD_REWARDS,   /* struct recipe_list of "name:key=value,..." */
    FIELD_VARIABLES, /* const char *, a JSON object; "" for none */
    FIELD_SCHEDULE,  /* struct recipe_schedule of ints */
};

enum field_group {
    GROUP_WHAT,
    GROUP_DATA,
    GROUP_ROLLOUT,
    GROUP_REWARD,
    GROUP_LOSS,
    GROUP_OPTIM,
    GROUP_RUN,
    GROUP_EVAL
};
extern const char *const recipe_group_names[]; /* by enum field_group; ended by NULL */

#define METHOD_BIT(method) (1u << (method))
#define METHODS_ALL        (~0u)

struct recipe_field {
    const char *key;
    enum field_group group;
    enum field_type type;
    size_t offset;        /* in struct recipe */
    const char *fallback; /* the default as YAML would read it; NULL means a list without items */
    double min, max;      /* numbers */
    const char *choices;  /* "a=synonym|b|c" */
    const char *unit;     /* "tokens"; "" for none */
    const char *aliases;  /* dotted names of others, separated by blanks; or NULL */
    const char *help;     /* one sentence, lower case, no full stop */
    unsigned methods;     /* METHOD_BIT of each method that it has an effect with */
};

extern const struct recipe_field recipe_fields[];
extern const int recipe_n_fields;

/* The field of a key or an alias, or NULL. */
const struct recipe_field *recipe_find(const char *key);
/* The key or alias that is most like `key`; NULL if none is near. */
const char *recipe_nearest(const char *key);

/* What to write instead of a key of TRL, verl or OpenRLHF that strop has not; NULL if the key is none of these
 * (rl/recipe/recipe_foreign.c). */
const char *recipe_foreign(const char *key);

/* Sets one key. `where` opens the sentence of an error ("r.yaml:3:7" or "--beta"). */
enum err recipe_set(struct recipe *recipe, const struct recipe_field *field, const struct yaml_value *value,
                    const char *where);
/* The value as YAML on one line. */
void recipe_value_text(const struct recipe *recipe, const struct recipe_field *field, struct strbuf *out);
/* Appends the i-th choice without its synonyms; false if there is none. */
bool recipe_choice(const char *choices, int i, struct strbuf *out);

/* Whether the file or the command line has the key. */
bool recipe_given(const struct recipe *recipe, const char *key);

/* Refuses what cannot be together and warns of what is doubtful (rl/recipe/recipe_check.c). */
enum err recipe_check(struct recipe *recipe);

/* Where a field's value came from, for errors: "r.yaml:3:7", "--beta", or the file; in the recipe's arena. */
const char *recipe_where(struct recipe *recipe, const char *key);

#endif

/* reward/options.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/options.h"

#include <string.h>

static int option_index(const struct reward_kind *kind, const char *name)
{
    for (int i = 0; kind->options && kind->options[i].name; i++) {
        if (strcmp(kind->options[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

static const char *option_value(const struct reward_values *values, const char *name)
{
    int i = option_index(values->kind, name);
    BUG_ON(i < 0);
    return values->texts[i];
}

bool reward_bool(const struct reward_values *values, const char *name)
{
    return strcmp(option_value(values, name), "true") == 0;
}

int64_t reward_int(const struct reward_values *values, const char *name)
{
    int64_t number = 0;
    BUG_ON(!str_to_int(str_of(option_value(values, name)), &number));
    return number;
}

double reward_number(const struct reward_values *values, const char *name)
{
    double number = 0;
    BUG_ON(!str_to_double(str_of(option_value(values, name)), &number));
    return number;
}

const char *reward_text(const struct reward_values *values, const char *name)
{
    return option_value(values, name);
}

/* Whether `value` is one of "a|b|c". */
static bool is_choice(const char *choices, const char *value)
{
    struct str all = str_of(choices);
    for (size_t from = 0; from <= all.length;) {
        ptrdiff_t bar = str_find(all, STR("|"), from);
        size_t to = bar < 0 ? all.length : (size_t)bar;
        if (str_equal(str_slice(all, from, to), str_of(value))) {
            return true;
        }
        from = to + 1;
    }
    return false;
}

static enum err check_number(const char *reward, const struct reward_option *o, double value)
{
    if ((o->least != 0 || o->most != 0) && (value < o->least || value > o->most)) {
        return err_set(ERR_USAGE, "reward %s: %s must be from %g to %g, not %g", reward, o->name, o->least, o->most,
                       value);
    }
    return ERR_NONE;
}

static enum err check_option(const char *reward, const struct reward_option *o, const char *value)
{
    int64_t integer;
    double number;
    switch (o->type) {
    case OPTION_BOOL:
        if (!is_choice("true|false", value)) {
            return err_set(ERR_USAGE, "reward %s: %s must be true or false, not '%s'", reward, o->name, value);
        }
        return ERR_NONE;
    case OPTION_INT:
        if (!str_to_int(str_of(value), &integer)) {
            return err_set(ERR_USAGE, "reward %s: %s must be an integer, not '%s'", reward, o->name, value);
        }
        return check_number(reward, o, (double)integer);
    case OPTION_NUMBER:
        if (!str_to_double(str_of(value), &number)) {
            return err_set(ERR_USAGE, "reward %s: %s must be a number, not '%s'", reward, o->name, value);
        }
        return check_number(reward, o, number);
    case OPTION_CHOICE:
        if (!is_choice(o->choices, value)) {
            return err_set(ERR_USAGE, "reward %s: %s must be one of %s, not '%s'", reward, o->name, o->choices, value);
        }
        return ERR_NONE;
    case OPTION_TEXT: return ERR_NONE;
    }
    BUG_ON(true);
}

static enum err unknown_option(const struct reward_kind *kind, const char *name)
{
    const char *nearest = "weight";
    for (int i = 0; kind->options && kind->options[i].name; i++) {
        if (str_distance(kind->options[i].name, name) < str_distance(nearest, name)) {
            nearest = kind->options[i].name;
        }
    }
    return err_set(ERR_USAGE, "reward %s has no option '%s'; did you mean '%s'?", kind->name, name, nearest);
}

static enum err set_option(struct reward_values *values, const char *name, const char *value)
{
    const char *reward = values->kind->name;
    if (strcmp(name, "label") == 0) {
        values->label = value;
        return ERR_NONE;
    }
    if (strcmp(name, "weight") == 0) {
        if (!str_to_double(str_of(value), &values->weight)) {
            return err_set(ERR_USAGE, "reward %s: weight must be a number, not '%s'", reward, value);
        }
        return ERR_NONE;
    }
    int i = option_index(values->kind, name);
    if (i < 0) {
        return unknown_option(values->kind, name);
    }
    TRY(check_option(reward, &values->kind->options[i], value));
    values->texts[i] = value;
    return ERR_NONE;
}

/* One "key=value" at *at, which moves behind it and its comma. Quotes keep commas. */
static enum err parse_option(struct reward_values *values, struct str text, size_t *at)
{
    ptrdiff_t equals = str_find(text, STR("="), *at);
    if (equals < 0) {
        struct str rest = str_slice(text, *at, text.length);
        return err_set(ERR_USAGE, "reward %s: '%.*s' is not key=value", values->kind->name, (int)rest.length,
                       rest.data);
    }
    struct str key = str_trim(str_slice(text, *at, (size_t)equals));
    size_t from = (size_t)equals + 1, to;
    if (from < text.length && text.data[from] == '\'') {
        ptrdiff_t quote = str_find(text, STR("'"), ++from);
        if (quote < 0) {
            return err_set(ERR_USAGE, "reward %s: the quote of option '%.*s' is not closed", values->kind->name,
                           (int)key.length, key.data);
        }
        to = (size_t)quote;
        *at = to + 2;
    } else {
        ptrdiff_t comma = str_find(text, STR(","), from);
        to = comma < 0 ? text.length : (size_t)comma;
        *at = to + 1;
    }
    struct str value = str_slice(text, from, to);
    return set_option(values, arena_strndup(&values->arena, key.data, key.length),
                      arena_strndup(&values->arena, value.data, value.length));
}

static enum err parse_all(struct reward_values *values, struct str text, size_t at)
{
    while (at < text.length) {
        TRY(parse_option(values, text, &at));
    }
    for (int i = 0; values->kind->options && values->kind->options[i].name; i++) {
        const struct reward_option *o = &values->kind->options[i];
        BUG_ON(i >= OPTIONS_MOST);
        if (!values->texts[i] && !o->fallback) {
            return err_set(ERR_USAGE, "reward %s needs the option %s: %s", values->kind->name, o->name, o->help);
        }
        values->texts[i] = values->texts[i] ? values->texts[i] : o->fallback;
    }
    return ERR_NONE;
}

static enum err unknown_reward(const char *name)
{
    const char *nearest = reward_kinds[0]->name;
    for (int i = 0; reward_kinds[i]; i++) {
        if (str_distance(reward_kinds[i]->name, name) < str_distance(nearest, name)) {
            nearest = reward_kinds[i]->name;
        }
    }
    return err_set(ERR_USAGE, "there is no reward '%s'; did you mean '%s'? strop score --list shows all", name,
                   nearest);
}

enum err reward_values_parse(struct reward_values *out, const char *text)
{
    struct reward_values values = {.weight = 1};
    struct str all = str_of(text);
    ptrdiff_t colon = str_find(all, STR(":"), 0);
    size_t end = colon < 0 ? all.length : (size_t)colon;
    char *name = arena_strndup(&values.arena, text, end);
    values.kind = reward_find(name);
    enum err result = values.kind ? parse_all(&values, all, end + 1) : unknown_reward(name);
    if (result != ERR_NONE) {
        arena_release(&values.arena);
        return result;
    }
    BUG_ON(!values.kind);
    values.label = values.label ? values.label : values.kind->name;
    *out = values;
    return ERR_NONE;
}

void reward_values_release(struct reward_values *values)
{
    arena_release(&values->arena);
}

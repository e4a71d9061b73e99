/* reward/options.c - one pass over the text; each option is checked against its row of the kind's table.
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
    if ((o->min != 0 || o->max != 0) && (value < o->min || value > o->max)) {
        return err_set(ERR_USAGE, "reward %s: %s must be from %g to %g, not %g", reward, o->name, o->min, o->max,
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
        return *value ? ERR_NONE : err_set(ERR_USAGE, "reward %s: the label is empty", reward);
    }
    if (strcmp(name, "weight") == 0) {
        if (!str_to_double(str_of(value), &values->weight)) {
            return err_set(ERR_USAGE, "reward %s: weight must be a number, not '%s'", reward, value);
        }
        return ERR_NONE;
    }
    if (strcmp(name, "only_if_right") == 0) {
        values->only_if_right = strcmp(value, "true") == 0;
        return check_option(reward, &(struct reward_option){.name = name, .type = OPTION_BOOL}, value);
    }
    int i = option_index(values->kind, name);
    if (i < 0) {
        return unknown_option(values->kind, name);
    }
    if (values->texts[i]) {
        return err_set(ERR_USAGE, "reward %s: the option %s is given twice", reward, name);
    }
    TRY(check_option(reward, &values->kind->options[i], value));
    values->texts[i] = value;
    return ERR_NONE;
}

/* A value in single quotes, whose opening one is at *at; '' is a quote. *at moves past the closing one. */
static enum err parse_quoted(struct reward_values *values, struct str text, size_t *at, const char *key,
                             const char **out)
{
    char *value = arena_alloc(&values->arena, text.length - *at + 1);
    size_t n = 0, i = *at + 1;
    for (; i < text.length; i++) {
        if (text.data[i] == '\'') {
            if (i + 1 >= text.length || text.data[i + 1] != '\'') {
                break;
            }
            i++;
        }
        value[n++] = text.data[i];
    }
    if (i >= text.length) {
        return err_set(ERR_USAGE, "reward %s: the quote of option '%s' is not closed", values->kind->name, key);
    }
    *at = i + 1;
    if (*at < text.length && text.data[*at] != ',') {
        return err_set(ERR_USAGE, "reward %s: after the closing quote of option '%s' comes a comma or the end",
                       values->kind->name, key);
    }
    *out = value;
    return ERR_NONE;
}

static size_t find_end(struct str text, size_t from, const char *ends)
{
    while (from < text.length && !strchr(ends, text.data[from])) {
        from++;
    }
    return from;
}

/* One "key=value", "key='value'" or "key" at *at, which moves to its comma or the end. */
static enum err parse_option(struct reward_values *values, struct str text, size_t *at)
{
    size_t end = find_end(text, *at, "=,");
    struct str name = str_trim(str_slice(text, *at, end));
    const char *key = arena_strndup(&values->arena, name.data, name.length);
    const char *value = "true";
    if (name.length == 0) {
        return err_set(ERR_USAGE, "reward %s: an option is empty; write %s:key=value,key=value", values->kind->name,
                       values->kind->name);
    }
    *at = end;
    if (end < text.length && text.data[end] == '=') {
        *at = end + 1;
        if (*at < text.length && text.data[*at] == '\'') {
            TRY(parse_quoted(values, text, at, key, &value));
        } else {
            *at = find_end(text, end + 1, ",");
            value = arena_strndup(&values->arena, text.data + end + 1, *at - end - 1);
        }
    }
    return set_option(values, key, value);
}

static enum err parse_all(struct reward_values *values, struct str text, size_t at)
{
    while (at <= text.length) { /* at the first option, or after a comma */
        TRY(parse_option(values, text, &at));
        at++;
    }
    for (int i = 0; values->kind->options && values->kind->options[i].name; i++) {
        const struct reward_option *o = &values->kind->options[i];
        BUG_ON(i >= OPTIONS_MAX);
        if (!values->texts[i] && !o->fallback) {
            return err_set(ERR_USAGE, "reward %s needs the option %s: %s", values->kind->name, o->name, o->help);
        }
        values->texts[i] = values->texts[i] ? values->texts[i] : o->fallback;
    }
    return ERR_NONE;
}

static enum err unknown_reward(const char *name)
{
    if (!*name) {
        return err_set(ERR_USAGE, "a reward has no name; strop score --list shows all");
    }
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
    enum err result =
        values.kind ? parse_all(&values, all, colon < 0 ? all.length + 1 : end + 1) : unknown_reward(name);
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

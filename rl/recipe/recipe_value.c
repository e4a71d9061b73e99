/* rl/recipe/recipe_value.c - one value of a recipe: from YAML with its checks, and back to YAML.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "rl/recipe/recipe_table.h"

_Static_assert(sizeof(enum loss_type) == sizeof(int) && sizeof(enum lr_schedule) == sizeof(int),
               "FIELD_CHOICE writes an int");

/* ---- choices ---- */

bool recipe_choice(const char *choices, int i, struct strbuf *out)
{
    for (; i > 0; i--) {
        choices = strchr(choices, '|');
        if (!choices) {
            return false;
        }
        choices++;
    }
    strbuf_add(out, choices, strcspn(choices, "=|"));
    return true;
}

/* The position of a word, or of its synonym; -1 if it is none. */
static int recipe_choice_of(const char *choices, const char *word)
{
    BUG_ON(!choices || !word);
    size_t length = strlen(word);
    for (int i = 0;; i++) {
        size_t end = strcspn(choices, "|");
        for (size_t at = 0; at < end;) {
            size_t n = strcspn(choices + at, "=|");
            if (n == length && memcmp(choices + at, word, n) == 0) {
                return i;
            }
            at += n + 1;
        }
        if (choices[end] == '\0') {
            return -1;
        }
        choices += end + 1;
    }
}

static enum err recipe_bad_choice(const struct recipe_field *field, const char *word, const char *where)
{
    struct strbuf list = STRBUF_INIT;
    for (int i = 0;; i++) {
        size_t before = list.length;
        strbuf_puts(&list, i ? ", " : "");
        if (!recipe_choice(field->choices, i, &list)) {
            list.length = before;
            list.data[before] = '\0';
            break;
        }
    }
    enum err err =
        err_set(ERR_USAGE, "%s: '%s' cannot be '%.80s'; it is one of %s", where, field->key, word, list.data);
    strbuf_release(&list);
    return err;
}

/* ---- from YAML ---- */

static enum err recipe_wrong_type(const struct recipe_field *field, const struct yaml_value *value, const char *where,
                                  const char *want)
{
    if (value->text) {
        return err_set(ERR_USAGE, "%s: '%s' must be %s, not '%.80s'", where, field->key, want, value->text);
    }
    return err_set(ERR_USAGE, "%s: '%s' must be %s, not %s", where, field->key, want, yaml_kind_name(value->kind));
}

static enum err recipe_check_range(const struct recipe_field *field, double number, const char *where)
{
    if (number >= field->min && number <= field->max) {
        return ERR_NONE;
    }
    return err_set(ERR_USAGE, "%s: '%s' is %.10g but must be from %.10g to %.10g%s%s", where, field->key, number,
                   field->min, field->max, *field->unit ? " " : "", field->unit);
}

static enum err recipe_read_integer(const struct recipe_field *field, const struct yaml_value *value, const char *where,
                                    int64_t *out)
{
    bool whole = value->kind == YAML_NUMBER && fabs(value->number) < 0x1p53 && value->number == floor(value->number);
    if (value->kind != YAML_INT && !whole) { /* 1e6 is a whole number, too */
        return recipe_wrong_type(field, value, where, "an integer");
    }
    TRY(recipe_check_range(field, value->number, where));
    *out = value->kind == YAML_INT ? value->integer : (int64_t)value->number;
    return ERR_NONE;
}

/* Any scalar as the text that was written. */
static enum err recipe_read_text(const struct recipe_field *field, const struct yaml_value *value, const char *where,
                                 const char **out)
{
    if (!value->text) {
        return recipe_wrong_type(field, value, where, "text");
    }
    *out = value->kind == YAML_NULL ? "" : value->text;
    return ERR_NONE;
}

static enum err recipe_read_word(const struct recipe_field *field, const struct yaml_value *value, const char *where,
                                 int *out)
{
    const char *word = NULL;
    TRY(recipe_read_text(field, value, where, &word));
    int choice = value->kind == YAML_BOOL ? recipe_choice_of(field->choices, value->boolean ? "true" : "false")
                                          : recipe_choice_of(field->choices, word);
    if (choice < 0) {
        return recipe_bad_choice(field, word, where);
    }
    *out = choice;
    return ERR_NONE;
}

/* A value as options of rewards are written (reward/reward.h): one with a comma or a quote is put in single quotes. */
static void recipe_reward_value(const char *value, struct strbuf *out)
{
    if (!strpbrk(value, ",'")) {
        strbuf_puts(out, value);
        return;
    }
    strbuf_putc(out, '\'');
    for (; *value; value++) {
        strbuf_puts(out, *value == '\'' ? "''" : (char[2]){*value, '\0'});
    }
    strbuf_putc(out, '\'');
}

/* {name: countdown, weight: 2} to "countdown:weight=2", the text that rewards are opened with. */
static enum err recipe_reward_of_map(struct recipe *recipe, const struct recipe_field *field,
                                     const struct yaml_value *map, const char *where, const char **out)
{
    const struct yaml_value *name = NULL;
    for (const struct yaml_value *v = map->first; v; v = v->next) {
        if (!v->text) {
            return err_set(ERR_USAGE, "%s: option '%.80s' of '%s' must be text or a number, not %s", where, v->key,
                           field->key, yaml_kind_name(v->kind));
        }
        name = strcmp(v->key, "name") == 0 ? v : name;
    }
    if (!name || name->kind != YAML_TEXT) {
        return err_set(ERR_USAGE, "%s: a mapping in '%s' needs the reward's name: {name: countdown, weight: 1.0}",
                       where, field->key);
    }
    struct strbuf text = STRBUF_INIT;
    strbuf_puts(&text, name->text);
    bool options = strchr(name->text, ':') != NULL;
    for (const struct yaml_value *v = map->first; v; v = v->next) {
        if (v != name) {
            strbuf_printf(&text, "%c%s=", options ? ',' : ':', v->key);
            recipe_reward_value(v->text, &text);
            options = true;
        }
    }
    *out = arena_strdup(&recipe->arena, text.data);
    strbuf_release(&text);
    return ERR_NONE;
}

static enum err recipe_read_item(struct recipe *recipe, const struct recipe_field *field,
                                 const struct yaml_value *value, const char *where, const char **out)
{
    if (field->type == FIELD_REWARDS && value->kind == YAML_MAP) {
        return recipe_reward_of_map(recipe, field, value, where, out);
    }
    const char *text = "";
    TRY(recipe_read_text(field, value, where, &text));
    if (*text == '\0') {
        return err_set(ERR_USAGE, "%s: '%s' has an empty item; take it out", where, field->key);
    }
    if (field->choices && recipe_choice_of(field->choices, text) < 0) {
        return recipe_bad_choice(field, text, where);
    }
    *out = text;
    return ERR_NONE;
}

static enum err recipe_read_list(struct recipe *recipe, const struct recipe_field *field,
                                 const struct yaml_value *value, const char *where, struct recipe_list *out)
{
    bool one = value->kind != YAML_LIST && value->kind != YAML_NULL; /* a single item needs no brackets */
    struct recipe_list list = {.n = one ? 1 : value->n};
    list.items = ARENA_NEW(&recipe->arena, const char *, list.n + 1);
    int i = 0;
    for (const struct yaml_value *v = one ? value : value->first; v && i < list.n; v = v->next) {
        TRY(recipe_read_item(recipe, field, v, where, &list.items[i++]));
    }
    *out = list;
    return ERR_NONE;
}

/* "512" or "200:1024" */
static enum err recipe_read_entry(const struct recipe_field *field, const char *text, size_t length, const char *where,
                                  struct recipe_schedule_entry *out)
{
    struct str whole = str_trim((struct str){text, length});
    ptrdiff_t colon = str_find(whole, STR(":"), 0);
    int64_t step = 0, number = 0;
    bool good = str_to_int(str_slice(whole, (size_t)(colon + 1), whole.length), &number);
    if (colon >= 0) {
        good = good && str_to_int(str_slice(whole, 0, (size_t)colon), &step) && step >= 0;
    }
    if (!good) {
        return err_set(ERR_USAGE, "%s: '%s' must be an integer or a list of step:value, not '%.*s'", where, field->key,
                       whole.length > 80 ? 80 : (int)whole.length, whole.data);
    }
    TRY(recipe_check_range(field, (double)number, where));
    *out = (struct recipe_schedule_entry){step, (int)number};
    return ERR_NONE;
}

static enum err recipe_add_entries(const struct recipe_field *field, const struct yaml_value *value, const char *where,
                                   struct recipe_schedule *schedule, int max)
{
    const char *text = "";
    TRY(recipe_read_text(field, value, where, &text));
    for (;;) {
        size_t length = strcspn(text, ",");
        if (schedule->n == max) {
            return err_set(ERR_LIMIT, "%s: '%s' has more than %d entries", where, field->key, max);
        }
        struct recipe_schedule_entry *entry = &schedule->entries[schedule->n];
        TRY(recipe_read_entry(field, text, length, where, entry));
        if (schedule->n > 0 && entry->step <= entry[-1].step) {
            return err_set(ERR_USAGE, "%s: the steps of '%s' must ascend", where, field->key);
        }
        schedule->n++;
        if (text[length] == '\0') {
            return ERR_NONE;
        }
        text += length + 1;
    }
}

static enum err recipe_read_schedule(struct recipe *recipe, const struct recipe_field *field,
                                     const struct yaml_value *value, const char *where, struct recipe_schedule *out)
{
    enum { MAX_ENTRIES = 64 };
    struct recipe_schedule schedule = {.entries = ARENA_NEW(&recipe->arena, struct recipe_schedule_entry, MAX_ENTRIES)};
    if (value->kind == YAML_MAP || (value->kind == YAML_LIST && value->n == 0)) {
        return recipe_wrong_type(field, value, where, "an integer or a list of step:value");
    }
    bool list = value->kind == YAML_LIST;
    for (const struct yaml_value *v = list ? value->first : value; v; v = list ? v->next : NULL) {
        TRY(recipe_add_entries(field, v, where, &schedule, MAX_ENTRIES));
    }
    *out = schedule;
    return ERR_NONE;
}

/* A value of YAML as JSON on one line. */
static void recipe_add_json(const struct yaml_value *value, struct strbuf *out)
{
    bool list = value->kind == YAML_LIST;
    switch (value->kind) {
    case YAML_NULL: strbuf_puts(out, "null"); return;
    case YAML_BOOL: strbuf_puts(out, value->boolean ? "true" : "false"); return;
    case YAML_INT: strbuf_printf(out, "%lld", (long long)value->integer); return;
    case YAML_NUMBER: strbuf_printf(out, "%.17g", value->number); return;
    case YAML_TEXT:
        strbuf_putc(out, '"');
        strbuf_add_json(out, str_of(value->text));
        strbuf_putc(out, '"');
        return;
    default: break;
    }
    strbuf_putc(out, list ? '[' : '{');
    for (const struct yaml_value *v = value->first; v; v = v->next) {
        strbuf_puts(out, v == value->first ? "" : ", ");
        if (!list) {
            strbuf_putc(out, '"');
            strbuf_add_json(out, str_of(v->key));
            strbuf_puts(out, "\": ");
        }
        recipe_add_json(v, out);
    }
    strbuf_putc(out, list ? ']' : '}');
}

static enum err recipe_read_variables(struct recipe *recipe, const struct recipe_field *field,
                                      const struct yaml_value *value, const char *where, const char **out)
{
    struct strbuf text = STRBUF_INIT;
    bool none = value->kind == YAML_TEXT && value->text[0] == '\0';
    if (value->kind != YAML_MAP && value->kind != YAML_NULL && !none) {
        return recipe_wrong_type(field, value, where, "a mapping such as {enable_thinking: false}");
    }
    if (value->kind == YAML_MAP && value->n > 0) {
        recipe_add_json(value, &text);
    }
    *out = arena_strdup(&recipe->arena, text.data ? text.data : "");
    strbuf_release(&text);
    return ERR_NONE;
}

static enum err recipe_set_scalar(void *at, const struct recipe_field *field, const struct yaml_value *value,
                                  const char *where)
{
    int64_t integer = 0;
    int choice = 0;
    switch (field->type) {
    case FIELD_BOOL:
        if (value->kind != YAML_BOOL) {
            return recipe_wrong_type(field, value, where, "true or false");
        }
        *(bool *)at = value->boolean;
        return ERR_NONE;
    case FIELD_INT:
        TRY(recipe_read_integer(field, value, where, &integer));
        *(int *)at = (int)integer;
        return ERR_NONE;
    case FIELD_LONG:
        TRY(recipe_read_integer(field, value, where, &integer));
        *(int64_t *)at = integer;
        return ERR_NONE;
    case FIELD_NUMBER:
        if (value->kind != YAML_INT && value->kind != YAML_NUMBER) {
            return recipe_wrong_type(field, value, where, "a number");
        }
        TRY(recipe_check_range(field, value->number, where));
        *(double *)at = value->number;
        return ERR_NONE;
    default:
        BUG_ON(field->type != FIELD_CHOICE);
        TRY(recipe_read_word(field, value, where, &choice));
        *(int *)at = choice;
        return ERR_NONE;
    }
}

static enum err recipe_set_value(struct recipe *recipe, const struct recipe_field *field,
                                 const struct yaml_value *value, const char *where)
{
    void *at = (char *)recipe + field->offset;
    int choice = 0;
    switch (field->type) {
    case FIELD_TEXT: return recipe_read_text(field, value, where, (const char **)at);
    case FIELD_WORD: {
        TRY(recipe_read_word(field, value, where, &choice));
        struct strbuf word = STRBUF_INIT;
        recipe_choice(field->choices, choice, &word);
        *(const char **)at = arena_strdup(&recipe->arena, word.data);
        strbuf_release(&word);
        return ERR_NONE;
    }
    case FIELD_LIST:
    case FIELD_REWARDS: return recipe_read_list(recipe, field, value, where, at);
    case FIELD_SCHEDULE: return recipe_read_schedule(recipe, field, value, where, at);
    case FIELD_VARIABLES: return recipe_read_variables(recipe, field, value, where, at);
    default: return recipe_set_scalar(at, field, value, where);
    }
}

enum err recipe_set(struct recipe *recipe, const struct recipe_field *field, const struct yaml_value *value,
                    const char *where)
{
    if (value->kind != YAML_NULL) {
        return recipe_set_value(recipe, field, value, where);
    }
    if (field->type == FIELD_NUMBER && strcmp(field->fallback, "null") == 0) {
        const double none = (double)NAN;
        memcpy((char *)recipe + field->offset, &none, sizeof none);
        return ERR_NONE;
    }
    const struct yaml_value fallback = yaml_plain(field->fallback ? field->fallback : ""); /* null is the default */
    return recipe_set_value(recipe, field, &fallback, where);
}

/* ---- to YAML ---- */

/* The shortest text that reads back as the same number; no exponent for numbers such as 10 or 1500. */
static void recipe_number_text(double number, struct strbuf *out)
{
    if (isnan(number)) {
        strbuf_puts(out, "null");
        return;
    }
    char text[40];
    for (int digits = number >= 1 && number < 1e15 ? 1 + (int)log10(number) : 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number) {
            break;
        }
    }
    strbuf_puts(out, text);
}

static void recipe_schedule_text(const struct recipe_schedule *schedule, struct strbuf *out)
{
    if (schedule->n == 1) {
        strbuf_printf(out, "%d", schedule->entries[0].value);
        return;
    }
    for (int i = 0; i < schedule->n; i++) {
        strbuf_printf(out, "%s\"%lld:%d\"", i ? ", " : "[", (long long)schedule->entries[i].step,
                      schedule->entries[i].value);
    }
    strbuf_putc(out, ']');
}

/* In brackets always, and quoted where a comma or a bracket would end the item. */
static void recipe_list_text(const struct recipe_list *list, struct strbuf *out)
{
    strbuf_putc(out, '[');
    for (int i = 0; i < list->n; i++) {
        strbuf_puts(out, i ? ", " : "");
        bool plain = yaml_plain(list->items[i]).kind == YAML_TEXT &&
                     strspn(list->items[i], "abcdefghijklmnopqrstuvwxyz_") == strlen(list->items[i]);
        if (plain) {
            strbuf_puts(out, list->items[i]);
        } else {
            yaml_write_quoted(out, list->items[i]);
        }
    }
    strbuf_putc(out, ']');
}

void recipe_value_text(const struct recipe *recipe, const struct recipe_field *field, struct strbuf *out)
{
    const void *at = (const char *)recipe + field->offset;
    switch (field->type) {
    case FIELD_BOOL: strbuf_puts(out, *(const bool *)at ? "true" : "false"); break;
    case FIELD_INT: strbuf_printf(out, "%d", *(const int *)at); break;
    case FIELD_LONG: strbuf_printf(out, "%lld", (long long)*(const int64_t *)at); break;
    case FIELD_NUMBER: recipe_number_text(*(const double *)at, out); break;
    case FIELD_CHOICE: recipe_choice(field->choices, *(const int *)at, out); break;
    case FIELD_TEXT:
    case FIELD_WORD: yaml_write_text(out, *(const char *const *)at); break;
    case FIELD_LIST:
    case FIELD_REWARDS: recipe_list_text(at, out); break;
    case FIELD_SCHEDULE: recipe_schedule_text(at, out); break;
    case FIELD_VARIABLES: strbuf_puts(out, **(const char *const *)at ? *(const char *const *)at : "{}"); break;
    }
}

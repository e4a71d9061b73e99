/* rl/recipe/recipe_write.c - a recipe as text: the effective YAML, the changes, the key reference.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "rl/recipe/recipe_table.h"

/* "0 to 1 tokens", "a, b or c", "true or false"; what a key's value may be. */
static void recipe_write_values(const struct recipe_field *field, struct strbuf *out)
{
    static const char *const kinds[] = {
        [FIELD_BOOL] = "true, false",   [FIELD_TEXT] = "text",
        [FIELD_LIST] = "list of texts", [FIELD_REWARDS] = "list",
        [FIELD_INT] = "integer",        [FIELD_LONG] = "integer",
        [FIELD_NUMBER] = "number",      [FIELD_SCHEDULE] = "integer or list of step:value",
        [FIELD_VARIABLES] = "mapping",
    };
    if (field->choices) {
        strbuf_puts(out, field->type == FIELD_LIST ? "list of " : "");
        for (int i = 0;; i++) {
            size_t before = out->length;
            strbuf_puts(out, i ? ", " : "");
            if (!recipe_choice(field->choices, i, out)) {
                out->length = before;
                out->data[before] = '\0';
                return;
            }
        }
    }
    strbuf_puts(out, kinds[field->type]);
    bool number = field->min != field->max;
    if (number) {
        strbuf_printf(out, ", %.10g to %.10g", field->min, field->max);
    }
    if (*field->unit) {
        strbuf_printf(out, " %s", field->unit);
    }
}

/* The sentence as comment lines of at most 100 columns. */
static void recipe_write_comment(const char *text, struct strbuf *out)
{
    enum { WIDTH = 98 };
    while (*text) {
        size_t n = strlen(text);
        if (n > WIDTH) {
            n = WIDTH;
            while (n > 1 && text[n] != ' ') {
                n--;
            }
        }
        strbuf_puts(out, "# ");
        strbuf_add(out, text, n);
        strbuf_putc(out, '\n');
        text += n + (text[n] == ' ');
    }
}

void recipe_write(const struct recipe *recipe, struct strbuf *out)
{
    int group = -1;
    for (int i = 0; i < recipe_n_fields; i++) {
        const struct recipe_field *field = &recipe_fields[i];
        if ((int)field->group != group) {
            group = (int)field->group;
            strbuf_printf(out, "%s# ---- %s ----\n", i ? "\n" : "", recipe_group_names[group]);
        }
        recipe_write_comment(field->help, out);
        strbuf_printf(out, "%s: ", field->key);
        recipe_value_text(recipe, field, out);
        strbuf_putc(out, '\n');
    }
}

void recipe_write_changes(const struct recipe *recipe, struct strbuf *out)
{
    struct recipe plain;
    recipe_init(&plain);
    struct strbuf now = STRBUF_INIT, before = STRBUF_INIT;
    for (int i = 0; i < recipe_n_fields; i++) {
        if (recipe->marks[i].line == 0) { /* nobody set it: at most it follows from others */
            continue;
        }
        strbuf_clear(&now);
        strbuf_clear(&before);
        recipe_value_text(recipe, &recipe_fields[i], &now);
        recipe_value_text(&plain, &recipe_fields[i], &before);
        if (!str_equal(strbuf_view(&now), strbuf_view(&before))) {
            strbuf_printf(out, "%s: %s\n", recipe_fields[i].key, now.data);
        }
    }
    strbuf_release(&now);
    strbuf_release(&before);
    recipe_release(&plain);
}

const char *recipe_text(struct recipe *recipe, const char *key)
{
    const struct recipe_field *field = recipe_find(key);
    if (!field) {
        return NULL;
    }
    struct strbuf text = STRBUF_INIT;
    recipe_value_text(recipe, field, &text);
    const char *copy = arena_strdup(&recipe->arena, text.data);
    strbuf_release(&text);
    return copy;
}

/* Text for a cell of a Markdown table. */
static void recipe_write_cell(const char *text, struct strbuf *out)
{
    for (; *text; text++) {
        if (strchr("|<>*", *text)) {
            strbuf_putc(out, '\\');
        }
        strbuf_putc(out, *text);
    }
}

static void recipe_write_row(const struct recipe *plain, const struct recipe_field *field, struct strbuf *out)
{
    struct strbuf text = STRBUF_INIT;
    strbuf_printf(out, "| `%s` | ", field->key);
    recipe_value_text(plain, field, &text);
    strbuf_printf(out, "`%s` | ", text.data);
    strbuf_clear(&text);
    recipe_write_values(field, &text);
    recipe_write_cell(text.data, out);
    strbuf_puts(out, " | ");
    recipe_write_cell(field->help, out);
    for (const char *at = field->aliases; at && *at; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");
        strbuf_printf(out, "%s`%.*s`", at == field->aliases ? "; also " : ", ", (int)n, at);
        at += n;
    }
    strbuf_puts(out, " |\n");
    strbuf_release(&text);
}

void recipe_write_reference(struct strbuf *out)
{
    struct recipe plain;
    recipe_init(&plain);
    int group = -1;
    for (int i = 0; i < recipe_n_fields; i++) {
        const struct recipe_field *field = &recipe_fields[i];
        if ((int)field->group != group) {
            group = (int)field->group;
            strbuf_printf(out, "%s### %s\n\n| key | default | values | meaning |\n| --- | --- | --- | --- |\n",
                          i ? "\n" : "", recipe_group_names[group]);
        }
        recipe_write_row(&plain, field, out);
    }
    recipe_release(&plain);
}

const char *recipe_key(int i)
{
    return i < recipe_n_fields ? recipe_fields[i].key : NULL;
}

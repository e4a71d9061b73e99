/* model/tokenizer_settings.c - what a folder says of its tokenizer beside tokenizer.json, by the rules of transformers:
 *
 *   chat_template.jinja                  the chat template; else tokenizer_config.json's chat_template, which may be a list of
 *                                        {name, template}: "default", and "tool_use" for conversations with tools
 *   additional_chat_templates/           tool_use.jinja
 *   tokenizer_config.json                bos_token, eos_token ...: a text, or an object with a content
 *   special_tokens_map.json              the same, before the former, where the former has no added_tokens_decoder (older files)
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "model/tokenizer_build.h"

#define MOST_BYTES ((size_t)64 << 20) /* added_tokens_decoder may list many */

struct str tokenizer_keep(struct tokenizer *t, struct str text)
{
    return (struct str){arena_strndup(&t->arena, text.data ? text.data : "", text.length), text.length};
}

static struct str text_of(const json_t *value)
{
    return (struct str){json_string_value(value), json_string_length(value)};
}

/* The path of a file in the folder of `path`. */
static const char *neighbour(struct tokenizer *t, const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    return arena_printf(&t->arena, "%.*s%s", slash ? (int)(slash - path) + 1 : 0, path, name);
}

/* A document of the folder; an empty object if it is not there. */
static enum err open_neighbour(struct tokenizer *t, const char *path, const char *name, json_t **out)
{
    const char *file = neighbour(t, path, name);
    if (!file_exists(file)) {
        *out = json_object();
        return ERR_NONE;
    }
    return json_parse_file_of_reals(out, file, MOST_BYTES); /* model_max_length is often 10^30 */
}

/* ---- names ---- */

static void read_names(struct tokenizer *t, const json_t *document)
{
    for (int i = 0; i < TOKENIZER_NAMES; i++) {
        const json_t *value = json_object_get(document, tokenizer_names[i]);
        struct str text = text_of(json_is_object(value) ? json_object_get(value, "content") : value);
        if (text.length) {
            t->names[i] = tokenizer_keep(t, text);
        }
    }
}

static enum err read_all_names(struct tokenizer *t, const json_t *config, const char *path)
{
    json_t *map;
    read_names(t, config);
    if (!json_object_get(config, "added_tokens_decoder")) {
        TRY(open_neighbour(t, path, "special_tokens_map.json", &map));
        read_names(t, map);
        json_decref(map);
    }
    t->end = t->names[1].length ? tokenizer_token_id(t, t->names[1]) : -1; /* eos_token */
    return ERR_NONE;
}

/* ---- chat templates ---- */

static enum err read_template_file(struct tokenizer *t, const char *path, const char *name, struct str *out)
{
    struct strbuf text = STRBUF_INIT;
    const char *file = neighbour(t, path, name);
    enum err err = file_exists(file) ? file_read(&text, file, MOST_BYTES) : ERR_NONE;
    if (err == ERR_NONE && text.length) {
        *out = tokenizer_keep(t, strbuf_view(&text));
    }
    strbuf_release(&text);
    return err;
}

static void read_config_template(struct tokenizer *t, const json_t *config)
{
    const json_t *value = json_object_get(config, "chat_template");
    t->chat_template = tokenizer_keep(t, text_of(value));
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        struct str name = text_of(json_object_get(item, "name")), text = text_of(json_object_get(item, "template"));
        if (str_equal(name, STR("default"))) {
            t->chat_template = tokenizer_keep(t, text);
        } else if (str_equal(name, STR("tool_use"))) {
            t->tool_template = tokenizer_keep(t, text);
        }
    }
}

enum err tokenizer_read_settings(struct tokenizer *t, const char *path)
{
    json_t *config;
    struct str alone = {0};
    TRY(open_neighbour(t, path, "tokenizer_config.json", &config));
    enum err err = read_all_names(t, config, path);
    if (err == ERR_NONE) {
        err = read_template_file(t, path, "chat_template.jinja", &alone);
    }
    if (err == ERR_NONE && alone.length) {
        t->chat_template = alone;
        err = read_template_file(t, path, "additional_chat_templates/tool_use.jinja", &t->tool_template);
    } else if (err == ERR_NONE) {
        read_config_template(t, config);
    }
    json_decref(config);
    return err;
}

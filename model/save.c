/* model/save.c - a Hugging Face folder that others open.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "model/gguf_model.h"
#include "model/peft.h"
#include "model/save.h"
#include "model/tokenizer.h"

#define CONFIG_MOST_BYTES ((size_t)16 << 20)

/* Files that are copied byte for byte from the folder that the tokenizer came from. */
static const char *const tokenizer_files[] = {
    "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",     "vocab.json",
    "merges.txt",     "added_tokens.json",     "special_tokens_map.json", "tokenizer.model"};

/* from/name to to/name, if it is there. */
static enum err copy_file(const char *from, const char *to, const char *name)
{
    char source[FILE_PATH_BYTES], target[FILE_PATH_BYTES];
    TRY(file_join(source, sizeof source, from, name));
    TRY(file_join(target, sizeof target, to, name));
    return file_exists(source) ? file_copy(source, target) : ERR_NONE;
}

/* Writing over the files that are being copied would empty them. */
static enum err refuse_same_folder(const char *from, const char *to)
{
    struct stat a, b;
    if (stat(from, &a) == 0 && stat(to, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
        return err_set(ERR_USAGE, "%s: the model was opened from this folder; save it to another one", to);
    }
    return ERR_NONE;
}

enum err save_json(const json_t *document, const char *folder, const char *name)
{
    char path[FILE_PATH_BYTES];
    TRY(file_join(path, sizeof path, folder, name));
    char *text = json_dumps(document, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    json_t *again = text ? json_loads(text, 0, NULL) : NULL;
    if (!json_equal(again, document)) {
        free(text);
        text = json_dumps(document, JSON_INDENT(2));
    }
    json_decref(again);
    BUG_ON(!text);
    struct strbuf lines = STRBUF_INIT;
    strbuf_puts(&lines, text);
    strbuf_putc(&lines, '\n');
    enum err result = file_write_atomic(path, lines.data, lines.length);
    strbuf_release(&lines);
    free(text);
    return result;
}

/* The number of experts in both spellings: transformers 5 reads num_local_experts where 4 reads num_experts. */
static bool add_spelling(json_t *document)
{
    static const char *const keys[] = {"num_experts", "num_local_experts"};
    const json_t *is[2] = {json_object_get(document, keys[0]), json_object_get(document, keys[1])};
    for (int i = 0; i < 2; i++) {
        if (json_is_integer(is[i]) && !is[1 - i]) {
            json_object_set_new(document, keys[1 - i], json_integer(json_integer_value(is[i])));
            return true;
        }
    }
    return false;
}

/* The config that the model was opened with, all its keys kept; only the number format, whether the head is tied, and how weights
 * are quantised follow what is written. */
static enum err save_opened_config(const char *from, const char *folder, const char *dtype, bool tied)
{
    char path[FILE_PATH_BYTES];
    json_t *document;
    TRY(file_join(path, sizeof path, from, "config.json"));
    TRY(json_parse_file(&document, path, CONFIG_MOST_BYTES));
    const char *key = json_object_get(document, "dtype") ? "dtype" : "torch_dtype";
    const char *is = json_string_value(json_object_get(document, key));
    enum err result;
    bool changed = json_object_del(document, "quantization_config") == 0;
    changed = add_spelling(document) || changed;
    if (json_integer_value(json_object_get(document, "num_nextn_predict_layers")) > 0) {
        json_object_set_new(document, "num_nextn_predict_layers", json_integer(0)); /* not read, so not written */
        changed = true;
    }
    if (!changed && is && strcmp(is, dtype) == 0 &&
        json_is_true(json_object_get(document, "tie_word_embeddings")) == tied) {
        result = copy_file(from, folder, "config.json");
    } else {
        json_object_set_new(document, key, json_string(dtype));
        json_object_set_new(document, "tie_word_embeddings", json_boolean(tied));
        result = save_json(document, folder, "config.json");
    }
    json_decref(document);
    return result;
}

/* For a model that no config.json describes. */
static enum err save_made_config(const struct model *model, const char *folder, const char *dtype)
{
    json_t *document = model_config_to_json(&model->config);
    json_object_set_new(document, "torch_dtype", json_string(dtype));
    enum err result = save_json(document, folder, "config.json");
    json_t *generation = json_object();
    static const char *const keys[] = {"bos_token_id", "eos_token_id"};
    for (int i = 0; i < 2; i++) {
        json_object_set(generation, keys[i], json_object_get(document, keys[i]));
    }
    if (result == ERR_NONE) {
        result = save_json(generation, folder, "generation_config.json");
    }
    json_decref(generation);
    json_decref(document);
    return result;
}

/* The template for conversations with tools is in a folder of its own. */
static enum err copy_tool_template(const char *from, const char *folder)
{
    static const char name[] = "additional_chat_templates/tool_use.jinja";
    char path[FILE_PATH_BYTES];
    TRY(file_join(path, sizeof path, from, name));
    if (!file_exists(path)) {
        return ERR_NONE;
    }
    TRY(file_join(path, sizeof path, folder, "additional_chat_templates"));
    TRY(file_make_folders(path));
    return copy_file(from, folder, name);
}

static enum err copy_tokenizer(const char *from, const char *folder)
{
    TRY(refuse_same_folder(from, folder));
    TRY(copy_tool_template(from, folder));
    for (size_t i = 0; i < sizeof tokenizer_files / sizeof *tokenizer_files; i++) {
        TRY(copy_file(from, folder, tokenizer_files[i]));
    }
    return ERR_NONE;
}

/* What a model was opened from, or, where that is an adapter's folder, the model below it. */
static const char *whole_source(const struct model *model)
{
    return model->base ? model->base : model->source;
}

static bool has_tokenizer(const char *folder)
{
    char path[FILE_PATH_BYTES];
    return file_join(path, sizeof path, folder, "tokenizer.json") == ERR_NONE && file_exists(path);
}

/* From the folder that the model was opened from, else from the one that its tokenizer.json is in, or from its GGUF file. */
static enum err save_tokenizer(const struct model *model, const char *folder)
{
    const char *whole = whole_source(model);
    bool own = model->base && file_is_folder(model->source) && has_tokenizer(model->source); /* an adapter's */
    if (own || file_is_folder(whole)) {
        return copy_tokenizer(own ? model->source : whole, folder);
    }
    const char *source = model->tokenizer ? tokenizer_source(model->tokenizer) : NULL;
    if (source) {
        char from[FILE_PATH_BYTES];
        const char *slash = strrchr(source, '/');
        int length = snprintf(from, sizeof from, "%.*s", slash ? (int)(slash - source) : 1, slash ? source : ".");
        BUG_ON(length < 0 || (size_t)length >= sizeof from);
        return copy_tokenizer(length > 0 ? from : "/", folder);
    }
    if (!model->tokenizer) {
        return ERR_NONE;
    }
    struct gguf file;
    TRY(gguf_open(&file, whole));
    enum err result = gguf_model_save_tokenizer(&file, folder);
    gguf_close(&file);
    return result;
}

enum err model_save_files(const struct model *model, const char *folder, const char *dtype)
{
    const char *whole = whole_source(model);
    TRY(save_tokenizer(model, folder));
    if (!file_is_folder(whole)) {
        return save_made_config(model, folder, dtype);
    }
    TRY(copy_file(whole, folder, "generation_config.json"));
    return save_opened_config(whole, folder, dtype, model->config.tied);
}

enum err model_save(const struct model *model, const char *folder, const char *dtype)
{
    if (model->adapter) {
        TRY(save_tokenizer(model, folder));
        return peft_save(model, folder, dtype);
    }
    TRY(model_save_files(model, folder, dtype));
    struct part_reader reader;
    part_reader_open(&reader, model);
    enum err result = save_weights(&model->params, folder, dtype, part_reader_read, &reader);
    part_reader_close(&reader);
    return result;
}

/* model/tokenizer_json.c - a tokenizer from tokenizer.json and the files beside it (tokenizer_added.h), and its chat template.
 *
 * Every component of the file is either understood or refused by its name. Not looked at: "truncation" and "padding", which
 * are settings of a caller, and what "post_processor" puts behind a text or around two of them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "model/tokenizer_added.h"
#include "model/tokenizer_build.h"

enum { MOST_BYTES = 128 * 1024 * 1024, MOST_TOKENS = 4 * 1024 * 1024 };

static struct str text_of(const json_t *value)
{
    return (struct str){json_string_value(value), json_string_length(value)};
}

static enum err type_of(const json_t *component, const char *what, const char *path, struct str *type)
{
    if (!json_is_object(component) || json_get_text(component, "type", path, type) != ERR_NONE) {
        return err_set(ERR_FORMAT, "%s: %s must be an object with a 'type'", path, what);
    }
    return ERR_NONE;
}

static enum err refuse(const char *path, const char *what, struct str type)
{
    return err_set(ERR_FORMAT, "%s: %s '%.*s' is not supported", path, what, (int)type.length, type.data);
}

/* ERR_FORMAT if a flag of an object is set. */
static enum err refuse_flag(const json_t *object, const char *key, const char *what, const char *path)
{
    bool set = false;
    TRY(json_want_bool(object, key, path, &set));
    return set ? err_set(ERR_FORMAT, "%s: %s with '%s' is not supported", path, what, key) : ERR_NONE;
}

/* ---- normalizer ---- */

static enum err read_normalizer(struct tokenizer *t, const json_t *normalizer, const char *path)
{
    if (!normalizer || json_is_null(normalizer)) {
        return ERR_NONE;
    }
    struct str type = {NULL, 0};
    TRY(type_of(normalizer, "normalizer", path, &type));
    if (str_equal(type, STR("NFC"))) {
        t->nfc = true;
        return ERR_NONE;
    }
    if (!str_equal(type, STR("Sequence"))) {
        return refuse(path, "normalizer", type);
    }
    const json_t *list = json_object_get(normalizer, "normalizers");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *step = json_array_get(list, i);
        TRY(type_of(step, "normalizer", path, &type));
        if (!str_equal(type, STR("NFC"))) {
            return refuse(path, "normalizer", type);
        }
        t->nfc = true;
    }
    return ERR_NONE;
}

/* ---- pre-tokenizer ---- */

static enum err read_split(struct tokenizer *t, const json_t *step, const char *path)
{
    struct str behavior = {NULL, 0}, regex = {NULL, 0};
    TRY(json_get_text(step, "behavior", path, &behavior));
    if (!str_equal(behavior, STR("Isolated"))) {
        return refuse(path, "pre-tokenizer Split with behavior", behavior);
    }
    TRY(refuse_flag(step, "invert", "pre-tokenizer Split", path));
    const json_t *pattern = json_object_get(step, "pattern");
    if (!json_is_string(json_object_get(pattern, "Regex"))) {
        return err_set(ERR_FORMAT, "%s: pre-tokenizer Split without a pattern 'Regex' is not supported", path);
    }
    TRY(json_get_text(pattern, "Regex", path, &regex));
    return pretokenizer_add(&t->pretokenizer, regex, path);
}

static enum err read_byte_level(struct tokenizer *t, const json_t *step, const char *path)
{
    bool use_regex = true;
    TRY(refuse_flag(step, "add_prefix_space", "pre-tokenizer ByteLevel", path));
    TRY(json_want_bool(step, "use_regex", path, &use_regex));
    return use_regex ? pretokenizer_add(&t->pretokenizer, str_of(PATTERN_GPT2), path) : ERR_NONE;
}

static enum err read_step(struct tokenizer *t, const json_t *step, const char *path, bool *byte_level)
{
    struct str type = {NULL, 0};
    TRY(type_of(step, "pre-tokenizer", path, &type));
    if (*byte_level) {
        return refuse(path, "after ByteLevel, pre-tokenizer", type);
    }
    if (str_equal(type, STR("Split"))) {
        return read_split(t, step, path);
    }
    if (str_equal(type, STR("Digits"))) {
        bool each = false;
        TRY(json_want_bool(step, "individual_digits", path, &each));
        return pretokenizer_add(&t->pretokenizer, str_of(each ? PATTERN_DIGIT : PATTERN_DIGITS), path);
    }
    if (str_equal(type, STR("ByteLevel"))) {
        *byte_level = true;
        return read_byte_level(t, step, path);
    }
    return refuse(path, "pre-tokenizer", type);
}

static enum err read_pretokenizer(struct tokenizer *t, const json_t *pretokenizer, const char *path)
{
    struct str type = {0};
    bool byte_level = false;
    const json_t *list = NULL;
    if (json_is_object(pretokenizer)) {
        TRY(type_of(pretokenizer, "pre-tokenizer", path, &type));
    }
    if (str_equal(type, STR("Sequence"))) {
        list = json_object_get(pretokenizer, "pretokenizers");
        for (size_t i = 0; i < json_array_size(list); i++) {
            TRY(read_step(t, json_array_get(list, i), path, &byte_level));
        }
    } else if (type.length) {
        TRY(read_step(t, pretokenizer, path, &byte_level));
    }
    if (!byte_level) {
        return err_set(ERR_FORMAT, "%s: there is no pre-tokenizer ByteLevel; only byte-level BPE is supported", path);
    }
    return ERR_NONE;
}

static enum err check_decoder(const json_t *decoder, const char *path)
{
    struct str type = {NULL, 0};
    TRY(type_of(decoder, "decoder", path, &type));
    return str_equal(type, STR("ByteLevel")) ? ERR_NONE : refuse(path, "decoder", type);
}

/* ---- model ---- */

static enum err check_model(const json_t *model, const char *path)
{
    struct str type = STR("BPE"), affix = {0};
    double dropout = 0;
    TRY(json_want_text(model, "type", path, &type));
    if (!str_equal(type, STR("BPE"))) {
        return refuse(path, "model", type);
    }
    TRY(refuse_flag(model, "byte_fallback", "model", path));
    TRY(json_want_double(model, "dropout", path, &dropout));
    TRY(json_want_text(model, "continuing_subword_prefix", path, &affix));
    if (dropout != 0 || affix.length) {
        return err_set(ERR_FORMAT, "%s: model with 'dropout' or 'continuing_subword_prefix' is not supported", path);
    }
    TRY(json_want_text(model, "end_of_word_suffix", path, &affix));
    if (affix.length) {
        return err_set(ERR_FORMAT, "%s: model with 'end_of_word_suffix' is not supported", path);
    }
    if (!json_is_object(json_object_get(model, "vocab")) || !json_is_array(json_object_get(model, "merges"))) {
        return err_set(ERR_FORMAT, "%s: the model must have a 'vocab' and 'merges'", path);
    }
    if (json_array_size(json_object_get(model, "merges")) == 0) {
        return err_set(ERR_FORMAT, "%s: the model has no merges; a vocabulary without them cannot cut text", path);
    }
    return ERR_NONE;
}

/* One more than the largest id. */
static enum err count_ids(const json_t *vocab, const struct added_tokens *added, const char *path, int *size)
{
    int64_t most = added->most;
    for (void *it = json_object_iter((json_t *)vocab); it; it = json_object_iter_next((json_t *)vocab, it)) {
        const json_t *id = json_object_iter_value(it);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= MOST_TOKENS) {
            return err_set(ERR_FORMAT, "%s: the id of token '%s' must be an integer in [0, %d)", path,
                           json_object_iter_key(it), MOST_TOKENS);
        }
        most = json_integer_value(id) > most ? json_integer_value(id) : most;
    }
    *size = (int)most + 1;
    return ERR_NONE;
}

static enum err read_vocab(struct tokenizer *t, const json_t *vocab, const char *path)
{
    for (void *it = json_object_iter((json_t *)vocab); it; it = json_object_iter_next((json_t *)vocab, it)) {
        int32_t id = (int32_t)json_integer_value(json_object_iter_value(it));
        if (t->tokens[id].kind != TOKEN_NONE) {
            return err_set(ERR_FORMAT, "%s: two tokens have the id %d", path, id);
        }
        tokenizer_set_token(t, id, str_of(json_object_iter_key(it)), TOKEN_NORMAL);
    }
    return ERR_NONE;
}

static enum err read_merges(struct tokenizer *t, const json_t *merges, const char *path)
{
    for (size_t i = 0; i < json_array_size(merges); i++) {
        const json_t *merge = json_array_get(merges, i);
        struct str text = text_of(merge), left = text_of(json_array_get(merge, 0)), right = {0};
        ptrdiff_t space = json_is_string(merge) ? str_find(text, STR(" "), 0) : -1;
        if (space >= 0) {
            left = str_slice(text, 0, (size_t)space);
            right = str_slice(text, (size_t)space + 1, text.length);
        } else if (json_array_size(merge) == 2) {
            right = text_of(json_array_get(merge, 1));
        }
        if (left.length == 0 || right.length == 0) {
            return err_set(ERR_FORMAT, "%s: merge %zu must be \"left right\" or [\"left\", \"right\"]", path, i);
        }
        TRY(tokenizer_add_merge(t, left, right, (int32_t)i, path));
    }
    return ERR_NONE;
}

static void set_added(struct tokenizer *t, const struct added_tokens *added)
{
    for (int i = 0; i < added->n; i++) {
        const struct added_token *token = &added->items[i];
        tokenizer_set_token(t, (int32_t)token->id, token->text, token->special ? TOKEN_SPECIAL : TOKEN_ADDED);
        t->tokens[token->id].after_nfc = token->normalized;
    }
}

/* ---- post-processor ---- */

static enum err read_begin(struct tokenizer *t, const json_t *processor, const char *path)
{
    const json_t *single = json_object_get(processor, "single"), *known = json_object_get(processor, "special_tokens");
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *token = json_object_get(json_array_get(single, i), "SpecialToken");
        if (!token) { /* the text itself */
            return ERR_NONE;
        }
        const json_t *entry = json_object_get(known, json_string_value(json_object_get(token, "id")));
        const json_t *ids = json_object_get(entry, "ids"), *id = json_array_get(ids, 0);
        if (json_array_size(ids) != 1 || !json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) >= t->size || t->begin >= 0) {
            return err_set(ERR_FORMAT, "%s: the post-processor must put one known token in front of a text, or none",
                           path);
        }
        t->begin = (int32_t)json_integer_value(id);
    }
    return ERR_NONE;
}

static enum err read_post_processor(struct tokenizer *t, const json_t *processor, const char *path)
{
    struct str type = {0};
    if (!processor || json_is_null(processor)) {
        return ERR_NONE;
    }
    TRY(type_of(processor, "post-processor", path, &type));
    if (str_equal(type, STR("TemplateProcessing"))) {
        return read_begin(t, processor, path);
    }
    if (!str_equal(type, STR("Sequence"))) {
        return str_equal(type, STR("ByteLevel")) ? ERR_NONE : refuse(path, "post-processor", type);
    }
    const json_t *list = json_object_get(processor, "processors");
    for (size_t i = 0; i < json_array_size(list); i++) {
        TRY(read_post_processor(t, json_array_get(list, i), path));
    }
    return ERR_NONE;
}

/* ---- the files ---- */

static enum err read_document(struct tokenizer *t, const json_t *document, const struct added_tokens *added,
                              const char *path)
{
    const json_t *model = json_object_get(document, "model");
    TRY(read_normalizer(t, json_object_get(document, "normalizer"), path));
    TRY(read_pretokenizer(t, json_object_get(document, "pre_tokenizer"), path));
    TRY(read_post_processor(t, json_object_get(document, "post_processor"), path));
    TRY(check_decoder(json_object_get(document, "decoder"), path));
    TRY(json_want_bool(model, "ignore_merges", path, &t->bpe.ignore_merges));
    TRY(read_vocab(t, json_object_get(model, "vocab"), path));
    TRY(read_merges(t, json_object_get(model, "merges"), path));
    set_added(t, added);
    return ERR_NONE;
}

static enum err build(struct tokenizer **out, const json_t *document, const struct added_tokens *added,
                      const char *path)
{
    int size = 0;
    const json_t *model = json_object_get(document, "model");
    TRY(count_ids(json_object_get(model, "vocab"), added, path, &size));
    struct tokenizer *t = tokenizer_new(size, json_array_size(json_object_get(model, "merges")));
    enum err err = read_document(t, document, added, path);
    if (err != ERR_NONE) {
        tokenizer_free(t);
        return err;
    }
    tokenizer_finish(t);
    *out = t;
    return ERR_NONE;
}

static enum err build_from(struct tokenizer **out, const struct tokenizer_files *files, const char *path)
{
    struct added_tokens added;
    TRY(check_model(json_object_get(files->tokenizer, "model"), path));
    enum err err = added_tokens_read(&added, files, path);
    if (err == ERR_NONE) {
        err = build(out, files->tokenizer, &added, path);
    }
    added_tokens_release(&added);
    return err;
}

enum err tokenizer_parse(struct tokenizer **out, struct str text, const char *name)
{
    struct tokenizer_files files = {.folder = ""};
    TRY(json_parse(&files.tokenizer, text, name));
    enum err err = build_from(out, &files, name);
    json_decref(files.tokenizer);
    return err;
}

/* A file beside tokenizer.json, which may be missing. Without ids in it: model_max_length is often 10^30. */
static enum err open_beside(json_t **out, const char *folder, const char *name, bool ids)
{
    enum { MOST_BESIDE = 64 * 1024 * 1024 };
    char path[FILE_PATH_BYTES];
    TRY(file_join(path, sizeof path, folder, name));
    if (!file_exists(path)) {
        return ERR_NONE;
    }
    return ids ? json_parse_file(out, path, MOST_BESIDE) : json_parse_file_of_reals(out, path, MOST_BESIDE);
}

static enum err open_files(struct tokenizer_files *files, const char *path)
{
    TRY(json_parse_file(&files->tokenizer, path, MOST_BYTES));
    TRY(open_beside(&files->config, files->folder, "tokenizer_config.json", false));
    TRY(open_beside(&files->map, files->folder, "special_tokens_map.json", false));
    return open_beside(&files->added, files->folder, "added_tokens.json", true);
}

enum err tokenizer_open(struct tokenizer **out, const char *path)
{
    char folder[FILE_PATH_BYTES];
    const char *slash = strrchr(path, '/');
    int length = snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 2, slash ? path : "./");
    if (length < 0 || (size_t)length >= sizeof folder) {
        return err_set(ERR_LIMIT, "path too long: %s", path);
    }
    struct tokenizer_files files = {.folder = folder};
    struct tokenizer *t = NULL;
    enum err err = open_files(&files, path);
    if (err == ERR_NONE) {
        err = build_from(&t, &files, path);
    }
    if (err == ERR_NONE) {
        err = tokenizer_read_settings(t, path);
    }
    json_decref(files.tokenizer);
    json_decref(files.config);
    json_decref(files.map);
    json_decref(files.added);
    if (err != ERR_NONE) {
        tokenizer_free(t);
        return err;
    }
    t->source = mem_strdup(path);
    *out = t;
    return ERR_NONE;
}

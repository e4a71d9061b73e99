/* model/tokenizer_added.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer_added.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"

enum { MOST_ID = 4 * 1024 * 1024 };

static const char extra_key[] = "extra_special_tokens", older_extra_key[] = "additional_special_tokens";

static const char *const named_keys[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                         "pad_token", "cls_token", "mask_token"};
enum { N_NAMED = sizeof named_keys / sizeof *named_keys };

static struct str text_of(const json_t *value)
{
    return (struct str){json_string_value(value), json_string_length(value)};
}

/* ---- the list ---- */

static struct added_token *find(const struct added_tokens *all, struct str text)
{
    const json_t *number = json_object_getn(all->by_text, text.data, text.length);
    return number ? &all->items[json_integer_value(number)] : NULL;
}

/* The id of the vocabulary, or the next free one. `given`: what the file says; -1: nothing. */
static int64_t choose_id(const struct added_tokens *all, struct str text, int64_t given, const char *name)
{
    const json_t *known = json_object_getn(all->vocab, text.data, text.length);
    int64_t next = all->most >= all->n_vocab ? all->most + 1 : all->n_vocab;
    int64_t id = json_is_integer(known) ? json_integer_value(known) : next;
    if (given >= 0 && given != id) {
        log_warning_once("%s: the added token '%.*s' has the id %lld in the file, but %lld as transformers counts",
                         name, (int)text.length, text.data, (long long)given, (long long)id);
    }
    return id;
}

static enum err add(struct added_tokens *all, struct added_token token, const char *name)
{
    if (token.text.length == 0) {
        return ERR_NONE;
    }
    struct added_token *same = find(all, token.text);
    if (same) { /* what is special stays so */
        same->special = same->special || token.special;
        same->normalized = token.normalized;
        same->listed = same->listed || token.listed;
        return ERR_NONE;
    }
    if (all->n >= MOST_ID || all->most >= MOST_ID) {
        return err_set(ERR_LIMIT, "%s: more than %d tokens are added", name, MOST_ID);
    }
    token.id = choose_id(all, token.text, token.id, name);
    all->most = token.id > all->most ? token.id : all->most;
    if ((all->n & (all->n - 1)) == 0) { /* doubled at each power of two */
        all->items = mem_grow(all->items, (size_t)(all->n ? 2 * all->n : 1) * sizeof *all->items);
    }
    all->items[all->n] = token;
    if (json_object_setn_new(all->by_text, token.text.data, token.text.length, json_integer(all->n)) != 0) {
        return err_set(ERR_FORMAT, "%s: an added token is not valid UTF-8", name);
    }
    all->n++;
    return ERR_NONE;
}

/* ---- one token ---- */

/* An object of tokenizer.json or added_tokens_decoder. What it leaves out is false, but `normalized` is not `special`. */
static enum err read_object(const json_t *token, struct added_token *out, const char *name)
{
    static const char *const refused[] = {"lstrip", "rstrip", "single_word"};
    if (!json_is_object(token)) {
        return err_set(ERR_FORMAT, "%s: an added token must be an object with 'content'", name);
    }
    TRY(json_get_text(token, "content", name, &out->text));
    TRY(json_want_bool(token, "special", name, &out->special));
    out->normalized = !out->special;
    TRY(json_want_bool(token, "normalized", name, &out->normalized));
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        bool set = false;
        TRY(json_want_bool(token, refused[i], name, &set));
        if (set) {
            return err_set(ERR_FORMAT, "%s: an added token with '%s' is not supported", name, refused[i]);
        }
    }
    return ERR_NONE;
}

/* A token that a key names: a text, or an object. */
static enum err read_named(const json_t *value, const char *key, struct added_token *out, const char *name)
{
    *out = (struct added_token){.id = -1, .special = true};
    if (json_is_string(value)) {
        out->text = text_of(value);
        return ERR_NONE;
    }
    if (!json_is_object(value)) {
        return err_set(ERR_FORMAT, "%s: '%s' must be a text or a token with 'content'", name, key);
    }
    bool normalized = false;
    TRY(read_object(value, out, name));
    TRY(json_want_bool(value, "normalized", name, &normalized));
    out->special = true;
    out->normalized = normalized;
    return ERR_NONE;
}

/* ---- the files ---- */

static enum err add_own(struct added_tokens *all, const json_t *added, const char *path)
{
    for (size_t i = 0; i < json_array_size(added); i++) {
        struct added_token token = {.id = -1};
        const json_t *value = json_array_get(added, i);
        bool normalized = false;
        TRY(json_get_int(value, "id", path, &token.id));
        if (token.id < 0 || token.id >= MOST_ID) {
            return err_set(ERR_FORMAT, "%s: the id of added token %zu must be in [0, %d)", path, i, MOST_ID);
        }
        TRY(read_object(value, &token, path));
        TRY(json_want_bool(value, "normalized", path, &normalized));
        token.normalized = normalized;
        TRY(add(all, token, path));
    }
    return ERR_NONE;
}

/* A value of either document: where the map is read, its keys replace those of the config. */
struct settings {
    const json_t *config, *map; /* map NULL: not read */
    const json_t *extra[2];     /* the lists of extra special tokens of both, NULL: none */
    char config_name[FILE_PATH_BYTES], map_name[FILE_PATH_BYTES];
};

static const json_t *setting(const struct settings *s, const char *key, const char **name)
{
    const json_t *value = json_object_get(s->map, key);
    *name = value ? s->map_name : s->config_name;
    value = value ? value : json_object_get(s->config, key);
    return json_is_null(value) ? NULL : value;
}

static bool is_named(const char *key)
{
    for (int i = 0; i < N_NAMED; i++) {
        if (strcmp(key, named_keys[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_text(const json_t *value, struct str text)
{
    const json_t *content = json_is_object(value) ? json_object_get(value, "content") : value;
    return json_is_string(content) && str_equal(text_of(content), text);
}

/* Whether one of bos_token, eos_token ... or one of the extra tokens has this text. */
static bool is_called_special(const struct settings *s, struct str text)
{
    const char *name;
    bool found = false;
    for (int i = 0; i < N_NAMED && !found; i++) {
        found = is_text(setting(s, named_keys[i], &name), text);
    }
    for (int list = 0; list < 2; list++) {
        for (size_t i = 0; i < json_array_size(s->extra[list]) && !found; i++) {
            found = is_text(json_array_get(s->extra[list], i), text);
        }
    }
    return found;
}

struct entry {
    int64_t id;
    const char *key;
    const json_t *value;
};

static int by_id(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id ? 1 : strcmp(x->key, y->key);
}

/* The entries of an object of tokens by ascending id: {"id": token}, or {text: id} if `by_text`. The caller frees them. */
static enum err sort_entries(const json_t *object, bool by_text, struct entry **out, int *n, const char *name)
{
    const char *key;
    json_t *value;
    struct entry *entries = mem_alloc((json_object_size(object) + 1) * sizeof *entries);
    *n = 0;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        struct entry entry = {by_text && json_is_integer(value) ? json_integer_value(value) : -1, key, value};
        if (!by_text && !str_to_int(str_of(key), &entry.id)) {
            entry.id = -1;
        }
        if (entry.id < 0 || entry.id >= MOST_ID) {
            free(entries);
            return err_set(ERR_FORMAT, "%s: the added token '%s' must have an id in [0, %d)", name, key, MOST_ID);
        }
        entries[(*n)++] = entry;
    }
    qsort(entries, (size_t)*n, sizeof *entries, by_id);
    *out = entries;
    return ERR_NONE;
}

static enum err add_decoder(struct added_tokens *all, const struct settings *s, const json_t *decoder)
{
    struct entry *entries = NULL;
    int n = 0;
    if (!json_is_object(decoder)) {
        return err_set(ERR_FORMAT, "%s: 'added_tokens_decoder' must be an object", s->config_name);
    }
    TRY(sort_entries(decoder, false, &entries, &n, s->config_name));
    enum err result = ERR_NONE;
    for (int i = 0; result == ERR_NONE && i < n; i++) {
        struct added_token token = {.id = entries[i].id};
        result = read_object(entries[i].value, &token, s->config_name);
        if (result == ERR_NONE) {
            token.listed = true;
            result = add(all, token, s->config_name);
        }
    }
    free(entries);
    return result;
}

/* Which ids tokenizer.json gave to added tokens of its own: [most + 1]. The caller frees them. */
static bool *own_ids(const struct added_tokens *all)
{
    bool *taken = mem_zero((size_t)(all->most + 1) * sizeof *taken);
    for (int i = 0; i < all->n; i++) {
        taken[all->items[i].id] = true;
    }
    return taken;
}

/* What tokenizer.json has under the same id comes before. */
static enum err add_legacy(struct added_tokens *all, const struct settings *s, const json_t *legacy, const char *folder)
{
    char name[FILE_PATH_BYTES];
    struct entry *entries = NULL;
    int n = 0;
    int64_t n_own = all->most + 1;
    TRY(file_join(name, sizeof name, folder, "added_tokens.json"));
    if (!json_is_object(legacy)) {
        return err_set(ERR_FORMAT, "%s: must be an object of texts and ids", name);
    }
    TRY(sort_entries(legacy, true, &entries, &n, name));
    bool *taken = own_ids(all);
    enum err result = ERR_NONE;
    for (int i = 0; result == ERR_NONE && i < n; i++) {
        struct added_token token = {.text = str_of(entries[i].key), .id = entries[i].id};
        token.special = is_called_special(s, token.text);
        token.normalized = !token.special;
        token.listed = true;
        if (token.id >= n_own || !taken[token.id]) {
            result = add(all, token, name);
        }
    }
    free(taken);
    free(entries);
    return result;
}

/* A token that a key names; an extra one is only in a list of others. */
static enum err add_if_new(struct added_tokens *all, const json_t *value, bool is_extra, const char *key,
                           const char *name)
{
    struct added_token token;
    TRY(read_named(value, key, &token, name));
    struct added_token *same = find(all, token.text);
    if (same) {
        same->special = same->special || (same->listed && !is_extra);
        return ERR_NONE;
    }
    return add(all, token, name);
}

/* Keys of a document that end in _token and are none of the named ones: those whose value is a text, or those with an object. */
static enum err add_other_named(struct added_tokens *all, const json_t *document, bool texts, bool objects,
                                const char *name)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)document, key, value)
    {
        bool wanted =
            (texts && json_is_string(value)) || (objects && json_is_string(json_object_get(value, "content")));
        if (wanted && str_ends(str_of(key), STR("_token")) && !is_named(key)) {
            TRY(add_if_new(all, value, false, key, name));
        }
    }
    return ERR_NONE;
}

static enum err add_values(struct added_tokens *all, const json_t *object, const char *name)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        TRY(add_if_new(all, value, false, key, name));
    }
    return ERR_NONE;
}

static enum err add_named(struct added_tokens *all, const struct settings *s)
{
    const char *name;
    for (int i = 0; i < N_NAMED; i++) {
        const json_t *value = setting(s, named_keys[i], &name);
        if (value) {
            TRY(add_if_new(all, value, false, named_keys[i], name));
        }
    }
    TRY(add_other_named(all, s->config, false, true, s->config_name));
    TRY(add_other_named(all, s->map, true, true, s->map_name));
    TRY(add_other_named(all, s->config, true, false, s->config_name));
    TRY(add_values(all, json_object_get(s->config, "model_specific_special_tokens"), s->config_name));
    TRY(add_values(all, json_object_get(s->config, extra_key), s->config_name)); /* an object of names */
    return add_values(all, json_object_get(s->map, extra_key), s->map_name);
}

static enum err add_list(struct added_tokens *all, const json_t *list, const char *key, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        TRY(add_if_new(all, json_array_get(list, i), true, key, name));
    }
    return ERR_NONE;
}

/* A list of the config hides the older key of the map, not the newer. */
static enum err add_extra(struct added_tokens *all, const struct settings *s)
{
    TRY(add_list(all, s->extra[0], extra_key, s->config_name));
    TRY(add_list(all, s->extra[1], extra_key, s->map_name));
    return s->extra[0] || s->extra[1]
               ? ERR_NONE
               : add_list(all, json_object_get(s->map, older_extra_key), older_extra_key, s->map_name);
}

static enum err read_all(struct added_tokens *all, const struct tokenizer_files *files, const char *path)
{
    struct settings s = {.config = files->config};
    bool split = false;
    TRY(add_own(all, json_object_get(files->tokenizer, "added_tokens"), path));
    TRY(file_join(s.config_name, sizeof s.config_name, files->folder, "tokenizer_config.json"));
    TRY(file_join(s.map_name, sizeof s.map_name, files->folder, "special_tokens_map.json"));
    TRY(json_want_bool(s.config, "split_special_tokens", s.config_name, &split));
    if (split) {
        return err_set(ERR_FORMAT, "%s: split_special_tokens is not supported", s.config_name);
    }
    const json_t *decoder = json_object_get(files->config, "added_tokens_decoder");
    s.map = decoder ? NULL : files->map;
    s.extra[0] = json_object_get(s.config, extra_key) ? json_object_get(s.config, extra_key)
                                                      : json_object_get(s.config, older_extra_key);
    s.extra[1] = json_object_get(s.map, extra_key);
    if (decoder) {
        TRY(add_decoder(all, &s, decoder));
    }
    for (int i = 0; !decoder && i < all->n; i++) {
        all->items[i].listed = true;
    }
    if (!decoder && files->added) {
        TRY(add_legacy(all, &s, files->added, files->folder));
    }
    TRY(add_named(all, &s));
    return add_extra(all, &s);
}

enum err added_tokens_read(struct added_tokens *out, const struct tokenizer_files *files, const char *path)
{
    const json_t *vocab = json_object_get(json_object_get(files->tokenizer, "model"), "vocab");
    *out = (struct added_tokens){
        .vocab = vocab, .n_vocab = (int64_t)json_object_size(vocab), .most = -1, .by_text = json_object()};
    return read_all(out, files, path);
}

void added_tokens_release(struct added_tokens *added)
{
    free(added->items);
    json_decref(added->by_text);
    *added = (struct added_tokens){0};
}

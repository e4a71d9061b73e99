/* model/shards.c - files, names, and what is not used.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/shards.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"

#define MOST_SHARDS      512
#define INDEX_MOST_BYTES ((size_t)64 << 20)

/* ---- files ---- */

static enum err open_shard(struct shards *s, const char *name)
{
    char path[FILE_PATH_BYTES];
    TRY(file_join(path, sizeof path, s->folder, name));
    s->files = mem_grow(s->files, (size_t)(s->n_files + 1) * sizeof *s->files);
    s->paths = mem_grow(s->paths, (size_t)(s->n_files + 1) * sizeof *s->paths);
    TRY(safetensors_open(&s->files[s->n_files], path));
    s->paths[s->n_files++] = mem_strdup(path);
    return ERR_NONE;
}

/* Each file that the index names, once, in the order of first mention. */
static enum err open_shards(struct shards *s, const json_t *map, const char *index_path)
{
    const char *seen[MOST_SHARDS], *key;
    json_t *value;
    int n = 0;
    if (!json_is_object(map)) {
        return err_set(ERR_FORMAT, "%s: 'weight_map' is missing", index_path);
    }
    json_object_foreach((json_t *)(uintptr_t)map, key, value)
    {
        const char *name = json_string_value(value);
        if (!name || strchr(name, '/') || strcmp(name, "..") == 0) {
            return err_set(ERR_FORMAT, "%s: '%s' names no file of this folder", index_path, key);
        }
        int i = 0;
        while (i < n && strcmp(seen[i], name) != 0) {
            i++;
        }
        if (i == MOST_SHARDS) {
            return err_set(ERR_LIMIT, "%s: more than %d files", index_path, MOST_SHARDS);
        }
        if (i == n) {
            seen[n++] = name;
            TRY(open_shard(s, name));
        }
    }
    return ERR_NONE;
}

static enum err open_files(struct shards *s)
{
    TRY(file_join(s->path, sizeof s->path, s->folder, "model.safetensors"));
    if (file_exists(s->path)) {
        return open_shard(s, "model.safetensors");
    }
    TRY(file_join(s->path, sizeof s->path, s->folder, "model.safetensors.index.json"));
    if (!file_exists(s->path)) {
        return err_set(ERR_IO, "%s: neither model.safetensors nor model.safetensors.index.json is there", s->folder);
    }
    json_t *index;
    TRY(json_parse_file(&index, s->path, INDEX_MOST_BYTES));
    enum err result = open_shards(s, json_object_get(index, "weight_map"), s->path);
    json_decref(index);
    return result;
}

static enum err add_names(struct shards *s)
{
    size_t n = 0;
    for (int f = 0; f < s->n_files; f++) {
        n += (size_t)s->files[f].n;
    }
    s->views = mem_alloc((n + 1) * sizeof(struct tensor_view *));
    for (int f = 0; f < s->n_files; f++) {
        for (int i = 0; i < s->files[f].n; i++) {
            struct tensor_view *t = &s->files[f].tensors[i];
            if (!names_add(&s->names, t->name)) {
                return err_set(ERR_FORMAT, "%s: tensor '%s' is in another file of the model, too", s->paths[f],
                               t->name);
            }
            s->views[s->names.n - 1] = t;
        }
    }
    return ERR_NONE;
}

enum err shards_open(struct shards *out, const char *folder)
{
    size_t length = strlen(folder);
    *out = (struct shards){0};
    if (length >= sizeof out->folder) {
        return err_set(ERR_LIMIT, "path too long: %s", folder);
    }
    memcpy(out->folder, folder, length + 1);
    TRY(open_files(out));
    return add_names(out);
}

void shards_close(struct shards *s)
{
    for (int i = 0; i < s->n_files; i++) {
        safetensors_close(&s->files[i]);
        free(s->paths[i]);
    }
    free(s->files);
    free(s->paths);
    free(s->views);
    names_release(&s->names);
    *s = (struct shards){0};
}

const struct tensor_view *shards_find(const struct shards *s, const char *name)
{
    int i = names_find(&s->names, name);
    return i < 0 ? NULL : s->views[i];
}

/* ---- what is not used ---- */

/* Marks the tensors of a part, by number. */
static enum err mark_used(const struct shards *s, const struct model_config *config, const struct params *params,
                          const struct param_part *part, bool *used)
{
    struct shard_rows rows;
    TRY(shards_find_rows(&rows, s, config, params, part));
    used[names_find(&s->names, rows.tensor->name)] = true;
    if (rows.scales) {
        used[names_find(&s->names, rows.scales->name)] = true;
    }
    return ERR_NONE;
}

/* Tensors that change nothing in the result: tables that old checkpoints carry along, and the copy of a tied head. */
static bool is_harmless(const char *name, const struct model_config *config)
{
    return str_ends(str_of(name), STR("rotary_emb.inv_freq")) || (config->tied && strcmp(name, "lm_head.weight") == 0);
}

/* The layer's number in a name such as model.layers.61.enorm.weight; -1: it is outside layers. */
static int layer_of(const char *name)
{
    int layer = -1, length = 0;
    return sscanf(name, "model.layers.%6d.%n", &layer, &length) == 1 && length > 0 ? layer : -1;
}

/* Whether a layer is one that predicts a token more (multi-token prediction): it follows the others, and has a projection that they
 * have not. */
static bool predicts_more(const struct shards *s, const struct model_config *config, int layer)
{
    static const char *const own[] = {"eh_proj.weight", "enorm.weight", "hnorm.weight", "shared_head.norm.weight"};
    char name[64];
    bool found = false;
    for (size_t i = 0; i < sizeof own / sizeof *own && layer >= config->n_layers; i++) {
        snprintf(name, sizeof name, "model.layers.%d.%s", layer, own[i]);
        found = found || names_find(&s->names, name) >= 0;
    }
    return found && config->mla.kv_rank > 0;
}

static enum err check_unused(const struct shards *s, const struct model_config *config, const bool *used)
{
    for (int i = 0; i < s->names.n; i++) {
        const char *name = s->names.texts[i];
        if (used[i] || is_harmless(name, config)) {
            continue;
        }
        if (!predicts_more(s, config, layer_of(name))) {
            return err_set(ERR_FORMAT, "%s: the tensor '%s' has no place in a model of its config.json", s->folder,
                           name);
        }
        log_message_once(LOG_INFO, "%s: layer %d is not read: it predicts one token more (multi-token prediction)",
                         s->folder, layer_of(name));
    }
    return ERR_NONE;
}

enum err shards_check_unused(const struct shards *s, const struct model_config *config, const struct params *params)
{
    bool *used = mem_zero((size_t)(s->names.n + 1) * sizeof *used);
    enum err result = ERR_NONE;
    for (int i = 0; result == ERR_NONE && i < params->n_parts; i++) {
        result = mark_used(s, config, params, &params->parts[i], used);
    }
    if (result == ERR_NONE) {
        result = check_unused(s, config, used);
    }
    free(used);
    return result;
}

/* ---- an index alone ---- */

/* Marks the tensors that a part may be read from, by number; the part itself may be missing. */
static enum err mark_named(const struct shards *s, const struct param_part *part, bool *used)
{
    char name[TENSOR_NAME_BYTES];
    int i = names_find(&s->names, part->name);
    if (i < 0 && shards_stack_name(part, name, sizeof name)) {
        i = names_find(&s->names, name);
    }
    if (i < 0) {
        return err_set(ERR_FORMAT, "%s: the tensor '%s' is missing; is config.json of another model?", s->folder,
                       part->name);
    }
    used[i] = true;
    snprintf(name, sizeof name, "%s_scale_inv", s->names.texts[i]);
    i = names_find(&s->names, name);
    if (i >= 0) {
        used[i] = true;
    }
    return ERR_NONE;
}

static enum err check_named(const struct shards *s, const struct model_config *config, const struct params *params)
{
    bool *used = mem_zero((size_t)(s->names.n + 1) * sizeof *used);
    enum err result = ERR_NONE;
    for (int i = 0; result == ERR_NONE && i < params->n_parts; i++) {
        result = mark_named(s, &params->parts[i], used);
    }
    result = result == ERR_NONE ? check_unused(s, config, used) : result;
    free(used);
    return result;
}

enum err shards_check_index(struct shard_index *out, const char *path, const struct model_config *config,
                            const struct params *params)
{
    struct shards s = {0};
    const char *key;
    json_t *index, *value;
    snprintf(s.folder, sizeof s.folder, "%s", path); /* what opens its sentences */
    TRY(json_parse_file_of_reals(&index, path, INDEX_MOST_BYTES));
    json_t *map = json_object_get(index, "weight_map");
    json_object_foreach(map, key, value)
    {
        BUG_ON(!names_add(&s.names, key)); /* the keys of a JSON object, which differ */
    }
    *out = (struct shard_index){s.names.n,
                                json_number_value(json_object_get(json_object_get(index, "metadata"), "total_size"))};
    enum err result = json_is_object(map) ? check_named(&s, config, params)
                                          : err_set(ERR_FORMAT, "%s: 'weight_map' is missing", path);
    names_release(&s.names);
    json_decref(index);
    return result;
}

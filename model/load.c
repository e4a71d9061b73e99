/* model/load.c - folders in the Hugging Face layout; GGUF files are handed to gguf_model.
 *
 * Weights are read through a mapping, a few rows at a time, and the pages are handed back as they are used: the memory beside the
 * weights stays small.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/load.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "model/finite.h"
#include "model/gguf_model.h"
#include "model/safetensors.h"

#define MOST_SHARDS 512
#define ROW_FLOATS  (1 << 18) /* floats converted at once */

struct load {
    bool is_gguf;
    struct gguf gguf;
    char folder[FILE_PATH_BYTES]; /* from here on: of a folder */
    struct model_config config;
    struct safetensors *files;
    int n_files;
};

static enum err open_shard(struct load *load, const char *name)
{
    char path[FILE_PATH_BYTES];
    TRY(file_join(path, sizeof path, load->folder, name));
    load->files = mem_grow(load->files, (size_t)(load->n_files + 1) * sizeof *load->files);
    TRY(safetensors_open(&load->files[load->n_files], path));
    load->n_files++;
    return ERR_NONE;
}

/* Each file that the index names, once, in the order of first mention. */
static enum err open_shards(struct load *load, const json_t *map, const char *index_path)
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
            TRY(open_shard(load, name));
        }
    }
    return ERR_NONE;
}

static enum err open_files(struct load *load)
{
    char path[FILE_PATH_BYTES];
    TRY(model_config_open(&load->config, load->folder));
    TRY(file_join(path, sizeof path, load->folder, "model.safetensors"));
    if (file_exists(path)) {
        return open_shard(load, "model.safetensors");
    }
    TRY(file_join(path, sizeof path, load->folder, "model.safetensors.index.json"));
    if (!file_exists(path)) {
        return err_set(ERR_IO, "%s: neither model.safetensors nor model.safetensors.index.json is there", load->folder);
    }
    json_t *index;
    TRY(json_parse_file(&index, path, (size_t)64 << 20));
    enum err result = open_shards(load, json_object_get(index, "weight_map"), path);
    json_decref(index);
    return result;
}

static const struct tensor_view *find_tensor(const struct load *load, const char *name)
{
    const struct tensor_view *found = NULL;
    for (int i = 0; i < load->n_files && !found; i++) {
        found = safetensors_find(&load->files[i], name);
    }
    return found;
}

/* Whether two tensors hold the same numbers, in whatever format. */
static bool same_numbers(const struct tensor_view *a, const struct tensor_view *b)
{
    enum { BLOCK = 4096 };
    float x[BLOCK], y[BLOCK];
    if (a->n_dims != 2 || b->n_dims != 2 || a->shape[0] != b->shape[0] || a->shape[1] != b->shape[1] ||
        a->dtype == DTYPE_OTHER || b->dtype == DTYPE_OTHER) {
        return false;
    }
    if (a->dtype == b->dtype) {
        return memcmp(a->data, b->data, a->bytes) == 0;
    }
    uint64_t n = (uint64_t)a->shape[0] * (uint64_t)a->shape[1];
    for (uint64_t at = 0; at < n; at += BLOCK) {
        uint64_t part = n - at < BLOCK ? n - at : BLOCK;
        tensor_to_float(a, at, part, x);
        tensor_to_float(b, at, part, y);
        if (memcmp(x, y, part * sizeof *x) != 0) {
            return false;
        }
    }
    return true;
}

/* A config.json that ties the head to the embedding, beside files that have both, and different: the files are right, as in
 * transformers 5. */
static void untie_if_different(struct load *load)
{
    const struct tensor_view *embedding = find_tensor(load, "model.embed_tokens.weight");
    const struct tensor_view *head = find_tensor(load, "lm_head.weight");
    if (load->config.tied && embedding && head && !same_numbers(embedding, head)) {
        log_warning_once(
            "%s: config.json has tie_word_embeddings: true, but lm_head.weight is not model.embed_tokens.weight; "
            "both are kept, untied, as in transformers 5",
            load->folder);
        load->config.tied = false;
    }
}

static enum err open_gguf(struct load *load, const char *path)
{
    size_t length = strlen(path);
    if (length > 5 && strcmp(path + length - 5, ".yaml") == 0) {
        return err_set(ERR_USAGE, "%s is a recipe; name a model, or the folder of the run that the recipe made", path);
    }
    TRY(gguf_open(&load->gguf, path));
    load->is_gguf = true;
    return gguf_model_config(&load->gguf, &load->config);
}

static enum err open_folder(struct load *load, const char *path)
{
    size_t length = strlen(path);
    if (length >= sizeof load->folder) {
        return err_set(ERR_LIMIT, "path too long: %s", path);
    }
    memcpy(load->folder, path, length + 1);
    TRY(open_files(load));
    untie_if_different(load);
    return ERR_NONE;
}

enum err load_open(struct load **out, const char *path)
{
    if (!file_exists(path)) {
        return err_set(
            ERR_IO,
            "%s: no such model; name a folder with config.json and model.safetensors, or a .gguf file. strop "
            "downloads nothing: 'huggingface-cli download ORG/NAME --local-dir FOLDER' does",
            path);
    }
    struct load *load = mem_zero(sizeof *load);
    enum err result = file_is_folder(path) ? open_folder(load, path) : open_gguf(load, path);
    if (result != ERR_NONE) {
        load_close(load);
        return result;
    }
    *out = load;
    return ERR_NONE;
}

void load_close(struct load *load)
{
    for (int i = 0; i < load->n_files; i++) {
        safetensors_close(&load->files[i]);
    }
    free(load->files);
    if (load->is_gguf) {
        gguf_close(&load->gguf);
    }
    free(load);
}

static bool has_weights(const char *folder)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json"};
    char path[FILE_PATH_BYTES];
    for (int i = 0; i < 2; i++) {
        if (file_join(path, sizeof path, folder, names[i]) == ERR_NONE && file_exists(path)) {
            return true;
        }
    }
    return false;
}

enum err load_config_of(struct model_config *out, const char *path)
{
    struct load *load;
    if (file_is_folder(path) && !has_weights(path)) {
        return model_config_open(out, path);
    }
    TRY(load_open(&load, path)); /* its tensors may correct the config */
    *out = load->config;
    load_close(load);
    return ERR_NONE;
}

enum err load_config(const struct load *load, struct model_config *out)
{
    *out = load->config;
    return ERR_NONE;
}

static enum err check_tensor(const struct load *load, const struct param_part *part, int cols,
                             const struct tensor_view *t)
{
    if (!t) {
        return err_set(ERR_FORMAT, "%s: the tensor '%s' is missing; is config.json of another model?", load->folder,
                       part->name);
    }
    if (t->dtype == DTYPE_OTHER) {
        return err_set(ERR_FORMAT, "%s: tensor '%s' is of dtype %s; F32, F16 and BF16 can be read", load->folder,
                       part->name, t->dtype_name);
    }
    int n_dims = cols ? 2 : 1;
    if (t->n_dims != n_dims || t->shape[0] != part->rows || (n_dims == 2 && t->shape[1] != cols)) {
        return err_set(ERR_FORMAT, "%s: tensor '%s' has %d dimensions (%lld, %lld), but config.json asks for (%d, %d)",
                       load->folder, part->name, t->n_dims, (long long)t->shape[0], (long long)t->shape[1], part->rows,
                       cols);
    }
    return ERR_NONE;
}

static void forget_pages(const struct tensor_view *t)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = ((uintptr_t)t->data + page - 1) / page * page;
    uintptr_t to = ((uintptr_t)t->data + t->bytes) / page * page;
    if (to > from) {
        (void)madvise((void *)from, to - from, MADV_DONTNEED); /* a wish; no harm if refused */
    }
}

/* Tensors that change nothing in the result: tables that old checkpoints carry along, and the copy of a tied head. */
static bool is_harmless(const char *name, const struct load *load)
{
    return str_ends(str_of(name), STR("rotary_emb.inv_freq")) ||
           (load->config.tied && strcmp(name, "lm_head.weight") == 0);
}

/* A parameter that is not used here means another network: its results would be silently wrong. */
static enum err check_files(const struct load *load, const struct params *params)
{
    for (int i = 0; i < params->n_parts; i++) {
        const struct param_part *part = &params->parts[i];
        TRY(check_tensor(load, part, params->table[part->param].cols, find_tensor(load, part->name)));
    }
    for (int f = 0; f < load->n_files; f++) {
        for (int i = 0; i < load->files[f].n; i++) {
            const char *name = load->files[f].tensors[i].name;
            if (!params_find(params, name) && !is_harmless(name, load)) {
                return err_set(ERR_FORMAT, "%s: the tensor '%s' has no place in a model of its config.json",
                               load->folder, name);
            }
        }
    }
    return ERR_NONE;
}

/* A few rows at a time; each number is looked at while it is at hand. A device that plans only looks. `rows` holds a block. */
static enum err load_part(const struct load *load, const struct params *params, struct device *device,
                          const struct param_part *part, float **rows)
{
    const struct param *p = &params->table[part->param];
    const struct tensor_view *t = find_tensor(load, part->name);
    uint64_t bad = 0, cols = (uint64_t)param_width(p), width = t->dtype == DTYPE_F32 ? 4 : 2;
    int block = ROW_FLOATS / (int)cols > 16 ? ROW_FLOATS / (int)cols : 16;
    *rows = mem_grow(*rows, (size_t)block * cols * sizeof **rows);
    for (int row = 0; row < part->rows; row += block) {
        int n = part->rows - row < block ? part->rows - row : block;
        uint64_t at = (uint64_t)row * cols, n_values = (uint64_t)n * cols;
        bad += not_weight_count(t->data + at * width, t->dtype, n_values);
        if (!device_plans(device)) {
            tensor_to_float(t, at, n_values, *rows);
            params_import(params, device, p, *rows, part->row + row, n);
        }
    }
    forget_pages(t);
    return not_finite_refuse(load->folder, part->name, bad, (uint64_t)part->rows * cols);
}

enum err load_weights(const struct load *load, struct params *params, struct device *device)
{
    if (load->is_gguf) {
        return gguf_model_weights(&load->gguf, &load->config, params, device);
    }
    TRY(check_files(load, params));
    float *rows = NULL;
    enum err result = ERR_NONE;
    for (int i = 0; result == ERR_NONE && i < params->n_parts; i++) {
        result = load_part(load, params, device, &params->parts[i], &rows);
    }
    free(rows);
    return result;
}

enum err load_tokenizer(const struct load *load, struct tokenizer **out)
{
    char path[FILE_PATH_BYTES];
    if (load->is_gguf) {
        return gguf_model_tokenizer(&load->gguf, out);
    }
    TRY(file_join(path, sizeof path, load->folder, "tokenizer.json"));
    if (!file_exists(path)) {
        *out = NULL;
        return ERR_NONE;
    }
    return tokenizer_open(out, path);
}

/* model/load.c - folders in the Hugging Face layout; GGUF files are handed to gguf_model.
 *
 * Weights are read through a mapping, a few rows at a time, and the pages are handed back as they are used: the memory beside the
 * weights stays small.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/load.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "model/finite.h"
#include "model/gguf_model.h"
#include "model/shards.h"

#define ROW_FLOATS (1 << 18) /* floats converted at once */

struct load {
    char *path;
    bool is_gguf;
    struct gguf gguf;
    struct model_config config;
    struct shards shards; /* of a folder */
};

/* Whether two tensors hold the same numbers, in whatever format; of 8 bits with scales it is not known. */
static bool same_numbers(const struct tensor_view *a, const struct tensor_view *b)
{
    enum { BLOCK = 4096 };
    float x[BLOCK], y[BLOCK];
    if (a->n_dims != 2 || b->n_dims != 2 || a->shape[0] != b->shape[0] || a->shape[1] != b->shape[1] ||
        a->dtype == DTYPE_OTHER || b->dtype == DTYPE_OTHER || a->dtype == DTYPE_F8_E4M3 || b->dtype == DTYPE_F8_E4M3) {
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
    const struct tensor_view *embedding = shards_find(&load->shards, "model.embed_tokens.weight");
    const struct tensor_view *head = shards_find(&load->shards, "lm_head.weight");
    if (load->config.tied && embedding && head && !same_numbers(embedding, head)) {
        log_warning_once(
            "%s: config.json has tie_word_embeddings: true, but lm_head.weight is not model.embed_tokens.weight; "
            "both are kept, untied, as in transformers 5",
            load->shards.folder);
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

static enum err open_folder(struct load *load, const char *path, bool weights)
{
    TRY(model_config_open(&load->config, path));
    if (!weights && !has_weights(path)) {
        return ERR_NONE;
    }
    TRY(shards_open(&load->shards, path)); /* its tensors may correct the config */
    untie_if_different(load);
    return ERR_NONE;
}

static enum err open_path(struct load **out, const char *path, bool weights)
{
    if (!file_exists(path)) {
        return err_set(
            ERR_IO,
            "%s: no such model; name a folder with config.json and model.safetensors, or a .gguf file. strop "
            "downloads nothing: 'huggingface-cli download ORG/NAME --local-dir FOLDER' does",
            path);
    }
    struct load *load = mem_zero(sizeof *load);
    load->path = mem_strdup(path);
    enum err result = file_is_folder(path) ? open_folder(load, path, weights) : open_gguf(load, path);
    if (result != ERR_NONE) {
        load_close(load);
        return result;
    }
    *out = load;
    return ERR_NONE;
}

enum err load_open(struct load **out, const char *path)
{
    return open_path(out, path, true);
}

enum err load_open_shape(struct load **out, const char *path)
{
    return open_path(out, path, false);
}

void load_close(struct load *load)
{
    shards_close(&load->shards);
    if (load->is_gguf) {
        gguf_close(&load->gguf);
    }
    free(load->path);
    free(load);
}

enum err load_config_of(struct model_config *out, const char *path)
{
    struct load *load;
    TRY(load_open_shape(&load, path));
    *out = load->config;
    load_close(load);
    return ERR_NONE;
}

enum err load_config(const struct load *load, struct model_config *out)
{
    *out = load->config;
    return ERR_NONE;
}

/* A few rows at a time; each number is looked at while it is at hand. A device that plans only looks. `values` holds a block. */
static enum err load_part(const struct load *load, const struct params *params, struct device *device,
                          const struct param_part *part, float **values)
{
    const struct param *p = &params->table[part->param];
    struct shard_rows rows;
    TRY(shards_find_rows(&rows, &load->shards, &load->config, params, part));
    uint64_t bad = 0, cols = (uint64_t)rows.cols;
    int block = ROW_FLOATS / rows.cols > 16 ? ROW_FLOATS / rows.cols : 16;
    *values = mem_grow(*values, (size_t)block * cols * sizeof **values);
    for (int row = 0; row < part->rows; row += block) {
        int n = part->rows - row < block ? part->rows - row : block;
        if (rows.scales || !device_plans(device)) {
            shard_rows_read(&rows, row, n, *values);
        }
        bad += shard_rows_bad(&rows, row, n, *values);
        if (!device_plans(device)) {
            params_import(params, device, p, *values, part->row + row, n);
        }
    }
    shard_rows_forget(&rows, part->rows);
    return not_finite_refuse(load->shards.folder, part->name, bad, (uint64_t)part->rows * cols);
}

enum err load_weights(const struct load *load, struct params *params, struct device *device)
{
    if (load->is_gguf) {
        return gguf_model_weights(&load->gguf, &load->config, params, device);
    }
    TRY(shards_check_unused(&load->shards, &load->config, params));
    float *values = NULL;
    enum err result = ERR_NONE;
    for (int i = 0; result == ERR_NONE && i < params->n_parts; i++) {
        result = load_part(load, params, device, &params->parts[i], &values);
    }
    free(values);
    return result;
}

enum err load_tokenizer(const struct load *load, struct tokenizer **out)
{
    char path[FILE_PATH_BYTES];
    if (load->is_gguf) {
        return gguf_model_tokenizer(&load->gguf, out);
    }
    TRY(file_join(path, sizeof path, load->path, "tokenizer.json"));
    if (!file_exists(path)) {
        *out = NULL;
        return ERR_NONE;
    }
    return tokenizer_open(out, path);
}

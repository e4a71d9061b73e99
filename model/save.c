/* model/save.c - a Hugging Face folder that others open.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "model/model.h"
#include "model/safetensors.h"

/* Files that are copied byte for byte from the folder that the model came from. */
static const char *const copied[] = {"generation_config.json",
                                     "tokenizer.json",
                                     "tokenizer_config.json",
                                     "chat_template.jinja",
                                     "vocab.json",
                                     "merges.txt",
                                     "added_tokens.json",
                                     "special_tokens_map.json",
                                     "tokenizer.model"};

static enum err copy_files(const char *from, const char *to)
{
    char source[FILE_PATH_BYTES], target[FILE_PATH_BYTES];
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) {
        TRY(file_join(source, sizeof source, from, copied[i]));
        TRY(file_join(target, sizeof target, to, copied[i]));
        if (file_exists(source)) {
            TRY(file_copy(source, target));
        }
    }
    return ERR_NONE;
}

/* The config that the model was opened with, all its keys kept, or one made of the shape. */
static enum err save_config(const struct model *model, const char *folder, const char *dtype)
{
    char path[FILE_PATH_BYTES];
    json_t *document = NULL;
    TRY(file_join(path, sizeof path, model->source, "config.json"));
    if (file_exists(path)) {
        TRY(json_parse_file(&document, path, (size_t)16 << 20));
    } else {
        document = model_config_to_json(&model->config);
    }
    const char *key = json_object_get(document, "dtype") ? "dtype" : "torch_dtype";
    json_object_set_new(document, key, json_string(dtype));
    char *text = json_dumps(document, JSON_INDENT(2));
    json_decref(document);
    BUG_ON(!text);
    enum err result = file_join(path, sizeof path, folder, "config.json");
    if (result == ERR_NONE) {
        result = file_write_atomic(path, text, strlen(text));
    }
    free(text);
    return result;
}

struct export
{
    const struct model *model;
    float *row;
};

/* n elements from `at` on: whole rows are exported one at a time, and cut. */
static void read_weight(void *context, int i, uint64_t at, uint64_t n, float *out)
{
    const struct export *e = context;
    const struct weight *w = &e->model->weights.table[i];
    const struct device *device = e->model->device;
    const void *matrix = weights_at(&e->model->weights, device, w->offset);
    uint64_t cols = w->cols ? (uint64_t)w->cols : 1;
    for (uint64_t done = 0; done < n;) {
        uint64_t row = (at + done) / cols, from = (at + done) % cols;
        uint64_t part = cols - from < n - done ? cols - from : n - done;
        device->ops->matrix_export(e->row, matrix, (int)row, 1, w->rows, (int)cols);
        memcpy(out + done, e->row + from, part * sizeof *out);
        done += part;
    }
}

enum err model_save(const struct model *model, const char *folder, const char *dtype)
{
    char path[FILE_PATH_BYTES];
    bool whole = strcmp(dtype, "float32") == 0;
    BUG_ON(!whole && strcmp(dtype, "bfloat16") != 0);
    TRY(save_config(model, folder, dtype));
    TRY(copy_files(model->source, folder));
    TRY(file_join(path, sizeof path, folder, "model.safetensors"));
    const struct weights *w = &model->weights;
    struct tensor_source *sources = mem_zero((size_t)w->n_tensors * sizeof *sources);
    int widest = 1;
    for (int i = 0; i < w->n_tensors; i++) {
        sources[i] =
            (struct tensor_source){w->table[i].name, w->table[i].cols ? 2 : 1, {w->table[i].rows, w->table[i].cols}};
        widest = w->table[i].cols > widest ? w->table[i].cols : widest;
    }
    struct export export = {model, mem_alloc((size_t)widest * sizeof(float))};
    enum err result =
        safetensors_write(path, sources, w->n_tensors, whole ? DTYPE_F32 : DTYPE_BF16, read_weight, &export);
    free(export.row);
    free(sources);
    return result;
}

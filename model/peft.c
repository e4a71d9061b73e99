/* model/peft.c - an adapter's two files, in and out.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/peft.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "model/adapter.h"
#include "model/end_tokens.h"
#include "model/finite.h"
#include "model/safetensors.h"
#include "model/save.h"
#include "model/tokenizer.h"

#define CONFIG  "adapter_config.json"
#define WEIGHTS "adapter_model.safetensors"
#define MOST_R  65536

/* ---- adapter_config.json ---- */

static bool has(const char *folder, const char *name)
{
    char path[FILE_PATH_BYTES];
    return file_join(path, sizeof path, folder, name) == ERR_NONE && file_exists(path);
}

bool peft_is(const char *folder)
{
    return has(folder, CONFIG) && !has(folder, "model.safetensors") && !has(folder, "model.safetensors.index.json");
}

static bool is_nothing(const json_t *value)
{
    return !value || json_is_null(value) || json_is_false(value) ||
           (json_is_object(value) && json_object_size(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0);
}

/* Keys that change what is computed, and must say that they do not. */
static enum err check_plain(const json_t *document, const char *path)
{
    static const char *const keys[] = {"use_dora",
                                       "lora_bias",
                                       "modules_to_save",
                                       "rank_pattern",
                                       "alpha_pattern",
                                       "fan_in_fan_out",
                                       "layers_to_transform",
                                       "layers_pattern",
                                       "layer_replication",
                                       "exclude_modules",
                                       "target_parameters",
                                       "megatron_config",
                                       "use_qalora",
                                       "use_bdlora",
                                       "alora_invocation_tokens",
                                       "arrow_config",
                                       "velora_config",
                                       "trainable_token_indices"};
    const char *bias = json_string_value(json_object_get(document, "bias"));
    const char *init = json_string_value(json_object_get(document, "init_lora_weights"));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (!is_nothing(json_object_get(document, keys[i]))) {
            return err_set(ERR_FORMAT,
                           "%s: '%s' is set, which is not supported; make a whole model of it with PEFT's "
                           "merge_and_unload",
                           path, keys[i]);
        }
    }
    if (bias && strcmp(bias, "none") != 0) {
        return err_set(ERR_FORMAT, "%s: 'bias' is %s, and adapters with trained biases are not supported", path, bias);
    }
    if (init && (strncmp(init, "pissa", 5) == 0 || strcmp(init, "olora") == 0 || strcmp(init, "corda") == 0 ||
                 strcmp(init, "loftq") == 0)) {
        return err_set(ERR_FORMAT,
                       "%s: 'init_lora_weights' is %s, which changes the base; save the adapter with PEFT's "
                       "path_initial_model_for_weight_conversion",
                       path, init);
    }
    return ERR_NONE;
}

static enum err add_target(struct lora *lora, const json_t *name, const char *path)
{
    const char *text = json_string_value(name);
    unsigned bits = text ? lora_target(text) : 0;
    if (bits == 0) {
        return err_set(
            ERR_FORMAT,
            "%s: 'target_modules' has '%s'; supported are q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, "
            "down_proj and all-linear",
            path, text ? text : "what is no text");
    }
    lora->targets |= bits;
    return ERR_NONE;
}

static enum err read_targets(struct lora *lora, const json_t *document, const char *path)
{
    const json_t *targets = json_object_get(document, "target_modules");
    if (json_is_string(targets)) {
        return add_target(lora, targets, path);
    }
    if (!json_is_array(targets) || json_array_size(targets) == 0) {
        return err_set(ERR_FORMAT, "%s: 'target_modules' must be a list of names", path);
    }
    for (size_t i = 0; i < json_array_size(targets); i++) {
        TRY(add_target(lora, json_array_get(targets, i), path));
    }
    return ERR_NONE;
}

static enum err read_lora(struct lora *lora, const json_t *document, const char *path)
{
    struct str type;
    int64_t r;
    *lora = (struct lora){.alpha = 8}; /* PEFT's default */
    TRY(json_get_text(document, "peft_type", path, &type));
    if (!str_equal(type, STR("LORA"))) {
        return err_set(ERR_FORMAT, "%s: 'peft_type' is %.*s; only LORA is supported", path, (int)type.length,
                       type.data);
    }
    TRY(json_get_int(document, "r", path, &r));
    TRY(json_want_double(document, "lora_alpha", path, &lora->alpha));
    TRY(json_want_bool(document, "use_rslora", path, &lora->rslora));
    if (r < 1 || r > MOST_R) {
        return err_set(ERR_FORMAT, "%s: 'r' is %lld, and must be between 1 and %d", path, (long long)r, MOST_R);
    }
    if (!isfinite(lora->alpha)) {
        return err_set(ERR_FORMAT, "%s: 'lora_alpha' must be a number", path);
    }
    lora->r = (int)r;
    TRY(read_targets(lora, document, path));
    return check_plain(document, path);
}

/* The path as it is, or from the adapter's folder. */
static enum err find_base(struct peft *out, const json_t *document, const char *folder, const char *path)
{
    struct str name;
    TRY(json_get_text(document, "base_model_name_or_path", path, &name));
    if (name.length == 0 || name.length >= sizeof out->base) {
        return err_set(ERR_FORMAT, "%s: 'base_model_name_or_path' names no model", path);
    }
    memcpy(out->base, name.data, name.length);
    out->base[name.length] = '\0';
    if (!file_exists(out->base) && name.data[0] != '/') {
        char name_text[FILE_PATH_BYTES];
        memcpy(name_text, out->base, name.length + 1);
        TRY(file_join(out->base, sizeof out->base, folder, name_text));
    }
    if (!file_exists(out->base)) {
        return err_set(ERR_IO,
                       "%s: its base model '%.*s' is not on this machine; write the base's folder into "
                       "'base_model_name_or_path' (strop downloads nothing: 'huggingface-cli download ORG/NAME "
                       "--local-dir FOLDER' does)",
                       path, (int)name.length, name.data);
    }
    return ERR_NONE;
}

enum err peft_open(struct peft *out, const char *folder)
{
    char path[FILE_PATH_BYTES];
    json_t *document;
    TRY(file_join(path, sizeof path, folder, CONFIG));
    TRY(json_parse_file(&document, path, (size_t)1 << 20));
    enum err result = json_is_object(document) ? read_lora(&out->lora, document, path)
                                               : err_set(ERR_FORMAT, "%s: it must be a JSON object", path);
    if (result == ERR_NONE) {
        result = find_base(out, document, folder, path);
    }
    json_decref(document);
    return result;
}

/* ---- tensors ---- */

/* A part of the set as a file has it: r rows of A, r columns of B. */
static void shape_of(const struct adapter *adapter, const struct param_part *part, int *rows, int *cols)
{
    bool is_a = part->param % 2 == 0;
    *rows = is_a ? adapter->lora.r : part->rows;
    *cols = is_a ? adapter->params.table[part->param].cols : adapter->lora.r;
}

static enum err check_tensor(const struct adapter *adapter, const struct param_part *part, const struct tensor_view *t,
                             const char *path)
{
    int rows, cols;
    shape_of(adapter, part, &rows, &cols);
    if (!t) {
        return err_set(ERR_FORMAT,
                       "%s: the tensor '%s' is missing; is " CONFIG " of another adapter? (One on some layers alone "
                       "is not supported.)",
                       path, part->name);
    }
    if (t->dtype == DTYPE_OTHER || t->dtype == DTYPE_F8_E4M3) {
        return err_set(ERR_FORMAT, "%s: tensor '%s' is of dtype %s; F32, F16 and BF16 can be read", path, part->name,
                       t->dtype_name);
    }
    if (t->n_dims != 2 || t->shape[0] != rows || t->shape[1] != cols) {
        return err_set(ERR_FORMAT,
                       "%s: tensor '%s' has %d dimensions (%lld, %lld), but r and the base model ask for (%d, %d)",
                       path, part->name, t->n_dims, (long long)t->shape[0], (long long)t->shape[1], rows, cols);
    }
    return ERR_NONE;
}

static enum err check_file(const struct adapter *adapter, const struct safetensors *file, const char *path)
{
    for (int i = 0; i < adapter->params.n_parts; i++) {
        const struct param_part *part = &adapter->params.parts[i];
        TRY(check_tensor(adapter, part, safetensors_find(file, part->name), path));
    }
    for (int i = 0; i < file->n; i++) {
        if (!params_find(&adapter->params, file->tensors[i].name)) {
            return err_set(ERR_FORMAT, "%s: the tensor '%s' has no place in an adapter of " CONFIG " on its base model",
                           path, file->tensors[i].name);
        }
    }
    return ERR_NONE;
}

static enum err read_part(const struct adapter *adapter, struct device *device, const struct param_part *part,
                          const struct tensor_view *t, const char *path)
{
    const struct param *p = &adapter->params.table[part->param];
    int rows, cols;
    shape_of(adapter, part, &rows, &cols);
    uint64_t n = (uint64_t)rows * (uint64_t)cols, bad = not_weight_count(t->data, t->dtype, n);
    if (!device_plans(device)) {
        float *padded = mem_zero((size_t)part->rows * (size_t)p->cols * sizeof *padded);
        for (int row = 0; row < rows; row++) {
            tensor_to_float(t, (uint64_t)row * (uint64_t)cols, (uint64_t)cols, padded + (size_t)row * (size_t)p->cols);
        }
        params_import(&adapter->params, device, p, padded, part->row, part->rows);
        free(padded);
    }
    return not_finite_refuse(path, part->name, bad, n);
}

static enum err read_tokenizer(struct model *model, const char *folder)
{
    char path[FILE_PATH_BYTES];
    struct tokenizer *own;
    TRY(file_join(path, sizeof path, folder, "tokenizer.json"));
    if (!file_exists(path)) {
        return ERR_NONE;
    }
    TRY(tokenizer_open(&own, path));
    if (model->tokenizer) {
        tokenizer_free(model->tokenizer);
    }
    model->tokenizer = own;
    end_tokens_add_tokenizer(&model->config, own, folder);
    return ERR_NONE;
}

enum err peft_read(struct model *model, const char *folder)
{
    char path[FILE_PATH_BYTES];
    struct safetensors file;
    struct adapter *adapter = model->adapter;
    TRY(file_join(path, sizeof path, folder, WEIGHTS));
    if (!file_exists(path)) {
        return err_set(ERR_IO, "%s is missing%s", path,
                       has(folder, "adapter_model.bin") ? "; adapter_model.bin is not read: save it as safetensors"
                                                        : "");
    }
    TRY(safetensors_open(&file, path));
    enum err result = check_file(adapter, &file, path);
    for (int i = 0; result == ERR_NONE && i < adapter->params.n_parts; i++) {
        const struct param_part *part = &adapter->params.parts[i];
        result = read_part(adapter, model->device, part, safetensors_find(&file, part->name), path);
    }
    safetensors_close(&file);
    return result == ERR_NONE ? read_tokenizer(model, folder) : result;
}

/* ---- writing ---- */

/* Tensor `part` as the file has it. */
struct export
{
    const struct model *model;
    int part;
    float *rows;
    uint64_t bad; /* numbers of `broken` that are not finite */
    const struct param_part *broken;
};

static void export_part(struct export *e, int i)
{
    const struct adapter *adapter = e->model->adapter;
    const struct param_part *part = &adapter->params.parts[i];
    const struct param *p = &adapter->params.table[part->param];
    int rows, cols;
    shape_of(adapter, part, &rows, &cols);
    e->rows = mem_grow(e->rows, (size_t)part->rows * (size_t)p->cols * sizeof *e->rows);
    params_export(&adapter->params, e->model->device, p, e->rows, part->row, part->rows);
    for (int row = 1; row < rows && cols < p->cols; row++) {
        memmove(e->rows + (size_t)row * (size_t)cols, e->rows + (size_t)row * (size_t)p->cols,
                (size_t)cols * sizeof(float));
    }
    uint64_t bad = not_finite_count(e->rows, DTYPE_F32, (uint64_t)rows * (uint64_t)cols);
    if (bad > 0 && !e->broken) {
        e->bad = bad;
        e->broken = part;
    }
    e->part = i;
}

static void give(void *context, int i, uint64_t at, uint64_t n, float *out)
{
    struct export *e = context;
    if (e->part != i) {
        export_part(e, i);
    }
    memcpy(out, e->rows + at, n * sizeof *out);
}

static enum err save_tensors(const struct model *model, const char *folder, const char *dtype)
{
    const struct adapter *adapter = model->adapter;
    const struct params *set = &adapter->params;
    char path[FILE_PATH_BYTES];
    TRY(file_join(path, sizeof path, folder, WEIGHTS));
    struct tensor_source *sources = mem_zero((size_t)set->n_parts * sizeof *sources);
    for (int i = 0; i < set->n_parts; i++) {
        int rows, cols;
        shape_of(adapter, &set->parts[i], &rows, &cols);
        sources[i] = (struct tensor_source){.name = set->parts[i].name, .n_dims = 2, .shape = {rows, cols}};
    }
    struct export export = {.model = model, .part = -1};
    enum tensor_dtype type = strcmp(dtype, "float32") == 0 ? DTYPE_F32 : DTYPE_BF16;
    enum err result = safetensors_write(path, sources, set->n_parts, type, give, &export);
    free(export.rows);
    free(sources);
    if (result == ERR_NONE && export.broken) {
        unlink(path);
        result = err_set(ERR_NUMBERS, "%s is not saved: %llu numbers of tensor '%s' are not finite (NaN or infinity)",
                         path, (unsigned long long)export.bad, export.broken->name);
    }
    return result;
}

static json_t *config_of(const struct model *model)
{
    const struct lora *lora = &model->adapter->lora;
    char *path = model->base ? realpath(model->base, NULL) : NULL;
    json_t *base = json_string(path ? path : model->base ? model->base : "");
    if (!base) {
        log_warning("%s: is no UTF-8, so " CONFIG " cannot name it; its base_model_name_or_path is empty", model->base);
        base = json_string("");
    }
    json_t *document =
        json_pack("{s:s, s:s, s:o, s:b, s:i, s:f, s:s, s:b, s:b, s:b, s:b, s:n, s:{}, s:{}, s:n}", "peft_type", "LORA",
                  "task_type", "CAUSAL_LM", "base_model_name_or_path", base, "inference_mode", true, "r", lora->r,
                  "lora_dropout", 0.0, "bias", "none", "use_rslora", lora->rslora, "use_dora", false, "fan_in_fan_out",
                  false, "init_lora_weights", true, "modules_to_save", "rank_pattern", "alpha_pattern", "revision");
    BUG_ON(!document);
    bool whole = lora->alpha == floor(lora->alpha) && fabs(lora->alpha) < 1e9;
    json_object_set_new(document, "lora_alpha", whole ? json_integer((json_int_t)lora->alpha) : json_real(lora->alpha));
    json_t *targets = json_array();
    unsigned bit;
    for (int i = 0; lora_target_name(i, &bit); i++) {
        if (lora->targets & bit) {
            json_array_append_new(targets, json_string(lora_target_name(i, &bit)));
        }
    }
    json_object_set_new(document, "target_modules", targets);
    free(path);
    return document;
}

enum err peft_save(const struct model *model, const char *folder, const char *dtype)
{
    json_t *document = config_of(model);
    enum err result = save_json(document, folder, CONFIG);
    json_decref(document);
    return result == ERR_NONE ? save_tensors(model, folder, dtype) : result;
}

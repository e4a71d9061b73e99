/* model/gguf_model.c - config and weights.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/gguf_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"
#include "model/finite.h"

#define ROW_FLOATS (1 << 18) /* floats dequantised at once */

/* ---- config: as a config.json, so that it passes the same checks ---- */

static void key_of(const struct gguf_builder *b, const char *name, char *out, size_t capacity)
{
    snprintf(out, capacity, "%.*s.%s", (int)b->architecture.length, b->architecture.data, name);
}

enum err gguf_copy_int(const struct gguf_builder *b, const char *name, const char *to, bool needed)
{
    char key[128];
    int64_t value = INT64_MIN;
    key_of(b, name, key, sizeof key);
    TRY(gguf_want_int(b->file, key, &value));
    if (value != INT64_MIN) {
        json_object_set_new(b->document, to, json_integer(value));
    } else if (needed) {
        return err_set(ERR_FORMAT, "%s: the key '%s' is missing", b->file->path, key);
    }
    return ERR_NONE;
}

enum err gguf_copy_double(const struct gguf_builder *b, const char *name, json_t *object, const char *to)
{
    char key[128];
    double value = NAN;
    key_of(b, name, key, sizeof key);
    TRY(gguf_want_double(b->file, key, &value));
    if (!isnan(value) && !isinf(value)) {
        json_object_set_new(object, to, json_real(value));
    }
    return ERR_NONE;
}

/* Refuses a key whose value is another number than `allowed`. */
static enum err refuse_unless(const struct gguf_builder *b, const char *name, int64_t allowed)
{
    char key[128];
    int64_t value = allowed;
    key_of(b, name, key, sizeof key);
    TRY(gguf_want_int(b->file, key, &value));
    return value == allowed
               ? ERR_NONE
               : err_set(ERR_FORMAT, "%s: '%s' is %lld, which is not supported", b->file->path, key, (long long)value);
}

static enum err build_sizes(const struct gguf_builder *b)
{
    const struct gguf_tensor *embedding = gguf_find_tensor(b->file, "token_embd.weight");
    if (!embedding) {
        return err_set(ERR_FORMAT, "%s: the tensor 'token_embd.weight' is missing", b->file->path);
    }
    json_object_set_new(b->document, "vocab_size", json_integer(embedding->ne[1]));
    json_object_set_new(b->document, "tie_word_embeddings", json_boolean(!gguf_find_tensor(b->file, "output.weight")));
    TRY(gguf_copy_int(b, "block_count", "num_hidden_layers", true));
    TRY(gguf_copy_int(b, "embedding_length", "hidden_size", true));
    TRY(gguf_copy_int(b, "feed_forward_length", "intermediate_size", true));
    TRY(gguf_copy_int(b, "attention.head_count", "num_attention_heads", true));
    TRY(gguf_copy_int(b, "attention.head_count_kv", "num_key_value_heads", false));
    TRY(gguf_copy_int(b, "context_length", "max_position_embeddings", true));
    TRY(gguf_copy_int(b, "attention.key_length", "head_dim", false));
    TRY(gguf_copy_double(b, "attention.layer_norm_rms_epsilon", b->document, "rms_norm_eps"));
    if (!json_object_get(b->document, "rms_norm_eps")) {
        return err_set(ERR_FORMAT, "%s: the key 'attention.layer_norm_rms_epsilon' is missing", b->file->path);
    }
    TRY(gguf_build_experts(b));
    return refuse_unless(b, "attention.sliding_window", 0);
}

/* rope_freqs.weight holds what each frequency is divided by: 1 for the fast pairs, the factor for the slow ones. All models that
 * have one were made with 1, 4 and 8192 for the other parameters; whether that is so here is checked, not believed. */
static enum err build_llama3(const struct gguf_builder *b, const struct gguf_tensor *divisors, json_t *scaling)
{
    int half = (int)divisors->ne[0];
    double theta = 10000, scale, plain[512], scaled[512];
    float values[512];
    if (divisors->n_dims != 1 || half < 1 || half > 512 || divisors->type->block != 1) {
        return err_set(ERR_FORMAT, "%s: 'rope_freqs.weight' has an impossible shape", b->file->path);
    }
    TRY(json_want_double(b->document, "rope_theta", b->file->path, &theta));
    dequantise(divisors->type, divisors->data, (uint64_t)half, values);
    struct rope_config rope = {.theta = theta,
                               .factor = (double)values[half - 1],
                               .low_freq_factor = 1,
                               .high_freq_factor = 4,
                               .original_max_positions = 8192};
    rope_frequencies(&rope, 2 * half, plain, &scale);
    rope.type = ROPE_LLAMA3;
    rope_frequencies(&rope, 2 * half, scaled, &scale);
    for (int i = 0; i < half; i++) {
        if (!(fabs(plain[i] / scaled[i] - (double)values[i]) <= 1e-4 * fabs((double)values[i]))) {
            return err_set(ERR_FORMAT, "%s: the divisors in 'rope_freqs.weight' are not those of llama3 scaling",
                           b->file->path);
        }
    }
    json_object_set_new(scaling, "rope_type", json_string("llama3"));
    json_object_set_new(scaling, "factor", json_real(rope.factor));
    json_object_set_new(scaling, "low_freq_factor", json_real(1));
    json_object_set_new(scaling, "high_freq_factor", json_real(4));
    json_object_set_new(scaling, "original_max_position_embeddings", json_integer(8192));
    return ERR_NONE;
}

/* The keys as llama.cpp reads them: without a type the scaling is linear, an old key names its factor, 0 is none. */
static enum err read_scaling(const struct gguf_builder *b, struct str *type, double *factor, double *attention)
{
    static const char *const keys[] = {"rope.scale_linear",
                                       "rope.scaling.factor"}; /* the second counts, if it is there */
    char key[128];
    key_of(b, "rope.scaling.type", key, sizeof key);
    TRY(gguf_want_text(b->file, key, type));
    for (int i = 0; i < 2; i++) {
        key_of(b, keys[i], key, sizeof key);
        TRY(gguf_want_double(b->file, key, factor));
    }
    key_of(b, "rope.scaling.attn_factor", key, sizeof key);
    TRY(gguf_want_double(b->file, key, attention));
    if (str_equal(*type, STR("none")) || (*factor >= 0 && *factor <= 0)) {
        *factor = 1;
    }
    return ERR_NONE;
}

static bool is_one(double x)
{
    return x >= 1 && x <= 1;
}

/* Of latent attention: 0.1 mscale_all_dim. The other mscale is not in the file, and equal. */
static enum err build_yarn_of_latents(const struct gguf_builder *b, json_t *scaling)
{
    if (json_object_get(b->document, "kv_lora_rank")) {
        TRY(gguf_copy_double(b, "rope.scaling.yarn_log_multiplier", scaling, "mscale_all_dim"));
        double all = 10 * json_real_value(json_object_get(scaling, "mscale_all_dim"));
        json_object_set_new(scaling, "mscale", json_real(all));
        json_object_set_new(scaling, "mscale_all_dim", json_real(all));
    }
    return ERR_NONE;
}

/* rope_type and factor; the attention factor of yarn is what yarn makes of its factor times that of the file. */
static enum err build_scaling(const struct gguf_builder *b, struct str type, double factor, double attention,
                              json_t *scaling)
{
    if (json_object_set_new(scaling, "rope_type", json_stringn(type.data, type.length)) != 0 ||
        json_object_set_new(scaling, "factor", json_real(factor)) != 0) {
        return err_set(ERR_FORMAT, "%s: 'rope.scaling.type' is not UTF-8, or the factor is no number", b->file->path);
    }
    TRY(gguf_copy_double(b, "rope.scaling.original_context_length", scaling, "original_max_position_embeddings"));
    TRY(gguf_copy_double(b, "rope.scaling.yarn_beta_fast", scaling, "beta_fast"));
    TRY(gguf_copy_double(b, "rope.scaling.yarn_beta_slow", scaling, "beta_slow"));
    TRY(build_yarn_of_latents(b, scaling));
    if (!is_one(attention) &&
        json_object_set_new(scaling, "attention_factor",
                            json_real(attention * (factor > 1 ? 0.1 * log(factor) + 1 : 1))) != 0) {
        return err_set(ERR_FORMAT, "%s: 'rope.scaling.attn_factor' is no number", b->file->path);
    }
    return ERR_NONE;
}

static enum err build_rope(const struct gguf_builder *b)
{
    struct str type = STR("linear");
    double factor = 1, attention = 1;
    json_t *scaling = json_object();
    json_object_set_new(b->document, "rope_scaling", scaling);
    TRY(gguf_copy_double(b, "rope.freq_base", b->document, "rope_theta"));
    TRY(read_scaling(b, &type, &factor, &attention));
    const struct gguf_tensor *divisors = gguf_find_tensor(b->file, "rope_freqs.weight");
    bool plain = is_one(factor) && (str_equal(type, STR("linear")) || str_equal(type, STR("none")));
    if (!is_one(attention) && !str_equal(type, STR("yarn"))) {
        return err_set(ERR_FORMAT, "%s: 'rope.scaling.attn_factor' is %g; only with yarn can it be other than 1",
                       b->file->path, attention);
    }
    if (divisors && !plain) {
        return err_set(ERR_FORMAT, "%s: 'rope_freqs.weight' together with rope.scaling.factor %g is not supported",
                       b->file->path, factor);
    }
    if (divisors) {
        return build_llama3(b, divisors, scaling);
    }
    return plain ? ERR_NONE : build_scaling(b, type, factor, attention, scaling);
}

static enum err build_tokens(const struct gguf_builder *b)
{
    json_t *eos = json_array();
    json_object_set_new(b->document, "eos_token_id", eos);
    TRY(gguf_end_tokens(b->file, eos));
    if (json_array_size(eos) == 0) {
        json_object_set_new(b->document, "eos_token_id", json_null());
    }
    int64_t bos = -1;
    TRY(gguf_want_int(b->file, "tokenizer.ggml.bos_token_id", &bos));
    json_object_set_new(b->document, "bos_token_id", bos >= 0 ? json_integer(bos) : json_null());
    return ERR_NONE;
}

/* The rotation must cover whole heads, and keys and values must be as wide, but for latents. */
static enum err check_heads(const struct gguf_builder *b, const struct model_config *config)
{
    if (config->mla.kv_rank > 0) {
        return ERR_NONE;
    }
    TRY(refuse_unless(b, "rope.dimension_count", config->D));
    return refuse_unless(b, "attention.value_length", config->D);
}

static enum err build(struct gguf_builder *b, struct model_config *out)
{
    int64_t parts = 1;
    TRY(gguf_want_int(b->file, "split.count", &parts));
    if (parts > 1) {
        return err_set(ERR_FORMAT, "%s: is one of %lld parts; join them with llama-gguf-split --merge", b->file->path,
                       (long long)parts);
    }
    TRY(gguf_want_text(b->file, "general.architecture", &b->architecture));
    json_t *type = json_stringn(b->architecture.data, b->architecture.length);
    if (b->architecture.length == 0 || b->architecture.length > 64 || !type) {
        json_decref(type);
        return err_set(ERR_FORMAT, "%s: the key 'general.architecture' is missing or no name", b->file->path);
    }
    json_object_set_new(b->document, "model_type", type);
    TRY(gguf_build_type(b));
    TRY(build_sizes(b));
    TRY(build_rope(b));
    TRY(build_tokens(b));
    struct model_config config;
    TRY(model_config_parse(&config, b->document, b->file->path));
    TRY(check_heads(b, &config));
    config.eos_from = "the keys and the vocabulary of the GGUF file";
    *out = config;
    return ERR_NONE;
}

enum err gguf_model_config(const struct gguf *file, struct model_config *out)
{
    struct gguf_builder b = {file, {"", 0}, json_object()};
    enum err result = build(&b, out);
    json_decref(b.document);
    return result;
}

/* ---- weights ---- */

/* Whether the file has the rows of this tensor in another order. */
static bool is_permuted(const struct model_config *config, const struct param_part *part)
{
    return config->family->gguf_permuted && (part->role == TENSOR_Q || part->role == TENSOR_K);
}

/* The row of the file that is row `row` of the checkpoint. */
static int file_row(int row, int D)
{
    int in_head = row % D, half = D / 2;
    return row - in_head + 2 * (in_head % half) + in_head / half;
}

/* Turns the tensor into fp32, a few rows at a time, and looks at each number; a device that plans only looks. */
static enum err import_part(const struct gguf *file, const struct gguf_rows *source, const struct param_part *part,
                            int permuted_D, const struct params *params, const struct device *device)
{
    const struct param *p = &params->table[part->param];
    bool vector = p->cols == 0; /* one row of the file */
    int cols = vector ? part->rows : p->cols, n_rows = vector ? 1 : part->rows;
    int block = ROW_FLOATS / cols > 16 ? ROW_FLOATS / cols : 16;
    float *rows = mem_alloc((size_t)(block < n_rows ? block : n_rows) * (size_t)cols * sizeof *rows);
    uint64_t bad = 0;
    for (int row = 0; row < n_rows; row += block) {
        int n = n_rows - row < block ? n_rows - row : block;
#pragma omp parallel for schedule(static) if (n > 1)
        for (int i = 0; i < n; i++) {
            int from = permuted_D > 0 ? file_row(row + i, permuted_D) : row + i;
            gguf_rows_read(source, from, rows + (size_t)i * (size_t)cols);
        }
        bad += not_weight_count(rows, DTYPE_F32, (uint64_t)n * (uint64_t)cols);
        if (!device_plans(device)) {
            params_import(params, device, p, rows, part->row + row, vector ? part->rows : n);
        }
    }
    free(rows);
    return not_finite_refuse(file->path, part->name, bad, (uint64_t)n_rows * (uint64_t)cols);
}

/* Every part is there, and no tensor is left over. */
static enum err check_all(const struct gguf *file, const struct model_config *config, const struct params *params)
{
    bool *used = mem_zero((size_t)file->n_tensors + 1);
    enum err result = ERR_NONE;
    int n_left = 0;
    for (int i = 0; result == ERR_NONE && i < params->n_parts; i++) {
        struct gguf_rows rows;
        result = gguf_find_rows(&rows, file, config, params, &params->parts[i]);
        for (int k = 0; result == ERR_NONE && k < 2 && rows.tensors[k]; k++) {
            used[rows.tensors[k] - file->tensors] = true;
        }
    }
    for (int i = 0; i < file->n_tensors; i++) {
        n_left += !used[i] && !str_equal(file->tensors[i].name, STR("rope_freqs.weight"));
    }
    free(used);
    TRY(result);
    return n_left == 0 ? ERR_NONE
                       : err_set(ERR_FORMAT,
                                 "%s: has %d tensors, of which %d have no place in a model of its architecture; it is "
                                 "a variant that is not supported",
                                 file->path, file->n_tensors, n_left);
}

/* What becomes of the file: quantised weights take more room than in it. */
static void describe(const struct gguf *file, const struct model_config *config, const struct params *params,
                     const struct device *device)
{
    const struct gguf_tensor *largest = &file->tensors[0];
    uint64_t bytes = 0, memory = params->bytes + (params->master ? params->n_trained * sizeof(float) : 0);
    for (int i = 0; i < file->n_tensors; i++) {
        largest = file->tensors[i].bytes > largest->bytes ? &file->tensors[i] : largest;
        bytes += file->tensors[i].bytes;
    }
    if (memory > bytes + bytes / 4) {
        log_info("%s: %s expanded to %s: %.1f GB in the file, %.1f GB in memory; %.2f billion weights%s", file->path,
                 largest->type->name, device->element_bytes == sizeof(float) ? "fp32" : "bf16", (double)bytes / 1e9,
                 (double)memory / 1e9, (double)params->n / 1e9, config->tied ? "" : ", with an output head of its own");
    }
}

enum err gguf_model_weights(const struct gguf *file, const struct model_config *config, const struct params *params,
                            struct device *device)
{
    TRY(check_all(file, config, params));
    if (!device_plans(device)) {
        describe(file, config, params, device);
    }
    for (int i = 0; i < params->n_parts; i++) {
        const struct param_part *part = &params->parts[i];
        struct gguf_rows rows;
        TRY(gguf_find_rows(&rows, file, config, params, part));
        TRY(import_part(file, &rows, part, is_permuted(config, part) ? config->D : 0, params, device));
    }
    return ERR_NONE;
}

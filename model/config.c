/* model/config.c - config.json in, config.json out.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

#define CONFIG_MOST_BYTES ((size_t)16 << 20)

static const char *const family_names[] = {"qwen2", "qwen3", "llama"};
static const char *const class_names[] = {"Qwen2ForCausalLM", "Qwen3ForCausalLM", "LlamaForCausalLM"};

const char *model_family_name(enum model_family family)
{
    return family_names[family];
}

static enum err parse_family(struct model_config *c, const json_t *document, const char *name)
{
    struct str type;
    TRY(json_get_text(document, "model_type", name, &type));
    for (int i = 0; i < 3; i++) {
        if (str_equal(type, str_of(family_names[i]))) {
            c->family = (enum model_family)i;
            return ERR_NONE;
        }
    }
    return err_set(ERR_FORMAT, "%s: model_type '%.*s' is not supported; strop knows qwen2, qwen3 and llama", name,
                   (int)type.length, type.data);
}

static enum err get_count(const json_t *document, const char *key, const char *name, int64_t fallback, int *out)
{
    int64_t value = fallback;
    TRY(fallback ? json_want_int(document, key, name, &value) : json_get_int(document, key, name, &value));
    if (value < 1 || value > 1 << 24) {
        return err_set(ERR_FORMAT, "%s: '%s' is %lld, which cannot be", name, key, (long long)value);
    }
    *out = (int)value;
    return ERR_NONE;
}

static enum err parse_sizes(struct model_config *c, const json_t *document, const char *name)
{
    TRY(get_count(document, "num_hidden_layers", name, 0, &c->n_layers));
    TRY(get_count(document, "hidden_size", name, 0, &c->d));
    TRY(get_count(document, "intermediate_size", name, 0, &c->F));
    TRY(get_count(document, "num_attention_heads", name, 0, &c->H));
    BUG_ON(c->H < 1);
    TRY(get_count(document, "num_key_value_heads", name, c->H, &c->J));
    TRY(get_count(document, "head_dim", name, c->d >= c->H ? c->d / c->H : 1, &c->D));
    TRY(get_count(document, "vocab_size", name, 0, &c->V));
    TRY(get_count(document, "max_position_embeddings", name, 2048, &c->max_positions));
    if (c->n_layers > 4096 || c->H % c->J != 0 || (int64_t)(c->H + 2 * c->J) * c->D > 1 << 24) {
        return err_set(ERR_FORMAT, "%s: %d layers, %d heads, %d key/value heads of %d do not fit together", name,
                       c->n_layers, c->H, c->J, c->D);
    }
    if ((c->H * c->D) % 16 || (c->J * c->D) % 16 || c->F % 16 || c->D % 16) {
        return err_set(ERR_FORMAT,
                       "%s: head_dim %d and intermediate_size %d must be multiples of 16, or strop cannot lay them out",
                       name, c->D, c->F);
    }
    return ERR_NONE;
}

static enum err parse_rope_type(struct rope_config *r, const json_t *scaling, const char *name)
{
    static const char *const names[] = {"default", "linear", "llama3", "yarn"};
    struct str type = STR("default");
    TRY(json_want_text(scaling, "type", name, &type));
    TRY(json_want_text(scaling, "rope_type", name, &type));
    for (int i = 0; i < 4; i++) {
        if (str_equal(type, str_of(names[i]))) {
            r->type = (enum rope_type)i;
            return ERR_NONE;
        }
    }
    return err_set(ERR_FORMAT, "%s: rope type '%.*s' is not supported; strop knows default, linear, llama3 and yarn",
                   name, (int)type.length, type.data);
}

/* What would divide by zero, and what is not computed. */
static enum err check_rope(const struct rope_config *r, const json_t *scaling, const char *name)
{
    bool truncate = true;
    double share = 1;
    TRY(json_want_bool(scaling, "truncate", name, &truncate));
    TRY(json_want_double(scaling, "partial_rotary_factor", name, &share));
    if (!truncate || share < 1 || share > 1) {
        return err_set(ERR_FORMAT, "%s: %s is not supported", name,
                       truncate ? "a partial_rotary_factor other than 1" : "truncate = false");
    }
    if (r->type != ROPE_DEFAULT && !json_is_number(json_object_get(scaling, "factor"))) {
        return err_set(ERR_FORMAT, "%s: the scaling of the rotary embedding has no 'factor'", name);
    }
    if (!(r->factor > 0) || !(r->original_max_positions >= 1) || !(r->beta_fast > 0) || !(r->beta_slow > 0) ||
        !(r->low_freq_factor > 0) || !(r->high_freq_factor > r->low_freq_factor)) {
        return err_set(ERR_FORMAT, "%s: the scaling of the rotary embedding has values that cannot be", name);
    }
    return ERR_NONE;
}

static enum err parse_rope(struct model_config *c, const json_t *document, const char *name)
{
    struct rope_config *r = &c->rope;
    *r = (struct rope_config){.theta = 10000,
                              .factor = 1,
                              .low_freq_factor = 1,
                              .high_freq_factor = 4,
                              .beta_fast = 32,
                              .beta_slow = 1,
                              .original_max_positions = c->max_positions};
    TRY(json_want_double(document, "rope_theta", name, &r->theta));
    const json_t *scaling = json_object_get(document, "rope_parameters");
    if (!json_is_object(scaling)) {
        scaling = json_object_get(document, "rope_scaling");
    } else if (json_is_object(json_object_get(scaling, "full_attention"))) {
        scaling = json_object_get(scaling, "full_attention");
    }
    if (!json_is_object(scaling)) {
        return ERR_NONE;
    }
    TRY(parse_rope_type(r, scaling, name));
    TRY(json_want_double(scaling, "rope_theta", name, &r->theta));
    TRY(json_want_double(scaling, "factor", name, &r->factor));
    TRY(json_want_double(scaling, "low_freq_factor", name, &r->low_freq_factor));
    TRY(json_want_double(scaling, "high_freq_factor", name, &r->high_freq_factor));
    TRY(json_want_double(document, "original_max_position_embeddings", name, &r->original_max_positions));
    TRY(json_want_double(scaling, "original_max_position_embeddings", name, &r->original_max_positions));
    TRY(json_want_double(scaling, "beta_fast", name, &r->beta_fast));
    TRY(json_want_double(scaling, "beta_slow", name, &r->beta_slow));
    TRY(json_want_double(scaling, "attention_factor", name, &r->attention_factor));
    TRY(json_want_double(scaling, "mscale", name, &r->mscale));
    TRY(json_want_double(scaling, "mscale_all_dim", name, &r->mscale_all_dim));
    return check_rope(r, scaling, name);
}

static void add_eos(struct model_config *c, int64_t id)
{
    for (int i = 0; i < c->n_eos; i++) {
        if (c->eos_ids[i] == id) {
            return;
        }
    }
    if (c->n_eos < (int)(sizeof c->eos_ids / sizeof *c->eos_ids) && id >= 0 && id < c->V) {
        c->eos_ids[c->n_eos++] = (int32_t)id;
    }
}

static enum err parse_eos(struct model_config *c, const json_t *document, const char *name)
{
    const json_t *eos = json_object_get(document, "eos_token_id");
    if (json_is_integer(eos)) {
        add_eos(c, json_integer_value(eos));
    } else if (json_is_array(eos)) {
        for (size_t i = 0; i < json_array_size(eos); i++) {
            add_eos(c, json_integer_value(json_array_get(eos, i)));
        }
    } else if (eos && !json_is_null(eos)) {
        return err_set(ERR_FORMAT, "%s: 'eos_token_id' must be an integer or a list of them", name);
    }
    return ERR_NONE;
}

/* What the arithmetic here does not do. */
static enum err refuse_unknown(const json_t *document, const char *name)
{
    struct str act = STR("silu");
    bool sliding = false, mlp_bias = false;
    TRY(json_want_text(document, "hidden_act", name, &act));
    TRY(json_want_bool(document, "use_sliding_window", name, &sliding));
    TRY(json_want_bool(document, "mlp_bias", name, &mlp_bias));
    if (!str_equal(act, STR("silu"))) {
        return err_set(ERR_FORMAT, "%s: hidden_act '%.*s' is not supported; only silu is", name, (int)act.length,
                       act.data);
    }
    if (sliding || mlp_bias) {
        return err_set(ERR_FORMAT, "%s: %s is not supported", name, sliding ? "use_sliding_window" : "mlp_bias");
    }
    const json_t *types = json_object_get(document, "layer_types");
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *type = json_string_value(json_array_get(types, i));
        if (!type || strcmp(type, "full_attention") != 0) {
            return err_set(ERR_FORMAT, "%s: layer_types has '%s'; only full_attention is supported", name,
                           type ? type : "something that is no text");
        }
    }
    return ERR_NONE;
}

enum err model_config_parse(struct model_config *out, const json_t *document, const char *name)
{
    struct model_config c = {.bos_id = -1};
    if (!json_is_object(document)) {
        return err_set(ERR_FORMAT, "%s: must be a JSON object", name);
    }
    TRY(parse_family(&c, document, name));
    TRY(parse_sizes(&c, document, name));
    TRY(parse_rope(&c, document, name));
    if (!(c.rope.theta > 1)) {
        return err_set(ERR_FORMAT, "%s: 'rope_theta' must be greater than 1", name);
    }
    TRY(parse_eos(&c, document, name));
    TRY(refuse_unknown(document, name));
    double eps = 1e-6;
    int64_t bos = -1;
    bool attention_bias = false;
    TRY(json_want_double(document, "rms_norm_eps", name, &eps));
    TRY(json_want_int(document, "bos_token_id", name, &bos));
    TRY(json_want_bool(document, "tie_word_embeddings", name, &c.tied));
    TRY(json_want_bool(document, "attention_bias", name, &attention_bias));
    if (attention_bias && c.family != FAMILY_QWEN2) {
        return err_set(ERR_FORMAT, "%s: attention_bias is not supported for %s", name, family_names[c.family]);
    }
    c.norm_eps = (float)eps;
    c.bos_id = bos >= 0 && bos < c.V ? (int32_t)bos : -1;
    c.qkv_bias = c.family == FAMILY_QWEN2;
    c.qk_norm = c.family == FAMILY_QWEN3;
    *out = c;
    return ERR_NONE;
}

enum err model_config_open(struct model_config *out, const char *folder)
{
    char path[FILE_PATH_BYTES];
    json_t *document;
    TRY(file_join(path, sizeof path, folder, "config.json"));
    TRY(json_parse_file(&document, path, CONFIG_MOST_BYTES));
    struct model_config config;
    enum err result = model_config_parse(&config, document, path);
    json_decref(document);
    TRY(result);
    TRY(file_join(path, sizeof path, folder, "generation_config.json"));
    if (file_exists(path)) {
        TRY(json_parse_file(&document, path, CONFIG_MOST_BYTES));
        result = parse_eos(&config, document, path);
        json_decref(document);
        TRY(result);
    }
    *out = config;
    return ERR_NONE;
}

static json_t *rope_to_json(const struct rope_config *r)
{
    static const char *const types[] = {NULL, "linear", "llama3", "yarn"};
    const struct {
        const char *key;
        double value;
        bool always; /* else only where it is not 0, its default */
    } yarn[] = {{"beta_fast", r->beta_fast, true},
                {"beta_slow", r->beta_slow, true},
                {"attention_factor", r->attention_factor, false},
                {"mscale", r->mscale, false},
                {"mscale_all_dim", r->mscale_all_dim, false}};
    if (r->type == ROPE_DEFAULT) {
        return json_null();
    }
    json_t *scaling = json_pack("{s:s, s:f}", "rope_type", types[r->type], "factor", r->factor);
    if (r->type != ROPE_LINEAR) {
        json_object_set_new(scaling, "original_max_position_embeddings",
                            json_integer((json_int_t)r->original_max_positions));
    }
    if (r->type == ROPE_LLAMA3) {
        json_object_set_new(scaling, "low_freq_factor", json_real(r->low_freq_factor));
        json_object_set_new(scaling, "high_freq_factor", json_real(r->high_freq_factor));
    }
    for (size_t i = 0; r->type == ROPE_YARN && i < sizeof yarn / sizeof *yarn; i++) {
        if (yarn[i].always || yarn[i].value > 0) {
            json_object_set_new(scaling, yarn[i].key, json_real(yarn[i].value));
        }
    }
    return scaling;
}

/* The shortest decimal that is this float: 1e-06, not 9.999999974752427e-07. */
static double shortest(float x)
{
    char text[32];
    double value = (double)x;
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        value = strtod(text, NULL);
        float back = (float)value;
        if (!(back < x) && !(back > x)) {
            break;
        }
    }
    return value;
}

json_t *model_config_to_json(const struct model_config *c)
{
    json_t *eos = json_array();
    for (int i = 0; i < c->n_eos; i++) {
        json_array_append_new(eos, json_integer(c->eos_ids[i]));
    }
    json_t *document = json_pack(
        "{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:f, s:f, s:o, s:b, s:s, s:o}", "architectures",
        class_names[c->family], "model_type", family_names[c->family], "vocab_size", c->V, "hidden_size", c->d,
        "intermediate_size", c->F, "num_hidden_layers", c->n_layers, "num_attention_heads", c->H, "num_key_value_heads",
        c->J, "head_dim", c->D, "max_position_embeddings", c->max_positions, "hidden_act", "silu", "rms_norm_eps",
        shortest(c->norm_eps), "rope_theta", c->rope.theta, "rope_scaling", rope_to_json(&c->rope),
        "tie_word_embeddings", c->tied, "torch_dtype", "float32", "eos_token_id", eos);
    BUG_ON(!document);
    json_object_set_new(document, "bos_token_id", c->bos_id >= 0 ? json_integer(c->bos_id) : json_null());
    return document;
}

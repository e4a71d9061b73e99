/* model/config.c - config.json in, config.json out.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "model/end_tokens.h"

#define CONFIG_MOST_BYTES ((size_t)16 << 20)

bool model_layer_is_dense(const struct model_config *config, int layer)
{
    return config->moe.router.E == 0 || (config->moe.is_dense[layer / 64] >> layer % 64 & 1);
}

int model_expert_layers(const struct model_config *config)
{
    int n = 0;
    for (int layer = 0; layer < config->n_layers; layer++) {
        n += !model_layer_is_dense(config, layer);
    }
    return n;
}

int model_expert_bytes(const struct model_config *config)
{
    return model_expert_layers(config) * config->moe.router.k;
}

const struct block *model_block(const struct model_config *config, int layer, int half)
{
    BUG_ON(layer < 0 || layer >= config->n_layers);
    bool dense = half == BLOCK_FEED_FORWARD && model_layer_is_dense(config, layer);
    return dense ? &block_mlp : config->family->blocks[half];
}

bool model_block_is_first(const struct model_config *config, int layer, int half)
{
    int i = 0;
    while (model_block(config, i, half) != model_block(config, layer, half)) {
        i++;
    }
    return i == layer;
}

static enum err parse_family(struct model_config *c, const json_t *document, const char *name)
{
    struct str type;
    TRY(json_get_text(document, "model_type", name, &type));
    c->family = model_family_find(type);
    if (c->family) {
        return ERR_NONE;
    }
    struct strbuf known = STRBUF_INIT;
    model_family_list(&known);
    enum err result = err_set(ERR_FORMAT, "%s: model_type '%.*s' is not supported; strop knows %s", name,
                              (int)type.length, type.data, known.data);
    strbuf_release(&known);
    return result;
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
    if (c->n_layers > MODEL_MOST_LAYERS || c->H % c->J != 0 || (int64_t)(c->H + 2 * c->J) * c->D > 1 << 24) {
        return err_set(ERR_FORMAT, "%s: %d layers, %d heads, %d key/value heads of %d do not fit together", name,
                       c->n_layers, c->H, c->J, c->D);
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

static enum err parse_constants(struct model_config *c, const json_t *document, const char *name)
{
    double eps = 1e-6, deviation = 0.02;
    int64_t bos = -1;
    TRY(json_want_double(document, "rms_norm_eps", name, &eps));
    TRY(json_want_double(document, "initializer_range", name, &deviation));
    TRY(json_want_int(document, "bos_token_id", name, &bos));
    c->norm_eps = (float)eps;
    if (!(c->norm_eps > 0) || !(c->norm_eps < INFINITY)) {
        return err_set(ERR_FORMAT, "%s: 'rms_norm_eps' is %g, but must be a positive number, such as 1e-6", name, eps);
    }
    if (!(deviation >= 0) || !(deviation < INFINITY)) {
        return err_set(ERR_FORMAT, "%s: 'initializer_range' is %g, which cannot be", name, deviation);
    }
    if (json_is_integer(json_object_get(document, "bos_token_id")) && (bos < 0 || bos >= c->V)) {
        return err_set(ERR_FORMAT, "%s: 'bos_token_id' is %lld, but the vocabulary is 0 to %d", name, (long long)bos,
                       c->V - 1);
    }
    c->bos_id = (int32_t)bos;
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
    TRY(rope_config_parse(&c.rope, document, c.max_positions, name));
    TRY(end_tokens_parse(&c, document, name, "config.json"));
    TRY(refuse_unknown(document, name));
    TRY(parse_constants(&c, document, name));
    TRY(moe_config_parse(&c, document, name));
    bool attention_bias = false;
    TRY(json_want_bool(document, "tie_word_embeddings", name, &c.tied));
    TRY(json_want_bool(document, "attention_bias", name, &attention_bias));
    if (attention_bias && !model_family_has(c.family, TENSOR_Q_BIAS)) {
        return err_set(ERR_FORMAT, "%s: attention_bias is not supported for %s", name, c.family->name);
    }
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
        result = end_tokens_parse(&config, document, path, "generation_config.json");
        json_decref(document);
        TRY(result);
    }
    *out = config;
    return ERR_NONE;
}

double config_shortest(float x)
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
    json_t *eos = c->n_eos > 0 ? json_array() : json_null();
    for (int i = 0; i < c->n_eos; i++) {
        json_array_append_new(eos, json_integer(c->eos_ids[i]));
    }
    json_t *document = json_pack(
        "{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:f, s:f, s:o, s:b, s:s, s:o}", "architectures",
        c->family->class, "model_type", c->family->name, "vocab_size", c->V, "hidden_size", c->d, "intermediate_size",
        c->F, "num_hidden_layers", c->n_layers, "num_attention_heads", c->H, "num_key_value_heads", c->J, "head_dim",
        c->D, "max_position_embeddings", c->max_positions, "hidden_act", "silu", "rms_norm_eps",
        config_shortest(c->norm_eps), "rope_theta", c->rope.theta, "rope_scaling", rope_config_to_json(&c->rope),
        "tie_word_embeddings", c->tied, "torch_dtype", "float32", "eos_token_id", eos);
    BUG_ON(!document);
    moe_config_to_json(c, document);
    json_object_set_new(document, "bos_token_id", c->bos_id >= 0 ? json_integer(c->bos_id) : json_null());
    return document;
}

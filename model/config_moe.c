/* model/config_moe.c - what config.json says of experts and of latent attention, in and out, as transformers 5 understands it.
 *
 * Sizes must be in the file; a way of choosing that is not there is the default of the family's class in transformers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/json.h"
#include "base/log.h"
#include "model/config.h"

struct moe_rules {
    bool deepseek;      /* DeepSeek's names of keys, and latent attention; else Qwen's */
    bool shared_gated;  /* a shared expert with a gate, whose width is a key of its own */
    bool noaux;         /* DeepSeek: sigmoid with a correction bias (V3); else softmax (V2) */
    bool normalised;    /* norm_topk_prob */
    float epsilon;      /* added to the sum */
    int n_groups, best; /* best: how many scores of a group are its own; 0: no groups in this family */
    int top_groups;
    int first_dense; /* first_k_dense_replace */
    double scale;    /* routed_scaling_factor */
};

const struct moe_rules moe_rules_qwen2 = {.shared_gated = true, .scale = 1};
const struct moe_rules moe_rules_qwen3 = {.scale = 1};
const struct moe_rules moe_rules_deepseek_v2 = {
    .deepseek = true, .n_groups = 1, .best = 1, .top_groups = 1, .scale = 1};
const struct moe_rules moe_rules_deepseek_v3 = {
    .deepseek = true,
    .noaux = true,
    .normalised = true,
    .epsilon = 1e-20f,
    .n_groups = 8,
    .best = 2,
    .top_groups = 4,
    .first_dense = 3,
    .scale = 2.5,
};

/* ---- numbers ---- */

#define MOST         (1 << 24)
#define MOST_EXPERTS (1 << 16)

/* An integer from `least` on; absent: *out stays. */
static enum err want_count(const json_t *document, const char *key, const char *name, int least, int *out)
{
    int64_t value = *out;
    TRY(json_want_int(document, key, name, &value));
    if (value < least || value > MOST) {
        return err_set(ERR_FORMAT, "%s: '%s' is %lld, but must be from %d to %d", name, key, (long long)value, least,
                       MOST);
    }
    *out = (int)value;
    return ERR_NONE;
}

static enum err get_count(const json_t *document, const char *key, const char *name, int *out)
{
    int64_t value;
    TRY(json_get_int(document, key, name, &value)); /* it must be there */
    return want_count(document, key, name, 1, out);
}

/* A key that has had several names; *out stays if none is there. */
static enum err want_experts(const json_t *document, const char *name, int *out, bool *found)
{
    static const char *const keys[] = {"num_experts", "num_local_experts", "n_routed_experts"};
    const char *first = NULL;
    for (int i = 0; i < 3; i++) {
        int E = 0;
        TRY(want_count(document, keys[i], name, 0, &E));
        if (!json_is_integer(json_object_get(document, keys[i]))) {
            continue;
        }
        if (first && E != *out) {
            return err_set(ERR_FORMAT, "%s: '%s' is %d, but '%s' is %d", name, first, *out, keys[i], E);
        }
        first = keys[i];
        *out = E;
    }
    *found = first != NULL;
    return ERR_NONE;
}

/* ---- which layers ---- */

static void set_dense(struct moe_config *m, int layer)
{
    m->is_dense[layer / 64] |= (uint64_t)1 << layer % 64;
}

static enum err parse_qwen_layers(struct model_config *c, const json_t *document, const char *name)
{
    int step = 1;
    const json_t *dense = json_object_get(document, "mlp_only_layers");
    TRY(want_count(document, "decoder_sparse_step", name, 1, &step));
    if (dense && !json_is_null(dense) && !json_is_array(dense)) {
        return err_set(ERR_FORMAT, "%s: 'mlp_only_layers' must be a list of layers", name);
    }
    for (size_t i = 0; i < json_array_size(dense); i++) {
        if (!json_is_integer(json_array_get(dense, i))) {
            return err_set(ERR_FORMAT, "%s: 'mlp_only_layers' has an entry that is no integer", name);
        }
        json_int_t layer = json_integer_value(json_array_get(dense, i));
        if (layer >= 0 && layer < c->n_layers) {
            set_dense(&c->moe, (int)layer);
        }
    }
    for (int layer = 0; layer < c->n_layers; layer++) {
        if ((layer + 1) % step != 0) {
            set_dense(&c->moe, layer);
        }
    }
    return ERR_NONE;
}

static enum err parse_deepseek_layers(struct model_config *c, const json_t *document, const char *name)
{
    int first = c->family->moe->first_dense, step = 1;
    TRY(want_count(document, "first_k_dense_replace", name, 0, &first));
    TRY(want_count(document, "moe_layer_freq", name, 1, &step));
    for (int layer = 0; layer < c->n_layers; layer++) {
        if (layer < first || layer % step != 0) {
            set_dense(&c->moe, layer);
        }
    }
    return ERR_NONE;
}

/* ---- how experts are chosen ---- */

/* The one function, and the methods, that the family's network computes. */
static enum err check_method(const struct moe_rules *rules, const json_t *document, const char *name, bool *groups)
{
    struct str scoring = str_of(rules->noaux ? "sigmoid" : "softmax"), known = scoring;
    struct str method = str_of(rules->noaux ? "noaux_tc" : "greedy");
    TRY(json_want_text(document, "scoring_func", name, &scoring));
    TRY(json_want_text(document, "topk_method", name, &method));
    if (!str_equal(scoring, known)) {
        return err_set(ERR_FORMAT, "%s: scoring_func '%.*s' is not supported for this model_type; only %s is", name,
                       (int)scoring.length, scoring.data, known.data);
    }
    *groups = rules->noaux ? str_equal(method, STR("noaux_tc")) : str_equal(method, STR("group_limited_greedy"));
    if (!*groups && (rules->noaux || !str_equal(method, STR("greedy")))) {
        return err_set(ERR_FORMAT, "%s: topk_method '%.*s' is not supported for this model_type; only %s", name,
                       (int)method.length, method.data,
                       rules->noaux ? "noaux_tc is" : "greedy and group_limited_greedy are");
    }
    return ERR_NONE;
}

static enum err check_groups(const struct router *r, const char *name)
{
    int size = r->E / r->n_groups;
    if (r->E % r->n_groups != 0) {
        return err_set(ERR_FORMAT, "%s: %d experts cannot be divided into 'n_group' = %d equal groups", name, r->E,
                       r->n_groups);
    }
    if (r->top_groups > r->n_groups) {
        return err_set(ERR_FORMAT, "%s: 'topk_group' is %d, but there are only %d groups ('n_group')", name,
                       r->top_groups, r->n_groups);
    }
    if (size < r->group_best) {
        return err_set(ERR_FORMAT, "%s: 'n_group' = %d leaves %d experts a group, but the %d best make a group's score",
                       name, r->n_groups, size, r->group_best);
    }
    if (r->k > r->top_groups * size) {
        return err_set(ERR_FORMAT, "%s: 'num_experts_per_tok' is %d, but 'topk_group' = %d groups have only %d experts",
                       name, r->k, r->top_groups, r->top_groups * size);
    }
    return ERR_NONE;
}

static enum err parse_groups(struct router *r, const struct moe_rules *rules, const json_t *document, const char *name)
{
    bool groups = false;
    TRY(check_method(rules, document, name, &groups));
    if (!groups) {
        return ERR_NONE;
    }
    r->n_groups = rules->n_groups;
    r->top_groups = rules->top_groups;
    r->group_best = rules->best;
    TRY(want_count(document, "n_group", name, 1, &r->n_groups));
    TRY(want_count(document, "topk_group", name, 1, &r->top_groups));
    return check_groups(r, name);
}

static enum err parse_weights(struct router *r, const struct moe_rules *rules, const json_t *document, const char *name)
{
    double scale = rules->scale;
    r->sigmoid = rules->noaux;
    r->normalised = rules->normalised;
    r->epsilon = rules->epsilon;
    TRY(json_want_bool(document, "norm_topk_prob", name, &r->normalised));
    if (rules->deepseek) {
        TRY(json_want_double(document, "routed_scaling_factor", name, &scale));
    }
    r->scale = (float)scale;
    if (!(r->scale > 0) || !(r->scale < INFINITY)) {
        return err_set(ERR_FORMAT, "%s: 'routed_scaling_factor' is %g, but must be a positive number", name, scale);
    }
    if (rules->deepseek && !rules->noaux && r->normalised) {
        log_warning_once("%s: 'norm_topk_prob' is true, which has no effect in deepseek_v2, as in transformers", name);
        r->normalised = false;
    }
    return ERR_NONE;
}

static enum err parse_router(struct router *r, const struct moe_rules *rules, const json_t *document, const char *name)
{
    TRY(get_count(document, "num_experts_per_tok", name, &r->k));
    if (r->k > r->E) {
        return err_set(ERR_FORMAT, "%s: 'num_experts_per_tok' is %d, but there are only %d experts", name, r->k, r->E);
    }
    r->n_groups = r->top_groups = r->group_best = 1;
    TRY(parse_weights(r, rules, document, name));
    return rules->best ? parse_groups(r, rules, document, name) : ERR_NONE;
}

/* ---- experts ---- */

static enum err check_width(const char *key, int width, const char *name)
{
    return width % 16 == 0
               ? ERR_NONE
               : err_set(ERR_LIMIT, "%s: '%s' is %d, and only multiples of 16 are supported", name, key, width);
}

static enum err parse_widths(struct model_config *c, const json_t *document, const char *name)
{
    struct moe_config *m = &c->moe;
    TRY(get_count(document, "moe_intermediate_size", name, &m->F));
    TRY(check_width("moe_intermediate_size", m->F, name));
    TRY(check_width("hidden_size", c->d, name));
    if (c->family->moe->shared_gated) {
        TRY(get_count(document, "shared_expert_intermediate_size", name, &m->shared_F));
        m->shared_gated = true;
    } else if (c->family->moe->deepseek) {
        int n = 0;
        TRY(want_count(document, "n_shared_experts", name, 0, &n));
        m->shared_F = (int64_t)n * m->F <= MOST ? n * m->F : MOST + 16;
    }
    int rows = 2 * m->F > c->d ? 2 * m->F : c->d; /* the most of an expert in the matrix of all */
    if (m->router.E > MOST_EXPERTS || (int64_t)m->router.E * rows > INT32_MAX / 2 || m->shared_F > MOST) {
        return err_set(ERR_FORMAT,
                       "%s: %d experts of width %d and shared ones of %d, with a 'hidden_size' of %d, are too many",
                       name, m->router.E, m->F, m->shared_F, c->d);
    }
    return check_width("shared_expert_intermediate_size", m->shared_F, name);
}

static enum err parse_experts(struct model_config *c, const json_t *document, const char *name)
{
    const struct moe_rules *rules = c->family->moe;
    bool found = false, bias = true;
    TRY(json_want_bool(document, "qkv_bias", name, &bias));
    if (rules->shared_gated && !bias) {
        return err_set(ERR_FORMAT, "%s: 'qkv_bias' is false, which is not supported for %s", name, c->family->name);
    }
    TRY(want_experts(document, name, &c->moe.router.E, &found));
    if (!found) {
        return err_set(ERR_FORMAT, "%s: '%s' is missing", name, rules->deepseek ? "n_routed_experts" : "num_experts");
    }
    if (c->moe.router.E == 0) {
        return ERR_NONE;
    }
    c->moe.has_bias = rules->noaux;
    TRY(rules->deepseek ? parse_deepseek_layers(c, document, name) : parse_qwen_layers(c, document, name));
    TRY(parse_router(&c->moe.router, rules, document, name));
    return parse_widths(c, document, name);
}

/* ---- latent attention ---- */

/* qk_head_dim^-0.5, times the square of YaRN's factor for all dimensions (transformers: yarn_apply_mscale). */
static double softmax_scale(const struct model_config *c)
{
    double scale = 1 / sqrt(c->mla.nope + c->mla.rope), all = c->rope.mscale_all_dim;
    bool scaled = c->rope.type != ROPE_DEFAULT && c->rope.factor > 1 && (all < 0 || all > 0);
    double m = scaled ? 0.1 * all * log(c->rope.factor) + 1 : 1;
    return scale * m * m;
}

static enum err parse_latent(struct model_config *c, const json_t *document, const char *name)
{
    struct mla_config *a = &c->mla;
    const json_t *q_rank = json_object_get(document, "q_lora_rank");
    a->q_rank = json_is_null(q_rank) ? 0 : 1536;
    a->interleaved = true;
    TRY(want_count(document, "q_lora_rank", name, 0, &a->q_rank));
    TRY(get_count(document, "kv_lora_rank", name, &a->kv_rank));
    TRY(get_count(document, "qk_nope_head_dim", name, &a->nope));
    TRY(get_count(document, "qk_rope_head_dim", name, &a->rope));
    TRY(get_count(document, "v_head_dim", name, &a->v));
    if (c->family->moe->noaux) {
        TRY(json_want_bool(document, "rope_interleave", name, &a->interleaved));
    }
    if (a->rope % 2 != 0) {
        return err_set(ERR_FORMAT, "%s: 'qk_rope_head_dim' is %d, but must be even", name, a->rope);
    }
    if (c->J != c->H) {
        return err_set(ERR_FORMAT, "%s: 'num_key_value_heads' is %d, but latent attention has as many as heads, %d",
                       name, c->J, c->H);
    }
    if ((int64_t)c->H * (a->nope + a->rope + a->v) > MOST || (int64_t)c->H * (a->kv_rank + a->rope) > MOST) {
        return err_set(ERR_FORMAT, "%s: %d heads of %d + %d, values of %d and latents of %d do not fit together", name,
                       c->H, a->nope, a->rope, a->v, a->kv_rank);
    }
    c->D = a->rope; /* what is rotated; 'head_dim' says the same where transformers 5 wrote it */
    a->softmax_scale = (float)softmax_scale(c);
    return ERR_NONE;
}

enum err moe_config_parse(struct model_config *config, const json_t *document, const char *name)
{
    const struct moe_rules *rules = config->family->moe;
    if (!rules) {
        return ERR_NONE;
    }
    TRY(parse_experts(config, document, name));
    return rules->deepseek ? parse_latent(config, document, name) : ERR_NONE;
}

/* ---- out ---- */

static void set_int(json_t *document, const char *key, int value)
{
    json_object_set_new(document, key, json_integer(value));
}

static void qwen_to_json(const struct model_config *c, json_t *document)
{
    json_t *dense = json_array();
    for (int layer = 0; layer < c->n_layers; layer++) {
        if (c->moe.router.E > 0 && model_layer_is_dense(c, layer)) {
            json_array_append_new(dense, json_integer(layer));
        }
    }
    json_object_set_new(document, "mlp_only_layers", dense);
    set_int(document, "decoder_sparse_step", 1);
    set_int(document, "num_experts", c->moe.router.E);
    if (c->family->moe->shared_gated) {
        set_int(document, "shared_expert_intermediate_size", c->moe.shared_F);
    }
}

/* The number of leading dense layers, and the distance of those with experts after them. */
static void find_deepseek_layers(const struct model_config *c, int *first, int *step)
{
    int at[2] = {0, 0}, n = 0;
    for (int layer = 0; layer < c->n_layers && n < 2; layer++) {
        if (!model_layer_is_dense(c, layer)) {
            at[n++] = layer;
        }
    }
    *first = n > 0 ? at[0] : c->n_layers;
    *step = n == 2 ? at[1] - at[0] : at[0] > 0 ? at[0] : c->n_layers;
}

static void deepseek_to_json(const struct model_config *c, json_t *document)
{
    const struct moe_config *m = &c->moe;
    const struct mla_config *a = &c->mla;
    int first, step;
    bool grouped = c->family->moe->noaux || m->router.n_groups > 1;
    find_deepseek_layers(c, &first, &step);
    set_int(document, "first_k_dense_replace", first);
    set_int(document, "moe_layer_freq", step);
    set_int(document, "n_routed_experts", m->router.E);
    set_int(document, "n_shared_experts", m->F > 0 ? m->shared_F / m->F : 0);
    set_int(document, "n_group", m->router.n_groups);
    set_int(document, "topk_group", m->router.top_groups);
    json_object_set_new(document, "routed_scaling_factor", json_real(config_shortest(m->router.scale)));
    json_object_set_new(document, "scoring_func", json_string(m->router.sigmoid ? "sigmoid" : "softmax"));
    json_object_set_new(document, "topk_method",
                        json_string(m->has_bias ? "noaux_tc"
                                    : grouped   ? "group_limited_greedy"
                                                : "greedy"));
    json_object_set_new(document, "q_lora_rank", a->q_rank > 0 ? json_integer(a->q_rank) : json_null());
    set_int(document, "kv_lora_rank", a->kv_rank);
    set_int(document, "qk_nope_head_dim", a->nope);
    set_int(document, "qk_rope_head_dim", a->rope);
    set_int(document, "qk_head_dim", a->nope + a->rope);
    set_int(document, "v_head_dim", a->v);
    json_object_set_new(document, "rope_interleave", json_boolean(a->interleaved));
    set_int(document, "num_nextn_predict_layers", 0);
}

void moe_config_to_json(const struct model_config *config, json_t *document)
{
    const struct moe_rules *rules = config->family->moe;
    if (!rules) {
        return;
    }
    if (rules->deepseek) {
        deepseek_to_json(config, document);
    } else {
        qwen_to_json(config, document);
    }
    set_int(document, "num_local_experts", config->moe.router.E); /* what transformers 5 calls it */
    set_int(document, "num_experts_per_tok", config->moe.router.k);
    set_int(document, "moe_intermediate_size", config->moe.F);
    json_object_set_new(document, "norm_topk_prob", json_boolean(config->moe.router.normalised));
}

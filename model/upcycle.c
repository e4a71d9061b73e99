/* model/upcycle.c - the result's parts, one after the other, from those of the dense model.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/upcycle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "kernels/rng.h"
#include "model/save.h"

#define NO_SHARED_WIDTH  16 /* of a shared expert that a family must have */
#define ROUTER_DEVIATION 0.02f
#define RMS_BLOCK        4096

/* ---- options ---- */

static enum err parse_number(const char *key, const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    if (end == text || *end != '\0' || !(*out >= 0) || !(*out < 1e6)) {
        return err_set(ERR_USAGE, "--upcycle: %s is '%s', but must be a number from 0 on", key, text);
    }
    return ERR_NONE;
}

static enum err parse_option(struct upcycle *u, char *word)
{
    double value;
    char *equals = strchr(word, '=');
    if (!equals) {
        return err_set(ERR_USAGE, "--upcycle: '%s' has no '='; write experts=8,top_k=2[,shared=1][,noise=0.1]", word);
    }
    *equals = '\0';
    TRY(parse_number(word, equals + 1, &value));
    bool whole = value <= floor(value), flag = value <= 0 || (value >= 1 && value <= 1);
    if (strcmp(word, "noise") == 0) {
        u->noise = value;
        return ERR_NONE;
    }
    if (strcmp(word, "experts") == 0 && whole) {
        u->experts = (int)value;
    } else if (strcmp(word, "top_k") == 0 && whole) {
        u->top_k = (int)value;
    } else if (strcmp(word, "shared") == 0 && flag) {
        u->shared = value > 0;
    } else {
        return err_set(ERR_USAGE, "--upcycle: %s=%s cannot be; there are experts=N, top_k=N, shared=0 or 1, noise=S",
                       word, equals + 1);
    }
    return ERR_NONE;
}

enum err upcycle_parse(struct upcycle *out, const char *text)
{
    struct upcycle u = {.seed = 42};
    char *words = mem_strdup(text), *rest = words;
    enum err result = ERR_NONE;
    for (char *word; result == ERR_NONE && (word = strsep(&rest, ","));) {
        result = parse_option(&u, word);
    }
    free(words);
    TRY(result);
    if (u.experts < 1 || u.top_k < 1 || u.top_k > u.experts) {
        return err_set(ERR_USAGE, "--upcycle: experts is %d and top_k %d; top_k must be from 1 to experts", u.experts,
                       u.top_k);
    }
    *out = u;
    return ERR_NONE;
}

/* ---- config ---- */

static enum err find_family(const struct upcycle *u, const struct model_config *dense,
                            const struct model_family **family)
{
    bool qwen2 = strcmp(dense->family->name, "qwen2") == 0, qwen3 = strcmp(dense->family->name, "qwen3") == 0;
    if (!qwen2 && !qwen3) {
        return err_set(ERR_USAGE,
                       "--upcycle: there is no family with experts and all else as in %s; there is for qwen2 and qwen3",
                       dense->family->name);
    }
    if (qwen3 && u->shared) {
        return err_set(ERR_USAGE, "--upcycle: shared=1 cannot be: qwen3 becomes qwen3_moe, which has no shared expert");
    }
    *family = model_family_find(str_of(qwen2 ? "qwen2_moe" : "qwen3_moe"));
    BUG_ON(!*family);
    return ERR_NONE;
}

enum err upcycle_config(const struct upcycle *u, const struct model_config *dense, struct model_config *out)
{
    struct model_config config = *dense;
    TRY(find_family(u, dense, &config.family));
    json_t *keys = json_pack("{s:i, s:i, s:i, s:b}", "num_experts", u->experts, "num_experts_per_tok", u->top_k,
                             "moe_intermediate_size", dense->F, "norm_topk_prob", 1);
    json_object_set_new(keys, "shared_expert_intermediate_size", json_integer(u->shared ? dense->F : NO_SHARED_WIDTH));
    enum err result = moe_config_parse(&config, keys, "--upcycle");
    json_decref(keys);
    TRY(result);
    *out = config;
    return ERR_NONE;
}

/* ---- weights ---- */

struct maker {
    const struct upcycle *upcycle;
    struct part_reader dense;
    const struct params *params; /* of the result */
    int part;                    /* being made, from the front to the end, */
    int source;                  /* from which part of the dense model; -1: from none */
    double rms;                  /* of that; 0: not needed */
    struct rng rng;
};

/* The part of the dense model that becomes this one; -1: there is none. */
static int find_source(const struct maker *m, const struct param_part *part)
{
    static const enum tensor_role roles[TENSORS] = {
        [TENSOR_EXPERT_GATE] = TENSOR_GATE, [TENSOR_EXPERT_UP] = TENSOR_UP, [TENSOR_EXPERT_DOWN] = TENSOR_DOWN,
        [TENSOR_SHARED_GATE] = TENSOR_GATE, [TENSOR_SHARED_UP] = TENSOR_UP, [TENSOR_SHARED_DOWN] = TENSOR_DOWN};
    const struct params *dense = &m->dense.model->params;
    bool shared = part->role >= TENSOR_SHARED_GATE && part->role <= TENSOR_SHARED_DOWN;
    int role = roles[part->role] != TENSOR_EMBEDDING ? (int)roles[part->role] : part->role;
    for (int i = 0; i < dense->n_parts && (m->upcycle->shared || !shared); i++) {
        if (dense->parts[i].role == role && dense->parts[i].layer == part->layer) {
            return i;
        }
    }
    return -1;
}

static double root_mean_square(struct maker *m, int source)
{
    const struct params *dense = &m->dense.model->params;
    const struct param_part *part = &dense->parts[source];
    uint64_t n = (uint64_t)part->rows * (uint64_t)param_width(&dense->table[part->param]);
    float values[RMS_BLOCK];
    double sum = 0;
    for (uint64_t at = 0; at < n; at += RMS_BLOCK) {
        uint64_t there = n - at < RMS_BLOCK ? n - at : RMS_BLOCK;
        part_reader_read(&m->dense, source, at, there, values);
        for (uint64_t i = 0; i < there; i++) {
            sum += (double)values[i] * (double)values[i];
        }
    }
    return sqrt(sum / (double)n);
}

static void begin_part(struct maker *m, int i)
{
    const struct param_part *part = &m->params->parts[i];
    m->part = i;
    m->source = find_source(m, part);
    m->rng = rng_stream(m->upcycle->seed, (uint64_t)i);
    m->rms = tensor_role_is_expert(part->role) && m->upcycle->noise > 0 ? root_mean_square(m, m->source) : 0;
}

/* A tensor_reader: asked for in ascending order. */
static void make_part(void *context, int i, uint64_t at, uint64_t n, float *out)
{
    struct maker *m = context;
    const struct param_part *part = &m->params->parts[i];
    if (m->part != i) {
        begin_part(m, i);
    }
    if (m->source >= 0) {
        part_reader_read(&m->dense, m->source, at, n, out);
    } else {
        for (uint64_t k = 0; k < n; k++) {
            out[k] = part->role == TENSOR_ROUTER ? ROUTER_DEVIATION * rng_normal(&m->rng) : 0;
        }
    }
    float factor = part->role == TENSOR_EXPERT_DOWN && m->upcycle->shared ? 0.5f : 1;
    float noise = (float)(m->upcycle->noise * m->rms);
    for (uint64_t k = 0; k < n && tensor_role_is_expert(part->role); k++) {
        out[k] = factor * (noise > 0 ? out[k] + noise * rng_normal(&m->rng) : out[k]);
    }
}

/* config.json, and the tokenizer's files as the dense model has them. */
static enum err save_files(struct model *plan, const struct model *dense, const char *folder, const char *dtype)
{
    if (!file_is_folder(dense->source)) { /* a GGUF file, which has the tokenizer */
        free(plan->source);
        plan->source = mem_strdup(dense->source);
    }
    plan->tokenizer = dense->tokenizer; /* lent */
    enum err result = model_save_files(plan, folder, dtype);
    plan->tokenizer = NULL;
    return result;
}

enum err upcycle_save(const struct upcycle *u, const struct model *dense, const char *folder, const char *dtype)
{
    struct model_config config;
    struct device *device;
    struct model *plan = NULL;
    TRY(upcycle_config(u, &dense->config, &config));
    TRY(device_open_planning(&device, "cpu", 0));
    enum err result = model_plan(&plan, &config, "--upcycle", device, 1, false);
    if (result == ERR_NONE) {
        struct maker maker = {.upcycle = u, .params = &plan->params, .part = -1};
        part_reader_open(&maker.dense, dense);
        result = save_files(plan, dense, folder, dtype);
        result = result == ERR_NONE ? save_weights(&plan->params, folder, dtype, make_part, &maker) : result;
        part_reader_close(&maker.dense);
    }
    model_close(plan);
    device_close(device);
    return result;
}

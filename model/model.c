/* model/model.c - a model is made, copied and closed; the rope tables.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"

#include <math.h>

#include "base/str.h"
#include "kernels/rng.h"
#include "model/adapter.h"
#include "model/end_tokens.h"
#include "model/load.h"
#include "model/peft.h"
#include "model/tokenizer.h"

#define DEFAULT_MAX_POSITIONS 32768

/* What the layers cannot be, and what the device's operations do not take. */
static enum err check_shape(const struct model_config *config, const char *source, const struct device *device)
{
    int multiple = device->kind->limits.multiple_d;
    for (int layer = 0; layer < config->n_layers; layer++) {
        for (int half = 0; half < BLOCKS_PER_LAYER; half++) {
            TRY(model_block(config, layer, half)->check(config, source, device));
        }
    }
    if (config->lora.r > 0 && (config->moe.router.E > 0 || config->mla.kv_rank > 0)) {
        return err_set(ERR_LIMIT, "%s: adapters (lora_r) are for dense models, and this is a %s; train all weights",
                       source, config->family->name);
    }
    if (multiple && config->d % multiple != 0) {
        return err_set(ERR_DEVICE,
                       "%s: hidden_size is %d, and the device %s takes only multiples of %d; use --device=cpu", source,
                       config->d, device->kind->name, multiple);
    }
    return ERR_NONE;
}

static enum err choose_max_positions(const struct model_config *config, const char *source, int wanted, int *out)
{
    if (wanted > config->max_positions) {
        return err_set(
            ERR_LIMIT,
            "%s: sequences of %d tokens are asked for (max_prompt_length + max_completion_length of a recipe, "
            "--max_positions of generate and chat), but the model allows %d",
            source, wanted, config->max_positions);
    }
    int most = config->max_positions < DEFAULT_MAX_POSITIONS ? config->max_positions : DEFAULT_MAX_POSITIONS;
    *out = wanted > 0 ? wanted : most;
    return ERR_NONE;
}

/* cos and sin of position * frequency, times the scale of yarn: in fp64, rounded once. */
static void make_rope_tables(struct model *model)
{
    int half = model->config.D / 2;
    size_t bytes = (size_t)model->max_positions * (size_t)half * sizeof(float);
    model->rope_cos = device_alloc(model->device, bytes, "rope: cos");
    model->rope_sin = device_alloc(model->device, bytes, "rope: sin");
    if (device_plans(model->device)) {
        return;
    }
    double *frequencies = mem_alloc((size_t)half * sizeof *frequencies), scale = 1;
    float *cosines = mem_alloc(bytes), *sines = mem_alloc(bytes);
    rope_frequencies(&model->config.rope, model->config.D, frequencies, &scale);
    for (int p = 0, i = 0; p < model->max_positions; p++) {
        for (int j = 0; j < half; j++, i++) {
            cosines[i] = (float)(scale * cos(p * frequencies[j]));
            sines[i] = (float)(scale * sin(p * frequencies[j]));
        }
    }
    device_write(model->device, model->rope_cos, cosines, bytes);
    device_write(model->device, model->rope_sin, sines, bytes);
    free(frequencies);
    free(cosines);
    free(sines);
}

struct params *model_trained(const struct model *model)
{
    return model->adapter ? &model->adapter->params : (struct params *)(uintptr_t)&model->params;
}

static void add_adapter(struct model *model)
{
    for (int i = 0; i < model->params.n_params; i++) {
        params_freeze(&model->params, i);
    }
    model->adapter = adapter_new(&model->config, &model->params, model->device);
    struct params *set = &model->adapter->params;
    set->data = device_alloc(model->device, set->bytes, "adapter");
}

/* A model of that shape with zero weights, without a tokenizer. */
static enum err make(struct model **out, const struct model_config *config, const char *source, struct device *device,
                     int max_positions, bool trainable)
{
    int positions = 0;
    TRY(check_shape(config, source, device));
    TRY(choose_max_positions(config, source, max_positions, &positions));
    struct model *model = mem_zero(sizeof *model);
    model->device = device;
    model->config = *config;
    model->max_positions = positions;
    model->source = mem_strdup(source);
    weights_plan(&model->weights, &model->params, config, device);
    model->params.data = device_alloc(device, model->params.bytes, "weights");
    if (config->lora.r > 0) {
        add_adapter(model);
    }
    struct params *trained = model_trained(model);
    if (trainable && device->element_bytes < sizeof(float)) {
        trained->master = device_alloc(device, trained->n_trained * sizeof(float), "master weights");
    }
    make_rope_tables(model);
    *out = model;
    return ERR_NONE;
}

/* ---- random weights ---- */

#define INIT_DEVIATION 0.02
#define INIT_ROWS      64 /* rows drawn before they are handed to the device */

/* value = mean + deviation * normal */
static void draw_part(struct model *model, const struct param_part *part, float mean, float deviation, struct rng rng)
{
    const struct param *p = &model->params.table[part->param];
    size_t cols = (size_t)param_width(p);
    float *rows = mem_alloc(INIT_ROWS * cols * sizeof *rows);
    for (int row = 0; row < part->rows; row += INIT_ROWS) {
        int n = part->rows - row < INIT_ROWS ? part->rows - row : INIT_ROWS;
        for (size_t i = 0; i < (size_t)n * cols; i++) {
            rows[i] = deviation > 0 ? mean + deviation * rng_normal(&rng) : mean;
        }
        params_import(&model->params, model->device, p, rows, part->row + row, n);
    }
    free(rows);
}

/* Part i draws from stream i of the seed. The matrices that write to the residual stream are smaller the deeper the model (Radford
 * et al. 2019, section 2.3). */
void model_init_random(struct model *model, uint64_t seed)
{
    if (device_plans(model->device)) {
        return;
    }
    float residual = (float)(INIT_DEVIATION / sqrt(2.0 * model->config.n_layers));
    const float deviation[] = {[PARAM_NORMAL] = (float)INIT_DEVIATION, [PARAM_RESIDUAL] = residual};
    for (int i = 0; i < model->params.n_parts; i++) {
        const struct param_part *part = &model->params.parts[i];
        enum param_init init = model->params.table[part->param].init;
        bool normal = init == PARAM_NORMAL || init == PARAM_RESIDUAL;
        draw_part(model, part, init == PARAM_ONE ? 1.0f : 0.0f, normal ? deviation[init] : 0,
                  rng_stream(seed, (uint64_t)i));
    }
    if (model->adapter) {
        adapter_init(model->adapter, model->device, seed);
    }
}

enum err model_new(struct model **out, const struct model_config *config, struct tokenizer *tokenizer,
                   struct device *device, int max_positions, uint64_t seed)
{
    struct model *model;
    TRY(make(&model, config, "new model", device, max_positions, true));
    model_init_random(model, seed);
    model->tokenizer = tokenizer;
    *out = model;
    return ERR_NONE;
}

enum err model_plan(struct model **out, const struct model_config *config, const char *source, struct device *device,
                    int max_positions, bool trainable)
{
    BUG_ON(!device_plans(device));
    return make(out, config, source, device, max_positions, trainable);
}

/* ---- from files ---- */

static enum err open_from(struct model **out, const struct load *load, const char *path, const struct lora *lora,
                          struct device *device, int max_positions, bool trainable, bool weights)
{
    struct model_config config;
    struct model *model;
    TRY(load_config(load, &config));
    config.lora = *lora;
    TRY(make(&model, &config, path, device, max_positions, trainable));
    enum err result = weights ? load_weights(load, &model->params, device) : ERR_NONE;
    if (result == ERR_NONE) {
        result = load_tokenizer(load, &model->tokenizer);
    }
    end_tokens_add_tokenizer(&model->config, model->tokenizer, path);
    if (result != ERR_NONE) {
        model_close(model);
        return result;
    }
    *out = model;
    return ERR_NONE;
}

/* No adapter by itself; its weights are not read yet. */
static enum err open_path(struct model **out, const char *path, const struct lora *lora, struct device *device,
                          int max_positions, bool trainable)
{
    struct load *load;
    if (peft_is(path)) {
        return err_set(
            ERR_USAGE,
            "%s is an adapter: what is trained, or another adapter's base, is a whole model; name its base, or "
            "make one model of both with 'strop convert --merge'",
            path);
    }
    TRY(load_open(&load, path));
    enum err result = open_from(out, load, path, lora, device, max_positions, trainable, true);
    load_close(load);
    return result;
}

enum err model_open_trainable(struct model **out, const char *path, struct device *device, int max_positions)
{
    return open_path(out, path, &(struct lora){0}, device, max_positions, true);
}

enum err model_open_lora(struct model **out, const struct model_lora *lora, struct device *device, int max_positions)
{
    struct model *model;
    TRY(open_path(&model, lora->base, &lora->lora, device, max_positions, lora->masters));
    model->base = mem_strdup(lora->base);
    enum err result = ERR_NONE;
    if (lora->adapter) {
        result = peft_read(model, lora->adapter);
        free(model->source);
        model->source = mem_strdup(lora->adapter);
    } else {
        adapter_init(model->adapter, device, lora->seed);
    }
    if (result != ERR_NONE) {
        model_close(model);
        return result;
    }
    *out = model;
    return ERR_NONE;
}

enum err model_open(struct model **out, const char *path, struct device *device, int max_positions)
{
    struct peft peft;
    if (!peft_is(path)) {
        return open_path(out, path, &(struct lora){0}, device, max_positions, false);
    }
    TRY(peft_open(&peft, path));
    return model_open_lora(out, &(struct model_lora){.base = peft.base, .adapter = path, .lora = peft.lora}, device,
                           max_positions);
}

enum err model_open_random(struct model **out, const char *path, struct device *device, int max_positions,
                           bool trainable, uint64_t seed)
{
    struct load *load;
    TRY(load_open_shape(&load, path));
    enum err result = open_from(out, load, path, &(struct lora){0}, device, max_positions, trainable, false);
    load_close(load);
    TRY(result);
    model_init_random(*out, seed);
    return ERR_NONE;
}

enum err model_open_config(struct model_config *out, const char *path)
{
    struct peft peft;
    if (!peft_is(path)) {
        return load_config_of(out, path);
    }
    TRY(peft_open(&peft, path));
    TRY(load_config_of(out, peft.base));
    out->lora = peft.lora;
    return ERR_NONE;
}

enum err model_read_weights(struct model *model, const char *path)
{
    struct load *load;
    struct model_config config;
    TRY(load_open(&load, path));
    enum err result = load_config(load, &config);
    if (result == ERR_NONE) {
        result = load_weights(load, &model->params, model->device);
    }
    load_close(load);
    return result;
}

/* ---- copies ---- */

void model_copy_weights(struct model *to, const struct model *from)
{
    BUG_ON(to->params.bytes != from->params.bytes || to->device != from->device || to->params.master);
    device_copy(to->device, to->params.data, from->params.data, from->params.bytes);
}

void model_mix_weights(struct model *to, const struct model *from, float share)
{
    BUG_ON(to->params.n != from->params.n || to->device != from->device || to->params.master);
    for (int i = 0; i < from->params.n_params; i++) {
        const struct param *p = &from->params.table[i];
        void *mixed = params_at(&to->params, i), *other = params_at(&from->params, i);
        if (p->dtype == PARAM_FP32) {
            device_copy(to->device, mixed, other, p->n * sizeof(float));
        } else {
            to->device->ops->mix(mixed, other, p->n, share);
        }
    }
}

enum err model_clone(struct model **out, const struct model *model)
{
    BUG_ON(model->adapter);
    struct model *clone = mem_zero(sizeof *clone);
    *clone = *model;
    clone->is_clone = true;
    clone->scratch = NULL;
    clone->source = mem_strdup(model->source);
    clone->base = NULL;
    weights_plan(&clone->weights, &clone->params, &model->config, model->device); /* nothing of the training state */
    clone->params.data = device_alloc(model->device, clone->params.bytes, "weights of a copy");
    model_copy_weights(clone, model);
    *out = clone;
    return ERR_NONE;
}

struct model *model_without_adapter(const struct model *model)
{
    struct model *view = mem_zero(sizeof *view);
    *view = *model;
    view->is_clone = view->borrows_weights = true;
    view->adapter = NULL;
    view->scratch = NULL;
    view->source = mem_strdup(model->source);
    view->base = NULL;
    return view;
}

void model_merge(struct model *model)
{
    BUG_ON(!model->adapter);
    adapter_merge(model->adapter, &model->params, model->device);
    adapter_free(model->adapter, model->device);
    model->adapter = NULL;
    model->config.lora.r = 0;
}

void model_close(struct model *model)
{
    if (!model) {
        return;
    }
    model_release_cached(model);
    if (!model->is_clone) {
        if (model->tokenizer) {
            tokenizer_free(model->tokenizer);
        }
        device_free(model->device, model->rope_cos);
        device_free(model->device, model->rope_sin);
    }
    adapter_free(model->adapter, model->device);
    if (!model->borrows_weights) {
        params_release(&model->params, model->device);
        weights_release(&model->weights);
    }
    free(model->source);
    free(model->base);
    free(model);
}

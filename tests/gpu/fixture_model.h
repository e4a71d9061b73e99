/* tests/gpu/fixture_model.h - small networks of each family with weights of bf16, and a batch in which a group shares a prompt.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_GPU_FIXTURE_MODEL_H
#define TESTS_GPU_FIXTURE_MODEL_H

#include "model/model.h"
#include "tests/gpu/fixture.h"
#include "tests/model_parts.h"

static const struct model_config model_configs[] = {
    {.family = &model_families[FAMILY_QWEN2],
     .n_layers = 2,
     .d = 40,
     .F = 48,
     .H = 4,
     .J = 2,
     .D = 16,
     .V = 203,
     .norm_eps = 1e-6f,
     .tied = true,
     .rope = {.type = ROPE_DEFAULT, .theta = 1e6},
     .max_positions = 512,
     .bos_id = -1,
     .eos_ids = {1},
     .n_eos = 1},
    {.family = &model_families[FAMILY_QWEN3],
     .n_layers = 2,
     .d = 128,
     .F = 256,
     .H = 4,
     .J = 2,
     .D = 64,
     .V = 1000,
     .norm_eps = 1e-6f,
     .rope = {.type = ROPE_DEFAULT, .theta = 1e6},
     .max_positions = 512,
     .bos_id = -1,
     .eos_ids = {1},
     .n_eos = 1},
    {.family = &model_families[FAMILY_LLAMA],
     .n_layers = 3,
     .d = 192,
     .F = 384,
     .H = 6,
     .J = 2,
     .D = 128,
     .V = 515,
     .norm_eps = 1e-5f,
     .rope = {.type = ROPE_DEFAULT, .theta = 1e4},
     .max_positions = 512,
     .bos_id = -1,
     .eos_ids = {1},
     .n_eos = 1},
    {.family = &model_families[FAMILY_QWEN2],
     .n_layers = 2,
     .d = 256,
     .F = 512,
     .H = 4,
     .J = 1,
     .D = 64,
     .V = 2000,
     .norm_eps = 1e-6f,
     .tied = true,
     .rope = {.type = ROPE_DEFAULT, .theta = 1e6},
     .max_positions = 512,
     .bos_id = -1,
     .eos_ids = {1},
     .n_eos = 1},
    /* All experts are chosen: scores that are nearly equal do not decide otherwise on the other device. */
    {.n_layers = 2,
     .d = 128,
     .F = 256,
     .H = 4,
     .J = 2,
     .D = 64,
     .V = 1000,
     .norm_eps = 1e-6f,
     .rope = {.type = ROPE_DEFAULT, .theta = 1e6},
     .moe = {.router = {.E = 4, .k = 4, .normalised = true, .scale = 1, .n_groups = 1}, .F = 80, .is_dense = {2}},
     .max_positions = 512,
     .bos_id = -1,
     .eos_ids = {1},
     .n_eos = 1},
    {.n_layers = 2,
     .d = 128,
     .F = 256,
     .H = 4,
     .J = 2,
     .D = 32,
     .V = 1000,
     .norm_eps = 1e-6f,
     .rope = {.type = ROPE_DEFAULT, .theta = 1e6},
     .moe = {.router = {.E = 3, .k = 3, .scale = 1, .n_groups = 1}, .F = 64, .shared_F = 128, .shared_gated = true},
     .max_positions = 512,
     .bos_id = -1,
     .eos_ids = {1},
     .n_eos = 1},
};
static const char *const model_names[] = {"qwen2", "qwen3", "llama", "qwen2-64", "qwen3_moe", "qwen2_moe"};
#define MODELS       (int)(sizeof model_names / sizeof *model_names)
#define DENSE_MODELS 4 /* the first */

/* Families of mixtures are found by their names. */
static inline struct model_config model_config_of(int i)
{
    struct model_config config = model_configs[i];
    config.family = i < DENSE_MODELS ? config.family : model_family_find(str_of(model_names[i]));
    return config;
}

#define MODEL_ROWS 350

/* A prompt of 150 rows, three completions that share it, and another sequence; every row is a target. */
static const struct context model_contexts[] = {{0, 0, 0, 150}, {0, 150, 150, 70}, {0, 150, 220, 40}, {0, 0, 260, 90}};
#define MODEL_CONTEXTS (int)(sizeof model_contexts / sizeof *model_contexts)

struct model_batch {
    int32_t tokens[MODEL_ROWS], positions[MODEL_ROWS], rows[MODEL_ROWS], targets[MODEL_ROWS];
    float *d_logprob, *d_entropy; /* the loss's gradient */
    struct train_batch batch;
};

static inline void model_batch_make(struct model_batch *b, int i)
{
    struct rng rng = rng_stream(5, (uint64_t)i);
    for (int c = 0, t = 0; c < MODEL_CONTEXTS; c++) {
        for (int k = 0; k < model_contexts[c].n_rows; k++, t++) {
            b->positions[t] = model_contexts[c].n_prefix + k;
        }
    }
    for (int t = 0; t < MODEL_ROWS; t++) {
        b->tokens[t] = (int32_t)rng_below(&rng, (uint32_t)model_configs[i].V);
        b->targets[t] = (int32_t)rng_below(&rng, (uint32_t)model_configs[i].V);
        b->rows[t] = t < 3 ? 149 : t; /* the last of the prompt predicts for all */
    }
    b->d_logprob = elements(MODEL_ROWS, 0.01f, 7);
    b->d_entropy = elements(MODEL_ROWS, 0.001f, 8);
    b->batch = (struct train_batch){MODEL_ROWS,     b->tokens,  b->positions, MODEL_CONTEXTS,
                                    model_contexts, MODEL_ROWS, b->rows,      b->targets, NULL};
}

static inline void model_batch_free(struct model_batch *b)
{
    free(b->d_logprob), free(b->d_entropy);
}

/* Weights of a size at which each part matters, rounded to bf16 for both; the adapter's too. */
static inline void model_set_params(struct model *model, const struct params *params)
{
    for (int i = 0; i < params->n_parts; i++) {
        struct part part = part_in(params, i), *w = &part;
        float *rows = elements(w->n, w->cols ? 1.0f / sqrtf((float)w->cols) : 0.2f, 100 + (uint64_t)i);
        for (size_t k = 0; k < w->n && w->is_norm; k++) {
            rows[k] = bf16_value(bf16_bits(rows[k] + 1));
        }
        params_import(params, model->device, w->param, rows, w->row, w->rows);
        free(rows);
    }
}

static inline void model_set_weights(struct model *model)
{
    model_set_params(model, &model->params);
    if (model_trained(model) != &model->params) {
        model_set_params(model, model_trained(model));
    }
}

/* A gradient as rows. */
static inline float *model_rows_from(const struct model *model, const float *array, const struct part *w)
{
    float *rows = zeros(w->n);
    model->device->ops->wide_export(rows, array + w->offset, 0, w->rows, w->rows, w->width);
    return rows;
}

#endif

/* tests/model/fixture.h - tiny models, packed sequences and golden files for the tests of the forward and backward passes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_MODEL_FIXTURE_H
#define TESTS_MODEL_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"
#include "kernels/rng.h"
#include "model/activations.h"
#include "model/model.h"
#include "tests/model_parts.h"

#define FIXTURE_ASSERT(call)                                                                                           \
    do {                                                                                                               \
        if ((call) != ERR_NONE) {                                                                                      \
            fail_msg("%s", err_text());                                                                                \
        }                                                                                                              \
    } while (0)

/* A device a test; everything that was taken of it must have been given back. */
static inline int fixture_open(void **state)
{
    return device_open((struct device **)state, "auto") == ERR_NONE ? 0 : -1;
}

static inline int fixture_close(void **state)
{
    size_t left = device_bytes(*state);
    device_close(*state);
    return left == 0 ? 0 : -1;
}

/* ---- models ---- */

/* Latent attention. */
static inline void fixture_make_latent(struct model_config *config)
{
    config->J = config->H;
    config->D = 16;
    config->mla = (struct mla_config){.q_rank = 32,
                                      .kv_rank = 48,
                                      .nope = 16,
                                      .rope = config->D,
                                      .v = 32,
                                      .interleaved = true,
                                      .softmax_scale = 0.2f};
}

/* The second of the three layers that a test may want has an MLP. */
static inline void fixture_add_experts(struct model_config *config, enum fixture_family family)
{
    bool shared = family != FAMILY_QWEN3_MOE, gated = family == FAMILY_QWEN2_MOE, deepseek = !gated && shared;
    struct router router = {.E = gated ? 5 : 6, .k = gated ? 3 : 2, .normalised = !gated, .scale = 1, .n_groups = 1};
    router.top_groups = router.group_best = 1;
    if (deepseek) {
        router = (struct router){.E = 8,
                                 .k = 3,
                                 .sigmoid = true,
                                 .normalised = true,
                                 .scale = 2.5f,
                                 .epsilon = 1e-20f,
                                 .n_groups = 4,
                                 .top_groups = 2,
                                 .group_best = 2};
    }
    config->d = 48;
    config->moe = (struct moe_config){.router = router,
                                      .has_bias = deepseek,
                                      .F = 32,
                                      .shared_F = shared ? 64 : 0,
                                      .shared_gated = gated,
                                      .is_dense = {2}};
}

static inline struct model_config fixture_config(enum fixture_family family)
{
    struct model_config config = {
        .family = &model_families[family],
        .n_layers = 2,
        .d = 40,
        .F = 48,
        .H = 4,
        .J = 2,
        .D = 16,
        .V = 203,
        .norm_eps = 1e-6f,
        .tied = family != FAMILY_QWEN3 && family != FAMILY_QWEN3_MOE && family < FAMILY_DEEPSEEK,
        .rope = {.type = ROPE_DEFAULT, .theta = 10000},
        .max_positions = 512,
        .bos_id = -1,
    };
    static const char *const names[] = {[FAMILY_QWEN2_MOE] = "qwen2_moe",
                                        [FAMILY_QWEN3_MOE] = "qwen3_moe",
                                        [FAMILY_DEEPSEEK] = "deepseek_v3",
                                        [FAMILY_DEEPSEEK_MOE] = "deepseek_v3"};
    if (family >= FAMILY_QWEN2_MOE) {
        config.family = model_family_find(str_of(names[family]));
    }
    if (family >= FAMILY_DEEPSEEK) {
        fixture_make_latent(&config);
    }
    if (family >= FAMILY_QWEN2_MOE && family != FAMILY_DEEPSEEK) {
        fixture_add_experts(&config, family);
    }
    return config;
}

/* Weights far enough from zero that every part of the network matters; norms and biases too. */
static inline struct model *fixture_model_of(int n_layers, enum fixture_family family, struct device *device)
{
    struct model *model = NULL;
    struct model_config config = fixture_config(family);
    config.n_layers = n_layers;
    FIXTURE_ASSERT(model_new(&model, &config, NULL, device, 0, 7));
    for (int i = 0; i < model->params.n_parts; i++) {
        struct part part = part_of(model, i);
        float *rows = mem_alloc(part.n * sizeof *rows);
        struct rng rng = rng_stream(99, (uint64_t)i);
        for (size_t k = 0; k < part.n; k++) {
            float deviation = part.cols > 0 ? (float)(1.3 / sqrt(part.cols)) : 0.2f;
            rows[k] = deviation * rng_normal(&rng) + (part.is_norm ? 1.0f : 0.0f);
        }
        part_import(model, &part, rows);
        free(rows);
    }
    return model;
}

static inline struct model *fixture_model(enum fixture_family family, struct device *device)
{
    return fixture_model_of(2, family, device);
}

/* ---- sequences ---- */

#define FIXTURE_MAX_SEQUENCES 32

/* Whole sequences. One with a parent begins with the first n_prefix tokens of that one, which has no parent itself. */
struct sequences {
    int n;
    struct sequence {
        int32_t *tokens;
        int n_tokens, n_prefix, parent; /* parent -1: none */
        int first_target;               /* tokens from here on are targets */
        float *a, *b; /* [n_tokens - first_target] weights of log-probability and entropy in the loss */
        float *logprob, *lse, *entropy; /* golden */
    } of[FIXTURE_MAX_SEQUENCES];
};

static inline struct sequence *fixture_add(struct sequences *s, struct arena *arena, int n_new, int parent,
                                           int n_prefix)
{
    assert_true(s->n < FIXTURE_MAX_SEQUENCES);
    struct sequence *q = &s->of[s->n];
    struct rng rng = rng_stream(5, (uint64_t)s->n++);
    *q = (struct sequence){.n_tokens = n_prefix + n_new, .n_prefix = n_prefix, .parent = parent};
    q->first_target = n_prefix > 0 ? n_prefix : 1;
    q->tokens = ARENA_NEW(arena, int32_t, q->n_tokens);
    q->a = ARENA_NEW(arena, float, q->n_tokens);
    q->b = ARENA_NEW(arena, float, q->n_tokens);
    for (int i = 0; i < q->n_tokens; i++) {
        q->tokens[i] = i < n_prefix ? s->of[parent].tokens[i] : (int32_t)rng_below(&rng, 203);
        q->a[i] = rng_normal(&rng);
        q->b[i] = rng_normal(&rng);
    }
    return q;
}

/* The sequences as one packed batch; rows of a prefix are its parent's. */
struct packed {
    struct train_batch batch;
    float *a, *b; /* [n_targets] */
};

static inline struct packed fixture_pack(const struct sequences *s, struct arena *arena)
{
    int T = 0, most = 0;
    for (int i = 0; i < s->n; i++) {
        most += s->of[i].n_tokens;
    }
    int32_t *tokens = ARENA_NEW(arena, int32_t, most), *positions = ARENA_NEW(arena, int32_t, most);
    int32_t *rows = ARENA_NEW(arena, int32_t, most), *targets = ARENA_NEW(arena, int32_t, most);
    struct context *contexts = ARENA_NEW(arena, struct context, s->n);
    struct packed p = {.a = ARENA_NEW(arena, float, most), .b = ARENA_NEW(arena, float, most)};
    int n = 0;
    for (int i = 0; i < s->n; i++) {
        const struct sequence *q = &s->of[i];
        int prefix_row = q->parent < 0 ? 0 : contexts[q->parent].row;
        contexts[i] = (struct context){prefix_row, q->n_prefix, T, q->n_tokens - q->n_prefix};
        for (int k = q->first_target; k < q->n_tokens; k++, n++) {
            rows[n] = k - 1 < q->n_prefix ? prefix_row + k - 1 : T + k - 1 - q->n_prefix;
            targets[n] = q->tokens[k];
            p.a[n] = q->a[k - q->first_target];
            p.b[n] = q->b[k - q->first_target];
        }
        for (int k = q->n_prefix; k < q->n_tokens; k++, T++) {
            tokens[T] = q->tokens[k];
            positions[T] = k;
        }
    }
    p.batch = (struct train_batch){T, tokens, positions, s->n, contexts, n, rows, targets, NULL};
    return p;
}

static inline struct activations *fixture_activations(const struct model *model, const struct train_batch *batch)
{
    return activations_new(model, batch->T, batch->n_targets > 0 ? batch->n_targets : 1, batch->n_contexts, 512, false);
}

/* ---- cached forward ---- */

/* How sequences are cut into calls: each advances by `least` to `most` rows a call, all in the same calls or one sequence after
 * the other. */
struct plan {
    const char *name;
    int least, most;
    bool together;
};

static const struct plan fixture_whole = {"each sequence in one call", 512, 512, false};

struct cached_run {
    struct model *model;
    struct kv_pool pool;
    const int32_t *pages[FIXTURE_MAX_SEQUENCES];
    int done[FIXTURE_MAX_SEQUENCES],
        at[FIXTURE_MAX_SEQUENCES]; /* rows computed; first row of the sequence in the result */
    void *hidden;                  /* device */
    int32_t *tokens, *positions;
    float *rows;
};

/* Pages in no order of any kind, so that nothing may depend on where they lie. */
static inline void fixture_begin_run(struct cached_run *run, struct model *model, const struct sequences *s,
                                     struct arena *arena)
{
    int n_rows = 0, n_pages = 0, next = 0;
    *run = (struct cached_run){.model = model};
    for (int i = 0; i < s->n; i++) {
        run->at[i] = n_rows;
        n_rows += s->of[i].n_tokens;
        n_pages += (s->of[i].n_tokens + OPS_PAGE - 1) / OPS_PAGE;
    }
    for (int i = 0; i < s->n; i++) {
        int n = (s->of[i].n_tokens + OPS_PAGE - 1) / OPS_PAGE;
        int32_t *pages = ARENA_NEW(arena, int32_t, n);
        for (int k = 0; k < n; k++, next++) {
            pages[k] = next % 2 ? next / 2 : n_pages - 1 - next / 2;
        }
        run->pages[i] = pages;
    }
    size_t d = (size_t)model->config.d;
    kv_pool_init(&run->pool, model, n_pages);
    model_reserve_cached(model, n_rows);
    run->hidden = device_alloc(model->device, (size_t)n_rows * d * sizeof(float), "hidden");
    run->tokens = ARENA_NEW(arena, int32_t, n_rows);
    run->positions = ARENA_NEW(arena, int32_t, n_rows);
    run->rows = ARENA_NEW(arena, float, (size_t)n_rows *d);
}

static inline void fixture_end_run(struct cached_run *run)
{
    kv_pool_release(&run->pool, run->model);
    device_free(run->model->device, run->hidden);
}

/* One call: the next n[i] rows of each sequence; hidden rows go to their places in `result`. */
static inline void fixture_step(struct cached_run *run, const struct sequences *s, const int *n, float *result)
{
    struct span spans[FIXTURE_MAX_SEQUENCES];
    struct cached_batch batch = {0, run->tokens, run->positions, 0, spans};
    size_t d = (size_t)run->model->config.d;
    for (int i = 0; i < s->n; i++) {
        if (n[i] == 0) {
            continue;
        }
        spans[batch.n_spans++] = (struct span){batch.T, n[i], run->done[i], run->pages[i]};
        for (int k = run->done[i]; k < run->done[i] + n[i]; k++, batch.T++) {
            run->tokens[batch.T] = s->of[i].tokens[k];
            run->positions[batch.T] = k;
        }
    }
    model_forward_cached(run->model, &batch, &run->pool, run->hidden);
    device_read(run->model->device, run->rows, run->hidden, (size_t)batch.T * d * sizeof(float));
    const float *from = run->rows;
    for (int i = 0; i < s->n; i++) {
        memcpy(result + (size_t)(run->at[i] + run->done[i]) * d, from, (size_t)n[i] * d * sizeof(float));
        from += (size_t)n[i] * d;
        run->done[i] += n[i];
    }
}

/* The hidden rows of all sequences, each computed whole and on pages of its own: [sum of n_tokens, d]. */
static inline float *fixture_hidden(struct model *model, const struct sequences *s, const struct plan *plan,
                                    struct arena *arena)
{
    struct cached_run run;
    struct rng rng = rng_stream(3, 0);
    fixture_begin_run(&run, model, s, arena);
    int left = 0;
    for (int i = 0; i < s->n; i++) {
        left += s->of[i].n_tokens;
    }
    float *result = ARENA_NEW(arena, float, (size_t)left *(size_t)model->config.d);
    while (left > 0) {
        int n[FIXTURE_MAX_SEQUENCES] = {0}, T = 0;
        for (int i = 0; i < s->n && (plan->together || T == 0); i++) {
            int rest = s->of[i].n_tokens - run.done[i];
            int want = plan->least + (int)rng_below(&rng, (uint32_t)(plan->most - plan->least + 1));
            n[i] = want < rest ? want : rest;
            T += n[i];
        }
        if (T > 0) {
            fixture_step(&run, s, n, result);
        }
        left -= T;
    }
    fixture_end_run(&run);
    return result;
}

/* Prompts and texts of lengths around the edges of a page; groups of several completions, some very short. */
static inline struct sequences *fixture_sequences(struct arena *arena)
{
    static const int prompts[] = {1, 127, 128, 129, 200};
    static const int completions[][3] = {{1, 130, 5}, {1, 2, 40}, {1, 3, 129}, {60, 1, 1}, {57, 56, 2}};
    struct sequences *s = ARENA_NEW(arena, struct sequences, 1);
    fixture_add(s, arena, 131, -1, 0);
    for (int i = 0; i < 5; i++) {
        int parent = s->n;
        fixture_add(s, arena, prompts[i], -1, 0)->first_target = prompts[i];
        for (int k = 0; k < 3; k++) {
            fixture_add(s, arena, completions[i][k], parent, prompts[i]);
        }
    }
    fixture_add(s, arena, 1, -1, 0);
    fixture_add(s, arena, 257, -1, 0);
    return s;
}

/* ---- golden files (tests/golden/make_models.py) ---- */

static inline void fixture_import(struct model *model, const char *name, const json_t *entry, const uint8_t *data)
{
    struct part part = part_named(model, name);
    assert_string_equal(json_string_value(json_object_get(entry, "dtype")), "BF16");
    const json_t *offsets = json_object_get(entry, "data_offsets");
    size_t from = (size_t)json_integer_value(json_array_get(offsets, 0));
    size_t bytes = (size_t)json_integer_value(json_array_get(offsets, 1)) - from;
    assert_int_equal(bytes, 2 * part.n);
    float *rows = mem_alloc(2 * bytes);
    for (size_t i = 0; i < bytes / 2; i++) {
        uint32_t bits = (uint32_t)data[from + 2 * i] << 16 | (uint32_t)data[from + 2 * i + 1] << 24;
        memcpy(&rows[i], &bits, sizeof bits);
    }
    part_import(model, &part, rows);
    free(rows);
}

/* A golden model. Its weights are read here, so that the test of the network does not stand on the loader. */
static inline struct model *fixture_golden_model(const char *name, struct device *device)
{
    char folder[256], path[300];
    snprintf(folder, sizeof folder, "tests/golden/models/%s", name);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    struct model_config config;
    struct model *model = NULL;
    FIXTURE_ASSERT(model_config_open(&config, folder));
    FIXTURE_ASSERT(model_new(&model, &config, NULL, device, 0, 0));
    struct strbuf file = STRBUF_INIT;
    FIXTURE_ASSERT(file_read(&file, path, 1 << 20));
    uint64_t header_bytes;
    memcpy(&header_bytes, file.data, sizeof header_bytes);
    json_t *header = NULL;
    FIXTURE_ASSERT(json_parse(&header, (struct str){file.data + 8, (size_t)header_bytes}, path));
    int n = 0;
    const char *tensor;
    json_t *entry;
    json_object_foreach(header, tensor, entry)
    {
        if (strcmp(tensor, "__metadata__") != 0) {
            fixture_import(model, tensor, entry, (const uint8_t *)file.data + 8 + header_bytes);
            n++;
        }
    }
    assert_int_equal(n, model->params.n_parts);
    json_decref(header);
    strbuf_release(&file);
    return model;
}

struct golden_grad {
    char name[81];
    int rows, cols, n;
    float norm;
    int32_t *index;
    float *value;
};

struct golden {
    struct sequences sequences;
    float inv_temperature;
    int n_grads;
    struct golden_grad *grads;
};

static inline void fixture_take(void *to, const struct strbuf *file, size_t *at, size_t bytes)
{
    assert_true(*at + bytes <= file->length);
    if (bytes > 0) {
        memcpy(to, file->data + *at, bytes);
    }
    *at += bytes;
}

static inline void fixture_take_sequence(struct sequence *q, const struct strbuf *file, size_t *at, struct arena *arena)
{
    int32_t head[4];
    fixture_take(head, file, at, sizeof head);
    *q = (struct sequence){.n_tokens = head[0], .n_prefix = head[1], .parent = head[2], .first_target = head[3]};
    q->tokens = ARENA_NEW(arena, int32_t, q->n_tokens);
    fixture_take(q->tokens, file, at, (size_t)q->n_tokens * sizeof *q->tokens);
    float **arrays[] = {&q->a, &q->b, &q->logprob, &q->lse, &q->entropy};
    size_t bytes = (size_t)(q->n_tokens - q->first_target) * sizeof(float);
    for (int i = 0; i < 5; i++) {
        *arrays[i] = arena_alloc(arena, bytes + 1);
        fixture_take(*arrays[i], file, at, bytes);
    }
}

static inline struct golden fixture_golden(const char *name, struct arena *arena)
{
    char path[256], magic[8];
    struct golden golden = {0};
    struct strbuf file = STRBUF_INIT;
    size_t at = 0;
    snprintf(path, sizeof path, "tests/golden/models/%s/golden.bin", name);
    FIXTURE_ASSERT(file_read(&file, path, 1 << 20));
    fixture_take(magic, &file, &at, 8);
    assert_memory_equal(magic, "STROPGLD", 8);
    fixture_take(&golden.sequences.n, &file, &at, 4);
    fixture_take(&golden.n_grads, &file, &at, 4);
    fixture_take(&golden.inv_temperature, &file, &at, 4);
    assert_true(golden.sequences.n <= FIXTURE_MAX_SEQUENCES);
    for (int i = 0; i < golden.sequences.n; i++) {
        fixture_take_sequence(&golden.sequences.of[i], &file, &at, arena);
    }
    golden.grads = ARENA_NEW(arena, struct golden_grad, golden.n_grads);
    for (int i = 0; i < golden.n_grads; i++) {
        struct golden_grad *g = &golden.grads[i];
        int32_t shape[3];
        fixture_take(g->name, &file, &at, 80);
        fixture_take(shape, &file, &at, sizeof shape);
        fixture_take(&g->norm, &file, &at, 4);
        g->rows = shape[0];
        g->cols = shape[1];
        g->n = shape[2];
        g->index = ARENA_NEW(arena, int32_t, g->n);
        g->value = ARENA_NEW(arena, float, g->n);
        fixture_take(g->index, &file, &at, (size_t)g->n * 4);
        fixture_take(g->value, &file, &at, (size_t)g->n * 4);
    }
    assert_int_equal(at, file.length);
    strbuf_release(&file);
    return golden;
}

static const char *const fixture_golden_names[] = {
    "qwen2", "qwen3", "llama-tied", "llama3", "llama-linear", "qwen2-yarn", "mla", "mla-direct",
    "qwen3-moe", "qwen3-moe-dense", "qwen2-moe", "deepseek-v3", "deepseek-v2",
    "deepseek-v3-halves", "deepseek-v2-greedy"};
#define FIXTURE_GOLDENS 15

#endif

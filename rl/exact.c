/* rl/exact.c - rounds of sampling and of comparing.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/exact.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "kernels/rng.h"
#include "model/adapter.h"
#include "rl/batch.h"
#include "rl/exact_hidden.h"

#define MAX_POSITIONS 1024
#define MAX_PROMPT    320
#define SHORT_PROMPT  48  /* most prompts and completions are short: attention makes long ones dear, */
#define SHORT_LENGTH  128 /* and what a long one can show, it shows in a quarter of the rounds */
#define MICRO_ROWS    2048
#define ROUND_TOKENS  24000 /* of completions, at most */
#define FEW_TOKENS    100   /* a sample should have more of them: its prompt is computed but not compared */
#define MAX_TARGETS   6
#define GROUP_MAX     8
#define PROMPTS_MAX   128
#define HIDDEN_EVERY  4 /* rounds */

/* ---- what is compared ---- */

struct setup {
    const char *name;
    int rows, sequences, pages, threads;
    bool shared; /* one prompt per group, not one per sample */
    int weight;  /* share of the tokens: less for what is slow */
    int prompts; /* of a round, at most */
};

static const struct setup setups[] = {
    {"1024 rows", 1024, 1024, 1300, 1, true, 1000, PROMPTS_MAX},
    {"512 rows", 512, 256, 600, 1, true, 60, 12},
    {"512 rows, 2 threads", 512, 256, 600, 2, true, 40, 12},
    {"64 rows", 64, 48, 300, 1, true, 30, 12},
    {"100 rows, own prompts", 100, 64, 400, 2, false, 30, 12},
    {"7 rows", 7, 7, 56, 1, true, 5, 12},
    {"1 row", 1, 1, 8, 1, true, 1, 12},
    {"256 rows, pre-empted", 256, 128, 24, 1, true, 16, 12},
    {"33 rows, pre-empted, 2 threads", 33, 16, 10, 2, true, 10, 12},
};

#define N_SETUPS ((int)(sizeof setups / sizeof *setups))

struct shape {
    const char *name; /* of the family too */
    struct model_config config;
};

static const struct shape shapes[] = {
    {"qwen2",
     {.n_layers = 2,
      .d = 40,
      .F = 48,
      .H = 4,
      .J = 2,
      .D = 16,
      .V = 101,
      .norm_eps = 1e-6f,
      .tied = true,
      .rope = {.type = ROPE_DEFAULT, .theta = 1e6},
      .max_positions = MAX_POSITIONS,
      .bos_id = -1}},
    {"qwen3",
     {.n_layers = 1,
      .d = 32,
      .F = 64,
      .H = 2,
      .J = 1,
      .D = 32,
      .V = 130,
      .norm_eps = 1e-6f,
      .rope = {.type = ROPE_DEFAULT, .theta = 1e6},
      .max_positions = MAX_POSITIONS,
      .bos_id = -1}},
    {"llama",
     {.n_layers = 2,
      .d = 36,
      .F = 48,
      .H = 3,
      .J = 1,
      .D = 16,
      .V = 257,
      .norm_eps = 1e-5f,
      .rope = {.type = ROPE_LLAMA3,
               .theta = 5e5,
               .factor = 8,
               .low_freq_factor = 1,
               .high_freq_factor = 4,
               .original_max_positions = 512},
      .max_positions = MAX_POSITIONS,
      .bos_id = -1}},
    {"deepseek_v3",
     {.n_layers = 2,
      .d = 48,
      .F = 48,
      .H = 3,
      .J = 3,
      .D = 16,
      .V = 149,
      .norm_eps = 1e-6f,
      .rope = {.type = ROPE_YARN,
               .theta = 1e4,
               .factor = 8,
               .original_max_positions = 128,
               .beta_fast = 32,
               .beta_slow = 1,
               .mscale = 1,
               .mscale_all_dim = 0.7},
      .moe = {.router = {.E = 8,
                         .k = 3,
                         .sigmoid = true,
                         .normalised = true,
                         .scale = 2.5f,
                         .epsilon = 1e-20f,
                         .n_groups = 4,
                         .top_groups = 2,
                         .group_best = 2},
              .has_bias = true,
              .F = 16,
              .shared_F = 16,
              .is_dense = {1}},
      .mla =
          {.q_rank = 32, .kv_rank = 32, .nope = 16, .rope = 16, .v = 16, .interleaved = true, .softmax_scale = 0.25f},
      .max_positions = MAX_POSITIONS,
      .bos_id = -1}},
    {"qwen3",
     {.n_layers = 2,
      .d = 40,
      .F = 48,
      .H = 4,
      .J = 2,
      .D = 16,
      .V = 101,
      .norm_eps = 1e-6f,
      .tied = true,
      .rope = {.type = ROPE_DEFAULT, .theta = 1e6},
      .lora = {.r = 5, .alpha = 9}, /* of all matrices */
      .max_positions = MAX_POSITIONS,
      .bos_id = -1}},
    {"qwen3_moe",
     {.n_layers = 2,
      .d = 32,
      .H = 2,
      .J = 1,
      .D = 16,
      .V = 101,
      .norm_eps = 1e-6f,
      .tied = true,
      .rope = {.type = ROPE_DEFAULT, .theta = 1e6},
      .moe = {.router = {.E = 11, .k = 3, .normalised = true, .scale = 1, .n_groups = 1}, .F = 16},
      .max_positions = MAX_POSITIONS,
      .bos_id = -1}},
    {"qwen2_moe",
     {.n_layers = 2,
      .d = 48,
      .F = 48,
      .H = 3,
      .J = 1,
      .D = 16,
      .V = 130,
      .norm_eps = 1e-6f,
      .rope = {.type = ROPE_DEFAULT, .theta = 1e6},
      .moe = {.router = {.E = 6, .k = 2, .scale = 1, .n_groups = 1},
              .F = 32,
              .shared_F = 16,
              .shared_gated = true,
              .is_dense = {1}},
      .max_positions = MAX_POSITIONS,
      .bos_id = -1}},
    {"deepseek_v2",
     {.n_layers = 2,
      .d = 32,
      .H = 2,
      .J = 2,
      .D = 16,
      .V = 101,
      .norm_eps = 1e-6f,
      .tied = true,
      .rope = {.type = ROPE_DEFAULT, .theta = 1e4},
      .moe = {.router = {.E = 9, .k = 2, .scale = 16, .n_groups = 3, .top_groups = 2, .group_best = 1},
              .F = 16,
              .shared_F = 16},
      .mla = {.kv_rank = 32, .nope = 16, .rope = 16, .v = 16, .interleaved = true, .softmax_scale = 0.18f},
      .max_positions = MAX_POSITIONS,
      .bos_id = -1}},
};

#define N_SHAPES ((int)(sizeof shapes / sizeof *shapes))

/* Where to sample and where to train. */
struct target {
    struct device *rollout, *train;
    int weight;
};

struct exact {
    const struct exact_options *options;
    struct exact_result *result;
    struct arena *arena;
    struct device *devices[3];
    int n_devices;
    struct target targets[MAX_TARGETS];
    int n_targets, n_shapes;
    struct rng rng;
    uint64_t next_sequence;
    struct iteration it; /* one round */
    struct hidden_set hidden;
    int n_rounds;
};

/* ---- devices and models ---- */

static bool is_scalar(const struct device *device)
{
    return strcmp(device->ops->name, "cpu/scalar") == 0;
}

/* Lists the pairs of devices: each with itself, and, for fewer tokens, with the next. The scalar build gets the
 * fewest, since it is slow. */
static void list_targets(struct exact *e)
{
    for (int i = 0; i < e->n_devices; i++) {
        struct device *device = e->devices[i], *next = e->devices[(i + 1) % e->n_devices];
        bool slow = is_scalar(device) || is_scalar(next);
        e->targets[e->n_targets++] = (struct target){device, device, is_scalar(device) ? 5 : 10000};
        if (next != device) {
            e->targets[e->n_targets++] = (struct target){device, next, slow ? 5 : 200};
        }
    }
}

static enum err open_devices(struct exact *e)
{
    static const char *const names[] = {"cpu/scalar", "cpu/avx2", "cpu/avx512"};
    const char *wanted = e->options->device;
    if (strcmp(wanted, "auto") != 0 || e->options->model) {
        TRY(device_open(&e->devices[0], wanted));
        e->n_devices = 1;
    } else {
        for (int i = 0; i < 3; i++) {
            e->n_devices += device_open(&e->devices[e->n_devices], names[i]) == ERR_NONE;
        }
    }
    list_targets(e);
    return ERR_NONE;
}

/* Weights of a size at which every part of the network moves the result by more than its last bit. */
static void widen_weights(const struct params *params, const struct device *device, uint64_t seed)
{
    for (int i = 0; i < params->n_parts; i++) {
        const struct param_part *part = &params->parts[i];
        const struct param *p = &params->table[part->param];
        size_t n = (size_t)part->rows * (size_t)param_width(p);
        float deviation = p->cols > 0 ? 1.3f / sqrtf((float)p->cols) : 0.2f, *rows = mem_alloc(n * sizeof *rows);
        struct rng rng = rng_stream(seed, (uint64_t)i);
        for (size_t k = 0; k < n; k++) {
            rows[k] = deviation * rng_normal(&rng) + (p->init == PARAM_ONE ? 1.0f : 0.0f);
        }
        params_import(params, device, p, rows, part->row, part->rows);
        free(rows);
    }
}

static enum err open_model(const struct exact *e, int shape, struct device *device, struct model **out)
{
    if (e->options->model) {
        return model_open(out, e->options->model, device, MAX_POSITIONS);
    }
    struct model_config config = shapes[shape].config;
    config.family = model_family_find(str_of(shapes[shape].name));
    config.lora.targets = lora_target("all-linear");
    TRY(model_new(out, &config, NULL, device, 0, 1));
    widen_weights(&(*out)->params, device, 99);
    if ((*out)->adapter) { /* B is no longer 0, nor what fills up r */
        widen_weights(&(*out)->adapter->params, device, 98);
    }
    return ERR_NONE;
}

/* ---- a round ---- */

/* Draws a length: short where few tokens are wanted, since prompts would cost more; a third at the edges of tiles
 * and pages. */
static int random_prompt_length(struct rng *rng, int64_t budget)
{
    static const int edges[] = {1, 2, 127, 128, 129, 255, 256, 257};
    if (budget < MAX_PROMPT) {
        return 1 + (int)rng_below(rng, (uint32_t)budget + 1);
    }
    uint32_t kind = rng_below(rng, 6);
    return kind < 2 ? edges[rng_below(rng, 8)] : 1 + (int)rng_below(rng, kind < 5 ? SHORT_PROMPT : MAX_PROMPT);
}

/* Draws a count from 1 to `max`, and at most `limit` (but at least 1). */
static int random_count(struct exact *e, int max, int64_t limit)
{
    int n = 1 + (int)rng_below(&e->rng, (uint32_t)max);
    return n <= limit ? n : limit < 1 ? 1 : (int)limit;
}

/* Draws the prompts of a round that gives up to about `left` tokens. */
static void draw_prompts(struct exact *e, const struct model *model, const struct setup *setup, int64_t left,
                         int *max_tokens)
{
    struct iteration *it = &e->it;
    iteration_clear(it);
    int64_t budget = left < ROUND_TOKENS ? left : ROUND_TOKENS;
    int few = setup->prompts == PROMPTS_MAX ? FEW_TOKENS / 5 : FEW_TOKENS;
    it->G = random_count(e, GROUP_MAX, budget / few);
    it->n_prompts = random_count(e, setup->prompts, budget / few / it->G);
    int64_t each = budget / (it->G * it->n_prompts) + 1;
    bool is_long = rng_below(&e->rng, 4) == 0;
    int longest = 1 + (int)rng_below(&e->rng, is_long ? MAX_POSITIONS - MAX_PROMPT : SHORT_LENGTH);
    *max_tokens = each < longest ? (int)each : longest;
    it->prompts = ARENA_NEW(&it->arena, struct prompt, it->n_prompts);
    for (int p = 0; p < it->n_prompts; p++) {
        int n = random_prompt_length(&e->rng, budget);
        int32_t *tokens = ARENA_NEW(&it->arena, int32_t, n);
        for (int i = 0; i < n; i++) {
            tokens[i] = (int32_t)rng_below(&e->rng, (uint32_t)model->config.V);
        }
        it->prompts[p] = (struct prompt){.tokens = tokens, .n_tokens = n};
    }
    it->first_sequence = e->next_sequence;
    e->next_sequence += (uint64_t)(it->n_prompts * it->G);
}

/* Samples, and lays the completions out as samples of the iteration. Without sharing every sample is a prompt of its
 * own, with the same key of random numbers. */
static enum err sample_round(struct exact *e, struct rollout *rollout, bool shared, int max_tokens)
{
    struct iteration *it = &e->it;
    int G = it->G, n = shared ? it->n_prompts : it->n_prompts * G;
    struct rollout_prompt *prompts = ARENA_NEW(&it->arena, struct rollout_prompt, n);
    struct group *groups = ARENA_NEW(&it->arena, struct group, n);
    for (int i = 0; i < n; i++) {
        const struct prompt *prompt = &it->prompts[shared ? i : i / G];
        prompts[i] = (struct rollout_prompt){prompt->tokens, prompt->n_tokens, shared ? G : 1, max_tokens,
                                             it->first_sequence + (uint64_t)(shared ? i * G : i)};
    }
    TRY(rollout_run(rollout, prompts, n, &it->arena, groups, NULL, NULL));
    it->n_samples = it->n_prompts * G;
    it->samples = ARENA_NEW(&it->arena, struct sample, it->n_samples);
    for (int i = 0; i < it->n_samples; i++) {
        it->samples[i].prompt = &it->prompts[i / G];
        it->samples[i].completion = &groups[shared ? i / G : i].completions[shared ? i % G : 0];
    }
    return ERR_NONE;
}

static bool bits_differ(float a, float b)
{
    return memcmp(&a, &b, sizeof a) != 0;
}

/* The rollout's experts, which were packed, with those that training chose. */
static void compare_experts(struct exact *e, const struct model *model, const struct activations *acts,
                            const struct train_batch *batch, struct exact_row *row)
{
    const struct model_config *config = &model->config;
    int pairs = batch->T * model_expert_layers(config), k = config->moe.router.k;
    uint8_t *experts = ARENA_NEW(&e->it.arena, uint8_t, pairs * k);
    model_packed_experts(model, acts, experts);
    for (int i = 0; i < pairs; i++) {
        row->experts_different += memcmp(experts + (ptrdiff_t)i * k, batch->experts + (ptrdiff_t)i * k, (size_t)k) != 0;
    }
    row->experts_compared += pairs;
}

static void compare_micro_batch(struct exact *e, struct model *model, struct activations *acts,
                                const struct micro_batch *mb, float inv_temperature, struct exact_row *row)
{
    int n = mb->batch.n_targets;
    float *logprob = ARENA_NEW(&e->it.arena, float, n), *lse = ARENA_NEW(&e->it.arena, float, n);
    struct train_batch batch = mb->batch;
    batch.experts = NULL; /* chosen again */
    model_forward(model, &batch, acts);
    if (mb->batch.experts) {
        compare_experts(e, model, acts, &mb->batch, row);
    }
    model_target_logprobs(model, &mb->batch, acts, inv_temperature, logprob, lse, NULL);
    for (int i = 0; i < n; i++) {
        const struct completion *c = e->it.samples[mb->sample[i]].completion;
        int k = mb->index[i];
        row->different += bits_differ(c->logprob[k], logprob[i]) || bits_differ(c->lse[k], lse[i]);
    }
    row->compared += n;
}

/* Computes the round again in training batches, either of groups or of single samples. */
static void compare_round(struct exact *e, struct model *model, struct activations *acts, float inv_temperature,
                          struct exact_row *row)
{
    struct iteration *it = &e->it;
    if (rng_below(&e->rng, 2) == 0) { /* every sample with a prompt of its own */
        it->n_prompts *= it->G;
        it->G = 1;
    }
    int rows = 300 + (int)rng_below(&e->rng, MICRO_ROWS - 300);
    batch_pack(&(struct batch_options){.prompts_per_step = it->n_prompts,
                                       .num_iterations = 1,
                                       .max_tokens = rows,
                                       .keep_all = true,
                                       .expert_bytes = model_expert_bytes(&model->config)},
               it);
    for (int i = 0; i < it->minibatches[0].n_micro_batches; i++) {
        compare_micro_batch(e, model, acts, &it->minibatches[0].micro_batches[i], inv_temperature, row);
    }
    it->n_prompts = 0; /* no longer the number of it->prompts, whose fields are empty anyway */
}

/* ---- the grid ---- */

/* Two models with the same weights, or one twice. */
struct pair {
    struct model *rollout, *train;
    struct activations *acts;
};

static enum err run_setup(struct exact *e, const struct pair *pair, const struct setup *setup, int64_t tokens,
                          struct exact_row *row)
{
    float temperature = setup->shared ? 1.0f : 0.8f;
    struct rollout_options options = {.temperature = temperature,
                                      .top_p = 1,
                                      .repetition_penalty = 1,
                                      .seed = e->options->seed,
                                      .ignore_eos = true,
                                      .max_batch_tokens = setup->rows,
                                      .n_pages = setup->pages,
                                      .max_sequences = setup->sequences,
                                      .keep_experts = model_expert_layers(&pair->rollout->config) > 0};
    struct rollout *rollout;
    TRY(rollout_open(&rollout, pair->rollout, &options));
    enum err result = ERR_NONE;
    while (result == ERR_NONE && row->compared < tokens) {
        int max_tokens;
        bool hidden = e->n_rounds++ % HIDDEN_EVERY == 0;
        draw_prompts(e, pair->rollout, setup, tokens - row->compared, &max_tokens);
        device_set_threads(setup->threads);
        if (hidden) {
            hidden_clear(&e->hidden);
            hidden_note(&e->hidden, pair->rollout);
        }
        result = sample_round(e, rollout, setup->shared, max_tokens);
        hidden_stop(pair->rollout);
        if (result == ERR_NONE) {
            device_set_threads(3 - setup->threads);
            if (hidden) {
                hidden_look(&e->hidden, pair->train);
            }
            compare_round(e, pair->train, pair->acts, 1.0f / temperature, row);
            hidden_stop(pair->train);
            row->preempted += rollout_stats(rollout)->n_preempted;
        }
        if (e->options->report) {
            e->options->report(e->options->context, e->result->compared + row->compared,
                               e->result->different + row->different);
        }
    }
    rollout_close(rollout);
    row->hidden_compared = e->hidden.compared;
    row->hidden_different = e->hidden.different;
    e->hidden.compared = e->hidden.different = 0;
    return result;
}

static enum err run_pair(struct exact *e, const struct target *target, const struct pair *pair, const char *name,
                         double share)
{
    int total = 0;
    for (int i = 0; i < N_SETUPS; i++) {
        total += setups[i].weight;
    }
    for (int i = 0; i < N_SETUPS; i++) {
        struct exact_row *row = &e->result->rows[e->result->n_rows++];
        *row = (struct exact_row){
            name, target->rollout->ops->name, target->train->ops->name, setups[i].name, 0, 0, 0, 0, 0, 0, 0};
        TRY(run_setup(e, pair, &setups[i], (int64_t)ceil(share * setups[i].weight / total), row));
        e->result->compared += row->compared;
        e->result->different += row->different;
        e->result->hidden_compared += row->hidden_compared;
        e->result->hidden_different += row->hidden_different;
        e->result->experts_compared += row->experts_compared;
        e->result->experts_different += row->experts_different;
    }
    return ERR_NONE;
}

static enum err run_models(struct exact *e, const struct target *target, int shape, double share)
{
    struct pair pair;
    TRY(open_model(e, shape, target->rollout, &pair.rollout));
    enum err result = ERR_NONE;
    pair.train = pair.rollout;
    if (target->train != target->rollout) {
        result = open_model(e, shape, target->train, &pair.train);
    }
    if (result == ERR_NONE) {
        const char *random = shapes[shape].config.lora.r > 0 ? "LoRA" : shapes[shape].name;
        const char *name = e->options->model ? arena_strdup(e->arena, e->options->model) : random;
        pair.acts = activations_new(pair.train, MICRO_ROWS, MICRO_ROWS + PROMPTS_MAX * GROUP_MAX,
                                    2 * PROMPTS_MAX * GROUP_MAX, MAX_POSITIONS, false);
        result = run_pair(e, target, &pair, name, share);
        activations_free(pair.acts, pair.train);
        if (pair.train != pair.rollout) {
            model_close(pair.train);
        }
    }
    model_close(pair.rollout);
    return result;
}

static enum err run_all(struct exact *e)
{
    int total = 0;
    TRY(open_devices(e));
    for (int i = 0; i < e->n_targets; i++) {
        total += e->targets[i].weight;
    }
    e->n_shapes = e->options->model ? 1 : N_SHAPES;
    e->result->rows = ARENA_NEW(e->arena, struct exact_row, e->n_targets * e->n_shapes * N_SETUPS);
    for (int i = 0; i < e->n_targets; i++) {
        for (int shape = 0; shape < e->n_shapes; shape++) {
            double share = (double)e->options->tokens * e->targets[i].weight / total / e->n_shapes;
            TRY(run_models(e, &e->targets[i], shape, share));
        }
    }
    return ERR_NONE;
}

enum err exact_run(const struct exact_options *options, struct arena *arena, struct exact_result *result)
{
    struct exact_result found = {0};
    struct exact e = {.options = options, .result = &found, .arena = arena, .rng = rng_stream(options->seed, 1)};
    double start = clock_seconds();
    enum err err = run_all(&e);
    device_set_threads(0);
    iteration_release(&e.it);
    hidden_release(&e.hidden);
    for (int i = 0; i < e.n_devices; i++) {
        device_close(e.devices[i]);
    }
    TRY(err);
    found.seconds = clock_seconds() - start;
    *result = found;
    return ERR_NONE;
}

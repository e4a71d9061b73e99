/* tests/rl/run_fixture.h - whole runs of a model so small that a step takes milliseconds: made, run, and digested.
 *
 * The model is a random Qwen2 of two layers and width 32 over single bytes, an end token and the four tags of the R1-Zero
 * format; short completions earn something, so that groups differ. Nothing here needs cmocka: a step
 * that fails ends the program with its sentence, and tests/fault/kill.c uses it too.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_RL_RUN_FIXTURE_H
#define TESTS_RL_RUN_FIXTURE_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/json.h"
#include "model/model.h"
#include "rl/metrics.h"
#include "rl/run/store.h"
#include "rl/train.h"
#include "tests/model_parts.h"

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        if ((call) != ERR_NONE) {                                                                                      \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, err_text());                                            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* ---- the model ---- */

enum { RUN_EOS = 257, RUN_VOCABULARY = 262 };

/* The byte alphabet of GPT-2: printable bytes are themselves, the others 256, 257 ... in order. */
static inline void run_put_byte(struct strbuf *out, int byte)
{
    int n = 0;
    struct strbuf character = STRBUF_INIT;
    for (int b = 0; b <= byte; b++) {
        bool plain = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        if (b == byte) {
            strbuf_put_utf8(&character, (uint32_t)(plain ? b : 256 + n));
        }
        n += !plain;
    }
    strbuf_add_json(out, strbuf_view(&character));
    strbuf_release(&character);
}

/* Token i is byte i; 256 is "ab", 257 ends a text, 258 to 261 are the tags. */
static inline void run_tokenizer_json(struct strbuf *json)
{
    static const char *const added[] = {"<|end|>", "<think>", "</think>", "<answer>", "</answer>"};
    strbuf_puts(json, "{\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false},"
                      " \"decoder\": {\"type\": \"ByteLevel\"}, \"added_tokens\": [");
    for (int i = 0; i < 5; i++) {
        strbuf_printf(json, "%s{\"id\": %d, \"content\": \"%s\", \"special\": true}", i ? ", " : "", RUN_EOS + i,
                      added[i]);
    }
    strbuf_puts(json, "], \"model\": {\"type\": \"BPE\", \"merges\": [\"a b\"], \"vocab\": {\"ab\": 256");
    for (int b = 0; b < 256; b++) {
        strbuf_puts(json, ", \"");
        run_put_byte(json, b);
        strbuf_printf(json, "\": %d", b);
    }
    strbuf_puts(json, "}}}\n");
}

static inline void run_write_text(const char *folder, const char *name, const char *text)
{
    char path[FILE_PATH_BYTES];
    MUST(file_join(path, sizeof path, folder, name));
    MUST(file_write_atomic(path, text, strlen(text)));
}

/* A Hugging Face folder of a model over the vocabulary above, its weights drawn from the seed. */
static inline void run_save_model(const char *folder, const struct model_config *config, uint64_t seed)
{
    struct device *device = NULL;
    struct model *model = NULL;
    struct strbuf tokenizer = STRBUF_INIT;
    MUST(device_open(&device, "auto"));
    MUST(model_new(&model, config, NULL, device, 0, seed));
    MUST(file_make_folders(folder));
    free(model->source);
    model->source = mem_strdup("made by a test");
    MUST(model_save(model, folder, "float32"));
    model_close(model);
    device_close(device);
    run_tokenizer_json(&tokenizer);
    run_write_text(folder, "tokenizer.json", tokenizer.data);
    strbuf_release(&tokenizer);
}

static inline struct model_config run_model_config(void)
{
    return (struct model_config){
        .family = &model_families[FAMILY_QWEN2],
        .n_layers = 2,
        .d = 32,
        .F = 48,
        .H = 2,
        .J = 1,
        .D = 16,
        .V = RUN_VOCABULARY,
        .norm_eps = 1e-6f,
        .tied = true,
        .rope = {.type = ROPE_DEFAULT, .theta = 10000},
        .max_positions = 1024,
        .bos_id = -1,
        .eos_ids = {RUN_EOS},
        .n_eos = 1,
    };
}

/* The same with latent attention, one layer dense and one of eight experts. */
static inline struct model_config run_mixture_config(void)
{
    struct model_config config = run_model_config();
    config.family = model_family_find(STR("deepseek_v3"));
    config.J = config.H;
    config.moe = (struct moe_config){.router = {.E = 8,
                                                .k = 2,
                                                .sigmoid = true,
                                                .normalised = true,
                                                .scale = 1,
                                                .epsilon = 1e-20f,
                                                .n_groups = 1,
                                                .top_groups = 1,
                                                .group_best = 2},
                                     .has_bias = true,
                                     .F = 16,
                                     .shared_F = 16,
                                     .is_dense = {1}};
    config.mla = (struct mla_config){
        .q_rank = 16, .kv_rank = 16, .nope = 16, .rope = 16, .v = 16, .interleaved = true, .softmax_scale = 0.1767767f};
    return config;
}

static inline void run_make_model(const char *folder, uint64_t seed)
{
    struct model_config config = run_model_config();
    run_save_model(folder, &config, seed);
}

/* ---- a run ---- */

/* Iterations of four steps, so that a run is mostly stopped inside one; two rewards. */
#define RUN_LONG_ITERATIONS                                                                                            \
    "model_name_or_path: model\n"                                                                                      \
    "dataset_name: \"countdown:number_most=30\"\n"                                                                     \
    "template: none\n"                                                                                                 \
    "max_prompt_length: 96\n"                                                                                          \
    "max_completion_length: 16\n"                                                                                      \
    "prompts_per_step: 3\n"                                                                                            \
    "num_generations: 4\n"                                                                                             \
    "max_sequences: 8\n"                                                                                               \
    "tokens_per_micro_batch: 256\n"                                                                                    \
    "reward_funcs: [{name: length, unit: characters, target: 12}, {name: countdown, weight: 0.5}]\n"                   \
    "reward_threads: 1\n"                                                                                              \
    "learning_rate: 1.0e-2\n"                                                                                          \
    "num_threads: 1\n"                                                                                                 \
    "num_iterations: 2\n"                                                                                              \
    "steps_per_generation: 2\n"

#define RUN_GRPO                                                                                                       \
    "model_name_or_path: model\n"                                                                                      \
    "dataset_name: \"countdown:number_most=30\"\n"                                                                     \
    "template: none\n"                                                                                                 \
    "max_completion_length: 16\n"                                                                                      \
    "prompts_per_step: 3\n"                                                                                            \
    "num_generations: 4\n"                                                                                             \
    "max_sequences: 8\n"                                                                                               \
    "tokens_per_micro_batch: 256\n"                                                                                    \
    "reward_funcs: [{name: length, most: 5}, {name: countdown, weight: 0.5}]\n"                                        \
    "reward_threads: 1\n"                                                                                              \
    "learning_rate: 1.0e-2\n"                                                                                          \
    "lr_scheduler_type: cosine\n"                                                                                      \
    "warmup_steps: 3\n"                                                                                                \
    "weight_decay: 0.1\n"                                                                                              \
    "num_threads: 1\n"                                                                                                 \
    "max_steps: 12\n"

/* The recipe at FOLDER/NAME.yaml, beside the model; its output_dir is FOLDER/NAME. */
static inline void run_open_recipe(struct recipe *recipe, const char *folder, const char *name, const char *text)
{
    char path[FILE_PATH_BYTES];
    struct strbuf all = STRBUF_INIT;
    snprintf(path, sizeof path, "%s/%s.yaml", folder, name);
    strbuf_printf(&all, "%s\noutput_dir: %s/%s\n", text, folder, name);
    MUST(recipe_parse(recipe, strbuf_view(&all), path));
    strbuf_release(&all);
    MUST(recipe_finish(recipe));
}

/* ---- what a run left behind, as numbers that must be equal ----
 *
 * Left out is what depends on the clock and nothing else: the metrics of metrics_is_timing (seconds, tokens a second), the
 * columns steps.wall and rewards.seconds, and the table events, which logs what befell a run, with the time. */

struct run_digest {
    uint64_t weights, optimizer, reference, state; /* of the checkpoint; reference 0: there is none */
    uint64_t metrics;                              /* metrics.jsonl without timings */
    uint64_t db;                                   /* all tables of run.db but meta and events */
};

static inline uint64_t run_hash_file(const char *folder, const char *name)
{
    char path[FILE_PATH_BYTES];
    struct file_map map;
    MUST(file_join(path, sizeof path, folder, name));
    if (!file_exists(path)) {
        return 0;
    }
    MUST(file_map_open(&map, path));
    uint64_t hash = XXH3_64bits(map.data, map.size);
    file_map_close(&map);
    return hash;
}

/* metrics.jsonl as lines of "name value", timings left out, for a hash or a difference that a person can read. */
static inline void run_metrics_text(const char *folder, struct strbuf *out)
{
    char path[FILE_PATH_BYTES];
    struct strbuf text = STRBUF_INIT;
    MUST(file_join(path, sizeof path, folder, "metrics.jsonl"));
    MUST(file_read(&text, path, (size_t)1 << 26));
    for (size_t at = 0, end; at < text.length; at = end + 1) {
        json_t *line, *value;
        const char *name;
        for (end = at; end < text.length && text.data[end] != '\n'; end++) {
        }
        MUST(json_parse(&line, str_slice(strbuf_view(&text), at, end), path));
        json_object_foreach(line, name, value)
        {
            if (!metrics_is_timing(name)) {
                strbuf_printf(out, "%s %.17g\n", name, json_is_null(value) ? -1e300 : json_number_value(value));
            }
        }
        json_decref(line);
    }
    strbuf_release(&text);
}

static inline void run_db_rows(sqlite3 *db, const char *sql, struct strbuf *out)
{
    sqlite3_stmt *query;
    if (sqlite3_prepare_v2(db, sql, -1, &query, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
        abort();
    }
    strbuf_printf(out, "== %s\n", sql);
    while (sqlite3_step(query) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(query); i++) {
            if (sqlite3_column_type(query, i) == SQLITE_FLOAT) {
                strbuf_printf(out, "%a|", sqlite3_column_double(query, i));
                continue;
            }
            const unsigned char *bytes = sqlite3_column_blob(query, i);
            int n = sqlite3_column_bytes(query, i), type = sqlite3_column_type(query, i);
            for (int k = 0; k < n; k++) {
                strbuf_printf(out, type == SQLITE_BLOB ? "%02x" : "%c", bytes[k]);
            }
            strbuf_putc(out, '|');
        }
        strbuf_putc(out, '\n');
    }
    sqlite3_finalize(query);
}

/* Everything in run.db that does not depend on the clock, as text. */
static inline void run_db_text(const char *folder, struct strbuf *out)
{
    static const char *const queries[] = {
        "SELECT step, iteration FROM steps ORDER BY step",
        "SELECT * FROM rollouts ORDER BY iteration",
        "SELECT * FROM prompts ORDER BY iteration, prompt",
        "SELECT * FROM completions ORDER BY iteration, prompt, sample",
        ("SELECT iteration, prompt, sample, part, label, verdict, score, reason, extracted FROM rewards"
         " ORDER BY iteration, prompt, sample, part"),
        "SELECT * FROM routes ORDER BY iteration, prompt, sample",
        "SELECT * FROM evals ORDER BY step, i",
        "SELECT * FROM eval_completions ORDER BY step, prompt, sample",
    };
    sqlite3 *db;
    sqlite3_stmt *query;
    MUST(store_open_reader(&db, folder));
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        run_db_rows(db, queries[i], out);
    }
    sqlite3_prepare_v2(db, "SELECT step, name, value FROM metrics ORDER BY step, i", -1, &query, NULL);
    while (sqlite3_step(query) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(query, 1);
        if (!metrics_is_timing(name)) {
            strbuf_printf(out, "%d|%s|%a\n", sqlite3_column_int(query, 0), name, sqlite3_column_double(query, 2));
        }
    }
    sqlite3_finalize(query);
    sqlite3_close(db);
}

static inline struct run_digest run_digest_of(const char *folder, int step)
{
    char checkpoint[FILE_PATH_BYTES];
    struct strbuf metrics = STRBUF_INIT, db = STRBUF_INIT;
    snprintf(checkpoint, sizeof checkpoint, "%s/checkpoints/step-%06d", folder, step);
    run_metrics_text(folder, &metrics);
    run_db_text(folder, &db);
    struct run_digest d = {
        .weights = run_hash_file(checkpoint, "model.safetensors") ^ run_hash_file(checkpoint, "state/weights.bin") ^
                   run_hash_file(checkpoint, "adapter_model.safetensors"),
        .optimizer =
            run_hash_file(checkpoint, "state/optimizer.bin") ^ run_hash_file(checkpoint, "state/optimizer_bf16.bin"),
        .reference = run_hash_file(checkpoint, "state/reference.bin"),
        .state = run_hash_file(checkpoint, "state/train.json"),
        .metrics = XXH3_64bits(metrics.data, metrics.length),
        .db = XXH3_64bits(db.data, db.length),
    };
    strbuf_release(&metrics);
    strbuf_release(&db);
    return d;
}

/* The first part in which two runs differ, or NULL. */
static inline const char *run_difference(const struct run_digest *a, const struct run_digest *b)
{
    return a->weights != b->weights       ? "weights"
           : a->optimizer != b->optimizer ? "optimiser"
           : a->reference != b->reference ? "reference"
           : a->state != b->state         ? "state"
           : a->metrics != b->metrics     ? "metrics.jsonl"
           : a->db != b->db               ? "run.db"
                                          : NULL;
}

#endif

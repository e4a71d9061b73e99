/* tests/fault/matrix.c - every key of the recipe, changed when a run is continued: at the end of an iteration, and inside one.
 *
 *   EVERY=1 build/release/tests/fault/matrix        EVERY=8: each eighth key
 *
 * A run of 8 steps, 4 an iteration, is stopped after step 4 (the end of an iteration) and after step 3 (inside one). A copy of its
 * folder is continued with one key changed, in a process of its own, and what happens is compared with the table below:
 *
 *   refused   the exit code is not 0, the key is named, and nothing in the folder has changed
 *   said      the run goes on to its end, the key is named, and run.db has the event
 *   silent    the run goes on to its end, and the key is not named
 *   same      silent, and what it leaves is in every bit what the run leaves that was not stopped
 *
 * Whatever the key, the rows of an iteration that was under way are those of the straight run, every iteration in run.db has one
 * shape and an intact hash, no step is missing, and no process hangs or dies. A key that the table does not have is given
 * a value by its type, and only that is asked of it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/recipe/recipe_table.h"
#include "rl/run/progress.h"
#include "tests/fault/child.h"

#define STEPS 8

static const char matrix_recipe[] = RUN_LONG_ITERATIONS "save_steps: 1\n"
                                                        "save_total_limit: 9\n"
                                                        "eval_dataset_name: countdown:split=eval\n"
                                                        "eval_num_prompts: 2\n"
                                                        "eval_on_start: false\n"
                                                        "eval_on_end: false\n"
                                                        "max_steps: 8\n";

enum outcome { REFUSED, SAID, SILENT, SAME, ANY };
static const char *const outcome_names[] = {"refused", "said", "silent", "same", "any"};

static const struct row {
    const char *key, *value;
    enum outcome inside, end;
} rows[] = {
    {"method", "sft", REFUSED, REFUSED},
    {"model_name_or_path", "model2", REFUSED, REFUSED},
    {"model_name_or_path", "nowhere", REFUSED, REFUSED},
    {"model_name_or_path", "moved", SAME, SAME},
    {"init_weights", "random", REFUSED, REFUSED},
    {"optim", "adamw_bf16_sr", REFUSED, REFUSED},
    {"text_field", "text", REFUSED, REFUSED},
    {"pack_length", "100", REFUSED, REFUSED},
    {"resume_from_checkpoint", "none", REFUSED, REFUSED},

    {"seed", "43", REFUSED, SAID},
    {"dataset_name", "\"countdown:number_most=31\"", REFUSED, SAID},
    {"prompt_field", "question", REFUSED, SAID},
    {"template", "TEMPLATE", REFUSED, SAID},
    {"system_prompt", "hello", REFUSED, SAID},
    {"chat_template_kwargs", "{a: 1}", REFUSED, SAID},
    {"max_prompt_length", "95", REFUSED, SAID},
    {"max_prompt_length", "97", SAID, SAID},
    {"long_prompts", "skip", REFUSED, SAID},
    {"shuffle", "false", REFUSED, SAID},
    {"num_generations", "2", REFUSED, SAID},
    {"num_generations", "5", REFUSED, SAID},
    {"prompts_per_step", "2", REFUSED, SAID},
    {"prompts_per_step", "6", REFUSED, SAID},
    {"max_completion_length", "8", REFUSED, SAID},
    {"max_completion_length", "20", SAID, SAID},
    {"max_completion_length", "[\"0:16\", \"7:12\"]", SAID, SAID},
    {"temperature", "0.9", REFUSED, SAID},
    {"top_p", "0.9", REFUSED, SAID},
    {"top_k", "20", REFUSED, SAID},
    {"min_p", "0.1", REFUSED, SAID},
    {"repetition_penalty", "1.1", REFUSED, SAID},
    {"stop", "[x]", REFUSED, SAID},
    {"reward_funcs", "[{name: length, target: 9}]", REFUSED, SAID},
    {"scale_rewards", "batch", REFUSED, SAID},
    {"advantage_baseline", "leave_one_out", REFUSED, SAID},
    {"multi_objective_aggregation", "normalize_then_sum", REFUSED, SAID},
    {"mask_truncated_completions", "true", REFUSED, SAID},
    {"dynamic_sampling", "true", REFUSED, SAID},
    {"dynamic_sampling_max_rounds", "2", REFUSED, SAID},
    {"num_iterations", "1", REFUSED, SAID},
    {"num_iterations", "3", REFUSED, SAID},
    {"steps_per_generation", "1", REFUSED, SAID},
    {"steps_per_generation", "3", REFUSED, SAID},

    {"device", "cpu/scalar", SAID, SAID},
    {"completion_field", "answer", SAID, SAID},
    {"on_reward_error", "zero", SAID, SAID},
    {"max_error_rate", "0.5", SAID, SAID},
    {"reward_timeout", "5", SAID, SAID},
    {"loss_type", "grpo", SAID, SAID},
    {"importance_sampling_level", "sequence", SAID, SAID},
    {"epsilon", "0.1", SAID, SAID},
    {"epsilon_high", "0.3", SAID, SAID},
    {"delta", "2", SAID, SAID},
    {"sapo_temperature_pos", "2", SAID, SAID},
    {"sapo_temperature_neg", "2", SAID, SAID},
    {"vespo_k_pos", "1", SAID, SAID},
    {"vespo_lambda_pos", "2", SAID, SAID},
    {"vespo_k_neg", "2", SAID, SAID},
    {"vespo_lambda_neg", "1", SAID, SAID},
    {"beta", "0.05", SAID, SAID},
    {"use_bias_correction_kl", "false", SAID, SAID},
    {"kl_estimator", "k1", SAID, SAID},
    {"sync_ref_model", "true", SAID, SAID},
    {"ref_model_sync_steps", "3", SAID, SAID},
    {"ref_model_mixup_alpha", "1", SAID, SAID},
    {"entropy_coef", "0.01", SAID, SAID},
    {"routing_replay", "R3", REFUSED, REFUSED},         /* the model has no experts */
    {"router_aux_loss_coef", "0.01", REFUSED, REFUSED}, /* the model has no experts */
    {"router_seq_loss_coef", "0.01", REFUSED, REFUSED},
    {"router_bias_update_rate", "0.01", REFUSED, REFUSED},
    {"top_entropy_quantile", "0.5", SAID, SAID},
    {"off_policy_mask_threshold", "0.5", SAID, SAID},
    {"bits_check", "warn", SAID, SAID},
    {"learning_rate", "0.02", SAID, SAID},
    {"lr_scheduler_type", "linear", SAID, SAID},
    {"min_lr_ratio", "0.1", SAID, SAID},
    {"warmup_steps", "6", SAID, SAID},
    {"adam_beta1", "0.8", SAID, SAID},
    {"adam_beta2", "0.99", SAID, SAID},
    {"adam_epsilon", "1e-6", SAID, SAID},
    {"weight_decay", "0.1", SAID, SAID},
    {"max_grad_norm", "0.5", SAID, SAID},
    {"tokens_per_micro_batch", "128", SAID, SAID},
    {"gradient_shards", "2", SAID, SAID},
    {"eval_dataset_name", "\"countdown:split=eval,number_most=30\"", SAID, SAID},
    {"eval_num_prompts", "3", SAID, SAID},
    {"eval_num_generations", "2", SAID, SAID},
    {"eval_temperature", "0.5", SAID, SAID},

    {"eval_steps", "2", SILENT, SILENT},
    {"eval_on_start", "true", SAME, SAME},
    {"eval_on_end", "true", SILENT, SILENT},
    {"max_steps", "9", SILENT, SILENT},
    {"num_train_epochs", "2", SAME, SAME},
    {"num_threads", "2", SAME, SAME},
    {"max_sequences", "4", SAME, SAME},
    {"max_batch_tokens", "64", SAME, SAME},
    {"kv_pages", "60", SAME, SAME},
    {"reward_threads", "2", SAME, SAME},
    {"gradient_checkpointing", "true", SAME, SAME},
    {"save_steps", "3", SAME, SAME},
    {"save_total_limit", "1", SAME, SAME},
    {"save_dtype", "bfloat16", SILENT, SILENT},
    {"report_to", "[jsonl, tensorboard]", SAME, SAME},
    {"num_completions_to_print", "3", SAME, SAME},
    {"resume_from_checkpoint", "CHECKPOINT", SAME, SAME}, /* an earlier one */
    {"output_dir", "", SAME, SAME},                       /* every row goes on in a copy */
};

/* ---- a run that stops itself ---- */

static int64_t stop_after; /* 0: never */

void __real_progress_step(struct progress *progress, int64_t step, const struct metrics *metrics);
void __wrap_progress_step(struct progress *progress, int64_t step, const struct metrics *metrics);
void __wrap_progress_step(struct progress *progress, int64_t step, const struct metrics *metrics)
{
    __real_progress_step(progress, step, metrics);
    if (step == stop_after) {
        raise(SIGTERM);
    }
}

static void begin_run(const char *name, int64_t stop, int want)
{
    struct child_recipe job = {name, matrix_recipe};
    stop_after = stop;
    int code = child_run(child_train, &job);
    stop_after = 0;
    if (code != want) {
        struct strbuf log = STRBUF_INIT;
        child_log(&log);
        printf("the run %s ended with %d instead of %d:\n%s\n", name, code, want, log.data);
        exit(1);
    }
}

/* The recipe with one line changed, or added. */
static const char *recipe_with(const char *key, const char *value, struct strbuf *out)
{
    size_t length = strlen(key);
    bool found = false;
    strbuf_clear(out);
    for (const char *line = matrix_recipe; *line; line = strchr(line, '\n') + 1) {
        bool is = strncmp(line, key, length) == 0 && line[length] == ':';
        found |= is;
        if (is) {
            strbuf_printf(out, "%s: %s\n", key, value);
        } else {
            strbuf_add(out, line, (size_t)(strchr(line, '\n') + 1 - line));
        }
    }
    if (!found) {
        strbuf_printf(out, "%s: %s\n", key, value);
    }
    return out->data;
}

/* ---- what a run left ---- */

static uint64_t rows_of(const char *run, const char *sql)
{
    sqlite3 *db;
    struct strbuf text = STRBUF_INIT;
    MUST(store_open_reader(&db, path_of("%s", run)));
    run_db_rows(db, sql, &text);
    sqlite3_close(db);
    uint64_t hash = XXH3_64bits(text.data, text.length);
    strbuf_release(&text);
    return hash;
}

static int64_t number_in(const char *run, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *query;
    int64_t number = -1;
    MUST(store_open_reader(&db, path_of("%s", run)));
    if (sqlite3_prepare_v2(db, sql, -1, &query, NULL) == SQLITE_OK && sqlite3_step(query) == SQLITE_ROW) {
        number = sqlite3_column_int64(query, 0);
    }
    sqlite3_finalize(query);
    sqlite3_close(db);
    return number;
}

static const char first_iteration[] = "SELECT prompt, sample, tokens, logprob, lse, entropy, reward, advantage, "
                                      "dropped FROM completions WHERE iteration = 0";

/* Every iteration has the rows that its shape says, and its hash; every step is there. */
static const char *inconsistency(const char *run)
{
    static char text[300];
    text[0] = '\0';
    if (number_in(run, "SELECT count(*) FROM steps") < STEPS) {
        return "steps are missing";
    }
    if (rows_of(run, first_iteration) != rows_of("straight", first_iteration)) {
        return "the rows of the iteration under way differ from the straight run's";
    }
    struct store *store;
    MUST(store_open(&store, path_of("%s", run)));
    int64_t last = number_in(run, "SELECT max(iteration) FROM rollouts");
    for (int64_t i = 0; i <= last && !text[0]; i++) {
        struct iteration it = {.number = i};
        struct store_shape shape;
        enum err result = store_load_shape(store, i, &it.arena, &shape);
        if (result == ERR_NONE) {
            it.n_prompts = (int)shape.n_prompts;
            it.G = (int)shape.G;
            it.n_steps = (int)shape.n_steps;
            result = store_load_rollout(store, &it, RUN_VOCABULARY);
        }
        if (result != ERR_NONE) {
            snprintf(text, sizeof text, "%s", err_text());
        }
        iteration_release(&it);
    }
    store_close(store);
    return text[0] ? text : NULL;
}

/* All that a refused start must leave as it was. */
static uint64_t trace_of(const char *run)
{
    struct strbuf text = STRBUF_INIT;
    run_metrics_text(path_of("%s", run), &text);
    run_db_text(path_of("%s", run), &text);
    uint64_t hash = XXH3_64bits(text.data, text.length) ^ run_hash_file(path_of("%s", run), "recipe.yaml") ^
                    rows_of(run, "SELECT * FROM meta") ^ rows_of(run, "SELECT step, kind, text FROM events");
    for (int step = 1; step <= STEPS; step++) {
        hash = 31 * hash + (uint64_t)file_exists(path_of("%s/checkpoints/step-%06d", run, step));
    }
    strbuf_release(&text);
    return hash;
}

/* ---- a row of the matrix ---- */

static struct run_digest straight;
static int n_failed, n_rows;

static enum outcome classify(int code, const char *log, const struct row *row, const char **problem)
{
    char event[200];
    bool told = strstr(log, "changed since the last start") != NULL;
    snprintf(event, sizeof event, "SELECT count(*) FROM events WHERE kind = 'recipe' AND text LIKE '%%%s %%'",
             row->key);
    int64_t events = number_in("try", event);
    if (code == 1 || code == 2) {
        *problem = strstr(log, row->key) || row->inside == ANY ? NULL : "the sentence does not name the key";
        return REFUSED;
    }
    if (code != 0) {
        *problem = code == CHILD_HANGS ? "it hangs" : "it died";
        return ANY;
    }
    *problem = inconsistency("try");
    if (told) {
        const char *said = strstr(log, "changed since the last start");
        *problem = *problem                  ? *problem
                   : !strstr(said, row->key) ? "another key is named"
                   : events != 1             ? "run.db has no event of it"
                                             : NULL;
        return SAID;
    }
    struct run_digest got = run_digest_of(path_of("try"), STEPS);
    return run_difference(&got, &straight) ? SILENT : SAME;
}

static void print_row(const struct row *row, const char *where, enum outcome got, enum outcome want,
                      const char *problem)
{
    bool right = !problem && (want == ANY || got == want || (want == SILENT && got == SAME));
    n_rows++;
    n_failed += !right;
    printf("%-7s %-28s %-36.36s %-8s %s%s%s\n", right ? "ok" : "FAILED", row->key, row->value, where,
           outcome_names[got], right ? "" : ", wanted: ",
           right     ? ""
           : problem ? problem
                     : outcome_names[want]);
    if (!right) {
        struct strbuf log = STRBUF_INIT;
        child_log(&log);
        printf("---- it said:\n%s\n", log.data);
        strbuf_release(&log);
    }
    fflush(stdout);
}

static void try_row(const struct row *row, const char *from, enum outcome want)
{
    struct strbuf text = STRBUF_INIT, log = STRBUF_INIT;
    char value[600];
    const char *problem = NULL;
    const char *given = strcmp(row->value, "CHECKPOINT") == 0 ? path_of("try/checkpoints/step-000002")
                        : strcmp(row->value, "TEMPLATE") == 0 ? path_of("template.txt")
                                                              : row->value;
    snprintf(value, sizeof value, "%s", given);
    copy_run(from, "try");
    uint64_t before = trace_of("try");
    recipe_with(strcmp(row->key, "output_dir") == 0 ? "seed" : row->key,
                strcmp(row->key, "output_dir") == 0 ? "42" : value, &text);
    struct child_recipe job = {"try", text.data};
    int code = child_run(child_train, &job);
    child_log(&log);
    enum outcome got = classify(code, log.data, row, &problem);
    if (got == REFUSED && trace_of("try") != before) {
        problem = "it was refused, and has changed the folder all the same";
    }
    print_row(row, from, got, want, problem);
    strbuf_release(&text);
    strbuf_release(&log);
}

/* A value for a key that the table does not have. */
static void value_of(const struct recipe_field *field, struct strbuf *out)
{
    switch (field->type) {
    case FIELD_BOOL: strbuf_puts(out, strcmp(field->fallback, "true") == 0 ? "false" : "true"); break;
    case FIELD_INT:
    case FIELD_LONG: strbuf_printf(out, "%.0f", field->min + 1); break;
    case FIELD_NUMBER: strbuf_printf(out, "%g", (field->min + field->max) / 2); break;
    case FIELD_CHOICE:
    case FIELD_WORD: recipe_choice(field->choices, 1, out); break;
    case FIELD_LIST:
    case FIELD_REWARDS: strbuf_puts(out, "[x]"); break;
    default: strbuf_puts(out, "7"); break;
    }
}

static void try_key(const struct recipe_field *field)
{
    int n = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].key, field->key) == 0) {
            try_row(&rows[i], "inside", rows[i].inside);
            try_row(&rows[i], "end", rows[i].end);
            n++;
        }
    }
    if (n == 0) {
        struct strbuf value = STRBUF_INIT;
        value_of(field, &value);
        struct row row = {field->key, value.data, ANY, ANY};
        try_row(&row, "inside", ANY);
        try_row(&row, "end", ANY);
        strbuf_release(&value);
    }
}

static int make_models(void *context)
{
    (void)context;
    run_make_model(path_of("model"), 5);
    run_make_model(path_of("moved"), 5);
    run_make_model(path_of("model2"), 6);
    run_write_text(folder, "template.txt", "Q: {prompt}");
    return 0;
}

int main(void)
{
    int every = number_of("EVERY", 1), first = number_of("FIRST", 0);
    child_begin("strop_matrix_XXXXXX");
    if (child_run(make_models, NULL) != 0) {
        return 1;
    }
    begin_run("straight", 0, 0);
    begin_run("end", 4, 128 + SIGTERM);
    begin_run("inside", 3, 128 + SIGTERM);
    straight = run_digest_of(path_of("straight"), STEPS);
    if (number_in("straight", "SELECT count(*) FROM metrics WHERE name = 'grad_norm' AND value > 0") < STEPS / 2) {
        printf("the straight run learns nothing: no difference could be seen\n");
        return 1;
    }
    for (int i = first; i<recipe_n_fields; i += every> 0 ? every : 1) {
        try_key(&recipe_fields[i]);
    }
    if (n_failed == 0) {
        MUST(file_remove_folder(folder));
    } else {
        printf("what is left is in %s\n", folder);
    }
    printf("%d passed, %d failed\n", n_rows - n_failed, n_failed);
    return n_failed > 0;
}

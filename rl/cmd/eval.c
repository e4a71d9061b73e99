/* rl/cmd/eval.c - strop eval: how often a model solves the prompts of a data set.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/eval.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "rl/cmd/commands.h"
#include "rl/method.h"
#include "rl/run/runs.h"
#include "rl/score.h"

/* What is evaluated, and by which recipe. */
struct evaluation {
    struct recipe recipe;
    const char *model_path, *data_name;
    struct device *device;
    struct model *model;
    struct dataset *dataset;
    struct reward_set *rewards;
    struct rollout *rollout;
    struct iteration it;
    struct metrics metrics;
    double start, last_shown;
};

/* ---- the recipe ---- */

static enum err override(struct recipe *recipe, const char *key, const char *value)
{
    return recipe_override(recipe, arena_printf(&recipe->arena, "%s=%s", key, value));
}

/* The effective recipe of a run. Paths in it are relative to where the recipe was. */
static enum err open_run_recipe(struct recipe *recipe, const char *run, struct arena *arena)
{
    struct strbuf text = STRBUF_INIT;
    struct run_summary summary;
    const char *path = arena_printf(arena, "%s/recipe.yaml", run);
    run_summarise(run, arena, &summary);
    TRY(file_read(&text, path, (size_t)1 << 20));
    enum err result = recipe_parse(recipe, strbuf_view(&text), summary.recipe_path[0] ? summary.recipe_path : path);
    strbuf_release(&text);
    return result;
}

static bool is_recipe_name(const char *path)
{
    return str_ends(str_of(path), STR(".yaml")) || str_ends(str_of(path), STR(".yml"));
}

/* A recipe; or a run, a checkpoint of one (by its run's recipe), or a model (by the defaults). */
static enum err open_recipe(struct evaluation *e, const char *target, bool needs_model)
{
    if (is_recipe_name(target)) {
        return recipe_open(&e->recipe, target);
    }
    if (!file_exists(target)) {
        return err_set(ERR_USAGE, "there is no %s; name a recipe (.yaml), a run's folder, or a model", target);
    }
    struct arena scratch = ARENA_INIT;
    const char *run = run_of(target, &scratch);
    enum err result = ERR_NONE;
    if (run) {
        result = open_run_recipe(&e->recipe, run, &scratch);
    } else {
        recipe_init(&e->recipe);
        e->recipe.eval.eval_num_prompts = 0;
    }
    arena_release(&scratch);
    return result == ERR_NONE && needs_model ? run_model_path(target, &e->recipe.arena, &e->model_path) : result;
}

static enum err apply_options(struct evaluation *e, const struct cmd_args *args)
{
    struct recipe *r = &e->recipe;
    bool names_data = false;
    TRY(cmd_override_recipe(args, r));
    for (int i = 0; cmd_override(args, i); i++) {
        names_data |= str_starts(str_of(cmd_override(args, i)), STR("dataset_name="));
    }
    int n_rewards = 0;
    while (cmd_repeated(args, "reward", n_rewards)) {
        n_rewards++;
    }
    if (n_rewards > 0) {
        r->reward.reward_funcs.items = ARENA_NEW(&r->arena, const char *, n_rewards);
        r->reward.reward_funcs.n = n_rewards;
    }
    for (int i = 0; i < n_rewards; i++) {
        r->reward.reward_funcs.items[i] = arena_strdup(&r->arena, cmd_repeated(args, "reward", i));
    }
    if (cmd_given(args, "limit")) {
        TRY(override(r, "eval_num_prompts", cmd_repeated(args, "limit", 0)));
    }
    if (cmd_given(args, "k")) {
        TRY(override(r, "eval_num_generations", cmd_repeated(args, "k", 0)));
    }
    e->data_name = names_data || !r->data.eval_dataset_name[0] ? r->data.dataset_name : r->data.eval_dataset_name;
    return ERR_NONE;
}

/* Fills in what only training needs, so that the recipe passes its checks. */
static enum err complete_recipe(struct evaluation *e, const struct cmd_args *args)
{
    struct recipe *r = &e->recipe;
    if (cmd_text(args, "model")) {
        e->model_path = cmd_text(args, "model");
    }
    if (e->model_path) {
        r->model.model_name_or_path = e->model_path;
    }
    if (!e->data_name[0]) {
        return err_set(ERR_USAGE, "there is no data; name a JSONL file or a generator with --dataset_name=NAME");
    }
    r->data.dataset_name = e->data_name;
    if (r->reward.reward_funcs.n == 0) {
        return err_set(ERR_USAGE, "there is no reward to judge by; name one with --reward=NAME[:KEY=VALUE,...]");
    }
    if (!method_of(r)->samples) { /* prompts of it are answered like any others */
        TRY(override(r, "method", "grpo"));
        r->data.text_field = "";
        r->data.pack_length = 0;
    }
    TRY(recipe_finish(r));
    if (!e->model_path) {
        e->model_path = recipe_path(r, r->model.model_name_or_path);
    }
    return ERR_NONE;
}

/* ---- opening ---- */

static enum err open_model(struct evaluation *e)
{
    const struct recipe *r = &e->recipe;
    int positions = r->data.max_prompt_length + recipe_schedule_max(&r->rollout.max_completion_length);
    TRY(device_open(&e->device, r->model.device));
    device_set_threads(r->model.num_threads);
    TRY(model_open(&e->model, e->model_path, e->device, positions));
    if (!e->model->tokenizer) {
        return err_set(ERR_FORMAT, "%s: tokenizer.json is missing", e->model_path);
    }
    return ERR_NONE;
}

static enum err open_rewards(struct evaluation *e)
{
    struct recipe *r = &e->recipe;
    struct reward_spec *specs = ARENA_NEW(&r->arena, struct reward_spec, r->reward.reward_funcs.n);
    for (int i = 0; i < r->reward.reward_funcs.n; i++) {
        specs[i].text = r->reward.reward_funcs.items[i];
    }
    int threads = r->reward.reward_threads ? r->reward.reward_threads : device_threads();
    return reward_set_open(&e->rewards, specs, r->reward.reward_funcs.n, r->reward.on_reward_error,
                           r->reward.reward_timeout, threads);
}

static enum err open_rollout(struct evaluation *e)
{
    const struct rollout_recipe *r = &e->recipe.rollout;
    const struct rollout_options options = {.temperature = (float)e->recipe.eval.eval_temperature,
                                            .top_p = (float)r->top_p,
                                            .min_p = (float)r->min_p,
                                            .repetition_penalty = (float)r->repetition_penalty,
                                            .top_k = r->top_k,
                                            .seed = e->recipe.run.seed,
                                            .stop = r->stop.items,
                                            .n_stop = r->stop.n,
                                            .max_batch_tokens = r->max_batch_tokens,
                                            .n_pages = r->kv_pages,
                                            .max_sequences = r->max_sequences};
    return rollout_open(&e->rollout, e->model, &options);
}

static enum err open_all(struct evaluation *e)
{
    TRY(open_rewards(e)); /* before the model: a wrong name is reported at once */
    TRY(open_model(e));
    int32_t end = e->model->config.n_eos ? e->model->config.eos_ids[0] : -1;
    TRY(dataset_open(&e->dataset, &e->recipe, e->data_name, true, e->model->tokenizer, end));
    if (e->recipe.eval.eval_num_prompts == 0 && dataset_size(e->dataset) == 0) {
        return err_set(ERR_USAGE, "%s has no end; say how many prompts with --limit=N", e->data_name);
    }
    TRY(score_check_rows(e->rewards, e->dataset, e->data_name, false)); /* the result says how many it cost */
    return open_rollout(e);
}

static void close_all(struct evaluation *e)
{
    iteration_release(&e->it);
    if (e->rollout) {
        rollout_close(e->rollout);
    }
    dataset_close(e->dataset);
    reward_set_close(e->rewards);
    if (e->model) {
        model_close(e->model);
    }
    if (e->device) {
        device_close(e->device);
    }
    recipe_release(&e->recipe);
}

/* ---- running ---- */

/* A live line on a terminal. */
static bool show_progress(void *context, int64_t tokens, int finished, int total)
{
    struct evaluation *e = context;
    double now = clock_seconds();
    if (isatty(STDERR_FILENO) == 1 && now - e->last_shown > 0.1) {
        double seconds = fmax(now - e->start, 1e-6), done = total ? (double)finished / total : 0;
        fprintf(stderr, "\r\033[K%d of %d completions  %.0f tok/s", finished, total, (double)tokens / seconds);
        if (done > 0.05) {
            fprintf(stderr, "  %.0f s left", seconds / done * (1 - done));
        }
        e->last_shown = now;
    }
    return false;
}

static enum err run(struct evaluation *e)
{
    const struct recipe *r = &e->recipe;
    struct eval_options options = {
        .n_prompts = r->eval.eval_num_prompts ? r->eval.eval_num_prompts : (int)dataset_size(e->dataset),
        .n_samples = r->eval.eval_num_generations,
        .max_tokens = recipe_schedule_max(&r->rollout.max_completion_length),
        .temperature = r->eval.eval_temperature,
        .seed = r->run.seed,
    };
    e->start = clock_seconds();
    enum err result = eval_run(&options, e->dataset, e->rollout, e->rewards, &e->it, &e->metrics, show_progress, e);
    if (e->last_shown > 0) {
        fputs("\r\033[K", stderr);
    }
    return result;
}

/* ---- results ---- */

static double result_of(const struct evaluation *e, const char *name)
{
    char full[64];
    snprintf(full, sizeof full, "eval/%s", name);
    return metrics_get(&e->metrics, full);
}

struct reason {
    const char *text;
    int n;
};

static int by_count(const void *a, const void *b)
{
    const struct reason *x = a, *y = b;
    return x->n != y->n ? y->n - x->n : strcmp(x->text, y->text);
}

/* What the first reward said, the most frequent first: why an answer was not right. */
static void print_reasons(const struct evaluation *e)
{
    enum { KINDS = 64, SHOWN = 5 };
    struct reason reasons[KINDS] = {0};
    int n = 0;
    for (int i = 0; i < e->it.n_samples; i++) {
        const char *text = e->it.samples[i].judgement.parts[0].reason;
        int k = 0;
        while (k < n && strcmp(reasons[k].text, text ? text : "") != 0) {
            k++;
        }
        if (k == n && n < KINDS) {
            reasons[n++] = (struct reason){text ? text : "", 0};
        }
        if (k < n) {
            reasons[k].n++;
        }
    }
    qsort(reasons, (size_t)n, sizeof *reasons, by_count);
    for (int k = 0; k < n && k < SHOWN; k++) {
        printf("%s %5.1f %%  %s\n", k == 0 ? "verdicts " : "         ", 100.0 * reasons[k].n / e->it.n_samples,
               reasons[k].text);
    }
}

static void print_table(const struct evaluation *e)
{
    printf("model     %s\n", e->model_path);
    printf("data      %s, %d prompts x %d, temperature %g, seed %llu\n", e->data_name, e->it.n_prompts, e->it.G,
           e->recipe.eval.eval_temperature, (unsigned long long)e->recipe.run.seed);
    struct strbuf accuracy = STRBUF_INIT;
    eval_describe(&e->metrics, e->it.n_samples, &accuracy);
    printf("pass@1    %s\n", accuracy.data);
    strbuf_release(&accuracy);
    for (int i = 0; i < e->metrics.n; i++) {
        const char *name = e->metrics.items[i].name + strlen("eval/");
        double value = e->metrics.items[i].value;
        struct str text = str_of(name);
        bool at_k = str_find(text, STR("@"), 0) > 0 && !str_starts(text, STR("pass@1_")) &&
                    !str_equal(text, STR("pass@1")) && !isnan(value);
        if (at_k) {
            printf("%-9s %.1f %%\n", name, 100 * value);
        } else if (str_starts(text, STR("rewards/")) && str_ends(text, STR("/mean")) && !isnan(value)) {
            printf("%-9s %.3f\n", name, value);
        }
    }
    print_reasons(e);
    printf("length    %.1f tokens on average, %.1f %% cut off\n", result_of(e, "completions/mean_length"),
           100 * result_of(e, "completions/clipped_ratio"));
    printf("words     %.2f reflective words per completion\n", result_of(e, "aha/all"));
}

static void print_json(const struct evaluation *e, const char *unjudged)
{
    struct strbuf line = STRBUF_INIT;
    strbuf_puts(&line, "{\"model\": \"");
    strbuf_add_json(&line, str_of(e->model_path));
    strbuf_puts(&line, "\", \"dataset\": \"");
    strbuf_add_json(&line, str_of(e->data_name));
    strbuf_printf(&line, "\", \"prompts\": %d, \"samples\": %d, \"temperature\": %g, \"seed\": %llu", e->it.n_prompts,
                  e->it.G, e->recipe.eval.eval_temperature, (unsigned long long)e->recipe.run.seed);
    for (int i = 0; i < e->metrics.n; i++) {
        strbuf_puts(&line, ", \"");
        strbuf_add_json(&line, str_of(e->metrics.items[i].name + strlen("eval/")));
        double value = e->metrics.items[i].value;
        isfinite(value) ? strbuf_printf(&line, "\": %.9g", value) : strbuf_puts(&line, "\": null");
    }
    if (unjudged) {
        strbuf_puts(&line, ", \"first_unjudged\": \"");
        strbuf_add_json(&line, str_of(unjudged));
        strbuf_puts(&line, "\"");
    }
    strbuf_puts(&line, "}\n");
    fwrite(line.data, 1, line.length, stdout);
    strbuf_release(&line);
}

/* Writes each completion as a JSON object, one per line. */
static enum err write_samples(const struct evaluation *e, const char *path)
{
    struct strbuf out = STRBUF_INIT;
    for (int i = 0; i < e->it.n_samples; i++) {
        const struct sample *s = &e->it.samples[i];
        const struct verdict *v = &s->judgement.parts[0];
        const char *right = !eval_is_judged(s) ? "null" : eval_is_right(s) ? "true" : "false";
        strbuf_printf(
            &out, "{\"index\": %d, \"sample\": %d, \"right\": %s, \"reward\": %.9g, \"n_tokens\": %d, \"verdict\": \"",
            i / e->it.G, i % e->it.G, right, s->reward, s->completion->n_tokens);
        strbuf_add_json(&out, str_of(v->reason));
        strbuf_puts(&out, "\", \"extracted\": \"");
        strbuf_add_json(&out, v->extracted);
        strbuf_puts(&out, "\", \"prompt\": \"");
        strbuf_add_json(&out, s->prompt->text);
        strbuf_puts(&out, "\", \"completion\": \"");
        strbuf_add_json(&out, s->completion->text);
        strbuf_puts(&out, "\"}\n");
    }
    enum err result = file_write_atomic(path, out.data ? out.data : "", out.length);
    strbuf_release(&out);
    return result;
}

/* Prints what was found. An evaluation that judged nothing has failed. */
static enum err print_results(struct evaluation *e, const struct cmd_args *args)
{
    const char *unjudged = eval_first_unjudged(e->rewards, &e->it);
    cmd_flag(args, "json") ? print_json(e, unjudged) : print_table(e);
    if (cmd_text(args, "output")) {
        TRY(write_samples(e, cmd_text(args, "output")));
    }
    int n_unjudged = (int)result_of(e, "unjudged");
    if (n_unjudged == e->it.n_samples) {
        return err_set(ERR_STATE, "none of %d completions could be judged; the first: %s", n_unjudged, unjudged);
    }
    if (unjudged) {
        log_warning("%d of %d completions could not be judged and are left out; the first: %s", n_unjudged,
                    e->it.n_samples, unjudged);
    }
    return ERR_NONE;
}

static enum err evaluate(struct evaluation *e, const struct cmd_args *args)
{
    TRY(open_recipe(e, cmd_positional(args, 0), !cmd_text(args, "model")));
    TRY(apply_options(e, args));
    TRY(complete_recipe(e, args));
    TRY(open_all(e));
    TRY(run(e));
    return print_results(e, args);
}

static enum err eval_command(const struct cmd_args *args)
{
    struct evaluation *e = mem_zero(sizeof *e);
    enum err result = evaluate(e, args);
    close_all(e);
    free(e);
    return result;
}

static const struct cmd_option eval_options[] = {
    {"model", CMD_TEXT, "PATH", NULL, "evaluate this model instead: a folder or a .gguf file"},
    {"reward", CMD_TEXT, "NAME", NULL,
     "judge by this instead of reward_funcs: NAME or NAME:KEY=VALUE,...; may be repeated"},
    {"k", CMD_INT, "N", NULL, "samples of a prompt, as eval_num_generations"},
    {"limit", CMD_INT, "N", NULL, "prompts at most, as eval_num_prompts; 0: all of a file"},
    {"output", CMD_TEXT, "FILE", NULL, "write each completion with its verdict to FILE, JSON lines"},
    {"json", CMD_FLAG, NULL, NULL, "print one JSON object"},
    {0},
};

const struct command command_eval = {
    .name = "eval",
    .arguments = "RECIPE|RUN|MODEL [--OPTION=VALUE ...] [--KEY=VALUE ...]",
    .summary = "measure a model: pass@1 with its interval, pass@k, cons@k",
    .details =
        "RECIPE: its model on its eval_dataset_name. RUN or a checkpoint of one: that checkpoint (the newest) by the\n"
        "run's recipe. MODEL: a folder (an adapter's, too) or .gguf file; name data, reward and template. A\n"
        "completion is right when the first reward gives it 1 or more. pass@1 is the share of right ones, with\n"
        "Wilson's 95 % interval over prompts; completions that could not be judged are left out and counted (exit 1\n"
        "if none could); pass@k the chance that one of k is right; cons@k the share of prompts whose most frequent\n"
        "answer is right.\n"
        "--dataset_name names what to measure on. The same seed gives the same completions.\n\n"
        "  strop eval recipes/tiny/r1-zero.yaml --k=4\n"
        "  strop eval runs/demo --limit=1000 --json\n"
        "  strop eval MODEL --dataset_name=gsm8k.jsonl --reward=gsm8k --template=chat --eval_temperature=0\n",
    .options = eval_options,
    .min_positional = 1,
    .max_positional = 1,
    .takes_recipe_keys = true,
    .run = eval_command,
};

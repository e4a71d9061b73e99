/* rl/train_setup.c - opening a run: what it needs, and where it goes on.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "model/end_tokens.h"
#include "rl/score.h"
#include "rl/train_plan.h"
#include "rl/train_resume.h"

int train_longest_sequence(const struct recipe *r)
{
    if (r->method == METHOD_SFT) {
        return r->data.pack_length > 0 ? r->data.pack_length : r->data.max_prompt_length;
    }
    return r->data.max_prompt_length + recipe_schedule_most(&r->rollout.max_completion_length);
}

bool train_has_reference(const struct recipe *r)
{
    return r->method == METHOD_GRPO && r->loss.policy.beta != 0;
}

bool train_has_masters(const struct recipe *r)
{
    return r->optim.kind == OPTIM_ADAMW;
}

/* The policy: from the files of a checkpoint, or (NULL) from the recipe's path, or random in its shape. */
static enum err open_policy(struct train *t, const char *files)
{
    struct recipe *r = t->recipe;
    const char *path = files ? files : recipe_path(r, r->model.model_name_or_path);
    enum err (*open)(struct model **, const char *, struct device *, int) =
        train_has_masters(r) ? model_open_trainable : model_open;
    TRY(open(&t->policy, path, t->device, train_longest_sequence(r)));
    if (!files && r->model.init_weights == INIT_RANDOM) {
        model_init_random(t->policy, r->run.seed);
    }
    return ERR_NONE;
}

static enum err open_reference(struct train *t, const char *checkpoint)
{
    struct recipe *r = t->recipe;
    if (!train_has_reference(r)) {
        return ERR_NONE;
    }
    TRY(model_clone(&t->reference, t->policy));
    if (!checkpoint) {
        return ERR_NONE;
    }
    if (checkpoint_has_reference(checkpoint)) {
        return checkpoint_read_reference(checkpoint, t->reference);
    }
    if (r->model.init_weights == INIT_RANDOM) {
        model_init_random(t->reference, r->run.seed);
        return ERR_NONE;
    }
    return model_read_weights(t->reference, recipe_path(r, r->model.model_name_or_path));
}

static enum err open_data(struct train *t)
{
    struct recipe *r = t->recipe;
    const struct tokenizer *tokenizer = t->policy->tokenizer;
    int32_t end = t->policy->config.n_eos ? t->policy->config.eos_ids[0] : -1;
    if (!tokenizer) {
        return err_set(ERR_FORMAT, "%s: tokenizer.json is missing", t->policy->source);
    }
    TRY(dataset_open(&t->dataset, r, r->data.dataset_name, false, tokenizer, end));
    if (r->data.eval_dataset_name[0] && r->method == METHOD_GRPO) {
        TRY(dataset_open(&t->eval_dataset, r, r->data.eval_dataset_name, true, tokenizer, end));
        if (r->eval.eval_num_prompts == 0 && dataset_size(t->eval_dataset) == 0) {
            return err_set(ERR_USAGE, "eval_dataset_name: %s has no end; say how many prompts with eval_num_prompts",
                           r->data.eval_dataset_name);
        }
    }
    t->max_steps = r->run.max_steps;
    if (t->max_steps == 0) {
        int64_t size = dataset_size(t->dataset);
        if (size == 0) {
            return err_set(ERR_USAGE, "%s has no end; say when to stop with max_steps", r->data.dataset_name);
        }
        t->max_steps = (int64_t)ceil(r->run.num_train_epochs * (double)size / r->rollout.prompts_per_step);
        t->max_steps *= r->method == METHOD_GRPO ? r->loss.num_iterations : 1;
    }
    r->optim.max_steps = t->max_steps;
    return train_note_first(t);
}

static enum err open_rewards(struct train *t)
{
    struct recipe *r = t->recipe;
    if (r->method == METHOD_SFT) {
        return ERR_NONE;
    }
    struct reward_spec *specs = ARENA_NEW(&r->arena, struct reward_spec, r->reward.reward_funcs.n);
    for (int i = 0; i < r->reward.reward_funcs.n; i++) {
        specs[i].text = r->reward.reward_funcs.items[i];
    }
    int threads = r->reward.reward_threads ? r->reward.reward_threads : device_threads();
    TRY(reward_set_open(&t->rewards, specs, r->reward.reward_funcs.n, r->reward.on_reward_error,
                        r->reward.reward_timeout, threads));
    r->advantage.rewards = t->rewards;
    reward_set_stop(t->rewards, train_stops_now);
    bool refuse = r->reward.max_error_rate < 1;
    TRY(score_check_rows(t->rewards, t->dataset, r->data.dataset_name, refuse));
    return t->eval_dataset ? score_check_rows(t->rewards, t->eval_dataset, r->data.eval_dataset_name, refuse)
                           : ERR_NONE;
}

/* ---- what takes memory of the device ---- */

enum err train_open_rollout(struct train *t, int kv_pages)
{
    const struct rollout_recipe *r = &t->recipe->rollout;
    return rollout_open(&t->rollout, t->policy,
                        &(struct rollout_options){
                            .temperature = (float)r->temperature,
                            .top_p = (float)r->top_p,
                            .min_p = (float)r->min_p,
                            .repetition_penalty = (float)r->repetition_penalty,
                            .top_k = r->top_k,
                            .seed = t->recipe->run.seed,
                            .stop = r->stop.items,
                            .n_stop = device_plans(t->device) ? 0 : r->stop.n, /* it may have no tokenizer */
                            .max_batch_tokens = r->max_batch_tokens,
                            .n_pages = kv_pages,
                            .max_sequences = r->max_sequences,
                        });
}

/* The largest training batch: rows, completions. */
static int most_tokens(const struct recipe *r)
{
    int longest = train_longest_sequence(r), rows = r->run.tokens_per_micro_batch;
    return rows > longest ? rows : longest;
}

static int most_samples(const struct recipe *r)
{
    return r->rollout.prompts_per_step * (r->method == METHOD_SFT ? 1 : r->rollout.num_generations);
}

struct device_limits train_limits(const struct train *t)
{
    const struct recipe *r = t->recipe;
    const struct rollout_recipe *o = &r->rollout;
    const struct model_config *c = &t->policy->config;
    bool grpo = r->method == METHOD_GRPO;
    int tokens = most_tokens(r), samples = most_samples(r);
    struct device_limits limits = {
        .d = c->d,
        .V = c->V,
        .n_weights = t->policy->params.n,
        .rollout_rows = grpo ? rollout_rows(o->max_batch_tokens, o->max_sequences) : 0,
        .rollout_sequences = grpo ? o->max_sequences : 0,
        .filtered = o->top_k > 0 || o->top_p < 1 || o->min_p > 0 || o->repetition_penalty != 1,
        .max_length = t->policy->max_positions,
        .tokens = tokens,
        .targets = tokens + samples,
        .contexts = 2 * samples + 1,
        .groups = grpo ? o->prompts_per_step : 0,
        .group_size = grpo ? o->num_generations : 0,
        .max_prefix = r->data.max_prompt_length,
    };
    model_shapes(c, &limits.shapes);
    return limits;
}

enum err train_alloc(struct train *t, int kv_pages)
{
    const struct recipe *r = t->recipe;
    int tokens = most_tokens(r), samples = most_samples(r);
    optim_init(&t->optim, &r->optim, t->policy);
    loss_init(&t->loss, &(struct loss_options){.recipe = r,
                                               .policy = t->policy,
                                               .reference = t->reference,
                                               .grads = t->optim.grads,
                                               .max_tokens = tokens,
                                               .max_targets = tokens + samples,
                                               .max_contexts = 2 * samples + 1,
                                               .max_length = train_longest_sequence(r)});
    return kv_pages > 0 ? train_open_rollout(t, kv_pages) : ERR_NONE;
}

/* Opens the device and takes what the run will need of it; a recipe that does not fit is refused with the table. */
static enum err open_device(struct train *t, const char *path, int *kv_pages)
{
    struct train_plan plan;
    TRY(device_open(&t->device, t->recipe->model.device));
    device_set_threads(t->recipe->model.num_threads);
    enum err result = train_plan_make(&plan, t->recipe, path, t->device->ops->name, device_free_bytes(t->device));
    if (result == ERR_NONE && !train_plan_fits(&plan)) {
        result = train_plan_refuse(&plan, stderr);
    }
    if (result == ERR_NONE) {
        result = device_reserve(t->device, plan.made.device);
        *kv_pages = plan.kv_pages;
    }
    if (result == ERR_NONE) { /* before the weights come in: that takes a slot */
        struct device_limits limits = train_limits(&plan.made);
        device_alloc_slots(t->device, &limits);
    }
    train_plan_release(&plan);
    return result;
}

/* ---- the run's folder ---- */

static bool has(const char *folder, const char *name)
{
    char path[FILE_PATH_BYTES];
    return file_join(path, sizeof path, folder, name) == ERR_NONE && file_exists(path);
}

static bool has_store(const char *folder)
{
    return has(folder, "run.db");
}

/* Whether a run has been in the folder. */
static bool is_used(const char *folder)
{
    return has_store(folder) || has(folder, "checkpoints");
}

/* Positions in the order of the data set mean other rows when the data has changed. */
static enum err save_data_hash(struct train *t)
{
    char hash[32];
    struct arena scratch = ARENA_INIT;
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)dataset_fingerprint(t->dataset));
    const char *before = store_get_meta(t->store, "dataset_xxh3", &scratch);
    enum err told = ERR_NONE;
    if (before && strcmp(before, hash) != 0) {
        told = train_tell(t, "data", "the data set %s is not the one that %s began with; going on with the new one",
                          t->recipe->data.dataset_name, t->recipe->run.output_dir);
    }
    enum err result = told != ERR_NONE ? told : store_set_meta(t->store, "dataset_xxh3", hash);
    arena_release(&scratch);
    return result;
}

/* The effective recipe, as a run's own recipe.yaml has it: its output_dir is a path that opens from anywhere. */
static void write_recipe(struct recipe *recipe, struct strbuf *out)
{
    const char *as_given = recipe->run.output_dir;
    char *real = realpath(as_given, NULL);
    recipe->run.output_dir = real ? real : as_given;
    recipe_write(recipe, out);
    recipe->run.output_dir = as_given;
    free(real);
}

static enum err save_recipe_text(struct train *t, const char *text, const char *command)
{
    char path[FILE_PATH_BYTES], max_steps[32];
    snprintf(max_steps, sizeof max_steps, "%lld", (long long)t->max_steps);
    TRY(store_set_meta(t->store, "recipe", text));
    TRY(store_set_meta(t->store, "command", command));
    TRY(store_set_meta(t->store, "recipe_path",
                       t->recipe->path));                  /* commands in rewards are relative to where it was */
    TRY(store_set_meta(t->store, "max_steps", max_steps)); /* for `strop runs`: the recipe may name epochs instead */
    TRY(file_join(path, sizeof path, t->recipe->run.output_dir, "recipe.yaml"));
    return file_write_atomic(path, text, strlen(text));
}

static enum err save_recipe(struct train *t, const char *command)
{
    struct strbuf text = STRBUF_INIT;
    write_recipe(t->recipe, &text);
    TRY(store_begin(t->store));
    enum err result = store_end(t->store, save_recipe_text(t, text.data, command));
    strbuf_release(&text);
    return result;
}

/* What can be known about the folder before anything is opened. */
static enum err check_folder(const struct run_recipe *r, bool used)
{
    if (file_exists(r->output_dir) && !file_is_folder(r->output_dir)) {
        return err_set(ERR_USAGE, "output_dir: %s is a file; name a folder, which is made if it is missing",
                       r->output_dir);
    }
    if (used && strcmp(r->resume_from_checkpoint, "none") == 0) {
        return err_set(ERR_USAGE,
                       "%s holds a run, and resume_from_checkpoint is none; choose another output_dir, or take "
                       "resume_from_checkpoint out to go on with it",
                       r->output_dir);
    }
    return ERR_NONE;
}

static enum err open_store(struct train *t)
{
    TRY(store_open(&t->store, t->recipe->run.output_dir));
    store_set_patience(t->store, STORE_PATIENCE, train_interrupted);
    return ERR_NONE;
}

/* Device, model, data, rewards; `checkpoint` is NULL for a run that begins. `files`: what the policy is opened from. */
static enum err open_parts(struct train *t, const char *checkpoint, const char *files)
{
    int kv_pages = 0;
    TRY(open_device(t, files ? files : recipe_path(t->recipe, t->recipe->model.model_name_or_path), &kv_pages));
    TRY(open_policy(t, files));
    TRY(open_reference(t, checkpoint));
    TRY(open_data(t));
    TRY(open_rewards(t));
    TRY(train_alloc(t, kv_pages));
    return checkpoint ? train_read_checkpoint(t, checkpoint) : ERR_NONE;
}

/* The run has all of its steps: nothing is written, and a recipe that differs is not its own. */
static enum err stay_finished(struct train *t)
{
    log_info("%s is finished: %lld of %lld steps; raise max_steps to go on, or choose another output_dir",
             t->recipe->run.output_dir, (long long)t->state.step, (long long)t->max_steps);
    if (t->changed.length > 0) {
        log_warning("no step follows, so that these changes are not used: %s", t->changed.data);
    }
    return ERR_NONE;
}

static enum err begin_anew(struct train *t)
{
    TRY(store_rewind(t->store, -1, 0));
    return store_set_meta(t->store, "saved_step", "0");
}

/* Steps follow: what the run needs to save them is made ready, and its folder written. */
static enum err begin(struct train *t, bool used, const char *checkpoint, const char *command)
{
    const struct run_recipe *r = &t->recipe->run;
    bool moved = t->reference && t->recipe->loss.sync_ref_model;
    uint64_t bytes = checkpoint_bytes(t->policy->params.n, t->recipe->optim.kind, moved, r->save_dtype);
    TRY(checkpoint_check_space(r->output_dir, bytes, r->save_total_limit));
    TRY(checkpoint_prepare(r->output_dir));
    TRY(used ? ERR_NONE : open_store(t));
    TRY(checkpoint ? ERR_NONE : checkpoint_keep_files(r->output_dir, t->policy, r->save_dtype));
    TRY(checkpoint ? train_go_back(t, checkpoint) : begin_anew(t));
    TRY(used && checkpoint ? train_tell_changes(t) : train_note_base(t));
    TRY(save_data_hash(t));
    TRY(save_recipe(t, command));
    return r->report_tensorboard ? tensorboard_open(&t->tensorboard, r->output_dir) : ERR_NONE;
}

/* Everything that a recipe can get wrong is opened before a new run's folder is made. */
static enum err open_all(struct train *t, const char *command)
{
    const struct run_recipe *r = &t->recipe->run;
    char checkpoint[FILE_PATH_BYTES], files[FILE_PATH_BYTES];
    bool found, used = is_used(r->output_dir);
    struct checkpoint_state state = {0};
    TRY(check_folder(r, used));
    TRY(used ? open_store(t) : ERR_NONE);
    TRY(train_find_checkpoint(t, checkpoint, sizeof checkpoint, &found));
    TRY(found ? checkpoint_read_state(checkpoint, &state) : ERR_NONE);
    bool finished = found && r->max_steps > 0 && state.step >= r->max_steps;
    snprintf(files, sizeof files, "%s", found ? checkpoint : "");
    bool staged = found && !finished;
    TRY(staged ? checkpoint_stage(r->output_dir, checkpoint, files) : ERR_NONE);
    t->state.first_step = 1;
    TRY(open_parts(t, found ? checkpoint : NULL, found ? files : NULL));
    if (staged) {
        checkpoint_unstage(files);
    }
    t->saved_step = found ? t->state.step : -1;
    if (used && found && t->state.step >= t->max_steps) {
        return stay_finished(t);
    }
    if (!used && has_store(r->output_dir)) {
        return err_set(ERR_STATE, "%s: another run has just begun there; choose another output_dir", r->output_dir);
    }
    return begin(t, used, found ? checkpoint : NULL, command);
}

enum err train_open(struct train *t, struct recipe *recipe, const char *command)
{
    t->recipe = recipe;
    train_resolve_paths(recipe);
    return open_all(t, command);
}

/* ---- strop check ---- */

static void print_size(const struct model *model, FILE *out)
{
    const struct model_config *c = &model->config;
    fprintf(out,
            "\nmodel    %s: %s, %d layers, width %d, %d heads of %d, %d key/value heads, vocabulary %d; %.1f M "
            "parameters\n",
            model->source, c->family->name, c->n_layers, c->d, c->H, c->D, c->J, c->V, (double)model->params.n / 1e6);
}

static void print_work(const struct train *t, FILE *out)
{
    const struct recipe *r = t->recipe;
    struct strbuf ends = STRBUF_INIT;
    end_tokens_describe(&t->policy->config, t->policy->tokenizer, &ends);
    fprintf(out, "ends     %s\n", ends.data);
    strbuf_release(&ends);
    fprintf(out, "steps    %lld of %d prompts", (long long)t->max_steps, r->rollout.prompts_per_step);
    if (r->method == METHOD_GRPO) {
        fprintf(out, " x %d completions of at most %d tokens; a rollout feeds %d steps", r->rollout.num_generations,
                recipe_schedule_most(&r->rollout.max_completion_length), recipe_steps_per_iteration(r));
    }
    fprintf(out, "\ndata     %s", r->data.dataset_name);
    if (dataset_size(t->dataset) > 0) {
        fprintf(out, ", %lld rows", (long long)dataset_size(t->dataset));
    }
    fprintf(out, "\n");
}

/* What the device has, if it is here; else what is assumed of a GPU that is not. */
static enum err find_memory(const char *name, size_t *memory, FILE *out)
{
    struct device *device = NULL;
    if (device_open(&device, name) == ERR_NONE) {
        *memory = device_free_bytes(device);
        device_close(device);
        return ERR_NONE;
    }
    int index;
    if (!device_names_gpu(name, &index)) {
        return ERR_DEVICE;
    }
    *memory = TRAIN_ASSUMED_GIB << 30;
    fprintf(out, "\nthere is no GPU here: one of %zu GiB is assumed (--memory=GIB says otherwise)\n",
            TRAIN_ASSUMED_GIB);
    return ERR_NONE;
}

/* The files of the run, opened beside a plan that has their places. */
static enum err check_files(struct train *t, const char *device, FILE *out)
{
    TRY(device_open_planning(&t->device, device, 0));
    TRY(open_policy(t, NULL));
    TRY(open_data(t));
    TRY(open_rewards(t));
    print_work(t, out);
    return train_print_first(t, out);
}

enum err train_check(struct recipe *recipe, size_t memory, FILE *out)
{
    struct train t = {.recipe = recipe};
    struct train_plan plan;
    const char *path = recipe_path(recipe, recipe->model.model_name_or_path);
    if (memory == 0) {
        TRY(find_memory(recipe->model.device, &memory, out));
    }
    enum err result = train_plan_make(&plan, recipe, path, recipe->model.device, memory);
    if (result == ERR_NONE) {
        print_size(plan.made.policy, out);
        result = train_plan_fits(&plan) ? ERR_NONE : train_plan_refuse(&plan, out);
    }
    if (result == ERR_NONE) {
        result = check_files(&t, recipe->model.device, out);
        fprintf(out, "\n");
        train_plan_print(&plan, out);
    }
    train_plan_release(&plan);
    train_close(&t);
    return result;
}

void train_close(struct train *t)
{
    iteration_release(&t->iteration);
    iteration_release(&t->evaluation);
    loss_release(&t->loss);
    if (t->optim.grads) {
        optim_release(&t->optim, t->policy);
    }
    if (t->rollout) {
        rollout_close(t->rollout);
    }
    reward_set_close(t->rewards);
    dataset_close(t->dataset);
    dataset_close(t->eval_dataset);
    model_close(t->reference);
    model_close(t->policy);
    device_close(t->device);
    tensorboard_close(t->tensorboard);
    store_close(t->store);
    strbuf_release(&t->changed);
}

/* rl/train_setup.c - opening a run: what it needs, and where it continues.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/num.h"
#include "rl/dist.h"
#include "rl/method.h"
#include "rl/score.h"
#include "rl/train_parts.h"
#include "rl/train_plan.h"
#include "rl/train_resume.h"

enum err train_open_policy(struct train *t, const char *files)
{
    struct recipe *r = t->recipe;
    const char *path = train_model_path(r, files);
    int positions = method_of(r)->max_length(r);
    bool masters = train_has_masters(r);
    if (r->lora.r > 0) {
        const struct model_lora lora = {
            .base = path, .adapter = files, .lora = r->lora.lora, .seed = r->run.seed, .masters = masters};
        return model_open_lora(&t->policy, &lora, t->device, positions);
    }
    if (!files && r->model.init_weights == INIT_RANDOM) {
        return model_open_random(&t->policy, path, t->device, positions, masters, r->run.seed);
    }
    return masters ? model_open_trainable(&t->policy, path, t->device, positions)
                   : model_open(&t->policy, path, t->device, positions);
}

static enum err open_reference(struct train *t, const char *checkpoint)
{
    struct recipe *r = t->recipe;
    if (!train_has_reference(r)) {
        return ERR_NONE;
    }
    TRY(train_make_reference(t));
    if (!checkpoint || t->policy->adapter) {
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

enum err train_open_data(struct train *t)
{
    struct recipe *r = t->recipe;
    const struct tokenizer *tokenizer = t->policy->tokenizer;
    int32_t end = t->policy->config.n_eos ? t->policy->config.eos_ids[0] : -1;
    if (!tokenizer) {
        return err_set(ERR_FORMAT, "%s: tokenizer.json is missing", t->policy->source);
    }
    TRY(dataset_open(&t->dataset, r, r->data.dataset_name, false, tokenizer, end));
    if (r->data.eval_dataset_name[0] && method_of(r)->samples) {
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
        t->max_steps = method_of(r)->steps(r, r->run.num_train_epochs * (double)size);
    }
    r->optim.max_steps = t->max_steps;
    t->batch = (struct batch_options){
        .prompts_per_step = r->rollout.prompts_per_step,
        .num_iterations = r->loss.num_iterations,
        .max_tokens = r->run.tokens_per_micro_batch,
        .n_shards = r->run.gradient_shards,
        .keep_all = loss_needs_all(r),
        .mask_truncated = r->reward.mask_truncated_completions,
        .seed = r->run.seed,
        .expert_bytes = r->loss.routing_replay != REPLAY_NONE ? model_expert_bytes(&t->policy->config) : 0,
    };
    return train_note_first(t);
}

enum err train_open_rewards(struct train *t)
{
    struct recipe *r = t->recipe;
    if (!method_of(r)->samples) {
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

/* Takes the memory of a plan; a plan that does not fit is refused with its table. */
static enum err reserve(struct train *t, const struct train_plan *plan)
{
    if (!train_plan_fits(plan)) {
        TRY(train_plan_refuse(plan, stderr));
    }
    TRY(device_reserve(t->device, plan->made.device));
    struct device_limits limits = train_limits(&plan->made);
    device_alloc_slots(t->device, &limits); /* before the weights come in: that takes a slot */
    return ERR_NONE;
}

/* Ranks of one machine share its processors. */
static void set_threads(const struct train *t)
{
    int n = t->recipe->model.num_threads;
    device_set_threads(n);
    if (n == 0 && dist_local_ranks(t->dist) > 1) {
        device_set_threads(max_int(device_threads() / dist_local_ranks(t->dist), 1));
    }
}

/* Opens the device and takes what the run will need of it. */
static enum err open_device(struct train *t, const char *path, int *kv_pages)
{
    struct train_plan plan;
    TRY(device_open(&t->device, t->recipe->model.device));
    if (t->dist && !t->device->kind->shares_memory) {
        return err_set(ERR_DEVICE,
                       "several ranks compute on processors so far, and not on GPUs; use --device=cpu, or one rank");
    }
    set_threads(t);
    size_t share = t->device->kind->shares_memory ? (size_t)dist_local_ranks(t->dist) : 1;
    enum err result =
        train_plan_make(&plan, t->recipe, path, t->device->ops->name, device_free_bytes(t->device) / share);
    if (result == ERR_NONE) { /* no rank takes memory before all of its machine have measured what is free */
        int measured = 1;
        result = dist_max(t->dist, &measured, 1);
    }
    if (result == ERR_NONE) {
        result = reserve(t, &plan);
        *kv_pages = plan.kv_pages;
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
    const char *before = store_get_meta(t->record.store, "dataset_xxh3", &scratch);
    enum err warned = ERR_NONE;
    if (before && strcmp(before, hash) != 0) {
        warned = train_warn(t, "data", "the data set %s is not the one that %s began with; continuing with the new one",
                            t->recipe->data.dataset_name, t->recipe->run.output_dir);
    }
    enum err result = warned != ERR_NONE ? warned : store_set_meta(t->record.store, "dataset_xxh3", hash);
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
    TRY(store_set_meta(t->record.store, "recipe", text));
    TRY(store_set_meta(t->record.store, "command", command));
    TRY(store_set_meta(t->record.store, "recipe_path",
                       t->recipe->path)); /* commands in rewards are relative to where it was */
    TRY(store_set_meta(t->record.store, "max_steps",
                       max_steps)); /* for `strop runs`: the recipe may name epochs instead */
    TRY(file_join(path, sizeof path, t->recipe->run.output_dir, "recipe.yaml"));
    return file_write_atomic(path, text, strlen(text));
}

static enum err save_recipe(struct train *t, const char *command)
{
    TRY(store_begin(t->record.store));
    struct strbuf text = STRBUF_INIT;
    write_recipe(t->recipe, &text);
    enum err result = store_end(t->record.store, save_recipe_text(t, text.data, command));
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
                       "resume_from_checkpoint out to continue it",
                       r->output_dir);
    }
    return ERR_NONE;
}

static enum err open_store(struct train *t)
{
    TRY(store_open(&t->record.store, t->recipe->run.output_dir));
    store_set_patience(t->record.store, STORE_PATIENCE, train_interrupted);
    return ERR_NONE;
}

/* Device, model, data, rewards; `checkpoint` is NULL for a run that begins. `files`: what the policy is opened from. */
static enum err open_parts(struct train *t, const char *checkpoint, const char *files)
{
    int kv_pages = 0;
    TRY(open_device(t, train_model_path(t->recipe, files), &kv_pages));
    TRY(train_open_policy(t, files));
    TRY(open_reference(t, checkpoint));
    TRY(train_open_data(t));
    TRY(train_open_rewards(t));
    TRY(train_alloc(t, kv_pages));
    return checkpoint ? train_read_checkpoint(t, checkpoint) : ERR_NONE;
}

/* The run has all of its steps: nothing is written, and a recipe that differs is not its own. */
static enum err stay_finished(struct train *t)
{
    log_info("%s is finished: %lld of %lld steps; raise max_steps to continue, or choose another output_dir",
             t->recipe->run.output_dir, (long long)t->state.step, (long long)t->max_steps);
    if (t->record.changed.length > 0) {
        log_warning("no step follows, so that these changes are not used: %s", t->record.changed.data);
    }
    return ERR_NONE;
}

static enum err begin_anew(struct train *t)
{
    TRY(store_rewind(t->record.store, -1, 0));
    return store_set_meta(t->record.store, "saved_step", "0");
}

uint64_t train_checkpoint_bytes(const struct train *t)
{
    bool moved = train_has_reference(t->recipe) && t->recipe->loss.sync_ref_model;
    return checkpoint_bytes(model_trained(t->policy)->n, t->recipe->optim.kind, moved, t->recipe->run.save_dtype);
}

/* Steps follow: what the run needs to save them is made ready, and its folder written. */
static enum err begin(struct train *t, bool used, const char *checkpoint, const char *command)
{
    const struct run_recipe *r = &t->recipe->run;
    TRY(checkpoint_check_space(r->output_dir, train_checkpoint_bytes(t), r->save_total_limit));
    TRY(checkpoint_prepare(r->output_dir));
    TRY(used ? ERR_NONE : open_store(t));
    TRY(checkpoint ? ERR_NONE : checkpoint_keep_files(r->output_dir, t->policy, r->save_dtype));
    TRY(checkpoint ? train_go_back(t, checkpoint) : begin_anew(t));
    TRY(used && checkpoint ? train_report_changes(t) : train_note_base(t));
    TRY(save_data_hash(t));
    TRY(save_recipe(t, command));
    return r->report_tensorboard ? tensorboard_open(&t->record.tensorboard, r->output_dir) : ERR_NONE;
}

/* Where the run continues: what rank 0 has found, and all ranks need. */
struct start {
    bool found; /* a checkpoint; else it begins */
    bool used, staged;
    int shards;                                               /* gradient_shards */
    char checkpoint[FILE_PATH_BYTES], files[FILE_PATH_BYTES]; /* that, and what the policy is opened from */
};

static enum err find_start(struct train *t, struct start *s)
{
    const struct run_recipe *r = &t->recipe->run;
    struct checkpoint_state state = {0};
    s->used = is_used(r->output_dir);
    TRY(check_folder(r, s->used));
    TRY(s->used ? open_store(t) : ERR_NONE);
    TRY(train_find_checkpoint(t, s->checkpoint, sizeof s->checkpoint, &s->found));
    TRY(s->found ? checkpoint_read_state(s->checkpoint, &state) : ERR_NONE);
    bool finished = s->found && r->max_steps > 0 && state.step >= r->max_steps;
    snprintf(s->files, sizeof s->files, "%s", s->found ? s->checkpoint : "");
    s->staged = s->found && !finished;
    s->shards = r->gradient_shards ? r->gradient_shards : r->n_ranks;
    return s->staged ? checkpoint_stage(r->output_dir, s->checkpoint, s->files) : ERR_NONE;
}

/* All ranks begin where rank 0 does. The others read the checkpoint itself, on a file system that they share. */
static enum err share_start(struct train *t, struct start *s)
{
    char own[FILE_PATH_BYTES];
    snprintf(own, sizeof own, "%s", s->files);
    TRY(dist_from_first(t->dist, s, sizeof *s));
    TRY(dist_text_from_first(t->dist, &t->record.changed));
    snprintf(s->files, sizeof s->files, "%s", dist_is_first(t->dist) ? own : s->checkpoint);
    t->recipe->run.gradient_shards = s->shards;
    if (s->found && !file_exists(s->checkpoint)) {
        return err_set(
            ERR_USAGE,
            "rank %d does not see the checkpoint %s; output_dir must be on a file system that all machines share",
            dist_rank(t->dist), s->checkpoint);
    }
    return recipe_check_ranks(t->recipe);
}

/* Everything that a recipe can get wrong is opened before a new run's folder is made. */
static enum err open_all(struct train *t, const char *command)
{
    const struct run_recipe *r = &t->recipe->run;
    struct start s = {0};
    TRY(dist_is_first(t->dist) ? find_start(t, &s) : ERR_NONE);
    TRY(share_start(t, &s));
    t->state.first_step = 1;
    TRY(open_parts(t, s.found ? s.checkpoint : NULL, s.found ? s.files : NULL));
    TRY(train_compare_ranks(t));
    t->record.saved_step = s.found ? t->state.step : -1;
    if (!dist_is_first(t->dist)) {
        return ERR_NONE;
    }
    if (s.staged) {
        checkpoint_unstage(s.files);
    }
    if (s.used && s.found && t->state.step >= t->max_steps) {
        return stay_finished(t);
    }
    if (!s.used && has_store(r->output_dir)) {
        return err_set(ERR_STATE, "%s: another run has just begun there; choose another output_dir", r->output_dir);
    }
    return begin(t, s.used, s.found ? s.checkpoint : NULL, command);
}

enum err train_open(struct train *t, struct recipe *recipe, const char *command)
{
    t->recipe = recipe;
    train_resolve_paths(recipe);
    return open_all(t, command);
}

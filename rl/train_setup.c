/* rl/train_setup.c - opening a run: what it needs, and where it goes on.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "rl/train_internal.h"

/* Positions of the longest sequence of the recipe. */
static int longest_sequence(const struct recipe *r)
{
    if (r->method == METHOD_SFT) {
        return r->data.pack_length > 0 ? r->data.pack_length : r->data.max_prompt_length;
    }
    return r->data.max_prompt_length + recipe_schedule_most(&r->rollout.max_completion_length);
}

/* The policy: from the checkpoint if there is one, else from the recipe's path, or random in its shape. */
static enum err open_policy(struct train *t, const char *checkpoint)
{
    struct recipe *r = t->recipe;
    const char *path = recipe_path(r, r->model.model_name_or_path);
    int positions = longest_sequence(r);
    bool masters = r->optim.kind == OPTIM_ADAMW; /* else the elements themselves are trained */
    enum err (*open)(struct model **, const char *, struct device *, int) = masters ? model_open_trainable : model_open;
    TRY(device_open(&t->device, r->model.device));
    device_set_threads(r->model.num_threads);
    if (checkpoint) {
        TRY(open(&t->policy, checkpoint, t->device, positions));
        if (file_exists(path)) { /* saving copies files from there, and this checkpoint will be removed one day */
            free(t->policy->source);
            t->policy->source = mem_strdup(path);
        }
        return ERR_NONE;
    }
    TRY(open(&t->policy, path, t->device, positions));
    if (r->model.init_weights == INIT_RANDOM) {
        model_init_random(t->policy, r->run.seed);
    }
    return ERR_NONE;
}

static enum err open_reference(struct train *t, const char *checkpoint)
{
    struct recipe *r = t->recipe;
    if (r->method == METHOD_SFT || r->loss.policy.beta == 0) {
        return ERR_NONE;
    }
    if (checkpoint && checkpoint_has_reference(checkpoint)) {
        TRY(model_clone(&t->reference, t->policy));
        return checkpoint_read_reference(checkpoint, t->reference);
    }
    if (!checkpoint) {
        return model_clone(&t->reference, t->policy);
    }
    TRY(model_open(&t->reference, recipe_path(r, r->model.model_name_or_path), t->device, longest_sequence(r)));
    if (r->model.init_weights == INIT_RANDOM) {
        model_init_random(t->reference, r->run.seed);
    }
    return ERR_NONE;
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
    return ERR_NONE;
}

static enum err open_rollout(struct train *t)
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
    return rollout_open(&t->rollout, t->policy,
                        &(struct rollout_options){
                            .temperature = (float)r->rollout.temperature,
                            .top_p = (float)r->rollout.top_p,
                            .min_p = (float)r->rollout.min_p,
                            .repetition_penalty = (float)r->rollout.repetition_penalty,
                            .top_k = r->rollout.top_k,
                            .seed = r->run.seed,
                            .stop = r->rollout.stop.items,
                            .n_stop = r->rollout.stop.n,
                            .max_batch_tokens = r->rollout.max_batch_tokens,
                            .n_pages = r->rollout.kv_pages,
                            .max_sequences = r->rollout.max_sequences,
                        });
}

static void open_training(struct train *t)
{
    struct recipe *r = t->recipe;
    optim_init(&t->optim, &r->optim, t->policy);
    int longest = longest_sequence(r), rows = r->run.tokens_per_micro_batch;
    int samples = r->rollout.prompts_per_step * (r->method == METHOD_SFT ? 1 : r->rollout.num_generations);
    int tokens = rows > longest ? rows : longest;
    loss_init(&t->loss, r, t->policy, t->reference, t->optim.grads, tokens, tokens + samples, 2 * samples + 1, longest);
    t->loss.max_completion_length = recipe_schedule_most(&r->rollout.max_completion_length);
}

/* ---- the run's folder ---- */

/* Whether a run has been in the folder. */
static bool is_used(const char *folder)
{
    static const char *const names[] = {"run.db", "checkpoints"};
    char path[FILE_PATH_BYTES];
    for (int i = 0; i < 2; i++) {
        if (file_join(path, sizeof path, folder, names[i]) == ERR_NONE && file_exists(path)) {
            return true;
        }
    }
    return false;
}

static enum err find_checkpoint(struct train *t, char *path, size_t capacity, bool *found)
{
    const struct run_recipe *r = &t->recipe->run;
    *found = false;
    if (strcmp(r->resume_from_checkpoint, "none") == 0) {
        return ERR_NONE;
    }
    if (strcmp(r->resume_from_checkpoint, "auto") == 0) {
        return checkpoint_find(r->output_dir, path, capacity, found);
    }
    TRY(file_join(path, capacity, r->resume_from_checkpoint, "MANIFEST.json"));
    if (!file_exists(path)) {
        return err_set(ERR_USAGE,
                       "resume_from_checkpoint: %s is no checkpoint, %s is missing; name a folder such as "
                       "RUN/checkpoints/step-000100, or auto",
                       r->resume_from_checkpoint, path);
    }
    TRY(checkpoint_verify(r->resume_from_checkpoint));
    snprintf(path, capacity, "%s", r->resume_from_checkpoint);
    *found = true;
    return ERR_NONE;
}

/* Positions in the order of the data set mean other rows when the data has changed. */
static enum err save_data_hash(struct train *t)
{
    char hash[32];
    struct arena scratch = ARENA_INIT;
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)dataset_fingerprint(t->dataset));
    const char *before = store_get_meta(t->store, "dataset_xxh3", &scratch);
    if (before && strcmp(before, hash) != 0) {
        log_warning("the data set %s is not the one that %s began with; going on with the new one",
                    t->recipe->data.dataset_name, t->recipe->run.output_dir);
    }
    enum err result = store_set_meta(t->store, "dataset_xxh3", hash);
    arena_release(&scratch);
    return result;
}

static enum err save_recipe(struct train *t, const char *command)
{
    char path[FILE_PATH_BYTES];
    struct arena scratch = ARENA_INIT;
    struct strbuf text = STRBUF_INIT;
    recipe_write(t->recipe, &text);
    const char *before = store_get_meta(t->store, "recipe", &scratch);
    if (before && strcmp(before, text.data) != 0) {
        log_warning("the recipe differs from the one that %s began with; going on with the new one",
                    t->recipe->run.output_dir);
    }
    enum err result = store_set_meta(t->store, "recipe", text.data);
    if (result == ERR_NONE) {
        result = store_set_meta(t->store, "command", command);
    }
    if (result == ERR_NONE) { /* paths of the recipe are relative to its folder */
        result = store_set_meta(t->store, "recipe_path", t->recipe->path);
    }
    if (result == ERR_NONE) { /* for `strop runs`: the recipe may name epochs instead */
        result = store_set_meta(t->store, "max_steps", arena_printf(&scratch, "%lld", (long long)t->max_steps));
    }
    if (result == ERR_NONE) {
        result = file_join(path, sizeof path, t->recipe->run.output_dir, "recipe.yaml");
    }
    if (result == ERR_NONE) {
        result = file_write_atomic(path, text.data, text.length);
    }
    strbuf_release(&text);
    arena_release(&scratch);
    return result;
}

static enum err resume(struct train *t, const char *checkpoint)
{
    TRY(checkpoint_read_state(checkpoint, &t->state));
    TRY(checkpoint_read_optim(checkpoint, &t->optim, t->policy));
    t->optim.step = t->state.optim_step;
    t->optim.n_skipped = t->state.optim_skipped;
    TRY(checkpoint_set_aside(t->recipe->run.output_dir, t->state.step));
    if (t->state.step >= t->max_steps) {
        log_info("%s is finished: %lld of %lld steps; raise max_steps to go on, or choose another output_dir",
                 t->recipe->run.output_dir, (long long)t->state.step, (long long)t->max_steps);
    } else {
        log_info("resuming from %s (step %lld)", checkpoint, (long long)t->state.step);
    }
    return store_rewind(t->store, t->state.step, t->state.minibatch ? t->state.iteration + 1 : t->state.iteration);
}

/* Everything that a recipe can get wrong is opened before a new run's folder is made. */
static enum err open_all(struct train *t, const char *command)
{
    const struct run_recipe *r = &t->recipe->run;
    char checkpoint[FILE_PATH_BYTES];
    bool found, used = is_used(r->output_dir);
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
    if (used) {
        TRY(store_open(&t->store, r->output_dir));
    }
    TRY(find_checkpoint(t, checkpoint, sizeof checkpoint, &found));
    TRY(open_policy(t, found ? checkpoint : NULL));
    TRY(open_reference(t, found ? checkpoint : NULL));
    TRY(open_data(t));
    TRY(open_rollout(t));
    open_training(t);
    t->state.first_step = 1;
    if (!used && is_used(r->output_dir)) {
        return err_set(ERR_STATE, "%s: another run has just begun there; choose another output_dir", r->output_dir);
    }
    if (!used) {
        TRY(store_open(&t->store, r->output_dir));
    }
    TRY(found ? resume(t, checkpoint) : store_rewind(t->store, -1, 0));
    TRY(save_data_hash(t));
    TRY(save_recipe(t, command));
    return r->report_tensorboard ? tensorboard_open(&t->tensorboard, r->output_dir) : ERR_NONE;
}

enum err train_open(struct train *t, struct recipe *recipe, const char *command)
{
    t->recipe = recipe;
    return open_all(t, command);
}

static void print_plan(const struct train *t, FILE *out)
{
    const struct recipe *r = t->recipe;
    const struct model_config *c = &t->policy->config;
    fprintf(out,
            "\nmodel    %s: %s, %d layers, width %d, %d heads of %d, %d key/value heads, vocabulary %d; %.1f M "
            "parameters\n",
            t->policy->source, model_family_name(c->family), c->n_layers, c->d, c->H, c->D, c->J, c->V,
            (double)t->policy->weights.n / 1e6);
    fprintf(out, "steps    %lld of %d prompts", (long long)t->max_steps, r->rollout.prompts_per_step);
    if (r->method == METHOD_GRPO) {
        fprintf(out, " x %d completions of at most %d tokens; a rollout feeds %d steps", r->rollout.num_generations,
                recipe_schedule_most(&r->rollout.max_completion_length), recipe_steps_per_iteration(r));
    }
    fprintf(out, "\ndata     %s", r->data.dataset_name);
    if (dataset_size(t->dataset) > 0) {
        fprintf(out, ", %lld rows", (long long)dataset_size(t->dataset));
    }
    fprintf(out, "\n\nmemory on %s:\n", t->device->ops->name);
    device_report(t->device, out);
}

enum err train_check(struct recipe *recipe, FILE *out)
{
    struct train t = {.recipe = recipe};
    enum err result = open_policy(&t, NULL);
    if (result == ERR_NONE) {
        result = open_reference(&t, NULL);
    }
    if (result == ERR_NONE) {
        result = open_data(&t);
    }
    if (result == ERR_NONE) {
        result = open_rollout(&t);
    }
    if (result == ERR_NONE) {
        open_training(&t);
        print_plan(&t, out);
    }
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
}

/* rl/train_resume.c - where a run continues: the newest checkpoint whose rows in run.db are whole, and run.db and
 * metrics.jsonl gone back to it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/train_resume.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

enum err train_warn(struct train *t, const char *kind, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_warning("%s", text);
    return store_event(t->record.store, t->state.step, kind, text);
}

/* ---- which checkpoint ---- */

/* The rows of an iteration that the checkpoint has cut; the keys first, so that a changed recipe is not called
 * damage. */
static enum err check_rollouts(struct train *t, const char *path, const struct checkpoint_state *state)
{
    struct store_shape shape;
    struct model_config config;
    struct iteration it = {.number = state->iteration};
    enum err result = model_open_config(&config, train_model_path(t->recipe, path));
    if (result == ERR_NONE) {
        result = store_load_shape(t->record.store, state->iteration, &it.arena, &shape);
    }
    if (result == ERR_NONE) {
        it.n_prompts = recipe_prompts_per_iteration(t->recipe);
        it.G = t->recipe->rollout.num_generations;
        it.n_steps = recipe_steps_per_iteration(t->recipe);
        bool same = shape.n_prompts == it.n_prompts && shape.G == it.G && shape.n_steps == it.n_steps;
        enum err keys = train_check_inside(t, state, &shape);
        if (keys == ERR_USAGE || !same) {
            result = keys == ERR_USAGE ? keys : err_set(ERR_STATE, "its iteration in run.db is of another shape");
        }
    }
    if (result == ERR_NONE) {
        result = store_load_rollout(t->record.store, &it, config.V);
    }
    if (result == ERR_NONE && state->minibatch >= it.n_steps) {
        result = err_set(ERR_STATE, "it says that %lld of %d steps of its iteration are done",
                         (long long)state->minibatch, it.n_steps);
    }
    iteration_release(&it);
    return result;
}

static enum err accept(void *context, const char *path, const struct checkpoint_state *state)
{
    struct train *t = context;
    if (state->step < 0 || state->iteration < 0 || state->minibatch < 0 || state->cursor < 0) {
        return err_set(ERR_STATE, "its state/train.json has negative numbers");
    }
    if (!t->record.store) {
        return ERR_NONE;
    }
    if (!t->record.compared) {
        TRY(train_compare(t));
        t->record.compared = true;
    }
    bool finished = t->recipe->run.max_steps > 0 && state->step >= t->recipe->run.max_steps;
    return state->minibatch == 0 || finished ? ERR_NONE : check_rollouts(t, path, state);
}

static enum err find_given(struct train *t, char *path, size_t capacity)
{
    const char *given = t->recipe->run.resume_from_checkpoint;
    struct checkpoint_state state;
    TRY(file_join(path, capacity, given, "MANIFEST.json"));
    if (!file_exists(path)) {
        return err_set(ERR_USAGE,
                       "resume_from_checkpoint: %s is no checkpoint, %s is missing; name a folder such as "
                       "RUN/checkpoints/step-000100, or auto",
                       given, path);
    }
    TRY(checkpoint_verify(given));
    TRY(checkpoint_read_state(given, &state));
    if (state.minibatch > 0 && !t->record.store) {
        return err_set(ERR_STATE,
                       "resume_from_checkpoint: %s is inside an iteration, whose rollouts are in its own run.db; name "
                       "one between two iterations, or continue in its own folder",
                       given);
    }
    enum err result = accept(t, given, &state);
    if (result == ERR_STATE) {
        return err_wrap(result, "resume_from_checkpoint: %s", given);
    }
    snprintf(path, capacity, "%s", given);
    return result;
}

/* Steps in run.db and no checkpoint: they were lost, unless none was ever saved. */
static enum err refuse_lost(struct train *t)
{
    struct arena scratch = ARENA_INIT;
    int64_t last = 0, missing;
    enum err result = store_count_steps(t->record.store, 0, &last, &missing);
    const char *saved = store_get_meta(t->record.store, "saved_step", &scratch);
    bool never = saved && strcmp(saved, "0") == 0;
    if (result == ERR_NONE && last > 0 && !never) {
        result = err_set(ERR_STATE,
                         "%s has %lld steps in run.db, but there is no checkpoint in it; put its folder checkpoints "
                         "back (is a disk not mounted?), or choose another output_dir",
                         t->recipe->run.output_dir, (long long)last);
    } else if (result == ERR_NONE && last > 0) {
        log_warning("%s has %lld steps in run.db, but none of them was saved: it begins again",
                    t->recipe->run.output_dir, (long long)last);
    }
    arena_release(&scratch);
    return result;
}

enum err train_find_checkpoint(struct train *t, char *path, size_t capacity, bool *found)
{
    const struct run_recipe *r = &t->recipe->run;
    *found = false;
    if (strcmp(r->resume_from_checkpoint, "none") == 0) {
        return ERR_NONE;
    }
    if (strcmp(r->resume_from_checkpoint, "auto") != 0) {
        *found = true;
        return find_given(t, path, capacity);
    }
    TRY(checkpoint_find(r->output_dir, path, capacity, found, accept, t));
    return *found || !t->record.store ? ERR_NONE : refuse_lost(t);
}

/* ---- run.db compared with the checkpoint ---- */

/* Reports steps that run.db should have and has not; what an earlier start reported is not reported again. */
static enum err report_gap(struct train *t, int64_t missing)
{
    char number[32];
    int64_t known = 0;
    struct arena scratch = ARENA_INIT;
    const char *before = store_get_meta(t->record.store, "missing_steps", &scratch);
    if (before) {
        str_to_int(str_of(before), &known);
    }
    arena_release(&scratch);
    if (missing <= known) {
        return ERR_NONE;
    }
    snprintf(number, sizeof number, "%lld", (long long)missing);
    TRY(store_set_meta(t->record.store, "missing_steps", number));
    return train_warn(
        t, "gap",
        "run.db lacks %lld of the %lld steps up to the checkpoint (it was locked, or is an older copy, or was lost): "
        "its tables and the report have a gap; metrics.jsonl keeps the lines that it has",
        (long long)missing, (long long)t->state.step);
}

static enum err report_again(struct train *t, int64_t last)
{
    long long first = (long long)t->state.step + 1;
    if (last < first) {
        return ERR_NONE;
    }
    if (last == first) {
        return train_warn(t, "resume", "step %lld of run.db comes after the checkpoint: it is done again", first);
    }
    return train_warn(t, "resume", "steps %lld to %lld of run.db come after the checkpoint: they are done again", first,
                      (long long)last);
}

enum err train_read_checkpoint(struct train *t, const char *checkpoint)
{
    TRY(checkpoint_read_state(checkpoint, &t->state));
    TRY(checkpoint_read_optim(checkpoint, &t->optim, t->policy));
    t->optim.step = t->state.optim_step;
    t->optim.n_skipped = t->state.optim_skipped;
    return ERR_NONE;
}

enum err train_go_back(struct train *t, const char *checkpoint)
{
    char step[32];
    int64_t last, missing;
    TRY(checkpoint_set_aside(t->recipe->run.output_dir, t->state.step));
    log_info("resuming from %s (step %lld)", checkpoint, (long long)t->state.step);
    TRY(store_count_steps(t->record.store, t->state.step, &last, &missing));
    if (t->record.base_changed) {
        TRY(train_warn(t, "model",
                       "%s has changed since the run began (config, tokenizer or weights); the run continues with its "
                       "own files",
                       t->recipe->model.model_name_or_path));
    }
    TRY(report_gap(t, missing));
    TRY(report_again(t, last));
    snprintf(step, sizeof step, "%lld", (long long)t->state.step);
    TRY(store_set_meta(t->record.store, "saved_step", step));
    return store_rewind(t->record.store, t->state.step,
                        t->state.minibatch ? t->state.iteration + 1 : t->state.iteration);
}

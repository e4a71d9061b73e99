/* rl/train.c - the loop. train_iteration is the table of contents of this program: each line is the front door of
 * the file it is named after.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/train.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "rl/dist.h"
#include "rl/method.h"
#include "rl/sample.h"
#include "rl/score.h"
#include "rl/train_internal.h"

/* ---- the story ---- */

enum err train_iteration(struct train *t)
{
    struct iteration *it = &t->iteration;
    iteration_begin(t, it);
    if (t->state.minibatch > 0) {
        TRY(iteration_resume(t, it)); /* a checkpoint cut it: its rollouts are in run.db */
    } else {
        TRY(dataset_next(t->dataset, it));            /* which prompts                       */
        TRY(sample_groups(t->rollout, it));           /* G tries at each                     */
        TRY(score_groups(t->rewards, it));            /* how good is each, alone             */
        TRY(refill_groups(t, it));                    /* others for groups that teach nothing */
        advantage_compute(&t->recipe->advantage, it); /* better than its peers?              */
        TRY(record_rollout(t, it));                   /* remember it                         */
        batch_pack(&t->batch, it);                    /* text to tensors                     */
    }
    progress_phase(&t->record.progress, "train");
    t->update_start = clock_seconds();
    for (int i = (int)t->state.minibatch; i < it->n_minibatches && t->state.step < t->max_steps; i++) {
        TRY(loss_backward(&t->loss, it, &it->minibatches[i], i == 0, &t->loss_stats)); /* which way   */
        TRY(optim_step(&t->optim, t->policy, t->state.step + 1, &t->optim_stats));     /* new weights */
        TRY(step_end(t, it, i));                                                       /* counted, saved, measured */
    }
    return ERR_NONE;
}

/* ---- the whole run ---- */

/* Ends a run that a signal has stopped: saves the last step and says how to continue. */
static enum err stop(struct train *t, int64_t first)
{
    if (t->state.step > first) {
        TRY(step_save(t));
    }
    log_info("%s at step %lld of %lld; run the same command to continue", t->state.step > first ? "saved" : "stopped",
             (long long)t->state.step, (long long)t->max_steps);
    return err_set(ERR_STOPPED, "stopped at step %lld", (long long)t->state.step);
}

/* Steps that are finished are not lost to whatever stops the run. Weights in the middle of an update belong to no
 * step. */
static enum err save_after_error(struct train *t, enum err result, int64_t first)
{
    char text[2048];
    snprintf(text, sizeof text, "%s", err_text());
    if (result == ERR_NUMBERS || t->state.step == first || !dist_is_first(t->dist) ||
        t->optim.step != t->state.optim_step) {
        return err_set(result, "%s", text);
    }
    if (step_save(t) == ERR_NONE && train_interrupted()) { /* a signal stopped it while it waited for something */
        log_warning("%s", text);
        return stop(t, first);
    }
    if (t->record.saved_step == t->state.step) {
        return err_set(result, "%s (saved at step %lld; run the same command to continue)", text,
                       (long long)t->state.step);
    }
    char reason[1024];
    snprintf(reason, sizeof reason, "%s", err_text());
    return err_set(result, "%s (step %lld could not be saved: %s)", text, (long long)t->state.step, reason);
}

/* A signal that one rank got stops all. */
static enum err check_stop(struct train *t)
{
    int signal = train_stop_signal();
    TRY(dist_max(t->dist, &signal, 1));
    train_stopped_by(signal);
    return signal ? err_set(ERR_STOPPED, "stopped") : ERR_NONE;
}

/* Every error of a rank is told to the others, which would wait for it. */
static enum err tell(struct train *t, enum err result)
{
    if (result != ERR_NONE) {
        train_stopped_by(dist_fail(t->dist, result, train_stop_signal()));
    }
    return result;
}

static enum err train_loop(struct train *t)
{
    int64_t first = t->state.step;
    bool as_it_was = first >= t->max_steps && t->record.changed.length > 0;
    enum err result = as_it_was ? ERR_NONE : step_evaluate(t);
    while (result == ERR_NONE && t->state.step < t->max_steps) {
        train_signals_step(t->state.step + 1);
        metrics_clear(&t->metrics);
        t->step_start = clock_seconds();
        progress_step_begin(&t->record.progress);
        result = check_stop(t);
        result = result == ERR_NONE ? method_of(t->recipe)->step(t) : result;
    }
    if (tell(t, result) == ERR_STOPPED) {
        return stop(t, first);
    }
    if (result != ERR_NONE) {
        return save_after_error(t, result, first);
    }
    if (t->state.step > first) {
        TRY(tell(t, step_save(t)));
    }
    if (as_it_was) {
        return ERR_NONE;
    }
    result = tell(t, step_evaluate(t));
    return result == ERR_STOPPED ? stop(t, t->state.step) : result;
}

static enum err open_and_loop(struct train *t, struct recipe *recipe, const char *command)
{
    TRY(tell(t, train_open(t, recipe, command)));
    if (dist_is_first(t->dist)) {
        progress_begin(&t->record.progress, t->state.step, t->max_steps);
    }
    enum err result = train_loop(t);
    progress_end(&t->record.progress);
    return result;
}

enum err train_run(struct recipe *recipe, const char *command)
{
    struct train t = {0};
    char reason[2048];
    train_signals_begin();
    enum err result = dist_open(&t.dist, recipe, train_interrupted, train_stops_now);
    if (result == ERR_NONE) {
        result = open_and_loop(&t, recipe, command);
    }
    snprintf(reason, sizeof reason, "%s", err_text());
    struct dist *dist = t.dist;
    train_close(&t);
    bool opened = t.recipe != NULL; /* not so where a signal ended the wait for the other ranks */
    if (opened && (result == ERR_NONE || result == ERR_STOPPED) && dist_is_first(dist)) {
        record_end(&t, result == ERR_NONE);
    }
    enum err others = dist_leave(dist); /* a failure after this rank's own last step */
    if (result == ERR_NONE && others != ERR_NONE) {
        result = others;
        snprintf(reason, sizeof reason, "%s", err_text());
    }
    dist_close(dist);
    train_signals_end();
    return result == ERR_NONE ? ERR_NONE : err_set(result, "%s", reason);
}

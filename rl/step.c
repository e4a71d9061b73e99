/* rl/step.c - what follows an update of the policy: metrics, state, checkpoint, evaluation.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "rl/dist.h"
#include "rl/eval.h"
#include "rl/report/report.h"
#include "rl/train_internal.h"

/* ---- checkpoints ---- */

/* A checkpoint inside an iteration remembers the bits that its next step begins with. */
static int64_t next_bits(struct train *t)
{
    const struct iteration *it = &t->iteration;
    bool inside = t->state.minibatch > 0 && it->number == t->state.iteration && it->minibatches;
    return inside ? loss_bits(&t->loss, &it->minibatches[t->state.minibatch]) : 0;
}

enum err step_save(struct train *t)
{
    const struct recipe *r = t->recipe;
    bool moved = t->reference && r->loss.sync_ref_model;
    if (t->record.saved_step == t->state.step) {
        return ERR_NONE;
    }
    if (!dist_is_first(t->dist)) {
        t->record.saved_step = t->state.step;
        return ERR_NONE;
    }
    progress_phase(&t->record.progress, "save");
    t->state.bits = next_bits(t);
    dist_saving(t->dist, true);
    enum err result = checkpoint_save(r->run.output_dir, &t->state, t->policy, &t->optim, moved ? t->reference : NULL,
                                      r->run.save_dtype, r->run.save_total_limit);
    dist_saving(t->dist, false);
    TRY(result);
    record_save(t);
    return ERR_NONE;
}

/* A full disk must not end a run: it continues, and tries again at the next checkpoint. */
static void save_or_warn(struct train *t)
{
    char text[1024];
    if (step_save(t) != ERR_NONE) {
        snprintf(text, sizeof text, "no checkpoint at step %lld: %s", (long long)t->state.step, err_text());
        if (record_warning(t, t->state.step, "checkpoint", text) != ERR_NONE) {
            log_warning("%s", err_text());
        }
    } else if (dist_is_first(t->dist) && report_write(t->recipe->run.output_dir, NULL) != ERR_NONE) {
        log_warning("no report at step %lld: %s", (long long)t->state.step, err_text());
    }
}

/* ---- evaluations ---- */

static bool on_evaluation(void *context, int64_t tokens, int finished, int total)
{
    struct train *t = context;
    (void)tokens;
    progress_phase(&t->record.progress, "evaluation %d%%", total ? 100 * finished / total : 0);
    return train_stops_now() || dist_check(t->dist) != ERR_NONE;
}

static enum err evaluate(struct train *t)
{
    const struct recipe *r = t->recipe;
    struct metrics metrics = {0};
    struct eval_options options = {
        .n_prompts = r->eval.eval_num_prompts ? r->eval.eval_num_prompts : (int)dataset_size(t->eval_dataset),
        .n_samples = r->eval.eval_num_generations,
        .max_tokens = recipe_schedule_at(&r->rollout.max_completion_length, t->state.step + 1),
        .temperature = r->eval.eval_temperature,
        .seed = r->run.seed,
        .dist = t->dist,
    };
    progress_phase(&t->record.progress, "evaluation");
    TRY(eval_run(&options, t->eval_dataset, t->rollout, t->rewards, &t->evaluation, &metrics, on_evaluation, t));
    return record_evaluation(t, &metrics);
}

/* Also makes up for one that was due when the run was stopped. */
enum err step_evaluate(struct train *t)
{
    const struct eval_recipe *r = &t->recipe->eval;
    int64_t step = t->state.step;
    bool due = step == 0              ? r->eval_on_start
               : step >= t->max_steps ? r->eval_on_end
                                      : r->eval_steps > 0 && step % r->eval_steps == 0;
    bool done = false;
    if (!t->eval_dataset || !due) {
        return ERR_NONE;
    }
    TRY(t->record.store ? store_has_eval(t->record.store, step, &done) : ERR_NONE);
    TRY(dist_from_first(t->dist, &done, sizeof done));
    return done ? ERR_NONE : evaluate(t);
}

/* ---- the end of a step ---- */

/* reference = alpha policy + (1 - alpha) reference, when it is due (TRL: sync_ref_model). */
static void sync_reference(struct train *t)
{
    const struct loss_recipe *r = &t->recipe->loss;
    if (!t->reference || !r->sync_ref_model || (t->state.step + 1) % r->ref_model_sync_steps != 0) {
        return;
    }
    if (r->ref_model_mixup_alpha >= 1) {
        model_copy_weights(t->reference, t->policy);
        return;
    }
    model_mix_weights(t->reference, t->policy, (float)r->ref_model_mixup_alpha);
}

static void loss_metrics(struct train *t, const struct loss_stats *s)
{
    double n = s->sums.n_tokens ? s->sums.n_tokens : 1;
    metrics_set(&t->metrics, s->loss, "loss");
    if (t->reference) {
        metrics_set(&t->metrics, s->sums.kl / n, "kl");
    }
    metrics_set(&t->metrics, s->clip_low, "clip_ratio/low_mean");
    metrics_set(&t->metrics, s->clip_high, "clip_ratio/high_mean");
    metrics_set(&t->metrics, s->clip_low + s->clip_high, "clip_ratio/region_mean");
    metrics_set(&t->metrics, s->sums.n_tokens ? s->sums.ratio / n : 1, "sampling/importance_sampling_ratio/mean");
    metrics_set(&t->metrics, (double)s->bits_compared, "sampling/bits_compared");
    metrics_set(&t->metrics, (double)s->bits_different, "sampling/bits_different");
}

static void step_metrics(struct train *t)
{
    const struct optim_stats *stats = &t->optim_stats;
    metrics_set(&t->metrics, stats->grad_norm, "grad_norm");
    metrics_set(&t->metrics, stats->learning_rate, "learning_rate");
    metrics_set(&t->metrics, stats->skipped, "skipped_updates");
    metrics_set(&t->metrics, (double)t->state.num_tokens, "num_tokens");
    if (dataset_skipped(t->dataset) > 0) {
        metrics_set(&t->metrics, (double)dataset_skipped(t->dataset), "data/skipped_rows");
    }
    metrics_set(&t->metrics, clock_seconds() - t->step_start, "step_time");
    metrics_set(&t->metrics, t->device->n_allocations, "memory/allocations");
    metrics_set(&t->metrics, (double)t->device->max_taken, "memory/peak_bytes");
}

enum err step_finish(struct train *t)
{
    const struct recipe *r = t->recipe;
    step_metrics(t);
    t->state.step++;
    t->state.optim_step = t->optim.step;
    t->state.optim_skipped = t->optim.n_skipped;
    TRY(record_step(t));
    metrics_clear(&t->metrics);
    t->step_start = t->update_start = clock_seconds();
    train_signals_step(t->state.step + 1);
    int asked[] = {train_stop_signal(), train_save_wanted()};
    TRY(dist_max(t->dist, asked, 2));
    train_stopped_by(asked[0]);
    bool stop = asked[0] != 0, last = t->state.step == t->max_steps || stop;
    if ((asked[1] || (r->run.save_steps > 0 && t->state.step % r->run.save_steps == 0)) && !last) {
        save_or_warn(t);
    }
    if (!last) {
        TRY(step_evaluate(t));
    }
    return stop && t->state.step < t->max_steps
               ? err_set(ERR_STOPPED, "stopped after step %lld", (long long)t->state.step)
               : ERR_NONE;
}

enum err step_end(struct train *t, const struct iteration *it, int i)
{
    balance_update_bias(&t->loss.balance);
    sync_reference(t);
    balance_metrics(&t->loss.balance, &t->metrics);
    if (dist_is_first(t->dist)) {
        balance_measure_change(&t->loss.balance, t->loss.acts, &it->minibatches[i], &t->metrics);
    }
    metrics_set(&t->metrics, clock_seconds() - t->update_start, "timing_s/train");
    loss_metrics(t, &t->loss_stats);
    t->state.num_tokens += it->minibatches[i].n_tokens;
    t->state.minibatch = i + 1;
    t->state.cursor = dataset_cursor(t->dataset);
    if (i + 1 == it->n_minibatches) { /* the next step begins a new iteration */
        t->state.iteration = it->number + 1;
        t->state.minibatch = 0;
        t->state.sequence += (uint64_t)(it->n_samples * t->recipe->reward.dynamic_sampling_max_rounds);
        t->state.first_step = t->state.step + 2;
    }
    return step_finish(t);
}

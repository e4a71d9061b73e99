/* rl/train.c - the loop. train_iteration is the table of contents of this program: each line is the front door of the file it is
 * named after.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/train.h"

#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "rl/advantage.h"
#include "rl/batch.h"
#include "rl/eval.h"
#include "rl/report/report.h"
#include "rl/score.h"
#include "rl/train_internal.h"

static bool on_evaluation(void *context, int64_t tokens, int finished, int total)
{
    struct train *t = context;
    (void)tokens;
    progress_phase(&t->progress, "evaluation %d%%", total ? 100 * finished / total : 0);
    return train_stops_now();
}

/* ---- the parts of an iteration ---- */

static void reward_metrics(struct train *t, const struct advantage_stats *stats, const char *prefix)
{
    metrics_set(&t->metrics, stats->reward_mean, "%sreward", prefix);
    metrics_set(&t->metrics, stats->reward_std, "%sreward_std", prefix);
    metrics_set(&t->metrics, (double)stats->n_flat / stats->n_groups, "%sfrac_reward_zero_std", prefix);
}

/* Names of the policy's metrics go to all that it sampled; kept/ is what dynamic_sampling left of it to train on. */
static void iteration_metrics(struct train *t, struct iteration *it, const struct advantage_stats *stats)
{
    const struct advantage_options *options = &t->recipe->advantage;
    const char *why;
    struct iteration all = *it;
    all.samples = it->sampled;
    all.n_samples = it->n_sampled;
    metrics_set(&t->metrics, score_error_rate(t->rewards, &all, &why), "reward/error_rate");
    it->arena = all.arena;
    reward_metrics(t, stats, "");
    score_metrics(t->rewards, &all, &t->metrics);
    if (t->recipe->reward.dynamic_sampling) {
        struct advantage_stats kept = advantage_stats_of(options, it->samples, it->n_prompts, it->G);
        reward_metrics(t, &kept, "kept/");
        metrics_set(&t->metrics, score_mean_length(it), "kept/completions/mean_length");
        metrics_set(&t->metrics, it->n_rounds, "dynamic_sampling/rounds");
        metrics_set(&t->metrics, it->n_replaced, "dynamic_sampling/dropped_prompts");
    }
    metrics_set(&t->metrics, it->seconds_rollout, "timing_s/rollout");
    metrics_set(&t->metrics, it->seconds_reward, "timing_s/reward");
    metrics_set(&t->metrics, (double)it->sampled_tokens / fmax(it->seconds_rollout, 1e-9),
                "throughput/tokens_per_second");
}

static enum err announce_collapse(struct train *t, const struct advantage_stats *stats)
{
    bool last = t->state.step + recipe_steps_per_iteration(t->recipe) >= t->max_steps;
    const char *text = collapse_watch(&t->collapse, stats, last);
    if (!text) {
        return ERR_NONE;
    }
    log_warning("step %lld: %s", (long long)t->state.step + 1, text);
    return store_event(t->store, t->state.step + 1, "collapse", text);
}

static void pack(struct train *t, struct iteration *it)
{
    const struct recipe *r = t->recipe;
    batch_pack(
        &(struct batch_options){
            .prompts_per_step = r->rollout.prompts_per_step,
            .num_iterations = r->loss.num_iterations,
            .max_tokens = r->run.tokens_per_micro_batch,
            .keep_all = loss_needs_all(r),
            .mask_truncated = r->reward.mask_truncated_completions,
            .seed = r->run.seed,
        },
        it);
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

static enum err check_bits(struct train *t, const struct loss_stats *stats)
{
    if (stats->bits_different == 0) {
        return ERR_NONE;
    }
    if (t->recipe->run.bits_check == BITS_CHECK_WARN) {
        log_warning("step %lld: %lld of %lld log-probabilities differ from the rollout's", (long long)t->state.step + 1,
                    (long long)stats->bits_different, (long long)stats->bits_compared);
        return ERR_NONE;
    }
    return err_set(ERR_STATE,
                   "step %lld: %lld of %lld log-probabilities differ from the rollout's; this must not happen "
                   "(bits_check: warn goes on regardless)",
                   (long long)t->state.step + 1, (long long)stats->bits_different, (long long)stats->bits_compared);
}

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

enum err train_check_loss(const struct train *t, bool is_finite)
{
    return is_finite
               ? ERR_NONE
               : err_set(ERR_NUMBERS,
                         "step %lld: log-probabilities of the training pass are not finite, so the weights or the "
                         "activations are broken (not a number, or too large); the checkpoints are as they were; "
                         "resume from the last one with a smaller learning_rate",
                         (long long)t->state.step + 1);
}

/* One update of the policy. */
static enum err update(struct train *t, struct iteration *it, int i)
{
    struct loss_stats loss;
    struct optim_stats optim;
    double start = clock_seconds();
    progress_phase(&t->progress, "train");
    optim_zero_grads(&t->optim, t->policy);
    loss_backward(&t->loss, it, &it->minibatches[i], i == 0, &loss);
    TRY(check_bits(t, &loss));
    TRY(train_check_loss(t, loss.n_not_finite == 0));
    TRY(optim_step(&t->optim, t->policy, t->state.step + 1, &optim));
    sync_reference(t);
    metrics_set(&t->metrics, clock_seconds() - start, "timing_s/train");
    loss_metrics(t, &loss);
    t->state.num_tokens += it->minibatches[i].n_tokens;
    t->state.minibatch = i + 1;
    t->state.cursor = dataset_cursor(t->dataset);
    if (i + 1 == it->n_minibatches) { /* the next step begins a new iteration */
        t->state.iteration = it->number + 1;
        t->state.minibatch = 0;
        t->state.sequence += (uint64_t)(it->n_samples * t->recipe->reward.dynamic_sampling_max_rounds);
        t->state.first_step = t->state.step + 2;
    }
    return train_finish_step(t, &optim);
}

/* ---- the story ---- */

static enum err train_iteration(struct train *t, struct iteration *it)
{
    TRY(dataset_next(t->dataset, it)); /* which prompts     */
    TRY(sample_groups(t, it));         /* G tries at each; how good is each, alone */
    if (t->recipe->reward.dynamic_sampling) {
        TRY(refill_groups(t, it)); /* others for groups that teach nothing */
    }
    advantage_compute(&t->recipe->advantage, it); /* better than its peers? */
    struct advantage_stats stats = advantage_stats_of(&t->recipe->advantage, it->sampled, it->n_sampled / it->G, it->G);
    iteration_metrics(t, it, &stats);
    TRY(announce_collapse(t, &stats));
    TRY(store_rollout(t->store, it, t->rewards)); /* remember it       */
    pack(t, it);                                  /* text to tensors   */
    for (int i = 0; i < it->n_minibatches && t->state.step < t->max_steps; i++) {
        TRY(update(t, it, i)); /* new weights       */
    }
    return ERR_NONE;
}

/* The log-probabilities that the step after a checkpoint begins with, computed before it was saved and again after it was read:
 * rows, weights and arithmetic are the same, or the run stops. Other keys may make other micro-batches, so then they are not
 * compared. */
static enum err check_resumed_bits(struct train *t, const struct iteration *it)
{
    if (t->state.bits == 0 || t->changed.length > 0) {
        return ERR_NONE;
    }
    if (loss_bits(&t->loss, &it->minibatches[t->state.minibatch]) == t->state.bits) {
        return ERR_NONE;
    }
    if (t->recipe->run.bits_check == BITS_CHECK_WARN) {
        log_warning("step %lld: log-probabilities differ from those before the run was stopped",
                    (long long)t->state.step + 1);
        return ERR_NONE;
    }
    return err_set(ERR_STATE,
                   "step %lld: log-probabilities differ from those before the run was stopped; is this another machine "
                   "or device? (bits_check: warn goes on regardless)",
                   (long long)t->state.step + 1);
}

/* Continues inside an iteration that a checkpoint cut: its rollouts are in run.db. */
static enum err train_rest_of_iteration(struct train *t, struct iteration *it)
{
    TRY(store_load_rollout(t->store, it, t->policy->config.V));
    pack(t, it);
    if (t->state.minibatch >= it->n_minibatches) {
        return err_set(ERR_STATE, "%s: iteration %lld has %d steps, and the checkpoint says that %lld of them are done",
                       t->recipe->run.output_dir, (long long)it->number, it->n_minibatches,
                       (long long)t->state.minibatch);
    }
    TRY(check_resumed_bits(t, it));
    for (int i = (int)t->state.minibatch; i < it->n_minibatches && t->state.step < t->max_steps; i++) {
        TRY(update(t, it, i));
    }
    return ERR_NONE;
}

/* The keys that the iteration is made by, for whoever continues inside it. */
static const char *keys_between(struct train *t, struct iteration *it)
{
    struct strbuf keys = STRBUF_INIT;
    recipe_write_between(t->recipe, &keys);
    const char *text = arena_strdup(&it->arena, keys.data);
    strbuf_release(&keys);
    return text;
}

static enum err train_next(struct train *t)
{
    struct iteration *it = &t->iteration;
    metrics_clear(&t->metrics);
    t->step_start = clock_seconds();
    progress_step_begin(&t->progress);
    if (t->recipe->method == METHOD_SFT) {
        return sft_step(t);
    }
    iteration_clear(it);
    it->number = t->state.iteration;
    it->first_step = t->state.first_step;
    it->first_sequence = t->state.sequence;
    it->n_prompts = recipe_prompts_per_iteration(t->recipe);
    it->G = t->recipe->rollout.num_generations;
    it->n_steps = recipe_steps_per_iteration(t->recipe);
    it->keys = keys_between(t, it);
    dataset_seek(t->dataset, t->state.cursor);
    return t->state.minibatch ? train_rest_of_iteration(t, it) : train_iteration(t, it);
}

/* ---- between the steps ---- */

/* A checkpoint inside an iteration remembers the bits that its next step begins with. */
static int64_t next_bits(struct train *t)
{
    const struct iteration *it = &t->iteration;
    bool inside = t->state.minibatch > 0 && it->number == t->state.iteration && it->minibatches;
    return inside ? loss_bits(&t->loss, &it->minibatches[t->state.minibatch]) : 0;
}

static enum err save(struct train *t)
{
    const struct recipe *r = t->recipe;
    char step[32];
    if (t->saved_step == t->state.step) {
        return ERR_NONE;
    }
    progress_phase(&t->progress, "save");
    bool moved = t->reference && r->loss.sync_ref_model;
    t->state.bits = next_bits(t);
    TRY(checkpoint_save(r->run.output_dir, &t->state, t->policy, &t->optim, moved ? t->reference : NULL,
                        r->run.save_dtype, r->run.save_total_limit));
    t->saved_step = t->state.step;
    snprintf(step, sizeof step, "%lld", (long long)t->state.step);
    if (store_set_meta(t->store, "saved_step", step) != ERR_NONE) { /* the checkpoint is there all the same */
        log_warning("step %lld is saved, but run.db does not say so: %s", (long long)t->state.step, err_text());
    }
    return ERR_NONE;
}

/* A full disk must not end a run: it goes on, and tries again at the next checkpoint. */
static void save_or_warn(struct train *t)
{
    char text[1024];
    if (save(t) != ERR_NONE) {
        snprintf(text, sizeof text, "no checkpoint at step %lld: %s", (long long)t->state.step, err_text());
        log_warning("%s", text);
        if (store_event(t->store, t->state.step, "checkpoint", text) != ERR_NONE) {
            log_warning("%s", err_text());
        }
    } else if (report_write(t->recipe->run.output_dir, NULL) != ERR_NONE) {
        log_warning("no report at step %lld: %s", (long long)t->state.step, err_text());
    }
}

static void print_completions(const struct train *t, const struct iteration *it, int n)
{
    for (int p = 0; p < n && p < it->n_prompts; p++) {
        const struct sample *s = &it->samples[p * it->G];
        struct str prompt = str_trim(s->prompt->text), text = s->completion->text;
        fprintf(stderr, "\n  prompt: %.*s\n  %s, %d tokens:\n%.*s\n", (int)prompt.length, prompt.data,
                s->judgement.parts[0].reason, s->completion->n_tokens, (int)text.length, text.data);
    }
    if (n > 0) {
        fprintf(stderr, "  (step %lld)\n\n", (long long)t->state.step);
    }
}

static enum err store_evaluation(struct train *t, const struct metrics *metrics)
{
    const struct iteration *it = &t->evaluation;
    t->wrote = true;
    TRY(store_begin(t->store));
    enum err result = store_eval(t->store, t->state.step, metrics);
    for (int i = 0; result == ERR_NONE && i < it->n_samples && i < 64 * it->G; i++) {
        const struct sample *s = &it->samples[i];
        result = store_eval_completion(t->store, t->state.step, i / it->G, i % it->G, s->prompt->text, s->completion,
                                       s->reward, s->judgement.parts[0].reason);
    }
    return store_end(t->store, result);
}

static void announce_evaluation(struct train *t, const struct metrics *metrics)
{
    struct strbuf accuracy = STRBUF_INIT;
    eval_describe(metrics, t->evaluation.n_samples, &accuracy);
    log_info("step %lld: held-out pass@1 %s, length %.1f, reflective words %.2f", (long long)t->state.step,
             accuracy.data, metrics_get(metrics, "eval/completions/mean_length"), metrics_get(metrics, "eval/aha/all"));
    strbuf_release(&accuracy);
    const char *unjudged = eval_first_unjudged(t->rewards, &t->evaluation);
    if (unjudged) {
        log_warning("step %lld: held-out completions that could not be judged are left out; the first: %s",
                    (long long)t->state.step, unjudged);
    }
}

static enum err evaluate(struct train *t)
{
    const struct recipe *r = t->recipe;
    bool first_or_last = t->state.step == 0 || t->state.step >= t->max_steps;
    struct metrics metrics = {0};
    struct eval_options options = {
        .n_prompts = r->eval.eval_num_prompts ? r->eval.eval_num_prompts : (int)dataset_size(t->eval_dataset),
        .n_samples = r->eval.eval_num_generations,
        .max_tokens = recipe_schedule_at(&r->rollout.max_completion_length, t->state.step + 1),
        .temperature = r->eval.eval_temperature,
        .seed = r->run.seed,
    };
    progress_phase(&t->progress, "evaluation");
    TRY(eval_run(&options, t->eval_dataset, t->rollout, t->rewards, &t->evaluation, &metrics, on_evaluation, t));
    TRY(store_evaluation(t, &metrics));
    if (t->tensorboard) {
        TRY(tensorboard_add(t->tensorboard, t->state.step, &metrics));
    }
    announce_evaluation(t, &metrics);
    if (first_or_last) {
        print_completions(t, &t->evaluation, r->run.num_completions_to_print);
    }
    return ERR_NONE;
}

/* Also makes up for one that was due when the run was stopped. */
static enum err evaluate_if_due(struct train *t)
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
    TRY(store_has_eval(t->store, step, &done));
    return done ? ERR_NONE : evaluate(t);
}

enum err train_finish_step(struct train *t, const struct optim_stats *stats)
{
    const struct recipe *r = t->recipe;
    metrics_set(&t->metrics, stats->grad_norm, "grad_norm");
    metrics_set(&t->metrics, stats->learning_rate, "learning_rate");
    metrics_set(&t->metrics, stats->skipped, "skipped_updates");
    metrics_set(&t->metrics, (double)t->state.num_tokens, "num_tokens");
    metrics_set(&t->metrics, clock_seconds() - t->step_start, "step_time");
    metrics_set(&t->metrics, t->device->n_allocations, "memory/allocations");
    metrics_set(&t->metrics, (double)t->device->most_taken, "memory/peak_bytes");
    t->state.step++;
    t->wrote = true;
    t->state.optim_step = t->optim.step;
    t->state.optim_skipped = t->optim.n_skipped;
    TRY(store_step(t->store, t->state.step, t->iteration.number, &t->metrics));
    if (t->tensorboard) {
        TRY(tensorboard_add(t->tensorboard, t->state.step, &t->metrics));
    }
    progress_step(&t->progress, t->state.step, &t->metrics);
    metrics_clear(&t->metrics);
    t->step_start = clock_seconds();
    train_signals_step(t->state.step + 1);
    bool wanted = train_save_wanted(), last = t->state.step == t->max_steps || train_interrupted();
    if ((wanted || (r->run.save_steps > 0 && t->state.step % r->run.save_steps == 0)) && !last) {
        save_or_warn(t);
    }
    if (!last) {
        TRY(evaluate_if_due(t));
    }
    return train_interrupted() && t->state.step < t->max_steps
               ? err_set(ERR_STOPPED, "stopped after step %lld", (long long)t->state.step)
               : ERR_NONE;
}

/* ---- the whole run ---- */

/* Steps that are finished are not lost to whatever stops the run. Weights in the middle of an update belong to no step. */
static enum err save_after_error(struct train *t, enum err result, int64_t first)
{
    char text[2048];
    snprintf(text, sizeof text, "%s", err_text());
    if (result == ERR_NUMBERS || t->state.step == first || t->optim.step != t->state.optim_step) {
        return err_set(result, "%s", text);
    }
    if (save(t) == ERR_NONE) {
        return err_set(result, "%s (saved at step %lld; the same command goes on from there)", text,
                       (long long)t->state.step);
    }
    char reason[1024];
    snprintf(reason, sizeof reason, "%s", err_text());
    return err_set(result, "%s (step %lld could not be saved: %s)", text, (long long)t->state.step, reason);
}

/* The user asked for it. */
static enum err stop(struct train *t, int64_t first)
{
    if (t->state.step > first) {
        TRY(save(t));
    }
    log_info("%s at step %lld of %lld; the same command goes on from there",
             t->state.step > first ? "saved" : "stopped", (long long)t->state.step, (long long)t->max_steps);
    return err_set(ERR_STOPPED, "stopped at step %lld", (long long)t->state.step);
}

static enum err train_loop(struct train *t)
{
    int64_t first = t->state.step;
    bool as_it_was = first >= t->max_steps && t->changed.length > 0;
    enum err result = as_it_was ? ERR_NONE : evaluate_if_due(t);
    while (result == ERR_NONE && t->state.step < t->max_steps) {
        train_signals_step(t->state.step + 1);
        result = train_interrupted() ? err_set(ERR_STOPPED, "stopped") : train_next(t);
    }
    if (result == ERR_STOPPED) {
        return stop(t, first);
    }
    if (result != ERR_NONE) {
        return save_after_error(t, result, first);
    }
    if (t->state.step > first) {
        TRY(save(t));
    }
    if (as_it_was) {
        return ERR_NONE;
    }
    result = evaluate_if_due(t);
    return result == ERR_STOPPED ? stop(t, t->state.step) : result;
}

/* Curves and report.html, of a run that was stopped too. What cannot be shown does not make it fail. */
static void show(const struct train *t)
{
    const char *folder = t->recipe->run.output_dir;
    if (report_draw(folder) != ERR_NONE) {
        log_warning("no curves: %s", err_text());
    }
    if (!t->wrote) {
        return;
    }
    if (report_write(folder, NULL) != ERR_NONE) {
        log_warning("no report: %s", err_text());
    } else {
        log_info("the report is %s/report.html", folder);
    }
}

/* What came of the run, and what a person does next. */
static void announce_end(const char *folder, int64_t step)
{
    struct strbuf line = STRBUF_INIT;
    if (report_sum_up(folder, step, &line) == ERR_NONE) {
        log_info("%s", line.data);
        log_info("next: open %s/report.html; strop chat %s; strop eval %s", folder, folder, folder);
    }
    strbuf_release(&line);
}

enum err train_run(struct recipe *recipe, const char *command)
{
    struct train t = {0};
    char reason[2048];
    train_signals_begin();
    enum err result = train_open(&t, recipe, command);
    if (result == ERR_NONE) {
        progress_begin(&t.progress, t.state.step, t.max_steps);
        result = train_loop(&t);
        progress_end(&t.progress);
    }
    snprintf(reason, sizeof reason, "%s", err_text());
    train_close(&t);
    if (result == ERR_NONE || result == ERR_STOPPED) {
        show(&t);
    }
    if (result == ERR_NONE && t.wrote) {
        announce_end(recipe->run.output_dir, t.state.step);
    }
    train_signals_end();
    return result == ERR_NONE ? ERR_NONE : err_set(result, "%s", reason);
}

/* rl/record.c - everything that is written down, in the order in which a run comes to it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/record.h"

#include <math.h>
#include <stdio.h>

#include "base/log.h"
#include "rl/eval.h"
#include "rl/report/report.h"
#include "rl/score.h"
#include "rl/train_internal.h"

#define STORED_PROMPTS 64 /* whose completions of an evaluation are kept in run.db */

void record_close(struct record *record)
{
    tensorboard_close(record->tensorboard);
    store_close(record->store);
    strbuf_release(&record->changed);
}

enum err record_warning(struct train *t, int64_t step, const char *kind, const char *text)
{
    log_warning("%s", text);
    return t->record.store ? store_event(t->record.store, step, kind, text) : ERR_NONE;
}

/* ---- a rollout ---- */

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
    char text[640];
    bool last = t->state.step + recipe_steps_per_iteration(t->recipe) >= t->max_steps;
    const char *what = collapse_watch(&t->record.collapse, stats, last);
    if (!what) {
        return ERR_NONE;
    }
    snprintf(text, sizeof text, "step %lld: %s", (long long)t->state.step + 1, what);
    return record_warning(t, t->state.step + 1, "collapse", text);
}

enum err record_rollout(struct train *t, struct iteration *it)
{
    const struct advantage_options *options = &t->recipe->advantage;
    struct advantage_stats stats = advantage_stats_of(options, it->sampled, it->n_sampled / it->G, it->G);
    iteration_metrics(t, it, &stats);
    TRY(announce_collapse(t, &stats));
    return t->record.store ? store_rollout(t->record.store, it, t->rewards) : ERR_NONE;
}

/* ---- a step ---- */

enum err record_step(struct train *t)
{
    struct record *record = &t->record;
    if (!record->store) {
        return ERR_NONE;
    }
    record->wrote = true;
    TRY(store_step(record->store, t->state.step, t->iteration.number, &t->metrics));
    if (record->tensorboard) {
        TRY(tensorboard_add(record->tensorboard, t->state.step, &t->metrics));
    }
    progress_step(&record->progress, t->state.step, &t->metrics);
    return ERR_NONE;
}

void record_save(struct train *t)
{
    char step[32];
    t->record.saved_step = t->state.step;
    snprintf(step, sizeof step, "%lld", (long long)t->state.step);
    if (store_set_meta(t->record.store, "saved_step", step) != ERR_NONE) { /* the checkpoint is there all the same */
        log_warning("step %lld is saved, but run.db does not say so: %s", (long long)t->state.step, err_text());
    }
}

/* ---- an evaluation ---- */

static void print_completions(const struct train *t, const struct iteration *it, int n)
{
    progress_clear(&t->record.progress);
    for (int p = 0; p < n && p < it->n_prompts; p++) {
        const struct sample *s = &it->samples[p * it->G];
        struct str prompt = str_trim(s->prompt->text), text = s->completion->text;
        fprintf(stderr, "\n  prompt: %.*s\n  [reward %.2f: %s; %d tokens]\n%.*s\n", (int)prompt.length, prompt.data,
                s->reward, s->judgement.parts[0].reason, s->completion->n_tokens, (int)text.length, text.data);
    }
    if (n > 0) {
        fprintf(stderr, "  (step %lld)\n\n", (long long)t->state.step);
    }
}

static enum err store_evaluation(struct train *t, const struct metrics *metrics)
{
    const struct iteration *it = &t->evaluation;
    t->record.wrote = true;
    TRY(store_begin(t->record.store));
    enum err result = store_eval(t->record.store, t->state.step, metrics);
    for (int i = 0; result == ERR_NONE && i < it->n_samples && i < STORED_PROMPTS * it->G; i++) {
        const struct sample *s = &it->samples[i];
        result = store_eval_completion(t->record.store, t->state.step, i / it->G, i % it->G, s->prompt->text,
                                       s->completion, s->reward, s->judgement.parts[0].reason);
    }
    return store_end(t->record.store, result);
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

enum err record_evaluation(struct train *t, const struct metrics *metrics)
{
    bool first_or_last = t->state.step == 0 || t->state.step >= t->max_steps;
    if (!t->record.store) {
        return ERR_NONE;
    }
    TRY(store_evaluation(t, metrics));
    if (t->record.tensorboard) {
        TRY(tensorboard_add(t->record.tensorboard, t->state.step, metrics));
    }
    announce_evaluation(t, metrics);
    if (first_or_last) {
        print_completions(t, &t->evaluation, t->recipe->run.num_completions_to_print);
    }
    return ERR_NONE;
}

/* ---- the end ---- */

/* Curves and report.html, of a run that was stopped too. What cannot be shown does not make it fail. */
static void show(const struct train *t)
{
    const char *folder = t->recipe->run.output_dir;
    if (report_draw(folder) != ERR_NONE) {
        log_warning("no curves: %s", err_text());
    }
    if (!t->record.wrote) {
        return;
    }
    if (report_write(folder, NULL) != ERR_NONE) {
        log_warning("no report: %s", err_text());
    } else {
        log_info("the report is %s/report.html", folder);
    }
}

/* Prints the result of the run, and the commands that a person may want next. */
static void announce_end(const char *folder, int64_t step)
{
    struct strbuf line = STRBUF_INIT;
    if (report_sum_up(folder, step, &line) == ERR_NONE) {
        log_info("%s", line.data);
        log_info("next: open %s/report.html; strop chat %s; strop eval %s", folder, folder, folder);
    }
    strbuf_release(&line);
}

void record_end(const struct train *t, bool finished)
{
    show(t);
    if (finished && t->record.wrote) {
        announce_end(t->recipe->run.output_dir, t->state.step);
    }
}

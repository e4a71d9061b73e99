/* rl/eval.c - samples, judges and counts: every metric is a mean over prompts of one number per group.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/eval.h"

#include <math.h>

#include "rl/sample.h"
#include "rl/score.h"

#define EVAL_SEQUENCES ((uint64_t)1 << 62) /* apart from the sequences of training */

bool eval_is_judged(const struct sample *sample)
{
    return sample->judgement.parts[0].kind == VERDICT_OK;
}

bool eval_is_right(const struct sample *sample)
{
    return eval_is_judged(sample) && sample->judgement.parts[0].score >= 1;
}

/* The chance that k samples drawn from n of which c are right hold a right one: 1 - C(n - c, k) / C(n, k), as in
 * arXiv 2107.03374, section 2.1. */
static double pass_at(int n, int c, int k)
{
    double none = 1;
    if (n - c < k) {
        return 1;
    }
    for (int i = n - c + 1; i <= n; i++) {
        none *= 1 - (double)k / i;
    }
    return 1 - none;
}

/* A group of k samples: how many were judged, and how many of these are right. */
struct tally {
    int judged, right;
};

static struct tally tally_of(const struct sample *group, int k)
{
    struct tally tally = {0};
    for (int i = 0; i < k; i++) {
        tally.judged += eval_is_judged(&group[i]);
        tally.right += eval_is_right(&group[i]);
    }
    return tally;
}

static const struct sample *group_at(const struct iteration *it, int p)
{
    return it->samples + (size_t)p * (size_t)it->G;
}

/* Is the answer that most samples of the group extracted a right one? What was not judged has no vote. */
static bool group_consensus(const struct sample *samples, int n)
{
    int best = -1, best_votes = 0;
    for (int i = 0; i < n; i++) {
        int votes = 0;
        struct str answer = samples[i].judgement.parts[0].extracted;
        for (int j = 0; j < n && answer.length && eval_is_judged(&samples[i]); j++) {
            votes += eval_is_judged(&samples[j]) && str_equal(answer, samples[j].judgement.parts[0].extracted);
        }
        if (votes > best_votes) {
            best = i;
            best_votes = votes;
        }
    }
    return best >= 0 && eval_is_right(&samples[best]);
}

/* pass@2, pass@4 ... and pass@G, from all judged samples. */
static void set_pass_at(const struct iteration *it, struct metrics *metrics)
{
    for (int k = 2; k <= it->G; k = k < it->G && 2 * k > it->G ? it->G : 2 * k) {
        double sum = 0;
        int n = 0;
        for (int p = 0; p < it->n_prompts; p++) {
            struct tally tally = tally_of(group_at(it, p), it->G);
            if (tally.judged >= k) {
                sum += pass_at(tally.judged, tally.right, k);
                n++;
            }
        }
        metrics_set(metrics, n ? sum / n : (double)NAN, "eval/pass@%d", k);
    }
}

/* Wilson's interval around a mean of n prompts; `squares` is the sum of their squares. */
static void set_interval(double mean, double squares, double n, int G, struct metrics *metrics)
{
    const double z = 1.96;
    double variance = n > 1 ? fmax(0, (squares - n * mean * mean) / (n - 1)) : 0;
    double draws = variance > 0 ? fmin(mean * (1 - mean) / variance * n, n * G) : n;
    double scale = 1 + z * z / draws, centre = (mean + z * z / (2 * draws)) / scale;
    double half = z / scale * sqrt(mean * (1 - mean) / draws + z * z / (4 * draws * draws));
    metrics_set(metrics, n > 0 ? fmax(0, centre - half) : (double)NAN, "eval/pass@1_low");
    metrics_set(metrics, n > 0 ? fmin(1, centre + half) : (double)NAN, "eval/pass@1_high");
    metrics_set(metrics, half, "eval/pass@1_ci95");
}

void eval_metrics(const struct reward_set *rewards, const struct iteration *it, struct metrics *metrics)
{
    double sum = 0, squares = 0, consensus = 0;
    int n = 0, n_unjudged = 0;
    for (int p = 0; p < it->n_prompts; p++) {
        struct tally tally = tally_of(group_at(it, p), it->G);
        n_unjudged += it->G - tally.judged;
        if (tally.judged > 0) {
            double share = (double)tally.right / tally.judged;
            sum += share;
            squares += share * share;
            consensus += group_consensus(group_at(it, p), it->G);
            n++;
        }
    }
    metrics_set(metrics, sum / n, "eval/pass@1"); /* NaN where nothing was judged, and so the interval */
    set_interval(sum / n, squares, n, it->G, metrics);
    if (it->G > 1) {
        set_pass_at(it, metrics);
        metrics_set(metrics, consensus / n, "eval/cons@%d", it->G);
    }
    metrics_set(metrics, n_unjudged, "eval/unjudged");
    struct metrics scores = {0};
    score_metrics(rewards, it, &scores);
    for (int i = 0; i < scores.n; i++) {
        metrics_set(metrics, scores.items[i].value, "eval/%s", scores.items[i].name);
    }
}

const char *eval_first_unjudged(const struct reward_set *rewards, struct iteration *it)
{
    for (int i = 0; i < it->n_samples; i++) {
        if (!eval_is_judged(&it->samples[i])) {
            const char *reason = it->samples[i].judgement.parts[0].reason;
            return arena_printf(&it->arena, "%s: %s", reward_set_label(rewards, 0), reason ? reason : "it abstained");
        }
    }
    return NULL;
}

void eval_describe(const struct metrics *metrics, int n_samples, struct strbuf *out)
{
    double mean = metrics_get(metrics, "eval/pass@1"), unjudged = metrics_get(metrics, "eval/unjudged");
    if (isnan(mean)) {
        strbuf_puts(out, "not judged");
        return;
    }
    strbuf_printf(out, "%.1f %% (%.1f to %.1f)", 100 * mean, 100 * metrics_get(metrics, "eval/pass@1_low"),
                  100 * metrics_get(metrics, "eval/pass@1_high"));
    if (unjudged > 0) {
        strbuf_printf(out, ", %.0f of %d not judged", unjudged, n_samples);
    }
}

enum err eval_run(const struct eval_options *options, struct dataset *dataset, struct rollout *rollout,
                  struct reward_set *rewards, struct iteration *it, struct metrics *metrics, rollout_progress *progress,
                  void *context)
{
    iteration_clear(it);
    int64_t size = dataset_size(dataset); /* a prompt twice would make the interval too narrow */
    it->n_prompts = size > 0 && size < options->n_prompts ? (int)size : options->n_prompts;
    it->G = options->n_samples;
    it->first_sequence = EVAL_SEQUENCES;
    it->max_tokens = options->max_tokens;
    it->temperature = (float)options->temperature;
    it->dist = options->dist;
    it->progress = progress;
    it->progress_context = context;
    dataset_seek(dataset, 0);
    TRY(dataset_next(dataset, it));
    TRY(sample_groups(rollout, it));
    TRY(score_groups(rewards, it));
    eval_metrics(rewards, it, metrics);
    return ERR_NONE;
}

/* rl/eval.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/eval.h"

#include <math.h>

#include "rl/score.h"

#define EVAL_SEQUENCES ((uint64_t)1 << 62) /* apart from the sequences of training */

bool eval_is_right(const struct sample *sample)
{
    const struct verdict *v = &sample->judgement.parts[0];
    return v->kind == VERDICT_OK && v->score >= 1;
}

/* Is the answer that most samples of the group extracted a right one? */
static bool group_consensus(const struct sample *samples, int n)
{
    int best = -1, best_votes = 0;
    for (int i = 0; i < n; i++) {
        int votes = 0;
        struct str answer = samples[i].judgement.parts[0].extracted;
        for (int j = 0; j < n && answer.length; j++) {
            votes += str_equal(answer, samples[j].judgement.parts[0].extracted);
        }
        if (votes > best_votes) {
            best = i;
            best_votes = votes;
        }
    }
    return best >= 0 && eval_is_right(&samples[best]);
}

void eval_metrics(const struct reward_set *rewards, const struct iteration *it, struct metrics *metrics)
{
    double sum = 0, squares = 0, any = 0, consensus = 0;
    for (int p = 0; p < it->n_prompts; p++) {
        const struct sample *group = it->samples + (size_t)p * (size_t)it->G;
        int right = 0;
        for (int i = 0; i < it->G; i++) {
            right += eval_is_right(&group[i]);
        }
        double share = (double)right / it->G;
        sum += share;
        squares += share * share;
        any += right > 0;
        consensus += group_consensus(group, it->G);
    }
    double n = it->n_prompts, mean = sum / n;
    double variance = n > 1 ? fmax(0, (squares - n * mean * mean) / (n - 1)) : 0;
    metrics_set(metrics, mean, "eval/pass@1");
    metrics_set(metrics, 1.96 * sqrt(variance / n), "eval/pass@1_ci95");
    if (it->G > 1) {
        metrics_set(metrics, any / n, "eval/pass@%d", it->G);
        metrics_set(metrics, consensus / n, "eval/cons@%d", it->G);
    }
    struct metrics scores = {0};
    score_metrics(rewards, it, &scores);
    for (int i = 0; i < scores.n; i++) {
        metrics_set(metrics, scores.items[i].value, "eval/%s", scores.items[i].name);
    }
}

enum err eval_run(const struct eval_options *options, struct dataset *dataset, struct rollout *rollout,
                  struct reward_set *rewards, struct iteration *it, struct metrics *metrics, rollout_progress *progress,
                  void *context)
{
    iteration_clear(it);
    it->n_prompts = options->n_prompts;
    it->G = options->n_samples;
    it->first_sequence = EVAL_SEQUENCES;
    dataset_seek(dataset, 0);
    TRY(dataset_next(dataset, it));
    rollout_set_temperature(rollout, (float)options->temperature);
    TRY(rollout_groups(rollout, it, options->max_tokens, progress, context));
    TRY(score_groups(rewards, it, options->max_tokens, false));
    eval_metrics(rewards, it, metrics);
    return ERR_NONE;
}

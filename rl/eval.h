/* rl/eval.h - how often the policy solves held-out prompts.
 *
 * k samples a prompt; a sample is right when the first reward of the recipe gives it 1 or more. With c right among k:
 *   pass@1  mean of c / k, with a 95 % interval from the deviation between prompts
 *   pass@j  for j = 2, 4, 8 ... and k: mean chance that j of the k samples hold a right one, 1 - C(k - c, j) / C(k, j)
 *           (arXiv 2107.03374, section 2.1); for j = k, the share of prompts with c > 0
 *   cons@k  share of prompts whose most frequent extracted answer is right (ties: the first)
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_EVAL_H
#define RL_EVAL_H

#include "rl/data/dataset.h"
#include "rl/iteration.h"
#include "rl/metrics.h"

/* n_prompts: at most; a file that has fewer is taken once. */
struct eval_options {
    int n_prompts, n_samples, max_tokens;
    double temperature;
    uint64_t seed;
};

/* Samples and judges; fills `it` (prompts, groups, samples) and eval/{pass@1,pass@1_ci95,pass@j,cons@k,...}. */
enum err eval_run(const struct eval_options *options, struct dataset *dataset, struct rollout *rollout,
                  struct reward_set *rewards, struct iteration *it, struct metrics *metrics, rollout_progress *progress,
                  void *context);

/* The same numbers from judged samples. */
void eval_metrics(const struct reward_set *rewards, const struct iteration *it, struct metrics *metrics);
bool eval_is_right(const struct sample *sample);

#endif

/* rl/eval.h - how often the policy solves held-out prompts.
 *
 * k samples a prompt; a sample is right when the first reward of the recipe gives it 1 or more. With c right among k:
 *   pass@1  mean of c / k, with a 95 % interval from the deviation between prompts
 *   pass@k  share of prompts with c > 0
 *   cons@k  share of prompts whose most frequent extracted answer is right (ties: the first)
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_EVAL_H
#define RL_EVAL_H

#include "rl/dataset.h"
#include "rl/iteration.h"
#include "rl/metrics.h"

struct eval_options {
    int n_prompts, n_samples, max_tokens;
    double temperature;
    uint64_t seed;
};

/* Samples and judges; fills `it` (prompts, groups, samples) and eval/{pass@1,pass@1_ci95,pass@k,cons@k,...}. */
enum err eval_run(const struct eval_options *options, struct dataset *dataset, struct rollout *rollout,
                  struct reward_set *rewards, struct iteration *it, struct metrics *metrics, rollout_progress *progress,
                  void *context);

/* The same numbers from judged samples. */
void eval_metrics(const struct reward_set *rewards, const struct iteration *it, struct metrics *metrics);
bool eval_is_right(const struct sample *sample);

#endif

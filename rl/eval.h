/* rl/eval.h - how often the policy solves held-out prompts.
 *
 * k samples per prompt; a sample is right when the first reward of the recipe gives it 1 or more. A sample that this
 * reward could not judge (an error, or it abstained) is left out: it is not wrong. With c right among the n judged
 * samples of a prompt (n = k where all were judged; a prompt with n = 0 is left out):
 *
 *   pass@1  mean of c / n, with Wilson's 95 % interval over prompts (below)
 *   pass@j  for j = 2, 4, 8 ... and k: mean chance that j of the n samples include a right one, 1 - C(n - c, j) / C(n, j)
 *           (arXiv 2107.03374, section 2.1), over the prompts with n >= j
 *   cons@k  share of prompts whose most frequent extracted answer is right (ties: the first)
 *
 * The interval: Wilson (1927), for the mean p of m prompts as for that many draws as would give the same variance of
 * the mean, p (1 - p) / s^2 x m with s^2 the variance between prompts; m draws where s^2 is 0.
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
    struct dist *dist; /* the ranks that share the work; NULL: this one alone */
};

/* Samples and judges; fills `it` (prompts, groups, samples) and
 * eval/{pass@1,pass@1_low,pass@1_high,pass@1_ci95,pass@j,cons@k,unjudged,...}. ci95 is half the interval's width.
 * Where no sample was judged, these are NaN and unjudged is the number of samples. */
enum err eval_run(const struct eval_options *options, struct dataset *dataset, struct rollout *rollout,
                  struct reward_set *rewards, struct iteration *it, struct metrics *metrics, rollout_progress *progress,
                  void *context);

/* The same numbers from judged samples. */
void eval_metrics(const struct reward_set *rewards, const struct iteration *it, struct metrics *metrics);
bool eval_is_judged(const struct sample *sample);
bool eval_is_right(const struct sample *sample);

/* Why the first sample without a verdict has none, as "NAME: reason"; NULL if each has one. Lives as long as `it`. */
const char *eval_first_unjudged(const struct reward_set *rewards, struct iteration *it);

/* "40.2 % (37.6 to 42.9)", or "not judged"; with ", 12 of 1319 not judged" where that is so. */
void eval_describe(const struct metrics *metrics, int n_samples, struct strbuf *out);

#endif

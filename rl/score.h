/* rl/score.h - groups to judgements: the bridge from rollout/ to reward/, which do not know each other.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_SCORE_H
#define RL_SCORE_H

#include "rl/data/dataset.h"
#include "rl/iteration.h"
#include "rl/metrics.h"

/* Whether the rewards can read the rows of a data set, called `name` in sentences: a warning with the number and the
 * first of those that they cannot; ERR_FORMAT, if `refuse`, where they can read none. */
enum err score_check_rows(struct reward_set *rewards, struct dataset *dataset, const char *name, bool refuse);

/* Makes it->samples from it->groups and judges them. ERR_STATE: a reward has died for good; ERR_STOPPED: see
 * reward_set_stop. */
enum err score_groups(struct reward_set *rewards, struct iteration *it);

/* The share of the samples that a reward failed to judge; *why: of the last of them, its reward and the reason, in
 * the iteration's arena; NULL if there is none. */
double score_error_rate(const struct reward_set *rewards, struct iteration *it, const char **why);

/* rewards/NAME/{mean,std}, completions/{mean,min,max}_length, clipped_ratio, terminated lengths, entropy, aha/WORD,
 * frac_dropped. */
void score_metrics(const struct reward_set *rewards, const struct iteration *it, struct metrics *metrics);

/* Tokens of a completion. */
double score_mean_length(const struct iteration *it);

/* How often each of the ten reflective words of the R1 paper (arXiv 2501.12948v2, appendix C.2) occurs in the text,
 * as a word of its own, in any case. */
#define AHA_WORDS 10
extern const char *const aha_words[AHA_WORDS];
void aha_count(struct str text, int counts[AHA_WORDS]);

#endif

/* rl/iteration.h - what travels through one iteration: a rollout, and the steps that it feeds.
 *
 * Everything lives in the iteration's arena and is gone at the top of the next one.
 *
 *   prompts [n_prompts] --rollout--> groups --score--> samples [n_prompts * G] --advantage--> --pack--> minibatches
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_ITERATION_H
#define RL_ITERATION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "model/model.h"
#include "reward/reward.h"
#include "rollout/rollout.h"

/* A prompt from the data set: text, tokens, and the row that rewards read. */
struct prompt {
    int64_t index; /* position in the endless, shuffled order of the data set */
    struct str text;
    int32_t *tokens;
    int n_tokens;
    json_t *fields; /* owned by the iteration; see iteration_clear */
};

/* A completion with what became of it. */
struct sample {
    const struct prompt *prompt;
    const struct completion *completion;
    struct judgement judgement;
    double reward; /* the total */
    double advantage;
    bool dropped; /* no reward judged it: it is in no mean or deviation, and its advantage is 0 */
};

/* Samples whose gradient is taken together, as packed batches of at most tokens_per_micro_batch rows. */
struct micro_batch {
    struct train_batch batch;
    int32_t *sample; /* [batch.n_targets]: which sample the target belongs to */
    int32_t *index;  /* [batch.n_targets]: which token of its completion */
};

/* A masked sample (batch.h) has no token in the loss, but counts in n_samples, as in TRL. */
struct minibatch {
    struct micro_batch *micro_batches;
    int n_micro_batches;
    int *shards;      /* [n_shards + 1]: shard s (rl/grad_shards.h) has micro-batches shards[s] .. shards[s + 1] - 1 */
    int32_t *samples; /* [n_unmasked], whether they have a gradient or not */
    int n_unmasked;
    int n_samples, n_groups;
    int64_t n_tokens;   /* completion tokens of the unmasked samples */
    double mean_tokens; /* the same, as the minibatch's share by groups of those of the whole rollout */
};

struct iteration {
    struct arena arena;
    int64_t number;          /* from 0 */
    int64_t first_step;      /* the number of its first step, from 1 */
    uint64_t first_sequence; /* sample i of prompt p draws with first_sequence + p * G + i */
    struct prompt *prompts;
    int n_prompts, G;
    int n_steps;    /* that it feeds */
    int max_tokens; /* of a completion */
    float temperature;
    struct dist *dist;          /* the ranks that share its work (rl/dist.h); NULL: this one alone */
    rollout_progress *progress; /* called while completions are drawn; may be NULL */
    void *progress_context;
    const char *keys;       /* of the recipe, that shape it: lines "key: value"; NULL for none */
    struct group *groups;   /* [n_prompts] */
    struct sample *samples; /* [n_prompts * G], group by group */
    int n_samples;
    struct minibatch *minibatches;
    int n_minibatches;

    /* What was drawn in all, with the groups that dynamic_sampling replaced. */
    struct sample *sampled;              /* [n_sampled], group by group; prompt may be NULL */
    int n_sampled, n_rounds, n_replaced; /* n_replaced: groups */
    int64_t sampled_tokens;
    double seconds_rollout, seconds_reward;
};

/* Forgets everything of the last iteration; keeps the memory. */
void iteration_clear(struct iteration *it);
void iteration_release(struct iteration *it);

#endif

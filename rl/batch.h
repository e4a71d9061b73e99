/* rl/batch.h - from samples to packed training batches.
 *
 *   minibatch (one step)   whole groups, drawn by the seed; num_iterations passes over the same ones
 *   micro-batch            rows without padding, at most max_tokens; a group's prompt comes once, before its completions
 *
 *     row      0 1 2 3 | 4 5 6 7 | 8 9 ...      rows 0-3: prompt; 4-7: completion A; 8-..: completion B
 *     position 0 1 2 3 | 4 5 6 7 | 4 5 ...      both continue the prompt's keys and values
 *
 * A minibatch is cut into n_shards shards of about as many tokens each (rl/grad_shards.h); no micro-batch is of two shards.
 *
 * The last row of a prompt predicts the first token of each completion; a completion's last token predicts nothing
 * and has no row. Samples without a gradient (advantage 0 and no KL or entropy term) are left out, but still count
 * in the normalisers. Masked samples (mask_truncated: cut off by max_completion_length) are left out, and their
 * tokens count nowhere; their rewards do, in the baselines of the others (rl/advantage.h).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_BATCH_H
#define RL_BATCH_H

#include "rl/iteration.h"

struct batch_options {
    int prompts_per_step;
    int num_iterations;
    int max_tokens; /* rows of a micro-batch; a sample that is longer gets one of its own */
    int n_shards;   /* 0: one */
    bool keep_all;  /* also samples with advantage 0: a KL or entropy term reaches them, or the batch must hold them */
    bool mask_truncated;
    uint64_t seed;
    int expert_bytes; /* of a token, whose experts the completions have: packed too, so that they are taken again; 0: not */
};

/* Fills it->minibatches, in the iteration's arena. */
void batch_pack(const struct batch_options *options, struct iteration *it);

#endif

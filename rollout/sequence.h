/* rollout/sequence.h - one sample of one prompt: what is known of it and what is computed.
 *
 * A sequence knows n_tokens tokens (its prompt, then what was drawn), and the keys and values of the first n_cached of them
 * lie in its pages. Work is always the same: compute rows n_cached .. n_tokens - 1, in one step or several, and
 * draw the next token from the last one. With many rows missing that is called prefill, with one, decode.
 *
 *   tokens    [ prompt ...................... | drawn ......... ]
 *              0                       n_prompt         n_tokens
 *   pages     [ 128 | 128 | 128 ... ]
 *              0          n_cached
 *
 * The samples of a group stand side by side, sample 0 first. Their order is also their age: the higher the address, the
 * younger.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ROLLOUT_SEQUENCE_H
#define ROLLOUT_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "rollout/rollout.h"

enum sequence_state {
    SEQUENCE_WAITING, /* holds no pages */
    SEQUENCE_RUNNING, /* holds the pages of all its known tokens */
    SEQUENCE_FINISHED
};

struct sequence {
    int group, sample, n_samples; /* which prompt, which of its samples, of how many */
    uint64_t key;                 /* of its random numbers */
    enum sequence_state state;
    enum finish_reason finish;

    const int32_t *tokens; /* [n_tokens]; the prompt's own array until something is drawn */
    int n_tokens, n_prompt;
    int limit; /* it ends at this many tokens */
    int capacity;
    float *logprob, *lse, *entropy; /* [n_tokens - n_prompt] */

    int n_cached;
    int32_t *pages; /* the block table, while running */
    int n_pages;

    char *tail; /* the last bytes of its text, where a stop string may have begun */
    size_t tail_length;
};

/* A drawn token and what belongs to it. */
struct draw {
    int32_t token;
    float logprob, lse, entropy;
};

/* The samples of a prompt, as yet waiting; sequences has room for prompt->n_samples. The prompt's tokens are borrowed. No
 * sequence grows beyond max_length tokens. */
void sequence_init_group(struct sequence *sequences, const struct rollout_prompt *prompt, int group, int max_length);
/* Appends a token; memory grows in the arena, twice as large each time. */
void sequence_append(struct sequence *sequence, const struct draw *draw, struct arena *arena);

int sequence_drawn(const struct sequence *sequence);         /* tokens drawn so far */
struct sequence *sequence_leader(struct sequence *sequence); /* sample 0 of its group, which computes the prompt */

#endif

/* rollout/sequence.h - one sample of one prompt: what is known of it and what is computed.
 *
 * A sequence knows n_tokens tokens (its prompt, then what was drawn), and its pages hold the keys and values of the
 * first n_cached of them. Work is always the same: compute rows n_cached .. n_tokens - 1, in one step or several, and
 * draw the next token from the last one. With many rows missing that is called prefill, with one, decode.
 *
 *   tokens    [ prompt ...................... | drawn ......... ]
 *              0                       n_prompt         n_tokens
 *   pages     [ 128 | 128 | 128 ... ]
 *              0          n_cached
 *
 * The samples of one request are a group: an array, and everything else that the request owns.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ROLLOUT_SEQUENCE_H
#define ROLLOUT_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "rollout/request.h"
#include "rollout/stop.h"
#include "rollout/stream.h"

enum sequence_state {
    SEQUENCE_WAITING, /* holds no pages */
    SEQUENCE_RUNNING, /* holds the pages of all its known tokens */
    SEQUENCE_FINISHED
};

struct sequence {
    struct sequence_group *group;
    int sample;
    int64_t age;  /* the higher the younger; within a group in sample order. Set by scheduler_add */
    uint64_t key; /* of its random numbers */
    enum sequence_state state;
    enum finish_reason finish;
    bool cancelled; /* to be ended after the step */

    const int32_t *tokens; /* [n_tokens]; the prompt's array in the group until something is drawn */
    int n_tokens, n_prompt;
    int limit; /* it ends at this many tokens */
    int capacity;
    float *logprob, *lse, *entropy; /* [n_tokens - n_prompt] */
    uint8_t *experts;               /* [n_tokens - n_prompt, group->expert_bytes], of those that are computed */

    int n_cached;
    int32_t *pages; /* the block table, while running */
    int n_pages;

    char *tail; /* the last bytes of its text, where a stop string may have begun */
    size_t tail_length;
};

struct sequence_group {
    struct sequence_group *previous, *next; /* of the scheduler, oldest first; then `next` of the finished */
    int64_t id;
    struct arena arena;       /* of all arrays below and of the sequences */
    struct sequence *samples; /* [n_samples] */
    int n_samples, n_waiting, n_finished;
    struct sampling sampling; /* without key, position and tokens */
    struct stop stop;         /* set by the engine */
    int expert_bytes;         /* of a token, set by the engine; 0: experts are not kept */
    uint8_t *prompt_experts;  /* [n_prompt, expert_bytes] */
    engine_stream *stream;
    void *stream_context;
    struct stream *streams; /* [n_samples]; NULL without `stream` */
    bool cancelled;         /* to be removed after the step */
    const char *error;      /* it has failed and is to be removed after the step; NULL: it has not */
};

/* A drawn token and what belongs to it. */
struct draw {
    int32_t token;
    float logprob, lse, entropy;
};

/* Tokens at which a sequence ends: the prompt and max_tokens, no more than max_length. */
int sequence_limit(const struct engine_request *request, int max_length);

/* The samples of a request, all waiting. Copies what it keeps. */
struct sequence_group *sequence_group_new(const struct engine_request *request, int max_length);
void sequence_group_free(struct sequence_group *group);

/* Appends a token; memory grows in the group's arena, twice as large each time. */
void sequence_append(struct sequence *sequence, const struct draw *draw);

int sequence_drawn(const struct sequence *sequence); /* tokens drawn so far */

#endif

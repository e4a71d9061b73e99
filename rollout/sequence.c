/* rollout/sequence.c - a sequence is set up, and grows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/sequence.h"

#include <string.h>

#define FIRST_CAPACITY 32 /* drawn tokens */

void sequence_init_group(struct sequence *sequences, const struct rollout_prompt *prompt, int group, int max_length)
{
    int room = max_length - prompt->n_tokens;
    for (int i = 0; i < prompt->n_samples; i++) {
        sequences[i] = (struct sequence){
            .group = group,
            .sample = i,
            .n_samples = prompt->n_samples,
            .key = prompt->sequence + (uint64_t)i,
            .tokens = prompt->tokens,
            .n_tokens = prompt->n_tokens,
            .n_prompt = prompt->n_tokens,
            .limit = prompt->n_tokens + (prompt->max_tokens < room ? prompt->max_tokens : room),
        };
    }
}

static void *grown(struct arena *arena, const void *old, int n, int capacity, size_t size)
{
    void *data = arena_alloc(arena, (size_t)capacity * size);
    if (n > 0) {
        memcpy(data, old, (size_t)n * size);
    }
    return data;
}

static void grow(struct sequence *s, struct arena *arena)
{
    int drawn = sequence_drawn(s), room = drawn > 0 ? 2 * drawn : FIRST_CAPACITY;
    room = room < s->limit - s->n_prompt ? room : s->limit - s->n_prompt;
    s->capacity = s->n_prompt + room;
    s->tokens = grown(arena, s->tokens, s->n_tokens, s->capacity, sizeof *s->tokens);
    s->logprob = grown(arena, s->logprob, drawn, room, sizeof *s->logprob);
    s->lse = grown(arena, s->lse, drawn, room, sizeof *s->lse);
    s->entropy = grown(arena, s->entropy, drawn, room, sizeof *s->entropy);
}

void sequence_append(struct sequence *s, const struct draw *draw, struct arena *arena)
{
    BUG_ON(s->n_tokens >= s->limit);
    if (s->n_tokens >= s->capacity) {
        grow(s, arena);
    }
    int i = sequence_drawn(s);
    ((int32_t *)s->tokens)[s->n_tokens++] = draw->token; /* grown by now: the array is our own */
    s->logprob[i] = draw->logprob;
    s->lse[i] = draw->lse;
    s->entropy[i] = draw->entropy;
}

int sequence_drawn(const struct sequence *sequence)
{
    return sequence->n_tokens - sequence->n_prompt;
}

struct sequence *sequence_leader(struct sequence *sequence)
{
    return sequence - sequence->sample;
}

/* rollout/sequence.c - a group of sequences is set up; a sequence grows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/sequence.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 32 /* drawn tokens */

int sequence_limit(const struct engine_request *request, int max_length)
{
    int room = max_length - request->n_tokens;
    return request->n_tokens + (request->max_tokens < room ? request->max_tokens : room);
}

struct sequence_group *sequence_group_new(const struct engine_request *request, int max_length)
{
    struct sequence_group *group = mem_zero(sizeof *group);
    int n = request->n_samples;
    group->n_samples = group->n_waiting = n;
    group->sampling = request->sampling;
    group->stream = request->stream;
    group->stream_context = request->stream_context;
    group->streams = request->stream ? ARENA_NEW(&group->arena, struct stream, n) : NULL;
    group->samples = ARENA_NEW(&group->arena, struct sequence, n);
    const int32_t *prompt =
        arena_copy(&group->arena, request->tokens, (size_t)request->n_tokens * sizeof *request->tokens);
    for (int i = 0; i < n; i++) {
        group->samples[i] = (struct sequence){
            .group = group,
            .sample = i,
            .key = request->sampling.sequence + (uint64_t)i,
            .tokens = prompt,
            .n_tokens = request->n_tokens,
            .n_prompt = request->n_tokens,
            .limit = sequence_limit(request, max_length),
        };
    }
    return group;
}

void sequence_group_free(struct sequence_group *group)
{
    for (int i = 0; group->streams && i < group->n_samples; i++) {
        stream_release(&group->streams[i]);
    }
    arena_release(&group->arena);
    free(group);
}

static void *grown(struct arena *arena, const void *old, int n, int capacity, size_t size)
{
    void *data = arena_alloc(arena, (size_t)capacity * size);
    if (n > 0) {
        memcpy(data, old, (size_t)n * size);
    }
    return data;
}

static void grow(struct sequence *s)
{
    struct arena *arena = &s->group->arena;
    int drawn = sequence_drawn(s), room = drawn > 0 ? 2 * drawn : FIRST_CAPACITY;
    room = room < s->limit - s->n_prompt ? room : s->limit - s->n_prompt;
    s->capacity = s->n_prompt + room;
    s->tokens = grown(arena, s->tokens, s->n_tokens, s->capacity, sizeof *s->tokens);
    s->logprob = grown(arena, s->logprob, drawn, room, sizeof *s->logprob);
    s->lse = grown(arena, s->lse, drawn, room, sizeof *s->lse);
    s->entropy = grown(arena, s->entropy, drawn, room, sizeof *s->entropy);
    s->experts = grown(arena, s->experts, drawn, room, (size_t)s->group->expert_bytes);
}

void sequence_append(struct sequence *s, const struct draw *draw)
{
    BUG_ON(s->n_tokens >= s->limit);
    if (s->n_tokens >= s->capacity) {
        grow(s);
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

/* rl/batch.c - packing: groups are drawn into minibatches, and samples are added to a micro-batch until the next one
 * would not fit.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/batch.h"

#include <string.h>

#include "kernels/rng.h"
#include "rl/grad_shards.h"

static bool batch_masks(const struct batch_options *options, const struct sample *sample)
{
    return options->mask_truncated && sample->completion->finish == FINISH_LENGTH;
}

static int batch_shards(const struct batch_options *options)
{
    return options->n_shards > 0 ? options->n_shards : 1;
}

/* Completion tokens in the loss. */
static int64_t batch_tokens(const struct batch_options *options, const struct sample *sample)
{
    return batch_masks(options, sample) ? 0 : sample->completion->n_tokens;
}

static bool batch_wants(const struct batch_options *options, const struct sample *sample)
{
    return batch_tokens(options, sample) > 0 && (options->keep_all || sample->advantage != 0);
}

/* A micro-batch under construction: arrays that are large enough for its minibatch. */
struct packer {
    const struct batch_options *options;
    struct iteration *it;
    struct minibatch *minibatch;
    int32_t *tokens, *positions, *target_rows, *targets, *sample, *index;
    struct context *contexts;
    uint8_t *experts; /* [T, expert_bytes], or NULL */
    int T, n_targets, n_contexts;
    int shard;               /* that is under construction */
    int64_t n_packed, total; /* completion tokens so far, and of all that will be packed */
};

static void packer_begin(struct packer *p, int max_rows, int max_targets, int max_contexts)
{
    struct arena *arena = &p->it->arena;
    p->tokens = ARENA_NEW(arena, int32_t, max_rows);
    p->positions = ARENA_NEW(arena, int32_t, max_rows);
    p->target_rows = ARENA_NEW(arena, int32_t, max_targets);
    p->targets = ARENA_NEW(arena, int32_t, max_targets);
    p->sample = ARENA_NEW(arena, int32_t, max_targets);
    p->index = ARENA_NEW(arena, int32_t, max_targets);
    p->contexts = ARENA_NEW(arena, struct context, max_contexts);
    size_t expert_bytes = (size_t)max_rows * (size_t)p->options->expert_bytes;
    p->experts = expert_bytes > 0 ? ARENA_NEW(arena, uint8_t, expert_bytes) : NULL;
}

/* Closes the micro-batch; the arrays continue after it. */
static void packer_flush(struct packer *p)
{
    if (p->n_targets == 0) {
        return;
    }
    struct micro_batch *mb = &p->minibatch->micro_batches[p->minibatch->n_micro_batches++];
    mb->batch = (struct train_batch){p->T,         p->tokens,      p->positions, p->n_contexts, p->contexts,
                                     p->n_targets, p->target_rows, p->targets,   p->experts};
    mb->sample = p->sample;
    mb->index = p->index;
    p->tokens += p->T;
    p->positions += p->T;
    p->experts = p->experts ? p->experts + (ptrdiff_t)p->T * p->options->expert_bytes : NULL;
    p->target_rows += p->n_targets;
    p->targets += p->n_targets;
    p->sample += p->n_targets;
    p->index += p->n_targets;
    p->contexts += p->n_contexts;
    p->T = p->n_targets = p->n_contexts = 0;
}

/* Closes shards up to the one that the next n completion tokens belong to. */
static bool packer_shard(struct packer *p, int n)
{
    int shard = grad_shards_of(batch_shards(p->options), p->n_packed, n, p->total);
    bool next = shard > p->shard;
    if (next) {
        packer_flush(p);
    }
    while (p->shard < shard) {
        p->minibatch->shards[++p->shard] = p->minibatch->n_micro_batches;
    }
    p->n_packed += n;
    return next;
}

/* experts: of this row, or NULL */
static void packer_row(struct packer *p, int32_t token, int32_t position, const uint8_t *experts)
{
    size_t bytes = (size_t)p->options->expert_bytes;
    if (p->experts) {
        memcpy(p->experts + (size_t)p->T * bytes, experts, bytes);
    }
    p->tokens[p->T] = token;
    p->positions[p->T++] = position;
}

/* Row i of the experts of some tokens; NULL where they are not packed. */
static const uint8_t *experts_at(const struct packer *p, const uint8_t *experts, int i)
{
    BUG_ON(p->experts && !experts);
    return p->experts ? experts + (ptrdiff_t)i * p->options->expert_bytes : NULL;
}

static int packer_prompt(struct packer *p, const struct sample *sample)
{
    const struct prompt *prompt = sample->prompt;
    int row = p->T;
    for (int i = 0; i < prompt->n_tokens; i++) {
        packer_row(p, prompt->tokens[i], i, experts_at(p, sample->completion->prompt_experts, i));
    }
    p->contexts[p->n_contexts++] = (struct context){.row = row, .n_rows = prompt->n_tokens};
    return row;
}

static void packer_completion(struct packer *p, int i_sample, int prompt_row)
{
    const struct sample *s = &p->it->samples[i_sample];
    const struct completion *c = s->completion;
    int n_prompt = s->prompt->n_tokens, row = p->T;
    for (int i = 0; i < c->n_tokens; i++) {
        p->target_rows[p->n_targets] = i == 0 ? prompt_row + n_prompt - 1 : row + i - 1;
        p->targets[p->n_targets] = c->tokens[i];
        p->sample[p->n_targets] = i_sample;
        p->index[p->n_targets++] = i;
        if (i + 1 < c->n_tokens) {
            packer_row(p, c->tokens[i], n_prompt + i, experts_at(p, c->experts, i));
        }
    }
    if (c->n_tokens > 1) {
        p->contexts[p->n_contexts++] =
            (struct context){.prefix_row = prompt_row, .n_prefix = n_prompt, .row = row, .n_rows = c->n_tokens - 1};
    }
}

static void packer_group(struct packer *p, int group)
{
    int prompt_row = -1;
    for (int i = group * p->it->G; i < (group + 1) * p->it->G; i++) {
        const struct sample *s = &p->it->samples[i];
        if (!batch_masks(p->options, s)) {
            p->minibatch->samples[p->minibatch->n_unmasked++] = i;
            p->minibatch->n_tokens += s->completion->n_tokens;
        }
        if (!batch_wants(p->options, s)) {
            continue;
        }
        if (packer_shard(p, s->completion->n_tokens)) {
            prompt_row = -1;
        }
        int more = s->completion->n_tokens - 1 + (prompt_row < 0 ? s->prompt->n_tokens : 0);
        if (p->T > 0 && p->T + more > p->options->max_tokens) {
            packer_flush(p);
            prompt_row = -1;
        }
        if (prompt_row < 0) {
            prompt_row = packer_prompt(p, s);
        }
        packer_completion(p, i, prompt_row);
    }
}

static void pack_minibatch(const struct batch_options *options, struct iteration *it, struct minibatch *mb,
                           const int *groups, int n_groups)
{
    int rows = 0, targets = 0, n_samples = n_groups * it->G, n_shards = batch_shards(options);
    int64_t total = 0;
    for (int g = 0; g < n_groups; g++) {
        for (int i = 0; i < it->G; i++) {
            const struct sample *s = &it->samples[groups[g] * it->G + i];
            rows += s->prompt->n_tokens + s->completion->n_tokens; /* at worst the prompt is packed once per sample */
            targets += s->completion->n_tokens;
            total += batch_wants(options, s) ? s->completion->n_tokens : 0;
        }
    }
    *mb = (struct minibatch){.micro_batches = ARENA_NEW(&it->arena, struct micro_batch, n_samples + 1),
                             .shards = ARENA_NEW(&it->arena, int, n_shards + 1),
                             .samples = ARENA_NEW(&it->arena, int32_t, n_samples),
                             .n_samples = n_samples,
                             .n_groups = n_groups};
    struct packer p = {.options = options, .it = it, .minibatch = mb, .total = total};
    packer_begin(&p, rows, targets, 2 * n_samples);
    for (int g = 0; g < n_groups; g++) {
        packer_group(&p, groups[g]);
    }
    packer_flush(&p);
    while (p.shard < n_shards) {
        mb->shards[++p.shard] = mb->n_micro_batches;
    }
}

/* Shuffles (Fisher and Yates, inside out); the order stays as it is where all groups are in one minibatch. */
static int *draw_order(const struct batch_options *options, struct iteration *it, int per_pass, int pass)
{
    int *order = ARENA_NEW(&it->arena, int, it->n_prompts);
    struct rng rng = rng_stream(options->seed, (uint64_t)(it->first_step + pass * per_pass));
    for (int i = 0; i < it->n_prompts; i++) {
        int j = per_pass > 1 ? (int)rng_below(&rng, (uint32_t)i + 1) : i;
        order[i] = order[j];
        order[j] = i;
    }
    return order;
}

void batch_pack(const struct batch_options *options, struct iteration *it)
{
    int per_step = options->prompts_per_step, per_pass = (it->n_prompts + per_step - 1) / per_step;
    int64_t n_tokens = 0;
    for (int i = 0; i < it->n_prompts * it->G; i++) {
        n_tokens += batch_tokens(options, &it->samples[i]);
    }
    it->n_minibatches = per_pass * options->num_iterations;
    it->minibatches = ARENA_NEW(&it->arena, struct minibatch, it->n_minibatches);
    for (int pass = 0; pass < options->num_iterations; pass++) {
        int *order = draw_order(options, it, per_pass, pass);
        for (int m = 0; m < per_pass; m++) {
            struct minibatch *minibatch = &it->minibatches[pass * per_pass + m];
            int first = m * per_step, n = it->n_prompts - first < per_step ? it->n_prompts - first : per_step;
            pack_minibatch(options, it, minibatch, order + first, n);
            minibatch->mean_tokens = (double)n_tokens * n / it->n_prompts;
        }
    }
}

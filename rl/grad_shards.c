/* rl/grad_shards.c - the tree: a binary counter of partial sums in this rank, and one sum over ranks above it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/grad_shards.h"

#include <stdlib.h>
#include <string.h>

#include "base/num.h"

#define STAGED_FLOATS ((size_t)1 << 22)

void grad_shards_init(struct grad_shards *s, struct model *model, int n, int rank, int n_ranks, struct dist *dist)
{
    BUG_ON(n < n_ranks || n % n_ranks != 0 || n > GRAD_SHARDS_MAX);
    *s = (struct grad_shards){.n = n, .first = n / n_ranks * rank, .n_own = n / n_ranks, .model = model, .dist = dist};
    while (1 << s->n_partial < s->n_own) {
        s->partial[s->n_partial++] =
            device_alloc_in(model->device, DEVICE_TRAINING, model_trained(model)->n_trained * sizeof(float),
                            "gradients: a partial sum");
    }
    if (dist) {
        s->staged = mem_alloc(min_size(model_trained(model)->n_trained, STAGED_FLOATS) * sizeof *s->staged);
    }
}

void grad_shards_release(struct grad_shards *s)
{
    for (int i = 0; i < s->n_partial; i++) {
        device_free(s->model->device, s->partial[i]);
    }
    free(s->staged);
    *s = (struct grad_shards){0};
}

void grad_shards_add(struct grad_shards *s, int i)
{
    const struct params *params = model_trained(s->model);
    int level = 0;
    for (; (i >> level) & 1; level++) { /* the left half of a pair waits in partial[level] */
        s->model->device->ops->add(params->grads, s->partial[level], params->n_trained);
    }
    if (i + 1 < s->n_own) {
        device_copy(s->model->device, s->partial[level], params->grads, params->n_trained * sizeof(float));
    }
}

enum err grad_shards_sum(struct grad_shards *s)
{
    struct device *device = s->model->device;
    const struct params *params = model_trained(s->model);
    for (size_t at = 0; s->dist && at < params->n_trained; at += STAGED_FLOATS) {
        size_t n = min_size(params->n_trained - at, STAGED_FLOATS);
        device_read(device, s->staged, params->grads + at, n * sizeof *s->staged);
        TRY(dist_sum(s->dist, s->staged, n));
        device_write(device, params->grads + at, s->staged, n * sizeof *s->staged);
    }
    return ERR_NONE;
}

enum err grad_shards_gather(struct grad_shards *s, void *all, size_t bytes)
{
    struct arena scratch = ARENA_INIT;
    size_t own = (size_t)s->n_own * bytes;
    struct str *parts = ARENA_NEW(&scratch, struct str, dist_ranks(s->dist));
    struct str mine = {(const char *)all + (size_t)s->first * bytes, own};
    enum err result = s->dist ? dist_gather(s->dist, mine, &scratch, parts) : ERR_NONE;
    for (int r = 0; s->dist && result == ERR_NONE && r < dist_ranks(s->dist); r++) {
        memcpy((char *)all + (size_t)r * own, parts[r].data, own);
    }
    arena_release(&scratch);
    return result;
}

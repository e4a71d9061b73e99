/* rl/train_ranks.c - do all ranks of a run begin with the same? Each compares what the others have with its rank 0's.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/num.h"
#include "rl/dist.h"
#include "rl/train_parts.h"

#define HASHED_BYTES ((size_t)1 << 24) /* at once */

/* What a rank begins with. */
struct possession {
    char device[32];
    uint64_t policy, reference, moments, data, eval_data, state;
};

static void fold(XXH3_state_t *hash, struct device *device, const void *data, size_t bytes)
{
    char *part = mem_alloc(min_size(bytes, HASHED_BYTES) + 1);
    for (size_t at = 0, n; data && at < bytes; at += n) {
        n = min_size(bytes - at, HASHED_BYTES);
        device_read(device, part, (const char *)data + at, n);
        XXH3_64bits_update(hash, part, n);
    }
    free(part);
}

/* Of the weights, with their masters; of the moments. */
static uint64_t hash_of(const struct train *t, const struct params *params, bool moments)
{
    size_t bytes = params->n_trained * optim_moment_bytes(t->recipe->optim.kind);
    XXH3_state_t *hash = XXH3_createState();
    BUG_ON(!hash);
    XXH3_64bits_reset(hash);
    if (moments) {
        fold(hash, t->device, params->m, bytes);
        fold(hash, t->device, params->v, bytes);
    } else {
        fold(hash, t->device, params->data, params->bytes);
        fold(hash, t->device, params->master, params->n_trained * sizeof(float));
    }
    uint64_t result = XXH3_64bits_digest(hash);
    XXH3_freeState(hash);
    return result;
}

static struct possession possession_of(const struct train *t)
{
    const struct params *trained = model_trained(t->policy);
    struct possession p = {
        .policy = hash_of(t, &t->policy->params, false) + (t->policy->adapter ? hash_of(t, trained, false) : 0),
        .reference = t->reference ? hash_of(t, &t->reference->params, false) : 0,
        .moments = hash_of(t, trained, true),
        .data = dataset_fingerprint(t->dataset),
        .eval_data = t->eval_dataset ? dataset_fingerprint(t->eval_dataset) : 0,
        .state = (uint64_t)t->state.step,
    };
    snprintf(p.device, sizeof p.device, "%s", t->device->ops->name);
    return p;
}

/* NULL: the same. */
static const char *difference(const struct possession *a, const struct possession *b)
{
    return a->policy != b->policy         ? "other weights (model_name_or_path)"
           : a->reference != b->reference ? "other weights of the reference model (model_name_or_path)"
           : a->moments != b->moments     ? "another state of the optimiser (the checkpoint)"
           : a->state != b->state         ? "another step (the checkpoint)"
           : a->data != b->data           ? "other rows (dataset_name)"
           : a->eval_data != b->eval_data ? "other held-out rows (eval_dataset_name)"
                                          : NULL;
}

enum err train_compare_ranks(struct train *t)
{
    struct arena scratch = ARENA_INIT;
    int n_ranks = dist_ranks(t->dist);
    if (n_ranks == 1) {
        return ERR_NONE;
    }
    struct possession own = possession_of(t);
    struct str *all = ARENA_NEW(&scratch, struct str, n_ranks);
    enum err result = dist_gather(t->dist, (struct str){(const char *)&own, sizeof own}, &scratch, all);
    for (int r = 1; r < n_ranks && result == ERR_NONE; r++) {
        struct possession first, other;
        memcpy(&first, all[0].data, sizeof first);
        memcpy(&other, all[r].data, sizeof other);
        const char *what = difference(&first, &other);
        if (strcmp(first.device, other.device) != 0) {
            result =
                err_set(ERR_STATE,
                        "rank %d computes on %s, and rank 0 on %s, which would part their weights; name one that all "
                        "have with --device",
                        r, other.device, first.device);
        } else if (what) {
            result = err_set(ERR_STATE, "rank %d has %s than rank 0; give all machines the same files", r, what);
        }
    }
    arena_release(&scratch);
    return result;
}

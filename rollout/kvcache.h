/* rollout/kvcache.h - which pages of the key/value cache are in use, and by how many sequences.
 *
 * A page holds the keys and values of 128 positions of one sequence (kernels/ops.h, OPS_PAGE). Sequences that begin
 * alike hold the same full pages; each holder counts as one reference, and a page is free again when the last gives it
 * back. A page that is still being written has one holder. Only numbers are kept here; the memory is a struct kv_pool.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ROLLOUT_KVCACHE_H
#define ROLLOUT_KVCACHE_H

#include <stdint.h>

#include "model/model.h"

struct kvcache {
    int n_pages, n_free, peak_used;
    int32_t *free_pages; /* [n_free], a stack */
    int32_t *references; /* [n_pages] */
};

/* Release with kvcache_release. */
void kvcache_init(struct kvcache *cache, int n_pages);
void kvcache_release(struct kvcache *cache);

int32_t kvcache_take(struct kvcache *cache);                 /* a free page, now with one holder; -1 if there is none */
void kvcache_share(struct kvcache *cache, int32_t page);     /* adds a holder */
void kvcache_give_back(struct kvcache *cache, int32_t page); /* removes a holder */
int kvcache_used(const struct kvcache *cache);

/* Pages that `length` positions fill. */
int kvcache_pages(int length);

/* Pages for n_sequences of max_length positions. */
int kvcache_wanted(int n_sequences, int max_length);
/* As kvcache_wanted, or as many as half of the free memory holds if that is less; at least 1. */
int kvcache_plan(const struct model *model, int n_sequences, int max_length);

#endif

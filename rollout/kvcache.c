/* rollout/kvcache.c - the page allocator: a stack of free pages and a count per page.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kvcache.h"

#include <stdlib.h>

#include "base/arena.h"

#define MEMORY_SHARE 2 /* at most 1/2 of the memory that is free */

void kvcache_init(struct kvcache *cache, int n_pages)
{
    BUG_ON(n_pages < 1);
    *cache = (struct kvcache){.n_pages = n_pages, .n_free = n_pages};
    cache->free_pages = mem_alloc((size_t)n_pages * sizeof *cache->free_pages);
    cache->references = mem_zero((size_t)n_pages * sizeof *cache->references);
    for (int i = 0; i < n_pages; i++) {
        cache->free_pages[i] = n_pages - 1 - i; /* low numbers first: memory that is not needed is never touched */
    }
}

void kvcache_release(struct kvcache *cache)
{
    free(cache->free_pages);
    free(cache->references);
    *cache = (struct kvcache){0};
}

int kvcache_used(const struct kvcache *cache)
{
    return cache->n_pages - cache->n_free;
}

int32_t kvcache_take(struct kvcache *cache)
{
    if (cache->n_free == 0) {
        return -1;
    }
    int32_t page = cache->free_pages[--cache->n_free];
    BUG_ON(cache->references[page] != 0);
    cache->references[page] = 1;
    int used = kvcache_used(cache);
    cache->peak_used = used > cache->peak_used ? used : cache->peak_used;
    return page;
}

void kvcache_share(struct kvcache *cache, int32_t page)
{
    BUG_ON(page < 0 || page >= cache->n_pages || cache->references[page] < 1);
    cache->references[page]++;
}

void kvcache_give_back(struct kvcache *cache, int32_t page)
{
    BUG_ON(page < 0 || page >= cache->n_pages || cache->references[page] < 1);
    if (--cache->references[page] == 0) {
        cache->free_pages[cache->n_free++] = page;
    }
}

int kvcache_pages(int length)
{
    return (length + OPS_PAGE - 1) / OPS_PAGE;
}

int kvcache_wanted(int n_sequences, int max_length)
{
    int64_t pages = (int64_t)n_sequences * kvcache_pages(max_length);
    return pages > INT32_MAX ? INT32_MAX : (int)pages;
}

int kvcache_plan(const struct model *model, int n_sequences, int max_length)
{
    uint64_t wanted = (uint64_t)kvcache_wanted(n_sequences, max_length);
    uint64_t memory = device_free_bytes(model->device) / MEMORY_SHARE / kv_page_bytes(model);
    uint64_t pages = memory > 0 && memory < wanted ? memory : wanted;
    return pages < 1 ? 1 : (int)pages;
}

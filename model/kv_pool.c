/* model/kv_pool.c - the pages of keys and values of all layers, as the blocks' tables have them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/arena.h"
#include "model/buffers.h"

size_t kv_page_bytes(const struct model *model)
{
    return buffers_page_bytes(model);
}

void kv_pool_init(struct kv_pool *pool, const struct model *model, int n_pages)
{
    int spare = model->device->ops->repeat ? 1 : 0;
    BUG_ON(n_pages < 1);
    *pool = (struct kv_pool){.n_pages = n_pages, .pages = mem_zero(sizeof *pool->pages)};
    buffers_init(pool->pages, model, PASS_DECODE, 0, n_pages + spare);
    for (int half = 0; half < BLOCKS_PER_LAYER; half++) {
        buffers_add(pool->pages, model, half, BUFFER_PAGES);
    }
}

void kv_pool_release(struct kv_pool *pool, const struct model *model)
{
    if (pool->pages) {
        buffers_release(pool->pages, model->device);
        free(pool->pages);
    }
    *pool = (struct kv_pool){0};
}

void kv_pool_copy(struct kv_pool *pool, const struct model *model, int32_t from, int32_t to, int n)
{
    BUG_ON(from < 0 || to < 0 || from >= pool->n_pages || to >= pool->n_pages || n < 0 || n > OPS_PAGE);
    for (int layer = 0; layer < model->config.n_layers; layer++) {
        for (int half = 0; half < BLOCKS_PER_LAYER; half++) {
            const struct block *block = model_block(&model->config, layer, half);
            if (block->copy_page) {
                block->copy_page(model, pool->pages->layers[layer].at[half], from, to, n);
            }
        }
    }
}

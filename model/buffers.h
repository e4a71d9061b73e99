/* model/buffers.h - the buffers of all blocks of a model, allocated from the tables of the blocks (model/block.h).
 *
 *   role              decoding, in DEVICE_ROLLOUT      training, in DEVICE_TRAINING
 *   BUFFER_KEPT       one                              one slice with room for every layer; recomputing: for one
 *   BUFFER_SEEN       one per layer                    one per layer
 *   BUFFER_SCRATCH    one                              one
 *   BUFFER_GRADIENT   none                             one
 *   BUFFER_PAGES      one per layer                    one
 *
 * For the files of model/ only. SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_BUFFERS_H
#define MODEL_BUFFERS_H

#include "model/block.h"
#include "model/model.h"

/* Of one layer, by the numbers of its blocks' tables; NULL: not in this kind of pass. */
struct layer_buffers {
    void *at[BLOCKS_PER_LAYER][BLOCK_MAX_BUFFERS];
};

struct buffers {
    enum pass_kind kind;
    int max_rows, n_pages;
    struct layer_buffers *layers; /* [n_layers] */
    void **slices;                /* what to give back */
    int n_slices;
};

/* No memory of the device yet. n_pages: of BUFFER_PAGES. */
void buffers_init(struct buffers *buffers, const struct model *model, enum pass_kind kind, int max_rows, int n_pages);
/* Allocates the buffers of one role of the attention or the feed-forward blocks of all layers. The order of the calls is that of
 * the memory table. */
void buffers_add(struct buffers *buffers, const struct model *model, int half, enum buffer_role role);
void buffers_release(struct buffers *buffers, struct device *device);

/* Bytes of one page over all layers. */
size_t buffers_page_bytes(const struct model *model);

#endif

/* model/buffers.c - one row of a block's table becomes one slice of memory, or one per layer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/buffers.h"

#include <stdio.h>
#include <stdlib.h>

void buffers_init(struct buffers *buffers, const struct model *model, enum pass_kind kind, int max_rows, int n_pages)
{
    *buffers = (struct buffers){.kind = kind, .max_rows = max_rows, .n_pages = n_pages};
    buffers->layers = mem_zero((size_t)model->config.n_layers * sizeof *buffers->layers);
}

static size_t item_bytes(const struct buffer *row, const struct device *device)
{
    return row->fp32 ? sizeof(float) : device->element_bytes;
}

static size_t row_bytes(const struct buffer *row, const struct device *device)
{
    return (size_t)row->columns * item_bytes(row, device);
}

static size_t page_bytes(const struct buffer *row, const struct device *device)
{
    return OPS_PAGE * row_bytes(row, device);
}

/* "kept: q, k, v", "key cache" */
static void make_label(const struct buffers *b, const struct buffer *row, char label[64])
{
    static const char *const roles[] = {
        [BUFFER_KEPT] = "kept", [BUFFER_SEEN] = "kept", [BUFFER_SCRATCH] = "training", [BUFFER_GRADIENT] = "gradient"};
    if (row->role == BUFFER_PAGES) {
        snprintf(label, 64, b->kind == PASS_DECODE ? "%s cache" : "training: %s pages", row->label);
    } else {
        snprintf(label, 64, "%s: %s", b->kind == PASS_DECODE ? "forward" : roles[row->role], row->label);
    }
}

static char *take(struct buffers *b, struct device *device, const struct buffer *row, size_t bytes)
{
    char label[64];
    make_label(b, row, label);
    enum device_phase phase = b->kind == PASS_DECODE ? DEVICE_ROLLOUT : DEVICE_TRAINING;
    b->slices = mem_grow(b->slices, (size_t)(b->n_slices + 1) * sizeof *b->slices);
    b->slices[b->n_slices] = device_alloc_in(device, phase, bytes, label);
    return b->slices[b->n_slices++];
}

/* Buffer number i of every layer that has `block`. */
static void add_row(struct buffers *b, const struct model *model, const struct block *block, int half, int i,
                    const struct buffer *row)
{
    bool pages = row->role == BUFFER_PAGES, per_layer = pages && b->kind == PASS_DECODE;
    size_t bytes = pages ? (size_t)b->n_pages * page_bytes(row, model->device)
                         : (size_t)b->max_rows * row_bytes(row, model->device) +
                               (size_t)row->more * item_bytes(row, model->device);
    bool kept = row->role == BUFFER_SEEN || (row->role == BUFFER_KEPT && b->kind == PASS_TRAIN);
    size_t step = kept ? bytes : 0; /* from a layer to the next */
    int n_layers = 0;
    for (int layer = 0; layer < model->config.n_layers; layer++) {
        n_layers += model_block(&model->config, layer, half) == block;
    }
    char *at = per_layer ? NULL : take(b, model->device, row, step > 0 ? (size_t)n_layers * bytes : bytes);
    for (int layer = 0; layer < model->config.n_layers; layer++) {
        if (model_block(&model->config, layer, half) == block) {
            b->layers[layer].at[half][i] = per_layer ? take(b, model->device, row, bytes) : at;
            at += step;
        }
    }
}

void buffers_add(struct buffers *b, const struct model *model, int half, enum buffer_role role)
{
    for (int layer = 0; layer < model->config.n_layers; layer++) {
        const struct block *block = model_block(&model->config, layer, half);
        struct buffer table[BLOCK_MAX_BUFFERS];
        if (!model_block_is_first(&model->config, layer, half)) {
            continue;
        }
        block->list_buffers(&model->config, table);
        for (int i = 0; i < block->n_buffers; i++) {
            if (table[i].role == role && table[i].columns > 0 && (table[i].passes & b->kind)) {
                add_row(b, model, block, half, i, &table[i]);
            }
        }
    }
}

void buffers_release(struct buffers *buffers, struct device *device)
{
    for (int i = 0; i < buffers->n_slices; i++) {
        device_free(device, buffers->slices[i]);
    }
    free(buffers->slices);
    free(buffers->layers);
    *buffers = (struct buffers){0};
}

size_t buffers_page_bytes(const struct model *model)
{
    size_t bytes = 0;
    for (int layer = 0; layer < model->config.n_layers; layer++) {
        for (int half = 0; half < BLOCKS_PER_LAYER; half++) {
            const struct block *block = model_block(&model->config, layer, half);
            struct buffer table[BLOCK_MAX_BUFFERS];
            block->list_buffers(&model->config, table);
            for (int i = 0; i < block->n_buffers; i++) {
                bytes += table[i].role == BUFFER_PAGES ? page_bytes(&table[i], model->device) : 0;
            }
        }
    }
    return bytes;
}

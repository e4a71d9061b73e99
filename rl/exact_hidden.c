/* rl/exact_hidden.c - an open-addressing table of row hashes, filled and searched by the hook that runs after each
 * layer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/exact_hidden.h"

#include <string.h>
#include <xxhash.h>

#define FIRST_CAPACITY ((size_t)1 << 12)

/* Where the hash is, or where it belongs. */
static size_t place_of(const struct hidden_set *set, uint64_t hash)
{
    size_t i = (size_t)hash & (set->capacity - 1);
    while (set->hashes[i] != 0 && set->hashes[i] != hash) {
        i = (i + 1) & (set->capacity - 1);
    }
    return i;
}

static void add(struct hidden_set *set, uint64_t hash)
{
    if (2 * set->n >= set->capacity) {
        struct hidden_set larger = *set;
        larger.capacity = set->capacity ? 2 * set->capacity : FIRST_CAPACITY;
        larger.hashes = mem_zero(larger.capacity * sizeof *larger.hashes);
        for (size_t i = 0; i < set->capacity; i++) {
            if (set->hashes[i]) {
                larger.hashes[place_of(&larger, set->hashes[i])] = set->hashes[i];
            }
        }
        free(set->hashes);
        *set = larger;
    }
    size_t i = place_of(set, hash);
    set->n += set->hashes[i] == 0;
    set->hashes[i] = hash;
}

static bool has(const struct hidden_set *set, uint64_t hash)
{
    return set->capacity > 0 && set->hashes[place_of(set, hash)] == hash;
}

/* The rows of a layer, on the host. */
static const char *fetch(struct hidden_set *set, const struct model *model, const void *x, size_t bytes)
{
    if (bytes > set->rows_bytes) {
        set->rows = mem_grow(set->rows, bytes);
        set->rows_bytes = bytes;
    }
    device_read(model->device, set->rows, x, bytes);
    return set->rows;
}

static uint64_t hash_row(const char *row, size_t bytes, int layer, int32_t position)
{
    uint64_t hash = XXH3_64bits_withSeed(row, bytes, (uint64_t)layer << 32 | (uint32_t)position);
    return hash ? hash : 1;
}

static void note(void *context, const struct model *model, int layer, int T, const int32_t *positions, const void *x)
{
    size_t bytes = (size_t)model->config.d * model->device->element_bytes;
    const char *rows = fetch(context, model, x, (size_t)T * bytes);
    for (int t = 0; t < T; t++) {
        add(context, hash_row(rows + (size_t)t * bytes, bytes, layer, positions[t]));
    }
}

static void look(void *context, const struct model *model, int layer, int T, const int32_t *positions, const void *x)
{
    struct hidden_set *set = context;
    size_t bytes = (size_t)model->config.d * model->device->element_bytes;
    const char *rows = fetch(set, model, x, (size_t)T * bytes);
    for (int t = 0; t < T; t++) {
        set->different += !has(set, hash_row(rows + (size_t)t * bytes, bytes, layer, positions[t]));
    }
    set->compared += T;
}

void hidden_note(struct hidden_set *set, struct model *model)
{
    model->watch = (struct model_watch){note, set};
}

void hidden_look(struct hidden_set *set, struct model *model)
{
    model->watch = (struct model_watch){look, set};
}

void hidden_stop(struct model *model)
{
    model->watch = (struct model_watch){0};
}

void hidden_clear(struct hidden_set *set)
{
    if (set->hashes) {
        memset(set->hashes, 0, set->capacity * sizeof *set->hashes);
    }
    set->n = 0;
}

void hidden_release(struct hidden_set *set)
{
    free(set->hashes);
    free(set->rows);
    *set = (struct hidden_set){0};
}

/* base/arena.c - a chain of blocks; a reset keeps the chain and walks it again.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define ARENA_ALIGN       64
#define ARENA_BLOCK_BYTES ((size_t)1 << 16)

struct arena_block {
    struct arena_block *next;
    size_t size;
    size_t used;
    alignas(ARENA_ALIGN) char data[];
};

static void mem_exhausted(size_t bytes)
{
    fprintf(stderr, "strop: out of memory (%zu bytes requested); close other programs or use a smaller batch\n", bytes);
    exit(1);
}

void *mem_alloc(size_t bytes)
{
    void *data = malloc(bytes ? bytes : 1);
    if (!data) {
        mem_exhausted(bytes);
    }
    return data;
}

void *mem_zero(size_t bytes)
{
    void *data = calloc(1, bytes ? bytes : 1);
    if (!data) {
        mem_exhausted(bytes);
    }
    return data;
}

void *mem_grow(void *old, size_t bytes)
{
    void *data = realloc(old, bytes ? bytes : 1);
    if (!data) {
        mem_exhausted(bytes);
    }
    return data;
}

char *mem_strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    return memcpy(mem_alloc(bytes), text, bytes);
}

static struct arena_block *arena_block_new(size_t size)
{
    size_t total = (sizeof(struct arena_block) + size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    struct arena_block *block = aligned_alloc(ARENA_ALIGN, total);
    if (!block) {
        mem_exhausted(total);
    }
    *block = (struct arena_block){.size = size};
    return block;
}

/* The next block of the chain that can hold `bytes`; a new one is linked in right after the current one. */
static struct arena_block *arena_advance(struct arena *arena, size_t bytes)
{
    struct arena_block *current = arena->current;
    struct arena_block *next = current ? current->next : arena->first;
    if (next && next->size >= bytes) {
        next->used = 0;
        return next;
    }
    struct arena_block *block = arena_block_new(bytes > ARENA_BLOCK_BYTES ? bytes : ARENA_BLOCK_BYTES);
    block->next = next;
    if (current) {
        current->next = block;
    } else {
        arena->first = block;
    }
    return block;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    BUG_ON(bytes > SIZE_MAX / 4);
    size_t rounded = (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    struct arena_block *block = arena->current;
    if (!block || block->size - block->used < rounded) {
        block = arena_advance(arena, rounded);
        arena->current = block;
    }
    void *data = block->data + block->used;
    block->used += rounded;
    arena->used_bytes += rounded;
    return memset(data, 0, rounded);
}

void *arena_copy(struct arena *arena, const void *data, size_t bytes)
{
    void *copy = arena_alloc(arena, bytes);
    if (bytes) {
        memcpy(copy, data, bytes);
    }
    return copy;
}

char *arena_strndup(struct arena *arena, const char *text, size_t length)
{
    char *copy = arena_alloc(arena, length + 1);
    if (length) {
        memcpy(copy, text, length);
    }
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    BUG_ON(length < 0);
    char *text = arena_alloc(arena, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

void arena_reset(struct arena *arena)
{
    arena->current = NULL;
    arena->used_bytes = 0;
}

void arena_release(struct arena *arena)
{
    struct arena_block *block = arena->first;
    while (block) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    *arena = (struct arena)ARENA_INIT;
}

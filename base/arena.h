/* base/arena.h - memory that is given back all at once.
 *
 * Three lifetimes in the program: a run, an iteration, a call. Each has an arena; nothing in an arena is freed alone.
 *
 *   struct arena a = ARENA_INIT;
 *   float *x = arena_alloc(&a, n * sizeof *x);
 *   arena_reset(&a);     keeps the memory for the next use, which then allocates nothing
 *   arena_release(&a);   gives it back
 *
 * An arena is used by one thread. Allocation never returns NULL: when the system has no memory left the program ends
 * with a sentence, since no caller could continue. Memory is zeroed and aligned to 64 bytes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *first;
    struct arena_block *current;
    size_t used_bytes; /* handed out since the last reset */
};

#define ARENA_INIT                                                                                                     \
    {                                                                                                                  \
        0                                                                                                              \
    }

void *arena_alloc(struct arena *arena, size_t bytes);
void *arena_copy(struct arena *arena, const void *data, size_t bytes);
char *arena_strdup(struct arena *arena, const char *text);
/* A copy of `length` bytes with a NUL after them. */
char *arena_strndup(struct arena *arena, const char *text, size_t length);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
void arena_reset(struct arena *arena);
void arena_release(struct arena *arena);

/* n items of type T. */
#define ARENA_NEW(arena, T, n) ((T *)arena_alloc((arena), sizeof(T) * (size_t)(n)))

/* malloc, calloc and realloc that end the program with a sentence instead of returning NULL. Release with free(). */
void *mem_alloc(size_t bytes);
void *mem_zero(size_t bytes);
void *mem_grow(void *old, size_t bytes);
char *mem_strdup(const char *text);

#endif

/* base/names.c - open addressing with linear probing, at most half full.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/names.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/arena.h"

#define FIRST_CAPACITY 64

/* Where the text is, or where it belongs. */
static size_t slot_of(const struct names *names, const char *text)
{
    size_t i = (size_t)XXH3_64bits(text, strlen(text)) & (names->capacity - 1);
    while (names->slots[i] && strcmp(names->texts[names->slots[i] - 1], text) != 0) {
        i = (i + 1) & (names->capacity - 1);
    }
    return i;
}

static void grow(struct names *names)
{
    names->capacity = names->capacity ? 2 * names->capacity : FIRST_CAPACITY;
    names->texts = mem_grow(names->texts, names->capacity / 2 * sizeof *names->texts);
    free(names->slots);
    names->slots = mem_zero(names->capacity * sizeof *names->slots);
    for (int i = 0; i < names->n; i++) {
        names->slots[slot_of(names, names->texts[i])] = i + 1;
    }
}

bool names_add(struct names *names, const char *text)
{
    if (2 * ((size_t)names->n + 1) > names->capacity) {
        grow(names);
    }
    size_t slot = slot_of(names, text);
    if (names->slots[slot]) {
        return false;
    }
    names->texts[names->n++] = text;
    names->slots[slot] = names->n;
    return true;
}

int names_find(const struct names *names, const char *text)
{
    return names->n > 0 ? names->slots[slot_of(names, text)] - 1 : -1;
}

void names_release(struct names *names)
{
    free(names->texts);
    free(names->slots);
    *names = (struct names){0};
}

/* base/names.h - finding texts by hash: from a text to its number in the order in which they were added.
 *
 * The texts stay the caller's and outlive the set. SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_NAMES_H
#define BASE_NAMES_H

#include <stdbool.h>
#include <stddef.h>

struct names {
    const char **texts;
    int n;
    int *slots;      /* numbers + 1 by hash, open addressing; 0: free */
    size_t capacity; /* of slots: a power of two */
};

/* False, and nothing happens, if the text is there already. Its number is names->n before the call. */
bool names_add(struct names *names, const char *text);
/* The number of an equal text; -1: there is none. */
int names_find(const struct names *names, const char *text);
void names_release(struct names *names);

#endif

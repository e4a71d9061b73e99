/* base/num.h - the smaller, the larger, and division that rounds up.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stddef.h>

static inline int min_int(int a, int b)
{
    return a < b ? a : b;
}

static inline int max_int(int a, int b)
{
    return a > b ? a : b;
}

static inline size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* The parts of `size` that n things take; n >= 0, size > 0. */
static inline int div_up(int n, int size)
{
    return n / size + (n % size != 0);
}

static inline size_t div_up_size(size_t n, size_t size)
{
    return n / size + (n % size != 0);
}

/* The next multiple of `size`. */
static inline size_t round_up(size_t n, size_t size)
{
    return div_up_size(n, size) * size;
}

#endif

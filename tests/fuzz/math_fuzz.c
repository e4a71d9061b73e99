/* tests/fuzz/math_fuzz.c - any two texts, divided by the first NUL, as reference and answer: the verdict is the same twice, a
 * text equals itself, memory and time stay bounded.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "reward/math/pair.h"

#define MOST_SECONDS 1.0 /* some ms without the sanitizers */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct math_outcome outcome(struct str gold, struct str said, unsigned mode)
{
    struct arena arena = ARENA_INIT;
    struct math_options options = {
        .strict = mode & 1, .exact_only = mode & 2, .same_form = mode & 4, .rel_tol = mode & 8 ? 0.01 : 0};
    double start = clock_thread_seconds();
    struct math_outcome result = math_pair_judge(&options, gold, said, &arena);
    BUG_ON(clock_thread_seconds() - start > MOST_SECONDS);
    BUG_ON(!result.path);
    BUG_ON(arena.used_bytes > (size_t)16 << 20);
    arena_release(&arena);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 8192) {
        return 0;
    }
    unsigned mode = data[0] & 15;
    const uint8_t *text = data + 1, *middle = memchr(text, 0, size - 1);
    size_t first = middle ? (size_t)(middle - text) : size - 1;
    struct str gold = {(const char *)text, first};
    struct str said = middle ? (struct str){(const char *)middle + 1, size - 2 - first} : gold;
    struct math_outcome once = outcome(gold, said, mode);
    BUG_ON(outcome(gold, said, mode).kind != once.kind);
    struct math_outcome self = outcome(gold, gold, mode);
    BUG_ON(self.kind != MATH_EQUAL && self.kind != MATH_GOLD_UNREAD);
    return 0;
}

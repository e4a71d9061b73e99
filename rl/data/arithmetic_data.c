/* rl/data/arithmetic_data.c - the data set `arithmetic`: sums, differences and products of two numbers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/data/generator.h"

enum { DIGITS, OPERATIONS, SPLIT };

static const struct generator_option arithmetic_options[] = {
    [DIGITS] = {"digits", 2, 1, 9, NULL, "maximum number of digits"},
    [OPERATIONS] = {"operations", 0, 0, 0, "all|add|subtract|multiply", "which of + - * occur"},
    [SPLIT] = {"split", 0, 0, 0, "rl|eval|all", "eval: a seventh of all pairs of numbers, which rl does not have"},
    {0},
};

/* Numbers have each count of digits with the same chance, so that small ones are not rare. */
static int64_t arithmetic_number(struct rng *rng, int64_t max_digits)
{
    uint32_t digits = 1 + rng_below(rng, (uint32_t)max_digits), bound = 1;
    for (uint32_t i = 0; i < digits; i++) {
        bound *= 10;
    }
    uint32_t min = digits == 1 ? 0 : bound / 10;
    return (int64_t)min + rng_below(rng, bound - min);
}

static void arithmetic_make(const int64_t *values, struct rng *rng, int64_t index, struct arena *arena,
                            struct generator_item *out)
{
    (void)index;
    int64_t a = 0, b = 0;
    for (bool found = false; !found;) {
        a = arithmetic_number(rng, values[DIGITS]);
        b = arithmetic_number(rng, values[DIGITS]);
        int64_t larger = a > b ? a : b, smaller = a > b ? b : a;
        bool held_out = (larger + 3 * smaller) % 7 == 0; /* the same for (a, b) and (b, a) */
        found = values[SPLIT] == 2 || held_out == (values[SPLIT] == 1);
    }
    int64_t operation = values[OPERATIONS] ? values[OPERATIONS] - 1 : rng_below(rng, 3);
    if (operation == 1 && a < b) { /* no negative results */
        int64_t larger = b;
        b = a;
        a = larger;
    }
    int64_t answer = operation == 0 ? a + b : operation == 1 ? a - b : a * b;
    const char *text = arena_printf(arena, "What is %lld %c %lld?", (long long)a, "+-*"[operation], (long long)b);
    out->text = str_of(text);
    out->fields = json_pack("{s:s}", "answer", arena_printf(arena, "%lld", (long long)answer));
}

const struct generator_kind arithmetic_data = {
    .name = "arithmetic",
    .help = "sums, differences and products of two numbers",
    .fields = "answer",
    .options = arithmetic_options,
    .make = arithmetic_make,
};

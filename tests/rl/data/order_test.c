/* tests/rl/data/order_test.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "rl/data/order.h"

static void every_epoch_is_a_permutation(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 2, 3, 4, 5, 16, 17, 64, 100, 1000, 4097};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (uint64_t epoch = 0; epoch < 3; epoch++) {
            static bool seen[5000];
            memset(seen, 0, sizeof seen);
            for (uint64_t i = 0; i < sizes[s]; i++) {
                uint64_t to = order_at(42, epoch, sizes[s], i);
                assert_true(to < sizes[s] && !seen[to]);
                seen[to] = true;
            }
        }
    }
}

/* Fixed points of a random permutation are one on average; of 100 permutations, 100 with a deviation of 10. */
static void orders_differ_and_look_random(void **state)
{
    (void)state;
    enum { N = 1000, EPOCHS = 100 };
    int fixed = 0, as_before = 0, ascending = 0, first[10] = {0};
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
        for (uint64_t i = 0; i < N; i++) {
            uint64_t to = order_at(1, epoch, N, i);
            fixed += to == i;
            as_before += to == order_at(1, epoch + 1, N, i);
            ascending += i > 0 && to > order_at(1, epoch, N, i - 1);
        }
        first[order_at(1, epoch, N, 0) * 10 / N]++;
    }
    assert_in_range(fixed, 60, 140);
    assert_in_range(as_before, 60, 140);
    assert_in_range(ascending, 49000, 50900);
    for (int i = 0; i < 10; i++) {
        assert_in_range(first[i], 1, 25);
    }
    assert_true(order_at(1, 0, UINT64_C(1) << 40, 5) != order_at(2, 0, UINT64_C(1) << 40, 5));
}

/* A resumed run goes on in the order that it had: these values are for ever. */
static void the_order_never_changes(void **state)
{
    (void)state;
    char text[200] = "";
    for (uint64_t i = 0; i < 12; i++) {
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d ", (int)order_at(42, 7, 100, i));
    }
    assert_string_equal(text, "58 11 28 90 81 22 68 94 33 65 44 76 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_epoch_is_a_permutation),
        cmocka_unit_test(orders_differ_and_look_random),
        cmocka_unit_test(the_order_never_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

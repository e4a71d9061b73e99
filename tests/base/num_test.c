/* tests/base/num_test.c - rounding up at the edges of whole parts, and near the largest number.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/num.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void parts_are_rounded_up(void **state)
{
    (void)state;
    static const int cases[][3] = {{0, 128, 0}, {1, 128, 1}, {127, 128, 1}, {128, 128, 1}, {129, 128, 2}, {7, 1, 7}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(div_up(cases[i][0], cases[i][1]), cases[i][2]);
        assert_int_equal(div_up_size((size_t)cases[i][0], (size_t)cases[i][1]), cases[i][2]);
        assert_int_equal(round_up((size_t)cases[i][0], (size_t)cases[i][1]), cases[i][1] * cases[i][2]);
    }
    assert_int_equal(div_up(INT_MAX, 2), INT_MAX / 2 + 1);
    assert_true(div_up_size(SIZE_MAX, 16) == SIZE_MAX / 16 + 1);
}

static void the_smaller_and_the_larger(void **state)
{
    (void)state;
    assert_int_equal(min_int(-3, 2), -3);
    assert_int_equal(max_int(-3, 2), 2);
    assert_true(min_size(SIZE_MAX, 2) == 2 && max_size(SIZE_MAX, 2) == SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_rounded_up),
        cmocka_unit_test(the_smaller_and_the_larger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/reward/math/field_test.c - inverses and roots in every field of the table.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "reward/math/field.h"

static void the_promised_roots_are_there(void **state)
{
    (void)state;
    for (int i = 0; i < MATH_FIELD_PRIMES; i++) {
        uint64_t p = math_field_primes[i], root;
        const uint64_t squares[] = {p - 1, 2, 3, 5, 7, 11, 13};
        for (int k = 0; k < 7; k++) {
            assert_true(math_field_root(squares[k], p, &root));
            assert_true(math_field_mul(root, root, p) == squares[k]);
            assert_true(root <= p / 2);
        }
        assert_true(math_field_power(12345, p - 1, p) == 1); /* Fermat */
    }
}

static void half_of_all_have_no_root(void **state)
{
    (void)state;
    uint64_t p = math_field_primes[0], root;
    int n = 0;
    for (uint64_t a = 1; a <= 400; a++) {
        n += math_field_root(a * 1000003, p, &root);
    }
    assert_true(n > 140 && n < 260);
}

/* The folded product is the one that division gives. */
static void products_are_reduced(void **state)
{
    (void)state;
    for (int i = 0; i < MATH_FIELD_PRIMES; i++) {
        uint64_t p = math_field_primes[i], a = p - 1, b = p - 1;
        assert_true(((uint64_t)1 << 61) - p < (uint64_t)1 << 18);
        for (int k = 0; k < 200; k++) {
            assert_true(math_field_mul(a, b, p) == (uint64_t)((math_wide)a * b % p));
            a = math_field_hash(7, (uint64_t)k, a, b, p) - (uint64_t)(k % 2);
            b = k % 3 ? math_field_hash(9, (uint64_t)k, a, b, p) : p - (uint64_t)k - 1;
        }
    }
}

static void inverses_undo(void **state)
{
    (void)state;
    for (int i = 0; i < MATH_FIELD_PRIMES; i++) {
        uint64_t p = math_field_primes[i];
        for (uint64_t a = 1; a < p / 3; a = a * 5 + 3) {
            assert_true(math_field_mul(a, math_field_inverse(a, p), p) == 1);
            assert_true(math_field_sub(math_field_add(a, p - 7, p), p - 7, p) == a);
        }
    }
    assert_true(math_field_of(-1, math_field_primes[0]) == math_field_primes[0] - 1);
    assert_true(math_field_of(INT64_MIN, 1000003) == (uint64_t)(1000003 - 9223372036854775808u % 1000003));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_promised_roots_are_there),
        cmocka_unit_test(half_of_all_have_no_root),
        cmocka_unit_test(products_are_reduced),
        cmocka_unit_test(inverses_undo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

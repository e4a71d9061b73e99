/* tests/kernels/rng_test.c - Philox against its authors' known answers; numbers of streams.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/rng.h"

#include "tests/kernels/fixture.h"

/* The known-answer vectors published with Random123 for philox4x32 with 10 rounds. */
static void philox_gives_the_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t got[4];
        rng_philox(got, cases[i].counter, cases[i].key);
        assert_memory_equal(got, cases[i].want, sizeof got);
    }
}

static void a_stream_is_philox_at_its_counter(void **state)
{
    (void)state;
    struct rng rng = rng_stream(0x123456789abcdef0u, 0xfedcba9876543210u);
    rng.n = 0x500000000u * 4 - 2; /* a carry into the counter's second word lies in between */
    for (int i = 0; i < 9; i++) {
        uint64_t block = rng.n / 4, word = rng.n % 4;
        uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), 0x76543210u, 0xfedcba98u}, want[4];
        rng_philox(want, counter, (uint32_t[]){0x9abcdef0u, 0x12345678u});
        assert_int_equal(rng_u32(&rng), want[word]);
    }
}

static void streams_and_seeds_differ(void **state)
{
    (void)state;
    struct rng a = rng_stream(1, 2), b = rng_stream(1, 3), c = rng_stream(2, 2), again = rng_stream(1, 2);
    int same_b = 0, same_c = 0;
    for (int i = 0; i < 100; i++) {
        uint32_t x = rng_u32(&a);
        same_b += x == rng_u32(&b);
        same_c += x == rng_u32(&c);
        assert_int_equal(x, rng_u32(&again));
    }
    assert_int_equal(same_b + same_c, 0);
}

static void bounded_numbers_are_uniform(void **state)
{
    (void)state;
    static const uint32_t bounds[] = {1, 2, 3, 7, 10, 100};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        enum { DRAWS = 50000 };
        uint32_t bound = bounds[i], counts[100] = {0};
        struct rng rng = rng_stream(5, i);
        for (int k = 0; k < DRAWS; k++) {
            uint32_t x = rng_below(&rng, bound);
            assert_true(x < bound);
            counts[x]++;
        }
        double chi = 0, expected = (double)DRAWS / bound;
        for (uint32_t k = 0; k < bound; k++) {
            chi += (counts[k] - expected) * (counts[k] - expected) / expected;
        }
        assert_true(chi <= (bound - 1) + 5 * sqrt(2.0 * bound)); /* five deviations */
    }
}

/* For a bound of 3 2^30 a plain product would draw each number of one residue twice as often: 2^32 / bound is 4/3. */
static void large_bounds_are_unbiased(void **state)
{
    (void)state;
    enum { DRAWS = 30000 };
    struct rng rng = rng_stream(6, 0);
    int residues[3] = {0};
    for (int i = 0; i < DRAWS; i++) {
        residues[rng_below(&rng, 3u << 30) % 3]++;
    }
    for (int i = 0; i < 3; i++) {
        assert_true(abs(residues[i] - DRAWS / 3) < 500); /* deviation 82 */
    }
}

static void doubles_and_normals_have_their_moments(void **state)
{
    (void)state;
    enum { DRAWS = 100000 };
    struct rng rng = rng_stream(7, 0);
    double sum = 0, square = 0, normal = 0, normal2 = 0, normal4 = 0;
    for (int i = 0; i < DRAWS; i++) {
        double u = rng_double(&rng), z = (double)rng_normal(&rng);
        assert_true(u >= 0 && u < 1);
        assert_true(isfinite(z));
        sum += u;
        square += u * u;
        normal += z;
        normal2 += z * z;
        normal4 += z * z * z * z;
    }
    assert_near(sum / DRAWS, 0.5, 0.005, "mean", 0);
    assert_near(square / DRAWS, 1.0 / 3, 0.005, "square", 0);
    assert_near(normal / DRAWS, 0, 0.016, "normal mean", 0);
    assert_near(normal2 / DRAWS, 1, 0.025, "normal variance", 0);
    assert_near(normal4 / DRAWS, 3, 0.06, "normal kurtosis", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_known_answers), cmocka_unit_test(a_stream_is_philox_at_its_counter),
        cmocka_unit_test(streams_and_seeds_differ),       cmocka_unit_test(bounded_numbers_are_uniform),
        cmocka_unit_test(large_bounds_are_unbiased),      cmocka_unit_test(doubles_and_normals_have_their_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

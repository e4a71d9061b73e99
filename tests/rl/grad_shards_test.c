/* tests/rl/grad_shards_test.c - the tree of one rank, compared with the tree written out.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/grad_shards.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/rng.h"

#define N 64

/* Number k of the gradient of shard i. */
static float leaf(int i, size_t k)
{
    struct rng rng = rng_stream(7, (uint64_t)(i * N) + k);
    return (float)rng_below(&rng, 1u << 30) * 0x1p-28f - 2.0f;
}

static float tree(int first, int n, size_t k)
{
    return n == 1 ? leaf(first, k) : tree(first, n / 2, k) + tree(first + n / 2, n / 2, k);
}

static void one_rank_adds_a_tree(void **state)
{
    (void)state;
    struct device *device = NULL;
    assert_int_equal(device_open(&device, "cpu"), ERR_NONE);
    for (int n = 1; n <= 64; n *= 2) {
        struct model model = {.device = device};
        struct grad_shards shards;
        model.params.n = model.params.n_trained = N;
        model.params.grads = device_alloc_in(device, DEVICE_TRAINING, N * sizeof(float), "gradients");
        grad_shards_init(&shards, &model, n, 0, 1, NULL);
        assert_int_equal(1 << shards.n_partial, n); /* log2 of the shards, and none for one */
        for (int i = 0; i < n; i++) {
            for (size_t k = 0; k < N; k++) {
                model.params.grads[k] = leaf(i, k);
            }
            grad_shards_add(&shards, i);
        }
        assert_int_equal(grad_shards_sum(&shards), ERR_NONE);
        for (size_t k = 0; k < N; k++) {
            float want = tree(0, n, k);
            assert_memory_equal(&model.params.grads[k], &want, sizeof want);
        }
        grad_shards_release(&shards);
        device_free(device, model.params.grads);
    }
    device_close(device);
}

static void a_rank_holds_the_sums_of_its_own_shards_alone(void **state)
{
    (void)state;
    struct device *device = NULL;
    assert_int_equal(device_open_planning(&device, "cpu", 0), ERR_NONE);
    for (int n_ranks = 1; n_ranks <= 8; n_ranks *= 2) {
        struct model model = {.device = device};
        struct grad_shards shards;
        model.params.n = model.params.n_trained = N;
        grad_shards_init(&shards, &model, 8, n_ranks - 1, n_ranks, NULL);
        assert_int_equal((1 << shards.n_partial) * n_ranks, 8);
        assert_int_equal(shards.first + shards.n_own, 8);
        grad_shards_release(&shards);
    }
    device_close(device);
}

/* Every piece has a shard, in order; pieces of one size are cut evenly; what is large has its middle's. */
static void pieces_are_cut_evenly(void **state)
{
    (void)state;
    for (int n = 1; n <= 16; n *= 2) {
        for (int i = 0; i < 32; i++) {
            assert_int_equal(grad_shards_of(n, i * 5, 5, 160), i * n / 32);
        }
    }
    assert_int_equal(grad_shards_of(4, 0, 100, 100), 2);
    assert_int_equal(grad_shards_of(4, 99, 1, 100), 3);
    assert_int_equal(grad_shards_of(1, 0, 1, 1), 0);
    assert_int_equal(grad_shards_of(1024, (int64_t)1 << 40, 1, ((int64_t)1 << 40) + 1), 1023);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_rank_adds_a_tree),
        cmocka_unit_test(a_rank_holds_the_sums_of_its_own_shards_alone),
        cmocka_unit_test(pieces_are_cut_evenly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

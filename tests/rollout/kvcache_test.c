/* tests/rollout/kvcache_test.c - pages are handed out once, counted, and come back.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/rng.h"
#include "rollout/kvcache.h"

static void every_page_is_taken_once(void **state)
{
    (void)state;
    struct kvcache cache;
    bool seen[5] = {false};
    kvcache_init(&cache, 5);
    for (int i = 0; i < 5; i++) {
        int32_t page = kvcache_take(&cache);
        assert_in_range(page, 0, 4);
        assert_false(seen[page]);
        seen[page] = true;
    }
    assert_int_equal(kvcache_take(&cache), -1);
    assert_int_equal(kvcache_used(&cache), 5);
    kvcache_give_back(&cache, 3);
    assert_int_equal(kvcache_used(&cache), 4);
    assert_int_equal(kvcache_take(&cache), 3);
    assert_int_equal(cache.peak_used, 5);
    kvcache_release(&cache);
}

static void a_shared_page_is_free_after_its_last_holder(void **state)
{
    (void)state;
    struct kvcache cache;
    kvcache_init(&cache, 2);
    int32_t page = kvcache_take(&cache);
    kvcache_share(&cache, page);
    kvcache_share(&cache, page);
    for (int holders = 3; holders > 0; holders--) {
        assert_int_equal(kvcache_used(&cache), 1);
        kvcache_give_back(&cache, page);
    }
    assert_int_equal(kvcache_used(&cache), 0);
    kvcache_release(&cache);
}

/* Against a plain count of holders. */
static void random_use_agrees_with_a_count(void **state)
{
    (void)state;
    enum { N = 9 };
    struct kvcache cache;
    struct rng rng = rng_stream(1, 2);
    int holders[N] = {0}, used = 0;
    kvcache_init(&cache, N);
    for (int i = 0; i < 20000; i++) {
        int32_t page = (int32_t)rng_below(&rng, N);
        switch (rng_below(&rng, 3)) {
        case 0:
            page = kvcache_take(&cache);
            assert_int_equal(page == -1, used == N);
            if (page >= 0) {
                assert_int_equal(holders[page]++, 0);
                used++;
            }
            break;
        case 1:
            if (holders[page] > 0) {
                kvcache_share(&cache, page);
                holders[page]++;
            }
            break;
        default:
            if (holders[page] > 0) {
                kvcache_give_back(&cache, page);
                used -= --holders[page] == 0;
            }
        }
        assert_int_equal(kvcache_used(&cache), used);
    }
    kvcache_release(&cache);
}

static void pages_of_a_length(void **state)
{
    (void)state;
    static const int cases[][2] = {{0, 0}, {1, 1}, {127, 1}, {128, 1}, {129, 2}, {256, 2}, {257, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(kvcache_pages(cases[i][0]), cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_page_is_taken_once),
        cmocka_unit_test(a_shared_page_is_free_after_its_last_holder),
        cmocka_unit_test(random_use_agrees_with_a_count),
        cmocka_unit_test(pages_of_a_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/kernels/kv_test.c - where keys and values lie in their pages.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ops.h"

#include "tests/kernels/fixture.h"

enum { J = 3, D = 48, PAGES = 6, STRIDE = J * D + 5, ROWS = 300 };
static const int value_widths[] = {0, 32, 48}; /* 0: D */
enum { WIDTHS = sizeof value_widths / sizeof *value_widths };

static int width_of(int Dv)
{
    return Dv > 0 ? Dv : D;
}

static size_t pool_size(int width)
{
    return PAGES * ops_page_elements(J, width);
}

/* A pool whose every float is its own number, so that a stray write shows. */
static float *numbered_pool(int width)
{
    float *pool = mem_alloc(pool_size(width) * sizeof *pool);
    for (size_t i = 0; i < pool_size(width); i++) {
        pool[i] = (float)i + 0.5f;
    }
    return pool;
}

static size_t k_at(int page, int j, int i, int slot)
{
    return (size_t)page * ops_page_elements(J, D) + (size_t)((j * D + i) * OPS_PAGE + slot);
}

static size_t v_at(int width, int page, int j, int i, int slot)
{
    return (size_t)page * ops_page_elements(J, width) + (size_t)((j * OPS_PAGE + slot) * width + i);
}

static void check_store(const struct tables *tables, int Dv)
{
    int width = width_of(Dv);
    static const int32_t pages_a[] = {4, 1}, pages_b[] = {5, 5, 0};
    /* across a page's end; one row at a page's begin; a whole page */
    const struct span spans[] = {{10, 100, 70, pages_a}, {3, 1, 256, pages_b}, {130, 128, 0, (int32_t[]){2}}};
    float *k = random_floats(ROWS * STRIDE, 1, 1), *v = random_floats(ROWS * STRIDE, 1, 2);
    float *want_k = numbered_pool(D), *want_v = numbered_pool(width);
    for (int s = 0; s < 3; s++) {
        for (int r = 0; r < spans[s].n_rows; r++) {
            int page = spans[s].pages[(spans[s].position + r) / 128], slot = (spans[s].position + r) % 128;
            for (int x = 0; x < J * D; x++) {
                want_k[k_at(page, x / D, x % D, slot)] = k[(spans[s].row + r) * STRIDE + x];
            }
            for (int x = 0; x < J * width; x++) {
                want_v[v_at(width, page, x / width, x % width, slot)] = v[(spans[s].row + r) * STRIDE + x];
            }
        }
    }
    for (int table = 0; table < tables->n; table++) {
        for (int threads = 1; threads <= 3; threads++) {
            device_set_threads(threads);
            float *k_pool = numbered_pool(D), *v_pool = numbered_pool(width);
            tables->ops[table]->kv_store(&(struct kv_store_args){3, spans, J, D, Dv, k, v, STRIDE, k_pool, v_pool});
            assert_same_bits(k_pool, want_k, pool_size(D), "keys");
            assert_same_bits(v_pool, want_v, pool_size(width), "values");
            free(k_pool);
            free(v_pool);
        }
    }
    free(k);
    free(v);
    free(want_k);
    free(want_v);
}

static void rows_land_in_their_slots(void **state)
{
    for (int i = 0; i < WIDTHS; i++) {
        check_store(*state, value_widths[i]);
    }
}

static void check_copy(const struct tables *tables, int Dv)
{
    int width = width_of(Dv);
    static const int counts[] = {0, 1, 77, 128};
    for (int c = 0; c < 4; c++) {
        float *want_k = numbered_pool(D), *want_v = numbered_pool(width);
        for (int slot = 0; slot < counts[c]; slot++) {
            for (int x = 0; x < J * D; x++) {
                want_k[k_at(1, x / D, x % D, slot)] = want_k[k_at(4, x / D, x % D, slot)];
            }
            for (int x = 0; x < J * width; x++) {
                want_v[v_at(width, 1, x / width, x % width, slot)] = want_v[v_at(width, 4, x / width, x % width, slot)];
            }
        }
        for (int table = 0; table < tables->n; table++) {
            float *k_pool = numbered_pool(D), *v_pool = numbered_pool(width);
            tables->ops[table]->kv_copy(&(struct kv_copy_args){J, D, Dv, counts[c], 4, 1, k_pool, v_pool});
            assert_same_bits(k_pool, want_k, pool_size(D), "keys");
            assert_same_bits(v_pool, want_v, pool_size(width), "values");
            free(k_pool);
            free(v_pool);
        }
        free(want_k);
        free(want_v);
    }
}

static void a_page_is_copied_up_to_n(void **state)
{
    for (int i = 0; i < WIDTHS; i++) {
        check_copy(*state, value_widths[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_land_in_their_slots),
        cmocka_unit_test(a_page_is_copied_up_to_n),
    };
    return cmocka_run_group_tests(tests, tables_open, tables_close);
}

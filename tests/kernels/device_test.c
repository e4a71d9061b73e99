/* tests/kernels/device_test.c - opening devices, their memory, their threads, and memory of a thread.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/device.h"

#include <pthread.h>

#include "kernels/scratch.h"
#include "tests/kernels/fixture.h"

static void names_open_their_tables(void **state)
{
    const struct tables *tables = *state;
    assert_string_equal(tables->ops[0]->name, "cpu/scalar");
    struct device *device = NULL;
    assert_int_equal(device_open(&device, "auto"), ERR_NONE);
    assert_ptr_equal(device->ops, tables->ops[tables->n - 1]);
    assert_int_equal(device->element_bytes, sizeof(float));
    device_close(device);
    assert_int_equal(device_open(&device, "cpu"), ERR_NONE);
    assert_ptr_equal(device->ops, tables->ops[tables->n - 1]);
    device_close(device);
    device_close(NULL);
}

static void unknown_devices_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"", "gpu", "cpu/", "cpu/neon", "avx2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct device *device = (struct device *)state;
        assert_int_equal(device_open(&device, names[i]), ERR_DEVICE);
        assert_ptr_equal(device, state); /* untouched */
        assert_non_null(strstr(err_text(), "cpu/scalar"));
    }
}

static void memory_is_zeroed_aligned_and_counted(void **state)
{
    struct device *device = ((const struct tables *)*state)->devices[0];
    size_t sizes[] = {0, 1, 63, 64, 65, 100000}, total = 0;
    uint8_t *slices[6];
    for (int i = 0; i < 6; i++) {
        slices[i] = device_alloc(device, sizes[i], i % 2 ? "odd" : "even");
        total += sizes[i];
        assert_int_equal((uintptr_t)slices[i] % 64, 0);
        for (size_t k = 0; k < sizes[i]; k++) {
            assert_int_equal(slices[i][k], 0);
        }
        memset(slices[i], 0xA5, sizes[i]);
    }
    assert_int_equal(device_bytes(device), total);
    device_free(device, slices[2]);
    device_free(device, slices[5]);
    device_free(device, NULL);
    assert_int_equal(device_bytes(device), total - 63 - 100000);
    for (int i = 0; i < 5; i++) {
        if (i != 2) {
            device_free(device, slices[i]);
        }
    }
    assert_int_equal(device_bytes(device), 0);
}

static void the_report_sums_by_label(void **state)
{
    struct device *device = ((const struct tables *)*state)->devices[0];
    void *a = device_alloc(device, 1 << 20, "weights"), *b = device_alloc(device, 1 << 19, "cache");
    void *c = device_alloc(device, 1 << 20, "weights");
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    device_report(device, out);
    fclose(out);
    const char *weights = strstr(text, "weights"), *cache = strstr(text, "cache");
    assert_non_null(weights);
    assert_non_null(cache);
    assert_true(weights < cache);
    assert_null(strstr(weights + 1, "weights"));
    assert_non_null(strstr(weights, "2         2.0 MiB"));
    assert_non_null(strstr(cache, "1         0.5 MiB"));
    assert_non_null(strstr(text, "2.5 MiB"));
    free(text);
    device_free(device, a);
    device_free(device, b);
    device_free(device, c);
}

static void bytes_travel(void **state)
{
    struct device *device = ((const struct tables *)*state)->devices[0];
    char *a = device_alloc(device, 16, "a"), *b = device_alloc(device, 16, "b"), back[16];
    device_write(device, a, "fifteen letters", 16);
    device_copy(device, b, a, 16);
    device_zero(device, a, 8);
    device_read(device, back, b, 16);
    assert_string_equal(back, "fifteen letters");
    assert_memory_equal(a, "\0\0\0\0\0\0\0\0letters", 16);
    device_free(device, a);
    device_free(device, b);
}

static void threads_are_set(void **state)
{
    (void)state;
    device_set_threads(3);
    assert_int_equal(device_threads(), 3);
    assert_int_equal(cpu_threads_for(1e9), 3);
    assert_int_equal(cpu_threads_for(10), 1);
    int inside = 0;
#pragma omp parallel num_threads(2) reduction(+ : inside)
    inside += cpu_threads_for(1e9);
    assert_int_equal(inside, 2); /* one each */
    device_set_threads(0);
    assert_true(device_threads() >= 1);
}

static void *scratch_elsewhere(void *out)
{
    *(float **)out = cpu_scratch(SCRATCH_TILE, 100);
    (*(float **)out)[99] = 1;
    return NULL;
}

static void scratch_is_kept_and_of_a_thread(void **state)
{
    (void)state;
    float *mine = cpu_scratch(SCRATCH_TILE, 100), *rows = cpu_scratch(SCRATCH_ROWS, 100), *theirs = NULL;
    assert_int_equal((uintptr_t)mine % 64, 0);
    mine[99] = 3;
    rows[99] = 4;
    assert_ptr_equal(cpu_scratch(SCRATCH_TILE, 7), mine);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, scratch_elsewhere, &theirs), 0);
    pthread_join(thread, NULL);
    assert_true(theirs != mine);
    assert_true(mine[99] > 2 && rows[99] > 3);
    cpu_scratch(SCRATCH_TILE, 100000)[99999] = 5;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_open_their_tables),
        cmocka_unit_test(unknown_devices_are_refused),
        cmocka_unit_test(memory_is_zeroed_aligned_and_counted),
        cmocka_unit_test(the_report_sums_by_label),
        cmocka_unit_test(bytes_travel),
        cmocka_unit_test(threads_are_set),
        cmocka_unit_test(scratch_is_kept_and_of_a_thread),
    };
    return cmocka_run_group_tests(tests, tables_open, tables_close);
}

/* tests/kernels/device_test.c - opening devices, their memory, their threads, and memory of a thread.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/device.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

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

/* ---- layouts ---- */

struct slices {
    char *weights, *cache, *scratch, *grads;
};

static struct slices lay_out(struct device *device)
{
    struct slices s;
    s.weights = device_alloc(device, 1000, "weights");
    s.cache = device_alloc_in(device, DEVICE_ROLLOUT, 5000, "cache");
    s.grads = device_alloc_in(device, DEVICE_TRAINING, 3000, "gradients");
    s.scratch = device_alloc_in(device, DEVICE_ROLLOUT, 100, "scratch");
    return s;
}

static struct device *open_with_plan(struct device **plan)
{
    struct device *device = NULL;
    assert_int_equal(device_open_planning(plan, "cpu", 1 << 20), ERR_NONE);
    assert_int_equal(device_open(&device, "cpu"), ERR_NONE);
    lay_out(*plan);
    assert_int_equal(device_reserve(device, *plan), ERR_NONE);
    return device;
}

static void two_layouts_share_one_piece(void **state)
{
    (void)state;
    struct device *plan = NULL, *device = open_with_plan(&plan);
    struct slices s = lay_out(device);
    assert_int_equal(device->n_allocations, 1);
    assert_int_equal(device->taken, device_plan_bytes(plan));
    assert_int_equal(device->taken, device->cut[DEVICE_ALWAYS] + device->cut[DEVICE_ROLLOUT]);
    assert_memory_equal(device->cut, plan->cut, sizeof plan->cut);
    assert_ptr_equal(s.cache, s.grads);
    assert_true(s.weights + 1000 <= s.cache && s.cache + 5000 <= s.scratch);
    assert_true(s.scratch + 100 <= device->region + device->taken);
    assert_int_equal((uintptr_t)s.scratch % 64, 0);
    assert_true(device_holds(device, DEVICE_ALWAYS) && !device_holds(device, DEVICE_ROLLOUT));
    memset(s.weights, 7, 1000);
    for (int turn = 0; turn < 3; turn++) {
        device_use(device, DEVICE_ROLLOUT);
        assert_true(device_holds(device, DEVICE_ROLLOUT) && !device_holds(device, DEVICE_TRAINING));
        memset(s.cache, 1, 5000);
        memset(s.scratch, 2, 100);
        device_use(device, DEVICE_ROLLOUT); /* it is active already */
        assert_int_equal(s.cache[4999], 1);
        device_use(device, DEVICE_TRAINING);
        memset(s.grads, 3, 3000);
    }
    assert_int_equal(s.weights[0] + s.weights[999], 14);
    assert_int_equal(device->n_allocations, 1);
    assert_int_equal(device->max_taken, device_plan_bytes(plan));
    device_close(device);
    device_close(plan);
}

static void more_than_was_planned_is_a_bug(void **state)
{
    (void)state;
    struct device *plan = NULL, *device = open_with_plan(&plan);
    lay_out(device);
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr)) {
            _exit(0);
        }
        signal(SIGABRT, SIG_DFL);
        device_alloc_in(device, DEVICE_TRAINING, 2300, "one more"); /* less than the cache, but not planned */
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    device_close(device);
    device_close(plan);
}

static void without_a_plan_nothing_is_shared(void **state)
{
    (void)state;
    struct device *device = NULL;
    assert_int_equal(device_open(&device, "cpu"), ERR_NONE);
    struct slices s = lay_out(device);
    assert_int_equal(device->n_allocations, 4);
    assert_int_equal(device->taken, 1000 + 5000 + 3000 + 100);
    device_use(device, DEVICE_ROLLOUT);
    memset(s.cache, 1, 5000);
    device_use(device, DEVICE_TRAINING);
    memset(s.grads, 2, 3000);
    assert_true(device_holds(device, DEVICE_ROLLOUT));
    assert_int_equal(s.cache[0] + s.cache[4999], 2);
    device_free(device, s.cache);
    assert_int_equal(device->taken, 1000 + 3000 + 100);
    assert_int_equal(device->max_taken, 1000 + 5000 + 3000 + 100);
    device_close(device);
}

/* In builds for debugging what the other phase left cannot be mistaken for contents. */
static void contents_do_not_survive_a_change_of_phase(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    struct device *plan = NULL, *device = open_with_plan(&plan);
    struct slices s = lay_out(device);
    assert_true(__asan_address_is_poisoned(s.cache));
    device_use(device, DEVICE_ROLLOUT);
    assert_false(__asan_address_is_poisoned(s.cache + 4999));
    assert_true(__asan_address_is_poisoned(s.cache + 5000));
    float x;
    memcpy(&x, s.cache, sizeof x);
    assert_true(isnan(x));
    memset(s.cache, 0, 5000);
    device_use(device, DEVICE_TRAINING);
    memcpy(&x, s.grads, sizeof x);
    assert_true(isnan(x));
    assert_false(__asan_address_is_poisoned(s.weights));
    assert_true(__asan_address_is_poisoned(s.weights + 1000));
    assert_true(__asan_address_is_poisoned(s.scratch));
    device_close(device);
    device_close(plan);
#else
    skip();
#endif
}

static void a_gpu_has_a_number(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int index; /* -1: the name means no GPU */
    } cases[] = {{"cuda", 0},        {"cuda:0", 0},   {"cuda:7", 7}, {"cuda:12", 12}, {"cuda:", -1},
                 {"cuda:x", -1},     {"cuda:1x", -1}, {"cuda1", -1}, {"cuda:-1", -1}, {"cuda: 1", -1},
                 {"cuda:12345", -1}, {"auto", -1},    {"cpu", -1},   {"", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int index = -1;
        assert_int_equal(device_names_gpu(cases[i].name, &index), cases[i].index >= 0);
        assert_int_equal(index, cases[i].index);
        if (cases[i].index >= 0) {
            struct device *plan;
            assert_int_equal(device_open_planning(&plan, cases[i].name, 0), ERR_NONE);
            assert_ptr_equal(plan->kind, &device_gpu);
            assert_int_equal(plan->index, index);
            device_close(plan);
        } else if (strncmp(cases[i].name, "cuda", 4) == 0) {
            struct device *device;
            assert_int_equal(device_open(&device, cases[i].name), ERR_DEVICE);
            assert_non_null(strstr(err_text(), "cuda:N"));
        }
    }
}

static void a_planning_device_adds_up(void **state)
{
    (void)state;
    struct device *plan = NULL;
    char *text = NULL, letter = 'a';
    size_t size = 0;
    assert_int_equal(device_open_planning(&plan, "cpu/neon", 0), ERR_DEVICE);
    assert_int_equal(device_open_planning(&plan, "gpu", 0), ERR_NONE); /* of any shape */
    assert_true(plan->element_bytes == 2 && plan->kind->limits.max_D == 0 && plan->kind->limits.max_experts == 0);
    device_close(plan);
    assert_int_equal(device_open_planning(&plan, "cuda", (size_t)80 << 30), ERR_NONE); /* on every machine */
    assert_true(device_plans(plan));
    assert_int_equal(plan->element_bytes, 2);
    assert_int_equal(plan->ops->matrix_elements(3, 5), 16);
    assert_int_equal(device_free_bytes(plan), (size_t)80 << 30);
    void *weights = device_alloc(plan, (size_t)60 << 30, "weights");
    void *cache = device_alloc_in(plan, DEVICE_ROLLOUT, (size_t)9 << 30, "cache");
    void *grads = device_alloc_in(plan, DEVICE_TRAINING, (size_t)7 << 30, "gradients");
    device_write(plan, weights, &letter, 1);
    device_copy(plan, weights, cache, 1);
    device_zero(plan, weights, (size_t)60 << 30);
    device_use(plan, DEVICE_TRAINING);
    assert_true(device_plan_bytes(plan) >= (size_t)69 << 30 && device_plan_bytes(plan) < ((size_t)69 << 30) + 2048);
    assert_int_equal(plan->n_allocations, 0);
    FILE *out = open_memstream(&text, &size);
    device_report(plan, out);
    fclose(out);
    static const char *const lines[] = {"weights",        "61440.0 MiB", "while sampling", "cache",
                                        "while training", "gradients",   "total",          "70656.0 MiB"};
    const char *at = text;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        at = strstr(at, lines[i]);
        assert_non_null(at);
    }
    free(text);
    device_free(plan, cache);
    assert_true(device_plan_bytes(plan) >= (size_t)67 << 30 && device_plan_bytes(plan) < ((size_t)67 << 30) + 2048);
    device_free(plan, grads);
    device_close(plan);
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
        cmocka_unit_test(two_layouts_share_one_piece),
        cmocka_unit_test(more_than_was_planned_is_a_bug),
        cmocka_unit_test(without_a_plan_nothing_is_shared),
        cmocka_unit_test(contents_do_not_survive_a_change_of_phase),
        cmocka_unit_test(a_gpu_has_a_number),
        cmocka_unit_test(a_planning_device_adds_up),
        cmocka_unit_test(threads_are_set),
        cmocka_unit_test(scratch_is_kept_and_of_a_thread),
    };
    return cmocka_run_group_tests(tests, tables_open, tables_close);
}

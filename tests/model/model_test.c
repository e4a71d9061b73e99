/* tests/model/model_test.c - models are made, copied and closed; rope tables; the count of operations.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/model/fixture.h"

#include <math.h>

static float *read_weights(const struct model *model, struct arena *arena)
{
    float *host = ARENA_NEW(arena, float, model->params.n);
    device_read(model->device, host, model->params.data, model->params.n * sizeof *host);
    return host;
}

static struct model *new_model(enum fixture_family family, struct device *device, uint64_t seed)
{
    struct model *model = NULL;
    struct model_config config = fixture_config(family);
    FIXTURE_ASSERT(model_new(&model, &config, NULL, device, 0, seed));
    return model;
}

static void random_weights_are_a_function_of_the_seed(void **state)
{
    struct device *device = *state;
    struct arena arena = ARENA_INIT;
    static const struct {
        uint64_t seed;
        int threads;
        bool same;
    } cases[] = {{11, 1, true}, {11, 3, true}, {12, 1, false}, {11 + (1ull << 32), 1, false}};
    struct model *first = new_model(FAMILY_QWEN3, device, 11);
    float *want = read_weights(first, &arena);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        device_set_threads(cases[i].threads);
        struct model *model = new_model(FAMILY_QWEN3, device, cases[i].seed);
        bool same = memcmp(want, read_weights(model, &arena), model->params.n * sizeof *want) == 0;
        assert_true(same == cases[i].same);
        model_close(model);
    }
    device_set_threads(0);
    model_close(first);
    arena_release(&arena);
}

/* Mean and deviation of each tensor; the smaller deviation at the ends of branches; padding stays zero. */
static void random_weights_have_the_stated_size(void **state)
{
    struct device *device = *state;
    struct model *model = new_model(FAMILY_QWEN2, device, 1);
    for (int i = 0; i < model->params.n_parts; i++) {
        struct part part = part_of(model, i), *w = &part;
        int n = (int)w->n;
        float *rows = mem_alloc((size_t)n * sizeof *rows);
        params_export(&model->params, device, w->param, rows, w->row, w->rows);
        double sum = 0, squares = 0;
        for (int k = 0; k < n; k++) {
            sum += (double)rows[k];
            squares += (double)rows[k] * (double)rows[k];
        }
        if (w->cols == 0) {
            assert_true(sum == (w->is_norm ? n : 0));
            assert_true(squares == (w->is_norm ? n : 0));
        } else {
            bool ends = strstr(w->name, "o_proj") || strstr(w->name, "down_proj");
            double deviation = ends ? 0.02 / sqrt(4) : 0.02; /* two layers */
            assert_true(fabs(sum / n) < 4 * deviation / sqrt(n));
            assert_true(fabs(sqrt(squares / n) / deviation - 1) < 4 / sqrt(2.0 * n));
        }
        free(rows);
    }
    model_close(model);
}

static void a_clone_is_equal_and_apart(void **state)
{
    struct device *device = *state;
    struct arena arena = ARENA_INIT;
    struct model *model = new_model(FAMILY_LLAMA, device, 3), *clone = NULL;
    FIXTURE_ASSERT(model_clone(&clone, model));
    size_t bytes = model->params.n * sizeof(float);
    float *before = read_weights(model, &arena), *changed = read_weights(model, &arena);
    assert_memory_equal(before, read_weights(clone, &arena), bytes);
    for (size_t i = 0; i < model->params.n; i++) {
        changed[i] *= 1.5f;
    }
    device_write(device, model->params.data, changed, bytes);
    assert_memory_equal(before, read_weights(clone, &arena), bytes);
    model_copy_weights(clone, model);
    assert_memory_equal(changed, read_weights(clone, &arena), bytes);

    struct sequences *s = ARENA_NEW(&arena, struct sequences, 1);
    fixture_add(s, &arena, 20, -1, 0);
    const float *a = fixture_hidden(model, s, &fixture_whole, &arena);
    const float *b = fixture_hidden(clone, s, &fixture_whole, &arena); /* buffers of its own */
    assert_memory_equal(a, b, 20 * (size_t)model->config.d * sizeof *a);
    model_close(clone);
    assert_memory_equal(a, fixture_hidden(model, s, &fixture_whole, &arena), 20 * (size_t)model->config.d * sizeof *a);
    model_close(model);
    model_close(NULL);
    arena_release(&arena);
}

static void rope_tables_are_cos_and_sin(void **state)
{
    struct device *device = *state;
    struct model *model = new_model(FAMILY_LLAMA, device, 1);
    assert_int_equal(model->max_positions, 512);
    float cosines[8], sines[8];
    static const int positions[] = {0, 1, 137, 511};
    for (int i = 0; i < 4; i++) {
        device_read(device, cosines, model->rope_cos + positions[i] * 8, sizeof cosines);
        device_read(device, sines, model->rope_sin + positions[i] * 8, sizeof sines);
        for (int k = 0; k < 8; k++) {
            double angle = positions[i] * pow(10000, -2.0 * k / 16);
            assert_true(fabs((double)cosines[k] - cos(angle)) < 1e-7);
            assert_true(fabs((double)sines[k] - sin(angle)) < 1e-7);
        }
    }
    model_close(model);
}

static void what_cannot_be_is_refused(void **state)
{
    struct device *device = *state;
    struct model *const untouched = (struct model *)state;
    struct model *model = untouched;
    struct model_config config = fixture_config(FAMILY_QWEN2);
    assert_int_equal(model_new(&model, &config, NULL, device, 513, 1), ERR_LIMIT);
    assert_non_null(strstr(err_text(), "513"));
    config.F = 40;
    assert_int_equal(model_new(&model, &config, NULL, device, 0, 1), ERR_LIMIT);
    assert_non_null(strstr(err_text(), "intermediate_size"));
    config = fixture_config(FAMILY_QWEN2);
    config.D = 12;
    assert_int_equal(model_new(&model, &config, NULL, device, 0, 1), ERR_LIMIT);
    assert_string_equal(err_text(), "new model: head_dim is 12, and only multiples of 16 are supported");
    assert_int_not_equal(model_open(&model, "/nonexistent/model", device, 0), ERR_NONE);
    assert_non_null(strstr(err_text(), "/nonexistent/model"));
    assert_ptr_equal(model, untouched);
    assert_int_equal(device_bytes(device), 0);
}

/* The limits of a GPU, on the CPU. */
static void shapes_beyond_the_device_are_refused(void **state)
{
    struct device *device = *state;
    const struct device_kind *kind = device->kind;
    const struct model_config config = fixture_config(FAMILY_QWEN2); /* d 40, H 4, J 2, D 16 */
    static const struct {
        struct ops_limits limits;
        const char *error; /* NULL: the shape is taken */
    } cases[] = {
        {{.max_D = 16, .max_group = 2, .multiple_d = 8}, NULL},
        {{.max_D = 15}, "new model: head_dim is 16, and the device small takes at most 15"},
        {{.max_group = 1}, "new model: 2 attention heads share a key/value head, and the device small takes at most 1"},
        {{.multiple_d = 16}, "new model: hidden_size is 40, and the device small takes only multiples of 16"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model *model = NULL;
        struct device_kind small = *kind;
        small.name = "small";
        small.limits = cases[i].limits;
        device->kind = &small;
        enum err result = model_new(&model, &config, NULL, device, 0, 1);
        device->kind = kind;
        assert_int_equal(result, cases[i].error ? ERR_DEVICE : ERR_NONE);
        if (cases[i].error) {
            assert_non_null(strstr(err_text(), cases[i].error));
            assert_non_null(strstr(err_text(), "use --device=cpu"));
            assert_null(model);
        }
        model_close(model);
        assert_int_equal(device_bytes(device), 0);
    }
}

static void max_positions_are_chosen(void **state)
{
    struct device *device = *state;
    static const struct {
        int allowed, wanted, got;
    } cases[] = {{512, 0, 512}, {512, 100, 100}, {512, 512, 512}, {100000, 0, 32768}, {100000, 40000, 40000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_config config = fixture_config(FAMILY_LLAMA);
        struct model *model = NULL;
        config.max_positions = cases[i].allowed;
        FIXTURE_ASSERT(model_new(&model, &config, NULL, device, cases[i].wanted, 1));
        assert_int_equal(model->max_positions, cases[i].got);
        model_close(model);
    }
}

/* Counted by hand: 2 layers, d 40, H 4, J 2, D 16, F 48, V 203. */
static void flops_are_counted(void **state)
{
    (void)state;
    struct model_config config = fixture_config(FAMILY_QWEN2);
    double layer = 40 * 128 + 64 * 40 + 3 * 40 * 48, weights = 2 * layer + 40 * 203;
    assert_true(model_flops(&config, 1, 0) == 2 * weights + 4 * 64 * 2);
    assert_true(model_flops(&config, 1, 9) == 2 * weights + 4 * 64 * 2 * 10);
    assert_true(model_flops(&config, 10, 0) == 20 * weights + 4 * 64 * 2 * 55);
    double in_parts = model_flops(&config, 4, 0) + model_flops(&config, 6, 4);
    assert_true(fabs(in_parts / model_flops(&config, 10, 0) - 1) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_weights_are_a_function_of_the_seed, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(random_weights_have_the_stated_size, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_clone_is_equal_and_apart, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(rope_tables_are_cos_and_sin, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(what_cannot_be_is_refused, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(shapes_beyond_the_device_are_refused, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(max_positions_are_chosen, fixture_open, fixture_close),
        cmocka_unit_test(flops_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

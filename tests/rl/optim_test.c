/* tests/rl/optim_test.c - AdamW with clipping against torch, schedules against transformers (tests/golden/make_optim.py).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/optim.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "tests/rl/iteration_fixture.h"

static json_t *golden;

static int open_golden(void **state)
{
    (void)state;
    ASSERT_OK(json_parse_file(&golden, "tests/golden/optim.json", 1 << 20));
    return 0;
}

static int close_golden(void **state)
{
    (void)state;
    json_decref(golden);
    return 0;
}

static double number(const json_t *object, const char *key)
{
    const json_t *item = json_object_get(object, key);
    assert_true(json_is_number(item));
    return json_number_value(item);
}

/* ---- schedules ---- */

static enum lr_schedule schedule_named(const char *name)
{
    return strcmp(name, "constant") == 0               ? LR_CONSTANT
           : strcmp(name, "constant_with_warmup") == 0 ? LR_CONSTANT_WITH_WARMUP
           : strcmp(name, "linear") == 0               ? LR_LINEAR
                                                       : LR_COSINE;
}

/* After the warm-up, step s is transformers' update s - 1; during it, update s, whose first has a rate above 0. */
static void schedules_are_those_of_transformers(void **state)
{
    (void)state;
    size_t i;
    json_t *s;
    json_array_foreach(json_object_get(golden, "schedules"), i, s)
    {
        struct optim_options o = {
            .learning_rate = 1,
            .schedule = schedule_named(json_string_value(json_object_get(s, "name"))),
            .min_lr_ratio = number(s, "min_lr_ratio"),
            .warmup_steps = (int)number(s, "warmup"),
            .max_steps = (int64_t)number(s, "max_steps"),
        };
        const json_t *rates = json_object_get(s, "rates");
        for (int64_t step = 1; step <= o.max_steps; step++) {
            bool warm = o.schedule == LR_CONSTANT || step > o.warmup_steps;
            double want = json_number_value(json_array_get(rates, (size_t)(warm ? step - 1 : step)));
            ASSERT_NEAR(optim_learning_rate(&o, step) + 1, want + 1, 1e-12);
            assert_true(optim_learning_rate(&o, step) > 0);
        }
    }
    assert_int_equal(i, 35);
}

static void every_step_has_a_rate(void **state)
{
    (void)state;
    struct optim_options o = {.learning_rate = 2, .schedule = LR_LINEAR, .warmup_steps = 4, .max_steps = 12};
    ASSERT_NEAR(optim_learning_rate(&o, 1), 0.5, 1e-15);
    ASSERT_NEAR(optim_learning_rate(&o, 4), 2, 1e-15);
    ASSERT_NEAR(optim_learning_rate(&o, 5), 2, 1e-15); /* the first after the warm-up is full, as in transformers */
    ASSERT_NEAR(optim_learning_rate(&o, 9), 1, 1e-15);
    ASSERT_NEAR(optim_learning_rate(&o, 12), 0.25, 1e-15);
    ASSERT_NEAR(optim_learning_rate(&o, 99), 0.25, 1e-15); /* a run that is longer than its schedule */
    o.min_lr_ratio = 0.25;
    ASSERT_NEAR(optim_learning_rate(&o, 12), 0.5 + 1.5 / 8, 1e-15);
    o.schedule = LR_COSINE;
    ASSERT_NEAR(optim_learning_rate(&o, 12), 0.5 + 1.5 * (1 - cos(acos(-1) / 8)) / 2, 1e-15);
    o.warmup_steps = 12; /* nothing is left to fall */
    ASSERT_NEAR(optim_learning_rate(&o, 12), 2, 1e-15);
    ASSERT_NEAR(optim_learning_rate(&o, 13), 2, 1e-15);
}

/* ---- updates ---- */

/* A model that is nothing but a table of the golden file's tensors. */
struct bench {
    struct device *device;
    struct model model;
    struct optim optim;
    struct param table[8];
    struct param_part parts[8];
    char names[8][32];
};

static void bench_open(struct bench *b, const struct optim_options *options)
{
    size_t i, at = 0;
    json_t *tensor;
    *b = (struct bench){0};
    ASSERT_OK(device_open(&b->device, "auto"));
    json_array_foreach(json_object_get(json_object_get(golden, "adamw"), "tensors"), i, tensor)
    {
        const json_t *shape = json_object_get(tensor, "shape");
        struct param *w = &b->table[i];
        w->rows = (int)json_integer_value(json_array_get(shape, 0));
        w->cols = (int)json_integer_value(json_array_get(shape, 1));
        w->decays = strcmp(json_string_value(json_object_get(tensor, "kind")), "matrix") == 0;
        w->trains = true;
        snprintf(b->names[i], sizeof b->names[i], "tensor %zu", i);
        b->parts[i] = (struct param_part){.name = b->names[i], .param = (int)i, .rows = w->rows};
        w->n = w->cols ? b->device->ops->matrix_elements(w->rows, w->cols) : (size_t)w->rows;
        w->offset = at;
        w->at = at * sizeof(float);
        at += (w->n + 15) / 16 * 16;
    }
    b->model.device = b->device;
    b->model.params = (struct params){.table = b->table,
                                      .parts = b->parts,
                                      .n_params = (int)i,
                                      .n_parts = (int)i,
                                      .n = at,
                                      .n_trained = at,
                                      .bytes = at * sizeof(float)};
    b->model.params.data = device_alloc(b->device, at * sizeof(float), "weights");
    memset(b->model.params.data, 0, at * sizeof(float));
    optim_init(&b->optim, options, &b->model);
}

static void bench_close(struct bench *b)
{
    optim_release(&b->optim, &b->model);
    device_free(b->device, b->model.params.data);
    assert_int_equal(device_bytes(b->device), 0);
    device_close(b->device);
}

/* t < 0: weights; else gradients of step t, of what trains. */
static void bench_fill(struct bench *b, float *data, int t)
{
    for (int k = 0; k < b->model.params.n_params; k++) {
        const struct param *w = &b->table[k];
        int cols = w->cols ? w->cols : 1;
        float *rows = mem_alloc((size_t)w->rows * (size_t)cols * sizeof *rows);
        for (int i = 0; i < w->rows * cols; i++) {
            rows[i] = (float)(t < 0 ? 0.5 * sin(0.37 * i + k) : 0.02 * (t + 1) * cos(0.11 * i + 1.7 * k + 2.3 * t));
        }
        if (t < 0 || w->trains) {
            size_t at = t < 0 ? w->at / sizeof *data : w->offset;
            b->device->ops->matrix_import(data + at, rows, 0, w->rows, w->rows, cols);
        }
        free(rows);
    }
}

static void bench_compare(const struct bench *b, const json_t *step, int stride)
{
    for (int k = 0; k < b->model.params.n_params; k++) {
        const struct param *w = &b->table[k];
        const json_t *want = json_array_get(json_object_get(step, "params"), (size_t)k);
        int cols = w->cols ? w->cols : 1;
        float *rows = mem_alloc((size_t)w->rows * (size_t)cols * sizeof *rows);
        const float *data = b->model.params.data;
        b->device->ops->matrix_export(rows, data + w->offset, 0, w->rows, w->rows, cols);
        for (size_t i = 0; i < json_array_size(want); i++) {
            double value = json_number_value(json_array_get(want, i)), got = rows[i * (size_t)stride];
            if (fabs(got - value) > 2e-6) {
                fail_msg("tensor %d, element %zu: %.9g, but torch has %.9g", k, i * (size_t)stride, got, value);
            }
        }
        assert_true(json_array_size(want) > 4);
        free(rows);
    }
}

static struct optim_options golden_options(void)
{
    const json_t *o = json_object_get(json_object_get(golden, "adamw"), "options");
    return (struct optim_options){
        .learning_rate = number(o, "learning_rate"),
        .beta1 = number(o, "beta1"),
        .beta2 = number(o, "beta2"),
        .epsilon = number(o, "epsilon"),
        .weight_decay = number(o, "weight_decay"),
        .max_grad_norm = number(o, "max_grad_norm"),
        .schedule = LR_CONSTANT,
        .max_steps = 6,
    };
}

static void updates_are_those_of_torch(void **state)
{
    (void)state;
    const json_t *adamw = json_object_get(golden, "adamw"), *steps = json_object_get(adamw, "steps");
    struct optim_options options = golden_options();
    struct bench b;
    int n_clipped = 0;
    bench_open(&b, &options);
    bench_fill(&b, b.model.params.data, -1);
    for (int t = 0; t < (int)json_array_size(steps); t++) {
        struct optim_stats stats;
        const json_t *step = json_array_get(steps, (size_t)t);
        optim_zero_grads(&b.model);
        bench_fill(&b, b.model.params.grads, t);
        ASSERT_OK(optim_step(&b.optim, &b.model, t + 1, &stats));
        ASSERT_NEAR(stats.grad_norm, number(step, "norm"), 1e-6);
        assert_false(stats.skipped);
        n_clipped += stats.grad_norm > options.max_grad_norm;
        bench_compare(&b, step, (int)number(adamw, "stride"));
    }
    assert_true(n_clipped > 0 && n_clipped < 6); /* both ways were taken */
    bench_close(&b);
}

static void a_gradient_that_is_not_finite_is_skipped(void **state)
{
    (void)state;
    struct optim_options options = golden_options();
    struct optim_stats stats;
    struct bench b;
    bench_open(&b, &options);
    bench_fill(&b, b.model.params.data, -1);
    size_t bytes = b.model.params.n * sizeof(float);
    float *before = mem_alloc(bytes);
    memcpy(before, b.model.params.data, bytes);
    for (int i = 1; i <= 3; i++) {
        bench_fill(&b, b.model.params.grads, 0);
        b.model.params.grads[b.table[i].offset] = i == 2 ? (float)INFINITY : (float)NAN;
        enum err result = optim_step(&b.optim, &b.model, i, &stats);
        assert_int_equal(result, i < 3 ? ERR_NONE : ERR_NUMBERS); /* three in a row are too many */
        assert_true(i < 3 || strstr(err_text(), b.names[i]));
        assert_true(stats.skipped);
        assert_memory_equal(before, b.model.params.data, bytes);
        assert_int_equal(b.optim.step, 0);
    }
    bench_fill(&b, b.model.params.grads, 0);
    ASSERT_OK(optim_step(&b.optim, &b.model, 4, &stats));
    assert_int_equal(b.optim.n_skipped, 0);
    assert_int_equal(b.optim.step, 1);
    assert_memory_not_equal(before, b.model.params.data, bytes);
    free(before);
    bench_close(&b);
}

static void an_update_that_overflows_is_an_error(void **state)
{
    (void)state;
    struct optim_options options = golden_options();
    struct optim_stats stats;
    struct bench b;
    options.learning_rate = 1e39; /* infinite in fp32 */
    bench_open(&b, &options);
    bench_fill(&b, b.model.params.data, -1);
    bench_fill(&b, b.model.params.grads, 0);
    assert_int_equal(optim_step(&b.optim, &b.model, 1, &stats), ERR_NUMBERS);
    assert_non_null(strstr(err_text(), "step 1: after the update"));
    assert_non_null(strstr(err_text(), b.names[0]));
    assert_false(stats.skipped);
    bench_close(&b);
}

/* ---- moments in bf16 ---- */

/* sum of h (w - t)^2 / 2 and its gradient, with curvatures from 0.01 to 1 */
static double quadratic(struct bench *b)
{
    double sum = 0;
    const float *w = b->model.params.data;
    for (size_t i = 0; i < b->model.params.n; i++) {
        double h = pow(10, -2 * fabs(sin(0.7 * (double)i))), off = (double)w[i] - cos(1.3 * (double)i);
        b->model.params.grads[i] = (float)(h * off);
        sum += h * off * off / 2;
    }
    return sum;
}

/* A hundred steps go down alike, on other bits; and with beta2 0.999, whose changes of v are below half a unit of bf16. */
static void bf16_moments_go_down_alike(void **state)
{
    (void)state;
    double first[2], last[2];
    float *weights[2];
    for (int k = 0; k < 2; k++) {
        struct optim_options options = golden_options();
        struct optim_stats stats;
        struct bench b;
        options.kind = k ? OPTIM_ADAMW_BF16_SR : OPTIM_ADAMW;
        options.seed = 7;
        options.learning_rate = 0.02;
        options.beta2 = 0.999;
        options.weight_decay = 0;
        options.max_steps = 100;
        bench_open(&b, &options);
        first[k] = quadratic(&b);
        for (int t = 1; t <= 100; t++) {
            quadratic(&b);
            ASSERT_OK(optim_step(&b.optim, &b.model, t, &stats));
        }
        last[k] = quadratic(&b);
        weights[k] = mem_alloc(b.model.params.n * sizeof(float));
        memcpy(weights[k], b.model.params.data, b.model.params.n * sizeof(float));
        if (k == 1) {
            assert_memory_not_equal(weights[0], weights[1], b.model.params.n * sizeof(float));
        }
        bench_close(&b);
    }
    assert_true(first[0] == first[1]);
    assert_true(last[0] < 0.05 * first[0]);
    ASSERT_NEAR(last[1] / last[0], 1, 0.05);
    free(weights[0]);
    free(weights[1]);
}

/* ---- parts of a set ---- */

/* Three updates of elements first .. first + n - 1; n 0: of all. Returns the weights; the caller frees. */
static float *updated(enum optim_kind kind, size_t first, size_t n, int frozen)
{
    struct optim_options options = golden_options();
    struct optim_stats stats;
    struct bench b;
    options.kind = kind;
    options.max_grad_norm = 0; /* else each gradient counts in the norm */
    bench_open(&b, &options);
    if (n > 0) {
        b.optim.range.first = first;
        b.optim.range.n = n;
    }
    if (frozen >= 0) {
        size_t with = device_bytes(b.device), of_it = b.table[frozen].n * sizeof(float);
        optim_release(&b.optim, &b.model);
        params_freeze(&b.model.params, frozen);
        optim_init(&b.optim, &options, &b.model);
        assert_true(device_bytes(b.device) + 3 * of_it <= with); /* gradient and moments */
    }
    bench_fill(&b, b.model.params.data, -1);
    for (int t = 0; t < 3; t++) {
        optim_zero_grads(&b.model);
        bench_fill(&b, b.model.params.grads, t);
        ASSERT_OK(optim_step(&b.optim, &b.model, t + 1, &stats));
    }
    size_t bytes = b.model.params.n * sizeof(float);
    float *weights = mem_alloc(bytes);
    memcpy(weights, b.model.params.data, bytes);
    bench_close(&b);
    return weights;
}

/* Who owns a range updates it to the bits of an update of all, and nothing else. */
static void ranges_add_up_to_the_whole(void **state)
{
    (void)state;
    struct optim_options options = golden_options();
    struct bench b;
    bench_open(&b, &options);
    bench_fill(&b, b.model.params.data, -1);
    size_t n = b.model.params.n;
    float *before = mem_alloc(n * sizeof *before);
    memcpy(before, b.model.params.data, n * sizeof *before);
    const size_t cuts[] = {16, n / 2 / 16 * 16, n - 16};
    for (int kind = OPTIM_ADAMW; kind <= OPTIM_ADAMW_BF16_SR; kind++) {
        float *whole = updated((enum optim_kind)kind, 0, 0, -1);
        for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
            size_t cut = cuts[i];
            float *low = updated((enum optim_kind)kind, 0, cut, -1);
            float *high = updated((enum optim_kind)kind, cut, n - cut, -1);
            assert_memory_equal(low, whole, cut * sizeof *low);
            assert_memory_equal(low + cut, before + cut, (n - cut) * sizeof *low);
            assert_memory_equal(high, before, cut * sizeof *high);
            assert_memory_equal(high + cut, whole + cut, (n - cut) * sizeof *high);
            free(low);
            free(high);
        }
        free(whole);
    }
    free(before);
    bench_close(&b);
}

/* The decay does not move it, the others move as ever, and it has no gradient and no moments. */
static void a_frozen_parameter_stays(void **state)
{
    (void)state;
    struct optim_options options = golden_options();
    struct bench b;
    bench_open(&b, &options);
    bench_fill(&b, b.model.params.data, -1);
    float *whole = updated(OPTIM_ADAMW, 0, 0, -1), *frozen = updated(OPTIM_ADAMW, 0, 0, 1);
    for (int i = 0; i < b.model.params.n_params; i++) {
        const struct param *w = &b.table[i];
        const float *want = i == 1 ? b.model.params.data : whole;
        size_t at = w->at / sizeof *frozen;
        assert_memory_equal(frozen + at, want + at, w->n * sizeof *frozen);
    }
    free(whole);
    free(frozen);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedules_are_those_of_transformers),
        cmocka_unit_test(every_step_has_a_rate),
        cmocka_unit_test(updates_are_those_of_torch),
        cmocka_unit_test(a_gradient_that_is_not_finite_is_skipped),
        cmocka_unit_test(an_update_that_overflows_is_an_error),
        cmocka_unit_test(bf16_moments_go_down_alike),
        cmocka_unit_test(ranges_add_up_to_the_whole),
        cmocka_unit_test(a_frozen_parameter_stays),
    };
    return cmocka_run_group_tests(tests, open_golden, close_golden);
}

/* tests/model/backward_test.c - gradients against transformers, against finite differences, and against themselves.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/model/fixture.h"

#include <math.h>

/* Gradients of sum(a logprob + b entropy) at a temperature; the caller frees. */
static float *gradients(struct model *model, const struct packed *p, struct activations *acts, float inv_temperature)
{
    size_t n = (size_t)p->batch.n_targets, bytes = model->params.n * sizeof(float);
    float *logprob = mem_alloc(n * sizeof(float)), *lse = mem_alloc(n * sizeof(float));
    float *entropy = mem_alloc(n * sizeof(float)), *host = mem_alloc(bytes);
    float *grads = device_alloc(model->device, bytes, "gradients");
    model_forward(model, &p->batch, acts);
    model_target_logprobs(model, &p->batch, acts, inv_temperature, logprob, lse, entropy);
    model->params.grads = grads;
    model_backward(model, &p->batch, acts, inv_temperature, lse, entropy, p->a, p->b);
    device_read(model->device, host, grads, bytes);
    device_free(model->device, grads);
    free(logprob);
    free(lse);
    free(entropy);
    return host;
}

static double loss(struct model *model, const struct packed *p, struct activations *acts)
{
    size_t bytes = (size_t)p->batch.n_targets * sizeof(float);
    float *logprob = mem_alloc(bytes), *lse = mem_alloc(bytes), *entropy = mem_alloc(bytes);
    model_forward(model, &p->batch, acts);
    model_target_logprobs(model, &p->batch, acts, 1, logprob, lse, entropy);
    double sum = 0;
    for (int i = 0; i < p->batch.n_targets; i++) {
        sum += (double)p->a[i] * (double)logprob[i] + (double)p->b[i] * (double)entropy[i];
    }
    free(logprob);
    free(lse);
    free(entropy);
    return sum;
}

/* ---- transformers ---- */

/* Every sampled entry within 1e-4 of the larger of itself and the tensor's root mean square; the norm within 1e-4. */
static void check_grad(const struct model *model, const char *model_name, const struct golden_grad *want,
                       const float *grads)
{
    struct part part = part_named(model, want->name);
    assert_int_equal(part.rows, want->rows);
    assert_int_equal(part.cols, want->cols);
    size_t n = part.n;
    float *rows = mem_alloc(n * sizeof *rows);
    model->device->ops->matrix_export(rows, grads + part.offset, 0, part.rows, part.rows, part.width);
    double squares = 0, typical = (double)want->norm / sqrt((double)n);
    for (size_t i = 0; i < n; i++) {
        squares += (double)rows[i] * (double)rows[i];
    }
    if (fabs(sqrt(squares) - (double)want->norm) > 1e-4 * (double)want->norm) {
        fail_msg("%s: %s: norm %.8g, want %.8g", model_name, want->name, sqrt(squares), (double)want->norm);
    }
    for (int i = 0; i < want->n; i++) {
        double got = (double)rows[want->index[i]], value = (double)want->value[i];
        if (fabs(got - value) > 1e-4 * fmax(typical, fabs(value))) {
            fail_msg("%s: %s[%d]: %.8g, want %.8g", model_name, want->name, want->index[i], got, value);
        }
    }
    free(rows);
}

static void gradients_are_those_of_transformers(void **state)
{
    struct device *device = *state;
    for (int i = 0; i < FIXTURE_GOLDENS; i++) {
        struct arena arena = ARENA_INIT;
        struct model *model = fixture_golden_model(fixture_golden_names[i], device);
        struct golden golden = fixture_golden(fixture_golden_names[i], &arena);
        struct packed p = fixture_pack(&golden.sequences, &arena);
        struct activations *acts = fixture_activations(model, &p.batch);
        float *grads = gradients(model, &p, acts, golden.inv_temperature);
        assert_int_equal(golden.n_grads, model->params.n_parts);
        for (int g = 0; g < golden.n_grads; g++) {
            check_grad(model, fixture_golden_names[i], &golden.grads[g], grads);
        }
        free(grads);
        activations_free(acts, model);
        model_close(model);
        arena_release(&arena);
    }
}

/* ---- finite differences ---- */

static struct packed small_batch(struct arena *arena)
{
    struct sequences *s = ARENA_NEW(arena, struct sequences, 1);
    fixture_add(s, arena, 6, -1, 0);
    fixture_add(s, arena, 9, 0, 6);
    fixture_add(s, arena, 1, 0, 6);
    fixture_add(s, arena, 5, 0, 4);
    fixture_add(s, arena, 12, -1, 0);
    return fixture_pack(s, arena);
}

/* Along the gradient of each tensor, the loss must rise at the rate of the gradient's norm. */
static void the_loss_rises_along_each_gradient(void **state)
{
    struct device *device = *state;
    for (int family = FAMILY_QWEN2; family < FIXTURE_FAMILIES; family++) {
        struct arena arena = ARENA_INIT;
        struct model *model = fixture_model((enum fixture_family)family, device);
        struct packed p = small_batch(&arena);
        struct activations *acts = fixture_activations(model, &p.batch);
        float *grads = gradients(model, &p, acts, 1), *saved = mem_alloc(model->params.n * sizeof *saved);
        float *moved = mem_alloc(model->params.n * sizeof *moved);
        device_read(device, saved, model->params.data, model->params.n * sizeof *saved);
        for (int i = 0; i < model->params.n_parts; i++) {
            struct part part = part_of(model, i), *w = &part;
            double squares = 0, step = 2e-3, side[2];
            if (!w->param->trains) {
                continue;
            }
            for (size_t k = w->offset; k < w->offset + w->n; k++) {
                squares += (double)grads[k] * (double)grads[k];
            }
            for (int sign = 0; sign < 2; sign++) {
                memcpy(moved, saved + w->offset, w->n * sizeof *moved);
                for (size_t k = 0; k < w->n; k++) {
                    double along = (double)grads[w->offset + k] / sqrt(squares);
                    moved[k] += (float)((sign ? -step : step) * along);
                }
                device_write(device, (float *)model->params.data + w->offset, moved, w->n * sizeof *moved);
                side[sign] = loss(model, &p, acts);
            }
            device_write(device, model->params.data, saved, model->params.n * sizeof *saved);
            double slope = (side[0] - side[1]) / (2 * step);
            if (fabs(slope - sqrt(squares)) > 1e-2 * sqrt(squares)) {
                fail_msg("%s: %s: slope %.6g, gradient %.6g", model->config.family->name, w->name, slope,
                         sqrt(squares));
            }
        }
        free(grads);
        free(saved);
        free(moved);
        activations_free(acts, model);
        model_close(model);
        arena_release(&arena);
    }
}

/* ---- itself ---- */

static struct packed long_batch(struct arena *arena)
{
    struct sequences *s = ARENA_NEW(arena, struct sequences, 1);
    fixture_add(s, arena, 129, -1, 0);
    fixture_add(s, arena, 31, 0, 129);
    fixture_add(s, arena, 130, 0, 129);
    fixture_add(s, arena, 20, -1, 0);
    fixture_add(s, arena, 77, 3, 20);
    return fixture_pack(s, arena);
}

static void bits_do_not_depend_on_threads(void **state)
{
    struct device *device = *state;
    for (int family = FAMILY_QWEN2; family < FIXTURE_FAMILIES; family++) {
        struct arena arena = ARENA_INIT;
        struct model *model = fixture_model((enum fixture_family)family, device);
        struct packed p = long_batch(&arena);
        struct activations *acts = fixture_activations(model, &p.batch);
        float *first = NULL;
        static const int threads[] = {1, 1, 2, 3};
        for (int i = 0; i < 4; i++) {
            device_set_threads(threads[i]);
            float *grads = gradients(model, &p, acts, 0.8f);
            if (i == 0) {
                first = grads;
                continue;
            }
            assert_memory_equal(first, grads, model->params.n * sizeof *grads);
            free(grads);
        }
        device_set_threads(0);
        free(first);
        activations_free(acts, model);
        model_close(model);
        arena_release(&arena);
    }
}

/* What was kept is only read: a second backward pass adds the same again, whatever other buffers hold. */
static void a_second_pass_adds_the_same(void **state)
{
    struct device *device = *state;
    for (int family = FAMILY_QWEN2; family < FIXTURE_FAMILIES; family++) {
        struct arena arena = ARENA_INIT;
        struct model *model = fixture_model((enum fixture_family)family, device);
        struct packed p = small_batch(&arena);
        struct activations *acts = fixture_activations(model, &p.batch);
        size_t bytes = model->params.n * sizeof(float), n = (size_t)p.batch.n_targets;
        float *grads[2], *logprob = ARENA_NEW(&arena, float, n), *lse = ARENA_NEW(&arena, float, n);
        model_forward(model, &p.batch, acts);
        model_target_logprobs(model, &p.batch, acts, 1, logprob, lse, NULL);
        for (int i = 0; i < 2; i++) {
            grads[i] = device_alloc(device, bytes, "gradients");
            model->params.grads = grads[i];
            model_backward(model, &p.batch, acts, 1, lse, NULL, p.a, NULL);
        }
        float *a = ARENA_NEW(&arena, float, model->params.n), *b = ARENA_NEW(&arena, float, model->params.n);
        device_read(device, a, grads[0], bytes);
        device_read(device, b, grads[1], bytes);
        assert_memory_equal(a, b, bytes);
        model->params.grads = grads[0];
        model_backward(model, &p.batch, acts, 1, lse, NULL, p.a, NULL);
        device_read(device, b, grads[0], bytes);
        double error = 0, size = 0;
        for (size_t i = 0; i < model->params.n; i++) {
            double difference = (double)b[i] - 2 * (double)a[i];
            error += difference * difference;
            size += (double)a[i] * (double)a[i];
        }
        assert_true(size > 0);
        assert_true(sqrt(error / size) < 1e-5);
        device_free(device, grads[0]);
        device_free(device, grads[1]);
        activations_free(acts, model);
        model_close(model);
        arena_release(&arena);
    }
}

/* Only the layers' inputs are kept, and the rest is computed again: the same loss and the same gradients, in a first pass, whose
 * last layer is still there, and in a second, whose is not (of a single layer, least of all). */
static void checkpointing_changes_no_bit(void **state)
{
    struct device *device = *state;
    for (int i = 0; i < 2 * FIXTURE_FAMILIES; i++) {
        enum fixture_family family = (enum fixture_family)(i % FIXTURE_FAMILIES);
        struct arena arena = ARENA_INIT;
        struct model *model = fixture_model_of(i < FIXTURE_FAMILIES ? 1 : 3, family, device);
        struct packed p = long_batch(&arena);
        size_t n = (size_t)p.batch.n_targets, bytes = model->params.n * sizeof(float);
        float *logprob[2], *lse[2], *entropy[2], *grads[2];
        for (int k = 0; k < 2; k++) {
            struct activations *acts =
                activations_new(model, p.batch.T, p.batch.n_targets, p.batch.n_contexts, 512, k == 1);
            logprob[k] = ARENA_NEW(&arena, float, n);
            lse[k] = ARENA_NEW(&arena, float, n);
            entropy[k] = ARENA_NEW(&arena, float, n);
            grads[k] = ARENA_NEW(&arena, float, 2 * model->params.n);
            model_forward(model, &p.batch, acts);
            model_target_logprobs(model, &p.batch, acts, 0.8f, logprob[k], lse[k], entropy[k]);
            for (int pass = 0; pass < 2; pass++) {
                float *of_pass = device_alloc(device, bytes, "gradients");
                model->params.grads = of_pass;
                model_backward(model, &p.batch, acts, 0.8f, lse[k], entropy[k], p.a, p.b);
                device_read(device, grads[k] + (size_t)pass * model->params.n, of_pass, bytes);
                device_free(device, of_pass);
            }
            activations_free(acts, model);
        }
        assert_memory_equal(logprob[0], logprob[1], n * sizeof(float));
        assert_memory_equal(lse[0], lse[1], n * sizeof(float));
        assert_memory_equal(entropy[0], entropy[1], n * sizeof(float));
        assert_memory_equal(grads[0], grads[1], 2 * bytes);
        assert_true(grads[0][part_named(model, "model.layers.0.self_attn.o_proj.weight").offset] != 0);
        model_close(model);
        arena_release(&arena);
    }
}

/* Parameter i is frozen where i % 3 == k: its gradient is not touched, and all others have the bits that they had. */
static void a_frozen_weight_has_no_gradient(void **state)
{
    struct device *device = *state;
    for (int family = FAMILY_QWEN2; family < FIXTURE_FAMILIES; family++) {
        struct arena arena = ARENA_INIT;
        struct model *model = fixture_model((enum fixture_family)family, device);
        struct packed p = small_batch(&arena);
        struct activations *acts = fixture_activations(model, &p.batch);
        float *all = gradients(model, &p, acts, 1);
        for (int k = 0; k < 4; k++) { /* 3: all are frozen */
            for (int i = 0; i < model->params.n_params; i++) {
                model->params.table[i].trains = k < 3 && i % 3 != k;
            }
            float *grads = gradients(model, &p, acts, 1);
            for (int i = 0; i < model->params.n_params; i++) {
                const struct param *w = &model->params.table[i];
                for (size_t at = w->offset; at < w->offset + w->n; at++) {
                    float want = w->trains ? all[at] : 0;
                    assert_memory_equal(&grads[at], &want, sizeof want);
                }
            }
            free(grads);
        }
        free(all);
        activations_free(acts, model);
        model_close(model);
        arena_release(&arena);
    }
}

static void no_targets_no_gradient(void **state)
{
    struct device *device = *state;
    struct arena arena = ARENA_INIT;
    struct model *model = fixture_model(FAMILY_QWEN2, device);
    struct packed p = small_batch(&arena);
    struct activations *acts = fixture_activations(model, &p.batch);
    p.batch.n_targets = 0;
    float *grads = gradients(model, &p, acts, 1);
    for (size_t i = 0; i < model->params.n; i++) {
        assert_true(grads[i] == 0);
    }
    free(grads);
    activations_free(acts, model);
    model_close(model);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gradients_are_those_of_transformers, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(the_loss_rises_along_each_gradient, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(bits_do_not_depend_on_threads, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_second_pass_adds_the_same, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(checkpointing_changes_no_bit, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_frozen_weight_has_no_gradient, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(no_targets_no_gradient, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

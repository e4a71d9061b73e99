/* tests/model/forward_packed_test.c - a packed training batch gives the bits of rollout, and the numbers of transformers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/model/fixture.h"

#include <math.h>

static float *training_hidden(struct model *model, const struct packed *p, struct arena *arena)
{
    size_t n = (size_t)p->batch.T * (size_t)model->config.d;
    struct activations *acts = fixture_activations(model, &p->batch);
    float *hidden = ARENA_NEW(arena, float, n);
    model_forward(model, &p->batch, acts);
    device_read(model->device, hidden, acts->hidden, n * sizeof *hidden);
    activations_free(acts, model);
    return hidden;
}

/* Own rows of each sequence in the packed batch against its rows in rollout. */
static void same_rows(const char *what, const struct model *model, const struct sequences *s, const struct packed *p,
                      const float *training, const float *rollout)
{
    size_t d = (size_t)model->config.d;
    for (int i = 0; i < s->n; i++) {
        const struct context *c = &p->batch.contexts[i];
        for (int k = 0; k < s->of[i].n_tokens; k++) {
            int row = k < c->n_prefix ? c->prefix_row + k : c->row + k - c->n_prefix;
            if (memcmp(training + (size_t)row * d, rollout + (size_t)k * d, d * sizeof *training) != 0) {
                fail_msg("%s, %s: sequence %d, position %d differs", model->config.family->name, what, i, k);
            }
        }
        rollout += (size_t)s->of[i].n_tokens * d;
    }
}

static void training_has_the_bits_of_rollout(void **state)
{
    struct device *device = *state;
    static const struct plan plans[] = {
        {"each sequence in one call", 512, 512, false},
        {"mixed chunks", 0, 60, true},
        {"token by token", 1, 1, true},
    };
    for (int family = FAMILY_QWEN2; family < FIXTURE_FAMILIES; family++) {
        struct arena arena = ARENA_INIT;
        struct model *model = fixture_model((enum fixture_family)family, device);
        struct sequences *s = fixture_sequences(&arena);
        struct packed p = fixture_pack(s, &arena);
        float *training = training_hidden(model, &p, &arena);
        for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
            same_rows(plans[i].name, model, s, &p, training, fixture_hidden(model, s, &plans[i], &arena));
        }
        for (int threads = 1; threads <= 3; threads++) {
            device_set_threads(threads);
            float *again = training_hidden(model, &p, &arena);
            assert_memory_equal(training, again, (size_t)p.batch.T * (size_t)model->config.d * sizeof *again);
        }
        device_set_threads(0);
        model_close(model);
        arena_release(&arena);
    }
}

/* A sequence alone and in company; the same activations used for one batch after the other. */
static void bits_do_not_depend_on_the_packing(void **state)
{
    struct device *device = *state;
    struct arena arena = ARENA_INIT;
    struct model *model = fixture_model(FAMILY_QWEN3, device);
    struct sequences *s = fixture_sequences(&arena);
    struct packed all = fixture_pack(s, &arena);
    struct activations *acts = fixture_activations(model, &all.batch);
    float *want = training_hidden(model, &all, &arena);
    size_t d = (size_t)model->config.d;
    for (int i = 0; i < s->n; i++) {
        struct sequences one = {.n = 1, .of = {s->of[i]}};
        one.of[0].n_prefix = 0;
        one.of[0].parent = -1;
        struct packed p = fixture_pack(&one, &arena);
        model_forward(model, &p.batch, acts);
        size_t n = (size_t)p.batch.T * d;
        float *got = ARENA_NEW(&arena, float, n);
        device_read(device, got, acts->hidden, n * sizeof *got);
        const struct context *c = &all.batch.contexts[i];
        assert_memory_equal(got, want + (size_t)c->prefix_row * d, (size_t)c->n_prefix * d * sizeof *got);
        assert_memory_equal(got + (size_t)c->n_prefix * d, want + (size_t)c->row * d,
                            (size_t)c->n_rows * d * sizeof *got);
    }
    activations_free(acts, model);
    model_close(model);
    arena_release(&arena);
}

/* The prefix of a completion may be a part of its prompt only. */
static void a_prefix_may_be_the_head_of_a_context(void **state)
{
    struct device *device = *state;
    struct arena arena = ARENA_INIT;
    struct model *model = fixture_model(FAMILY_LLAMA, device);
    struct sequences *s = ARENA_NEW(&arena, struct sequences, 1);
    fixture_add(s, &arena, 300, -1, 0);
    fixture_add(s, &arena, 40, 0, 129);
    fixture_add(s, &arena, 3, 0, 255);
    fixture_add(s, &arena, 140, 0, 3);
    struct packed p = fixture_pack(s, &arena);
    same_rows("partial prefix", model, s, &p, training_hidden(model, &p, &arena),
              fixture_hidden(model, s, &fixture_whole, &arena));
    model_close(model);
    arena_release(&arena);
}

/* Log-probabilities of targets, in one call, against the head on single rows of rollout. */
static void logprobs_have_the_bits_of_rollout(void **state)
{
    struct device *device = *state;
    struct arena arena = ARENA_INIT;
    struct model *model = fixture_model(FAMILY_QWEN2, device);
    struct sequences *s = fixture_sequences(&arena);
    struct packed p = fixture_pack(s, &arena);
    struct activations *acts = fixture_activations(model, &p.batch);
    int n = p.batch.n_targets;
    size_t d = (size_t)model->config.d;
    float *logprob = ARENA_NEW(&arena, float, n), *lse = ARENA_NEW(&arena, float, n),
          *entropy = ARENA_NEW(&arena, float, n);
    model_forward(model, &p.batch, acts);
    model_target_logprobs(model, &p.batch, acts, 0.7f, logprob, lse, entropy);
    float *without[2] = {ARENA_NEW(&arena, float, n), ARENA_NEW(&arena, float, n)};
    model_target_logprobs(model, &p.batch, acts, 0.7f, without[0], without[1], NULL);
    assert_memory_equal(logprob, without[0], (size_t)n * sizeof *logprob);
    assert_memory_equal(lse, without[1], (size_t)n * sizeof *lse);

    const float *hidden = fixture_hidden(model, s, &fixture_whole, &arena);
    void *row = device_alloc(device, d * sizeof(float), "row");
    float *out = device_alloc(device, 3 * sizeof(float), "out"), got[3];
    int32_t *target = device_alloc(device, sizeof *target, "target");
    int at = 0;
    for (int i = 0; i < s->n; i++) {
        for (int k = s->of[i].first_target; k < s->of[i].n_tokens; k++, at++) {
            device_write(device, row, hidden + (size_t)(k - 1) * d, d * sizeof(float));
            device_write(device, target, &s->of[i].tokens[k], sizeof *target);
            device->ops->head(&(struct head_args){1, model->config.d, model->config.V, row,
                                                  params_at(&model->params, model->weights.head), 0.7f, target, out,
                                                  out + 1, out + 2});
            device_read(device, got, out, sizeof got);
            assert_memory_equal(&got[0], &logprob[at], sizeof *got);
            assert_memory_equal(&got[1], &lse[at], sizeof *got);
            assert_memory_equal(&got[2], &entropy[at], sizeof *got);
        }
        hidden += (size_t)s->of[i].n_tokens * d;
    }
    assert_int_equal(at, n);
    device_free(device, row);
    device_free(device, out);
    device_free(device, target);
    activations_free(acts, model);
    model_close(model);
    arena_release(&arena);
}

static void check_near(const char *model, const char *what, int i, float got, float want)
{
    if (fabs((double)got - (double)want) > 1e-4 * fmax(1, fabs((double)want))) {
        fail_msg("%s: %s of target %d: %.8g, want %.8g", model, what, i, (double)got, (double)want);
    }
}

static void logprobs_are_those_of_transformers(void **state)
{
    struct device *device = *state;
    for (int m = 0; m < FIXTURE_GOLDENS; m++) {
        const char *name = fixture_golden_names[m];
        struct arena arena = ARENA_INIT;
        struct model *model = fixture_golden_model(name, device);
        struct golden golden = fixture_golden(name, &arena);
        struct packed p = fixture_pack(&golden.sequences, &arena);
        struct activations *acts = fixture_activations(model, &p.batch);
        int n = p.batch.n_targets, at = 0;
        float *got[3];
        for (int i = 0; i < 3; i++) {
            got[i] = ARENA_NEW(&arena, float, n);
        }
        model_forward(model, &p.batch, acts);
        model_target_logprobs(model, &p.batch, acts, golden.inv_temperature, got[0], got[1], got[2]);
        for (int i = 0; i < golden.sequences.n; i++) {
            const struct sequence *q = &golden.sequences.of[i];
            for (int k = 0; k < q->n_tokens - q->first_target; k++, at++) {
                check_near(name, "log-probability", at, got[0][at], q->logprob[k]);
                check_near(name, "log-sum-exp", at, got[1][at], q->lse[k]);
                check_near(name, "entropy", at, got[2][at], q->entropy[k]);
            }
        }
        assert_int_equal(at, n);
        assert_true(n > 300);
        activations_free(acts, model);
        model_close(model);
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(training_has_the_bits_of_rollout, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(bits_do_not_depend_on_the_packing, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_prefix_may_be_the_head_of_a_context, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(logprobs_have_the_bits_of_rollout, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(logprobs_are_those_of_transformers, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/model/activations_test.c - the memory of training: what is planned is what is taken.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/model/fixture.h"

/* Bytes of the slices on a device that only adds up. */
static size_t bytes_of(const struct model_config *config, int tokens, int targets, int contexts, int length,
                       bool checkpointing)
{
    struct device *plan = NULL;
    struct model *model = NULL;
    FIXTURE_ASSERT(device_open_planning(&plan, "cpu", 0));
    FIXTURE_ASSERT(model_plan(&model, config, "", plan, 0, true));
    size_t before = device_bytes(plan);
    struct activations *acts = activations_new(model, tokens, targets, contexts, length, checkpointing);
    size_t bytes = device_bytes(plan) - before;
    activations_free(acts, model);
    assert_int_equal(device_bytes(plan), before);
    model_close(model);
    device_close(plan);
    return bytes;
}

static void bytes_are_as_planned(void **state)
{
    struct device *device = *state;
    static const struct {
        int tokens, targets, contexts, length;
    } cases[] = {{1, 1, 1, 1}, {512, 500, 9, 256}, {300, 7, 40, 129}, {1000, 1000, 2, 512}};
    for (int family = FAMILY_QWEN2; family < FIXTURE_FAMILIES; family++) {
        struct model *model = fixture_model((enum fixture_family)family, device);
        size_t before = device_bytes(device);
        for (size_t i = 0; i < 2 * (sizeof cases / sizeof *cases); i++) {
            int tokens = cases[i / 2].tokens, targets = cases[i / 2].targets, contexts = cases[i / 2].contexts;
            int length = cases[i / 2].length;
            struct activations *acts = activations_new(model, tokens, targets, contexts, length, i % 2);
            assert_int_equal(device_bytes(device) - before,
                             bytes_of(&model->config, tokens, targets, contexts, length, i % 2));
            activations_free(acts, model);
            assert_int_equal(device_bytes(device), before);
        }
        activations_free(NULL, model);
        model_close(model);
    }
}

/* A token more costs what the header of model/activations.h says. */
static void a_token_costs_what_is_written(void **state)
{
    (void)state;
    const struct model_config config = fixture_config(FAMILY_QWEN2), *c = &config;
    size_t L = (size_t)c->n_layers, d = (size_t)c->d, F = (size_t)c->F, H = (size_t)c->H, q = H * (size_t)c->D;
    size_t qkv = q + 2 * (size_t)(c->J * c->D);
    size_t kept = L * (d + qkv + q + H + d + 2 * F) + 2 * d; /* the last layer's output, hidden */
    size_t scratch = 2 * d + F + qkv + q + 2 * F + 2; /* norm, dx, act, dqkv, dattended, dgate_up, token, position */
    size_t a = bytes_of(c, 10, 4, 1, 64, false), b = bytes_of(c, 11, 4, 1, 64, false);
    assert_int_equal(b - a, 4 * (kept + scratch));
    size_t saved = (L - 1) * (qkv + q + H + d + 2 * F) + 2 * F; /* all layers' buffers but one's, and dgate_up */
    a = bytes_of(c, 10, 4, 1, 64, true), b = bytes_of(c, 11, 4, 1, 64, true);
    assert_int_equal(b - a, 4 * (kept + scratch - saved));
}

/* Every batch within the limits fits: here each context begins and ends a page of its own. */
static void the_worst_layout_fits(void **state)
{
    struct device *device = *state;
    struct arena arena = ARENA_INIT;
    struct model *model = fixture_model(FAMILY_LLAMA, device);
    struct sequences *s = ARENA_NEW(&arena, struct sequences, 1);
    fixture_add(s, &arena, 127, -1, 0);
    for (int i = 0; i < 20; i++) {
        fixture_add(s, &arena, 2, 0, 127);
    }
    struct packed p = fixture_pack(s, &arena);
    struct activations *acts = activations_new(model, p.batch.T, p.batch.n_targets, p.batch.n_contexts, 129, false);
    model_forward(model, &p.batch, acts);
    assert_int_equal(acts->pass.n_spans, 21);
    assert_int_equal(acts->pass.n_stores, 41);
    activations_free(acts, model);
    model_close(model);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_are_as_planned, fixture_open, fixture_close),
        cmocka_unit_test(a_token_costs_what_is_written),
        cmocka_unit_test_setup_teardown(the_worst_layout_fits, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

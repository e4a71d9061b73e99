/* tests/model/block_moe_test.c - mixtures: the experts of transformers, loads from none to all, and experts that are given.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/block.h"

#include "tests/model/fixture.h"

/* ---- transformers ---- */

static void experts_are_those_of_transformers(void **state)
{
    static const char *const names[] = {"qwen3-moe",   "qwen3-moe-dense",    "qwen2-moe",         "deepseek-v3",
                                        "deepseek-v2", "deepseek-v3-halves", "deepseek-v2-greedy"};
    for (int i = 0; i < 7; i++) {
        struct arena arena = ARENA_INIT;
        struct model *model = fixture_golden_model(names[i], *state);
        struct golden golden = fixture_golden(names[i], &arena);
        struct packed p = fixture_pack(&golden.sequences, &arena);
        struct activations *acts = fixture_activations(model, &p.batch);
        struct strbuf want = STRBUF_INIT;
        char path[128];
        int32_t head[2];
        size_t at = 0;
        snprintf(path, sizeof path, "tests/golden/models/%s/experts.bin", names[i]);
        FIXTURE_ASSERT(file_read(&want, path, 1 << 20));
        fixture_take(head, &want, &at, sizeof head);
        int n_layers = model_expert_layers(&model->config), k = model->config.moe.router.k;
        assert_true(head[0] == n_layers && head[1] == k);
        uint8_t *got = ARENA_NEW(&arena, uint8_t, p.batch.T * n_layers * k);
        model_forward(model, &p.batch, acts);
        model_packed_experts(model, acts, got);
        for (int s = 0; s < golden.sequences.n; s++) {
            const struct context *c = &p.batch.contexts[s];
            for (int layer = 0; layer < n_layers; layer++) {
                for (int t = 0; t < golden.sequences.of[s].n_tokens; t++, at += (size_t)k) {
                    int row = t < c->n_prefix ? c->prefix_row + t : c->row + t - c->n_prefix;
                    assert_memory_equal(got + (row * n_layers + layer) * k, want.data + at, (size_t)k);
                }
            }
        }
        assert_int_equal(at, want.length);
        strbuf_release(&want);
        activations_free(acts, model);
        model_close(model);
        arena_release(&arena);
    }
}

/* ---- loads ---- */

struct result {
    float *logprob, *lse, *grads;
    uint8_t *experts;
};

static struct packed batch_of(struct arena *arena, const int *lengths, int n)
{
    struct sequences *s = ARENA_NEW(arena, struct sequences, 1);
    for (int i = 0; i < n; i++) {
        fixture_add(s, arena, lengths[i], -1, 0);
    }
    return fixture_pack(s, arena);
}

static struct result compute(struct model *model, const struct packed *p, struct arena *arena)
{
    size_t n = (size_t)p->batch.n_targets, bytes = model->params.n * sizeof(float);
    struct activations *acts = fixture_activations(model, &p->batch);
    struct result r = {ARENA_NEW(arena, float, n), ARENA_NEW(arena, float, n), ARENA_NEW(arena, float, model->params.n),
                       NULL};
    int of_row = model_expert_layers(&model->config) * model->config.moe.router.k;
    r.experts = ARENA_NEW(arena, uint8_t, p->batch.T * of_row);
    model->params.grads = device_alloc(model->device, bytes, "gradients");
    model_forward(model, &p->batch, acts);
    model_packed_experts(model, acts, r.experts);
    model_target_logprobs(model, &p->batch, acts, 1, r.logprob, r.lse, NULL);
    model_backward(model, &p->batch, acts, 1, r.lse, NULL, p->a, NULL);
    device_read(model->device, r.grads, model->params.grads, bytes);
    device_free(model->device, model->params.grads);
    model->params.grads = NULL;
    activations_free(acts, model);
    return r;
}

static void set_part(struct model *model, const char *name, float value)
{
    struct part part = part_named(model, name);
    float *rows = mem_alloc(part.n * sizeof *rows);
    for (size_t i = 0; i < part.n; i++) {
        rows[i] = value;
    }
    part_import(model, &part, rows);
    free(rows);
}

static double size_of_grad(const struct model *model, const struct result *r, const char *name)
{
    struct part part = part_named(model, name);
    double sum = 0;
    for (size_t i = 0; i < part.n; i++) {
        double g = (double)r->grads[part.offset + i];
        assert_true(isfinite(g));
        sum += fabs(g);
    }
    return sum;
}

/* A router of zeros sends all rows to the first experts: the others' gradients are zeros, and nothing is not a number. */
static void experts_without_rows_have_no_gradient(void **state)
{
    for (int family = FAMILY_QWEN2_MOE; family <= FAMILY_QWEN3_MOE; family++) {
        struct arena arena = ARENA_INIT;
        struct model *model = fixture_model((enum fixture_family)family, *state);
        struct packed p = batch_of(&arena, (const int[]){40, 7}, 2);
        const struct router *router = &model->config.moe.router;
        set_part(model, "model.layers.0.mlp.gate.weight", 0);
        struct result r = compute(model, &p, &arena);
        for (int i = 0; i < p.batch.T * router->k; i++) {
            assert_int_equal(r.experts[i], i % router->k);
        }
        for (int e = 0; e < router->E; e++) {
            static const char *const names[] = {"gate", "up", "down"};
            for (int i = 0; i < 3; i++) {
                char name[80];
                snprintf(name, sizeof name, "model.layers.0.mlp.experts.%d.%s_proj.weight", e, names[i]);
                assert_true(e < router->k ? size_of_grad(model, &r, name) > 0.1 : !(size_of_grad(model, &r, name) > 0));
            }
        }
        assert_true(size_of_grad(model, &r, "model.layers.0.mlp.gate.weight") > 0);
        model_close(model);
        arena_release(&arena);
    }
}

/* One expert or all of them for each row, one row or many: rollout has the bits of training, and threads change none. */
static void any_number_of_experts_is_exact(void **state)
{
    static const int numbers[][2] = {{6, 1}, {6, 6}, {1, 1}, {19, 5}};
    static const int lengths[][3] = {{2, 0, 0}, {129, 3, 40}};
    for (int i = 0; i < 8; i++) {
        struct arena arena = ARENA_INIT;
        struct model *model = NULL;
        struct model_config config = fixture_config(i % 2 ? FAMILY_QWEN2_MOE : FAMILY_QWEN3_MOE);
        config.moe.router.E = numbers[i / 2][0];
        config.moe.router.k = numbers[i / 2][1];
        FIXTURE_ASSERT(model_new(&model, &config, NULL, *state, 0, 7));
        struct sequences *s = ARENA_NEW(&arena, struct sequences, 1);
        for (int k = 0; k < 3 && lengths[i % 2][k] > 0; k++) {
            fixture_add(s, &arena, lengths[i % 2][k], -1, 0);
        }
        struct packed p = fixture_pack(s, &arena);
        struct activations *acts = fixture_activations(model, &p.batch);
        model_forward(model, &p.batch, acts);
        size_t n = (size_t)p.batch.T * (size_t)config.d;
        const struct plan one_by_one = {"a row at a time", 1, 1, true};
        const float *rows = fixture_hidden(model, s, &one_by_one, &arena);
        assert_memory_equal(rows, acts->hidden, n * sizeof *rows);
        struct result one, two;
        device_set_threads(1);
        one = compute(model, &p, &arena);
        device_set_threads(3);
        two = compute(model, &p, &arena);
        device_set_threads(0);
        assert_memory_equal(one.grads, two.grads, model->params.n * sizeof *one.grads);
        activations_free(acts, model);
        model_close(model);
        arena_release(&arena);
    }
}

/* ---- given experts ---- */

/* Those of the choice change no bit; others are taken, and each row's output follows. */
static void given_experts_are_taken(void **state)
{
    for (int family = FAMILY_QWEN2_MOE; family <= FAMILY_QWEN3_MOE; family++) {
        struct arena arena = ARENA_INIT;
        struct model *model = fixture_model_of(3, (enum fixture_family)family, *state);
        struct packed p = batch_of(&arena, (const int[]){40, 7}, 2);
        int k = model->config.moe.router.k, n_layers = model_expert_layers(&model->config),
            E = model->config.moe.router.E;
        size_t n = (size_t)(p.batch.T * n_layers * k), targets = (size_t)p.batch.n_targets;
        assert_int_equal(n_layers, 2);
        struct result free_choice = compute(model, &p, &arena);
        p.batch.experts = free_choice.experts;
        struct result same = compute(model, &p, &arena);
        assert_memory_equal(same.experts, free_choice.experts, n);
        assert_memory_equal(same.logprob, free_choice.logprob, targets * sizeof(float));
        assert_memory_equal(same.grads, free_choice.grads, model->params.n * sizeof(float));
        uint8_t *others = ARENA_NEW(&arena, uint8_t, n);
        for (size_t i = 0; i < n; i++) {
            others[i] = (uint8_t)((int)(i % (size_t)k) + E - k); /* the last ones */
        }
        p.batch.experts = others;
        struct result other = compute(model, &p, &arena);
        assert_memory_equal(other.experts, others, n);
        assert_memory_not_equal(other.logprob, free_choice.logprob, targets * sizeof(float));
        assert_false(size_of_grad(model, &other, "model.layers.0.mlp.experts.0.up_proj.weight") > 0);
        assert_true(size_of_grad(model, &other, "model.layers.2.mlp.experts.4.up_proj.weight") > 0);
        model_close(model);
        arena_release(&arena);
    }
}

/* ---- files ---- */

/* A new model comes back from its files with all bits, and as a family that transformers knows. */
static void mixtures_come_back_from_files(void **state)
{
    for (int family = FAMILY_QWEN2_MOE; family <= FAMILY_QWEN3_MOE; family++) {
        char folder[] = "/tmp/strop_moe_XXXXXX";
        assert_non_null(mkdtemp(folder));
        struct model *model = fixture_model_of(3, (enum fixture_family)family, *state), *again = NULL;
        FIXTURE_ASSERT(model_save(model, folder, "float32"));
        FIXTURE_ASSERT(model_open(&again, folder, *state, 0));
        assert_memory_equal(again->params.data, model->params.data, model->params.bytes);
        assert_memory_equal(&again->config.moe, &model->config.moe, sizeof model->config.moe);
        model_close(model);
        model_close(again);
        FIXTURE_ASSERT(file_remove_folder(folder));
    }
}

static void what_a_gpu_does_not_take_is_refused(void **state)
{
    (void)state;
    struct device *gpu;
    struct model *model = NULL;
    struct model_config config = fixture_config(FAMILY_QWEN3_MOE);
    FIXTURE_ASSERT(device_open_planning(&gpu, "cuda", (size_t)1 << 30));
    FIXTURE_ASSERT(model_plan(&model, &config, "x", gpu, 0, false));
    model_close(model);
    config.moe.router.E = 600;
    assert_int_equal(model_plan(&model, &config, "x", gpu, 0, false), ERR_DEVICE);
    assert_string_equal(err_text(), "x: has 600 experts, and the device cuda takes at most 512; use --device=cpu");
    device_close(gpu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(experts_are_those_of_transformers, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(experts_without_rows_have_no_gradient, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(any_number_of_experts_is_exact, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(given_experts_are_taken, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(mixtures_come_back_from_files, fixture_open, fixture_close),
        cmocka_unit_test(what_a_gpu_does_not_take_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

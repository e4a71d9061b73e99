/* tests/model/upcycle_test.c - a mixture made of a dense model computes what it did; what noise changes; what cannot be.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/upcycle.h"

#include <unistd.h>

#include "tests/model/fixture.h"

/* The model at `path`, upcycled into a folder of its own, in fp32. */
static void upcycle(const char *path, const char *options, char *folder, struct device *device)
{
    struct upcycle u;
    struct model *dense = NULL;
    assert_non_null(mkdtemp(folder));
    FIXTURE_ASSERT(upcycle_parse(&u, options));
    FIXTURE_ASSERT(model_open(&dense, path, device, 0));
    FIXTURE_ASSERT(upcycle_save(&u, dense, folder, "float32"));
    model_close(dense);
}

static const struct param_part *find(const struct model *model, const char *name)
{
    const struct param_part *part = params_find(&model->params, name);
    if (!part) {
        fail_msg("no tensor %s", name);
    }
    return part;
}

/* Largest difference of the hidden rows, of which the head, which is the same, makes logits. */
static double difference(const char *a, const char *b, struct device *device)
{
    struct arena arena = ARENA_INIT;
    struct sequences *s = fixture_sequences(&arena);
    struct model *x = NULL, *y = NULL;
    double most = 0;
    FIXTURE_ASSERT(model_open(&x, a, device, 0));
    FIXTURE_ASSERT(model_open(&y, b, device, 0));
    assert_true(x->config.V == y->config.V && x->config.tied == y->config.tied);
    const float *p = fixture_hidden(x, s, &fixture_whole, &arena), *q = fixture_hidden(y, s, &fixture_whole, &arena);
    size_t n = 0;
    for (int i = 0; i < s->n; i++) {
        n += (size_t)s->of[i].n_tokens * (size_t)x->config.d;
    }
    for (size_t i = 0; i < n; i++) {
        most = fmax(most, fabs((double)p[i] - (double)q[i]));
    }
    model_close(x);
    model_close(y);
    arena_release(&arena);
    return most;
}

static void first_logits_are_those_of_the_dense_model(void **state)
{
    static const struct {
        const char *model, *options, *family;
        int E, k, shared;
    } cases[] = {
        {"models/qwen3", "experts=8,top_k=2", "qwen3_moe", 8, 2, 0},
        {"models/qwen3", "top_k=1,experts=1,noise=0", "qwen3_moe", 1, 1, 0},
        {"models/qwen3", "experts=4,top_k=4,shared=0", "qwen3_moe", 4, 4, 0},
        {"models/qwen2", "experts=4,top_k=2", "qwen2_moe", 4, 2, 16},
        {"models/qwen2", "experts=4,top_k=3,shared=1", "qwen2_moe", 4, 3, 112},
        {"models/qwen2-yarn", "experts=2,top_k=1,shared=1", "qwen2_moe", 2, 1, 64},
        {"gguf/qwen2.gguf", "experts=3,top_k=2", "qwen2_moe", 3, 2, 16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[64], folder[] = "/tmp/strop_upcycle_XXXXXX";
        struct model_config config;
        snprintf(path, sizeof path, "tests/golden/%s", cases[i].model);
        upcycle(path, cases[i].options, folder, *state);
        FIXTURE_ASSERT(model_config_open(&config, folder));
        assert_string_equal(config.family->name, cases[i].family);
        assert_true(config.moe.router.E == cases[i].E && config.moe.router.k == cases[i].k);
        assert_true(config.moe.shared_F == cases[i].shared && config.moe.router.normalised);
        double most = difference(path, folder, *state);
        if (!(most < 2e-5)) { /* of rows of norm 8: rounding of sums of k products */
            fail_msg("%s %s: hidden states differ by %g", path, cases[i].options, most);
        }
        FIXTURE_ASSERT(file_remove_folder(folder));
    }
}

static void noise_makes_experts_differ(void **state)
{
    char folder[2][32] = {"/tmp/strop_upcycle_XXXXXX", "/tmp/strop_upcycle_XXXXXX"};
    static const char dense[] = "tests/golden/models/qwen3";
    struct model *model = NULL, *again = NULL, *plain = NULL;
    float a[80 * 64], b[80 * 64], c[80 * 64], first[8 * 64];
    for (int i = 0; i < 2; i++) {
        upcycle(dense, "experts=4,top_k=2,noise=0.1", folder[i], *state);
    }
    assert_true(difference(dense, folder[0], *state) > 1e-3);
    FIXTURE_ASSERT(model_open(&model, folder[0], *state, 0));
    FIXTURE_ASSERT(model_open(&again, folder[1], *state, 0));
    FIXTURE_ASSERT(model_open(&plain, dense, *state, 0));
    assert_memory_equal(model->params.data, again->params.data, model->params.bytes);
    const struct param_part *source = find(plain, "model.layers.1.mlp.up_proj.weight");
    const struct param_part *x = find(model, "model.layers.1.mlp.experts.0.up_proj.weight");
    const struct param_part *y = find(model, "model.layers.1.mlp.experts.3.up_proj.weight");
    params_export(&plain->params, *state, &plain->params.table[source->param], a, source->row, 80);
    params_export(&model->params, *state, &model->params.table[x->param], b, x->row, 80);
    params_export(&model->params, *state, &model->params.table[y->param], c, y->row, 80);
    double power = 0, noise = 0, between = 0;
    for (int i = 0; i < 80 * 64; i++) {
        power += (double)a[i] * (double)a[i];
        noise += pow((double)b[i] - (double)a[i], 2);
        between += pow((double)b[i] - (double)c[i], 2);
    }
    assert_true(fabs(sqrt(noise / power) - 0.1) < 0.005);
    assert_true(fabs(sqrt(between / power) - 0.1 * sqrt(2)) < 0.005);
    const struct param_part *router = find(model, "model.layers.0.mlp.gate.weight");
    params_export(&model->params, *state, &model->params.table[router->param], first, 0, 4);
    double sum = 0;
    for (int i = 0; i < 4 * 64; i++) {
        sum += (double)first[i] * (double)first[i];
    }
    assert_true(fabs(sqrt(sum / (4 * 64)) - 0.02) < 0.005);
    model_close(model);
    model_close(again);
    model_close(plain);
    FIXTURE_ASSERT(file_remove_folder(folder[0]));
    FIXTURE_ASSERT(file_remove_folder(folder[1]));
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "has no '='"},
        {"experts", "'experts' has no '='"},
        {"experts=8", "top_k must be from 1 to experts"},
        {"top_k=2", "top_k must be from 1 to experts"},
        {"experts=2,top_k=3", "top_k 3"},
        {"experts=2.5,top_k=1", "experts=2.5"},
        {"experts=8x,top_k=1", "'8x'"},
        {"experts=-8,top_k=1", "'-8'"},
        {"experts=nan,top_k=1", "'nan'"},
        {"experts=8,top_k=1,shared=2", "shared=2"},
        {"experts=8,top_k=1,noise=-1", "noise is '-1'"},
        {"experts=8,top_k=1,width=3", "width=3"},
        {"experts=8,,top_k=1", "'' has no '='"},
    };
    struct upcycle u;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (upcycle_parse(&u, cases[i].text) != ERR_USAGE || !strstr(err_text(), cases[i].error)) {
            fail_msg("'%s': '%s'", cases[i].text, err_text());
        }
    }
    static const struct {
        const char *model, *options, *error;
    } models[] = {{"llama3", "experts=8,top_k=2", "there is for qwen2 and qwen3"},
                  {"qwen3", "experts=8,top_k=2,shared=1", "has no shared expert"},
                  {"qwen3-moe", "experts=8,top_k=2", "there is for qwen2 and qwen3"}};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char path[64];
        struct model_config dense, config;
        snprintf(path, sizeof path, "tests/golden/models/%s", models[i].model);
        FIXTURE_ASSERT(model_config_open(&dense, path));
        FIXTURE_ASSERT(upcycle_parse(&u, models[i].options));
        assert_int_equal(upcycle_config(&u, &dense, &config), ERR_USAGE);
        assert_non_null(strstr(err_text(), models[i].error));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(first_logits_are_those_of_the_dense_model, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(noise_makes_experts_differ, fixture_open, fixture_close),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

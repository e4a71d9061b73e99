/* tests/model/weights_test.c - the parameters of the network: names, shapes, what is one matrix.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/weights.h"

#include "tests/model/fixture.h"

static void parameters_follow_each_other_aligned(void **state)
{
    struct device *device = *state;
    for (int family = 0; family < 3; family++) {
        struct model_config config = fixture_config((enum fixture_family)family);
        struct weights w;
        struct params params;
        weights_plan(&w, &params, &config, device);
        int bias = family == FAMILY_QWEN2, norm = family == FAMILY_QWEN3 ? 2 : 0, head = family == FAMILY_QWEN3;
        assert_int_equal(params.n_params, 2 + head + config.n_layers * (6 + bias + norm));
        assert_int_equal(params.n_parts, 2 + head + config.n_layers * (9 + 3 * bias + norm));
        size_t at = 0;
        for (int i = 0; i < params.n_params; i++) {
            const struct param *p = &params.table[i];
            size_t least = (size_t)p->rows * (size_t)param_width(p);
            assert_int_equal(p->offset, at);
            assert_int_equal(p->at, at * device->element_bytes);
            assert_int_equal(p->n % 16, 0);
            assert_true(p->n >= least && p->n < least + 16 * (size_t)param_width(p));
            assert_true(p->trains && p->decays == (p->cols > 0) && p->dtype == PARAM_ELEMENT);
            at += p->n;
        }
        assert_int_equal(at, params.n);
        assert_int_equal(at * device->element_bytes, params.bytes);
        assert_true((w.head == w.embedding) == config.tied);
        assert_null(params.data);
        params_release(&params, device);
        weights_release(&w);
    }
}

/* Parts cover the rows of their parameter in order, and are found by name. */
static void parts_cover_their_parameter(void **state)
{
    struct device *device = *state;
    for (int family = 0; family < 3; family++) {
        struct model_config config = fixture_config((enum fixture_family)family);
        struct weights w;
        struct params params;
        weights_plan(&w, &params, &config, device);
        int n = 0;
        for (int i = 0; i < params.n_params; i++) {
            const struct param *p = &params.table[i];
            int row = 0;
            assert_int_equal(p->first_part, n);
            for (int k = 0; k < p->n_parts; k++, n++) {
                const struct param_part *part = &params.parts[n];
                assert_int_equal(part->param, i);
                assert_int_equal(part->row, row);
                assert_ptr_equal(params_find(&params, part->name), part);
                assert_true((p->init == PARAM_ONE) == (strstr(part->name, "norm") != NULL));
                assert_true((p->init == PARAM_ZERO) == (strstr(part->name, "bias") != NULL));
                assert_true((p->init == PARAM_RESIDUAL) ==
                            (strstr(part->name, "o_proj") || strstr(part->name, "down_proj")));
                row += part->rows;
            }
            assert_int_equal(row, p->rows);
        }
        assert_int_equal(n, params.n_parts);
        assert_null(params_find(&params, "model.layers.2.mlp.up_proj.weight"));
        params_release(&params, device);
        weights_release(&w);
    }
}

/* The parts of a parameter of layer 1, in order. */
static void expect_parts(const struct params *params, int i, const char *const *names, const int *rows, int n)
{
    const struct param *p = &params->table[i];
    assert_int_equal(p->n_parts, n);
    for (int k = 0; k < n; k++) {
        char name[80];
        snprintf(name, sizeof name, "model.layers.1.%s", names[k]);
        assert_string_equal(params->parts[p->first_part + k].name, name);
        assert_int_equal(params->parts[p->first_part + k].rows, rows[k]);
    }
}

static void what_is_multiplied_at_once_is_one_parameter(void **state)
{
    struct device *device = *state;
    struct model_config c = fixture_config(FAMILY_QWEN2);
    struct weights w;
    struct params params;
    weights_plan(&w, &params, &c, device);
    static const char *const matrices[] = {"self_attn.q_proj.weight", "self_attn.k_proj.weight",
                                           "self_attn.v_proj.weight"};
    static const char *const biases[] = {"self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"};
    static const char *const gate_up[] = {"mlp.gate_proj.weight", "mlp.up_proj.weight"};
    const int heads[] = {c.H * c.D, c.J * c.D, c.J * c.D}, widths[] = {c.F, c.F};
    const int *attention = w.layers[1].block[BLOCK_ATTENTION], *mlp = w.layers[1].block[BLOCK_FEED_FORWARD];
    expect_parts(&params, attention[0], matrices, heads, 3);
    expect_parts(&params, attention[1], biases, heads, 3);
    expect_parts(&params, mlp[0], gate_up, widths, 2);
    assert_true(attention[2] < 0 && attention[3] < 0); /* no query/key norm */
    params.data = device_alloc(device, params.bytes, "weights");
    assert_null(params_at(&params, -1));
    assert_ptr_equal(params_at(&params, mlp[0]), (char *)params.data + params.table[mlp[0]].at);
    params_release(&params, device);
    weights_release(&w);
}

/* On a GPU an element has two bytes, and a parameter of fp32 four; numbers of both go in and out. */
static void a_parameter_has_its_own_type(void **state)
{
    struct device *device = *state, *gpu = NULL;
    const struct param_part wide = {.name = (char[]){"wide"}, .rows = 16},
                            narrow = {.name = (char[]){"narrow"}, .rows = 32};
    float rows[16 * 3], back[16 * 3];
    FIXTURE_ASSERT(device_open_planning(&gpu, "cuda", 0));
    for (int i = 0; i < 2; i++) {
        struct device *on = i ? gpu : device;
        struct params params = {0};
        assert_int_equal(params_add(&params, on, 3, PARAM_FP32, PARAM_NORMAL, &wide, 1), 0);
        assert_int_equal(params_add(&params, on, 0, PARAM_ELEMENT, PARAM_ONE, &narrow, 1), 1);
        assert_int_equal(params.table[1].offset, 48);
        assert_int_equal(params.table[1].at, 48 * sizeof(float));
        assert_int_equal(params.bytes, 48 * sizeof(float) + 32 * on->element_bytes);
        if (i == 0) {
            params.data = device_alloc(on, params.bytes, "weights");
            for (int k = 0; k < 48; k++) {
                rows[k] = (float)k / 3;
            }
            params_import(&params, on, &params.table[0], rows, 0, 16);
            params_export(&params, on, &params.table[0], back, 0, 16);
            assert_memory_equal(rows, back, sizeof rows);
        }
        params_release(&params, on);
    }
    device_close(gpu);
}

/* Those that train stay in order, aligned, and nothing else has room; numbers of a frozen one go in and out of data. */
static void frozen_parameters_have_no_room(void **state)
{
    struct device *device = *state;
    struct model_config config = fixture_config(FAMILY_QWEN2);
    struct weights w;
    struct params params;
    weights_plan(&w, &params, &config, device);
    for (int i = 0; i < params.n_params; i++) {
        if (i % 3 != 1) {
            params_freeze(&params, i);
        }
    }
    size_t at = 0;
    for (int i = 0; i < params.n_params; i++) {
        assert_true(params.table[i].trains == (i % 3 == 1));
        if (params.table[i].trains) {
            assert_int_equal(params.table[i].offset, at);
            at += params.table[i].n;
        }
    }
    assert_int_equal(params.n_trained, at);
    assert_true(at > 0 && at < params.n);
    params.data = device_alloc(device, params.bytes, "weights");
    params.master = device_alloc(device, at * sizeof(float), "masters");
    float rows[64], back[64]; /* the longest row */
    for (int k = 0; k < 64; k++) {
        rows[k] = (float)k / 7;
    }
    for (int i = 0; i < params.n_params; i++) {
        const struct param *p = &params.table[i];
        int n = p->cols ? 1 : 40;
        params_import(&params, device, p, rows, 0, n);
        params_export(&params, device, p, back, 0, n);
        assert_memory_equal(rows, back, (size_t)n * (size_t)param_width(p) * sizeof *rows);
    }
    params_release(&params, device);
    weights_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(parameters_follow_each_other_aligned, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(parts_cover_their_parameter, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_parameter_has_its_own_type, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(frozen_parameters_have_no_room, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(what_is_multiplied_at_once_is_one_parameter, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

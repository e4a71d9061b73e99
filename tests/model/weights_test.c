/* tests/model/weights_test.c - the table of tensors: names, shapes, what stands together.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/weights.h"

#include "tests/model/fixture.h"

static void tensors_follow_each_other_aligned(void **state)
{
    struct device *device = *state;
    for (int family = 0; family < 3; family++) {
        struct model_config config = fixture_config((enum model_family)family);
        struct weights w;
        weights_plan(&w, &config, device->ops);
        int bias = family == FAMILY_QWEN2 ? 3 : 0, norm = family == FAMILY_QWEN3 ? 2 : 0, head = family == FAMILY_QWEN3;
        assert_int_equal(w.n_tensors, 2 + head + config.n_layers * (9 + bias + norm));
        size_t at = 0;
        for (int i = 0; i < w.n_tensors; i++) {
            const struct weight *t = &w.table[i];
            size_t least = (size_t)t->rows * (size_t)(t->cols ? t->cols : 1);
            assert_int_equal(t->offset, at);
            assert_int_equal(t->n % 16, 0);
            assert_true(t->n >= least && t->n < least + 16 * (size_t)(t->cols ? t->cols : 1));
            assert_ptr_equal(weights_find(&w, t->name), t);
            assert_true(t->is_norm == (strstr(t->name, "norm") != NULL));
            at += t->n;
        }
        assert_int_equal(at, w.n);
        assert_true((w.head == w.embedding) == config.tied);
        assert_null(w.data);
        assert_null(weights_find(&w, "model.layers.2.mlp.up_proj.weight"));
        weights_release(&w, device);
    }
}

static size_t offset_of(const struct weights *w, const char *name)
{
    char full[80];
    snprintf(full, sizeof full, "model.layers.1.%s", name);
    const struct weight *t = weights_find(w, full);
    return t ? t->offset : SIZE_MAX;
}

/* One matrix of q, k, v rows: the panels of each follow the last one's. */
static void what_is_used_as_one_stands_together(void **state)
{
    struct device *device = *state;
    for (int family = 0; family < 3; family++) {
        struct model_config c = fixture_config((enum model_family)family);
        struct weights w;
        weights_plan(&w, &c, device->ops);
        const struct layer_weights *l = &w.layers[1];
        size_t d = (size_t)c.d, q = (size_t)(c.H * c.D), kv = (size_t)(c.J * c.D);
        assert_int_equal(l->qkv, offset_of(&w, "self_attn.q_proj.weight"));
        assert_int_equal(l->qkv + q * d, offset_of(&w, "self_attn.k_proj.weight"));
        assert_int_equal(l->qkv + (q + kv) * d, offset_of(&w, "self_attn.v_proj.weight"));
        assert_int_equal(l->gate_up, offset_of(&w, "mlp.gate_proj.weight"));
        assert_int_equal(l->gate_up + (size_t)c.F * d, offset_of(&w, "mlp.up_proj.weight"));
        assert_int_equal(l->qkv_bias, offset_of(&w, "self_attn.q_proj.bias"));
        if (family == FAMILY_QWEN2) {
            assert_int_equal(l->qkv_bias + q, offset_of(&w, "self_attn.k_proj.bias"));
            assert_int_equal(l->qkv_bias + q + kv, offset_of(&w, "self_attn.v_proj.bias"));
        }
        assert_int_equal(l->q_norm, offset_of(&w, "self_attn.q_norm.weight"));
        assert_int_equal(l->k_norm, offset_of(&w, "self_attn.k_norm.weight"));
        assert_int_equal(l->input_norm, offset_of(&w, "input_layernorm.weight"));
        assert_int_equal(l->post_norm, offset_of(&w, "post_attention_layernorm.weight"));
        assert_int_equal(l->o, offset_of(&w, "self_attn.o_proj.weight"));
        assert_int_equal(l->down, offset_of(&w, "mlp.down_proj.weight"));
        w.data = device_alloc(device, w.n * device->element_bytes, "weights");
        assert_null(weights_at(&w, device, SIZE_MAX));
        assert_ptr_equal(weights_at(&w, device, l->down), (char *)w.data + l->down * device->element_bytes);
        weights_release(&w, device);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tensors_follow_each_other_aligned, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(what_is_used_as_one_stands_together, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/model/block_mla_test.c - latent attention: what it cannot have, and what its pages keep.
 *
 * Its arithmetic is compared with transformers in forward_packed_test and backward_test, with itself in forward_cached_test.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/block.h"

#include "tests/model/fixture.h"

static void widths_are_multiples_of_16(void **state)
{
    struct device *device = *state;
    struct model_config config = fixture_config(FAMILY_DEEPSEEK);
    const struct {
        int *width;
        const char *name;
    } cases[] = {{&config.mla.q_rank, "q_lora_rank"},
                 {&config.mla.kv_rank, "kv_lora_rank"},
                 {&config.mla.nope, "qk_nope_head_dim"},
                 {&config.mla.rope, "qk_rope_head_dim"},
                 {&config.mla.v, "v_head_dim"}};
    for (int i = 0; i < 5; i++) {
        struct model *model = NULL;
        char want[128];
        int was = *cases[i].width;
        *cases[i].width = 24;
        snprintf(want, sizeof want, "new model: %s is 24, and only multiples of 16 are supported", cases[i].name);
        assert_int_equal(model_new(&model, &config, NULL, device, 0, 1), ERR_LIMIT);
        assert_string_equal(err_text(), want);
        *cases[i].width = was;
    }
}

static void what_a_gpu_does_not_take_is_refused(void **state)
{
    (void)state;
    struct device *gpu;
    struct model *model = NULL;
    struct model_config config = fixture_config(FAMILY_DEEPSEEK);
    FIXTURE_ASSERT(device_open_planning(&gpu, "cuda", (size_t)1 << 30));
    FIXTURE_ASSERT(model_plan(&model, &config, "x", gpu, 0, false));
    model_close(model);
    config.mla.kv_rank = 512;
    assert_int_equal(model_plan(&model, &config, "x", gpu, 0, false), ERR_DEVICE);
    assert_string_equal(err_text(), "x: kv_lora_rank + qk_rope_head_dim is 528, and the device cuda takes at most 128; "
                                    "use --device=cpu");
    config = fixture_config(FAMILY_DEEPSEEK);
    config.H = config.J = 128;
    assert_int_equal(model_plan(&model, &config, "x", gpu, 0, false), ERR_DEVICE);
    assert_string_equal(
        err_text(), "x: 128 attention heads share a latent, and the device cuda takes at most 64; use --device=cpu");
    device_close(gpu);
}

/* Per position and layer one latent with its rotated part, and the latent again as a value, whatever the heads. */
static void pages_keep_latents(void **state)
{
    struct device *device = *state;
    struct model *model = fixture_model(FAMILY_DEEPSEEK, device);
    const struct mla_config *mla = &model->config.mla;
    size_t columns = (size_t)(2 * mla->kv_rank + mla->rope);
    assert_int_equal(kv_page_bytes(model), 2 * OPS_PAGE * columns * sizeof(float));
    model_close(model);
}

static void queries_need_not_be_compressed(void **state)
{
    struct device *device = *state;
    struct model_config config = fixture_config(FAMILY_DEEPSEEK);
    for (int direct = 0; direct < 2; direct++) {
        struct model *model = NULL;
        config.mla.q_rank = direct ? 0 : 32;
        FIXTURE_ASSERT(model_new(&model, &config, NULL, device, 0, 1));
        assert_true((params_find(&model->params, "model.layers.1.self_attn.q_proj.weight") != NULL) == direct);
        assert_true((params_find(&model->params, "model.layers.1.self_attn.q_a_proj.weight") == NULL) == direct);
        assert_true((params_find(&model->params, "model.layers.1.self_attn.q_b_proj.weight") == NULL) == direct);
        assert_true((params_find(&model->params, "model.layers.1.self_attn.q_a_layernorm.weight") == NULL) == direct);
        model_close(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(widths_are_multiples_of_16, fixture_open, fixture_close),
        cmocka_unit_test(what_a_gpu_does_not_take_is_refused),
        cmocka_unit_test_setup_teardown(pages_keep_latents, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(queries_need_not_be_compressed, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/model/config_moe_test.c - the keys of experts and of latent attention: what they mean, what is refused, and back again.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "tests/model/fixture.h"

static const struct model_family families[] = {
    {.name = "qwen2_moe", .moe = &moe_rules_qwen2},
    {.name = "qwen3_moe", .moe = &moe_rules_qwen3},
    {.name = "deepseek_v2", .moe = &moe_rules_deepseek_v2},
    {.name = "deepseek_v3", .moe = &moe_rules_deepseek_v3},
};
enum { QWEN2_MOE, QWEN3_MOE, DEEPSEEK_V2, DEEPSEEK_V3 };

#define LATENT "\"kv_lora_rank\": 32, \"qk_nope_head_dim\": 16, \"qk_rope_head_dim\": 8, \"v_head_dim\": 24"

/* Keys of a model that can be. */
static const char *const plain[] = {
    [QWEN2_MOE] = "{\"num_experts\": 8, \"num_experts_per_tok\": 2, \"moe_intermediate_size\": 48, "
                  "\"shared_expert_intermediate_size\": 80}",
    [QWEN3_MOE] = "{\"num_experts\": 8, \"num_experts_per_tok\": 2, \"moe_intermediate_size\": 48}",
    [DEEPSEEK_V2] = "{\"n_routed_experts\": 8, \"num_experts_per_tok\": 2, \"moe_intermediate_size\": 48, "
                    "\"n_shared_experts\": 2, " LATENT "}",
    [DEEPSEEK_V3] = "{\"n_routed_experts\": 16, \"num_experts_per_tok\": 4, \"moe_intermediate_size\": 48, "
                    "\"n_shared_experts\": 1, " LATENT "}",
};

/* The keys above and `extra`, which may take their place. */
static enum err parse(struct model_config *out, int family, const char *extra)
{
    json_t *document = json_loads(plain[family], 0, NULL), *more = json_loads(extra, 0, NULL);
    assert_non_null(document);
    if (!more) {
        fail_msg("%s is no JSON", extra);
    }
    memset(out, 0, sizeof *out);
    out->family = &families[family];
    out->n_layers = 6;
    out->d = 64;
    out->H = out->J = 4;
    out->D = 16;
    out->rope = (struct rope_config){.theta = 10000, .factor = 1};
    assert_int_equal(json_object_update(document, more), 0);
    const json_t *d = json_object_get(document, "hidden_size");
    out->d = d ? (int)json_integer_value(d) : out->d;
    TRY(rope_config_parse(&out->rope, document, 4096, "config.json"));
    enum err result = moe_config_parse(out, document, "config.json");
    json_decref(more);
    json_decref(document);
    return result;
}

/* Bit i: layer i has experts. */
static unsigned layers_of(const struct model_config *c)
{
    unsigned bits = 0;
    for (int i = 0; i < c->n_layers; i++) {
        bits |= model_layer_is_dense(c, i) ? 0 : 1u << i;
    }
    return bits;
}

static void what_is_absent_is_the_default_of_transformers(void **state)
{
    (void)state;
    static const struct {
        bool sigmoid, normalised, bias;
        float scale, epsilon;
        int n_groups, top_groups, best, shared;
        unsigned layers;
    } want[] = {
        [QWEN2_MOE] = {false, false, false, 1, 0, 1, 1, 1, 80, 63},
        [QWEN3_MOE] = {false, false, false, 1, 0, 1, 1, 1, 0, 63},
        [DEEPSEEK_V2] = {false, false, false, 1, 0, 1, 1, 1, 96, 63},
        [DEEPSEEK_V3] = {true, true, true, 2.5f, 1e-20f, 8, 4, 2, 48, 56},
    };
    for (int i = 0; i < 4; i++) {
        struct model_config c;
        FIXTURE_ASSERT(parse(&c, i, "{}"));
        const struct router *r = &c.moe.router;
        assert_true(r->E == (i == DEEPSEEK_V3 ? 16 : 8) && r->k == (i == DEEPSEEK_V3 ? 4 : 2) && c.moe.F == 48);
        assert_true(r->sigmoid == want[i].sigmoid && r->normalised == want[i].normalised);
        assert_true(c.moe.has_bias == want[i].bias && c.moe.shared_F == want[i].shared);
        assert_true(c.moe.shared_gated == (i == QWEN2_MOE));
        assert_memory_equal(&r->scale, &want[i].scale, sizeof r->scale);
        assert_memory_equal(&r->epsilon, &want[i].epsilon, sizeof r->epsilon);
        assert_true(r->n_groups == want[i].n_groups && r->top_groups == want[i].top_groups);
        assert_true(r->group_best == want[i].best && layers_of(&c) == want[i].layers);
        assert_int_equal(c.mla.kv_rank, i >= DEEPSEEK_V2 ? 32 : 0);
        assert_int_equal(c.D, i >= DEEPSEEK_V2 ? 8 : 16);
    }
}

static void experts_have_three_names(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{\"num_experts\": null, \"num_local_experts\": 12, \"n_routed_experts\": null}",
        "{\"num_experts\": 12, \"num_local_experts\": 12, \"n_routed_experts\": null}",
        "{\"num_experts\": null, \"n_routed_experts\": 12}",
    };
    struct model_config c;
    for (int i = 0; i < 3; i++) {
        FIXTURE_ASSERT(parse(&c, QWEN3_MOE, good[i]));
        assert_int_equal(c.moe.router.E, 12);
        FIXTURE_ASSERT(parse(&c, DEEPSEEK_V2, good[i]));
        assert_int_equal(c.moe.router.E, 12);
    }
    FIXTURE_ASSERT(parse(&c, QWEN3_MOE, "{\"num_experts\": 0}"));
    assert_int_equal(layers_of(&c), 0);
}

static void layers_with_experts(void **state)
{
    (void)state;
    static const struct {
        int family;
        const char *keys;
        unsigned layers;
    } cases[] = {
        {QWEN3_MOE, "{\"decoder_sparse_step\": 2}", 0x2a},
        {QWEN3_MOE, "{\"decoder_sparse_step\": 3, \"mlp_only_layers\": [0, 5, 99, -1]}", 0x04},
        {QWEN2_MOE, "{\"mlp_only_layers\": [0, 3]}", 0x36},
        {QWEN2_MOE, "{\"mlp_only_layers\": null, \"decoder_sparse_step\": 7}", 0},
        {DEEPSEEK_V2, "{\"first_k_dense_replace\": 1}", 0x3e},
        {DEEPSEEK_V3, "{\"first_k_dense_replace\": 0, \"moe_layer_freq\": 1}", 0x3f},
        {DEEPSEEK_V3, "{\"first_k_dense_replace\": 1, \"moe_layer_freq\": 2}", 0x14},
        {DEEPSEEK_V3, "{\"first_k_dense_replace\": 0, \"moe_layer_freq\": 4}", 0x11},
        {DEEPSEEK_V3, "{\"first_k_dense_replace\": 0, \"moe_layer_freq\": 9}", 0x01},
        {DEEPSEEK_V3, "{\"first_k_dense_replace\": 2, \"moe_layer_freq\": 4}", 0x10},
        {DEEPSEEK_V3, "{\"first_k_dense_replace\": 6}", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_config c;
        FIXTURE_ASSERT(parse(&c, cases[i].family, cases[i].keys));
        if (layers_of(&c) != cases[i].layers) {
            fail_msg("%s: layers %x", cases[i].keys, layers_of(&c));
        }
    }
}

static void groups(void **state)
{
    (void)state;
    static const struct {
        int family;
        const char *keys;
        int n, top, best;
    } cases[] = {
        {DEEPSEEK_V3, "{\"n_group\": 4, \"topk_group\": 1, \"topk_method\": \"noaux_tc\"}", 4, 1, 2},
        {DEEPSEEK_V3, "{\"n_group\": 1, \"topk_group\": 1, \"scoring_func\": \"sigmoid\"}", 1, 1, 2},
        {DEEPSEEK_V2, "{\"n_group\": 4, \"topk_group\": 1, \"topk_method\": \"greedy\"}", 1, 1, 1},
        {DEEPSEEK_V2, "{\"n_group\": 8, \"topk_group\": 3, \"topk_method\": \"group_limited_greedy\"}", 8, 3, 1},
        {DEEPSEEK_V2, "{\"n_group\": null, \"topk_group\": null, \"scoring_func\": \"softmax\"}", 1, 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_config c;
        FIXTURE_ASSERT(parse(&c, cases[i].family, cases[i].keys));
        const struct router *r = &c.moe.router;
        assert_true(r->n_groups == cases[i].n && r->top_groups == cases[i].top && r->group_best == cases[i].best);
    }
}

/* The published model's scale: 192^-0.5 (0.1 ln 40 + 1)^2. */
static void latent_attention(void **state)
{
    (void)state;
    struct model_config c;
    FIXTURE_ASSERT(parse(&c, DEEPSEEK_V3,
                         "{\"qk_nope_head_dim\": 128, \"qk_rope_head_dim\": 64, \"head_dim\": 64, \"q_lora_rank\": 96,"
                         " \"rope_interleave\": false, \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 40, "
                         "\"mscale\": 1.0, \"mscale_all_dim\": 1.0, \"original_max_position_embeddings\": 4096}}"));
    assert_true(c.mla.q_rank == 96 && c.mla.nope == 128 && c.mla.rope == 64 && c.mla.v == 24 && c.mla.kv_rank == 32);
    assert_true(c.D == 64 && !c.mla.interleaved && fabs((double)c.mla.softmax_scale - 0.1352337788608801) < 1e-8);
    FIXTURE_ASSERT(parse(&c, DEEPSEEK_V2,
                         "{\"q_lora_rank\": null, \"rope_interleave\": false, \"rope_parameters\": {\"rope_type\": "
                         "\"yarn\", \"factor\": 40, \"mscale\": 0.707, \"original_max_position_embeddings\": 64}}"));
    assert_true(c.mla.q_rank == 0 && c.mla.interleaved);
    assert_true(fabs((double)c.mla.softmax_scale - 1 / sqrt(24)) < 1e-8);
    FIXTURE_ASSERT(parse(&c, DEEPSEEK_V2, "{}"));
    assert_int_equal(c.mla.q_rank, 1536);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    static const struct {
        int family;
        const char *keys, *error;
    } cases[] = {
        {QWEN3_MOE, "{\"num_experts\": null}", "'num_experts' is missing"},
        {DEEPSEEK_V3, "{\"n_routed_experts\": null}", "'n_routed_experts' is missing"},
        {QWEN3_MOE, "{\"num_experts\": 8, \"num_local_experts\": 4}",
         "'num_experts' is 8, but 'num_local_experts' is 4"},
        {QWEN3_MOE, "{\"num_experts\": -8}", "num_experts"},
        {QWEN3_MOE, "{\"num_experts\": \"8\"}", "num_experts"},
        {QWEN3_MOE, "{\"num_experts\": 16777216, \"moe_intermediate_size\": 16777216}", "too many"},
        {QWEN3_MOE, "{\"num_experts\": 16777216, \"moe_intermediate_size\": 16}", "too many"},
        {QWEN3_MOE, "{\"num_experts\": 256, \"hidden_size\": 16777216, \"head_dim\": 16}", "too many"},
        {QWEN3_MOE, "{\"num_experts_per_tok\": 9}", "'num_experts_per_tok' is 9, but there are only 8 experts"},
        {QWEN3_MOE, "{\"num_experts_per_tok\": 0}", "num_experts_per_tok"},
        {QWEN3_MOE, "{\"num_experts_per_tok\": null}", "num_experts_per_tok"},
        {QWEN3_MOE, "{\"moe_intermediate_size\": null}", "moe_intermediate_size"},
        {QWEN3_MOE, "{\"moe_intermediate_size\": 50}", "'moe_intermediate_size' is 50, and only multiples of 16"},
        {QWEN3_MOE, "{\"hidden_size\": 40}", "'hidden_size' is 40, and only multiples of 16"},
        {QWEN3_MOE, "{\"decoder_sparse_step\": 0}", "decoder_sparse_step"},
        {QWEN3_MOE, "{\"mlp_only_layers\": 3}", "mlp_only_layers"},
        {QWEN3_MOE, "{\"mlp_only_layers\": [1.5]}", "mlp_only_layers"},
        {QWEN3_MOE, "{\"norm_topk_prob\": 1}", "norm_topk_prob"},
        {QWEN2_MOE, "{\"shared_expert_intermediate_size\": null}", "shared_expert_intermediate_size"},
        {QWEN2_MOE, "{\"shared_expert_intermediate_size\": 0}", "shared_expert_intermediate_size"},
        {QWEN2_MOE, "{\"shared_expert_intermediate_size\": 40}", "multiples of 16"},
        {QWEN2_MOE, "{\"qkv_bias\": false}", "qkv_bias"},
        {DEEPSEEK_V3, "{\"n_group\": 3, \"topk_group\": 2}", "16 experts cannot be divided into 'n_group' = 3"},
        {DEEPSEEK_V3, "{\"n_group\": 4, \"topk_group\": 5}", "'topk_group' is 5, but there are only 4 groups"},
        {DEEPSEEK_V3, "{\"n_group\": 16}", "leaves 1 experts a group"},
        {DEEPSEEK_V3, "{\"n_group\": 0}", "n_group"},
        {DEEPSEEK_V3, "{\"topk_group\": 1}", "'topk_group' = 1 groups have only 2 experts"},
        {DEEPSEEK_V3, "{\"scoring_func\": \"softmax\"}", "scoring_func 'softmax'"},
        {DEEPSEEK_V3, "{\"scoring_func\": \"tanh\"}", "scoring_func 'tanh'"},
        {DEEPSEEK_V2, "{\"scoring_func\": \"sigmoid\"}", "scoring_func 'sigmoid'"},
        {DEEPSEEK_V3, "{\"topk_method\": \"greedy\"}", "topk_method 'greedy'"},
        {DEEPSEEK_V2, "{\"topk_method\": \"noaux_tc\"}", "topk_method 'noaux_tc'"},
        {DEEPSEEK_V2, "{\"topk_method\": 3}", "topk_method"},
        {DEEPSEEK_V3, "{\"routed_scaling_factor\": 0}", "routed_scaling_factor"},
        {DEEPSEEK_V3, "{\"routed_scaling_factor\": 1e300}", "routed_scaling_factor"},
        {DEEPSEEK_V3, "{\"n_shared_experts\": -1}", "n_shared_experts"},
        {DEEPSEEK_V3, "{\"n_shared_experts\": 16777216}", "too many"},
        {DEEPSEEK_V3, "{\"first_k_dense_replace\": -1}", "first_k_dense_replace"},
        {DEEPSEEK_V3, "{\"moe_layer_freq\": 0}", "moe_layer_freq"},
        {DEEPSEEK_V3, "{\"kv_lora_rank\": 0}", "kv_lora_rank"},
        {DEEPSEEK_V3, "{\"q_lora_rank\": -1}", "q_lora_rank"},
        {DEEPSEEK_V3, "{\"qk_rope_head_dim\": 7}", "qk_rope_head_dim"},
        {DEEPSEEK_V3, "{\"v_head_dim\": 16777216}", "do not fit"},
        {DEEPSEEK_V3, "{\"kv_lora_rank\": 16777216}", "do not fit"},
        {DEEPSEEK_V3, "{\"rope_interleave\": \"yes\"}", "rope_interleave"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_config c;
        enum err result = parse(&c, cases[i].family, cases[i].keys);
        if ((result != ERR_FORMAT && result != ERR_LIMIT) || !strstr(err_text(), cases[i].error) ||
            !strstr(err_text(), "config.json")) {
            fail_msg("%s: code %d, '%s'", cases[i].keys, result, err_text());
        }
    }
}

/* V2 never divides by the sum, whatever the key says: as transformers does, and with a warning. */
static void a_key_without_effect_is_said(void **state)
{
    (void)state;
    char text[1000] = "";
    FILE *kept = stderr;
    struct model_config c;
    stderr = fmemopen(text, sizeof text, "w");
    enum err result = parse(&c, DEEPSEEK_V2, "{\"norm_topk_prob\": true}");
    fclose(stderr);
    stderr = kept;
    assert_int_equal(result, ERR_NONE);
    assert_true(!c.moe.router.normalised && strstr(text, "'norm_topk_prob' is true, which has no effect"));
}

static void documents_come_back(void **state)
{
    (void)state;
    static const struct {
        int family;
        const char *keys;
    } cases[] = {
        {QWEN2_MOE, "{\"norm_topk_prob\": true, \"mlp_only_layers\": [1, 4]}"},
        {QWEN3_MOE, "{\"decoder_sparse_step\": 2}"},
        {QWEN3_MOE, "{\"num_experts\": 0}"},
        {DEEPSEEK_V2, "{\"q_lora_rank\": null, \"n_shared_experts\": null}"},
        {DEEPSEEK_V2, "{\"topk_method\": \"group_limited_greedy\", \"n_group\": 4, \"topk_group\": 2, "
                      "\"routed_scaling_factor\": 0.3}"},
        {DEEPSEEK_V3, "{\"q_lora_rank\": 48, \"rope_interleave\": false, \"norm_topk_prob\": false}"},
        {DEEPSEEK_V3, "{\"first_k_dense_replace\": 0, \"moe_layer_freq\": 9}"},
        {DEEPSEEK_V3, "{\"first_k_dense_replace\": 2, \"moe_layer_freq\": 4}"},
        {DEEPSEEK_V3, "{\"first_k_dense_replace\": 1, \"moe_layer_freq\": 2}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_config a, b;
        FIXTURE_ASSERT(parse(&a, cases[i].family, cases[i].keys));
        json_t *document = json_object();
        moe_config_to_json(&a, document);
        char *text = json_dumps(document, 0);
        FIXTURE_ASSERT(parse(&b, cases[i].family, text));
        assert_true(layers_of(&a) == layers_of(&b));
        assert_memory_equal(&a.moe.router, &b.moe.router, sizeof a.moe.router);
        assert_true(a.moe.F == b.moe.F && a.moe.shared_F == b.moe.shared_F && a.moe.has_bias == b.moe.has_bias);
        assert_true(a.moe.shared_gated == b.moe.shared_gated && a.D == b.D);
        assert_true(a.mla.q_rank == b.mla.q_rank && a.mla.kv_rank == b.mla.kv_rank && a.mla.nope == b.mla.nope);
        assert_true(a.mla.rope == b.mla.rope && a.mla.v == b.mla.v && a.mla.interleaved == b.mla.interleaved);
        assert_memory_equal(&a.mla.softmax_scale, &b.mla.softmax_scale, sizeof a.mla.softmax_scale);
        json_int_t E = json_integer_value(json_object_get(document, "num_local_experts"));
        const char *older = cases[i].family >= DEEPSEEK_V2 ? "n_routed_experts" : "num_experts";
        assert_true(E == a.moe.router.E && json_integer_value(json_object_get(document, older)) == E);
        free(text);
        json_decref(document);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_absent_is_the_default_of_transformers),
        cmocka_unit_test(experts_have_three_names),
        cmocka_unit_test(layers_with_experts),
        cmocka_unit_test(groups),
        cmocka_unit_test(latent_attention),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(a_key_without_effect_is_said),
        cmocka_unit_test(documents_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

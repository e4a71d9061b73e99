/* tests/model/gguf_model_test.c - what the keys of a GGUF file say of end tokens and rotary embedding.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/gguf_model.h"

#include <math.h>

#include "tests/model/fixture.h"

/* ---- a small file in memory ---- */

struct maker {
    struct strbuf keys;
    int n_keys;
};

static void put(struct strbuf *b, int width, uint64_t value)
{
    for (int i = 0; i < width; i++) {
        strbuf_putc(b, (char)(value >> (8 * i) & 255));
    }
}

static void put_text(struct strbuf *b, struct str text)
{
    put(b, 8, text.length);
    strbuf_add_str(b, text);
}

static void put_key(struct maker *m, const char *name, enum gguf_type type)
{
    put_text(&m->keys, str_of(name));
    put(&m->keys, 4, type);
    m->n_keys++;
}

static void put_int(struct maker *m, const char *name, uint32_t value)
{
    put_key(m, name, GGUF_U32);
    put(&m->keys, 4, value);
}

static void put_float(struct maker *m, const char *name, double value)
{
    float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    put_key(m, name, GGUF_F32);
    put(&m->keys, 4, bits);
}

static void put_string(struct maker *m, const char *name, const char *value)
{
    put_key(m, name, GGUF_STRING);
    put_text(&m->keys, str_of(value));
}

/* 260 ordinary tokens, then those of the array. */
static void put_vocabulary(struct maker *m, const json_t *texts)
{
    enum { ORDINARY = 260 };
    put_key(m, "tokenizer.ggml.tokens", GGUF_ARRAY);
    put(&m->keys, 4, GGUF_STRING);
    put(&m->keys, 8, ORDINARY + json_array_size(texts));
    for (int i = 0; i < ORDINARY; i++) {
        char text[16];
        snprintf(text, sizeof text, "t%d", i);
        put_text(&m->keys, str_of(text));
    }
    for (size_t i = 0; i < json_array_size(texts); i++) {
        put_text(&m->keys, str_of(json_string_value(json_array_get(texts, i))));
    }
}

/* Of width 16, with 300 tokens and the embedding alone. */
static void put_sizes(struct maker *m)
{
    put_string(m, "general.architecture", "qwen2");
    put_int(m, "qwen2.block_count", 1);
    put_int(m, "qwen2.embedding_length", 16);
    put_int(m, "qwen2.feed_forward_length", 16);
    put_int(m, "qwen2.attention.head_count", 1);
    put_int(m, "qwen2.context_length", 512);
    put_float(m, "qwen2.attention.layer_norm_rms_epsilon", 1e-6);
}

static void finish(struct maker *m, struct strbuf *file)
{
    strbuf_puts(file, "GGUF");
    put(file, 4, 3);
    put(file, 8, 1);
    put(file, 8, (uint64_t)m->n_keys);
    strbuf_add_str(file, strbuf_view(&m->keys));
    put_text(file, STR("token_embd.weight"));
    put(file, 4, 2);
    put(file, 8, 16);
    put(file, 8, 300);
    put(file, 4, 0); /* F32 */
    put(file, 8, 0);
    while (file->length % 32) {
        strbuf_putc(file, 0);
    }
    for (int i = 0; i < 300 * 16 * 4; i++) {
        strbuf_putc(file, 0);
    }
    strbuf_release(&m->keys);
}

static enum err read_config(struct maker *m, struct model_config *out)
{
    struct gguf file;
    struct strbuf bytes = STRBUF_INIT;
    finish(m, &bytes);
    FIXTURE_ASSERT(gguf_parse(&file, (const uint8_t *)bytes.data, bytes.length, "x.gguf"));
    enum err result = gguf_model_config(&file, out);
    gguf_close(&file);
    strbuf_release(&bytes);
    return result;
}

/* ---- end tokens ---- */

/* llama.cpp's own answers. */
static void completions_end_where_llama_cpp_ends_them(void **state)
{
    (void)state;
    json_t *cases = json_load_file("tests/golden/gguf/ends.json", 0, NULL), *row;
    size_t i;
    assert_true(json_array_size(cases) > 10);
    json_array_foreach(cases, i, row)
    {
        struct maker m = {0};
        struct model_config c;
        const char *key;
        json_t *id, *want = json_object_get(row, "ends");
        put_sizes(&m);
        put_vocabulary(&m, json_object_get(row, "texts"));
        json_object_foreach(json_object_get(row, "keys"), key, id)
        {
            char name[64];
            snprintf(name, sizeof name, "tokenizer.ggml.%s", key);
            put_int(&m, name, (uint32_t)json_integer_value(id));
        }
        FIXTURE_ASSERT(read_config(&m, &c));
        assert_int_equal(c.n_eos, json_array_size(want));
        assert_int_equal(c.eos_ids[0],
                         json_integer_value(json_object_get(json_object_get(row, "keys"), "eos_token_id")));
        for (int k = 0; k < c.n_eos; k++) {
            bool found = false;
            for (size_t n = 0; n < json_array_size(want); n++) {
                found = found || json_integer_value(json_array_get(want, n)) == c.eos_ids[k];
            }
            if (!found) {
                fail_msg("case %zu: token %d", i, c.eos_ids[k]);
            }
        }
    }
    json_decref(cases);
}

static void no_or_a_wrong_end_is_no_secret(void **state)
{
    (void)state;
    struct maker none = {0}, wrong = {0};
    struct model_config c;
    put_sizes(&none);
    FIXTURE_ASSERT(read_config(&none, &c));
    assert_int_equal(c.n_eos, 0);
    put_sizes(&wrong);
    put_int(&wrong, "tokenizer.ggml.eos_token_id", 300);
    assert_int_equal(read_config(&wrong, &c), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "x.gguf"));
    assert_non_null(strstr(err_text(), "300"));
}

/* ---- rotary embedding ---- */

static void scaling_is_read_as_by_llama_cpp(void **state)
{
    (void)state;
    static const struct {
        const char *type, *factor_key; /* NULL: not in the file */
        double factor, attention;      /* attention 0: not in the file */
        enum rope_type want;
        double want_attention; /* 0: that of the type */
        const char *error;     /* NULL: none */
    } cases[] = {
        {NULL, NULL, 0, 0, ROPE_DEFAULT, 0, NULL},
        {NULL, "qwen2.rope.scaling.factor", 4, 0, ROPE_LINEAR, 0, NULL},
        {NULL, "qwen2.rope.scale_linear", 4, 0, ROPE_LINEAR, 0, NULL},
        {NULL, "qwen2.rope.scaling.factor", 0, 0, ROPE_DEFAULT, 0, NULL},
        {NULL, "qwen2.rope.scaling.factor", 1, 1, ROPE_DEFAULT, 0, NULL},
        {"none", "qwen2.rope.scaling.factor", 4, 1, ROPE_DEFAULT, 0, NULL},
        {"linear", "qwen2.rope.scaling.factor", 4, 1, ROPE_LINEAR, 0, NULL},
        {"linear", NULL, 0, 1, ROPE_DEFAULT, 0, NULL},
        {"yarn", "qwen2.rope.scaling.factor", 4, 0, ROPE_YARN, 0, NULL},
        {"yarn", "qwen2.rope.scaling.factor", 4, 1, ROPE_YARN, 0, NULL},
        {"yarn", "qwen2.rope.scale_linear", 4, 2, ROPE_YARN, 2 * 1.138629436111989, NULL},
        {"yarn", "qwen2.rope.scaling.factor", 0.5, 2, ROPE_YARN, 2, NULL},
        {NULL, "qwen2.rope.scaling.factor", 4, 2, ROPE_DEFAULT, 0, "attn_factor"},
        {NULL, NULL, 0, 2, ROPE_DEFAULT, 0, "attn_factor"},
        {"longrope", "qwen2.rope.scaling.factor", 4, 0, ROPE_DEFAULT, 0, "longrope"},
        {NULL, "qwen2.rope.scaling.factor", -4, 0, ROPE_DEFAULT, 0, "factor"},
        {"yarn", "qwen2.rope.scaling.factor", (double)NAN, 0, ROPE_DEFAULT, 0, "factor"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct maker m = {0};
        struct model_config c;
        put_sizes(&m);
        if (cases[i].type) {
            put_string(&m, "qwen2.rope.scaling.type", cases[i].type);
        }
        if (cases[i].factor_key) {
            put_float(&m, cases[i].factor_key, cases[i].factor);
        }
        if (cases[i].attention > 0) {
            put_float(&m, "qwen2.rope.scaling.attn_factor", cases[i].attention);
        }
        enum err result = read_config(&m, &c);
        bool good = result == (cases[i].error ? ERR_FORMAT : ERR_NONE);
        if (good && cases[i].error) {
            good = strstr(err_text(), cases[i].error);
        } else if (good) {
            good = c.rope.type == cases[i].want && c.rope.has_attention_factor == (cases[i].want_attention > 0) &&
                   fabs(c.rope.attention_factor - cases[i].want_attention) < 1e-6 &&
                   (c.rope.type == ROPE_DEFAULT || fabs(c.rope.factor - cases[i].factor) < 1e-6);
        }
        if (!good) {
            fail_msg("case %zu: code %d, type %d, factor %g, '%s'", i, result, c.rope.type, c.rope.factor, err_text());
        }
    }
}

/* ---- experts and latent attention ---- */

/* The keys of a deepseek2 that can be, but for those given, "name=value" (an integer; none: absent) with commas between. */
static void put_deepseek(struct maker *m, const char *changes)
{
    static const struct {
        const char *name;
        int value; /* -1: absent */
    } keys[] = {{"block_count", 2},
                {"embedding_length", 16},
                {"feed_forward_length", 16},
                {"attention.head_count", 2},
                {"attention.head_count_kv", 1},
                {"context_length", 512},
                {"expert_count", 8},
                {"expert_used_count", 2},
                {"expert_feed_forward_length", 16},
                {"expert_shared_count", 2},
                {"expert_gating_func", 1},
                {"expert_weights_norm", -1},
                {"expert_group_count", -1},
                {"expert_group_used_count", -1},
                {"leading_dense_block_count", 1},
                {"attention.kv_lora_rank", 32},
                {"attention.q_lora_rank", -1},
                {"attention.key_length", 48},
                {"attention.value_length", 32},
                {"attention.key_length_mla", 40},
                {"attention.value_length_mla", 24},
                {"rope.dimension_count", 16}};
    put_string(m, "general.architecture", "deepseek2");
    put_float(m, "deepseek2.attention.layer_norm_rms_epsilon", 1e-6);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char name[64], change[64];
        int value = keys[i].value;
        snprintf(name, sizeof name, "deepseek2.%s", keys[i].name);
        snprintf(change, sizeof change, ",%s=", keys[i].name);
        const char *found = strstr(changes, change);
        value = found ? (int)strtol(found + strlen(change), NULL, 10) : value;
        if (value >= 0) {
            put_int(m, name, (uint32_t)value);
        }
    }
}

static void keys_of_deepseek_are_those_of_its_config(void **state)
{
    (void)state;
    struct maker m = {0};
    struct model_config c;
    put_deepseek(&m, "");
    put_float(&m, "deepseek2.rope.scaling.factor", 40);
    put_string(&m, "deepseek2.rope.scaling.type", "yarn");
    put_int(&m, "deepseek2.rope.scaling.original_context_length", 4096);
    put_float(&m, "deepseek2.rope.scaling.yarn_log_multiplier", 0.0707);
    FIXTURE_ASSERT(read_config(&m, &c));
    const struct router *r = &c.moe.router;
    assert_string_equal(c.family->name, "deepseek_v2");
    assert_true(r->E == 8 && r->k == 2 && !r->sigmoid && !r->normalised && r->n_groups == 1 && c.moe.F == 16);
    assert_true(c.moe.shared_F == 32 && model_layer_is_dense(&c, 0) && !model_layer_is_dense(&c, 1));
    assert_true(c.mla.q_rank == 0 && c.mla.kv_rank == 32 && c.mla.nope == 24 && c.mla.rope == 16 && c.mla.v == 24);
    assert_true(c.rope.type == ROPE_YARN && fabs(c.rope.mscale_all_dim - 0.707) < 1e-6 && c.J == c.H);
    double m_all = 0.0707 * log(40) + 1;
    assert_true(fabs((double)c.mla.softmax_scale - m_all * m_all / sqrt(40)) < 1e-6);

    m = (struct maker){0};
    put_deepseek(&m, ",expert_gating_func=2,expert_weights_norm=1,expert_group_count=4,expert_group_used_count=2,"
                     "attention.q_lora_rank=16,");
    put_float(&m, "deepseek2.expert_weights_scale", 2.5);
    FIXTURE_ASSERT(read_config(&m, &c));
    assert_string_equal(c.family->name, "deepseek_v3");
    assert_true(r->sigmoid && r->normalised && r->n_groups == 4 && r->top_groups == 2 && r->group_best == 2);
    assert_true(fabs((double)r->scale - 2.5) < 1e-9 && c.mla.q_rank == 16 && c.moe.has_bias);

    m = (struct maker){0};
    put_deepseek(&m, ",expert_group_count=4,expert_group_used_count=2,"); /* V2: limited by groups, of one best each */
    FIXTURE_ASSERT(read_config(&m, &c));
    assert_true(r->n_groups == 4 && r->top_groups == 2 && r->group_best == 1);

    m = (struct maker){0};
    put_deepseek(&m, ",attention.key_length_mla=-1,attention.value_length_mla=-1,"); /* made before kv_b was split */
    FIXTURE_ASSERT(read_config(&m, &c));
    assert_true(c.mla.nope == 32 && c.mla.rope == 16 && c.mla.v == 32);
}

static void keys_of_experts_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *changes, *error;
    } cases[] = {
        {",expert_count=-1,", "'deepseek2.expert_count' is missing"},
        {",expert_used_count=-1,", "'deepseek2.expert_used_count' is missing"},
        {",expert_used_count=9,", "there are only 8 experts"},
        {",expert_feed_forward_length=20,", "multiples of 16"},
        {",expert_gating_func=3,", "expert_gating_func is 3"},
        {",expert_group_count=3,expert_group_used_count=1,", "cannot be divided"},
        {",attention.kv_lora_rank=-1,", "'deepseek2.attention.kv_lora_rank' is missing"},
        {",rope.dimension_count=-1,", "cannot be"},
        {",rope.dimension_count=40,", "cannot be"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct maker m = {0};
        struct model_config c;
        put_deepseek(&m, cases[i].changes);
        enum err result = read_config(&m, &c);
        if (result == ERR_NONE || !strstr(err_text(), cases[i].error) || !strstr(err_text(), "x.gguf")) {
            fail_msg("%s: code %d, '%s'", cases[i].changes, result, err_text());
        }
    }
    struct maker m = {0};
    struct model_config c;
    put_sizes(&m);
    put_int(&m, "qwen2.expert_count", 4);
    assert_int_equal(read_config(&m, &c), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "'qwen2.expert_count' is 4"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(completions_end_where_llama_cpp_ends_them),
        cmocka_unit_test(no_or_a_wrong_end_is_no_secret),
        cmocka_unit_test(scaling_is_read_as_by_llama_cpp),
        cmocka_unit_test(keys_of_deepseek_are_those_of_its_config),
        cmocka_unit_test(keys_of_experts_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

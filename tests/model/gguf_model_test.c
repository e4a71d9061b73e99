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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(completions_end_where_llama_cpp_ends_them),
        cmocka_unit_test(no_or_a_wrong_end_is_no_secret),
        cmocka_unit_test(scaling_is_read_as_by_llama_cpp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

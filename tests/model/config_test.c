/* tests/model/config_test.c - config.json in both spellings, what is refused, and rope frequencies.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/config.h"

#include <math.h>

#include "base/log.h"
#include "tests/model/fixture.h"

/* A config of the family with a few keys more, in place of others of that name. */
static enum err parse(struct model_config *out, const char *family, const char *extra)
{
    json_t *document =
        json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:i}", "model_type", family, "num_hidden_layers", 2,
                  "hidden_size", 64, "intermediate_size", 112, "num_attention_heads", 4, "num_key_value_heads", 2,
                  "vocab_size", 203, "rms_norm_eps", 1e-5, "rope_theta", 500000.0, "max_position_embeddings", 4096);
    json_t *more = json_loads(extra, 0, NULL);
    assert_non_null(document);
    assert_non_null(more);
    assert_int_equal(json_object_update(document, more), 0);
    enum err result = model_config_parse(out, document, "config.json");
    json_decref(more);
    json_decref(document);
    return result;
}

static void families_differ_in_biases_and_norms(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum fixture_family family;
        bool bias, norm;
    } cases[] = {{"qwen2", FAMILY_QWEN2, true, false},
                 {"qwen3", FAMILY_QWEN3, false, true},
                 {"llama", FAMILY_LLAMA, false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_config c;
        FIXTURE_ASSERT(parse(&c, cases[i].name, "{\"bos_token_id\": 3, \"eos_token_id\": [5, 7, 5]}"));
        assert_ptr_equal(c.family, &model_families[cases[i].family]);
        assert_string_equal(c.family->name, cases[i].name);
        assert_true(model_family_has(c.family, TENSOR_V_BIAS) == cases[i].bias);
        assert_true(model_family_has(c.family, TENSOR_K_NORM) == cases[i].norm && !c.tied);
        assert_true(c.n_layers == 2 && c.d == 64 && c.F == 112 && c.H == 4 && c.J == 2 && c.D == 16 && c.V == 203);
        assert_true(c.max_positions == 4096 && c.bos_id == 3 && c.n_eos == 2 && c.eos_ids[0] == 5 && c.eos_ids[1] == 7);
        assert_int_equal(c.rope.type, ROPE_DEFAULT);
        assert_true(fabs(c.rope.theta - 500000) < 1e-9 && fabs((double)c.norm_eps - 1e-5) < 1e-12);
    }
}

static void both_spellings_mean_the_same(void **state)
{
    (void)state;
    static const char *const spellings[] = {
        "{\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4.0, \"original_max_position_embeddings\": 128},"
        " \"torch_dtype\": \"bfloat16\"}",
        "{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4, \"original_max_position_embeddings\": 128}}",
        "{\"rope_theta\": 1, \"rope_parameters\": {\"rope_type\": \"yarn\", \"rope_theta\": 500000.0, \"factor\": 4.0,"
        " \"original_max_position_embeddings\": 128}, \"dtype\": \"bfloat16\"}",
        "{\"rope_theta\": null, \"rope_parameters\": {\"full_attention\": {\"rope_type\": \"yarn\", \"rope_theta\": "
        "500000.0, \"factor\": 4.0, \"original_max_position_embeddings\": 128}}}",
    };
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        struct model_config c;
        FIXTURE_ASSERT(parse(&c, "qwen2", spellings[i]));
        assert_int_equal(c.rope.type, ROPE_YARN);
        assert_true(fabs(c.rope.theta - 500000) < 1e-9 && fabs(c.rope.factor - 4) < 1e-12 &&
                    fabs(c.rope.original_max_positions - 128) < 1e-12 && fabs(c.rope.beta_fast - 32) < 1e-12);
    }
}

static void what_cannot_be_computed_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *family, *extra, *error;
    } cases[] = {
        {"gemma3", "{}", "gemma3"},
        {"qwen2", "{\"hidden_act\": \"gelu\"}", "gelu"},
        {"qwen2", "{\"use_sliding_window\": true, \"sliding_window\": 32}", "use_sliding_window"},
        {"qwen3", "{\"layer_types\": [\"full_attention\", \"sliding_attention\"]}", "sliding_attention"},
        {"llama", "{\"mlp_bias\": true}", "mlp_bias"},
        {"llama", "{\"attention_bias\": true}", "attention_bias"},
        {"qwen2", "{\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2}}", "dynamic"},
        {"qwen2", "{\"rope_scaling\": {\"type\": \"yarn\"}}", "factor"},
        {"qwen2", "{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 0}}", "cannot be"},
        {"qwen2", "{\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2, \"truncate\": false}}", "truncate"},
        {"llama", "{\"rope_parameters\": {\"rope_type\": \"default\", \"partial_rotary_factor\": 0.5}}", "partial"},
        {"llama",
         "{\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, \"high_freq_factor\": "
         "4}}",
         "cannot be"},
        {"llama", "{\"rope_theta\": 0}", "rope_theta"},
        {"llama", "{\"hidden_size\": null}", "hidden_size"},
        {"llama", "{\"hidden_size\": \"64\"}", "hidden_size"},
        {"llama", "{\"num_hidden_layers\": -1}", "num_hidden_layers"},
        {"llama", "{\"num_key_value_heads\": 3}", "do not fit"},
        {"llama", "{\"num_attention_heads\": 16777216, \"num_key_value_heads\": 16777216, \"head_dim\": 16777216}",
         "do not fit"},
        {"llama", "{\"head_dim\": 0}", "head_dim"},
        {"llama", "{\"hidden_size\": 0}", "hidden_size"},
        {"llama", "{\"vocab_size\": 0}", "vocab_size"},
        {"llama", "{\"vocab_size\": -5}", "vocab_size"},
        {"llama", "{\"vocab_size\": 1000000000000}", "vocab_size"},
        {"llama", "{\"num_attention_heads\": 0}", "num_attention_heads"},
        {"llama", "{\"num_key_value_heads\": 0}", "num_key_value_heads"},
        {"llama", "{\"num_key_value_heads\": true}", "num_key_value_heads"},
        {"llama", "{\"intermediate_size\": 0}", "intermediate_size"},
        {"llama", "{\"max_position_embeddings\": 0}", "max_position_embeddings"},
        {"llama", "{\"rms_norm_eps\": 0}", "rms_norm_eps"},
        {"llama", "{\"rms_norm_eps\": -1}", "rms_norm_eps"},
        {"llama", "{\"rms_norm_eps\": 1e-300}", "rms_norm_eps"},
        {"llama", "{\"rms_norm_eps\": 1e300}", "rms_norm_eps"},
        {"llama", "{\"rms_norm_eps\": \"1e-6\"}", "rms_norm_eps"},
        {"llama", "{\"initializer_range\": -0.02}", "initializer_range"},
        {"llama", "{\"rope_theta\": -10000}", "rope_theta"},
        {"llama", "{\"rope_parameters\": {\"rope_theta\": 0}}", "rope_theta"},
        {"llama", "{\"partial_rotary_factor\": 0.5}", "partial_rotary_factor"},
        {"llama", "{\"bos_token_id\": 203}", "bos_token_id"},
        {"llama", "{\"bos_token_id\": -2}", "bos_token_id"},
        {"llama", "{\"tie_word_embeddings\": 1}", "tie_word_embeddings"},
        {"llama", "{\"eos_token_id\": \"2\"}", "eos_token_id"},
        {"llama", "{\"eos_token_id\": [\"7\"]}", "eos_token_id"},
        {"llama", "{\"eos_token_id\": [3, null]}", "eos_token_id"},
        {"llama", "{\"eos_token_id\": [7.0]}", "eos_token_id"},
        {"llama", "{\"eos_token_id\": 7.0}", "eos_token_id"},
        {"llama", "{\"eos_token_id\": true}", "eos_token_id"},
        {"llama", "{\"eos_token_id\": [[7]]}", "eos_token_id"},
        {"llama", "{\"eos_token_id\": {\"id\": 7}}", "eos_token_id"},
        {"llama", "{\"eos_token_id\": []}", "empty list"},
        {"llama", "{\"eos_token_id\": 203}", "0 to 202"},
        {"llama", "{\"eos_token_id\": [1, -5]}", "-5"},
        {"llama", "{\"eos_token_id\": 1000000000}", "1000000000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_config c;
        enum err result = parse(&c, cases[i].family, cases[i].extra);
        if (result != ERR_FORMAT || !strstr(err_text(), cases[i].error) || !strstr(err_text(), "config.json")) {
            fail_msg("%s: code %d, '%s'", cases[i].extra, result, err_text());
        }
    }
}

/* Out and in again: every field. */
static void documents_come_back(void **state)
{
    (void)state;
    static const char *const extras[] = {
        "{\"tie_word_embeddings\": true, \"head_dim\": 48, \"eos_token_id\": 7, \"rms_norm_eps\": 1e-06}",
        "{\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 2.5}, \"bos_token_id\": 1}",
        "{\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1.5, \"high_freq_factor\": "
        "3,"
        " \"original_max_position_embeddings\": 64}}",
        "{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4, \"beta_fast\": 16, \"beta_slow\": 2, \"mscale\": "
        "0.7,"
        " \"mscale_all_dim\": 0.9, \"original_max_position_embeddings\": 64}}",
        "{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4, \"attention_factor\": 1.25}}",
        "{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4, \"attention_factor\": 0, \"mscale\": -1}}",
        "{\"eos_token_id\": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]}",
    };
    for (size_t i = 0; i < sizeof extras / sizeof *extras; i++) {
        struct model_config a, b;
        memset(&a, 0, sizeof a);
        memset(&b, 0, sizeof b);
        FIXTURE_ASSERT(parse(&a, "qwen3", extras[i]));
        json_t *document = model_config_to_json(&a);
        FIXTURE_ASSERT(model_config_parse(&b, document, "written"));
        assert_true(a.n_layers == b.n_layers && a.d == b.d && a.F == b.F && a.H == b.H && a.J == b.J && a.D == b.D);
        assert_true(a.V == b.V && a.family == b.family && a.tied == b.tied && a.max_positions == b.max_positions);
        assert_true(a.bos_id == b.bos_id && a.n_eos == b.n_eos && memcmp(a.eos_ids, b.eos_ids, sizeof a.eos_ids) == 0);
        assert_memory_equal(&a.norm_eps, &b.norm_eps, sizeof a.norm_eps);
        assert_true(a.rope.has_attention_factor == b.rope.has_attention_factor);
        const double *x = &a.rope.theta, *y = &b.rope.theta;
        assert_int_equal(a.rope.type, b.rope.type);
        for (size_t k = 0; k < (sizeof a.rope - offsetof(struct rope_config, theta)) / sizeof *x; k++) {
            assert_true(fabs(x[k] - y[k]) < 1e-12);
        }
        assert_string_equal(json_string_value(json_array_get(json_object_get(document, "architectures"), 0)),
                            "Qwen3ForCausalLM");
        json_decref(document);
    }
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 3e-7 * fabs(b);
}

/* Every combination of the keys, against the models that transformers makes of them. */
static void rope_keys_are_combined_as_by_transformers(void **state)
{
    (void)state;
    json_t *cases = json_load_file("tests/golden/rope_configs.json", 0, NULL), *row;
    size_t i, n_refused = 0;
    assert_true(json_array_size(cases) > 200);
    log_set_level(LOG_ERROR);
    json_array_foreach(cases, i, row)
    {
        char *keys = json_dumps(json_object_get(row, "keys"), JSON_COMPACT);
        const json_t *answer = json_object_get(row, "answer"), *want = json_object_get(answer, "frequencies");
        const char *family = json_string_value(json_object_get(row, "family"));
        struct model_config c;
        json_t *document =
            json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "model_type", family, "num_hidden_layers", 1,
                      "hidden_size", 64, "intermediate_size", 64, "num_attention_heads", 4, "num_key_value_heads", 2,
                      "vocab_size", 64, "max_position_embeddings", 512);
        json_object_update(document, json_object_get(row, "keys"));
        enum err result = model_config_parse(&c, document, "config.json");
        bool same = result == (json_is_null(answer) ? ERR_FORMAT : ERR_NONE);
        n_refused += result != ERR_NONE;
        if (same && result == ERR_NONE) {
            double got[8], scale;
            rope_frequencies(&c.rope, 16, got, &scale);
            same = near(scale, json_number_value(json_object_get(answer, "scale")));
            for (size_t k = 0; k < 8; k++) {
                same = same && near(got[k], json_number_value(json_array_get(want, k)));
            }
        }
        if (!same) {
            fail_msg("%s %s: code %d, '%s'", family, keys, result, err_text());
        }
        json_decref(document);
        free(keys);
    }
    assert_int_equal(n_refused, 14);
    log_set_level(LOG_INFO);
    json_decref(cases);
}

/* A base of theta 1000000 to which a user adds the scaling of a model card: transformers forgets the theta, and so it is said. */
static void a_lost_theta_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *keys;
        bool said;
    } cases[] = {
        {"{\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 1e6}, \"rope_scaling\": {\"rope_type\": "
         "\"linear\", \"factor\": 2}}",
         true},
        {"{\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 1e6}, \"rope_scaling\": {\"rope_type\": "
         "\"linear\", \"factor\": 2, \"rope_theta\": 1e6}}",
         false},
        {"{\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 1e6}, \"rope_scaling\": {}}", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1000] = "";
        FILE *kept = stderr;
        stderr = fmemopen(text, sizeof text, "w");
        struct model_config c;
        enum err result = parse(&c, "qwen2", cases[i].keys);
        fclose(stderr);
        stderr = kept;
        assert_int_equal(result, ERR_NONE);
        assert_true(!!strstr(text, "warning: config.json") == cases[i].said);
        assert_true(!cases[i].said || (strstr(text, "1e+06") && strstr(text, "500000")));
    }
}

static void many_end_tokens_are_kept(void **state)
{
    (void)state;
    struct model_config c;
    struct strbuf text = STRBUF_INIT;
    strbuf_puts(&text, "{\"vocab_size\": 5000, \"eos_token_id\": [");
    for (int i = 0; i < MODEL_MOST_ENDS; i++) {
        strbuf_printf(&text, "%s%d, %d", i ? ", " : "", i + 1, i + 1); /* each twice */
    }
    strbuf_puts(&text, "]}");
    FIXTURE_ASSERT(parse(&c, "qwen2", text.data));
    assert_int_equal(c.n_eos, MODEL_MOST_ENDS);
    assert_int_equal(c.eos_ids[MODEL_MOST_ENDS - 1], MODEL_MOST_ENDS);
    text.length -= 2;
    strbuf_puts(&text, ", 0]}");
    assert_int_equal(parse(&c, "qwen2", text.data), ERR_LIMIT);
    strbuf_release(&text);
}

static void generation_config_says_which_tokens_end(void **state)
{
    (void)state;
    char folder[] = "/tmp/strop_config_XXXXXX", path[64];
    struct model_config c;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(model_config_open(&c, folder), ERR_IO);
    FIXTURE_ASSERT(parse(&c, "qwen2", "{\"eos_token_id\": [5, 6]}"));
    json_t *document = model_config_to_json(&c);
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_int_equal(json_dump_file(document, path, 0), 0);
    json_decref(document);
    snprintf(path, sizeof path, "%s/generation_config.json", folder);
    static const struct {
        const char *generation, *from;
        int n, first;
    } cases[] = {{"{\"eos_token_id\": [9, 5], \"temperature\": 0.7}", "generation_config.json", 2, 9},
                 {"{\"eos_token_id\": 0}", "generation_config.json", 1, 0},
                 {"{\"eos_token_id\": null}", "config.json", 2, 5},
                 {"{}", "config.json", 2, 5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        FIXTURE_ASSERT(file_write_atomic(path, cases[i].generation, strlen(cases[i].generation)));
        FIXTURE_ASSERT(model_config_open(&c, folder));
        assert_true(c.n_eos == cases[i].n && c.eos_ids[0] == cases[i].first);
        assert_string_equal(c.eos_from, cases[i].from);
    }
    static const char wrong[] = "{\"eos_token_id\": [1, null]}";
    FIXTURE_ASSERT(file_write_atomic(path, wrong, strlen(wrong)));
    assert_int_equal(model_config_open(&c, folder), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "generation_config.json: 'eos_token_id'"));
    FIXTURE_ASSERT(file_remove_folder(folder));
}

/* Figures of transformers 5.17 (ROPE_INIT_FUNCTIONS, in fp32): D = 16, theta = 10000. */
static void frequencies_are_those_of_transformers(void **state)
{
    (void)state;
    static const struct {
        struct rope_config rope;
        double scale, frequencies[8];
    } cases[] = {
#include "tests/golden/rope.inc"
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double got[8], scale = 0;
        rope_frequencies(&cases[i].rope, 16, got, &scale);
        assert_true(fabs(scale - cases[i].scale) < 1e-12);
        for (int k = 0; k < 8; k++) {
            assert_true(fabs(got[k] - cases[i].frequencies[k]) <= 3e-7 * cases[i].frequencies[k]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_differ_in_biases_and_norms),
        cmocka_unit_test(both_spellings_mean_the_same),
        cmocka_unit_test(what_cannot_be_computed_is_refused),
        cmocka_unit_test(documents_come_back),
        cmocka_unit_test(generation_config_says_which_tokens_end),
        cmocka_unit_test(rope_keys_are_combined_as_by_transformers),
        cmocka_unit_test(a_lost_theta_is_said),
        cmocka_unit_test(many_end_tokens_are_kept),
        cmocka_unit_test(frequencies_are_those_of_transformers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/model/save_test.c - what is saved opens again with the same bits; files beside the weights are kept.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/safetensors.h"
#include "model/tokenizer.h"
#include "model/finite.h"
#include "tests/model/fixture.h"

static void file_text(struct strbuf *out, const char *folder, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    strbuf_clear(out);
    FIXTURE_ASSERT(file_read(out, path, 1 << 22));
}

static void assert_same_file(const char *a, const char *b, const char *name)
{
    struct strbuf x = STRBUF_INIT, y = STRBUF_INIT;
    file_text(&x, a, name);
    file_text(&y, b, name);
    if (!str_equal(strbuf_view(&x), strbuf_view(&y))) {
        fail_msg("%s: %s and %s differ", name, a, b);
    }
    strbuf_release(&x);
    strbuf_release(&y);
}

static void new_models_come_back_bit_for_bit(void **state)
{
    for (int family = 0; family < FIXTURE_FAMILIES; family++) {
        for (int whole = 0; whole < 2; whole++) {
            char folder[] = "/tmp/strop_save_XXXXXX";
            struct model *again = NULL, *model = fixture_model((enum fixture_family)family, *state);
            assert_non_null(mkdtemp(folder));
            float *weights = model->params.data;
            for (size_t i = 0; !whole && i < model->params.n; i++) {
                weights[i] = bfloat16_to_float(float_to_bfloat16(weights[i]));
            }
            FIXTURE_ASSERT(model_save(model, folder, whole ? "float32" : "bfloat16"));
            FIXTURE_ASSERT(model_open(&again, folder, *state, 0));
            assert_int_equal(again->params.n, model->params.n);
            assert_memory_equal(again->params.data, model->params.data, model->params.n * sizeof(float));
            assert_int_equal(again->max_positions, model->max_positions);
            model_close(again);
            model_close(model);
            FIXTURE_ASSERT(file_remove_folder(folder));
        }
    }
}

/* A checkpoint of a checkpoint: config.json changes in its dtype only, and not at all the second time. */
static void files_beside_the_weights_are_kept(void **state)
{
    char first[] = "/tmp/strop_save_XXXXXX", second[] = "/tmp/strop_save_XXXXXX", path[64];
    static const char golden[] = "tests/golden/models/llama3";
    assert_non_null(mkdtemp(first));
    assert_non_null(mkdtemp(second));
    struct model *model = NULL, *again = NULL;
    FIXTURE_ASSERT(model_open(&model, golden, *state, 0));
    FIXTURE_ASSERT(model_save(model, first, "bfloat16"));
    assert_same_file(golden, first, "generation_config.json");
    json_t *was = json_load_file("tests/golden/models/llama3/config.json", 0, NULL), *is;
    snprintf(path, sizeof path, "%s/config.json", first);
    FIXTURE_ASSERT(json_parse_file(&is, path, 1 << 20));
    assert_string_equal(json_string_value(json_object_get(is, "torch_dtype")), "bfloat16");
    json_object_del(is, "torch_dtype");
    assert_true(json_equal(was, is));
    json_decref(was);
    json_decref(is);
    snprintf(path, sizeof path, "%s/chat_template.jinja", first);
    FIXTURE_ASSERT(file_write_atomic(path, "{{ x }}", 7));
    FIXTURE_ASSERT(model_open(&again, first, *state, 0));
    FIXTURE_ASSERT(model_save(again, second, "bfloat16"));
    static const char *const names[] = {"config.json", "generation_config.json", "chat_template.jinja",
                                        "model.safetensors"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_same_file(first, second, names[i]);
    }
    assert_int_equal(model_save(again, first, "bfloat16"), ERR_USAGE); /* the folder it came from */
    assert_same_file(first, second, "config.json");
    model_close(model);
    model_close(again);
    FIXTURE_ASSERT(file_remove_folder(first));
    FIXTURE_ASSERT(file_remove_folder(second));
}

/* Weights are written unquantised, without what predicts more tokens, and the number of experts for both readers of it. */
static void keys_follow_what_is_written(void **state)
{
    char first[] = "/tmp/strop_save_XXXXXX", second[] = "/tmp/strop_save_XXXXXX", path[64];
    struct model *model = NULL, *again = NULL;
    json_t *document;
    assert_non_null(mkdtemp(first));
    assert_non_null(mkdtemp(second));
    FIXTURE_ASSERT(model_open(&model, "tests/golden/models/llama3", *state, 0));
    FIXTURE_ASSERT(model_save(model, first, "bfloat16"));
    snprintf(path, sizeof path, "%s/config.json", first);
    FIXTURE_ASSERT(json_parse_file(&document, path, 1 << 20));
    json_object_set_new(document, "quantization_config", json_pack("{s:s}", "quant_method", "fp8"));
    json_object_set_new(document, "num_local_experts", json_integer(4));
    json_object_set_new(document, "num_nextn_predict_layers", json_integer(1));
    assert_int_equal(json_dump_file(document, path, 0), 0);
    FIXTURE_ASSERT(model_open(&again, first, *state, 0));
    FIXTURE_ASSERT(model_save(again, second, "bfloat16"));
    json_object_del(document, "quantization_config");
    json_object_set_new(document, "num_experts", json_integer(4));
    json_object_set_new(document, "num_nextn_predict_layers", json_integer(0));
    snprintf(path, sizeof path, "%s/config.json", second);
    json_t *is;
    FIXTURE_ASSERT(json_parse_file(&is, path, 1 << 20));
    assert_true(json_equal(is, document));
    json_decref(is);
    json_decref(document);
    model_close(model);
    model_close(again);
    FIXTURE_ASSERT(file_remove_folder(first));
    FIXTURE_ASSERT(file_remove_folder(second));
}

/* The correction bias of a router is fp32 in a file of bf16, as transformers writes it. */
static void a_correction_bias_stays_fp32(void **state)
{
    char folder[] = "/tmp/strop_save_XXXXXX", path[64];
    struct model *model = NULL, *again = NULL;
    struct safetensors file;
    assert_non_null(mkdtemp(folder));
    FIXTURE_ASSERT(model_open(&model, "tests/golden/models/deepseek-v3", *state, 0));
    FIXTURE_ASSERT(model_save(model, folder, "bfloat16"));
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    FIXTURE_ASSERT(safetensors_open(&file, path));
    int n_wide = 0;
    for (int i = 0; i < file.n; i++) {
        bool bias = strstr(file.tensors[i].name, "e_score_correction_bias") != NULL;
        assert_int_equal(file.tensors[i].dtype, bias ? DTYPE_F32 : DTYPE_BF16);
        n_wide += bias;
    }
    assert_int_equal(n_wide, 2);
    safetensors_close(&file);
    FIXTURE_ASSERT(model_open(&again, folder, *state, 0)); /* the golden's numbers are bf16 */
    assert_memory_equal(again->params.data, model->params.data, model->params.bytes);
    model_close(again);
    model_close(model);
    FIXTURE_ASSERT(file_remove_folder(folder));
}

/* The last number of a tensor in the middle. */
static void what_is_not_finite_is_not_saved(void **state)
{
    char folder[] = "/tmp/strop_save_XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    struct model_config config = fixture_config(FAMILY_QWEN3);
    struct model *model = NULL;
    FIXTURE_ASSERT(model_new(&model, &config, NULL, *state, 0, 1));
    const struct param_part *part = params_find(&model->params, "model.layers.1.mlp.down_proj.weight");
    const struct param *w = &model->params.table[part->param];
    float *rows = mem_alloc((size_t)w->rows * (size_t)w->cols * sizeof *rows);
    params_export(&model->params, model->device, w, rows, 0, w->rows);
    assert_null(not_finite_find(&model->params, model->device, NULL));
    rows[w->rows * w->cols - 1] = (float)NAN;
    params_import(&model->params, model->device, w, rows, 0, w->rows);
    assert_ptr_equal(not_finite_find(&model->params, model->device, NULL), part);
    static const char *const dtypes[] = {"float32", "bfloat16"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(model_save(model, folder, dtypes[i]), ERR_NUMBERS);
        assert_non_null(strstr(err_text(), "1 numbers of tensor 'model.layers.1.mlp.down_proj.weight'"));
        assert_false(file_exists(path));
    }
    free(rows);
    model_close(model);
    FIXTURE_ASSERT(file_remove_folder(folder));
}

static void gguf_models_become_folders(void **state)
{
    char folder[] = "/tmp/strop_save_XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct model *model = NULL, *again = NULL;
    FIXTURE_ASSERT(model_open(&model, "tests/golden/gguf/llama3.gguf", *state, 0));
    FIXTURE_ASSERT(model_save(model, folder, "bfloat16"));
    FIXTURE_ASSERT(model_open(&again, folder, *state, 0));
    assert_memory_equal(again->params.data, model->params.data, model->params.n * sizeof(float));
    assert_int_equal(again->config.rope.type, ROPE_LLAMA3);
    assert_int_equal(again->config.bos_id, 1);
    assert_true(again->config.n_eos == 1 && again->config.eos_ids[0] == 2);
    model_close(model);
    model_close(again);
    FIXTURE_ASSERT(file_remove_folder(folder));
}

/* A model trained from nothing, with the tokenizer of a file. */
static void tokenizers_follow_a_new_model(void **state)
{
    char folder[] = "/tmp/strop_save_XXXXXX", source[] = "/tmp/strop_save_XXXXXX", path[64];
    static const char text[] = "{\"anything\": \"beside it\"}";
    assert_non_null(mkdtemp(folder));
    assert_non_null(mkdtemp(source));
    struct strbuf json = STRBUF_INIT;
    strbuf_puts(&json, "{\"model\": {\"type\": \"BPE\", \"vocab\": {");
    for (int i = 0; i < 256; i++) { /* the byte alphabet: bytes that cannot be seen become U+0100 and on */
        static int next = 0x100;
        bool plain = (i > 32 && i < 127) || (i > 160 && i != 173);
        struct strbuf letter = STRBUF_INIT;
        strbuf_put_utf8(&letter, (uint32_t)(plain ? i : next));
        next += plain ? 0 : 1;
        strbuf_puts(&json, i ? ", \"" : "\"");
        strbuf_add_json(&json, strbuf_view(&letter));
        strbuf_printf(&json, "\": %d", i);
        strbuf_release(&letter);
    }
    strbuf_puts(&json, ", \"ab\": 256}, \"merges\": [\"a b\"]}, \"pre_tokenizer\": {\"type\": \"ByteLevel\", "
                       "\"add_prefix_space\": false, \"use_regex\": true}, \"decoder\": {\"type\": \"ByteLevel\"}}");
    snprintf(path, sizeof path, "%s/special_tokens_map.json", source);
    FIXTURE_ASSERT(file_write_atomic(path, text, strlen(text)));
    snprintf(path, sizeof path, "%s/tokenizer.json", source);
    FIXTURE_ASSERT(file_write_atomic(path, json.data, json.length));
    struct tokenizer *tokenizer = NULL;
    FIXTURE_ASSERT(tokenizer_open(&tokenizer, path));
    struct model_config config = fixture_config(FAMILY_QWEN2);
    struct model *model = NULL;
    FIXTURE_ASSERT(model_new(&model, &config, tokenizer, *state, 0, 1));
    FIXTURE_ASSERT(model_save(model, folder, "float32"));
    assert_same_file(source, folder, "tokenizer.json");
    assert_same_file(source, folder, "special_tokens_map.json");
    model_close(model);
    strbuf_release(&json);
    FIXTURE_ASSERT(file_remove_folder(folder));
    FIXTURE_ASSERT(file_remove_folder(source));
}

static void a_missing_folder_is_an_error(void **state)
{
    struct model *model = fixture_model(FAMILY_QWEN2, *state);
    assert_int_equal(model_save(model, "/tmp/no/such/folder", "float32"), ERR_IO);
    model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(new_models_come_back_bit_for_bit, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(files_beside_the_weights_are_kept, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(keys_follow_what_is_written, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_correction_bias_stays_fp32, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(what_is_not_finite_is_not_saved, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(gguf_models_become_folders, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(tokenizers_follow_a_new_model, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_missing_folder_is_an_error, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

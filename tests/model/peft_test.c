/* tests/model/peft_test.c - adapters in PEFT's files: what goes out comes in again, and what is not understood is refused by name.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/peft.h"

#include "model/adapter.h"
#include "model/finite.h"
#include "model/safetensors.h"
#include "tests/model/fixture.h"

#define GOLDEN "tests/golden/adapters/"

static void join(char path[300], const char *folder, const char *name)
{
    snprintf(path, 300, "%s/%s", folder, name);
}

/* A copy of a golden adapter, whose base is found from anywhere. */
static void copy_adapter(char folder[64], const char *name)
{
    static const char *const files[] = {"adapter_config.json", "adapter_model.safetensors"};
    char from[300], to[300], golden[128];
    json_t *config;
    snprintf(folder, 64, "/tmp/strop_peft_XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(golden, sizeof golden, GOLDEN "%s", name);
    for (int i = 0; i < 2; i++) {
        join(from, golden, files[i]);
        join(to, folder, files[i]);
        FIXTURE_ASSERT(file_copy(from, to));
    }
    join(to, folder, files[0]);
    FIXTURE_ASSERT(json_parse_file(&config, to, 1 << 20));
    struct str base = {0};
    FIXTURE_ASSERT(json_get_text(config, "base_model_name_or_path", to, &base));
    snprintf(from, sizeof from, "tests/golden/models/%s", strrchr(base.data, '/') + 1);
    json_object_set_new(config, "base_model_name_or_path", json_string(from));
    assert_int_equal(json_dump_file(config, to, 0), 0);
    json_decref(config);
}

/* Sets a key of adapter_config.json to a JSON text; NULL removes it. */
static void set_key(const char *folder, const char *key, const char *value)
{
    char path[300];
    json_t *config;
    join(path, folder, "adapter_config.json");
    FIXTURE_ASSERT(json_parse_file(&config, path, 1 << 20));
    if (value) {
        json_object_set_new(config, key, json_loads(value, JSON_DECODE_ANY, NULL));
    } else {
        json_object_del(config, key);
    }
    assert_int_equal(json_dump_file(config, path, 0), 0);
    json_decref(config);
}

static void assert_refused(struct device *device, const char *folder, enum err kind, const char *part)
{
    struct model *model = NULL;
    enum err result = model_open(&model, folder, device, 0);
    if (result != kind || !strstr(err_text(), part)) {
        fail_msg("%s: %d, '%s'; wanted %d with '%s'", folder, result, result ? err_text() : "", kind, part);
    }
}

/* ---- in and out ---- */

static void assert_same_adapter(const struct model *a, const struct model *b)
{
    const struct params *x = &a->adapter->params, *y = &b->adapter->params;
    assert_int_equal(x->n, y->n);
    assert_memory_equal(x->data, y->data, x->n * sizeof(float));
}

static void adapters_come_back_bit_for_bit(void **state)
{
    static const char *const names[] = {"qwen2-all", "qwen3-some", "llama-rslora"};
    for (int i = 0; i < 3; i++) {
        for (int whole = 0; whole < 2; whole++) {
            char folder[64] = "/tmp/strop_peft_XXXXXX", path[300];
            struct model *model = NULL, *again = NULL;
            snprintf(path, sizeof path, GOLDEN "%s", names[i]);
            FIXTURE_ASSERT(model_open(&model, path, *state, 0));
            float *numbers = model->adapter->params.data;
            for (size_t k = 0; !whole && k < model->adapter->params.n; k++) {
                numbers[k] = bfloat16_to_float(float_to_bfloat16(numbers[k]));
            }
            assert_non_null(mkdtemp(folder));
            FIXTURE_ASSERT(model_save(model, folder, whole ? "float32" : "bfloat16"));
            assert_true(peft_is(folder));
            FIXTURE_ASSERT(model_open(&again, folder, *state, 0));
            assert_same_adapter(model, again);
            assert_memory_equal(&model->config.lora, &again->config.lora, sizeof model->config.lora);
            assert_memory_equal(model->params.data, again->params.data, model->params.n * sizeof(float));
            struct model_config config;
            FIXTURE_ASSERT(model_open_config(&config, folder));
            assert_int_equal(config.d, model->config.d);
            assert_int_equal(config.lora.r, model->config.lora.r);
            model_close(again);
            model_close(model);
            FIXTURE_ASSERT(file_remove_folder(folder));
        }
    }
}

/* Merged, it is a model like any other, whose config.json is the base's. */
static void a_merged_adapter_is_a_whole_model(void **state)
{
    char folder[64] = "/tmp/strop_peft_XXXXXX";
    struct model *model = NULL, *again = NULL;
    FIXTURE_ASSERT(model_open(&model, GOLDEN "llama-rslora", *state, 0));
    model_merge(model);
    assert_non_null(mkdtemp(folder));
    FIXTURE_ASSERT(model_save(model, folder, "float32"));
    assert_false(peft_is(folder));
    FIXTURE_ASSERT(model_open_trainable(&again, folder, *state, 0));
    assert_memory_equal(model->params.data, again->params.data, model->params.n * sizeof(float));
    model_close(again);
    model_close(model);
    FIXTURE_ASSERT(file_remove_folder(folder));
}

/* What is trained is a new adapter, or the one in a folder. */
static void a_base_gets_an_adapter(void **state)
{
    struct model *fresh = NULL, *filled = NULL, *opened = NULL;
    FIXTURE_ASSERT(model_open(&opened, GOLDEN "qwen3-some", *state, 0));
    struct model_lora lora = {.base = "tests/golden/models/qwen3", .lora = opened->config.lora, .seed = 5};
    FIXTURE_ASSERT(model_open_lora(&fresh, &lora, *state, 0));
    lora.adapter = GOLDEN "qwen3-some";
    FIXTURE_ASSERT(model_open_lora(&filled, &lora, *state, 0));
    assert_same_adapter(opened, filled);
    assert_memory_not_equal(fresh->adapter->params.data, filled->adapter->params.data, 64);
    lora.lora.r = 8;
    struct model *none = NULL;
    assert_int_equal(model_open_lora(&none, &lora, *state, 0), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "(16, 64)"));
    assert_non_null(strstr(err_text(), "ask for (8, 64)"));
    model_close(fresh);
    model_close(filled);
    model_close(opened);
}

/* The base may be a GGUF file. */
static void a_gguf_file_gets_an_adapter(void **state)
{
    char folder[64] = "/tmp/strop_peft_XXXXXX", whole[64] = "/tmp/strop_peft_XXXXXX";
    struct model *model = NULL, *again = NULL;
    const struct model_lora lora = {.base = "tests/golden/gguf/llama3.gguf",
                                    .lora = {.r = 2, .alpha = 4, .targets = lora_target("all-linear")}};
    assert_non_null(mkdtemp(folder));
    assert_non_null(mkdtemp(whole));
    FIXTURE_ASSERT(model_open_lora(&model, &lora, *state, 0));
    FIXTURE_ASSERT(model_save(model, folder, "float32"));
    FIXTURE_ASSERT(model_open(&again, folder, *state, 0));
    assert_same_adapter(model, again);
    assert_memory_equal(model->params.data, again->params.data, model->params.bytes);
    model_merge(again);
    FIXTURE_ASSERT(model_save(again, whole, "float32"));
    model_close(again);
    FIXTURE_ASSERT(model_open(&again, whole, *state, 0));
    assert_memory_equal(model->params.data, again->params.data, model->params.bytes); /* B is 0 */
    model_close(again);
    model_close(model);
    FIXTURE_ASSERT(file_remove_folder(folder));
    FIXTURE_ASSERT(file_remove_folder(whole));
}

/* ---- what is refused ---- */

static void settings_that_are_not_understood_are_refused(void **state)
{
    static const struct {
        const char *key, *value, *part;
    } cases[] = {
        {"peft_type", "\"IA3\"", "'peft_type' is IA3"},
        {"peft_type", NULL, "'peft_type'"},
        {"r", "0", "'r' is 0"},
        {"r", "-4", "'r' is -4"},
        {"r", "1000000", "'r' is 1000000"},
        {"r", "2.5", "'r'"},
        {"r", NULL, "'r'"},
        {"lora_alpha", "\"x\"", "'lora_alpha'"},
        {"use_rslora", "1", "'use_rslora'"},
        {"target_modules", "[\"q_proj\", \"c_attn\"]", "'c_attn'; supported are q_proj"},
        {"target_modules", "[\"lm_head\"]", "'lm_head'"},
        {"target_modules", "[]", "'target_modules'"},
        {"target_modules", "[3]", "'target_modules'"},
        {"target_modules", "null", "'target_modules'"},
        {"target_modules", "\".*_proj\"", "'.*_proj'"},
        {"bias", "\"lora_only\"", "'bias' is lora_only"},
        {"use_dora", "true", "'use_dora'"},
        {"lora_bias", "true", "'lora_bias'"},
        {"modules_to_save", "[\"lm_head\"]", "'modules_to_save'"},
        {"rank_pattern", "{\"q_proj\": 4}", "'rank_pattern'"},
        {"alpha_pattern", "{\"q_proj\": 4}", "'alpha_pattern'"},
        {"layers_to_transform", "[0]", "'layers_to_transform'"},
        {"fan_in_fan_out", "true", "'fan_in_fan_out'"},
        {"init_lora_weights", "\"pissa_niter_4\"", "'init_lora_weights' is pissa_niter_4"},
    };
    char folder[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        copy_adapter(folder, "qwen2-all");
        set_key(folder, cases[i].key, cases[i].value);
        assert_refused(*state, folder, ERR_FORMAT, cases[i].part);
        FIXTURE_ASSERT(file_remove_folder(folder));
    }
}

static void a_missing_base_is_named(void **state)
{
    char folder[64], path[300];
    copy_adapter(folder, "qwen2-all");
    set_key(folder, "base_model_name_or_path", "\"Qwen/Qwen2.5-0.5B\"");
    assert_refused(*state, folder, ERR_IO, "base model 'Qwen/Qwen2.5-0.5B' is not on this machine");
    set_key(folder, "base_model_name_or_path", "null");
    assert_refused(*state, folder, ERR_FORMAT, "'base_model_name_or_path'");
    snprintf(path, sizeof path, "\"%s\"", folder);
    set_key(folder, "base_model_name_or_path", path); /* an adapter on itself */
    assert_refused(*state, folder, ERR_USAGE, "is an adapter");
    FIXTURE_ASSERT(file_remove_folder(folder));
}

/* Of another model, of another rank, of other matrices, on one layer alone, without weights, as a pickle. */
static void tensors_that_do_not_fit_are_refused(void **state)
{
    char folder[64], path[300], other[300];
    copy_adapter(folder, "qwen2-all");
    set_key(folder, "r", "4");
    assert_refused(*state, folder, ERR_FORMAT, "(3, 64), but r and the base model ask for (4, 64)");
    set_key(folder, "r", "3");
    set_key(folder, "target_modules", "[\"q_proj\"]");
    assert_refused(*state, folder, ERR_FORMAT, "has no place in an adapter");
    set_key(folder, "target_modules", "\"all-linear\"");
    set_key(folder, "base_model_name_or_path", "\"tests/golden/models/llama-tied\"");
    assert_refused(*state, folder, ERR_FORMAT, "ask for (3, 72)");
    FIXTURE_ASSERT(file_remove_folder(folder));

    copy_adapter(folder, "qwen3-some");
    set_key(folder, "target_modules", "\"all-linear\"");
    assert_refused(*state, folder, ERR_FORMAT, "k_proj.lora_A.weight' is missing");
    join(path, folder, "adapter_model.safetensors");
    join(other, folder, "adapter_model.bin");
    assert_int_equal(rename(path, other), 0);
    assert_refused(*state, folder, ERR_IO, "adapter_model.safetensors is missing; adapter_model.bin is not read");
    FIXTURE_ASSERT(file_write_atomic(path, "no tensors", 10));
    assert_refused(*state, folder, ERR_FORMAT, "adapter_model.safetensors");
    FIXTURE_ASSERT(file_remove_folder(folder));
}

/* Numbers of 8 bits have scales in files of models; an adapter has none. */
static void numbers_of_8_bits_are_refused(void **state)
{
    static const char header[] = "{\"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight\": "
                                 "{\"dtype\": \"F8_E4M3\", \"shape\": [4, 64], \"data_offsets\": [0, 256]}}   ";
    char folder[64], path[300], file[8 + sizeof header - 1 + 256] = {(char)(sizeof header - 1)};
    copy_adapter(folder, "qwen2-all");
    join(path, folder, "adapter_model.safetensors");
    memcpy(file + 8, header, sizeof header - 1);
    FIXTURE_ASSERT(file_write_atomic(path, file, sizeof file));
    assert_refused(*state, folder, ERR_FORMAT, "is of dtype F8_E4M3");
    FIXTURE_ASSERT(file_remove_folder(folder));
}

static void numbers_that_are_none_are_refused(void **state)
{
    char folder[64] = "/tmp/strop_peft_XXXXXX", path[300];
    struct model *model = NULL;
    FIXTURE_ASSERT(model_open(&model, GOLDEN "qwen2-all", *state, 0));
    ((float *)model->adapter->params.data)[1] = (float)NAN;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(model_save(model, folder, "float32"), ERR_NUMBERS);
    join(path, folder, "adapter_model.safetensors");
    assert_false(file_exists(path));
    model_close(model);
    FIXTURE_ASSERT(file_remove_folder(folder));

    copy_adapter(folder, "qwen2-all");
    join(path, folder, "adapter_model.safetensors");
    struct strbuf file = STRBUF_INIT;
    FIXTURE_ASSERT(file_read(&file, path, 1 << 20));
    memset(file.data + file.length - 4, 0xFF, 4);
    FIXTURE_ASSERT(file_write_atomic(path, file.data, file.length));
    strbuf_release(&file);
    assert_refused(*state, folder, ERR_FORMAT, "not finite");
    FIXTURE_ASSERT(file_remove_folder(folder));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(adapters_come_back_bit_for_bit, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_merged_adapter_is_a_whole_model, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_base_gets_an_adapter, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_gguf_file_gets_an_adapter, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(settings_that_are_not_understood_are_refused, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_missing_base_is_named, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(tensors_that_do_not_fit_are_refused, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(numbers_of_8_bits_are_refused, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(numbers_that_are_none_are_refused, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

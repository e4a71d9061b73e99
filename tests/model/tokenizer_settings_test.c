/* tests/model/tokenizer_settings_test.c - where chat templates and named tokens are found, as transformers finds them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "model/tokenizer.h"

static char folder[] = "/tmp/tokenizer_settings_test.XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return file_remove_folder(folder) == ERR_NONE ? 0 : -1;
}

static void put(const char *name, const char *text)
{
    char path[FILE_PATH_BYTES];
    assert_int_equal(file_join(path, sizeof path, folder, name), ERR_NONE);
    assert_int_equal(file_write_atomic(path, text, strlen(text)), ERR_NONE);
}

/* Opens a folder with these files; NULL: not there. */
static struct tokenizer *open_with(const char *config, const char *map, const char *jinja, const char *tools)
{
    char path[FILE_PATH_BYTES];
    struct tokenizer *tokenizer = NULL;
    assert_int_equal(file_remove_folder(folder), ERR_NONE);
    assert_int_equal(file_join(path, sizeof path, folder, "additional_chat_templates"), ERR_NONE);
    assert_int_equal(file_make_folders(path), ERR_NONE);
    assert_int_equal(file_join(path, sizeof path, folder, "tokenizer.json"), ERR_NONE);
    assert_int_equal(file_copy("tests/golden/tiny_tokenizer/tokenizer.json", path), ERR_NONE);
    const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
                                 "additional_chat_templates/tool_use.jinja"};
    const char *const texts[] = {config, map, jinja, tools};
    for (int i = 0; i < 4; i++) {
        if (texts[i]) {
            put(names[i], texts[i]);
        }
    }
    if (tokenizer_open(&tokenizer, path) != ERR_NONE) {
        fail_msg("%s", err_text());
    }
    return tokenizer;
}

static void expect_templates(struct tokenizer *tokenizer, const char *chat, const char *tools)
{
    assert_true(str_equal(tokenizer_chat_template(tokenizer), str_of(chat)));
    assert_true(str_equal(tokenizer_tool_template(tokenizer), str_of(tools)));
    tokenizer_free(tokenizer);
}

static void templates_are_where_transformers_looks(void **state)
{
    (void)state;
    static const char list[] =
        "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"t\"}, {\"name\": \"rag\", "
        "\"template\": \"r\"}, {\"name\": \"default\", \"template\": \"d\"}]}";
    expect_templates(open_with(NULL, NULL, NULL, NULL), "", "");
    expect_templates(open_with("{\"chat_template\": \"c\"}", NULL, NULL, NULL), "c", "c");
    expect_templates(open_with(list, NULL, NULL, NULL), "d", "t");
    expect_templates(open_with(list, NULL, "file\n", NULL), "file\n", "file\n");
    expect_templates(open_with("{\"chat_template\": \"c\"}", NULL, "file", "tools"), "file", "tools");
    expect_templates(open_with("{\"chat_template\": null}", NULL, "", NULL), "", "");
}

static void expect_names(struct tokenizer *tokenizer, const char *const *names, int32_t end)
{
    for (int i = 0; i < TOKENIZER_NAMES; i++) {
        assert_true(str_equal(tokenizer_named(tokenizer, i), str_of(names[i])));
    }
    assert_int_equal(tokenizer_end(tokenizer), end);
    tokenizer_free(tokenizer);
}

static void names_are_texts_or_objects(void **state)
{
    (void)state;
    const char *const none[TOKENIZER_NAMES] = {NULL};
    const char *const two[TOKENIZER_NAMES] = {"<s>", "<|im_end|>"};
    const char *const pads[TOKENIZER_NAMES] = {"<s>", "nowhere", NULL, NULL, "p"};
    static const char config[] =
        "{\"bos_token\": {\"content\": \"<s>\", \"lstrip\": false}, \"eos_token\": \"<|im_end|>\", "
        "\"unk_token\": null, \"pad_token\": null, \"added_tokens_decoder\": {}}";
    struct tokenizer *tokenizer = open_with(config, NULL, NULL, NULL);
    int32_t end = tokenizer_token_id(tokenizer, STR("<|im_end|>"));
    expect_names(tokenizer, two, end);
    expect_names(open_with("{}", NULL, NULL, NULL), none, -1);
    /* an older folder: the map comes before the config; else it is not looked at */
    static const char map[] = "{\"eos_token\": {\"content\": \"nowhere\"}, \"pad_token\": \"p\"}";
    tokenizer = open_with("{\"bos_token\": \"<s>\", \"eos_token\": \"x\"}", map, NULL, NULL);
    end = tokenizer_token_id(tokenizer, STR("nowhere")); /* a named token that the vocabulary lacks is added to it */
    assert_true(end >= 0);
    expect_names(tokenizer, pads, end);
    tokenizer = open_with(config, map, NULL, NULL);
    expect_names(tokenizer, two, tokenizer_token_id(tokenizer, STR("<|im_end|>")));
}

static void broken_files_are_named(void **state)
{
    (void)state;
    char path[FILE_PATH_BYTES];
    struct tokenizer *tokenizer = open_with("{}", NULL, NULL, NULL), *none = NULL;
    tokenizer_free(tokenizer);
    put("special_tokens_map.json", "{");
    assert_int_equal(file_join(path, sizeof path, folder, "tokenizer.json"), ERR_NONE);
    assert_int_equal(tokenizer_open(&none, path), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "special_tokens_map.json"));
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_are_where_transformers_looks),
        cmocka_unit_test(names_are_texts_or_objects),
        cmocka_unit_test(broken_files_are_named),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

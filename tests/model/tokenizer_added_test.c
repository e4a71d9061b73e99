/* tests/model/tokenizer_added_test.c - added tokens from every file, with the ids of AutoTokenizer (make_added_tokens.py).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "model/tokenizer.h"
#include "tests/model/fixture.h"

#define TINY "tests/golden/tiny_tokenizer/tokenizer.json"

static char folder[] = "/tmp/strop_added_XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    log_set_level(LOG_ERROR);
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return file_remove_folder(folder) == ERR_NONE ? 0 : -1;
}

static void write_json(const char *name, const json_t *document)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(json_dump_file(document, path, JSON_ENCODE_ANY), 0);
}

/* tokenizer.json with the entries of `own` added, and the other files. */
static enum err open_case(struct tokenizer **out, const json_t *own, const json_t *files)
{
    const char *name;
    char path[64];
    json_t *file, *document;
    FIXTURE_ASSERT(file_remove_folder(folder));
    FIXTURE_ASSERT(file_make_folders(folder));
    FIXTURE_ASSERT(json_parse_file(&document, TINY, 1 << 24));
    json_array_extend(json_object_get(document, "added_tokens"), (json_t *)(uintptr_t)own);
    write_json("tokenizer.json", document);
    json_decref(document);
    json_object_foreach((json_t *)(uintptr_t)files, name, file)
    {
        write_json(name, file);
    }
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    return tokenizer_open(out, path);
}

static bool same_ids(const json_t *want, const int32_t *ids, int n)
{
    bool same = json_array_size(want) == (size_t)n;
    for (int i = 0; i < n && same; i++) {
        same = json_integer_value(json_array_get(want, (size_t)i)) == ids[i];
    }
    return same;
}

static bool same_special(const json_t *want, const struct tokenizer *t)
{
    size_t n = 0;
    for (int32_t id = 0; id < tokenizer_size(t); id++) {
        bool special = tokenizer_is_special(t, id);
        if (special && json_integer_value(json_array_get(want, n)) != id) {
            return false;
        }
        n += special;
    }
    return n == json_array_size(want);
}

static void ids_are_those_of_transformers(void **state)
{
    (void)state;
    json_t *golden = json_load_file("tests/golden/added_tokens.json", 0, NULL), *row;
    const char *text = json_string_value(json_object_get(golden, "text"));
    size_t i;
    assert_true(json_array_size(json_object_get(golden, "cases")) > 90);
    json_array_foreach(json_object_get(golden, "cases"), i, row)
    {
        struct tokenizer *t = NULL;
        struct arena arena = ARENA_INIT;
        int32_t *ids = NULL;
        int n = 0;
        FIXTURE_ASSERT(open_case(&t, json_object_get(row, "own"), json_object_get(row, "files")));
        FIXTURE_ASSERT(tokenizer_encode(t, str_of(text), true, &arena, &ids, &n));
        const json_t *eos = json_object_get(row, "eos");
        int32_t end = json_is_integer(eos) ? (int32_t)json_integer_value(eos) : -1;
        bool same = same_ids(json_object_get(row, "ids"), ids, n) && same_special(json_object_get(row, "special"), t) &&
                    tokenizer_end(t) == end;
        if (!same) {
            char *shown = json_dumps(row, 0);
            fail_msg("case %zu: end %d, size %d, %d ids of %s", i, tokenizer_end(t), tokenizer_size(t), n, shown);
        }
        arena_release(&arena);
        tokenizer_free(t);
    }
    json_decref(golden);
}

static void what_is_no_token_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *files, *error;
    } cases[] = {
        {"{\"tokenizer_config.json\": {\"added_tokens_decoder\": {\"7\": \"<a>\"}}}", "tokenizer_config.json"},
        {"{\"tokenizer_config.json\": {\"added_tokens_decoder\": {\"x\": {\"content\": \"<a>\"}}}}", "'x'"},
        {"{\"tokenizer_config.json\": {\"added_tokens_decoder\": {\"-1\": {\"content\": \"<a>\"}}}}", "'-1'"},
        {"{\"tokenizer_config.json\": {\"added_tokens_decoder\": {\"5000000\": {\"content\": \"<a>\"}}}}", "5000000"},
        {"{\"tokenizer_config.json\": {\"added_tokens_decoder\": [1]}}", "added_tokens_decoder"},
        {"{\"tokenizer_config.json\": {\"added_tokens_decoder\": {\"7\": {\"content\": \"<a>\", \"lstrip\": true}}}}",
         "lstrip"},
        {"{\"tokenizer_config.json\": {\"eos_token\": 7}}", "eos_token"},
        {"{\"tokenizer_config.json\": {\"eos_token\": [\"<a>\"]}}", "eos_token"},
        {"{\"tokenizer_config.json\": {\"extra_special_tokens\": [7]}}", "extra_special_tokens"},
        {"{\"tokenizer_config.json\": {\"split_special_tokens\": true}}", "split_special_tokens"},
        {"{\"added_tokens.json\": {\"<a>\": \"7\"}}", "added_tokens.json"},
        {"{\"added_tokens.json\": [\"<a>\"]}", "added_tokens.json"},
        {"{\"special_tokens_map.json\": {\"eos_token\": 7}}", "special_tokens_map.json"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tokenizer *t = NULL;
        json_t *files = json_loads(cases[i].files, 0, NULL), *own = json_array();
        enum err result = open_case(&t, own, files);
        if (result != ERR_FORMAT || !strstr(err_text(), cases[i].error)) {
            fail_msg("%s: code %d, '%s'", cases[i].files, result, err_text());
        }
        json_decref(files);
        json_decref(own);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_transformers),
        cmocka_unit_test(what_is_no_token_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

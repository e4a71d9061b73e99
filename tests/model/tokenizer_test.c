/* tests/model/tokenizer_test.c - parity with the library that defines the format, and what is refused.
 *
 * tests/golden/make_tokenizer.py says where the cases come from.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "model/tokenizer.h"

#define FOLDER "tests/golden/tiny_tokenizer/"

static json_t *open_json(const char *path)
{
    json_t *document = NULL;
    if (json_parse_file(&document, path, 1 << 24) != ERR_NONE) {
        fail_msg("%s", err_text());
    }
    return document;
}

static struct str text_of(const json_t *value)
{
    return (struct str){json_string_value(value), json_string_length(value)};
}

/* ---- variants of the tiny tokenizer ---- */

/* Fields of `changes` take the place of those of the document; "model" field by field. */
static void change(json_t *document, const json_t *changes)
{
    json_t *copy = json_deep_copy(changes);
    json_object_update(json_object_get(document, "model"), json_object_get(copy, "model"));
    json_object_del(copy, "model");
    json_object_update(document, copy);
    json_decref(copy);
}

static enum err parse_document(struct tokenizer **out, const json_t *document)
{
    char *text = json_dumps(document, 0);
    enum err err = tokenizer_parse(out, str_of(text), "test");
    free(text);
    return err;
}

static json_t *variant_document(const json_t *cases, const json_t *variant)
{
    json_t *document = open_json(FOLDER "tokenizer.json");
    change(document, json_object_get(variant, "fields"));
    json_object_update(json_object_get(json_object_get(document, "model"), "vocab"), json_object_get(cases, "words"));
    return document;
}

/* The same variant as a GGUF file would hold it. */
static struct tokenizer *from_parts(const json_t *document, const char *pre)
{
    enum { N = 437 };
    struct str tokens[N + 2] = {{NULL, 0}}, merges[400];
    int32_t types[N + 2];
    json_t *model = json_object_get(document, "model"), *value, *list = json_object_get(model, "merges");
    const char *key;
    size_t i;
    struct arena arena = ARENA_INIT;
    for (int id = 0; id < N + 2; id++) {
        types[id] = id < N ? 1 : 5;
        tokens[id] = STR("[PAD]");
    }
    json_object_foreach(json_object_get(model, "vocab"), key, value)
    {
        tokens[json_integer_value(value)] = str_of(key);
    }
    json_array_foreach(json_object_get(document, "added_tokens"), i, value)
    {
        size_t id = (size_t)json_integer_value(json_object_get(value, "id"));
        tokens[id] = text_of(json_object_get(value, "content"));
        types[id] = json_is_true(json_object_get(value, "special")) ? 3 : 4;
    }
    assert_true(json_array_size(list) <= 400);
    json_array_foreach(list, i, value)
    {
        merges[i] = str_of(arena_printf(&arena, "%s %s", json_string_value(json_array_get(value, 0)),
                                        json_string_value(json_array_get(value, 1))));
    }
    struct tokenizer_parts parts = {.tokens = tokens,
                                    .types = types,
                                    .n_tokens = N + 2,
                                    .merges = merges,
                                    .n_merges = (int)json_array_size(list),
                                    .pre = str_of(pre),
                                    .chat_template = STR("{{ x }}")};
    struct tokenizer *tokenizer = NULL;
    if (tokenizer_from_parts(&tokenizer, &parts, "parts") != ERR_NONE) {
        fail_msg("%s", err_text());
    }
    arena_release(&arena);
    assert_int_equal(tokenizer_size(tokenizer), N);
    assert_true(str_equal(tokenizer_chat_template(tokenizer), STR("{{ x }}")));
    assert_null(tokenizer_source(tokenizer));
    return tokenizer;
}

static struct strbuf from_hex(const char *hex)
{
    struct strbuf bytes = STRBUF_INIT;
    for (; *hex; hex += 2) {
        char pair[3] = {hex[0], hex[1], '\0'};
        strbuf_putc(&bytes, (char)strtol(pair, NULL, 16));
    }
    return bytes;
}

static void check_case(const struct tokenizer *tokenizer, const json_t *one, const char *name)
{
    struct arena arena = ARENA_INIT;
    struct strbuf text = from_hex(json_string_value(json_array_get(one, 0)));
    const json_t *want = json_array_get(one, 2);
    int32_t *ids;
    int n;
    assert_int_equal(
        tokenizer_encode(tokenizer, strbuf_view(&text), json_is_true(json_array_get(one, 1)), &arena, &ids, &n),
        ERR_NONE);
    bool same = n == (int)json_array_size(want);
    for (int i = 0; same && i < n; i++) {
        same = ids[i] == json_integer_value(json_array_get(want, (size_t)i));
    }
    if (!same) {
        fail_msg("%s: text %s gives %d tokens that differ from the %zu wanted", name,
                 json_string_value(json_array_get(one, 0)), n, json_array_size(want));
    }
    strbuf_release(&text);
    arena_release(&arena);
}

static void tokens_are_those_of_the_reference(void **state)
{
    (void)state;
    json_t *cases = open_json("tests/golden/tokenizer_cases.json"), *variant, *one;
    size_t v, i, n = 0;
    json_array_foreach(json_object_get(cases, "variants"), v, variant)
    {
        const char *name = json_string_value(json_object_get(variant, "name"));
        const char *pre = json_string_value(json_object_get(variant, "pre"));
        json_t *document = variant_document(cases, variant);
        struct tokenizer *tokenizer = NULL, *parts = pre ? from_parts(document, pre) : NULL;
        if (parse_document(&tokenizer, document) != ERR_NONE) {
            fail_msg("%s: %s", name, err_text());
        }
        json_array_foreach(json_object_get(variant, "cases"), i, one)
        {
            check_case(tokenizer, one, name);
            if (parts) {
                check_case(parts, one, pre);
            }
            n++;
        }
        tokenizer_free(tokenizer);
        tokenizer_free(parts);
        json_decref(document);
    }
    assert_true(n > 1000);
    json_decref(cases);
}

/* ---- the tokenizer as it is ---- */

static struct tokenizer *tiny(void)
{
    struct tokenizer *tokenizer = NULL;
    if (tokenizer_open(&tokenizer, FOLDER "tokenizer.json") != ERR_NONE) {
        fail_msg("%s", err_text());
    }
    return tokenizer;
}

static void tokens_have_texts(void **state)
{
    (void)state;
    struct tokenizer *t = tiny();
    assert_int_equal(tokenizer_size(t), 432);
    assert_string_equal(tokenizer_source(t), FOLDER "tokenizer.json");
    assert_int_equal(tokenizer_chat_template(t).length, 0);
    assert_int_equal(tokenizer_token_id(t, STR("<think>")), 1);
    assert_true(tokenizer_is_special(t, 1));
    assert_int_equal(tokenizer_token_id(t, STR("not a token")), -1);
    assert_int_equal(tokenizer_token_text(t, -1).length, 0);
    assert_int_equal(tokenizer_token_text(t, 432).length, 0);
    assert_false(tokenizer_is_special(t, 432));
    int32_t right = tokenizer_token_id(t, STR(" right"));
    assert_true(right > 4);
    assert_true(str_equal(tokenizer_token_text(t, right), STR(" right")));
    assert_false(tokenizer_is_special(t, right));
    for (int b = 0; b < 256; b++) { /* every byte has its token */
        char byte = (char)b;
        int32_t id = tokenizer_token_id(t, (struct str){&byte, 1});
        assert_true(id >= 0 && tokenizer_token_text(t, id).length == 1 && tokenizer_token_text(t, id).data[0] == byte);
    }
    tokenizer_free(t);
}

static void decoding_gives_the_text_back(void **state)
{
    (void)state;
    static const char text[] = "<think> caf\xC3\xA9 e\xCC\x81 \xF0\x9F\x98\x80\0\n\n  right </think>";
    struct tokenizer *t = tiny();
    struct arena arena = ARENA_INIT;
    struct strbuf out = STRBUF_INIT;
    int32_t *ids;
    int n;
    assert_int_equal(tokenizer_encode(t, STR(text), true, &arena, &ids, &n), ERR_NONE);
    assert_int_equal(ids[0], 1);
    tokenizer_decode(t, ids, n, false, &out);
    assert_true(str_equal(strbuf_view(&out), STR(text)));
    strbuf_clear(&out);
    tokenizer_decode(t, ids, n, true, &out);
    assert_true(str_equal(strbuf_view(&out), str_slice(STR(text), 7, sizeof text - 1 - 8)));
    strbuf_clear(&out);
    tokenizer_decode(t, (int32_t[]){-1, 9999, 1}, 3, true, &out);
    assert_int_equal(out.length, 0);
    strbuf_release(&out);
    arena_release(&arena);
    tokenizer_free(t);
}

static void streams_hold_back_parts_of_characters(void **state)
{
    (void)state;
    static const struct {
        struct str bytes; /* one token each */
        const char *after[6];
        const char *flushed;
    } cases[] = {
        {{"a\xC3\xA9", 3}, {"a", "a", "a\xC3\xA9"}, "a\xC3\xA9"},
        {{"\xF0\x9F\x98\x80", 4}, {"", "", "", "\xF0\x9F\x98\x80"}, "\xF0\x9F\x98\x80"},
        {{"\xE2\x82\x41", 3}, {"", "", "\xEF\xBF\xBD\x41"}, "\xEF\xBF\xBD\x41"},
        {{"\xED\xA0", 2}, {"", "\xEF\xBF\xBD\xEF\xBF\xBD"}, "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {{"\x80\xF0\x90", 3}, {"\xEF\xBF\xBD", "\xEF\xBF\xBD", "\xEF\xBF\xBD"}, "\xEF\xBF\xBD\xEF\xBF\xBD"},
    };
    struct tokenizer *t = tiny();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct token_stream stream = {STRBUF_INIT};
        struct strbuf out = STRBUF_INIT;
        for (size_t k = 0; k < cases[i].bytes.length; k++) {
            token_stream_push(&stream, t, tokenizer_token_id(t, str_slice(cases[i].bytes, k, k + 1)), &out);
            assert_string_equal(out.data ? out.data : "", cases[i].after[k]);
        }
        token_stream_push(&stream, t, 1, &out); /* special tokens have no text here */
        token_stream_flush(&stream, &out);
        assert_string_equal(out.data, cases[i].flushed);
        assert_int_equal(stream.held.length, 0);
        token_stream_release(&stream);
        strbuf_release(&out);
    }
    tokenizer_free(t);
}

static void long_runs_are_no_trap(void **state)
{
    (void)state;
    enum { N = 100000 };
    struct tokenizer *t = tiny();
    struct arena arena = ARENA_INIT;
    char *text = mem_alloc(N);
    static const char letters[] = {'a', ' ', '\n', '<', '\xC3', '1'};
    for (size_t i = 0; i < sizeof letters; i++) {
        struct strbuf out = STRBUF_INIT;
        int32_t *ids;
        int n;
        memset(text, letters[i], N);
        assert_int_equal(tokenizer_encode(t, (struct str){text, N}, true, &arena, &ids, &n), ERR_NONE);
        tokenizer_decode(t, ids, n, false, &out);
        assert_int_equal(out.length, letters[i] == '\xC3' ? 3 * N : N);
        strbuf_release(&out);
        arena_reset(&arena);
    }
    free(text);
    arena_release(&arena);
    tokenizer_free(t);
}

static void *encode_often(void *tokenizer)
{
    struct arena arena = ARENA_INIT;
    int32_t *ids;
    int n = 0;
    size_t total = 0;
    for (int i = 0; i < 200; i++) {
        if (tokenizer_encode(tokenizer, STR("<think>It matches 12.\n\nGood \xC3\xA9"), true, &arena, &ids, &n) ==
            ERR_NONE) {
            total += (size_t)n;
        }
        arena_reset(&arena);
    }
    arena_release(&arena);
    return (void *)total;
}

static void threads_share_a_tokenizer(void **state)
{
    (void)state;
    struct tokenizer *t = tiny();
    pthread_t threads[4];
    void *alone = encode_often(t), *total;
    assert_non_null(alone);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, encode_often, t), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &total);
        assert_ptr_equal(total, alone);
    }
    tokenizer_free(t);
}

static void what_is_not_known_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *changes, *sentence;
    } cases[] = {
        {"{'normalizer': {'type': 'NFKC'}}", "normalizer 'NFKC'"},
        {"{'normalizer': {'type': 'Sequence', 'normalizers': [{'type': 'Lowercase'}]}}", "normalizer 'Lowercase'"},
        {"{'pre_tokenizer': {'type': 'Metaspace'}}", "pre-tokenizer 'Metaspace'"},
        {"{'pre_tokenizer': null}", "no pre-tokenizer ByteLevel"},
        {"{'pre_tokenizer': {'type': 'ByteLevel', 'add_prefix_space': true}}", "add_prefix_space"},
        {"{'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': [{'type': 'ByteLevel'}, {'type': 'Digits'}]}}",
         "after ByteLevel"},
        {"{'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': 'a'}, 'behavior': 'Removed'}}", "'Removed'"},
        {"{'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': '('}, 'behavior': 'Isolated'}}", "'('"},
        {"{'pre_tokenizer': {'type': 'Split', 'pattern': {'String': 'a'}, 'behavior': 'Isolated'}}", "'Regex'"},
        {"{'post_processor': {'type': 'BertProcessing'}}", "post-processor 'BertProcessing'"},
        {"{'post_processor': {'type': 'TemplateProcessing', 'single': [{'SpecialToken': {'id': 'x'}}]}}",
         "one known token"},
        {"{'decoder': {'type': 'WordPiece'}}", "decoder 'WordPiece'"},
        {"{'model': {'type': 'Unigram'}}", "model 'Unigram'"},
        {"{'model': {'byte_fallback': true}}", "byte_fallback"},
        {"{'model': {'dropout': 0.1}}", "dropout"},
        {"{'model': {'end_of_word_suffix': '</w>'}}", "end_of_word_suffix"},
        {"{'model': {'merges': []}}", "no merges"},
        {"{'model': {'merges': ['a']}}", "merge 0"},
        {"{'model': {'merges': ['q zz']}}", "not in the vocabulary"},
        {"{'model': {'vocab': {'a': -1}}}", "'a'"},
        {"{'model': {'vocab': {'a': 1, 'b': 1}}}", "the id 1"},
        {"{'added_tokens': [{'id': 1, 'content': 'x', 'lstrip': true}]}", "lstrip"},
        {"{'added_tokens': [{'id': 1e9, 'content': 'x'}]}", "'id'"},
        {"{'added_tokens': [{'id': 9999999, 'content': 'x'}]}", "added token 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char changes[256] = {0};
        for (size_t k = 0; cases[i].changes[k]; k++) {
            changes[k] = cases[i].changes[k];
            changes[k] = (char)(changes[k] == '\'' ? '"' : changes[k]);
        }
        json_t *document = open_json(FOLDER "tokenizer.json"), *patch = NULL;
        assert_int_equal(json_parse(&patch, str_of(changes), "patch"), ERR_NONE);
        change(document, patch);
        struct tokenizer *t = NULL;
        if (parse_document(&t, document) != ERR_FORMAT || t || !strstr(err_text(), cases[i].sentence)) {
            fail_msg("%s gives: %s", changes, err_text());
        }
        json_decref(document);
        json_decref(patch);
    }
}

/* The text has this token in front, -1: none, and is otherwise as it is inside another. */
static void check_begin(const struct tokenizer *t, struct str text, int32_t begin)
{
    struct arena arena = ARENA_INIT;
    int32_t *rest, *whole;
    int n_rest, n_whole;
    assert_int_equal(tokenizer_encode(t, text, true, &arena, &rest, &n_rest), ERR_NONE);
    assert_int_equal(tokenizer_encode_whole(t, text, true, &arena, &whole, &n_whole), ERR_NONE);
    int more = begin >= 0;
    assert_int_equal(n_whole, n_rest + more);
    if (more) {
        assert_int_equal(whole[0], begin);
    }
    for (int i = 0; i < n_rest; i++) {
        assert_int_equal(whole[more + i], rest[i]);
    }
    arena_release(&arena);
}

static void a_text_that_stands_alone_has_its_begin_token(void **state)
{
    (void)state;
    static const char *const processors[] = {
        "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<think>\", \"type_id\": 0}}, "
        "{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, {\"SpecialToken\": {\"id\": \"</think>\"}}], "
        "\"special_tokens\": {\"<think>\": {\"id\": \"<think>\", \"ids\": [1], \"tokens\": [\"<think>\"]}}}",
        "{\"type\": \"ByteLevel\", \"trim_offsets\": true}",
    };
    json_t *document = open_json(FOLDER "tokenizer.json"), *list = json_array();
    for (int i = 0; i < 2; i++) {
        json_array_append_new(list, json_loads(processors[i], 0, NULL));
    }
    for (int i = 0; i < 3; i++) { /* one, the other, both in a Sequence */
        json_t *both = json_pack("{ssso}", "type", "Sequence", "processors", json_deep_copy(list));
        json_object_set_new(document, "post_processor", i < 2 ? json_incref(json_array_get(list, (size_t)i)) : both);
        struct tokenizer *t = NULL;
        assert_int_equal(parse_document(&t, document), ERR_NONE);
        check_begin(t, STR("right"), i == 1 ? -1 : 1);
        check_begin(t, STR(""), i == 1 ? -1 : 1);
        struct arena arena = ARENA_INIT;
        int32_t *ids;
        int n;
        assert_int_equal(tokenizer_encode_whole(t, STR("<think>"), true, &arena, &ids, &n), ERR_NONE);
        assert_int_equal(n, 1); /* it is there */
        arena_release(&arena);
        tokenizer_free(t);
        if (i < 2) {
            json_decref(both);
        }
    }
    json_decref(list);
    json_decref(document);
}

static void merges_may_be_texts_too(void **state)
{
    (void)state;
    json_t *document = open_json(FOLDER "tokenizer.json"), *value, *texts = json_array();
    size_t i;
    json_array_foreach(json_object_get(json_object_get(document, "model"), "merges"), i, value)
    {
        json_array_append_new(texts, json_sprintf("%s %s", json_string_value(json_array_get(value, 0)),
                                                  json_string_value(json_array_get(value, 1))));
    }
    json_object_set_new(json_object_get(document, "model"), "merges", texts);
    struct tokenizer *t = NULL;
    assert_int_equal(parse_document(&t, document), ERR_NONE);
    struct arena arena = ARENA_INIT;
    int32_t *ids;
    int n;
    assert_int_equal(tokenizer_encode(t, STR(" right"), true, &arena, &ids, &n), ERR_NONE);
    assert_int_equal(n, 1);
    arena_release(&arena);
    tokenizer_free(t);
    json_decref(document);
}

static void a_length_of_10_to_the_30_is_no_fault(void **state)
{
    (void)state;
    static const char text[] =
        "{\"chat_template\": \"{{ x }}\", \"model_max_length\": 1000000000000000019884624838656}";
    char folder[] = "/tmp/strop-tokenizer-XXXXXX", document[128], config[128];
    assert_non_null(mkdtemp(folder));
    assert_int_equal(file_join(document, sizeof document, folder, "tokenizer.json"), ERR_NONE);
    assert_int_equal(file_join(config, sizeof config, folder, "tokenizer_config.json"), ERR_NONE);
    assert_int_equal(file_copy(FOLDER "tokenizer.json", document), ERR_NONE);
    assert_int_equal(file_write_atomic(config, text, strlen(text)), ERR_NONE);
    struct tokenizer *t = NULL;
    if (tokenizer_open(&t, document) != ERR_NONE) {
        fail_msg("%s", err_text());
    }
    assert_true(str_equal(tokenizer_chat_template(t), STR("{{ x }}")));
    tokenizer_free(t);
    assert_int_equal(file_remove_folder(folder), ERR_NONE);
}

static void parts_are_checked(void **state)
{
    (void)state;
    struct str tokens[] = {STR("a"), STR("b"), STR("ab")}, merges[] = {STR("a b"), STR("ab ")};
    int32_t types[] = {1, 1, 1}, bytes[] = {1, 6, 1};
    static const char *const sentences[] = {"pre-tokenizer 'bert'", "no merges", "type 6", "merge 1", "begin token 3"};
    struct tokenizer_parts parts[] = {
        {.tokens = tokens,
         .types = types,
         .n_tokens = 3,
         .merges = merges,
         .n_merges = 1,
         .pre = STR("bert"),
         .begins = false,
         .begin_token = 0},
        {.tokens = tokens,
         .types = types,
         .n_tokens = 3,
         .merges = merges,
         .n_merges = 0,
         .pre = STR("gpt-2"),
         .begins = false,
         .begin_token = 0},
        {.tokens = tokens,
         .types = bytes,
         .n_tokens = 3,
         .merges = merges,
         .n_merges = 1,
         .pre = STR("gpt-2"),
         .begins = false,
         .begin_token = 0},
        {.tokens = tokens,
         .types = types,
         .n_tokens = 3,
         .merges = merges,
         .n_merges = 2,
         .pre = STR("gpt-2"),
         .begins = false,
         .begin_token = 0},
        {.tokens = tokens,
         .types = types,
         .n_tokens = 3,
         .merges = merges,
         .n_merges = 1,
         .pre = STR("gpt-2"),
         .begins = true,
         .begin_token = 3},
    };
    for (int i = 0; i < 5; i++) {
        struct tokenizer *t = NULL;
        assert_int_equal(tokenizer_from_parts(&t, &parts[i], "x.gguf"), ERR_FORMAT);
        assert_null(t);
        assert_non_null(strstr(err_text(), sentences[i]));
        assert_non_null(strstr(err_text(), "x.gguf"));
    }
    struct tokenizer *t = NULL;
    parts[4].begin_token = 1;
    assert_int_equal(tokenizer_from_parts(&t, &parts[4], "x.gguf"), ERR_NONE);
    check_begin(t, STR("ab"), 1);
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_those_of_the_reference),
        cmocka_unit_test(tokens_have_texts),
        cmocka_unit_test(decoding_gives_the_text_back),
        cmocka_unit_test(streams_hold_back_parts_of_characters),
        cmocka_unit_test(long_runs_are_no_trap),
        cmocka_unit_test(threads_share_a_tokenizer),
        cmocka_unit_test(what_is_not_known_is_refused),
        cmocka_unit_test(a_text_that_stands_alone_has_its_begin_token),
        cmocka_unit_test(merges_may_be_texts_too),
        cmocka_unit_test(a_length_of_10_to_the_30_is_no_fault),
        cmocka_unit_test(parts_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

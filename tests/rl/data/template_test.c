/* tests/rl/data/template_test.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "rl/data/template.h"
#include "tests/rl/byte_tokenizer.h"

static char path[] = "/tmp/template_test.XXXXXX";

static int make_file(void **state)
{
    (void)state;
    int file = mkstemp(path);
    return file < 0 || close(file);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static json_t *json_of(const char *text)
{
    json_t *value = NULL;
    if (json_parse(&value, str_of(text), "test") != ERR_NONE) {
        fail_msg("%s", err_text());
    }
    return value;
}

/* `row` holds the prompt in "prompt". */
static enum err apply(const struct template *tpl, const char *row, struct strbuf *out)
{
    json_t *fields = json_of(row);
    strbuf_clear(out);
    enum err err = template_apply(tpl, json_object_get(fields, "prompt"), fields, "d.jsonl:3", out);
    json_decref(fields);
    return err;
}

static void r1_zero_has_the_structure_of_the_paper(void **state)
{
    (void)state;
    struct template *tpl;
    struct strbuf out = STRBUF_INIT;
    assert_int_equal(template_open(&tpl, "r1-zero", "", "", NULL), ERR_NONE);
    assert_int_equal(apply(tpl, "{\"prompt\": \"What is {x}?\"}", &out), ERR_NONE);
    struct str text = strbuf_view(&out);
    static const char *const tags[] = {"<think>", "</think>", "<answer>", "</answer>"};
    ptrdiff_t last = -1;
    for (int i = 0; i < 4; i++) {
        ptrdiff_t at = str_find(text, str_of(tags[i]), 0);
        assert_true(at > last);
        assert_int_equal(at, str_find_last(text, str_of(tags[i])));
        last = at;
    }
    assert_true(str_ends(text, STR(".\nUser: What is {x}?\nAssistant:")));
    strbuf_release(&out);
    template_close(tpl);
}

static void none_is_the_prompt_itself(void **state)
{
    (void)state;
    struct template *tpl;
    struct strbuf out = STRBUF_INIT;
    assert_int_equal(template_open(&tpl, "none", "", "", NULL), ERR_NONE);
    assert_int_equal(apply(tpl, "{\"prompt\": \"a {b}\\u0000c\\n\"}", &out), ERR_NONE);
    assert_true(str_equal(strbuf_view(&out), STR("a {b}\0c\n")));
    assert_int_equal(apply(tpl, "{\"prompt\": [{\"role\": \"user\", \"content\": \"q\"}]}", &out), ERR_NONE);
    assert_string_equal(out.data, "q");
    assert_int_equal(apply(tpl,
                           "{\"prompt\": [{\"role\": \"system\", \"content\": \"s\"}, "
                           "{\"role\": \"user\", \"content\": \"q\"}]}",
                           &out),
                     ERR_FORMAT);
    assert_string_equal(err_text(),
                        "d.jsonl:3: a conversation does not fit a template of plain text; use template: chat");
    strbuf_release(&out);
    template_close(tpl);
}

static void files_have_slots(void **state)
{
    (void)state;
    struct template *tpl;
    struct strbuf out = STRBUF_INIT;
    static const char text[] = "\\boxed{} {{level}} {9} {a b} { prompt} {level}/{score} {prompt}\n\n";
    assert_int_equal(file_write_atomic(path, text, sizeof text - 1), ERR_NONE);
    assert_int_equal(template_open(&tpl, path, "", "", NULL), ERR_NONE);
    assert_int_equal(apply(tpl, "{\"prompt\": \"P {level}\", \"level\": 3, \"score\": 0.5}", &out), ERR_NONE);
    assert_string_equal(out.data, "\\boxed{} {3} {9} {a b} { prompt} 3/0.5 P {level}\n");
    assert_int_equal(apply(tpl, "{\"prompt\": \"P\", \"level\": 3}", &out), ERR_FORMAT);
    assert_string_equal(err_text(), "d.jsonl:3: the template has {score}, but the row's field 'score' is missing");
    assert_int_equal(apply(tpl, "{\"prompt\": \"P\", \"level\": [\"a\", 2, \"b\"], \"score\": [\"c\"]}", &out),
                     ERR_NONE);
    assert_string_equal(out.data, "\\boxed{} {a\n2\nb} {9} {a b} { prompt} a\n2\nb/c P\n");
    static const char *const unfit[] = {"[]", "[true]", "[\"a\", [1]]", "{\"a\": 1}", "null"};
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++) {
        char row[64];
        snprintf(row, sizeof row, "{\"prompt\": \"P\", \"level\": %s}", unfit[i]);
        assert_int_equal(apply(tpl, row, &out), ERR_FORMAT);
        assert_string_equal(err_text(),
                            "d.jsonl:3: the template has {level}, but the row's field 'level' is no text or "
                            "number, nor a list of them");
    }
    strbuf_release(&out);
    template_close(tpl);
}

static void bad_templates_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *want;
    } cases[] = {
        {{"no slot", 7}, ": the template must have {prompt} in it, where the prompt goes"},
        {{"{prompt}\xff", 9}, ": the template must be UTF-8 text"},
        {{"{prompt}\0", 9}, ": the template must be UTF-8 text"},
        {{"", 0}, ": the template must have {prompt} in it, where the prompt goes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct template *tpl = NULL;
        char want[128];
        assert_int_equal(file_write_atomic(path, cases[i].text.data, cases[i].text.length), ERR_NONE);
        assert_int_equal(template_open(&tpl, path, "", "", NULL), ERR_FORMAT);
        snprintf(want, sizeof want, "%s%s", path, cases[i].want);
        assert_string_equal(err_text(), want);
        assert_null(tpl);
    }
    struct template *tpl = NULL;
    assert_int_equal(template_open(&tpl, "r1-zeros", "", "", NULL), ERR_USAGE);
    assert_string_equal(err_text(),
                        "there is no template 'r1-zeros'; it is r1-zero, chat, none, or the path of a text file");
}

static void chat_is_the_format_of_the_model(void **state)
{
    (void)state;
    struct template *tpl = NULL;
    struct strbuf out = STRBUF_INIT;
    struct tokenizer *tokenizer = byte_tokenizer(CHATML, -1), *plain = byte_tokenizer("", -1);
    assert_int_equal(template_open(&tpl, "chat", "be brief", "", tokenizer), ERR_NONE);
    assert_int_equal(apply(tpl, "{\"prompt\": \"hi\"}", &out), ERR_NONE);
    assert_string_equal(out.data, "<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
                                  "<|im_start|>assistant\n");
    assert_int_equal(apply(tpl,
                           "{\"prompt\": [{\"role\": \"system\", \"content\": \"own\"}, "
                           "{\"role\": \"user\", \"content\": \"hi\"}]}",
                           &out),
                     ERR_NONE);
    assert_string_equal(out.data, "<|im_start|>system\nown<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
                                  "<|im_start|>assistant\n");
    template_close(tpl);
    tpl = NULL;
    assert_int_equal(template_open(&tpl, "chat", "", "", plain), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "use a template of plain text"));
    assert_null(tpl);
    tokenizer_free(tokenizer);
    tokenizer_free(plain);
    strbuf_release(&out);
}

/* The row's tools, documents and further variables go to the model's template, as lists and objects or as JSON in texts. */
static void rows_reach_the_chat_template(void **state)
{
    (void)state;
    struct template *tpl = NULL;
    struct strbuf out = STRBUF_INIT;
    struct tokenizer *tokenizer = byte_tokenizer(
        "{{ tools | tojson }} {{ documents | tojson }} {{ x }} {{ y }}{% if z %}{{ raise_exception('no') }}{% endif %}",
        -1);
    assert_int_equal(template_open(&tpl, "chat", "", "{\"x\": 1, \"y\": true}", tokenizer), ERR_NONE);
    assert_int_equal(apply(tpl, "{\"prompt\": \"hi\"}", &out), ERR_NONE);
    assert_string_equal(out.data, "null null 1 True");
    assert_int_equal(apply(tpl,
                           "{\"prompt\": \"hi\", \"tools\": \"[{\\\"a\\\": 1}]\", \"documents\": [], "
                           "\"chat_template_kwargs\": {\"x\": \"q\"}}",
                           &out),
                     ERR_NONE);
    assert_string_equal(out.data, "[{\"a\": 1}] [] q True");
    assert_int_equal(apply(tpl, "{\"prompt\": \"hi\", \"tools\": {}}", &out), ERR_FORMAT);
    assert_string_equal(err_text(), "d.jsonl:3: 'tools' must be a list of objects");
    assert_int_equal(apply(tpl, "{\"prompt\": \"hi\", \"chat_template_kwargs\": {\"z\": 1}}", &out), ERR_FORMAT);
    assert_string_equal(err_text(), "d.jsonl:3: chat template line 1: no");
    template_close(tpl);
    assert_int_equal(template_open(&tpl, "chat", "", "[1]", tokenizer), ERR_USAGE);
    tokenizer_free(tokenizer);
    strbuf_release(&out);
}

/* Tokens 257 and 258 are <|im_start|> and <|im_end|>. */
static void turns_end_as_the_template_ends_them(void **state)
{
    (void)state;
    static const struct {
        const char *jinja;
        int n, ids[3];
    } cases[] = {
        {CHATML, 1, {258}},
        {"{% for m in messages %}{{ m.content }}.\n<|im_end|><|im_end|>{% endfor %}", 3, {'.', '\n', 258}},
        {"{% for m in messages %}<|im_start|>{{ m.content | trim }}<|im_start|>{% endfor %}", 1, {257}},
        {"{% for m in messages %}{{ m.content }}</s>{% endfor %}", 0, {0}},
        {"{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}<|im_end|>", 0, {0}},
        {"{{ raise_exception('never') }}", 0, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = ARENA_INIT;
        struct template *tpl = NULL;
        struct tokenizer *tokenizer = byte_tokenizer(cases[i].jinja, -1);
        int32_t *ids = NULL;
        int n = -1;
        assert_int_equal(template_open(&tpl, "chat", "", "", tokenizer), ERR_NONE);
        template_turn_end(tpl, &arena, &ids, &n);
        assert_int_equal(n, cases[i].n);
        for (int k = 0; k < n; k++) {
            assert_int_equal(ids[k], cases[i].ids[k]);
        }
        template_close(tpl);
        tokenizer_free(tokenizer);
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(r1_zero_has_the_structure_of_the_paper),
        cmocka_unit_test(none_is_the_prompt_itself),
        cmocka_unit_test(files_have_slots),
        cmocka_unit_test(bad_templates_are_refused),
        cmocka_unit_test(chat_is_the_format_of_the_model),
        cmocka_unit_test(rows_reach_the_chat_template),
        cmocka_unit_test(turns_end_as_the_template_ends_them),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}

/* tests/model/chat_test.c - conversations as the checkpoints' own templates lay them out (tests/golden/make_chat.py).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/json.h"
#include "model/chat.h"

/* What marks each family, as short as can be. */
static const struct {
    const char *jinja, *name;
} families[] = {
    {"<|im_start|> ' + role + ' <|im_end|>", "chatml"},
    {"'<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>'",
     "qwen2.5"},
    {"<|im_start|>system\\nPlease reason step by step, and put your final answer within \\\\boxed{}.", "qwen2.5-math"},
    {"<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face", "smollm2"},
    {"<|im_start|> ns.last_query_index enable_thinking is false loop.last or (not loop.last and reasoning_content)",
     "qwen3"},
    {"bos_token <|start_header_id|> content | trim + '<|eot_id|>'", "llama3"},
    {"<|start_header_id|> Cutting Knowledge Date: December 2023 = \"26 Jul 2024\" <|eot_id|>", "llama3.1"},
    {"ns.system_prompt = message['content'] '<｜User｜>' split('</think>')[-1] '<｜Assistant｜><think>\\n'",
     "deepseek-r1"},
};

static void families_are_recognised(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        enum chat_format format;
        if (chat_format_of(str_of(families[i].jinja), &format) != ERR_NONE) {
            fail_msg("%s: %s", families[i].name, err_text());
        }
        assert_string_equal(chat_format_name(format), families[i].name);
    }
}

static void unknown_templates_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "{{ messages }}",
        "<start_of_turn>",
        "<|im_start|>system You are somebody else <|im_end|>",
        "<|im_start|> You are Qwen, created by Alibaba Cloud. <|image_pad|>",
        "'<｜User｜>' '<｜Assistant｜>'",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum chat_format format = CHAT_LLAMA3;
        assert_int_equal(chat_format_of(str_of(cases[i]), &format), ERR_FORMAT);
        assert_int_equal(format, CHAT_LLAMA3);
    }
}

static enum err render(const char *name, const json_t *one, struct strbuf *out)
{
    struct chat_message messages[8];
    json_t *list = json_object_get(one, "messages"), *message;
    size_t i;
    json_array_foreach(list, i, message)
    {
        json_t *content = json_array_get(message, 1);
        messages[i].role = json_string_value(json_array_get(message, 0));
        messages[i].content = (struct str){json_string_value(content), json_string_length(content)};
    }
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        if (strcmp(families[f].name, name) == 0) {
            enum chat_format format;
            TRY(chat_format_of(str_of(families[f].jinja), &format));
            return chat_render(format, messages, (int)json_array_size(list),
                               json_is_true(json_object_get(one, "generate")), out);
        }
    }
    return err_set(ERR_FORMAT, "no family '%s'", name);
}

static void texts_are_those_of_the_templates(void **state)
{
    (void)state;
    json_t *formats = NULL, *list, *one;
    const char *name;
    size_t i;
    assert_int_equal(json_parse_file(&formats, "tests/golden/chat_cases.json", 1 << 20), ERR_NONE);
    assert_int_equal(json_object_size(formats), sizeof families / sizeof *families);
    json_object_foreach(formats, name, list)
    {
        assert_true(json_array_size(list) >= 16);
        json_array_foreach(list, i, one)
        {
            struct strbuf out = STRBUF_INIT;
            strbuf_puts(&out, "kept:");
            if (render(name, one, &out) != ERR_NONE) {
                fail_msg("%s: %s", name, err_text());
            }
            assert_string_equal(out.data + 5, json_string_value(json_object_get(one, "text")));
            strbuf_release(&out);
        }
    }
    json_decref(formats);
}

static void what_a_format_cannot_say_is_refused(void **state)
{
    (void)state;
    const struct chat_message tool[] = {{"user", STR("a")}, {"tool", STR("b")}};
    const struct chat_message systems[] = {{"system", STR("a")}, {"system", STR("b")}};
    struct strbuf out = STRBUF_INIT;
    assert_int_equal(chat_render(CHAT_QWEN25, tool, 2, true, &out), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "'tool'"));
    assert_int_equal(chat_render(CHAT_DEEPSEEK_R1, systems, 2, true, &out), ERR_FORMAT);
    assert_int_equal(chat_render(CHAT_QWEN25, tool, 0, true, &out), ERR_FORMAT);
    assert_int_equal(out.length, 0);
    assert_int_equal(chat_render(CHAT_QWEN25, systems, 2, true, &out), ERR_NONE);
    strbuf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_are_recognised),
        cmocka_unit_test(unknown_templates_are_refused),
        cmocka_unit_test(texts_are_those_of_the_templates),
        cmocka_unit_test(what_a_format_cannot_say_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

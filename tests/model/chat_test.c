/* tests/model/chat_test.c - what a chat template is shown, and what is refused.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "model/chat.h"

/* A tokenizer that has the templates, and <b> and <e> as its begin and end tokens; "" for no second template. */
static struct tokenizer *tokenizer_with(const char *jinja, const char *tools)
{
    const struct str tokens[] = {STR("a"), STR("b"), STR("ab"), STR("<b>"), STR("<e>")};
    const struct str merge = STR("a b");
    static const int32_t types[] = {1, 1, 1, 3, 3};
    const struct tokenizer_parts parts = {.tokens = tokens,
                                          .types = types,
                                          .n_tokens = 5,
                                          .merges = &merge,
                                          .n_merges = 1,
                                          .pre = STR("gpt-2"),
                                          .chat_template = str_of(jinja),
                                          .tool_template = str_of(tools),
                                          .names = {STR("<b>"), STR("<e>")},
                                          .begin_token = -1};
    struct tokenizer *tokenizer = NULL;
    if (tokenizer_from_parts(&tokenizer, &parts, "test") != ERR_NONE) {
        fail_msg("%s", err_text());
    }
    return tokenizer;
}

/* Renders a request: a JSON object with messages, and tools, documents, variables, opened (variables of chat_open). */
static enum err render(const struct tokenizer *tokenizer, const char *text, struct strbuf *out)
{
    json_t *request = NULL;
    struct chat *chat = NULL;
    if (json_parse(&request, str_of(text), "test") != ERR_NONE) {
        fail_msg("%s", err_text());
    }
    enum err err = chat_open(&chat, tokenizer, json_object_get(request, "opened"));
    if (err == ERR_NONE) {
        const struct chat_request r = {.messages = json_object_get(request, "messages"),
                                       .tools = json_object_get(request, "tools"),
                                       .documents = json_object_get(request, "documents"),
                                       .variables = json_object_get(request, "variables"),
                                       .add_generation_prompt = json_is_true(json_object_get(request, "generate"))};
        err = chat_render(chat, &r, out);
        chat_close(chat);
    }
    json_decref(request);
    return err;
}

static void expect(const char *jinja, const char *request, const char *want)
{
    struct strbuf out = STRBUF_INIT;
    struct tokenizer *tokenizer = tokenizer_with(jinja, "");
    strbuf_puts(&out, "kept:");
    if (render(tokenizer, request, &out) != ERR_NONE) {
        fail_msg("%s", err_text());
    }
    assert_string_equal(out.data + 5, want);
    tokenizer_free(tokenizer);
    strbuf_release(&out);
}

static void templates_see_what_transformers_shows_them(void **state)
{
    (void)state;
    static const char all[] =
        "{{ bos_token }}{{ eos_token }}[{{ pad_token }}]{{ messages | length }}{{ tools is none }}"
        "{{ documents is none }}{{ add_generation_prompt }}{{ enable_thinking is defined }}";
    expect(all, "{\"messages\": [{}]}", "<b><e>[]1TrueTrueFalseFalse");
    expect(all, "{\"messages\": [], \"tools\": [], \"documents\": [{}], \"generate\": true}",
           "<b><e>[]0FalseFalseTrueFalse");
    expect(all,
           "{\"messages\": [], \"opened\": {\"enable_thinking\": true, \"pad_token\": \"p\", \"bos_token\": \"q\"}}",
           "q<e>[p]0TrueTrueFalseTrue");
    expect("{{ a }}{{ b }}", "{\"messages\": [], \"opened\": {\"a\": 1, \"b\": 2}, \"variables\": {\"b\": 3}}", "13");
    expect("{{ messages[0].tool_calls[0].id }}{{ messages[0].content }}{{ messages[1].content[0].text }}",
           "{\"messages\": [{\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"id\": 7}]},"
           " {\"role\": \"tool\", \"content\": [{\"type\": \"text\", \"text\": \"t\"}]}]}",
           "7Nonet");
}

/* What stands in a template counts, not what it looks like: ChatML with an edit each. */
static void each_edit_of_a_template_counts(void **state)
{
    (void)state;
#define TURN(content) "{{ '<|im_start|>' + m['role'] + '\\n' + " content " + '<|im_end|>' + '\\n' }}"
#define LOOP(body)    "{% for m in messages %}" body "{% endfor %}"
#define OPENING(rest) "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n" rest "' }}{% endif %}"
#define ASKED         "{\"messages\": [{\"role\": \"user\", \"content\": \" hi \\n\"}], \"generate\": true}"
#define USER(content) "<|im_start|>user\n" content "<|im_end|>\n"
    static const char *const cases[][2] = {
        {LOOP(TURN("m['content']")) OPENING(""), USER(" hi \n") "<|im_start|>assistant\n"},
        {"{{ bos_token }}" LOOP(TURN("m['content']")) OPENING(""), "<b>" USER(" hi \n") "<|im_start|>assistant\n"},
        {LOOP(TURN("m['content'] | trim")) OPENING(""), USER("hi") "<|im_start|>assistant\n"},
        {LOOP(TURN("m.content")) OPENING("<think>\\n"), USER(" hi \n") "<|im_start|>assistant\n<think>\n"},
        {LOOP(TURN("m.content")) OPENING("<think>\\n\\n</think>\\n\\n"),
         USER(" hi \n") "<|im_start|>assistant\n<think>\n\n</think>\n\n"},
        {LOOP(TURN("m.content")), USER(" hi \n")},
        {LOOP(TURN("m.content")) "<|im_start|>assistant\n", USER(" hi \n") "<|im_start|>assistant"},
        {"{#- You are a model. -#}" LOOP(TURN("m.content")), USER(" hi \n")},
        {"{% if messages[0].role != 'system' %}<|im_start|>system\nBe good.<|im_end|>\n{% endif %}" LOOP(
             TURN("m.content")),
         "<|im_start|>system\nBe good.<|im_end|>\n" USER(" hi \n")},
        {"{% if tools %}Tools.{% endif %}{{ messages[-1].content }}", " hi \n"},
        {LOOP(TURN("m.content + (' Box it.' if m.role == 'user' else '')")), USER(" hi \n Box it.")},
        {"{%- set thinks = false %}" LOOP(TURN("m.content")) "{% if not thinks %}</think>{% endif %}",
         USER(" hi \n") "</think>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect(cases[i][0], ASKED, cases[i][1]);
    }
}

static void tools_have_their_own_template(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = tokenizer_with("plain", "tools {{ tools | length }}");
    struct strbuf out = STRBUF_INIT;
    assert_int_equal(render(tokenizer, "{\"messages\": []}", &out), ERR_NONE);
    assert_int_equal(render(tokenizer, "{\"messages\": [], \"tools\": [{}]}", &out), ERR_NONE);
    assert_string_equal(out.data, "plaintools 1");
    tokenizer_free(tokenizer);
    strbuf_release(&out);
}

static void what_cannot_be_laid_out_is_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "the model has no chat template; use a template of plain text"},
        {"{{ messages }}\n{% nonsense %}", "chat template line 2: the tag 'nonsense' is not known to strop"},
        {"{{ raise_exception('Only users!') }}", "chat template line 1: Only users!"},
        {"\n\n{{ messages[0].content + 1 }}", "chat template line 3: a str and a int cannot be joined by '+'"},
    };
    struct strbuf out = STRBUF_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tokenizer *tokenizer = tokenizer_with(cases[i][0], "");
        assert_int_equal(render(tokenizer, "{\"messages\": [{\"content\": \"\"}]}", &out), ERR_FORMAT);
        assert_string_equal(err_text(), cases[i][1]);
        assert_int_equal(out.length, 0);
        tokenizer_free(tokenizer);
    }
    struct tokenizer *tokenizer = tokenizer_with("a", "{{ b | c }}");
    assert_int_equal(render(tokenizer, "{\"messages\": []}", &out), ERR_FORMAT);
    assert_string_equal(err_text(), "the template 'tool_use': chat template line 1: filter 'c' is not known to strop");
    tokenizer_free(tokenizer);
    strbuf_release(&out);
}

static void an_open_thinking_is_seen(void **state)
{
    (void)state;
    assert_true(chat_opens_thinking(STR("<|im_start|>assistant\n<think>\n")));
    assert_true(chat_opens_thinking(STR("<think>")));
    assert_false(chat_opens_thinking(STR("<think>\n\n</think>\n\n")));
    assert_false(chat_opens_thinking(STR("write <think> first")));
    assert_false(chat_opens_thinking(STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_see_what_transformers_shows_them),
        cmocka_unit_test(each_edit_of_a_template_counts),
        cmocka_unit_test(tools_have_their_own_template),
        cmocka_unit_test(what_cannot_be_laid_out_is_refused),
        cmocka_unit_test(an_open_thinking_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

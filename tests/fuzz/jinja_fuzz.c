/* tests/fuzz/jinja_fuzz.c - any bytes as a chat template, and after a NUL any JSON as its messages. It must end with a text or a
 * sentence, the same when it is rendered again.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "model/jinja/jinja.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char conversation[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \" S \"}, {\"role\": \"user\", \"content\": \"\\u65e5 "
    "x\\ny\"},"
    " {\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\": "
    "{\"a\": "
    "[1, -2.5, true]}}}]}], \"tools\": [{\"name\": \"f\"}], \"bos_token\": \"<s>\", \"add_generation_prompt\": true}";

static json_t *variables_of(const char *text, size_t length)
{
    json_t *variables = json_loadb(conversation, sizeof conversation - 1, 0, NULL);
    json_t *messages = json_loadb(text, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (messages) {
        json_object_set_new(variables, "messages", messages);
    }
    return variables;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *mark = size ? memchr(text, 0, size) : NULL;
    size_t length = mark ? (size_t)(mark - text) : size;
    struct jinja *jinja = NULL;
    if (jinja_open(&jinja, (struct str){text, length}) != ERR_NONE) {
        BUG_ON(err_text()[0] == '\0');
        return 0;
    }
    struct strbuf first = STRBUF_INIT, second = STRBUF_INIT;
    json_t *variables = variables_of(mark ? mark + 1 : "", mark ? size - length - 1 : 0);
    enum err err = jinja_render(jinja, variables, 1e9, &first);
    BUG_ON(jinja_render(jinja, variables, 1e9, &second) != err);
    BUG_ON(err != ERR_NONE && (first.length || err_text()[0] == '\0'));
    BUG_ON(!str_equal(strbuf_view(&first), strbuf_view(&second)));
    strbuf_release(&first);
    strbuf_release(&second);
    json_decref(variables);
    jinja_close(jinja);
    return 0;
}

/* tests/check/jinja.c - renders templates for tests/check/chat_templates.py: a JSON object {"template", "variables", "now"} a line in,
 * {"text": ...} or {"error": ...} a line out. With "times", a number of renderings, also "microseconds" of one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/json.h"
#include "model/jinja/jinja.h"

/* Microseconds of one rendering, the mean of `times`. */
static double measure(const struct jinja *jinja, const json_t *variables, int64_t times)
{
    double start = clock_thread_seconds();
    for (int64_t i = 0; i < times; i++) {
        struct strbuf text = STRBUF_INIT;
        (void)!jinja_render(jinja, variables, 0, &text);
        strbuf_release(&text);
    }
    return (clock_thread_seconds() - start) / (double)times * 1e6;
}

static void answer(const char *line, size_t length)
{
    json_t *question = json_loadb(line, length, JSON_ALLOW_NUL, NULL);
    const json_t *source = json_object_get(question, "template");
    struct jinja *jinja = NULL;
    struct strbuf text = STRBUF_INIT, out = STRBUF_INIT;
    enum err err = jinja_open(&jinja, (struct str){json_string_value(source), json_string_length(source)});
    if (err == ERR_NONE) {
        err = jinja_render(jinja, json_object_get(question, "variables"),
                           json_number_value(json_object_get(question, "now")), &text);
    }
    strbuf_puts(&out, err == ERR_NONE ? "{\"text\": \"" : "{\"error\": \"");
    strbuf_add_json(&out, err == ERR_NONE ? strbuf_view(&text) : str_of(err_text()));
    strbuf_putc(&out, '"');
    int64_t times = json_integer_value(json_object_get(question, "times"));
    if (err == ERR_NONE && times > 0) {
        strbuf_printf(&out, ", \"microseconds\": %.2f", measure(jinja, json_object_get(question, "variables"), times));
    }
    strbuf_puts(&out, "}\n");
    fputs(out.data, stdout);
    jinja_close(jinja);
    json_decref(question);
    strbuf_release(&text);
    strbuf_release(&out);
}

int main(void)
{
    char *line = NULL;
    size_t capacity = 0;
    for (ssize_t n; (n = getline(&line, &capacity, stdin)) > 0;) {
        answer(line, (size_t)n);
    }
    free(line);
    return 0;
}

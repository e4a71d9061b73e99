/* tests/rl/train_first_test.c - what check prints of the first prompt, and what a run says of it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "tests/rl/run_fixture.h"

static char folder[] = "/tmp/train_first_test.XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    char model[64];
    if (!mkdtemp(folder)) {
        return -1;
    }
    snprintf(model, sizeof model, "%s/model", folder);
    run_make_model(model, 1);
    run_write_text(folder, "rows.jsonl", "{\"prompt\": \"What is 2+3?\", \"completion\": \"5\", \"answer\": \"5\"}\n");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return file_remove_folder(folder) == ERR_NONE ? 0 : -1;
}

/* What `strop check` prints, and after it what it says on standard error. */
static void check(const char *jinja, const char *more, struct strbuf *printed)
{
    struct recipe recipe;
    char *text = NULL, path[FILE_PATH_BYTES];
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    snprintf(path, sizeof path, "%s/said", folder);
    int kept = dup(STDERR_FILENO);
    assert_non_null(freopen(path, "w", stderr));
    run_write_text(folder, "model/chat_template.jinja", jinja);
    struct strbuf all = STRBUF_INIT;
    strbuf_printf(&all,
                  "model_name_or_path: model\ndataset_name: rows.jsonl\ntemplate: chat\nmax_steps: 1\ndevice: cpu\n%s",
                  more);
    run_open_recipe(&recipe, folder, "r", all.data);
    enum err err = train_check(&recipe, (size_t)1 << 34, out);
    fclose(out);
    recipe_release(&recipe);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    strbuf_clear(printed);
    strbuf_puts(printed, text);
    MUST(file_read(printed, path, 1 << 16));
    if (err != ERR_NONE) {
        fail_msg("%s", err_text());
    }
    free(text);
    strbuf_release(&all);
}

#define TURNS(end)                                                                                                     \
    "{% for m in messages %}{{ m.role }}: {{ m.content }}" end "\n{% endfor %}"                                        \
    "{% if add_generation_prompt %}assistant: {{ '' if enable_thinking is false else '<think>\n' }}{% endif %}"
#define GRPO "reward_funcs: [format]\n"
#define SFT  "method: sft\n"

static void check_prints_the_first_prompt(void **state)
{
    (void)state;
    struct strbuf text = STRBUF_INIT;
    check(TURNS("<|end|>"), GRPO, &text);
    assert_non_null(
        strstr(text.data, "the first prompt (33 tokens):\nuser: What is 2+3?<|end|>\nassistant: <think>\n"));
    assert_non_null(strstr(text.data, "prompts end with <think>: rewards take the thinking as open"));
    check(TURNS("<|end|>"), GRPO "chat_template_kwargs: {enable_thinking: false}\n", &text);
    assert_non_null(strstr(text.data, "user: What is 2+3?<|end|>\nassistant: \n"));
    assert_null(strstr(text.data, "<think>"));
    strbuf_release(&text);
}

/* </answer> is a special token of the model, but none that ends a completion. */
static void an_end_that_does_not_end_is_told(void **state)
{
    (void)state;
    struct strbuf text = STRBUF_INIT;
    check(TURNS("<|end|>"), SFT, &text);
    assert_non_null(strstr(text.data, "what is learnt after it (2 tokens):\n5<|end|>\n"));
    assert_null(strstr(text.data, "not among the model's end tokens"));
    check(TURNS("</answer>"), SFT, &text);
    assert_non_null(strstr(text.data, "what is learnt after it (2 tokens):\n5</answer>\n"));
    assert_non_null(strstr(text.data, "ends a turn with </answer>, which is not among the model's end tokens"));
    strbuf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_prints_the_first_prompt),
        cmocka_unit_test(an_end_that_does_not_end_is_told),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

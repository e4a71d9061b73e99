/* tests/rl/sft_test.c - supervised training: stopped and resumed; prompts masked; the loss of transformers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "tests/rl/resume_fixture.h"

#define SFT                                                                                                            \
    "method: sft\n"                                                                                                    \
    "model_name_or_path: model\n"                                                                                      \
    "dataset_name: tiny-text\n"                                                                                        \
    "text_field: text\n"                                                                                               \
    "pack_length: 256\n"                                                                                               \
    "prompts_per_step: 2\n"                                                                                            \
    "tokens_per_micro_batch: 256\n"                                                                                    \
    "learning_rate: 0.01\n"                                                                                            \
    "num_threads: 1\n"                                                                                                 \
    "max_steps: 12\n"

static void resumes_after_any_step(void **state)
{
    (void)state;
    assert_resumes(SFT, "");
}

static void checkpointing_changes_nothing(void **state)
{
    (void)state;
    assert_ends_alike(SFT, "gradient_checkpointing: true\n");
}

/* ---- against transformers (tests/golden/make_sft.py) ---- */

#define GOLDEN "tests/golden/models/qwen2"

/* The golden model with a tokenizer of bytes, and the golden rows as a file. */
static json_t *golden_open(const char *name)
{
    static const char *const files[] = {"config.json", "generation_config.json", "model.safetensors"};
    char model[128], from[200], to[200];
    json_t *golden, *row;
    size_t i;
    struct strbuf text = STRBUF_INIT;
    snprintf(model, sizeof model, "%s/%s", folder, name);
    MUST(file_make_folders(model));
    for (i = 0; i < 3; i++) {
        snprintf(from, sizeof from, GOLDEN "/%s", files[i]);
        snprintf(to, sizeof to, "%s/%s", model, files[i]);
        MUST(file_copy(from, to));
    }
    run_tokenizer_json(&text);
    run_write_text(model, "tokenizer.json", text.data);
    strbuf_clear(&text);
    MUST(json_parse_file(&golden, "tests/golden/sft.json", 1 << 16));
    json_array_foreach(json_object_get(golden, "rows"), i, row)
    {
        const char *prompt = json_string_value(json_object_get(row, "prompt"));
        const char *completion = json_string_value(json_object_get(row, "completion"));
        char *line = json_dumps(row, JSON_COMPACT);
        json_t *whole = json_pack("{s:s+}", "text", prompt, completion), *object = json_loads(line, 0, NULL);
        json_object_update(object, whole);
        free(line);
        line = json_dumps(object, JSON_COMPACT);
        strbuf_printf(&text, "%s\n", line);
        free(line);
        json_decref(whole);
        json_decref(object);
    }
    run_write_text(folder, "rows.jsonl", text.data);
    strbuf_release(&text);
    return golden;
}

static double first_metric(const char *name, const char *metric)
{
    char path[200];
    json_t *line;
    struct strbuf text = STRBUF_INIT;
    snprintf(path, sizeof path, "%s/%s/metrics.jsonl", folder, name);
    MUST(file_read(&text, path, 1 << 16));
    MUST(json_parse(&line, strbuf_view(&text), path));
    double value = json_number_value(json_object_get(line, metric));
    json_decref(line);
    strbuf_release(&text);
    return value;
}

static void assert_near(double got, double want)
{
    if (fabs(got - want) > 1e-5 * fabs(want)) {
        fail_msg("%.9g, but transformers has %.9g", got, want);
    }
}

#define ONE_STEP                                                                                                       \
    "method: sft\nmodel_name_or_path: golden\ndataset_name: rows.jsonl\ntemplate: none\nprompts_per_step: 3\n"         \
    "max_steps: 1\nnum_threads: 1\nmax_prompt_length: 500\n"

static void the_loss_is_that_of_transformers(void **state)
{
    (void)state;
    json_t *golden = golden_open("golden");
    static const char *const budgets[] = {"tokens_per_micro_batch: 16\n", "tokens_per_micro_batch: 4096\n"};
    for (int i = 0; i < 2; i++) { /* however the rows are cut into micro-batches */
        char text[1024];
        snprintf(text, sizeof text, ONE_STEP "%s", budgets[i]);
        go("sft", text, 0);
        assert_near(first_metric("sft", "loss"), json_number_value(json_object_get(golden, "loss")));
        assert_near(first_metric("sft", "grad_norm"), json_number_value(json_object_get(golden, "grad_norm")));
        assert_near(first_metric("sft", "num_tokens"), json_number_value(json_object_get(golden, "n_tokens")));
        forget("sft");
    }
    go("sft", ONE_STEP "text_field: text\n", 0);
    assert_near(first_metric("sft", "loss"), json_number_value(json_object_get(golden, "loss_of_texts")));
    assert_near(first_metric("sft", "num_tokens"), json_number_value(json_object_get(golden, "n_tokens_of_texts")));
    forget("sft");
    json_decref(golden);
}

/* The model's 203 rows know no such byte; reading past them would be silent. */
static void foreign_tokens_are_refused(void **state)
{
    (void)state;
    struct recipe recipe;
    json_decref(golden_open("golden"));
    run_write_text(folder, "rows.jsonl", "{\"prompt\": \"a\", \"completion\": \"\xf0\x9f\x99\x82\"}\n");
    run_open_recipe(&recipe, folder, "sft", ONE_STEP);
    assert_int_equal(train_run(&recipe, "test"), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "token 240, and the model knows 0 to 202"));
    recipe_release(&recipe);
    forget("sft");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resumes_after_any_step),
        cmocka_unit_test(checkpointing_changes_nothing),
        cmocka_unit_test(the_loss_is_that_of_transformers),
        cmocka_unit_test(foreign_tokens_are_refused),
    };
    resume_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    resume_end();
    return failed;
}

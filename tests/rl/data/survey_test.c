/* tests/rl/data/survey_test.c - every row is looked at once, and the first that is wrong is named.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/data/survey.h"

#include <unistd.h>

#include "base/file.h"
#include "tests/rl/iteration_fixture.h"

#include "tests/rl/byte_tokenizer.h"

enum { ROWS = 10 };

static const char *odd_n(void *context, const json_t *row, struct arena *arena)
{
    int64_t n = json_integer_value(json_object_get(row, "n"));
    ++*(int *)context;
    return n % 4 == 3 ? arena_printf(arena, "%d is no good", (int)n) : NULL;
}

/* The survey of a data set by the name `data`, in `folder`. */
static struct survey survey_of(const char *folder, const char *data, int *n_looks)
{
    char text[512], path[128];
    struct recipe recipe;
    struct dataset *dataset;
    struct survey survey;
    struct tokenizer *tokenizer = byte_tokenizer("", -1);
    snprintf(text, sizeof text,
             "model_name_or_path: m\ndataset_name: \"%s\"\nreward_funcs: [format]\ntemplate: none\nmax_steps: 1\n",
             data);
    snprintf(path, sizeof path, "%s/r.yaml", folder);
    ASSERT_OK(recipe_parse(&recipe, str_of(text), path));
    ASSERT_OK(recipe_finish(&recipe));
    ASSERT_OK(dataset_open(&dataset, &recipe, recipe.data.dataset_name, false, tokenizer, 258));
    ASSERT_OK(survey_rows(dataset, odd_n, n_looks, &survey));
    assert_int_equal(dataset_cursor(dataset), 0);
    dataset_close(dataset);
    recipe_release(&recipe);
    tokenizer_free(tokenizer);
    return survey;
}

static void every_row_is_looked_at_once(void **state)
{
    (void)state;
    char folder[] = "/tmp/strop_survey_XXXXXX", path[128];
    struct strbuf text = STRBUF_INIT;
    int n_looks = 0;
    assert_non_null(mkdtemp(folder));
    for (int i = 0; i < ROWS; i++) {
        strbuf_printf(&text, "{\"prompt\": \"p\", \"n\": %d}\n", i);
    }
    snprintf(path, sizeof path, "%s/rows.jsonl", folder);
    ASSERT_OK(file_write_atomic(path, text.data, text.length));
    strbuf_release(&text);
    struct survey survey = survey_of(folder, "rows.jsonl", &n_looks);
    assert_int_equal(n_looks, ROWS);
    assert_int_equal(survey.n, ROWS);
    assert_int_equal(survey.n_wrong, 2);
    snprintf(path, sizeof path, "%s/rows.jsonl:4", folder);
    assert_string_equal(survey.where, path);
    assert_string_equal(survey.why, "3 is no good");
    ASSERT_OK(file_remove_folder(folder));
}

static void a_generator_is_asked_for_one(void **state)
{
    (void)state;
    int n_looks = 0;
    struct survey survey = survey_of("/tmp", "countdown", &n_looks);
    assert_int_equal(n_looks, 1);
    assert_int_equal(survey.n, 1);
    assert_int_equal(survey.n_wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_row_is_looked_at_once),
                                       cmocka_unit_test(a_generator_is_asked_for_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

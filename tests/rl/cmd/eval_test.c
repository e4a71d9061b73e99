/* tests/rl/cmd/eval_test.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "tests/rl/cmd/command.h"
#include "tests/rl/run_fixture.h"

const struct command *const all_commands[] = {&command_eval, NULL};

static char folder[] = "/tmp/eval_test.XXXXXX";
static char model[64], recipe[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) {
        return -1;
    }
    snprintf(model, sizeof model, "%s/model", folder);
    snprintf(recipe, sizeof recipe, "%s/r.yaml", folder);
    run_make_model(model, 1);
    run_write_text(folder, "r.yaml", RUN_GRPO "eval_dataset_name: \"countdown:split=eval\"\neval_num_prompts: 6\n");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return file_remove_folder(folder) == ERR_NONE ? 0 : -1;
}

static json_t *parse_json(const struct strbuf *text)
{
    json_error_t error;
    json_t *json = json_loadb(text->data, text->length, JSON_REJECT_DUPLICATES, &error);
    if (!json) {
        fail_msg("%s in: %s", error.text, text->data);
    }
    return json;
}

static double number_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* What is printed must be what the completions that were written add up to. */
static void the_numbers_are_those_of_the_completions(void **state)
{
    (void)state;
    char output[80];
    struct strbuf lines = STRBUF_INIT;
    int n = 0, n_right = 0, right_of[20] = {0}, any = 0;
    snprintf(output, sizeof output, "%s/samples.jsonl", folder);
    struct command_result r =
        COMMAND("", "eval", recipe, "--limit=20", "-k", "4", "--reward=format:mode=graded,label=shape", "--json",
                "--max_completion_length=40", "--output", output);
    assert_string_equal(r.err.data, "");
    assert_int_equal(r.exit_code, 0);
    json_t *result = parse_json(&r.out);
    MUST(file_read(&lines, output, (size_t)1 << 24));
    struct str rest = strbuf_view(&lines);
    double reward = 0;
    while (rest.length) {
        size_t end = (size_t)str_find(rest, STR("\n"), 0);
        json_t *line;
        MUST(json_parse(&line, str_slice(rest, 0, end), output));
        bool right = json_is_true(json_object_get(line, "right"));
        assert_int_equal(json_integer_value(json_object_get(line, "index")), n / 4);
        assert_int_equal(json_integer_value(json_object_get(line, "sample")), n % 4);
        right_of[n / 4] += right;
        n_right += right;
        reward += number_of(line, "reward");
        json_decref(line);
        rest = str_slice(rest, end + 1, rest.length);
        n++;
    }
    for (int p = 0; p < 20; p++) {
        any += right_of[p] > 0;
    }
    assert_int_equal(n, 80);
    assert_true(fabs(number_of(result, "pass@1") - n_right / 80.0) < 1e-8);
    assert_true(fabs(number_of(result, "pass@4") - any / 20.0) < 1e-8);
    assert_true(fabs(number_of(result, "rewards/shape/mean") - reward / 80) < 1e-8);
    assert_true(number_of(result, "prompts") == 20 && number_of(result, "samples") == 4);
    assert_false(isnan(number_of(result, "pass@2")) || isnan(number_of(result, "cons@4")));
    json_decref(result);
    strbuf_release(&lines);
    command_release(&r);
}

/* The recipe's model by its recipe is that model by the same keys; another seed draws others. */
static void a_model_is_measured_as_its_recipe_measures_it(void **state)
{
    (void)state;
    struct command_result a = COMMAND("", "eval", recipe, "--json");
    struct command_result b =
        COMMAND("", "eval", model, "--dataset_name=countdown:split=eval", "--limit=6", "--template=none",
                "--max_completion_length=16", "--reward=length:most=5", "--reward=countdown:weight=0.5", "--json");
    struct command_result c = COMMAND("", "eval", recipe, "--json", "--seed=7");
    assert_int_equal(a.exit_code, 0);
    assert_int_equal(b.exit_code, 0);
    json_t *x = parse_json(&a.out), *y = parse_json(&b.out), *z = parse_json(&c.out);
    json_object_del(x, "model");
    json_object_del(y, "model");
    json_object_del(z, "model");
    assert_true(json_equal(x, y));
    json_object_del(x, "seed");
    json_object_del(z, "seed");
    assert_false(json_equal(x, z));
    json_decref(x);
    json_decref(y);
    json_decref(z);
    command_release(&a);
    command_release(&b);
    command_release(&c);
}

/* The run's own last evaluation, at step 2. */
static void read_evals(const char *run, struct metrics *out)
{
    sqlite3 *db;
    sqlite3_stmt *query;
    MUST(store_open_reader(&db, run));
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT name, value FROM evals WHERE step = 2 AND value IS NOT NULL", -1, &query, NULL),
        SQLITE_OK);
    while (sqlite3_step(query) == SQLITE_ROW) {
        metrics_set(out, sqlite3_column_double(query, 1), "%s", (const char *)sqlite3_column_text(query, 0));
    }
    sqlite3_finalize(query);
    sqlite3_close(db);
}

/* A run is measured at its newest checkpoint, and a checkpoint by its run's recipe: as the run did itself at its end. */
static void a_run_is_measured_as_it_measured_itself(void **state)
{
    (void)state;
    struct recipe r;
    struct metrics ran = {0};
    char run[80], checkpoint[120];
    snprintf(run, sizeof run, "%s/run", folder);
    snprintf(checkpoint, sizeof checkpoint, "%s/checkpoints/step-000002", run);
    run_open_recipe(&r, folder, "run",
                    "eval_dataset_name: \"countdown:split=eval\"\neval_num_prompts: 6\neval_num_generations: 3\n"
                    "num_completions_to_print: 0\n" RUN_GRPO);
    r.run.max_steps = 2;
    MUST(train_run(&r, "a test"));
    struct command_result a = COMMAND("", "eval", run, "--json"), b = COMMAND("", "eval", checkpoint, "--json");
    assert_int_equal(a.exit_code, 0);
    assert_int_equal(b.exit_code, 0);
    json_t *x = parse_json(&a.out), *y = parse_json(&b.out);
    read_evals(run, &ran);
    assert_true(ran.n > 20);
    for (int i = 0; i < ran.n; i++) {
        double value = number_of(x, ran.items[i].name + strlen("eval/"));
        assert_true(fabs(value - ran.items[i].value) <= 1e-8 * fabs(value));
    }
    json_object_del(x, "model");
    json_object_del(y, "model");
    assert_true(json_equal(x, y));
    json_decref(x);
    json_decref(y);
    command_release(&a);
    command_release(&b);
    recipe_release(&r);
}

/* A row whose reference cannot be read has no verdict: it is left out, and an evaluation of nothing else fails. */
static void rows_that_cannot_be_judged_are_not_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *rows;
        int exit_code, unjudged;
        bool has_accuracy;
    } cases[] = {
        {"{\"prompt\":\"a\",\"answer\":\"4\"}\n{\"prompt\":\"b\",\"answer\":\"none known\"}\n", 0, 2, true},
        {"{\"prompt\":\"a\",\"answer\":true}\n{\"prompt\":\"b\",\"answer\":\"none known\"}\n", 1, 4, false},
    };
    char data[96], option[128];
    snprintf(data, sizeof data, "%s/rows.jsonl", folder);
    snprintf(option, sizeof option, "--dataset_name=%s", data);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_write_text(folder, "rows.jsonl", cases[i].rows);
        struct command_result r = COMMAND("", "eval", model, option, "--limit=0", "-k", "2", "--template=none",
                                          "--max_completion_length=16", "--reward=gsm8k", "--json");
        assert_int_equal(r.exit_code, cases[i].exit_code);
        assert_non_null(strstr(r.err.data, "gsm8k: "));
        json_t *result = parse_json(&r.out);
        assert_int_equal((int)number_of(result, "unjudged"), cases[i].unjudged);
        assert_int_equal(!isnan(number_of(result, "pass@1")), cases[i].has_accuracy);
        assert_true(json_is_string(json_object_get(result, "first_unjudged")));
        json_decref(result);
        command_release(&r);
    }
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *words[6], *message;
    } cases[] = {
        {{"eval", "/tmp/no such model"},
         "strop: error: there is no /tmp/no such model; name a recipe (.yaml), a run's "
         "folder, or a model\n"},
        {{"eval", model},
         "strop: error: there is no data; name a JSONL file or a generator with --dataset_name=NAME\n"},
        {{"eval", model, "--dataset_name=countdown"},
         "strop: error: there is no reward to judge by; name one with --reward=NAME[:KEY=VALUE,...]\n"},
        {{"eval", model, "--dataset_name=countdown", "--reward=countdown", "--template=none"},
         "strop: error: countdown has no end; say how many prompts with --limit=N\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct command_result r = command_run("", cases[i].words);
        assert_string_equal(r.err.data, cases[i].message);
        assert_int_equal(r.exit_code, 2);
        assert_string_equal(r.out.data, "");
        command_release(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_numbers_are_those_of_the_completions),
        cmocka_unit_test(a_model_is_measured_as_its_recipe_measures_it),
        cmocka_unit_test(a_run_is_measured_as_it_measured_itself),
        cmocka_unit_test(rows_that_cannot_be_judged_are_not_wrong),
        cmocka_unit_test(what_is_missing_is_named),
    };
    return cmocka_run_group_tests_name("eval", tests, make_folder, remove_folder);
}

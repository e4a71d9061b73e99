/* tests/rl/refill_test.c - with dynamic_sampling the policy's metrics are of all that it sampled, and kept/ is what it is trained on.
 *
 * The linker leads score_groups here (--wrap), where everything that is sampled comes by.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/json.h"
#include "rl/score.h"
#include "tests/rl/run_fixture.h"

static struct {
    int n_rounds, n_samples, n_groups, n_flat, n_errors;
    double reward, tokens;
} seen;

enum err __real_score_groups(struct reward_set *rewards, struct iteration *it);
enum err __wrap_score_groups(struct reward_set *rewards, struct iteration *it);
enum err __wrap_score_groups(struct reward_set *rewards, struct iteration *it)
{
    enum err result = __real_score_groups(rewards, it);
    seen.n_rounds++;
    seen.n_groups += it->n_prompts;
    for (int i = 0; i < it->n_samples; i++) {
        seen.n_samples++;
        seen.reward += it->samples[i].reward;
        seen.tokens += it->samples[i].completion->n_tokens;
        seen.n_errors += it->samples[i].judgement.parts[0].kind == VERDICT_ERROR;
        if (i % it->G == 0) {
            seen.n_flat += advantage_is_flat(&(struct advantage_options){0}, &it->samples[i], it->G);
        }
    }
    return result;
}

static char folder[64];

/* The first step of a run: its metrics. The caller frees them. */
static json_t *first_step(const char *name, const char *const *more)
{
    char text[4096], path[FILE_PATH_BYTES];
    struct recipe recipe;
    struct strbuf metrics = STRBUF_INIT;
    json_t *line = NULL;
    memset(&seen, 0, sizeof seen);
    snprintf(text, sizeof text, "%smax_prompt_length: 96\n", RUN_GRPO);
    run_open_recipe(&recipe, folder, name, text);
    for (; *more; more++) {
        MUST(recipe_override(&recipe, *more));
    }
    MUST(recipe_finish(&recipe));
    recipe.run.max_steps = 1;
    MUST(train_run(&recipe, "test"));
    recipe_release(&recipe);
    snprintf(path, sizeof path, "%s/%s/metrics.jsonl", folder, name);
    MUST(file_read(&metrics, path, 1 << 20));
    MUST(json_parse(&line, str_trim(strbuf_view(&metrics)), path));
    strbuf_release(&metrics);
    return line;
}

static double number(const json_t *metrics, const char *name)
{
    const json_t *value = json_object_get(metrics, name);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static void assert_metric(const json_t *metrics, const char *name, double want)
{
    double got = number(metrics, name);
    if (!(fabs(got - want) <= 1e-7 * fmax(1, fabs(want)))) {
        fail_msg("%s is %g, not %g", name, got, want);
    }
}

/* A mean over completions in run.db, which has what was kept. */
static double of_kept(const char *name, const char *what)
{
    char path[128], sql[256];
    sqlite3 *db;
    sqlite3_stmt *query;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(sql, sizeof sql, "SELECT avg(%s) FROM completions WHERE iteration = 0", what);
    MUST(store_open_reader(&db, path));
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &query, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(query), SQLITE_ROW);
    double value = sqlite3_column_double(query, 0);
    sqlite3_finalize(query);
    sqlite3_close(db);
    return value;
}

static void metrics_are_of_all_that_was_sampled(void **state)
{
    (void)state;
    json_t *m = first_step("dynamic", (const char *[]){"dynamic_sampling=true", "prompts_per_step=8", NULL});
    assert_true(seen.n_rounds > 1 && seen.n_flat > 0 && seen.n_groups > 8);
    assert_metric(m, "reward", seen.reward / seen.n_samples);
    assert_metric(m, "frac_reward_zero_std", (double)seen.n_flat / seen.n_groups);
    assert_metric(m, "completions/mean_length", seen.tokens / seen.n_samples);
    assert_metric(m, "dynamic_sampling/rounds", seen.n_rounds);
    assert_metric(m, "dynamic_sampling/dropped_prompts", seen.n_groups - 8);
    assert_metric(m, "throughput/tokens_per_second", seen.tokens / number(m, "timing_s/rollout"));
    assert_metric(m, "kept/reward", of_kept("dynamic", "reward"));
    assert_metric(m, "kept/completions/mean_length", of_kept("dynamic", "length(tokens) / 4"));
    assert_true(number(m, "kept/reward") > number(m, "reward"));
    assert_true(number(m, "kept/frac_reward_zero_std") < number(m, "frac_reward_zero_std"));
    json_decref(m);
}

/* Errors of groups that were replaced are the judge's too. */
static void error_rates_are_of_all_that_was_sampled(void **state)
{
    (void)state;
    json_t *m = first_step("errors", (const char *[]){"dynamic_sampling=true", "max_error_rate=1",
                                                      "reward_funcs=[{name: length, target_field: nothing}]", NULL});
    assert_true(seen.n_rounds > 1);
    assert_int_equal(seen.n_errors, seen.n_samples);
    assert_metric(m, "reward/error_rate", 1);
    json_decref(m);
}

static void without_it_nothing_is_kept_apart(void **state)
{
    (void)state;
    json_t *m = first_step("plain", (const char *[]){NULL});
    assert_int_equal(seen.n_rounds, 1);
    assert_metric(m, "reward", seen.reward / seen.n_samples);
    assert_metric(m, "reward", of_kept("plain", "reward"));
    assert_null(json_object_get(m, "kept/reward"));
    assert_null(json_object_get(m, "dynamic_sampling/rounds"));
    json_decref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_are_of_all_that_was_sampled),
        cmocka_unit_test(error_rates_are_of_all_that_was_sampled),
        cmocka_unit_test(without_it_nothing_is_kept_apart),
    };
    char model[128];
    snprintf(folder, sizeof folder, "%s/strop_sample_XXXXXX", file_is_folder("/dev/shm") ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder)) {
        abort();
    }
    snprintf(model, sizeof model, "%s/model", folder);
    run_make_model(model, 5);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MUST(file_remove_folder(folder));
    return failed;
}

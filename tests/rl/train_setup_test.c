/* tests/rl/train_setup_test.c - what a run opens, where it goes on, and what it refuses.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/train_internal.h"

#include "tests/rl/resume_fixture.h"

#define SHORT "max_prompt_length: 96\n"

static void evaluations_are_made_up_for(void **state)
{
    (void)state;
    assert_resumes(RUN_GRPO SHORT, "eval_dataset_name: countdown:split=eval\neval_steps: 3\neval_num_prompts: 2\n");
}

/* The base's own weights are not those that the reference began with. */
static void a_random_reference_comes_back(void **state)
{
    (void)state;
    assert_resumes(RUN_GRPO SHORT "num_iterations: 2\nsteps_per_generation: 2\n",
                   "init_weights: random\nbeta: 0.05\nsave_dtype: bfloat16\n");
}

/* ---- what is refused, and what a second start does ---- */

static enum err try_run(const char *name, const char *more)
{
    char all[4096];
    struct recipe recipe;
    stop_after = 0;
    snprintf(all, sizeof all, RUN_GRPO SHORT "%s", more);
    run_open_recipe(&recipe, folder, name, all);
    enum err result = train_run(&recipe, "test");
    recipe_release(&recipe);
    return result;
}

static void a_finished_run_is_left_as_it_is(void **state)
{
    (void)state;
    assert_int_equal(try_run("done", ""), ERR_NONE);
    struct run_digest before = digest("done");
    assert_int_equal(try_run("done", ""), ERR_NONE);
    struct run_digest after = digest("done");
    assert_null(run_difference(&before, &after));
    assert_int_equal(try_run("done", "resume_from_checkpoint: none\n"), ERR_USAGE);
    after = digest("done");
    assert_null(run_difference(&before, &after));
    forget("done");
}

/* Back to step 4 of a run of 12, on another course: the new checkpoints are kept, not the old ones. */
static void a_run_can_go_back(void **state)
{
    (void)state;
    char more[256], path[256];
    assert_int_equal(try_run("back", "save_steps: 4\nsave_total_limit: 4\n"), ERR_NONE);
    struct run_digest before = digest("back");
    snprintf(more, sizeof more,
             "save_steps: 5\nsave_total_limit: 2\nresume_from_checkpoint: %s/back/checkpoints/step-000004\n", folder);
    assert_int_equal(try_run("back", more), ERR_NONE);
    struct run_digest after = digest("back");
    assert_null(run_difference(&before, &after));
    static const int is_there[] = {[5] = 0, [8] = 0, [10] = 1, [12] = 1};
    for (int step = 5; step <= 12; step++) {
        snprintf(path, sizeof path, "%s/back/checkpoints/step-%06d", folder, step);
        assert_int_equal(file_exists(path), is_there[step]);
    }
    forget("back");
}

static void what_cannot_be_opened_leaves_no_folder(void **state)
{
    (void)state;
    static const char *const wrong[] = {"eval_dataset_name: nowhere.jsonl\n", "resume_from_checkpoint: nowhere\n"};
    char path[128];
    snprintf(path, sizeof path, "%s/wrong", folder);
    for (int i = 0; i < 2; i++) {
        assert_int_not_equal(try_run("wrong", wrong[i]), ERR_NONE);
        assert_false(file_exists(path));
    }
}

/* Before the first rollout, and before the folder is made. */
static void rows_without_the_rewards_fields_are_refused(void **state)
{
    (void)state;
    static const char rows[] = "{\"prompt\": \"a\"}\n{\"prompt\": \"b\", \"nums\": [1, 2]}\n";
    char path[128], more[160];
    snprintf(path, sizeof path, "%s/rows.jsonl", folder);
    assert_int_equal(file_write_atomic(path, rows, strlen(rows)), ERR_NONE);
    snprintf(more, sizeof more, "eval_dataset_name: %s\n", path);
    assert_int_equal(try_run("wrong", more), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "none of the 2 rows of "));
    assert_non_null(strstr(err_text(), "rows.jsonl:1: countdown: missing field 'nums'"));
    snprintf(path, sizeof path, "%s/wrong", folder);
    assert_false(file_exists(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evaluations_are_made_up_for),
        cmocka_unit_test(a_random_reference_comes_back),
        cmocka_unit_test(a_finished_run_is_left_as_it_is),
        cmocka_unit_test(a_run_can_go_back),
        cmocka_unit_test(what_cannot_be_opened_leaves_no_folder),
        cmocka_unit_test(rows_without_the_rewards_fields_are_refused),
    };
    resume_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    resume_end();
    return failed;
}

/* tests/rl/run/runs_test.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "rl/run/runs.h"
#include "rl/run/store.h"

static char folder[] = "/tmp/runs_test.XXXXXX";
static struct arena arena;

static void must(enum err err)
{
    if (err != ERR_NONE) {
        fail_msg("%s", err_text());
    }
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/runs_test.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    arena_release(&arena);
    return file_remove_folder(folder) == ERR_NONE ? 0 : -1;
}

static const char *path_of(const char *name)
{
    return arena_printf(&arena, "%s/%s", folder, name);
}

/* A run of so many steps with two evaluations; the store is left open. */
static struct store *begin_run(const char *name, int steps)
{
    struct store *store;
    struct metrics metrics = {0};
    must(store_open(&store, path_of(name)));
    must(store_set_meta(store, "recipe", "model_name_or_path: base\ndataset_name: countdown\nmax_steps: 5\n"));
    must(store_set_meta(store, "command", "strop train r.yaml"));
    for (int step = 1; step <= steps; step++) {
        metrics_clear(&metrics);
        metrics_set(&metrics, 0.5, "loss");
        if (step % 2) {
            metrics_set(&metrics, step / 10.0, "reward");
        }
        must(store_step(store, step, step - 1, &metrics));
    }
    metrics_clear(&metrics);
    metrics_set(&metrics, 0.25, "eval/pass@1");
    metrics_set(&metrics, 0.125, "eval/pass@1_ci95");
    must(store_eval(store, 0, &metrics));
    metrics_set(&metrics, 0.75, "eval/pass@1");
    must(store_eval(store, 2, &metrics));
    return store;
}

static void a_run_tells_how_far_it_has_come(void **state)
{
    (void)state;
    struct run_summary run;
    struct store *store = begin_run("a", 4);
    run_summarise(path_of("a"), &arena, &run);
    assert_int_equal(run.state, RUN_RUNNING);
    store_close(store);
    run_summarise(path_of("a"), &arena, &run);
    assert_int_equal(run.state, RUN_STOPPED);
    assert_int_equal(run.steps, 4);
    assert_int_equal(run.max_steps, 5);
    assert_string_equal(run.method, "grpo");
    assert_string_equal(run.model, "base");
    assert_string_equal(run.data, "countdown");
    assert_string_equal(run.command, "strop train r.yaml");
    assert_true(run.reward == 0.3); /* step 4 has none */
    assert_true(run.loss == 0.5);
    assert_true(run.accuracy == 0.75 && run.first_accuracy == 0.25 && run.accuracy_ci95 == 0.125);
    assert_int_equal(run.accuracy_step, 2);
    assert_true(isnan(run.length));
    assert_true(run.last_wall >= run.first_wall && run.first_wall > 1e9);
}

/* The number of steps that the trainer worked out goes before the recipe's. */
static void a_run_with_all_its_steps_is_finished(void **state)
{
    (void)state;
    struct run_summary run;
    struct store *store = begin_run("a", 4);
    must(store_set_meta(store, "max_steps", "4"));
    store_close(store);
    must(file_make_folders(path_of("a/checkpoints/step-000003")));
    run_summarise(path_of("a"), &arena, &run);
    assert_int_equal(run.state, RUN_STOPPED); /* the last step is not saved */
    assert_int_equal(run.saved_step, 3);
    must(file_make_folders(path_of("a/checkpoints/step-000004")));
    run_summarise(path_of("a"), &arena, &run);
    assert_int_equal(run.state, RUN_FINISHED);
    assert_int_equal(run.max_steps, 4);
}

/* Depth, order, links, and what is no database. */
static void runs_are_found_in_folders(void **state)
{
    (void)state;
    struct run_list list;
    store_close(begin_run("x/y/old", 1));
    store_close(begin_run("new", 2));
    must(file_make_folders(path_of("broken")));
    must(file_write_atomic(path_of("broken/run.db"), "no database at all", 18));
    assert_int_equal(symlink(path_of("new"), path_of("link")), 0);
    store_close(begin_run("1/2/3/4/5", 1)); /* too deep */
    must(run_list(folder, &arena, &list));
    assert_int_equal(list.n, 3);
    int n_broken = 0, at_new = -1, at_old = -1;
    for (int i = 0; i < list.n; i++) {
        const struct run_summary *run = &list.items[i];
        if (run->state == RUN_UNREADABLE) {
            n_broken++;
            assert_true(str_find(str_of(run->problem), STR("broken/run.db: cannot read"), 0) > 0);
        }
        at_new = str_ends(str_of(run->folder), STR("/new")) ? i : at_new;
        at_old = str_ends(str_of(run->folder), STR("/x/y/old")) ? i : at_old;
    }
    assert_int_equal(n_broken, 1);
    assert_true(at_new >= 0 && at_new < at_old);
    must(run_list(path_of("new"), &arena, &list));
    assert_int_equal(list.n, 1);
    assert_int_equal(run_list(path_of("nowhere"), &arena, &list), ERR_IO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_run_tells_how_far_it_has_come),
        TEST(a_run_with_all_its_steps_is_finished),
        TEST(runs_are_found_in_folders),
    };
    return cmocka_run_group_tests_name("runs", tests, NULL, NULL);
}

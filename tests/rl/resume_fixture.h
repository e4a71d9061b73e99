/* tests/rl/resume_fixture.h - stop a run after each of its twelve steps, go on with it, and compare it with the run that was
 * not stopped. The test is linked with --wrap=progress_step (Makefile).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_RL_RESUME_FIXTURE_H
#define TESTS_RL_RESUME_FIXTURE_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "rl/run/progress.h"
#include "tests/rl/run_fixture.h"

/* The linker leads progress_step here (--wrap): the only place that knows when a step ends. */
static int64_t stop_after; /* 0: never */
static int signals;        /* how many at once */

void __real_progress_step(struct progress *progress, int64_t step, const struct metrics *metrics);
void __wrap_progress_step(struct progress *progress, int64_t step, const struct metrics *metrics);
void __wrap_progress_step(struct progress *progress, int64_t step, const struct metrics *metrics)
{
    __real_progress_step(progress, step, metrics);
    for (int i = 0; step == stop_after && i < signals; i++) {
        raise(SIGTERM);
    }
}

/* Under sanitizers, which are to find other faults than wrong bits, some steps are enough. */
#if defined(__SANITIZE_ADDRESS__)
#define RESUME_STRIDE 5
#else
#define RESUME_STRIDE 1
#endif

static char folder[64];

static void go(const char *name, const char *text, int64_t stop)
{
    struct recipe recipe;
    stop_after = stop;
    signals = 1 + (int)(stop % 2);
    run_open_recipe(&recipe, folder, name, text);
    enum err result = train_run(&recipe, "test");
    if (result != ERR_STOPPED) { /* by the signal; a later start goes on */
        MUST(result);
    }
    recipe_release(&recipe);
}

static struct run_digest digest(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return run_digest_of(path, 12);
}

static void forget(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    MUST(file_remove_folder(path));
}

static void assert_resumes(const char *text, const char *more)
{
    char all[4096];
    snprintf(all, sizeof all, "%s%s", text, more);
    go("straight", all, 0);
    struct run_digest want = digest("straight");
    for (int k = 1; k < 12; k += RESUME_STRIDE) {
        go("stopped", all, k);
        go("stopped", all, 0);
        struct run_digest got = digest("stopped");
        const char *difference = run_difference(&got, &want);
        if (difference) {
            fail_msg("stopped after step %d and resumed: %s differ", k, difference);
        }
        forget("stopped");
    }
    forget("straight");
}

/* Two recipes that must leave the same. */
static inline void assert_ends_alike(const char *text, const char *more)
{
    char all[4096];
    snprintf(all, sizeof all, "%s%s", text, more);
    go("straight", text, 0);
    go("other", all, 0);
    struct run_digest want = digest("straight"), got = digest("other");
    const char *difference = run_difference(&got, &want);
    if (difference) {
        fail_msg("with %s%s differ", more, difference);
    }
    forget("straight");
    forget("other");
}

static void resume_begin(void)
{
    char model[128];
    snprintf(folder, sizeof folder, "%s/strop_train_XXXXXX", file_is_folder("/dev/shm") ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder)) {
        abort();
    }
    snprintf(model, sizeof model, "%s/model", folder);
    run_make_model(model, 5);
}

static void resume_end(void)
{
    MUST(file_remove_folder(folder));
}

#endif

/* tests/fault/straight.h - a run that nothing befalls, the same run stopped inside an iteration, and how others compare with them.
 *
 * The program is linked with --wrap=progress_step (Makefile).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAULT_STRAIGHT_H
#define TESTS_FAULT_STRAIGHT_H

#include "kernels/rng.h"
#include "rl/run/checkpoint.h"
#include "rl/run/progress.h"
#include "tests/fault/child.h"

#define STEPS  12
#define INSIDE 6 /* a step after which an iteration is under way */

static const char state_recipe[] = RUN_LONG_ITERATIONS "save_steps: 1\n"
                                                       "save_total_limit: 3\n"
                                                       "max_steps: 12\n";

static struct rng rng;
static struct run_digest straight;
static double seconds; /* of the straight run */

/* From 0 to n - 1. */
static int draw(int n)
{
    return (int)rng_below(&rng, (uint32_t)n);
}

static int64_t stop_after; /* 0: never */

void __real_progress_step(struct progress *progress, int64_t step, const struct metrics *metrics);
void __wrap_progress_step(struct progress *progress, int64_t step, const struct metrics *metrics);
void __wrap_progress_step(struct progress *progress, int64_t step, const struct metrics *metrics)
{
    __real_progress_step(progress, step, metrics);
    if (step == stop_after) {
        raise(SIGTERM);
    }
}

static int run_on(const char *name)
{
    struct child_recipe job = {name, state_recipe};
    return child_run(child_train, &job);
}

static inline int newest_whole(const char *run)
{
    int newest = 0;
    struct checkpoint_state state;
    for (int step = 1; step <= STEPS; step++) {
        newest = checkpoint_verify(path_of("%s/checkpoints/step-%06d", run, step)) == ERR_NONE ? step : newest;
    }
    if (checkpoint_verify(path_of("%s/checkpoints/unfinished", run)) == ERR_NONE &&
        checkpoint_read_state(path_of("%s/checkpoints/unfinished", run), &state) == ERR_NONE && state.step > newest) {
        newest = (int)state.step;
    }
    return newest;
}

/* NULL if the run is as the straight one. */
static const char *difference(const char *run)
{
    static char text[200];
    if (!file_exists(path_of("%s/checkpoints/step-%06d", run, STEPS))) {
        return "there is no last checkpoint";
    }
    struct run_digest got = run_digest_of(path_of("%s", run), STEPS);
    const char *what = run_difference(&got, &straight);
    snprintf(text, sizeof text, "%s differ", what ? what : "");
    return what ? text : NULL;
}

static int n_failed, n_tried;
static char damage_text[300]; /* what has been done to the run */

static void report(const char *kind, int i, const char *what, const char *problem)
{
    n_tried++;
    if (!problem) {
        return;
    }
    n_failed++;
    struct strbuf log = STRBUF_INIT;
    child_log(&log);
    printf("FAILED %s %d (%s): %s\n---- the last process said:\n%s\n", kind, i, what, problem, log.data);
    strbuf_release(&log);
    copy_run("try", path_of("failed-%d", n_failed) + strlen(folder) + 1);
}

/* Goes on to the end; it must be as the straight run. */
static const char *finish(const char *run)
{
    int code = run_on(run);
    return code == CHILD_HANGS ? "it hangs" : code != 0 ? "it does not go on" : difference(run);
}

/* The same, run.db apart: rows that damage has moved into finished iterations stay there, and a step that was saved while
 * run.db could not be written is in metrics.jsonl only, which is said. */
static inline const char *finish_without_db(const char *run)
{
    int code = run_on(run);
    if (code != 0) {
        return code == CHILD_HANGS ? "it hangs" : "it does not go on";
    }
    struct run_digest got = run_digest_of(path_of("%s", run), STEPS);
    got.db = straight.db;
    return run_difference(&got, &straight);
}

static int make_model(void *context)
{
    (void)context;
    run_make_model(path_of("model"), 5);
    return 0;
}

static void begin_straight(const char *program)
{
    double start;
    child_begin(program);
    rng = rng_stream((uint64_t)number_of("SEED", 1), 0);
    if (child_run(make_model, NULL) != 0) {
        exit(1);
    }
    start = clock_seconds();
    int code = run_on("straight");
    seconds = clock_seconds() - start;
    stop_after = INSIDE;
    int stopped = run_on("inside");
    stop_after = 0;
    if (code != 0 || stopped != 128 + SIGTERM) {
        struct strbuf log = STRBUF_INIT;
        child_log(&log);
        printf("the first runs ended with %d and %d:\n%s\n", code, stopped, log.data);
        exit(1);
    }
    straight = run_digest_of(path_of("straight"), STEPS);
    printf("seed %d; a run of %d steps takes %.2f s\n", number_of("SEED", 1), STEPS, seconds);
}

static int end_straight(void)
{
    if (n_failed == 0) {
        MUST(file_remove_folder(folder));
    } else {
        printf("what is left is in %s\n", folder);
    }
    printf("%d passed, %d failed\n", n_tried - n_failed, n_failed);
    return n_failed > 0;
}

#endif

/* tests/rl/run/progress_test.c - the lines of a run that is not on a terminal, and curves of characters.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/run/progress.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/rl/iteration_fixture.h"

/* What a call writes to stderr. */
static void capture(void (*call)(void), struct strbuf *out)
{
    char path[] = "/tmp/strop_progress_XXXXXX";
    int file = mkstemp(path), saved = dup(STDERR_FILENO);
    assert_true(file >= 0 && saved >= 0);
    fflush(stderr);
    dup2(file, STDERR_FILENO);
    call();
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(file);
    ASSERT_OK(file_read(out, path, 1 << 16));
    unlink(path);
}

static void two_steps(void)
{
    struct progress p;
    struct metrics m = {0};
    progress_begin(&p, 3, 8); /* resumed after step 3 */
    progress_phase(&p, "rollout %d%%", 50);
    metrics_set(&m, 0.25, "reward");
    metrics_set(&m, 0.5, "loss");
    metrics_set(&m, 12.5, "completions/mean_length");
    metrics_set(&m, 3, "timing_s/rollout");
    metrics_set(&m, 1, "timing_s/train");
    progress_step(&p, 4, &m);
    metrics_clear(&m);
    progress_step(&p, 5, &m); /* nothing known: nothing said */
    progress_end(&p);
}

static void a_step_is_a_line(void **state)
{
    (void)state;
    struct strbuf text = STRBUF_INIT;
    capture(two_steps, &text);
    assert_non_null(strstr(
        text.data, "step 4/8  loss 0.5000  reward 0.250  len 12.5  rollout 75% reward 0% train 25%  0:00 left\n"));
    assert_non_null(strstr(text.data, "step 5/8  rollout 75% reward 0% train 25%  0:00 left\n"));
    assert_null(strchr(text.data, '\r')); /* nothing is drawn over */
    strbuf_release(&text);
}

/* What a terminal of this many columns shows of a run in its second step. */
static const char *line_at(int columns, double now, struct strbuf *line)
{
    struct progress p = {.step = 1, .max_steps = 6, .n_steps = 1, .step_seconds = 10, .other_seconds = 2, .mark = 100};
    snprintf(p.phase, sizeof p.phase, "rollout 71%%");
    metrics_set(&p.last, -0.1035, "loss");
    metrics_set(&p.last, 0.117, "reward");
    metrics_set(&p.last, 31.4, "completions/mean_length");
    metrics_set(&p.last, 0.0012, "kl");
    metrics_set(&p.last, 18895, "throughput/tokens_per_second");
    p.seconds_rollout = 6;
    p.seconds_train = 4;
    progress_line(&p, columns, now, line);
    return line->data;
}

static void the_line_never_reaches_the_last_column(void **state)
{
    (void)state;
    struct strbuf line = STRBUF_INIT;
    assert_string_equal(line_at(0, 100, &line),
                        "step 1/6  rollout 71%  loss -0.1035  reward 0.117  len 31.4  kl 0.0012  18895 tok/s  rollout "
                        "60% reward 0% train 40%  1:00 left");
    assert_string_equal(line_at(79, 100, &line), "step 1/6  rollout 71%  reward 0.117  len 31.4  kl 0.0012  1:00 left");
    assert_string_equal(line_at(40, 100, &line), "step 1/6  rollout 71%  reward 0.117");
    for (int columns = 1; columns < 200; columns++) {
        line_at(columns, 100, &line);
        assert_true(line.length < (size_t)columns);
    }
    strbuf_release(&line);
}

static void the_time_left_only_falls_within_a_step(void **state)
{
    (void)state;
    struct strbuf line = STRBUF_INIT;
    assert_non_null(strstr(line_at(0, 100, &line), "1:00 left")); /* (10 + 2) x 5 */
    assert_non_null(strstr(line_at(0, 107, &line), "0:53 left"));
    assert_non_null(strstr(line_at(0, 112, &line), "0:48 left"));
    assert_non_null(strstr(line_at(0, 500, &line), "0:48 left")); /* a step that takes longer than the mean */
    strbuf_release(&line);
}

static void a_curve_rises_where_values_do(void **state)
{
    (void)state;
    const double steps[] = {1, 2, 3}, values[] = {0, 1, 4};
    struct strbuf out = STRBUF_INIT;
    progress_curve("reward", steps, values, 3, 20, 5, &out);
    static const char *const rows[] = {"reward\n", "4.000 |                   *\n", "3.000 |                    \n",
                                       "1.000 |          *         \n", "0.000 |*                   \n"};
    const char *at = out.data;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        at = strstr(at, rows[i]);
        if (!at) {
            fail_msg("'%s' is missing in:\n%s", rows[i], out.data);
        }
    }
    assert_non_null(strstr(at, "step 1"));
    strbuf_clear(&out);
    progress_curve("flat", steps, (double[]){2, 2, 2}, 3, 20, 3, &out);
    assert_non_null(strstr(out.data, "2.000 |*         *        *"));
    strbuf_clear(&out);
    progress_curve("none", steps, values, 0, 20, 3, &out);
    assert_int_equal(out.length, 0);
    strbuf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_a_line),
        cmocka_unit_test(the_line_never_reaches_the_last_column),
        cmocka_unit_test(the_time_left_only_falls_within_a_step),
        cmocka_unit_test(a_curve_rises_where_values_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

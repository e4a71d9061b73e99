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
        cmocka_unit_test(a_curve_rises_where_values_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

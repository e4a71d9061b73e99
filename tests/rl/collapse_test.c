/* tests/rl/collapse_test.c - said once at each onset, and in other words when there never was a signal.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/collapse.h"

#include "tests/rl/iteration_fixture.h"

/* A whole run, one rollout a character: '.' has a group that teaches, 'x' has none. The rollouts after which something is said. */
static void watch(const char *rollouts, char *said)
{
    struct collapse c = {0};
    size_t n = strlen(rollouts);
    for (size_t i = 0; i < n; i++) {
        struct advantage_stats stats = {.n_groups = 3, .n_flat = rollouts[i] == 'x' ? 3 : 2, .reward_mean = 0.25};
        const char *text = collapse_watch(&c, &stats, i + 1 == n);
        said[i] = text == NULL ? ' ' : strstr(text, "collapsed") ? 'c' : 'r';
        assert_true(!text || strstr(text, "mean 0.25"));
    }
    said[n] = '\0';
}

static void a_collapse_is_said_once(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {".....", "     "},
        {"xxxx.xxxx", "         "},
        {"xxx", "  r"}, /* a trial run */
        {".xxxxxxxx", "     c   "},
        {"xxxxxxx", "    r  "},             /* a reward that tells nothing apart */
        {"xxxxxx.xxxxxx", "    r      c "}, /* and later a policy */
        {".xxxxx.xxxxxx", "     c     c "}, /* a second onset */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char said[32];
        watch(cases[i][0], said);
        assert_string_equal(said, cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_collapse_is_said_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

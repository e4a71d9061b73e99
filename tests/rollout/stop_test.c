/* tests/rollout/stop_test.c - what ends a completion.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rollout/stop.h"

static struct stop stop_of(const char *const *strings, int n)
{
    struct stop stop;
    struct rollout_options options = {.stop = strings, .n_stop = n};
    struct model_config config = {0};
    assert_int_equal(stop_init(&stop, &options, &config), ERR_NONE);
    return stop;
}

static void the_first_stop_string_counts(void **state)
{
    (void)state;
    static const struct {
        const char *strings[3], *text;
        int n, find, held;
    } cases[] = {
        {{"</answer>"}, "x</answer> y", 1, 1, 0},
        {{"</answer>"}, "x</answe", 1, -1, 7},
        {{"User:", "\n\n"}, "a\n\nUser:", 2, 1, 0},
        {{"b", "ab"}, "ab", 2, 0, 0},
        {{"aab"}, "aaab", 1, 1, 0},
        {{"aab"}, "xaaa", 1, -1, 2},
        {{"abc", "xab", "b"}, "xa", 3, -1, 2},
        {{"a"}, "", 1, -1, 0},
        {{"a"}, "bbb", 1, -1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stop stop = stop_of(cases[i].strings, cases[i].n);
        assert_int_equal(stop_find(&stop, str_of(cases[i].text)), cases[i].find);
        if (cases[i].find < 0) {
            assert_int_equal(stop_held(&stop, str_of(cases[i].text)), cases[i].held);
        }
        stop_release(&stop);
    }
}

static void tokens_that_end(void **state)
{
    (void)state;
    static const int32_t tokens[] = {7, 9};
    struct model_config config = {.eos_ids = {3, 9}, .n_eos = 2};
    struct rollout_options options = {.stop_tokens = tokens, .n_stop_tokens = 2};
    struct stop stop;
    assert_int_equal(stop_init(&stop, &options, &config), ERR_NONE);
    assert_int_equal(stop_token(&stop, 3), FINISH_EOS);
    assert_int_equal(stop_token(&stop, 9), FINISH_EOS);
    assert_int_equal(stop_token(&stop, 7), FINISH_STOP);
    assert_int_equal(stop_token(&stop, 0), FINISH_NONE);
    stop_release(&stop);
    options.ignore_eos = true;
    assert_int_equal(stop_init(&stop, &options, &config), ERR_NONE);
    assert_int_equal(stop_token(&stop, 3), FINISH_NONE);
    assert_int_equal(stop_token(&stop, 9), FINISH_STOP);
    stop_release(&stop);
}

static void an_empty_stop_string_is_refused(void **state)
{
    (void)state;
    static const char *const strings[] = {"a", ""};
    struct stop stop;
    struct rollout_options options = {.stop = strings, .n_stop = 2};
    struct model_config config = {0};
    assert_int_equal(stop_init(&stop, &options, &config), ERR_USAGE);
    assert_non_null(strstr(err_text(), "2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_stop_string_counts),
        cmocka_unit_test(tokens_that_end),
        cmocka_unit_test(an_empty_stop_string_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/rollout/stop_test.c - what ends a completion.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/rollout/fixture.h"

#include "rollout/request.h"
#include "rollout/stop.h"

static struct arena arena; /* of every struct stop */

static int open_tokenizer(void **state)
{
    *state = fixture_tokenizer();
    return 0;
}

static int close_tokenizer(void **state)
{
    tokenizer_free(*state);
    arena_release(&arena);
    return 0;
}

static struct stop stop_of(struct tokenizer *tokenizer, const char *const *strings, int n)
{
    struct stop stop;
    struct engine_request request = {.stop = strings, .n_stop = n};
    struct model model = {.tokenizer = tokenizer};
    FIXTURE_ASSERT(stop_check(&request, &model));
    stop_init(&stop, &request, &model, &arena);
    return stop;
}

static void the_first_stop_string_counts(void **state)
{
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
        struct stop stop = stop_of(*state, cases[i].strings, cases[i].n);
        assert_int_equal(stop_find(&stop, str_of(cases[i].text)), cases[i].find);
        if (cases[i].find < 0) {
            assert_int_equal(stop_held(&stop, str_of(cases[i].text)), cases[i].held);
        }
    }
}

static void tokens_that_end(void **state)
{
    (void)state;
    static const int32_t tokens[] = {7, 9};
    struct model model = {.config = {.eos_ids = {3, 9}, .n_eos = 2}};
    struct engine_request request = {.stop_tokens = tokens, .n_stop_tokens = 2};
    struct stop stop;
    stop_init(&stop, &request, &model, &arena);
    assert_int_equal(stop_token(&stop, 3), FINISH_EOS);
    assert_int_equal(stop_token(&stop, 9), FINISH_EOS);
    assert_int_equal(stop_token(&stop, 7), FINISH_STOP);
    assert_int_equal(stop_token(&stop, 0), FINISH_NONE);
    request.ignore_eos = true;
    stop_init(&stop, &request, &model, &arena);
    assert_int_equal(stop_token(&stop, 3), FINISH_NONE);
    assert_int_equal(stop_token(&stop, 9), FINISH_STOP);
}

/* Special tokens have no text that could be searched. */
static void the_name_of_a_special_token_is_a_stop_token(void **state)
{
    static const char *const strings[] = {"ab", "<|end|>"};
    struct stop stop = stop_of(*state, strings, 2);
    assert_int_equal(stop_token(&stop, FIXTURE_SPECIAL), FINISH_STOP);
    assert_int_equal(stop_token(&stop, FIXTURE_AB), FINISH_NONE);
}

static void bad_stop_strings_are_refused(void **state)
{
    static const struct {
        const char *string, *words;
        bool has_tokenizer;
    } cases[] = {{"", "empty", true}, {"\xC3", "UTF-8", true}, {"x", "tokenizer", false}};
    for (size_t i = 0; i < 3; i++) {
        const char *const strings[] = {"a", cases[i].string};
        struct engine_request request = {.stop = strings, .n_stop = 2};
        struct model model = {.tokenizer = cases[i].has_tokenizer ? *state : NULL, .source = (char[]){"m"}};
        assert_int_equal(stop_check(&request, &model), ERR_USAGE);
        assert_non_null(strstr(err_text(), cases[i].words));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_stop_string_counts),
        cmocka_unit_test(tokens_that_end),
        cmocka_unit_test(the_name_of_a_special_token_is_a_stop_token),
        cmocka_unit_test(bad_stop_strings_are_refused),
    };
    return cmocka_run_group_tests(tests, open_tokenizer, close_tokenizer);
}

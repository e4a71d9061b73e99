/* tests/rl/data/countdown_test.c - against tests/golden/make_generators.py.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "rl/data/countdown.h"

static json_t *golden;

static int read_golden(void **state)
{
    (void)state;
    if (json_parse_file(&golden, "tests/golden/generators.json", 1 << 20) != ERR_NONE) {
        fail_msg("%s", err_text());
    }
    return 0;
}

static int release_golden(void **state)
{
    (void)state;
    json_decref(golden);
    return 0;
}

static int read_numbers(const json_t *numbers, int *out)
{
    int n = (int)json_array_size(numbers);
    for (int i = 0; i < n; i++) {
        out[i] = (int)json_integer_value(json_array_get(numbers, (size_t)i));
    }
    return n;
}

static void every_set_is_in_its_split(void **state)
{
    (void)state;
    const char *want = json_string_value(json_object_get(golden, "splits3"));
    static const char letters[] = {[SPLIT_PRE] = 'p', [SPLIT_RL] = 'r', [SPLIT_EVAL] = 'e'};
    for (int a = 1; a <= 12; a++) {
        for (int b = a; b <= 12; b++) {
            for (int c = b; c <= 12; c++, want++) {
                assert_int_equal(letters[countdown_split_of((int[]){a, b, c}, 3)], *want);
                assert_int_equal(letters[countdown_split_of((int[]){c, a, b}, 3)], *want);
            }
        }
    }
    assert_int_equal(*want, '\0');
    want = json_string_value(json_object_get(golden, "splits4"));
    for (int i = 1111; i <= 9999; i++) {
        int n[4] = {i / 1000, i / 100 % 10, i / 10 % 10, i % 10};
        if (n[0] <= n[1] && n[1] <= n[2] && n[2] <= n[3] && n[0] > 0) {
            assert_int_equal(letters[countdown_split_of(n, 4)], *want++);
        }
    }
    assert_int_equal(*want, '\0');
}

static void attempts_are_those_of_the_reference(void **state)
{
    (void)state;
    const json_t *cases = json_object_get(golden, "attempts");
    for (size_t i = 0; i < json_array_size(cases); i++) {
        int numbers[4];
        const json_t *want = json_object_get(json_array_get(cases, i), "attempts");
        read_numbers(json_object_get(json_array_get(cases, i), "numbers"), numbers);
        struct countdown_attempt got[COUNTDOWN_MAX_ATTEMPTS];
        int n = countdown_attempts(numbers, 99, got);
        assert_int_equal(n, json_array_size(want));
        for (int k = 0; k < n; k++) {
            const json_t *row = json_array_get(want, (size_t)k);
            assert_string_equal(got[k].text, json_string_value(json_array_get(row, 0)));
            assert_string_equal(got[k].step, json_string_value(json_array_get(row, 1)));
            assert_string_equal(got[k].reduced, json_string_value(json_array_get(row, 2)));
            assert_int_equal(got[k].value, json_integer_value(json_array_get(row, 3)));
        }
    }
}

static void reachable_values_are_those_of_the_reference(void **state)
{
    (void)state;
    const json_t *cases = json_object_get(golden, "reachable");
    for (size_t i = 0; i < json_array_size(cases); i++) {
        int numbers[4];
        static bool got[COUNTDOWN_MAX_VALUE + 1];
        const json_t *want = json_object_get(json_array_get(cases, i), "values");
        int n = read_numbers(json_object_get(json_array_get(cases, i), "numbers"), numbers);
        countdown_reachable(numbers, n, 99, got);
        size_t k = 0;
        for (int v = 0; v <= COUNTDOWN_MAX_VALUE; v++) {
            if (got[v]) {
                assert_int_equal(v, json_integer_value(json_array_get(want, k++)));
            }
        }
        assert_int_equal(k, json_array_size(want));
    }
}

static void problems_can_be_solved_and_keep_to_their_split(void **state)
{
    (void)state;
    static const struct countdown_family families[] = {
        {SPLIT_EVAL, 3, 1, 9, 10, 99, 99},
        {SPLIT_RL, 4, 2, 12, 20, 50, 60},
        {SPLIT_ALL, 3, 1, 100, 100, 999, 9999},
        {SPLIT_TRAIN, 3, 1, 9, 10, 99, 99},
    };
    static bool reachable[COUNTDOWN_MAX_VALUE + 1];
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        const struct countdown_family *family = &families[f];
        struct rng rng = rng_stream(7, f);
        assert_true(countdown_exists(family));
        for (int i = 0; i < 300; i++) {
            struct countdown_problem p;
            countdown_draw(family, &rng, &p);
            assert_int_equal(p.n, family->n);
            for (int k = 0; k < p.n; k++) {
                assert_in_range(p.numbers[k], family->number_least, family->number_most);
            }
            assert_in_range(p.target, family->target_least, family->target_most);
            enum countdown_split split = countdown_split_of(p.numbers, p.n);
            assert_true(family->split == SPLIT_ALL || split == family->split ||
                        (family->split == SPLIT_TRAIN && split != SPLIT_EVAL));
            countdown_reachable(p.numbers, p.n, family->value_max, reachable);
            assert_true(reachable[p.target]);
        }
    }
    assert_false(countdown_exists(&(struct countdown_family){SPLIT_ALL, 3, 1, 1, 50, 99, 99}));
}

static void prompts_have_the_words_of_the_tiny_base(void **state)
{
    (void)state;
    struct strbuf text = STRBUF_INIT;
    struct countdown_problem p = {{7, 3, 9}, 3, 30};
    countdown_prompt(&p, true, &text);
    assert_string_equal(text.data,
                        "User: 7, 3, 9 make 30. Reply with <think> </think> <answer> </answer>.\nAssistant:");
    strbuf_clear(&text);
    countdown_prompt(&p, false, &text);
    assert_string_equal(text.data, "User: 7, 3, 9 make 30.\nAssistant:");
    strbuf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_set_is_in_its_split),
        cmocka_unit_test(attempts_are_those_of_the_reference),
        cmocka_unit_test(reachable_values_are_those_of_the_reference),
        cmocka_unit_test(problems_can_be_solved_and_keep_to_their_split),
        cmocka_unit_test(prompts_have_the_words_of_the_tiny_base),
    };
    return cmocka_run_group_tests(tests, read_golden, release_golden);
}

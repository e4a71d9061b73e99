/* tests/rl/data/generator_test.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rl/data/countdown.h"
#include "rl/data/generator.h"

static void options_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"countdown:splt=rl", "data set 'countdown' has no option 'splt'; did you mean 'split'?"},
        {"countdown:split=test", "data set 'countdown': split cannot be 'test'; it is one of pre|rl|eval|all|train"},
        {"countdown:count=5", "data set 'countdown': count must be an integer from 3 to 4, not '5'"},
        {"countdown:count=x", "data set 'countdown': count must be an integer from 3 to 4, not 'x'"},
        {"countdown:split", "data set 'countdown': 'split' must be an option=value"},
        {"countdown:", "data set 'countdown': '' must be an option=value"},
        {"countdown:split=rl,", "data set 'countdown': '' must be an option=value"},
        {"countdown:number_least=9,number_most=2",
         "data set 'countdown': number_least or target_least is above its largest; swap them"},
        {"countdown:split=all,number_most=1,target_least=50",
         "data set 'countdown': these options leave no problem to draw; widen the numbers or targets"},
        {"arithmetic:seed=-1",
         "data set 'arithmetic': seed must be an integer from 0 to 9223372036854775807, not '-1'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct generator generator;
        assert_int_equal(generator_open(&generator, cases[i].text, 1), ERR_USAGE);
        assert_string_equal(err_text(), cases[i].want);
    }
    assert_null(generator_find("countdow"));
    assert_null(generator_find("data/countdown:split=rl"));
    assert_non_null(generator_find("tiny-text"));
}

static bool same_item(const struct generator *a, const struct generator *b, int64_t i, struct arena *arena)
{
    struct generator_item x, y;
    generator_make(a, i, arena, &x);
    generator_make(b, i, arena, &y);
    bool same = str_equal(x.text, y.text) && json_equal(x.fields, y.fields);
    json_decref(x.fields);
    json_decref(y.fields);
    return same;
}

static void an_item_is_a_function_of_seed_and_index(void **state)
{
    (void)state;
    static const char *const names[] = {"countdown:split=eval", "arithmetic:digits=4", "tiny-text"};
    struct arena arena = ARENA_INIT;
    for (int k = 0; k < 3; k++) {
        struct generator a, b, other;
        char seeded[64];
        snprintf(seeded, sizeof seeded, "%s%cseed=8", names[k], strchr(names[k], ':') ? ',' : ':');
        assert_int_equal(generator_open(&a, names[k], 8), ERR_NONE);
        assert_int_equal(generator_open(&b, seeded, 9), ERR_NONE);
        assert_int_equal(generator_open(&other, names[k], 9), ERR_NONE);
        int n_equal = 0;
        for (int64_t i = 50; i-- > 0;) {
            assert_true(same_item(&a, &b, i, &arena));
            n_equal += same_item(&a, &other, i, &arena);
        }
        assert_true(n_equal < 10);
        assert_true(same_item(&a, &b, INT64_C(1) << 40, &arena));
    }
    arena_release(&arena);
}

static void countdown_items_are_whole(void **state)
{
    (void)state;
    struct generator generator;
    struct arena arena = ARENA_INIT;
    assert_int_equal(generator_open(&generator, "countdown:split=eval,style=question,count=4", 8), ERR_NONE);
    for (int i = 0; i < 100; i++) {
        struct generator_item item;
        int n[4], target;
        generator_make(&generator, i, &arena, &item);
        assert_int_equal(
            sscanf(item.text.data,
                   "Use the numbers %d, %d, %d and %d, each exactly once, and the operations +, -, * and / to "
                   "make %d.",
                   &n[0], &n[1], &n[2], &n[3], &target),
            5);
        const json_t *numbers = json_object_get(item.fields, "nums");
        assert_int_equal(json_array_size(numbers), 4);
        for (int k = 0; k < 4; k++) {
            assert_int_equal(json_integer_value(json_array_get(numbers, (size_t)k)), n[k]);
        }
        assert_int_equal(json_integer_value(json_object_get(item.fields, "target")), target);
        assert_int_equal(countdown_split_of(n, 4), SPLIT_EVAL);
        json_decref(item.fields);
    }
    arena_release(&arena);
}

static void arithmetic_answers_are_right(void **state)
{
    (void)state;
    struct generator train, held_out;
    struct arena arena = ARENA_INIT;
    assert_int_equal(generator_open(&train, "arithmetic", 1), ERR_NONE);
    assert_int_equal(generator_open(&held_out, "arithmetic:split=eval", 1), ERR_NONE);
    static bool seen[2][100][100];
    int operations[3] = {0};
    for (int i = 0; i < 4000; i++) {
        struct generator_item item;
        generator_make(i % 2 ? &held_out : &train, i, &arena, &item);
        int a, b;
        char o, answer[20];
        assert_int_equal(sscanf(item.text.data, "What is %d %c %d?", &a, &o, &b), 3);
        assert_true(a >= 0 && b >= 0 && a < 100 && b < 100);
        snprintf(answer, sizeof answer, "%d", o == '+' ? a + b : o == '-' ? a - b : a * b);
        assert_string_equal(json_string_value(json_object_get(item.fields, "answer")), answer);
        assert_true(answer[0] != '-');
        operations[o == '+' ? 0 : o == '-' ? 1 : 2]++;
        seen[i % 2][a][b] = seen[i % 2][b][a] = true;
        json_decref(item.fields);
    }
    for (int k = 0; k < 3; k++) {
        assert_in_range(operations[k], 1200, 1470);
    }
    for (int i = 0; i < 10000; i++) {
        assert_false(seen[0][i / 100][i % 100] && seen[1][i / 100][i % 100]);
    }
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(an_item_is_a_function_of_seed_and_index),
        cmocka_unit_test(countdown_items_are_whole),
        cmocka_unit_test(arithmetic_answers_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

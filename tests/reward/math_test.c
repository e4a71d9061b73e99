/* tests/reward/math_test.c - the reward: boxes, options, several references, errors; that threads do not disturb each other.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/json.h"
#include "tests/reward/judge.h"

struct sample {
    const char *spec, *fields, *completion;
    double score;
};

static void options_are_followed(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {"math", "{\"answer\": \"1/2\"}", "so $\\boxed{0.5}$", 1},
        {"math", "{\"answer\": 2}", "\\boxed{1+1}", 1},
        {"math", "{\"answer\": \"23\"}", "\\boxed{23_9}", 0},
        {"math", "{\"answer\": \"23\"}", "\\boxed{23_{16}}", 0},
        {"math", "{\"answer\": \"23\"}", "\\boxed{23 (base 9)}", 0},
        {"math", "{\"answer\": \"23\"}", "\\boxed{23\342\200\260}", 0},
        {"math", "{\"answer\": \"23\"}", "\\boxed{23_{10}}", 1},
        {"math", "{\"answer\": \"23_9\"}", "\\boxed{23_{9}}", 1},
        {"math", "{\"answer\": 0.25}", "\\boxed{\\frac14}", 1},
        {"math", "{\"answer\": \"\\\\boxed{7}\"}", "\\boxed{7}", 1},
        {"math", "{\"answer\": \"2\"}", "the answer is 2", 0},
        {"math:fallback=true", "{\"answer\": \"2\"}", "the answer is 2", 1},
        {"math:fallback=true", "{\"answer\": \"x \\\\neq 5\"}", "The solution is $x != 5$", 1},
        {"math", "{\"answer\": \"2\"}", "<think>\\boxed{2}", 0},
        {"math", "{\"answer\": \"2\"}", "<think>\\boxed{3}</think> \\boxed{2}", 1},
        {"math:answer_tags=true", "{\"answer\": \"2\"}", "<answer>2</answer>", 1},
        {"math:answer_tags=true", "{\"answer\": \"2\"}", "\\boxed{2}", 0},
        {"math", "{\"answer\": \"1/3\"}", "\\boxed{0.33333}", 1},
        {"math:exact_only=true", "{\"answer\": \"1/3\"}", "\\boxed{0.33333}", 0},
        {"math:rel_tol=0.05", "{\"answer\": \"100\"}", "\\boxed{103}", 1},
        {"math:same_form=true", "{\"answer\": \"x^2-1\"}", "\\boxed{(x-1)(x+1)}", 0},
        {"math", "{\"answer\": \"(1,2)\"}", "\\boxed{1,2}", 1},
        {"math:strict=true", "{\"answer\": \"(1,2)\"}", "\\boxed{1,2}", 0},
        {"math", "{\"answer\": [\"3\", \"4\"]}", "\\boxed{4}", 1},
        {"math", "{\"answer\": [\"3\", \"4\"]}", "\\boxed{3,4}", 0},
        {"math:golds=all", "{\"answer\": [\"3\", \"4\"]}", "\\boxed{4}", 0},
        {"math:golds=all", "{\"answer\": [\"3\", \"4\"]}", "\\boxed{4, 3}", 1},
        {"math", "{\"answer\": \"2, 3\"}", "\\boxed{3} and \\boxed{2}", 1},
        {"math", "{\"answer\": \"2, 3\"}", "\\boxed{1}, \\boxed{3} and \\boxed{2}", 0},
        {"math", "{\"answer\": \"3\"}", "\\boxed{2} and \\boxed{3}", 1},
        {"math:field=solution", "{\"solution\": \"We find \\\\boxed{9}.\"}", "\\boxed{9}", 1},
        {"math", "{\"answer\": \"\\\\pi\"}", "\\boxed{}", 0},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        const struct sample *s = &samples[i];
        struct arena arena = ARENA_INIT;
        struct verdict v = judge(&arena, s->spec, s->fields, str_of(s->completion));
        if (v.kind != VERDICT_OK || v.score != s->score) {
            fail_msg("%s %s '%s': %s", s->spec, s->fields, s->completion, v.reason);
        }
        arena_release(&arena);
    }
}

static void a_bad_reference_is_an_error(void **state)
{
    (void)state;
    static const char *const fields[] = {"{}", "{\"answer\": \"\"}", "{\"answer\": \"\\\\frac{1\"}",
                                         "{\"answer\": null}", "{\"answer\": [[1]]}"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        struct arena arena = ARENA_INIT;
        assert_int_equal(judge(&arena, "math", fields[i], STR("\\boxed{1}")).kind, VERDICT_ERROR);
        assert_int_equal(judge(&arena, "math", fields[i], STR("no box")).kind, VERDICT_ERROR);
        arena_release(&arena);
    }
}

static void the_verdict_tells_how(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct verdict v = judge(&arena, "math", "{\"answer\": \"\\\\sqrt 8\"}", STR("so \\boxed{2\\sqrt2}"));
    assert_string_equal(v.reason, "right: exact");
    assert_string_equal(v.path, "box");
    assert_true(str_equal(v.extracted, STR("2\\sqrt2")));
    v = judge(&arena, "math", "{\"answer\": \"2\"}", STR("\\boxed{(1}"));
    assert_string_equal(v.reason, "the answer cannot be read: a bracket is open");
    arena_release(&arena);
}

/* Whole completions, right and wrong for a reference: tests/golden/math_responses.json. */
static void completions_are_understood(void **state)
{
    (void)state;
    static const char *const sides[] = {"wrong", "right"};
    json_t *rows = NULL, *row, *text;
    size_t i, k;
    assert_int_equal(json_parse_file(&rows, "tests/golden/math_responses.json", 1 << 20), ERR_NONE);
    assert_true(json_array_size(rows) >= 10);
    json_array_foreach(rows, i, row)
    {
        char *fields = NULL;
        json_t *item = json_pack("{sO}", "answer", json_object_get(row, "gold"));
        fields = json_dumps(item, 0);
        for (int right = 0; right < 2; right++) {
            json_array_foreach(json_object_get(row, sides[right]), k, text)
            {
                struct arena arena = ARENA_INIT;
                struct verdict v = judge(&arena, "math:fallback=true", fields, str_of(json_string_value(text)));
                if (v.kind != VERDICT_OK || v.score != right) {
                    fail_msg("%s for %s: '%s': %s", sides[right], fields, json_string_value(text), v.reason);
                }
                arena_release(&arena);
            }
        }
        free(fields);
        json_decref(item);
    }
    json_decref(rows);
}

/* Four threads, the same pairs: all verdicts are as on one. */
static void threads_agree(void **state)
{
    (void)state;
    enum { N = 400 };
    static const char *const answers[] = {"\\frac{1+\\sqrt5}{2}", "\\cos 36^\\circ", "x^2", "1/2", "2^{100}", "\\pi"};
    struct reward_set *one = NULL, *four = NULL;
    struct reward_item items[N];
    struct judgement a[N], b[N];
    struct arena arena = ARENA_INIT;
    assert_int_equal(reward_set_open(&one, &(struct reward_spec){"math"}, 1, ON_ERROR_ZERO, 10, 1), ERR_NONE);
    assert_int_equal(reward_set_open(&four, &(struct reward_spec){"math"}, 1, ON_ERROR_ZERO, 10, 4), ERR_NONE);
    json_t *row = json_pack("{ss}", "answer", "\\frac{\\sqrt5+1}{2}");
    for (int i = 0; i < N; i++) {
        char *text = arena_printf(&arena, "\\boxed{%s}", answers[i % 6]);
        items[i] = (struct reward_item){.completion = str_of(text), .fields = row};
    }
    assert_int_equal(reward_judge(one, items, N, &arena, a), ERR_NONE);
    assert_int_equal(reward_judge(four, items, N, &arena, b), ERR_NONE);
    for (int i = 0; i < N; i++) {
        assert_true(a[i].total == b[i].total && a[i].total == (i % 6 == 0));
    }
    json_decref(row);
    reward_set_close(one);
    reward_set_close(four);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_followed),  cmocka_unit_test(a_bad_reference_is_an_error),
        cmocka_unit_test(the_verdict_tells_how), cmocka_unit_test(completions_are_understood),
        cmocka_unit_test(threads_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

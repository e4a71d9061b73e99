/* tests/reward/gsm8k_test.c - numbers as people and models write them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/reward/judge.h"

struct sample {
    const char *spec, *fields, *completion;
    double score;
};

static void numbers_are_compared_exactly(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {"gsm8k", "{\"answer\": \"18\"}", "\\boxed{18}", 1},
        {"gsm8k", "{\"answer\": \"18\"}", "\\boxed{18.00}", 1},
        {"gsm8k", "{\"answer\": \"18\"}", "#### $18", 1},
        {"gsm8k", "{\"answer\": \"18\"}", "The answer is 18 dollars.", 1},
        {"gsm8k", "{\"answer\": \"18\"}", "The answer is $18.", 1},
        {"gsm8k", "{\"answer\": \"18\"}", "\\boxed{x = 18}", 1},
        {"gsm8k", "{\"answer\": \"18\"}", "\\boxed{018}", 1},
        {"gsm8k", "{\"answer\": 18}", "\\boxed{18\\text{ cm}^2}", 1},
        {"gsm8k", "{\"answer\": \"1,234\"}", "\\boxed{1234}", 1},
        {"gsm8k", "{\"answer\": \"1234\"}", "\\boxed{1,234}", 1},
        {"gsm8k", "{\"answer\": \"1234567\"}", "\\boxed{1{,}234,\\!567}", 1},
        {"gsm8k", "{\"answer\": \"10+2=12\\n#### 12\"}", "#### 12", 1},
        {"gsm8k", "{\"answer\": [\"5\", \"6\"]}", "#### 6", 1},
        {"gsm8k", "{\"answer\": \"-4\"}", "\\boxed{-\\$4}", 1},
        {"gsm8k", "{\"answer\": \"0\"}", "\\boxed{-0}", 1},
        {"gsm8k", "{\"answer\": \"0.5\"}", "\\boxed{.50}", 1},
        {"gsm8k", "{\"answer\": \"18\"}", "\\boxed{-18}", 0},
        {"gsm8k", "{\"answer\": \"18\"}", "\\boxed{180}", 0},
        {"gsm8k", "{\"answer\": \"18\"}", "\\boxed{18.01}", 0},
        {"gsm8k", "{\"answer\": \"18\"}", "\\boxed{18 or 19}", 0},
        {"gsm8k", "{\"answer\": \"18\"}", "\\boxed{18/1}", 1},
        {"gsm8k", "{\"answer\": \"3/4\"}", "\\boxed{0.75}", 1},
        {"gsm8k", "{\"answer\": \"\u2013 14\"}", "\\boxed{-14}", 1},
        {"gsm8k", "{\"answer\": \"\u2013 14\"}", "\\boxed{14}", 0},
        {"gsm8k", "{\"answer\": \"12\"}", "\\boxed{1,2}", 0},
        {"gsm8k", "{\"answer\": \"18\"}", "18", 0},
        {"gsm8k", "{\"answer\": \"1\"}", "<answer>1 mistake</answer>", 1},
        {"gsm8k", "{\"answer\": \"1\"}", "#### 1 typo", 1},
        {"gsm8k", "{\"answer\": \"1\"}", "The answer is 1 error.", 1},
        {"gsm8k", "{\"answer\": \"1\"}", "<answer>1 slip</answer>", 1},
        {"gsm8k", "{\"answer\": \"1\"}", "\\boxed{1} guess", 1},
        {"gsm8k", "{\"answer\": \"1\"}", "\\boxed{1 \\text{ mistake}}", 1},
        {"gsm8k", "{\"answer\": \"11\"}", "#### 11 typo", 0},
        {"gsm8k", "{\"answer\": \"1\"}", "<answer>1 is a mistake</answer>", 0},
        {"gsm8k", "{\"answer\": \"80\"}", "The average amount guessed is \\boxed{80}", 1},
        {"gsm8k", "{\"answer\": \"301\"}", "Carla counted the ceiling tiles 76 times, so 228 + 73 = \\boxed{301}", 1},
        {"gsm8k:last_number=true", "{\"answer\": \"18\"}", "it makes 18 eggs", 1},
        {"gsm8k:strict=true", "{\"answer\": \"18\"}", "The answer is 18", 0},
        {"gsm8k:strict=true", "{\"answer\": \"18\"}", "#### 18", 1},
        {"gsm8k:answer_tags=true", "{\"answer\": \"18\"}", "<answer>18</answer>", 1},
        {"gsm8k:answer_tags=true", "{\"answer\": \"18\"}", "\\boxed{18}", 0},
        {"gsm8k:field=solution", "{\"solution\": \"#### 18\"}", "\\boxed{18}", 1},
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
    static const char *const fields[] = {"{}",
                                         "{\"answer\": \"many\"}",
                                         "{\"answer\": {}}",
                                         "{\"answer\": []}",
                                         "{\"answer\": \"3 or 4\"}",
                                         "{\"answer\": \"\"}"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        struct arena arena = ARENA_INIT;
        assert_int_equal(judge(&arena, "gsm8k", fields[i], STR("\\boxed{1}")).kind, VERDICT_ERROR);
        arena_release(&arena);
    }
}

static void the_verdict_tells_how(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct verdict v = judge(&arena, "gsm8k", "{\"answer\": \"2\"}", STR("so \\boxed{3}"));
    assert_string_equal(v.reason, "another number");
    assert_string_equal(v.path, "box");
    assert_true(str_equal(v.extracted, STR("3")));
    v = judge(&arena, "gsm8k", "{\"answer\": \"2\"}", STR("two\0"));
    assert_string_equal(v.reason, "no answer found");
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_compared_exactly),
        cmocka_unit_test(a_bad_reference_is_an_error),
        cmocka_unit_test(the_verdict_tells_how),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/reward/choice_test.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/reward/judge.h"

struct sample {
    const char *spec, *gold, *completion;
    double score;
};

static void letters_are_read(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {"choice", "C", "\\boxed{C}", 1},
        {"choice", "C", "\\boxed{(C)}", 1},
        {"choice", "C", "\\boxed{c}", 1},
        {"choice", "(C)", "\\boxed{\\text{C}}", 1},
        {"choice", "C", "\\boxed{\\textbf{(C)}\\ 12}", 1},
        {"choice", "C", "\\boxed{C. the third}", 1},
        {"choice", "C", "\\boxed{C) a cat}", 1},
        {"choice", "C", "\\boxed{D}", 0},
        {"choice", "C", "\\boxed{A, C}", 0},
        {"choice", "A", "\\boxed{A cat}", 0},
        {"choice", "C", "\\boxed{12}", 0},
        {"choice", "ACD", "\\boxed{A, C and D}", 1},
        {"choice", "A, C, D", "\\boxed{DCA}", 1},
        {"choice", "ACD", "\\boxed{(A), (C), (D)}", 1},
        {"choice", "ACD", "\\boxed{A}, \\boxed{C} and \\boxed{D}", 1},
        {"choice", "ACD", "\\boxed{AC}", 0},
        {"choice", "ACD", "\\boxed{ACDE}", 0},
        {"choice", "C", "\\boxed{A} or \\boxed{C}", 1},
        {"choice", "C", "the answer is C", 0},
        {"choice:fallback=true", "C", "the answer is **C**.", 1},
        {"choice:fallback=true", "C", "Answer: C", 1},
        {"choice:fallback=true", "B", "therefore I think it's B", 1},
        {"choice:fallback=true", "B", "it is not B", 0},
        {"choice:fallback=true", "B", "Anything but B", 0},
        {"choice:fallback=true", "B", "It is all but B.", 0},
        {"choice:fallback=true", "B", "We rule out B.", 0},
        {"choice:fallback=true", "B", "The answer is B, which is wrong.", 0},
        {"choice", "E", "\\boxed{Option E}", 1},
        {"choice", "E", "\\boxed{Choice E}", 1},
        {"choice", "E", "\\boxed{Answer: E}", 1},
        {"choice", "E", "\\boxed{E - a risk}", 1},
        {"choice", "E", "\\boxed{E (a risk)}", 1},
        {"choice", "E", "\\boxed{E is correct}", 1},
        {"choice", "E", "\\boxed{The correct answer is E}", 1},
        {"choice", "E", "\\boxed{\357\274\245}", 1},
        {"choice", "E", "\\boxed{(\357\274\245)}", 1},
        {"choice", "E", "\\boxed{not E}", 0},
        {"choice", "E", "\\boxed{E is wrong}", 0},
        {"choice", "E", "\\boxed{Every}", 0},
        {"choice", "E", "\\boxed{E - F}", 0},
        {"choice", "E", "\\boxed{D or E}", 0},
        {"choice", "AB", "\\boxed{A or B}", 0},
        {"choice", "AB", "\\boxed{A/B}", 0},
        {"choice", "AB", "\\boxed{A and B}", 1},
        {"choice", "A", "\\boxed{A. E is wrong}", 1},
        {"choice:fallback=true", "C", "The answer is option C.", 1},
        {"choice:fallback=true", "C", "All in all: option C", 1},
        {"choice:fallback=true", "C", "So C is correct.", 1},
        {"choice:fallback=true", "C", "Thus **C** is the right answer here.", 1},
        {"choice:fallback=true", "C", "So C is incorrect.", 0},
        {"choice:fallback=true", "C", "I do not think that C is correct.", 0},
        {"choice:fallback=true", "C", "A or C is correct.", 0},
        {"choice:fallback=true", "C", "It is A or C", 0},
        {"choice:fallback=true", "C", "It is not A, so it is C", 1},
        {"choice:fallback=true", "C", "The answer is A or C.", 0},
        {"choice:fallback=true", "C", "<think>it may be C", 0},
        {"choice:fallback=true,prefilled", "C", "it may be C", 0},
        {"choice:answer_tags=true", "B", "it is B", 0},
        {"choice:answer_tags=true", "B", "<answer>B</answer>", 1},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        const struct sample *s = &samples[i];
        struct arena arena = ARENA_INIT;
        struct verdict v =
            judge(&arena, s->spec, arena_printf(&arena, "{\"answer\": \"%s\"}", s->gold), str_of(s->completion));
        if (v.kind != VERDICT_OK || v.score != s->score) {
            fail_msg("%s %s '%s': %s", s->spec, s->gold, s->completion, v.reason);
        }
        arena_release(&arena);
    }
}

static void a_bad_reference_is_an_error(void **state)
{
    (void)state;
    static const char *const fields[] = {"{}", "{\"answer\": \"12\"}", "{\"answer\": \"the third\"}"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        struct arena arena = ARENA_INIT;
        assert_int_equal(judge(&arena, "choice", fields[i], STR("\\boxed{A}")).kind, VERDICT_ERROR);
        arena_release(&arena);
    }
}

static void several_references_are_several_letters(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    assert_true(judge(&arena, "choice", "{\"answer\": [\"A\", \"C\"]}", STR("\\boxed{CA}")).score == 1);
    assert_true(judge(&arena, "choice", "{\"answer\": [\"A\", \"C\"]}", STR("\\boxed{A}")).score == 0);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_are_read),
        cmocka_unit_test(a_bad_reference_is_an_error),
        cmocka_unit_test(several_references_are_several_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

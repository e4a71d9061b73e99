/* tests/reward/number_box_test.c - what is around a box belongs to its answer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tests/reward/judge.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

static void check(const char *spec, const char *frame, const char *answer, bool want)
{
    struct arena arena = ARENA_INIT;
    size_t cut = (size_t)(strchr(frame, '@') - frame);
    const char *text = arena_printf(&arena, "%.*s%s%s", (int)cut, frame, answer, frame + cut + 1);
    struct verdict v = judge(&arena, spec, "{\"answer\": \"23\"}", str_of(text));
    if (v.kind != VERDICT_OK || (v.score == 1) != want) {
        fail_msg("%s '%s': %g, %s", spec, text, v.score, v.reason);
    }
    arena_release(&arena);
}

static void what_is_around_a_box_belongs_to_it(void **state)
{
    (void)state;
    static const char *const changed[] = {"2\\boxed{23}",
                                          "1/\\boxed{23}",
                                          "$\\frac{\\boxed{23}}{2}$",
                                          "\\sqrt{\\boxed{23}}",
                                          "x^\\boxed{23}",
                                          "-$\\boxed{23}$",
                                          "not \\boxed{23}",
                                          "It is not $\\boxed{23}$",
                                          "It isn't \\boxed{23}",
                                          "minus \\boxed{23}",
                                          "half of \\boxed{23}",
                                          "twice $\\boxed{23}$",
                                          "\\boxed{23}^2",
                                          "\\boxed{23}^{2}",
                                          "\\boxed{23}/2",
                                          "\\boxed{23}0",
                                          "$\\boxed{23}$ thousand",
                                          "\\boxed{23} millions",
                                          "\\boxed{23} + 1",
                                          "$\\boxed{23} \\times 2$",
                                          "\\boxed{23} or 22",
                                          "\\boxed{23} is wrong",
                                          "$\\boxed{23}$ is not the answer"},
                             *const same_box[] = {"So $x = \\boxed{23}$.",
                                                  "- \\boxed{23}",
                                                  "46/2 = \\boxed{23}!",
                                                  "$\\boxed{23}^\\circ$",
                                                  "\\boxed{23}^{\\circ}",
                                                  "\\boxed{23}\\%",
                                                  "\\boxed{23}/day",
                                                  "**\\boxed{23}**",
                                                  "\\boxed{23} \\text{ cm}^2",
                                                  "$\\textcolor{red}{\\boxed{23}}$",
                                                  "$\\sqrt{529} = \\boxed{23}$ and not 22",
                                                  "Step 2: \\boxed{23}, or so I think",
                                                  "n is at least \\boxed{23}"};
    for (size_t i = 0; i < COUNT(changed); i++) {
        check("gsm8k", "@", changed[i], false);
        check("math", "@", changed[i], false);
    }
    for (size_t i = 0; i < COUNT(same_box); i++) {
        check("gsm8k", "@", same_box[i], true);
        check("math", "@", same_box[i], true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_around_a_box_belongs_to_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

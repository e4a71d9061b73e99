/* tests/reward/answer_test.c - where the answer stands, and that a long or broken completion costs little.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "reward/answer.h"

static const struct answer_options only_box = {0};
static const struct answer_options all = {.hashes = true, .phrases = true, .bare = true};
static const struct answer_options tags = {.answer_tags = true};
static const struct answer_options number = {.hashes = true, .phrases = true, .last_number = true};
static const struct answer_options prefilled = {.prefilled = true};
static const struct answer_options lenient = {.lenient = true};

struct sample {
    const struct answer_options *options;
    const char *response, *answer; /* NULL: none */
};

static void check(const struct sample *samples, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct answer answer;
        const char *none = answer_find(str_of(samples[i].response), samples[i].options, &answer);
        if (!samples[i].answer) {
            if (!none) {
                fail_msg("'%s' gave '%.*s'", samples[i].response, (int)answer.text.length, answer.text.data);
            }
        } else if (none) {
            fail_msg("'%s' gave nothing: %s", samples[i].response, none);
        } else if (!str_equal(answer.text, str_of(samples[i].answer))) {
            fail_msg("'%s' gave '%.*s'", samples[i].response, (int)answer.text.length, answer.text.data);
        }
    }
}
#define CHECK(samples) check((samples), sizeof(samples) / sizeof *(samples))

static void the_last_box_counts(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {&only_box, "so \\boxed{3}", "3"},
        {&only_box, "\\boxed{1} no, \\boxed{2}.", "2"},
        {&only_box, "\\boxed{\\frac{1}{2}} done", "\\frac{1}{2}"},
        {&only_box, "\\boxed{\\{1,2\\}}", "\\{1,2\\}"},
        {&only_box, "\\boxed{\\text{a } b}", "\\text{a } b"},
        {&only_box, "\\\\boxed{7}", "7"},
        {&only_box, "\\fbox{1230}", "1230"},
        {&only_box, "noise \\boxed   {  x^2 } end", "x^2"},
        {&only_box, "$\\boxed 7$", "7"},
        {&only_box, "\\boxed7.", "7"},
        {&only_box, "\\boxed{\\boxed{5}}", "5"},
        {&only_box, "\\boxed{}", NULL},
        {&only_box, "\\boxed{1} and \\boxed{ }", NULL},
        {&only_box, "\\boxed{42", NULL},
        {&only_box, "\\boxed{1} then \\boxed{42", NULL},
        {&lenient, "\\boxed{1} then \\boxed{42", "1"},
        {&all, "\\boxed{42", NULL},
        {&only_box, "\\boxedx{42}", NULL},
        {&only_box, "the answer is 5", NULL},
        {&only_box, "", NULL},
        {&only_box, "\\boxed{1/3} \\approx \\boxed{0.333}", "1/3"},
        {&all, "\\boxed{3}, so the answer is 4", "3"},
    };
    CHECK(samples);
}

static void reasoning_and_tags_are_cut_off(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {&all, "<think> \\boxed{42} </think> text.", NULL},
        {&all, "<think> \\boxed{42} </think> \\boxed{43}", "43"},
        {&all, "<think> \\boxed{42}", NULL},
        {&all, "\\boxed{1}</think> \\boxed{2}", "2"},
        {&tags, "<answer>84</answer>", "84"},
        {&tags, "<answer>1</answer> <answer> 2 </answer>", NULL},
        {&tags, "<think>a</think><answer> 2 </answer>", "2"},
        {&tags, "<answer>1</answer><think>a</think>", NULL},
        {&tags, "<think><answer>1</answer></think>", NULL},
        {&all, "<answer>17</answer> \\boxed{18}", "17"},
        {&all, "<answer> </answer> \\boxed{18}", NULL},
        {&prefilled, "try \\boxed{5}, then", NULL},
        {&prefilled, "try \\boxed{5}</think> so \\boxed{6}", "6"},
        {&only_box, "\\boxed{7}<|im_end|>\n<|im_start|>user\n\\boxed{3}", "7"},
        {&only_box, "<|im_start|>assistant\n\\boxed{7}</s>\\boxed{3}", "7"},
        {&all, "The answer is 7.<|endoftext|>The answer is 8.", "7"},
        {&tags, "<answer>so \\boxed{3}</answer>", "3"},
        {&tags, "\\boxed{3}", NULL},
        {&tags, "<answer> </answer>", NULL},
        {&tags, "<answer>3", NULL},
        {&all, "<answer> 84 </answer>", "84"},
        {&only_box, "<answer>84</answer>", NULL},
    };
    CHECK(samples);
}

static void phrases_name_the_answer(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {&all, "The final answer is 12,000,023. I hope it is correct. <|im_start|>user", "12,000,023"},
        {&all, "Final Answer: The final answer is $100$. I hope it is correct.", "100"},
        {&all, "The answer is $\\frac{5}{6}$", "\\frac{5}{6}"},
        {&all, "Final Answer: Jane started growing Sphere 3 hours ago. I hope it is correct.", "3"},
        {&all, "Final Answer: The number of points in $f(x)$ is 19. <|im_start|>", "19"},
        {&all, "The answer is 42 because geometry proves it", "42"},
        {&all, "**Answer:** 3.50", "3.50"},
        {&all, "answer is\n\n\\[ x = 3 \\]", "x = 3"},
        {&all, "The answer is 1. No, the answer is 2.", "2"},
        {&all, "so the sum.\n#### 1,234", "1,234"},
        {&all, "The answer is $1$ and $2$", "$1$ and $2$"},
        {&all, "Thus $x <= 2$ is our answer.", "x <= 2"},
        {&all, "16 eggs\nA: 16", "16"},
        {&all, "The result is $3$", "3"},
        {&all, "the error increases by 100%.", "100%"},
        {&all, "-15", "-15"},
        {&all, "just 42", NULL},
        {&all, "no answer here", NULL},
        {&number, "just 42", "42"},
        {&number, "she pays -$1,234.50 in all", "-$1,234.50"},
        {&number, "nothing", NULL},
    };
    CHECK(samples);
}

static void boxes_in_a_run_are_handed_out(void **state)
{
    (void)state;
    struct answer answer;
    assert_null(
        answer_find(STR("\\boxed{9}. So \\boxed{2} \\quad \\text{and} \\quad $\\boxed{3}$"), &only_box, &answer));
    assert_int_equal(answer.n_boxes, 2);
    assert_true(str_equal(answer.boxes[0], STR("2")));
    assert_true(str_equal(answer.boxes[1], STR("3")));
    assert_null(answer_find(STR("\\boxed{1}+\\boxed{2}"), &only_box, &answer));
    assert_int_equal(answer.n_boxes, 1);
}

/* The same piece, again and again. */
static void hostile_completions_cost_little(void **state)
{
    (void)state;
    static const char *const pieces[] = {"\\boxed{",  "{",        "\\boxed{1} ", "$",        "\\(",     "answer is ",
                                         "answer: $", "#",        "1",           "<answer>", "\\\\",    "\xff\xfe",
                                         "a ",        "A:\n",     "}",           "</think>", "<think>", "$1$ ",
                                         "\\boxed",   "because ", "is "};
    const size_t bytes = (size_t)1 << 16;
    char *text = mem_alloc(bytes);
    for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
        size_t length = str_of(pieces[p]).length;
        for (size_t i = 0; i < bytes; i++) {
            text[i] = pieces[p][i % length];
        }
        const struct answer_options *const modes[] = {&only_box, &all, &tags, &number, &lenient};
        for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
            struct answer answer;
            double start = clock_thread_seconds();
            (void)answer_find((struct str){text, bytes}, modes[m], &answer);
            double seconds = clock_thread_seconds() - start;
            if (seconds > 1) { /* half a millisecond; under a sanitizer tens; were it quadratic, seconds */
                fail_msg("'%s' took %.3f s", pieces[p], seconds);
            }
        }
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_box_counts),
        cmocka_unit_test(reasoning_and_tags_are_cut_off),
        cmocka_unit_test(phrases_name_the_answer),
        cmocka_unit_test(boxes_in_a_run_are_handed_out),
        cmocka_unit_test(hostile_completions_cost_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

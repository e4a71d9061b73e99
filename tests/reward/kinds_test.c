/* tests/reward/kinds_test.c - mathematical answers by kind, each with what is near it and is another: clock times, whole numbers beside
 * decimals, absolute values, several boxes, ends of turns, closing equations, constants of integration, double factorials,
 * headings.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "tests/reward/judge.h"

static const struct {
    const char *spec, *completion, *gold;
    int equal;
} samples[] = {
    {"math", "\\boxed{9:00}", "3:00", 0},
    {"math", "\\boxed{3:00 \\text{ PM}}", "3:00 \\text{ PM}", 1},
    {"math", "\\boxed{3:00 \\text{ PM}}", "3:00 \\text{ AM}", 0},
    {"math", "\\boxed{09:30}", "9:30", 1},
    {"math", "\\boxed{6:20}", "3:10", 0},
    {"math", "\\boxed{2:4}", "1:2", 1},
    {"math", "\\boxed{14:64}", "7:32", 1},
    {"math", "\\boxed{1:02:03}", "1:02:03", 1},
    {"math", "\\boxed{2:04:06}", "1:02:03", 0},
    {"math", "\\boxed{9:00}", "9:00 \\text{ AM}", 1},
    {"math", "\\boxed{3:00}", "9:00 \\text{ AM}", 0},
    {"math", "\\boxed{9 : 00}", "9:00", 1},
    {"math", "\\boxed{12:00}", "0:00", 0},
    {"math", "\\boxed{4:00}", "2:00 \\text{ p.m.}", 0},
    {"math", "\\boxed{4:00 \\text{ p.m.}}", "2:00", 0},
    {"math", "\\boxed{\\text{9:00}}", "3:00", 0},
    {"math", "\\boxed{10:15}", "10:15", 1},
    {"math", "\\boxed{5:00}", "10:00", 0},
    {"math", "\\boxed{3:00}", "\\frac{3}{1}", 0},
    {"math", "\\boxed{100}", "100.01", 0},
    {"math", "\\boxed{20}", "19.99", 0},
    {"math", "\\boxed{3}", "3.0004", 0},
    {"math", "\\boxed{1000}", "1000.5", 0},
    {"math", "\\boxed{0}", "0.001", 0},
    {"math", "\\boxed{-5}", "-5.01", 0},
    {"math", "\\boxed{\\frac{200}{2}}", "100.01", 0},
    {"math", "\\boxed{2.50}", "2.5", 1},
    {"math", "\\boxed{100}", "100.00", 1},
    {"math", "\\boxed{\\sqrt{2}}", "1.414", 1},
    {"math", "\\boxed{2\\pi}", "6.283", 1},
    {"math", "\\boxed{\\frac{1}{3}}", "0.333", 1},
    {"math", "\\boxed{100\\%}", "1.0001", 0},
    {"math", "\\boxed{50.0}", "50.01", 0},
    {"math", "\\boxed{10^2}", "100.01", 0},
    {"math", "\\boxed{1\\text{ cm}}", "1.001", 0},
    {"math", "\\boxed{|x| \\le 3}", "[-3,3]", 1},
    {"math", "\\boxed{|x|>3}", "(-\\infty,-3)\\cup(3,\\infty)", 1},
    {"math", "\\boxed{|x| \\ge 3}", "x \\le -3 \\text{ or } x \\ge 3", 1},
    {"math", "\\boxed{|y| < 2}", "-2<y<2", 1},
    {"math", "\\boxed{2 > |x|}", "(-2,2)", 1},
    {"math", "\\boxed{|x| < 2}", "[-2,2]", 0},
    {"math", "\\boxed{|x|<3}", "(-2,2)", 0},
    {"math", "\\boxed{|x| > 2}", "(-2,2)", 0},
    {"math", "\\boxed{1 < |t| < 4}", "(-4,-1)\\cup(1,4)", 1},
    {"math", "\\boxed{5 \\ge |t| \\ge 2}", "[-5,-2]\\cup[2,5]", 1},
    {"math", "\\boxed{2 \\le |t| < 5}", "[-5,-2]\\cup[2,5]", 0},
    {"math", "\\boxed{2 \\le |t| < 5}", "(-5,-2]\\cup[2,5)", 1},
    {"math", "\\boxed{\\lvert x \\rvert < 2}", "(-2,2)", 1},
    {"math", "\\boxed{|x-1|<2}", "(-1,3)", 0},
    {"math", "\\boxed{\\{x : |x|<2\\}}", "(-2,2)", 1},
    {"math", "\\boxed{|x| < \\sqrt{2}}", "(-\\sqrt2,\\sqrt2)", 1},
    {"math", "\\boxed{(0,2)}", "0<g(t)<2", 1},
    {"math", "\\boxed{[0,2)}", "0<g(t)<2", 0},
    {"math", "\\boxed{0<f(x)\\le 1}", "(0,1]", 1},
    {"math", "\\boxed{(0,1]}", "0 < f(x) \\le 1", 1},
    {"math", "\\boxed{f(x) \\in (0,1]}", "0 < f(x) \\le 1", 1},
    {"math", "\\boxed{(1,2)}", "0<g(t)<2", 0},
    {"math", "\\boxed{0 < y < 2}", "0<g(t)<2", 1},
    {"math", "\\boxed{f(x)>0}", "(0,\\infty)", 1},
    {"math", "x_1=\\boxed{4} and x_2=\\boxed{3}", "x_1=3, x_2=4", 0},
    {"math", "x_2=\\boxed{4} and x_1=\\boxed{3}", "x_1=3, x_2=4", 1},
    {"math", "$x=\\boxed{3}$, $y=\\boxed{4}$", "(3,4)", 0},
    {"math", "$x=\\boxed{3}$ and $y=\\boxed{4}$", "x=3,y=4", 1},
    {"math", "$x=\\boxed{4}$ and $y=\\boxed{3}$", "x=3,y=4", 0},
    {"math", "(a) \\boxed{3} (b) \\boxed{4}", "3, 4", 1},
    {"math", "\\boxed{3} apples, \\boxed{4} pears and \\boxed{5} plums", "3,4,5", 1},
    {"math", "\\boxed{3} apples and \\boxed{5} pears", "3, 4", 0},
    {"math", "\\boxed{3} no wait, \\boxed{4}", "3, 4", 0},
    {"math", "\\boxed{3}. That is wrong: \\boxed{4}", "3, 4", 0},
    {"math", "\\boxed{3} apples and \\boxed{4} pears", "4", 1},
    {"math", "\\boxed{3} apples and \\boxed{4} pears", "3", 0},
    {"math", "\\boxed{7}<|im_end|>\\n\\boxed{3}", "7", 1},
    {"math", "\\boxed{7}<|endoftext|>Human: \\boxed{3}", "7", 1},
    {"math", "\\boxed{7}</s> \\boxed{3}", "3", 0},
    {"math", "\\boxed{7}<|eot_id|><|start_header_id|>user \\boxed{3}", "7", 1},
    {"math:fallback=true", "The answer is 7.<|im_end|> The answer is 3.", "3", 0},
    {"math", "\\boxed{7}<end_of_turn>\\boxed{8}", "7", 1},
    {"math:fallback=true", "So \\boxed{12}. The final answer is $60$.", "12", 0},
    {"math:fallback=true", "So \\boxed{12}. The final answer is what we wanted.", "12", 1},
    {"math:fallback=true", "So \\boxed{12}. Hence the answer is 60", "12", 1},
    {"math:fallback=true", "The value is $\\det A = -1$", "-1", 1},
    {"math:fallback=true", "The integral is $\\int_0^1 x\\,dx = \\frac12$", "\\frac12", 1},
    {"math:fallback=true", "We get $3 + 4 = 8$", "8", 0},
    {"math:fallback=true", "We get $3 + 4 = 7$", "7", 1},
    {"math:fallback=true", "So $\\begin{pmatrix}1&2\\end{pmatrix}\\begin{pmatrix}3\\\\4\\end{pmatrix} = 11$", "11", 1},
    {"math:fallback=true", "$\\lim_{x\\to0} \\frac{\\sin x}{x} = 1$", "1", 1},
    {"math:fallback=true", "So $\\vec{a}\\cdot\\vec{b} = 5$.", "5", 1},
    {"math:fallback=true", "$\\|v\\| = \\sqrt{9+16} = 5$", "5", 1},
    {"math:fallback=true", "$\\binom{5}{2} = 10$", "10", 1},
    {"math:fallback=true", "$\\left|\\begin{matrix}1&2\\\\3&5\\end{matrix}\\right| = -1$", "-1", 1},
    {"math:fallback=true", "$P(A \\cup B) = \\frac{3}{8}$", "3/8", 1},
    {"math:fallback=true", "$\\sum_{k=1}^{\\infty} \\frac{1}{2^k} = 1$", "1", 1},
    {"math:fallback=true", "$\\angle ABC = 30^\\circ$", "30^\\circ", 1},
    {"math:fallback=true", "Thus, $17 = 18$", "18", 0},
    {"math", "\\boxed{x^2+c}", "x^2+C", 1},
    {"math", "\\boxed{x^2-C}", "x^2+C", 1},
    {"math", "\\boxed{x^2+C_2}", "x^2+C_1", 1},
    {"math", "\\boxed{y=x^2+c}", "y=x^2+C", 1},
    {"math", "\\boxed{x^2+\\text{const}}", "x^2+C", 1},
    {"math", "\\boxed{x^2+2c}", "x^2+C", 0},
    {"math", "\\boxed{x^2}", "x^2+C", 0},
    {"math", "\\boxed{x^2+x}", "x^2+C", 0},
    {"math", "\\boxed{x^2+C+1}", "x^2+C", 0},
    {"math", "\\boxed{x^2+y}", "x^2+C", 0},
    {"math", "\\boxed{a+k}", "a+c", 0},
    {"math", "\\boxed{e^{x}(x-1)+K}", "(x-1)e^x+C", 1},
    {"math", "\\boxed{-\\cos x + c}", "C-\\cos x", 1},
    {"math", "\\boxed{cx+c}", "x^2+C", 0},
    {"math", "\\boxed{F(x)=x^2+c}", "x^2+C", 1},
    {"math", "\\boxed{\\ln|x+1| + C}", "\\ln|x+1| + c", 1},
    {"math", "\\boxed{x^2+3}", "x^2+C", 0},
    {"math", "\\boxed{\\tfrac12 x^2+const}", "\\frac{x^2}{2}+C", 1},
    {"math", "\\boxed{x^2+\\mathrm{const.}}", "x^2+C", 1},
    {"math", "\\boxed{x^2+\\mathcal{C}}", "x^2+C", 1},
    {"math", "\\boxed{\\arctan(x)+k}", "\\tan^{-1}x+C", 1},
    {"math", "\\boxed{2\\sqrt{x}+M}", "2\\sqrt{x}+C", 1},
    {"math", "\\boxed{x^2+E}", "x^2+C", 1},
    {"math", "\\boxed{15}", "5!!", 1},
    {"math", "\\boxed{7!!}", "105", 1},
    {"math", "\\boxed{105}", "7!!", 1},
    {"math", "\\boxed{3840}", "10!!", 1},
    {"math", "\\boxed{1}", "1!!", 1},
    {"math", "\\boxed{(2n)!!}", "2^n \\cdot n!", 1},
    {"math", "\\boxed{\\frac{(2n)!}{2^n n!}}", "(2n-1)!!", 1},
    {"math", "\\boxed{(2n+1)!!}", "\\frac{(2n+1)!}{2^n n!}", 1},
    {"math", "\\boxed{\\frac{5!!}{6!!}}", "\\frac{5}{16}", 1},
    {"math", "\\boxed{120}", "5!!", 0},
    {"math", "\\boxed{n!!}", "n!!", 1},
    {"math", "\\boxed{\\frac{(2k)!}{2^k k!}}", "(2k-1)!!", 1},
    {"math", "\\boxed{2 \\cdot 5!!}", "30", 1},
    {"math", "\\boxed{1}", "(-1)!!", 1},
    {"math:fallback=true", "We add the parts.\n\n**Final Answer**\n\n38", "38", 1},
    {"math:fallback=true", "We add the parts.\n\n## Final Answer\n\n38", "38", 1},
    {"math:fallback=true", "We add the parts.\n\n### Answer\n**38**", "38", 1},
    {"math:fallback=true", "We add the parts.\n\n**Answer**\n38 apples", "38", 1},
    {"math:fallback=true", "We add the parts.\n\nFinal answer - 38", "38", 1},
    {"math:fallback=true", "We add the parts.\n\nResult: 38", "38", 1},
    {"math:fallback=true", "We add the parts.\n\n**Result:** 38", "38", 1},
    {"math:fallback=true", "We add the parts.\n\nAns. 38", "38", 1},
    {"math:fallback=true", "We add the parts.\n\nAnswers: 38", "38", 1},
    {"math:fallback=true", "We add the parts.\n\nThe answer is 38, not 39.", "38", 1},
    {"math:fallback=true", "We add the parts.\n\nThe answer is 38 (see above).", "38", 1},
    {"math:fallback=true", "We add the parts.\n\nAnswer:\n\n> 38", "38", 1},
    {"math:fallback=true", "We add the parts.\n\nSolution: 38", "38", 1},
    {"math:fallback=true", "We add the parts.\n\n<b>Answer:</b> <b>38</b>", "38", 1},
    {"math:fallback=true", "We add the parts.\n\nThe answer is <b>38</b>.", "38", 1},
    {"math:fallback=true", "We add the parts.\n\n**Final Answer:**\n\n38", "38", 1},
    {"math:fallback=true", "The answer is not 38.", "38", 0},
    {"math:fallback=true", "The answer is $38$ thousand.", "38", 0},
    {"math:fallback=true", "I doubt that the answer is $38$.", "38", 0},
    {"math:fallback=true", "The answer is 38. Or 39.", "38", 0},
    {"math:fallback=true", "Solution: we begin with 38 and go on from there\n\nso $x = 5$", "38", 0}};

static void each_kind_is_judged_as_it_is_meant(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct arena arena = ARENA_INIT;
        json_t *row = json_pack("{ss}", "answer", samples[i].gold);
        char *fields = json_dumps(row, 0);
        struct verdict v = judge(&arena, samples[i].spec, fields, str_of(samples[i].completion));
        if (v.kind != VERDICT_OK || v.score != samples[i].equal) {
            fail_msg("%s '%s' against '%s': %g, %s", samples[i].spec, samples[i].completion, samples[i].gold, v.score,
                     v.reason);
        }
        free(fields);
        json_decref(row);
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_kind_is_judged_as_it_is_meant)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/reward/number_written_test.c - the ways in which models write 18: formulas, equations, sentences.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/reward/number_places.h"

/* Each of these is 18. */
static const char *const answers[] = {
    "18|18.|18.0|18.00| 18 |$18|$18.00|\\$18|$18$|\\(18\\)|\\[18\\]|**18**|*18*|_18_|__18__|`18`|\"18\"|'18'",
    "(18)|[18]|{18}|\\text{18}|\\mathbf{18}|\\textbf{18}|\\boxed{18}|18\\text{ cm}^2|18 \\text{ square units}",
    "18 L|18\302\260|18^\\circ|18%|18\\%|x = 18|x=18|n = 18|$x = 18$|x = $18|x = 18 apples|Total = 18",
    "total cost = $18|Total: 18|Answer: 18|answer = 18|The answer is 18|the answer is $18",
    "The final answer is 18|the final answer is: 18|It is 18|it's 18|it equals 18|that is 18|She has 18",
    "She needs 18|She needs 18 more|He needs $18 more|She has 18 left|They sold 18|She makes $18 every day",
    "Janet makes 18 dollars a day|There are 18 apples|There are 18 apples left|9 * 2 = 18|9*2=18|9 x 2 = 18",
    "9 \303\227 2 = 18|9 \\times 2 = 18|9 \\cdot 2 = $18|36/2 = 18|36 / 2 = 18|\\frac{36}{2} = 18|\\frac{36}{2}",
    "36/2|20 - 2 = 18|20 - 2 = 18 more|20 - 2 = 18 eggs|16 - 3 - 4 + 9 = 18|= 18|\342\211\210 18|about 18",
    "approximately 18|exactly 18|roughly 18|just 18|only 18|altogether 18|a total of 18|in total 18",
    "\342\202\25418|\302\24318|18\342\202\254|18 EUR|USD 18|18 USD|US$18|Rs. 18|Rs 18|\302\24518|+18|018",
    "18 \342\234\205|18 \342\234\223|1.8e1|1.8 \\times 10^1|f(3) = 18|a_1 = 18|a_{5} = 18|x_2 = 18|y = 18.0",
    "\\text{Total} = 18|18\\text{ m}^2|18 \\text{ cm}^3|18 \\text{ inches}|18\\,\\text{kg}|18~\\text{dollars}",
    "18\\ \\text{units}|The total is 18|The sum is 18|The number of eggs is 18|Her age is 18|His profit was $18",
    "The cost was $18|The total cost was 18 dollars|He earned $18|She paid $18|They have 18|They need 18",
    "They need 18 more|She needs to save $18 more|He has to find $18 more|He has 18 left|We get 18|We have 18",
    "So we get 18|Thus 18|Therefore 18|Hence, 18|So 18|So, 18 dollars|Thus, the total is 18",
    "Therefore, she has 18 apples|Therefore, x = 18|Hence x = 18|So x = 18|we get x = 18|then n = 18|y=18",
    "k = 18|m = 18|AB = 18|BC = 18 cm|xy = 18|f(2) = 18|f(x) = 18|P = 18|S_n = 18|a_n = 18|T = 18|V = 18",
    "\\text{Area} = 18|\\text{area} = 18 \\text{ cm}^2|6 * 3 = 18|6*3=18|6 x 3 = 18|6 \303\227 3 = 18",
    "6 \\times 3 = 18|6 \\cdot 3 = 18|3 + 15 = 18|3+15=18|25 - 7 = 18|90/5 = 18|90 / 5 = 18|90 \\div 5 = 18",
    "\\frac{90}{5} = 18|\\frac{90}{5}|90/5|\\dfrac{54}{3}|\\tfrac{36}{2}|25 - 7 = 18 apples|25 - 7 = 18 more",
    "25 - 7 = $18|$25 - $7 = $18|$25 - $7 = $18 more|2 * (5 + 4) = 18|(5 + 4) * 2 = 18|2(9) = 18",
    "10 + 5 + 3 = 18|The answer: 18|Answer: **18**|**Answer:** 18|Final answer: 18|Final Answer: $18",
    "The final answer is **18**|The final answer is $\\boxed{18}$|the answer is therefore 18|I get 18",
    "I found 18|I think it is 18|I believe it is 18|approx. 18|around 18|exactly 18 eggs|a total of 18 eggs",
    "total of 18|all 18|all 18 of them|18.000|$18.0|\\$18.00|\\text{\\$18}|\\$18 \\text{ per day}",
    "\\textbf{18 dollars}|**18 dollars**|**$18**|*18 eggs*|`18 eggs`|\"18 eggs\"|(18 eggs)|18,|18;|18\302\260C",
    "18^\\circ\\text{C}|18 \302\260|18\\text{ hours}|18 \\text{ minutes}|18\\ \\text{cm}|18\\,\\mathrm{cm}",
    "18 \\mathrm{~cm}|18\\text{ ft}^2|18 \\text{ in}^2|18^{\\circ}|The result is 18|The difference is 18",
    "The product is 18|The average is 18|The perimeter is 18|The area is 18 square cm|The price is $18",
    "The profit is $18|The total amount is $18|The number of pages is 18|His score was 18|Their total was 18",
    "There were 18|There are 18 left|There will be 18 apples|She will have 18 apples",
    "She would have 18 apples left|He should have 18 dollars|He can buy 18 pencils|He could buy 18 pencils",
    "They must sell 18 tickets|He needs 18 more points|She bought 18|She made 18|They saved $18|It costs $18",
    "It takes 18 minutes|It will take 18 days|It took 18 days|That makes 18|That gives 18|This gives 18",
    "This is 18|which is 18|We obtain 18|We find 18|I got 18|so x = 18|thus x = 18|hence n = 18",
    "and so the total is 18|Altogether there are 18|In total there are 18 apples|b = 18|w = 18|t = 18 hours",
    "d = 18 miles|A = 18|r = 18 cm|CD = 18|\\text{Total} = \\$18|\\text{Cost} = 18 \\text{ dollars}|f(1) = 18",
    "g(x) = 18|a_3 = 18|x_1 = 18|N = 18|2 * 9 = 18|2*9=18|2 x 9 = 18|2 \303\227 9 = 18|2 \\times 9 = 18",
    "2 \\cdot 9 = 18|3 * 6 = 18 eggs|54 / 3 = 18|54/3=18|54 \\div 3 = 18|\\frac{54}{3} = 18|\\frac{54}{3}|54/3",
    "30 - 12 = 18|30-12=18|30 - 12 = 18 left|30 - 12 = 18 more|$30 - $12 = $18|$30 - $12 = $18 left|11 + 7 = 18",
    "11+7=18|5 + 6 + 7 = 18|36 * 0.5 = 18|Answer: $18|Answer: 18 dollars|Answer is 18|Final answer: **18**",
    "Final answer = 18|Ans: 18|about 18 dollars|around 18 minutes|approximately 18 miles",
    "The remaining amount is $18|The distance is 18 miles|The width is 18 cm|The length is 18|Her share is $18",
    "Their age is 18|The answer: $18|It will be 18|It comes to 18|It costs 18 dollars|It adds up to 18",
    "He gets 18|He got 18|She earns $18|She earned $18|She spent $18|She gave 18|She received 18|She makes $18",
    "They have 18 left|They need 18 more days|We need 18 more|We get $18|We have x = 18|We find x = 18",
    "This leaves 18|That leaves 18 eggs|That is $18|That's 18|There's 18|So there are 18|So it is 18",
    "So the sum is 18|So she has 18|Thus there are 18 apples|Hence the total is 18|Therefore 18 apples are left",
    "Therefore there are 18|Finally, x = 18|In total, 18|In all, 18 apples|Altogether 18|Overall, 18|q = 18",
    "r = 18|u = 18|s = 18 m|AC = 18|DE = 18 cm|xyz = 18|ab = 18|h(2) = 18|p(x) = 18|b_2 = 18|x_0 = 18",
    "\\text{Answer} = 18|\\text{profit} = \\$18|18\\text{ apples}|18 \\text{ miles}|18\\text{ m/s}",
    "18 \\text{ km}|18 \\text{ meters per second}|18\\text{ sq cm}|18\\;\\text{cm}|18 \\quad|\\displaystyle 18",
    "\\left(18\\right)|$$18$$|**18 eggs**|$ 18|\\$ 18|18 \342\202\254|72/4 = 18|72 / 4 = 18|72 \\div 4 = 18",
    "7 + 11 = 18|7+11=18|40 - 22 = 18|40-22=18|40 - 22 = 18 left|40 - 22 = 18 more|40 - 22 = 18 apples",
    "$40 - $22 = $18|3 * 6 = 18|3 x 6 = 18|3 \303\227 6 = 18|3 \\times 6 = 18|3 \\cdot 6 = 18|3(6) = 18",
    "(2 + 4) * 3 = 18|3 * (2 + 4) = 18|4 + 6 + 8 = 18|Answer = 18|Answer: 18 eggs|Final answer: 18 eggs",
    "approximately $18|18 \360\237\216\211|18\342\204\203|The median is 18|The mean is 18|The remainder is 18",
    "The volume is 18|The weight is 18 kg|The speed is 18 mph|The time is 18 minutes|The number is 18",
    "The final total is $18|The new total is 18|Her new balance is $18|His wage is $18 an hour",
    "Her height is 18 feet|The value of x is 18|The value of f(3) is 18|The length of AB is 18",
    "The number of ways is 18|Your answer is 18|Our answer is 18|Their answer is 18|The correct answer is 18",
    "The right answer is 18|The final result is 18|The result: 18|Total amount: $18|Total number: 18",
    "Number of eggs: 18|Cost: $18|Profit: $18|Result: 18|Solution: 18|It equals 18|It equals 18 cm|She gets 18",
    "She got 18 eggs|She spends $18|She pays $18|She paid $18 in all|She would pay $18|She will need 18 eggs",
    "She will make $18|He needs 18 more dollars|He needs to save 18 more dollars|They need to find 18 more",
    "You need 18|You get 18|You have 18 left|We have 18 left|We need 18|We know x = 18|we obtain n = 18",
    "which gives 18|which equals 18|this equals 18|that equals $18|this makes 18|so 18 apples are left",
    "so there are 18 left|so we have 18|so that makes 18|hence 18 apples|thus 18 apples|therefore 18",
    "therefore, 18 dollars|in total, $18|in all, 18|altogether, 18|g = 18|j = 18|v = 18|z = 18 cm|EF = 18",
    "PQ = 18 cm|mn = 18|pq = 18|k(4) = 18|q(0) = 18|c_1 = 18|y_2 = 18|\\text{Sum} = 18|\\text{Price} = \\$18",
    "\\text{Total cost} = 18|18\\text{ eggs}|18 \\text{ days}|18\\text{ mph}|18 \\text{ sq ft}|18\\text{ km/h}",
    "18~\\text{m}|18\\:\\text{m}|18 \\, \\text{square meters}|\\text{18 eggs}|\\mathrm{18}|\\boxed{18 eggs}",
    "\\left( 18 \\right)|$ 18 $|$18.0$|\\( 18.0 \\)|**18 cm**|***18***|`$18`|\"18 cm\"|($18)|($18.00)",
    "\342\202\254 18|\302\243 18|\302\245 18|18 GBP|18 CAD|Rs.18|+ 18|36 / 2|\\frac{180}{10}|\\tfrac{90}{5}",
    "\\frac{72}{4} = 18|108/6 = 18|108 / 6 = 18 eggs|108 \\div 6 = 18|8 + 10 = 18|8+10=18|33 - 15 = 18|33-15=18",
    "33 - 15 = 18 days|33 - 15 = 18 fewer|$33 - $15 = $18|6 * 3 = $18|1.5 * 12 = 18|1.5 x 12 = 18|0.5 * 36 = 18",
    "12 + 6 = 18 eggs in total|2 + 4 + 12 = 18|100 - 82 = 18 more|approximately 18 eggs|about $18|exactly $18",
    "precisely 18",
};

static void each_way_to_write_it_is_paid(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        for_each_answer(answers[i], paid_as_answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_way_to_write_it_is_paid)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

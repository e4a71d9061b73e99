/* tests/reward/number_hedge_test.c - what is said before a number: a guess, an answer given before, another value.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/reward/number_places.h"

/* None of these is 18. */
static const char *const answers[] = {
    "My first answer was 18|my old answer: 18|an earlier answer was 18|the previous result was 18",
    "I used to think 18|I thought it was 18|it used to be 18|it should have been 18|it would have been 18",
    "it could be 18|it might be 18|it may be 18|possibly 18|probably 18|I'd guess 18|my guess is 18|a guess: 18",
    "hypothetically 18|suppose 18|assume it is 18|pretend 18|ignore 18|forget 18|disregard 18|rule out 18",
    "reject 18|exclude 18|avoid 18|skip 18|never mind 18|do not answer 18|anything except 18",
    "the trick answer is 18|the tempting answer is 18|naive answer: 18|the wrong guess was 18|the answer was 18",
    "a bound is 18|is it 18?|1 in 18|one in 18|1 out of 18|about 18, I guess|Former answer: 18",
    "Earlier guess: 18|Original answer: 18|Previously 18|Formerly 18|Initially I said 18",
    "My earlier response was 18|The initial guess was 18|Last attempt was 18|A naive solution gives 18",
    "The tempting answer would be 18|The obvious answer is 18|The usual answer is 18|My guess would be 18",
    "I would guess 18|I guess it is 18|I'm guessing 18|A wild guess: 18|Supposedly it is 18|Apparently 18",
    "Presumably it is 18|Most likely not 18|It might have been 18|It could have been 18",
    "It should be less than 18|It must not be 18|It used to equal 18|Let us assume 18|Imagine it is 18",
    "Suppose it is 18|They claimed 18|Some claim it is 18|Never 18|By no means 18|Definitely not 18|Hardly 18",
    "Please ignore 18|Disregard the 18|Dismiss 18|Scrap 18|You should skip 18|We rule out 18|We can exclude 18",
    "odds of 18 to 1|1 in 18 chance|2 in 18|three in 18|5 out of 18|Old answer: 18|Prior answer: 18",
    "First guess: 18|Initial answer: 18|My last guess was 18|The former answer was 18|An earlier result was 18",
    "The earlier estimate was 18|Previously it was 18|I first got 18|I first said 18|Initially we got 18",
    "I had guessed 18|I thought 18|We thought it was 18|It once could be 18|It should have been 18",
    "It might be 18|It may well be 18|Perhaps it is 18|Possibly it is 18|Probably 18|It is probably 18",
    "Supposedly 18|Allegedly 18|Hypothetically it is 18|The naive answer is 18|The naive result is 18",
    "A tempting result is 18|A common answer is 18|The obvious guess is 18|An upper bound is 18|The bound is 18",
    "Guess: 18|A guess is 18|We guess 18|Assume 18|Imagine 18|Forget 18|Ignore the 18|Never mind the 18",
    "Rule out 18|Cross out 18|Discard 18|Do not say 18|Anything but 18|No, not 18|Surely not 18|Less than 18",
    "At least 18|Up to 18|4 in 18|4 out of 18|Prior guess: 18|Previous result: 18|Former guess: 18",
    "Old guess: 18|Our first guess: 18|My initial response: 18|My original answer was 18|The old answer is 18",
    "The old result was 18|The last guess was 18|An initial answer is 18|An obvious guess is 18",
    "The intuitive answer is 18|The trick answer: 18|The alternative answer is 18|The rejected answer is 18",
    "The common guess is 18|A tempting guess: 18|I originally thought 18|I initially had 18|We first found 18",
    "Earlier I got 18|I used to get 18|It was supposed to be 18|It was thought to be 18|It would have been 18",
    "It must have been 18|It could well be 18|It may be 18|Might be 18|Could be 18|May be 18|Maybe 18",
    "Perhaps 18|Guessing 18|Guess it is 18|A hunch says 18|Presumably 18|Conceivably 18|Theoretically 18",
    "Arguably 18|Seemingly 18|Tentatively 18|Suppose 18|Supposing 18|Assuming 18|Imagine that it is 18",
    "Claimed: 18|They claim 18|He claims it is 18|Discard the 18|Forget about 18|Ignore that 18",
    "Please disregard 18|Do not use 18|Don't pick 18|Not even 18|Nothing like 18|Far from 18|Just under 18",
    "Just over 18|A bit over 18|A lower bound is 18|An upper bound: 18|The ceiling is 18|Off from 18",
    "Opposite of 18|3 to 18|3 in 18|two in 18|one out of 18|9 out of 18|Guessed 18|A guess of 18",
    "My best guess is 18|Best guess: 18|Rough guess: 18|First answer: 18|My prior answer was 18",
    "The previous guess was 18|Our earlier answer was 18|The original guess was 18|The last answer was 18",
    "The draft answer is 18|The provisional answer is 18|The intuitive guess is 18|An alternative answer is 18",
    "Earlier I said 18|I earlier said 18|Originally I got 18|I hoped it was 18|I hope it is 18|Hopefully 18",
    "I wish it were 18|Let's suppose 18|Assume that it is 18|Imagine that it was 18|The book says 18",
    "Some say 18|They said 18|Tom suggested 18|It could be 18|It might well be 18|It may have been 18",
    "I used to say 18|You should ignore 18|Better skip 18|We must avoid 18|They ruled out 18|Retract 18",
    "Definitely less than 18|Slightly under 18|Nowhere near 18|Question 18|Step 18|Exercise 18|6 in 18",
    "7 out of 18|eighteen? 18?|Not exactly 18|Not just 18|Isn't 18|Rarely 18|Wrong: 18|False answer: 18",
    "Wrong guess: 18|Guess 18|Our guess is 18|Wild guess: 18|Earlier answer: 18|Former result: 18",
    "Prior result: 18|Provisional answer: 18|Tentative answer: 18|Draft answer: 18|Alternative answer: 18",
    "The usual guess is 18|The common answer is 18|The last response was 18|My original response was 18",
    "My earlier result was 18|My answer was 18|The answer had been 18|The answer used to be 18",
    "The answer could be 18|The answer may be 18|I once guessed 18|I first found 18|We initially said 18",
    "We earlier had 18|I had thought 18|I thought of 18|I hope for 18|I wish it was 18|We assume 18",
    "Let's assume it's 18|Let's imagine 18|Tom claims 18|Tom says 18|They suggest 18|The text says 18",
    "It could be exactly 18|It may be about 18|It might be just 18|It ought to exceed 18|It exceeds 18",
    "It is above 18|It is at most 18|It is under 18|It is more than 18|It is one in 18|It is twice 18",
    "It is half of 18|It is the square of 18|It is minus 18|It is not 18|We reject 18|We exclude 18",
    "Please skip 18|Ignore all 18|Problem 18|Figure 18|Section 18|Example 18|5 in 18|2 out of 18",
    "My gut guess is 18|My first try was 18|My former answer was 18|The earlier answer was 18",
    "The original answer was 18|The previous answer: 18|Old result: 18|Earlier result: 18",
    "A tentative answer is 18|The trap answer is 18|The upper bound is 18|A common guess is 18|I guessed 18",
    "I'd guessed 18|I first thought 18|We used to think 18|It could be that it is 18|It should be under 18",
    "Supposedly the total is 18|They say 18|He claimed 18|We assumed 18|Suppose it were 18|Hopefully it is 18",
    "Ignore it: 18|Disregard this: 18|Far below 18|Just short of 18|Anything over 18|None but 18",
    "Neither 17 nor 18|Not 18 but 17|10 in 18|My early guess was 18|My previous guess was 18",
    "The earlier guess was 18|The old guess was 18|Our prior result was 18|An old answer: 18|Early guess: 18",
    "A false answer is 18|The wrong answer is 18|I guess 18|I'm guessing it's 18|I had first thought 18",
    "We earlier got 18|It could be about 18|It may just be 18|It might have been about 18",
    "It used to be about 18|Perhaps it was 18|Assume it's 18|They claimed it was 18|She said 18|I hope so: 18",
    "We wish it was 18|Never use 18|More than 18|Well under 18|Barely above 18|8 out of 18",
    "My early answer was 18|My former result was 18|The initial guess: 18|The early guess was 18",
    "Another guess is 18|I previously said 18|We first thought 18|It might only be 18|It could still be 18",
    "It should have been about 18|Supposing it is 18|They assumed 18|He guessed 18|Avoid saying 18",
    "At most about 18|9 in 18|My prior guess was 18|The early answer was 18|The prior result was 18",
    "I formerly said 18|It could only be 18 or 19|It may still be 18|We supposed 18|She guessed 18",
    "Less than about 18|11 in 18",
};

static void a_number_that_is_hedged_is_not_paid(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        for_each_answer(answers[i], not_paid_anywhere);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_number_that_is_hedged_is_not_paid)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

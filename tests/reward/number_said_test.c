/* tests/reward/number_said_test.c - the ways in which models say 18 of something.
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
    "18 dollars|18 cents|18 eggs|18 pairs|18 pairs of shoes|18 apples are left|18 apples left|18 apples remain",
    "18 apples in total|18 apples in all|18 apples altogether|18 more apples|18 fewer apples|18 less dollars",
    "18 more minutes|18 more to go|18 extra coins|18 new books|18 red marbles|18 different books|18 large eggs",
    "18 old coins|18 years old|18 years|18 year olds|18 months|18 hours|18 hours a day|18 hours per week",
    "18 minutes late|18 seconds|18 km|18km|18 km/h|18 km per hour|18 miles per hour|18 mph|18 m/s|18 meters",
    "18 m|18m|18 cm^2|18 cm\302\262|18 square feet|18 sq ft|18 cubic inches|18 inches|18 in.|18 ft|18 feet tall",
    "18 pounds|18 lbs|18 kg|18 g|18 grams of sugar|18 ounces|18 liters|18 ml|18 gallons|18 degrees|18 percent",
    "18 points|18 votes|18 ways|18 times|18 people|18 students failed the test|18 students were absent|18 girls",
    "18 are girls|18 were sold|18 remain|18 left|18 remaining|18 each|18 per day|$18/day|$18 per day|$18 a day",
    "$18 every day|$18 every day at the market|$18 in total|$18 left|$18 off|$18 profit|$18 is left",
    "$18 was spent|$18 is her profit|18 is the answer|18 is correct|18 is right|18 is the final answer",
    "18 is my answer|18 is my final answer|18 is the number of eggs|18 is the total|18 is what she earns",
    "18 is how many are left|18 dollars is what she makes|18 eggs is the answer|18 works|18 checks out|18 fits",
    "18 turns|18 misses|18 drops of glue|18 breaks|18 lies|18 stops|18 mistakes were corrected|18 errors",
    "18 claims|18 old stamps were removed|18 removed tiles|18 rupees|18 yen|18 bananas|18 pencils",
    "18 bottles of water|18 slices of pizza|18 boxes of crayons|18 pages of the book|18 loaves of bread",
    "18 cups of flour|18 bags of rice|18 packs of gum|18 passengers|18 tickets were sold",
    "18 tickets are left over|18 seats are empty|18 rooms are available|18 chairs must be prepared",
    "18 clerks must be hired|18 cookies to each friend|18 cookies for each child|18 cookies per child",
    "18 cookies a day|18 cookies each day|18 birds flew away|18 birds were left on the tree",
    "18 children attended|18 men and women|18 boys and girls|18 cats and dogs|18 apples and oranges",
    "18 people in the room|18 people on the bus|18 days to finish|18 days later|18 days in total|18 days before",
    "18 weeks|18 weeks to save enough|18 minutes to cook|18 minutes longer|18 minutes faster|18 hours of work",
    "18 hours of sleep per night|18 meters long|18 meters tall|18 miles away|18 miles from home",
    "18 miles farther|18 inches wide|18 feet deep|18 square meters|18 m^2|18 m\302\262|18 cm^3|18 units",
    "18 square units|18 kg of apples|18 pounds of meat|18 pounds heavier|18 liters of milk|18 gallons of gas",
    "18 ounces of gold|18 grams|18 calories|18 cents each|18 cents per pound|18 dollars each",
    "18 dollars per hour|18 dollars in change|18 dollars for lunch|18 dollars total|18 dollars altogether",
    "$18 each|$18 per hour|$18/hour|$18 per month|$18 for the shoes|$18 in change|$18 in profit",
    "$18 worth of fruit|$18 as change|$18 back|18 more books|18 more students|18 fewer students",
    "18 fewer cups of tea|18 less cups|18 additional seats|18 extra hours|18 whole apples|18 full boxes",
    "18 empty bottles|18 small boxes|18 big boxes|18 low tables|18 high chairs|18 used books|18 bad apples",
    "18 broken eggs|18 lost balls|18 dropped balls|18 missed calls|18 failed tests|18 changes of clothes",
    "18 falls|18 turns of the wheel|18 looks|18 stops along the route|18 needles|18 guests|18 guest rooms",
    "18 claims were filed|18 answers|18 correct answers|18 questions|18 problems|18 solutions",
    "18 possible values|18 different ways|18 distinct values|18 is the result|18 is the correct answer",
    "18 is the right answer|18 is our answer|18 is your answer|18 is the value of x|18 is the sum",
    "18 is the number of students|18 is the cost of the shirt|18 is his age|18 is her age|18 is the age of Tom",
    "18 is how old he is|18 is what we wanted|18 is what he paid|18 is left|18 are left|18 were left",
    "18 was left|18 remains|18 apples is the total|18 holds|18 satisfies the equation|18 matches",
    "18 agrees with the check|18 exactly|18 of them|18 of the apples|$18.00 per day|18 (dollars)|18 (eggs)",
    "18.0 cm|18 peaches|18 marbles|18 toys|18 crates of fruit|18 bunches of flowers|18 rows of seats|18 rows",
    "18 pieces of cake|18 pieces|18 sheets of paper|18 pairs of socks|18 teams|18 players on the team",
    "18 cars in the lot|18 trucks|18 bikes were repaired|18 bikes were sold|18 fish were caught|18 fish died",
    "18 plants survived|18 plants that produce flowers|18 people voted|18 people came",
    "18 people still need seats|18 students play chess|18 students like math|18 students passed",
    "18 kids went home|18 employees work there|18 women|18 men|18 children|18 geese|18 sheep|18 fish|18 mice",
    "18 dice|18 oxen|18 drops|18 passes|18 beats per minute|18 runs|18 wins|18 losses|18 ties|18 goals|18 shots",
    "18 steps|18 jumps|18 tries|18 attempts|18 more cookies|18 more points|18 more dollars",
    "18 more hours of work|18 fewer books|18 more eggs left|18 remaining eggs|18 leftover cookies",
    "18 unsold tickets|18 spare chairs|18 young trees|18 long ropes|18 hot dogs|18 cold drinks",
    "18 blue and red balls|18 left over|18 left at the end|18 in total|18 in all|18 altogether|18 overall",
    "18 apiece|18 a week|18 a month|18 per week|18 per box|18 for each child|18 on Monday|18 at the end",
    "18 by Friday|18 this week|18 today|18 now|18 dollars left|18 dollars back|18 dollars spent",
    "18 dollars a week|18 dollars per shirt|18 dollars in all|18 dollars in profit|18 dollars of profit",
    "$18 a week|$18/week|$18 per shirt|$18 today|$18 of profit|$18 for each|$18 total|$18 altogether",
    "$18.00 in total|$18 left over|18 cents left|18 quarters|18 nickels|18 dimes|18 pennies|18 pesos|18 rubles",
    "18 yuan|18 km away|18 mm|18mm|18 m long|18 cm wide|18 inches tall|18 feet|18 ft.|18 yards|18 acres",
    "18 hectares|18 tons|18kg|18 g of salt|18 oz|18 lb|18 pints|18 quarts|18 teaspoons|18 tablespoons of sugar",
    "18 liters per minute|18 mL|18 watts|18 volts|18 minutes|18 min|18 sec|18 hrs|18 days a week",
    "18 years from now|18 years ago|18 years older|18 decades|18 is our final answer",
    "18 is the answer to the question|18 is the number of apples left|18 is the difference|18 is the product",
    "18 is the average|18 is the perimeter of the square|18 is her total|18 is what she paid|18 is what is left",
    "18 is how much she makes|18 is indeed correct|18 is it|18 solves it|18 satisfies both equations",
    "18 makes sense|18 works well|18 grapes|18 plums|18 shirts|18 hats|18 coins|18 letters|18 emails|18 photos",
    "18 songs|18 games|18 rounds|18 laps|18 turns each|18 falls of snow|18 needles and pins|18 stops on the way",
    "18 counts of flour|18 tiles|18 bricks|18 windows|18 floors|18 stairs|18 buses|18 taxis|18 planes",
    "18 flights|18 nights|18 guests came|18 guests left|18 guests are left|18 guests stayed|18 eggs were broken",
    "18 eggs are rotten|18 eggs hatched|18 eggs did hatch|18 apples were eaten|18 apples had worms",
    "18 cookies were burnt|18 balls are red|18 balls were blue|18 students are girls|18 students have pets",
    "18 students can swim|18 students will pass|18 students must wait|18 workers are needed",
    "18 workers could finish|18 more workers|18 more workers are needed|18 more days|18 more miles to go",
    "18 fewer coins|18 fewer days|18 new toys|18 old books|18 big dogs|18 small cats|18 high towers",
    "18 low chairs|18 bad eggs|18 used cars|18 odd numbers|18 even numbers|18 prime numbers|18 possible pairs",
    "18 different outcomes|18 distinct ways|18 ways to choose|18 ways in total|18 steps in all",
    "18 minutes each day|18 minutes per lap|18 minutes in total|18 minutes left|18 hours a week",
    "18 hours this week|18 hours in a day|18 days from now|18 days ago|18 weeks later|18 months old",
    "18 years old now|18 years younger|18 inches long|18 inches longer|18 feet wide|18 feet apart",
    "18 yards of cloth|18 meters deep|18 km long|18 km per day|18 kg of rice|18 kg heavier|18 grams of fat",
    "18 liters left|18 gallons per hour|18 cups of tea|18 spoons|18 points ahead|18 points each",
    "18 points in all|18 dollars saved|18 dollars richer|18 dollars a month|18 dollars for each",
    "18 dollars for the book|18 dollars in tips|18 dollars is left|18 dollars was spent|18 dollars is the price",
    "18 dollars is what she pays|$18 was left|$18 is the total|$18 is the cost|$18 is what he needs",
    "$18 per person|$18 per ticket|$18 in all|$18 in tips|$18 saved|$18/month|$18 a month|$18 each day",
    "$18.00 each|18 is the total number|18 is the sum of both|18 is the area of the room",
    "18 is the length of the side|18 is the value|18 is his share|18 is their sum|18 is our result",
    "18 is what we need|18 is how many she has|18 is exactly right|18 is the correct value|18 is correct.",
    "18 is right.|18 is also the total|18 satisfies it|18, which is correct|18, which is the total",
    "18, which is her profit|18 apples, which is the total|18 eggs, as required|18, as required|18, as expected",
    "18 euros|18 kites|18 cubes|18 squares|18 circles|18 triangles|18 corners|18 edges|18 vertices|18 faces",
    "18 digits|18 terms|18 values|18 integers|18 numbers|18 primes|18 subsets|18 arrangements|18 permutations",
    "18 choices|18 options|18 paths|18 routes|18 towns|18 roads|18 houses|18 homes were built",
    "18 walls were painted|18 doors are open|18 tables are free|18 seats were taken|18 kids were sick",
    "18 kids failed|18 kids did well|18 frogs jumped|18 dogs barked|18 lamps are on|18 lamps are off",
    "18 machines are broken|18 machines were removed|18 pages were torn|18 pages are blank",
    "18 pages are left to read|18 chapters to go|18 more pages to read|18 more kids|18 more kids came",
    "18 more cups of rice|18 fewer pages|18 fewer kids|18 extra pages|18 spare parts|18 lost keys",
    "18 broken lamps|18 torn pages|18 rotten apples|18 green apples|18 sweet buns|18 gold coins",
    "18 wooden chairs|18 large pizzas|18 long days|18 cold nights|18 full weeks|18 whole days|18 pieces left",
    "18 pieces each|18 pieces for each of them|18 pieces per guest|18 pieces in each bag",
    "18 pieces of fruit a day|18 bags of sugar|18 jars of jam|18 tins of paint|18 rolls of tape|18 feet of rope",
    "18 meters of cloth|18 miles of road|18 miles a day|18 miles an hour|18 miles in all|18 km from here",
    "18 km in total|18 minutes early|18 minutes of rest|18 minutes a lap|18 hours long|18 hours apart",
    "18 days long|18 days in all|18 weeks of work|18 months of rent|18 years of age|18 years from today",
    "18 pounds lighter|18 kg lighter|18 tons of coal|18 liters of fuel|18 gallons of paint|18 degrees warmer",
    "18 points behind|18 votes in favor|18 votes against|18 cents per egg|18 cents in change|18 dollars an hour",
    "18 dollars this month|18 dollars from tips|18 dollars to spend|18 dollars was paid|18 dollars is her share",
    "18 dollars is what is left|$18 was paid|$18 is her share|$18 is what is left|$18 an hour|$18 this month",
    "$18 from tips|$18 to spend|$18 for all of them|$18 of savings|$18/shirt|$18 per kilogram",
    "18 is the number of ways|18 is the number of people|18 is the area|18 is the volume|18 is the median",
    "18 is the mean|18 is the remainder|18 is the quotient|18 is the length of AB|18 is their total",
    "18 is her answer|18 is its area|18 is what it costs|18 is how many there are|18 is how much is left",
    "18 is all she has|18 is enough|18 is fine|18 is exactly it|18 is indeed the answer",
    "18 is therefore the answer|18 is certainly correct|18 checks|18 works out|18, which is the sum",
    "18, which is right|18, which is how many are left|18 eggs, which is what she sells|18, the total",
    "18, the number of eggs|18, in total|18 eggs, in total|18 eggs as required|18.00 dollars",
};

static void each_way_to_say_it_is_paid(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        for_each_answer(answers[i], paid_as_answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_way_to_say_it_is_paid)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

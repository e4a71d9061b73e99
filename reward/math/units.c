/* reward/math/units.c - tables, searched from the start.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/math/units.h"

#include <string.h>
#include <strings.h>

static const struct math_unit units[] = {
    {"m meter meters metre metres", 'l', 10000, 1},
    {"cm centimeter centimeters centimetre centimetres", 'l', 100, 1},
    {"mm millimeter millimeters millimetre millimetres", 'l', 10, 1},
    {"dm decimeter decimeters", 'l', 1000, 1},
    {"km kilometer kilometers kilometre kilometres", 'l', 10000000, 1},
    {"in inch inches", 'l', 254, 1},
    {"ft foot feet", 'l', 3048, 1},
    {"yd yard yards", 'l', 9144, 1},
    {"mi mile miles", 'l', 16093440, 1},
    {"g gram grams gm", 'w', 1600000, 1},
    {"kg kgs kilogram kilograms kilo kilos", 'w', 1600000000, 1},
    {"mg milligram milligrams", 'w', 1600, 1},
    {"lb lbs pound pounds", 'w', 725747792, 1},
    {"oz ounce ounces", 'w', 45359237, 1},
    {"s sec secs second seconds", 't', 1000, 1},
    {"ms millisecond milliseconds", 't', 1, 1},
    {"min mins minute minutes", 't', 60000, 1},
    {"h hr hrs hour hours", 't', 3600000, 1},
    {"day days", 't', 86400000, 1},
    {"week weeks", 't', 604800000, 1},
    {"dollar dollars usd", '$', 100, 1},
    {"euro euros eur", 'e', 1, 1},
    {"gbp", 'p', 1, 1},
    {"yen jpy", 'y', 1, 1},
    {"cent cents", '$', 1, 1},
    {"l liter liters litre litres", 'v', 1000, 1},
    {"ml milliliter milliliters millilitre millilitres", 'v', 1, 1},
    {"celsius", 'C', 1, 1},
    {"fahrenheit", 'F', 1, 1},
    {"kelvin kelvins", 'K', 1, 1},
    {"mph", 'm', 16093440, 3600000},
    {"kph kmh kmph", 'm', 10000000, 3600000},
    {"rad rads radian radians", 'r', 1, 1},
    {"year years month months rupee rupees gallon gallons gal quart quarts qt pint pints cup cups "
     "tablespoon "
     "tablespoons teaspoon teaspoons acre acres hectare hectares ton tons tonne tonnes",
     0, 1, 1},
    {"n newton newtons j joule joules kj w watt watts kw v volt volts amp amps ampere amperes ohm ohms hz hertz khz "
     "mhz pa "
     "pascal pascals kpa atm k mol mols mole moles ev kev mev gev rpm bps t "
     "tesla "
     "c coulomb coulombs f farad farads db cal kcal knot knots",
     0, 1, 1},
    {"sq square cubic squared cubed unit units per each left more less ago old am pm inclusive", 0, 1, 1},
    {"people person persons student students child children boy boys girl girls man men woman women way ways time "
     "times "
     "item items piece pieces book books apple apples page pages point points mark marks inning innings game games "
     "solution "
     "solutions root roots side sides face faces edge edges vertex vertices digit digits number numbers integer "
     "integers "
     "coin coins ball balls card cards car cars tree trees egg eggs ticket tickets step steps row rows column columns "
     "block "
     "blocks tile tiles box boxes bag bags bottle bottles plane planes pair pairs set sets group groups",
     0, 1, 1},
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

static bool same_word(const char *name, size_t length, struct str word)
{
    return length == word.length && strncasecmp(name, word.data, length) == 0;
}

const struct math_unit *math_units_find(struct str word)
{
    for (size_t i = 0; i < COUNT(units) && word.length; i++) {
        for (const char *name = units[i].names; *name;) {
            size_t length = strcspn(name, " ");
            if (same_word(name, length, word)) {
                return &units[i];
            }
            name += length + (name[length] == ' ');
        }
    }
    return NULL;
}

int math_units_number(struct str word)
{
    static const char *const names[] = {"zero",     "one",      "two",      "three",   "four",    "five",
                                        "six",      "seven",    "eight",    "nine",    "ten",     "eleven",
                                        "twelve",   "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
                                        "eighteen", "nineteen", "twenty"};
    for (size_t i = 0; i < COUNT(names); i++) {
        if (same_word(names[i], strlen(names[i]), word)) {
            return (int)i;
        }
    }
    return -1;
}

char math_units_truth(struct str word)
{
    static const struct {
        const char *name;
        char truth;
    } names[] = {{"yes", 't'},
                 {"true", 't'},
                 {"no", 'f'},
                 {"false", 'f'},
                 {"dne", 'd'},
                 {"doesnotexist", 'd'},
                 {"nosolution", 'e'},
                 {"nosolutions", 'e'},
                 {"thereisnosolution", 'e'},
                 {"therearenosolutions", 'e'},
                 {"emptyset", 'e'}};
    for (size_t i = 0; i < COUNT(names); i++) {
        if (same_word(names[i].name, strlen(names[i].name), word)) {
            return names[i].truth;
        }
    }
    return 0;
}

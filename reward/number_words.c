/* reward/number_words.c - word lists in a hash table that is made at first use.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/number_words.h"

#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "reward/math/units.h"

static const struct {
    const char *words;
    enum number_word kind;
} classes[] = {
    {"between either not never no nor none neither nobody nothing cannot cant wont isnt arent wasnt dont doesnt didnt "
     "without wrong "
     "wrongly "
     "false falsely incorrect incorrectly untrue mistaken mistakenly unlikely unequal differs differ different doubt "
     "doubtful "
     "doubtfully "
     "hardly barely scarcely deny denied denies reject rejected refuse disagree contrary opposite unknown unsure "
     "uncertain "
     "undefined impossible unless except excluding instead rather otherwise else maybe perhaps possibly "
     "pretend kidding joke joking excludes exclude anywhere somewhere",
     NUMBER_WORD_NEGATION},
    {"negation bil mio mrd milliard milliards mille tausend tsd doz some counting give multiple multiples factor "
     "factors "
     "divisor divisors "
     "divisible couple but far away "
     "hundred hundreds thousand thousands thousandfold million millions mil mill mln mm billion billions bn bln "
     "trillion "
     "trillions tn quadrillion quadrillions dozen dozens score scores gross grand lakh lakhs crore crores myriad "
     "googol tens "
     "kilo mega giga half halves third thirds fourth fourths fifth fifths sixth sixths seventh sevenths eighth eighths "
     "ninth "
     "ninths tenth tenths hundredth hundredths thousandth thousandths millionth millionths fold tenfold hundredfold "
     "double doubled doubles doubling twice thrice triple tripled quadruple quadrupled quintuple squared square "
     "squares cubed "
     "cube cubes power powers exponent root roots sqrt cbrt radical factorial factorials log logs logarithm ln lg exp "
     "sin cos tan "
     "cot sec csc "
     "arcsin arccos arctan sinh cosh tanh reciprocal inverse negated complement modulo mod base hex hexadecimal octal "
     "binary "
     "pi tau radians plus times multiplied divided multiply divide over subtract subtracted add added raised "
     "index "
     "subscript th st nd rd "
     "surpasses surpass surpassing bounded halved increased decreased reduced than more less fewer greater larger "
     "bigger higher lower smaller least most minimum maximum under above "
     "below beyond exceeds exceed exceeding exceeded within until till upto upwards almost nearly close near "
     "short too or versus vs another other others plusminus infinity infinite "
     "if scratch wait zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
     "sixteen seventeen "
     "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety",
     NUMBER_WORD_CHANGES},
    {"minus negative", NUMBER_WORD_MINUS},
    {"usd eur gbp jpy inr cad aud rs dollar dollars euro euros rupee rupees pound pounds yen", NUMBER_WORD_CURRENCY},
    {"is are was were be equals equal", NUMBER_WORD_IS},
    {"the a an final answer answers total result solution value sum amount number it its he she they there we you know "
     "get gets "
     "got have has had so thus hence therefore exactly precisely approximately about around roughly just only simply "
     "all of "
     "that this which makes make made earns earn pays pay paid costs cost needs need spends spend spent will would in "
     "and altogether",
     NUMBER_WORD_NEUTRAL},
};

/* ---- a table of the words above, made once ---- */

#define SLOTS 1024

static struct slot {
    struct str word;
    enum number_word kind;
} slots[SLOTS];
static pthread_once_t slots_made = PTHREAD_ONCE_INIT;

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* The slot of a word, or the empty one where it would be. */
static struct slot *slot_of(struct str word)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < word.length; i++) {
        hash = (hash ^ (unsigned char)lower(word.data[i])) * 16777619u;
    }
    for (hash ^= hash >> 15;; hash++) {
        struct slot *slot = &slots[hash % SLOTS];
        bool same = slot->word.length == word.length;
        for (size_t i = 0; i < word.length && same; i++) {
            same = slot->word.data[i] == lower(word.data[i]);
        }
        if (!slot->word.length || same) {
            return slot;
        }
    }
}

static void make_slots(void)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        for (const char *name = classes[i].words; *name;) {
            struct str word = {name, strcspn(name, " ")};
            struct slot *slot = slot_of(word);
            if (!slot->word.length) {
                *slot = (struct slot){word, classes[i].kind};
            }
            name += word.length + (name[word.length] == ' ');
        }
    }
}

enum number_word number_word(struct str word)
{
    pthread_once(&slots_made, make_slots);
    if (word.length > 2 && (str_find(word, STR("n't"), 0) >= 0 || str_find(word, STR("N'T"), 0) >= 0)) {
        return NUMBER_WORD_NEGATION;
    }
    const struct slot *slot = word.length ? slot_of(word) : NULL;
    return slot && slot->word.length ? slot->kind : word.length == 1 ? NUMBER_WORD_LETTERS : NUMBER_WORD_OTHER;
}

static bool listed(const char *words, struct str word)
{
    for (const char *name = words; *name;) {
        size_t length = strcspn(name, " ");
        if (length == word.length && strncasecmp(name, word.data, length) == 0) {
            return true;
        }
        name += length + (name[length] == ' ');
    }
    return false;
}

bool number_word_unit(struct str word, bool attached)
{
    static const char letters[] = "m g s h l L", prose[] = "a of in to at on by an as is we he it so am pm up us my";
    enum number_word kind = number_word(word);
    if (kind == NUMBER_WORD_NEGATION || kind == NUMBER_WORD_CHANGES || kind == NUMBER_WORD_MINUS) {
        /* "18 more", "18 less": the answer to "how many more"; what follows "than" is refused with it */
        return !attached && listed("more less fewer times over square squares", word);
    }
    if (word.length == 1) {
        return (strchr(letters, word.data[0]) && word.data[0] != ' ') || (!attached && word.data[0] == 'a');
    }
    const struct math_unit *unit = math_units_find(word);
    if (attached || word.length == 2) {
        return unit != NULL || (!attached && listed(prose, word));
    }
    return true;
}

char number_word_code(uint32_t code)
{
    /* Chinese: not, wrong; ten thousand, thousand, hundred, half, times, more, or, minus, the particle of "18's
     * square" */
    static const uint32_t denies[] = {0x4E0D, 0x975E, 0x6CA1, 0x672A, 0x5426, 0x9519, 0x932F, 0},
                          changes[] = {0x4E07, 0x842C, 0x5343, 0x767E, 0x4EBF, 0x5104, 0x5341, 0x534A,
                                       0x500D, 0x591A, 0x4F59, 0x6216, 0x8D1F, 0x8CA0, 0x7684, 0};
    for (int i = 0; denies[i]; i++) {
        if (code == denies[i]) {
            return '-';
        }
    }
    for (int i = 0; changes[i]; i++) {
        if (code == changes[i]) {
            return '*';
        }
    }
    bool letter = (code >= 0xC0 && code <= 0x24F && code != 0xD7 && code != 0xF7) || (code >= 0x400 && code <= 0x52F) ||
                  (code >= 0x3040 && code <= 0x30FF) || (code >= 0x4E00 && code <= 0x9FFF) ||
                  (code >= 0xAC00 && code <= 0xD7AF);
    bool mark = code == 0x2705 || code == 0x2713 || code == 0x2714 || (code >= 0x1F300 && code <= 0x1FAFF);
    return letter || mark ? 'u' : 0;
}

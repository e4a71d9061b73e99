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
     "false falsely incorrect incorrectly untrue mistaken mistakenly unlikely unequal differs differ doubt "
     "doubtful "
     "doubtfully "
     "hardly rarely seldom barely scarcely deny denied denies reject rejected refuse disagree contrary opposite "
     "unknown unsure "
     "uncertain "
     "undefined impossible unless except excluding instead rather otherwise else maybe perhaps possibly "
     "pretend kidding joke joking excludes exclude anywhere somewhere",
     NUMBER_WORD_NEGATION},
    {"negation bil mio mrd milliard milliards mille tausend tsd doz some counting give multiple multiples factor "
     "factors "
     "divisor divisors "
     "divisible couple but far "
     "hundred hundreds thousand thousands thousandfold million millions mil mill mln billion billions bn bln "
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
     "short too or versus vs another other others plusminus infinity infinite different "
     "if scratch wait zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
     "sixteen seventeen "
     "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety",
     NUMBER_WORD_CHANGES},
    {"minus negative", NUMBER_WORD_MINUS},
    {"usd eur gbp jpy inr cad aud rs dollar dollars euro euros rupee rupees pound pounds yen", NUMBER_WORD_CURRENCY},
    {"is are was were be equals equal it's that's there's", NUMBER_WORD_IS},
    {"the a an i overall finally approx gives give yields leaves found find obtain obtained final answer answers total "
     "result solution "
     "value sum amount number "
     "it its he she they there we you know "
     "get gets "
     "got have has had so thus hence therefore exactly precisely approximately about around roughly just only simply "
     "all of "
     "that this which makes make made earns earn pays pay paid costs cost needs need spends spend spent sold bought "
     "made earned saved gave received will would in "
     "and altogether",
     NUMBER_WORD_NEUTRAL},
};

/* Roles of words in a clause about a number. */
static const struct {
    const char *words;
    unsigned roles;
} role_lists[] = {
    {"probably presumably supposedly allegedly apparently arguably hypothetically conceivably seemingly tentatively "
     "purportedly ostensibly theoretically guess guesses guessed guessing guesswork hunch erroneous erroneously "
     "miscounted miscalculated miscalculation misread mistyped typo placeholder decoy naively bound bounds ceiling "
     "previously formerly",
     NUMBER_ROLE_HEDGE},
    {"seems appears fails contradicts overshoots undershoots overcounts undercounts overestimates underestimates "
     "violates conflicts disagrees misleads errs invalid bogus nonsense flawed faulty unverified unconfirmed unproven "
     "unchecked untested dubious questionable debatable disproved disproven refuted retracted retract inaccurate "
     "inaccurately improbable implausible flops backfires misfires falters collapses deceives misrepresents "
     "exaggerates miscounts misstates mismatches clashes unfounded unsupported fallacious spurious overstates "
     "understates invalidates defies belies undermines deviates unsound unreliable unacceptable unsatisfactory "
     "inadequate inapplicable illogical nonsensical meaningless misguided misleading fictitious speculative "
     "conjectural unsubstantiated unwarranted preposterous ludicrous fabricated mistake error blunder misprint "
     "miscount slip fallacy misstep illusion delusion overestimate underestimate",
     NUMBER_ROLE_DENIES},
    {"seem seemed appear appeared looked sounded felt fail failing contradict contradicted contradicting "
     "overshot overshooting undershot violated violating broke ignores "
     "ignored forgets forgot omits omitted neglects neglected overlooks overlooked varies "
     "becomes became gets goes went comes came fell proves proved ceases lacks deserves something "
     "somehow ish max limit cap bound ceiling tbd tba unclear unlikely needs wants begs crumbled crumbles collapsed "
     "disappoints disappointed misled strays strayed diverges diverged flunks flunked whatever",
     NUMBER_ROLE_VERB},
    {"looks sounds feels smells misses breaks changes falls lies turns stops raises doubles triples leaves rests hides "
     "rises drops grows shrinks counts",
     NUMBER_ROLE_NOUN},
    {"the a an his her its our my your their this that one two short out down up apart to be like as off from by after "
     "because for too checking work wrong into beyond outside onto over past under it both them below above twice "
     "again badly later earlier",
     NUMBER_ROLE_OBJECT},
    {"rejected excluded eliminated discarded deleted erased removed crossed struck scratched scrapped withdrawn "
     "revoked cancelled canceled voided void null overruled overturned superseded replaced corrected revised dismissed "
     "disputed contested debated doubted challenged tentative pending provisional preliminary suspicious suspect fishy "
     "imprecise inexact incomplete infeasible inadmissible unreachable absurd ridiculous silly ruled outdated obsolete "
     "unfounded unjustified unreasonable inconsistent incompatible insufficient exceeded different failed missed "
     "changed turned stopped nullified annulled negated falsified debunked vetoed disallowed forbidden discredited odd "
     "barred nixed axed binned purged deprecated reversed disowned disavowed renounced recanted abandoned overridden "
     "overwritten invalidated disqualified unsupported misplaced misjudged misreported misquoted miscopied overcounted "
     "undercounted overestimated underestimated overstated understated inflated exaggerated assumed supposed "
     "conjectured forgotten",
     NUMBER_ROLE_STATE},
    {"off high low big small large close old odd bad used past gone history based out too wide near shaky weak poor "
     "iffy sketchy weird ambiguous arbitrary premature temporary optimistic pessimistic generous excessive lacking "
     "wanting nowhere start beginning draft trap trick lure bait fluke joke mistake error estimate approximation "
     "assumption",
     NUMBER_ROLE_ADJECTIVE},
    {"has had does did can could may might must shall should would will ought tends happens gives gave says said means "
     "meant implies implied assumes assumed requires depends",
     NUMBER_ROLE_AUXILIARY},
    {"the his her their our my your its it how that who all left leftover remaining correct right true exactly "
     "for needed required enough sufficient available given because when where valid fine good ok okay final done "
     "spent worth per in on at to of saved paid earned sold made counted",
     NUMBER_ROLE_AFFIRMS},
    {"just really actually clearly still also simply surely certainly definitely indeed quite very rather so then thus "
     "therefore obviously again even way far bit little only",
     NUMBER_ROLE_ADVERB},
    {"it this that which but yet and answer result value", NUMBER_ROLE_PRONOUN},
    {"answer answers guess attempt response thought reply estimate submission", NUMBER_ROLE_ANSWER},
    {"result results solution calculation output value idea try one", NUMBER_ROLE_RESULT},
    {"older first initial original last common usual obvious intuitive provisional preliminary tentative trick "
     "alternative draft discarded rejected withdrawn trap decoy bait wrong false early",
     NUMBER_ROLE_OLD_ANSWER},
    {"previous prior earlier former old starting naive tempting", NUMBER_ROLE_OLD_ANSWER | NUMBER_ROLE_OLD_RESULT},
    {"was were had used ought might may could", NUMBER_ROLE_PAST},
    {"thought ignore disregard discard forget dismiss scrap suppose assume imagine claim claims claimed hope hopes "
     "hoped hoping hopefully wish wishes wished retract",
     NUMBER_ROLE_DISMISSES},
    {"need needs needed require requires required find save earn buy get add wait", NUMBER_ROLE_NEED},
    {"half halves quarter quarters least most thousand million hundred billion thousands dozen millions maximum "
     "minimum "
     "power powers root factorial base hexadecimal hex binary octal too some counting take zero error mistake excluded "
     "ruled",
     NUMBER_ROLE_CHANGES},
    {"more less fewer", NUMBER_ROLE_COMPARES},
    {"to have could might may well initially originally first earlier i we rule rules ruling ruled cross skip avoid "
     "omit supposing assuming say says said suggest suggests suggested propose proposed argue argues step question "
     "problem chapter exercise figure section example assumed supposed",
     NUMBER_ROLE_PHRASE},
};

/* ---- a table of the words above, made once ---- */

#define SLOTS 2048

static struct slot {
    struct str word;
    enum number_word kind;
    unsigned roles;
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

/* The slots of a list of words, one after another; NULL: the list is at its end. */
static struct slot *next_slot(const char **list)
{
    struct str word = {*list, strcspn(*list, " ")};
    struct slot *slot = word.length ? slot_of(word) : NULL;
    *list += word.length + ((*list)[word.length] == ' ');
    if (slot && !slot->word.length) {
        *slot = (struct slot){.word = word, .kind = word.length == 1 ? NUMBER_WORD_LETTERS : NUMBER_WORD_OTHER};
    }
    return slot;
}

static void make_slots(void)
{
    struct slot *slot;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        for (const char *list = classes[i].words; (slot = next_slot(&list));) {
            slot->kind =
                slot->kind == NUMBER_WORD_OTHER || slot->kind == NUMBER_WORD_LETTERS ? classes[i].kind : slot->kind;
        }
    }
    for (size_t i = 0; i < sizeof role_lists / sizeof *role_lists; i++) {
        for (const char *list = role_lists[i].words; (slot = next_slot(&list));) {
            slot->roles |= role_lists[i].roles;
        }
    }
}

unsigned number_word_roles(struct str word)
{
    pthread_once(&slots_made, make_slots);
    return word.length ? slot_of(word)->roles : 0;
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

bool number_word_in(const char *words, struct str word)
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
        return !attached && number_word_in("more less fewer times over square squares cubes different sec", word);
    }
    if (word.length == 1) {
        return (strchr(letters, word.data[0]) && word.data[0] != ' ') || (!attached && word.data[0] == 'a');
    }
    const struct math_unit *unit = math_units_find(word);
    if (attached || word.length == 2) {
        return unit != NULL || (!attached && number_word_in(prose, word));
    }
    return true;
}

char number_word_code(uint32_t code)
{
    /* Chinese: not, wrong, and marks that cross out or ask; ten thousand, thousand, hundred, half, times, more, or, minus, the particle of "18's
     * square" */
    static const uint32_t denies[] = {0x4E0D,  0x975E,  0x6CA1,  0x672A,  0x5426,  0x9519, 0x932F,
                                      0x26D4,  0x274C,  0x274E,  0x2717,  0x2718,  0x2753, 0x2754,
                                      0x1F44E, 0x1F6AB, 0x1F6D1, 0x1F914, 0x1F937, 0},
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
                  (code >= 0xAC00 && code <= 0xD7AF) || code == 0x2103 || code == 0x2109; /* and degrees C, F */
    bool mark = code == 0x2705 || code == 0x2713 || code == 0x2714 || (code >= 0x1F300 && code <= 0x1FAFF);
    return letter || mark ? 'u' : 0;
}

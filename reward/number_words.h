/* reward/number_words.h - what words around a number do to it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_NUMBER_WORDS_H
#define REWARD_NUMBER_WORDS_H

#include <stdint.h>

#include "base/str.h"

enum number_word {
    NUMBER_WORD_OTHER,    /* a noun, a unit, a verb: says nothing of the value */
    NUMBER_WORD_NEUTRAL,  /* may come right before the number: "the", "answer", "she has" */
    NUMBER_WORD_IS,       /* is, are, equals: whatever comes before names the number */
    NUMBER_WORD_NEGATION, /* takes the number back wherever it is: not, never, wrong */
    NUMBER_WORD_CHANGES,  /* makes it another value, or a bound: thousand, half, than, squared, or, twelve */
    NUMBER_WORD_MINUS,    /* a sign when right before the number */
    NUMBER_WORD_CURRENCY,
    NUMBER_WORD_LETTERS, /* no word but a product of letters: xy, b */
};

/* What a word does in a clause about a number (number_doubt.h); a word may have several. */
enum number_role {
    NUMBER_ROLE_HEDGE = 1,            /* doubts the number on either side of it: "probably", "guess" */
    NUMBER_ROLE_DENIES = 1 << 1,      /* takes back any number before it: "fails", "invalid" */
    NUMBER_ROLE_VERB = 1 << 2,        /* takes back what comes right before it */
    NUMBER_ROLE_NOUN = 1 << 3,        /* so with an object; without one it is counted: "18 misses" */
    NUMBER_ROLE_OBJECT = 1 << 4,      /* "the", "short": makes a verb of the word before */
    NUMBER_ROLE_STATE = 1 << 5,       /* takes back after "is", or at the end: "rejected" */
    NUMBER_ROLE_ADJECTIVE = 1 << 6,   /* after "is" alone: "off", "high" */
    NUMBER_ROLE_AUXILIARY = 1 << 7,   /* right after a number its subject is the number */
    NUMBER_ROLE_AFFIRMS = 1 << 8,     /* may come after "18 is" */
    NUMBER_ROLE_ADVERB = 1 << 9,      /* stepped over */
    NUMBER_ROLE_PRONOUN = 1 << 10,    /* means the number: "it", "which" */
    NUMBER_ROLE_ANSWER = 1 << 11,     /* "answer", "guess" */
    NUMBER_ROLE_RESULT = 1 << 12,     /* "result", "value" */
    NUMBER_ROLE_OLD_ANSWER = 1 << 13, /* before an answer: it was given up */
    NUMBER_ROLE_OLD_RESULT = 1 << 14, /* before a result too */
    NUMBER_ROLE_PAST = 1 << 15,       /* after an answer: "was", "could" */
    NUMBER_ROLE_DISMISSES = 1 << 16,  /* the number comes after it: "ignore", "claimed" */
    NUMBER_ROLE_NEED = 1 << 17,       /* wants an amount: "needs" */
    NUMBER_ROLE_CHANGES = 1 << 18,    /* makes another value near the number: "half", "power" */
    NUMBER_ROLE_COMPARES = 1 << 19,   /* "more", "less", "fewer" */
    NUMBER_ROLE_PHRASE = 1 << 20,     /* in the middle of one of the phrases: "could be", "used to think" */
};

enum number_word number_word(struct str word);
/* The roles of the word, as bits. */
unsigned number_word_roles(struct str word);
/* Is the word in the list, whose words are separated by one blank? In any case. */
bool number_word_in(const char *words, struct str word);
/* May these letters come after the number as its unit? `attached`: nothing comes between ("18cm"). */
bool number_word_unit(struct str word, bool attached);
/* A character beyond ASCII next to a number: 'u' a letter as of a unit, or a mark; '-' it negates; '*' it makes another
 * value; 0: something else. */
char number_word_code(uint32_t code);

#endif

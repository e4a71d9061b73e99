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

enum number_word number_word(struct str word);
/* May these letters come after the number as its unit? `attached`: nothing comes between ("18cm"). */
bool number_word_unit(struct str word, bool attached);
/* A character beyond ASCII next to a number: 'u' a letter as of a unit, or a mark; '-' it negates; '*' it makes another
 * value; 0: something else. */
char number_word_code(uint32_t code);

#endif

/* reward/number.h - the one plain number that a text names: the reader of `gsm8k`, `math`, `exact` and the phrases.
 *
 * A text is read if it is
 *   [words] [sign] [currency] number [unit words]
 *   sign      - + and every dash of Unicode, "minus", "negative"; layout, fonts and brackets may come between
 *   currency  $ \$ € £ ¥, USD, Rs. ..., before or after the number
 *   number    18  1,234  1{,}234  1,\!234  1\,234  1'234  1 234  1_234  1.234.567  18.50  .5  1.2e3  1.2 \times 10^3
 *             full-width digits; 3/4  \frac34  1 1/2  1\frac12  1½
 *   words     before: "the answer is", "about", or any that end in "is", "are" or ":"; after: what is counted or
 *             measured
 *   equation  "x = 18", "9 \times 2 = 18": each other side is a name, or an expression with this value
 * It is no number, and never guessed, where anything says that another value is meant or none: a negation (not, never,
 * isn't), a comparison (<, more than, at least), a factor (thousand, k, dozen, half), a power, root, factorial, index,
 * function or letter at the number, an equation with another value, or a second number; and where the number is said
 * to fail, is hedged, compared or of the past ("18 seems off", "my previous answer was 18", "18 more"), or is cut out of
 * something else ("18th", "18'", "18:1"): number_doubt.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_NUMBER_H
#define REWARD_NUMBER_H

#include "base/arena.h"
#include "base/str.h"

/* (-1)^negative * top / bottom * 10^exponent, in one form: 0 is not negative, top and a bottom of "1" have no zeros at
 * either end, and where the bottom is another the exponent is 0. */
struct number {
    bool negative;
    struct str top, bottom; /* decimal digits in the arena; top is empty for 0 */
    int exponent;
    bool bare; /* nothing but sign and number: no words, currency, percent sign or equation */
};

/* False: the text is not one plain number. Any bytes may come; at most NUMBER_MAX_BYTES are read. */
bool number_read(struct str text, struct arena *arena, struct number *out);
bool number_equal(const struct number *a, const struct number *b);

#define NUMBER_MAX_BYTES 2048

/* The last number of a text with what belongs to it as a formula: its sign, its equation, what is joined to it without
 * a word between ("9 * 2 = 18", "\\frac{18}{5}", "x^{18}"). False: there is no digit. Linear in the text. */
bool number_last(struct str text, struct str *found);
/* The sentence of the text that the slice `part` is in. */
struct str number_sentence(struct str text, struct str part);
/* As number_read; and of a text that is prose (three words and more), its last number, if nothing takes it back. */
bool number_read_prose(struct str text, struct arena *arena, struct number *out);
/* Does the sentence take back the number in it (a slice of the sentence; it may be a formula): by a negation before or
 * after it, or by a comparison, factor or operation next to it? For a number that is cut out of prose. */
bool number_doubted(struct str sentence, struct str number);
/* Is the number, a slice of the text and the last in it, taken back by a sentence after its own: "That fails."? */
bool number_revoked(struct str text, struct str number);
/* Does a word of the text negate: "not", "never", "wrong"? */
bool number_denied(struct str text);

#endif

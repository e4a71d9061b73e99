/* reward/math/pair.h - does an answer equal the reference?
 *
 * The whole of the math checker in one call: both texts are cleaned, cut into tokens, and compared as text; then both
 * are read into trees and compared by their kind (match.h). Never more than MATH_BUDGET operations; no state, no
 * locale, no signal; the same pair always gets the same outcome.
 *
 * The specification is the study of boxed-answer checkers, sections 5.3 to 5.6. Where this departs from it:
 *   integers of any size are never built: large powers stay modular, so there is no limit in bits
 *   polynomials are not expanded and nothing is simplified: equality is tested, forms are not made
 *   a decimal answer with 3 places more than a decimal reference may round to it (value.h)
 *   "1,234" and "2e3" are read in both ways where that is what makes the pair equal (lex.h)
 *   number words are read where they are the whole answer
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_PAIR_H
#define REWARD_MATH_PAIR_H

#include "reward/math/value.h"

struct math_outcome {
    enum {
        MATH_EQUAL,
        MATH_DIFFERENT,
        MATH_GOLD_UNREAD, /* and the texts differ */
        MATH_SAID_UNREAD,
        MATH_LIMIT, /* the budget is spent */
    } kind;
    const char *path; /* what decided, or what could not be read; static */
};

/* Either text may still hold a box, several boxes in a run, or a whole solution that ends with one. Scratch memory
 * comes from the arena. */
struct math_outcome math_pair_judge(const struct math_options *options, struct str gold, struct str said,
                                    struct arena *arena);

/* What is wrong with a reference; NULL: it can be read. */
const char *math_pair_wrong(struct str gold, struct arena *arena);

/* How many values a reference lists; 1 if it cannot be read. */
int math_pair_count(struct str gold, struct arena *arena);

#endif

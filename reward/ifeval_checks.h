/* reward/ifeval_checks.h - the instructions that reward/ifeval.c can check.
 *
 * Names, arguments and meaning are those of IFEval (arXiv 2311.07911), with these differences, where its code asks a
 * statistical model or a random number:
 *   sentences       by rules (reward/sentence.h), not NLTK's Punkt
 *   languages       by script (reward/script.h): nine words of ten; not langdetect
 *   capital words   runs of letters, digits, - and ', not NLTK's tokens
 *   keywords        as they are, not as regular expressions
 *   arguments       one that is missing is an error, not drawn at random
 * Additions of our own: startend:start_checker {starter}, startend:sentence_end {sentence_end},
 * detectable_format:json_object; relations "at most" and "exactly".
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_IFEVAL_CHECKS_H
#define REWARD_IFEVAL_CHECKS_H

#include <jansson.h>

#include "base/arena.h"
#include "base/str.h"

/* A response, and the arguments of the instruction at hand. */
struct ifeval_check {
    struct str text, lower; /* `lower`: the text in lower case */
    const json_t *args;     /* an object, or NULL */
    struct arena *arena;
    const char *fault; /* set when an argument is missing or wrong: the answer means nothing then */
};

typedef bool ifeval_rule(struct ifeval_check *check);

/* NULL: no such instruction. */
ifeval_rule *ifeval_find(const char *id);

/* Arguments; on a fault 0 or "". */
int64_t ifeval_int(struct ifeval_check *check, const char *name);
struct str ifeval_text(struct ifeval_check *check, const char *name);
/* Whether n is "less than", "at least", "at most" or "exactly" the argument `name`. */
bool ifeval_compare(struct ifeval_check *check, int64_t n, const char *relation, const char *name);

/* Rules about layout (reward/ifeval_layout.c). */
ifeval_rule ifeval_paragraphs, ifeval_first_word, ifeval_placeholders, ifeval_postscript, ifeval_bullets,
    ifeval_highlights, ifeval_sections, ifeval_json, ifeval_json_object, ifeval_title, ifeval_two_responses;

#endif

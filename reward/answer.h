/* reward/answer.h - where in a completion the final answer is.
 *
 * Searched in this order; the first that is there decides, and nothing is guessed after it:
 *   turn        nothing after a special token that ends the turn (<|im_end|>, <|eot_id|>, </s> ...) is looked at
 *   reasoning   nor is text up to the last </think>; thinking that never ends holds no answer. `prefilled`: the prompt
 *               opened it (tags.h)
 *   answer tag  with answer_tags: the one <answer> ... </answer> after the thinking, and a box inside it if there is
 *               one; nothing else. With phrases: likewise where there is a </answer>
 *   phrase      with phrases: "the final answer is x" after the last box, if x is a formula or a number
 *   box         the last \boxed{...} (\fbox, \framebox; \boxed 7; JSON's \\boxed{...}), braces balanced. A last box
 *               that is empty or not closed means no answer: an earlier one was not the last word
 *   #### x      with hashes: the rest of the line
 *   phrase      with phrases: "the answer is x", "Answer: x", "Final answer - x", "Ans. x", a heading "Final Answer"
 *               and the line below it, "Result: x"; the last one in the last 4,096 bytes, cut to its formula, or to its
 *               sentence. One that is denied ("it is not true that the answer is x") or followed by another candidate
 *               ("Or 17.") is no answer, and then there is none
 *   formula     with bare: the last $...$, \(...\), \[...\]
 *   number      with bare: the last number of a sentence that concludes ("so", "is", "=" ...), or a text that is
 *               nothing but an expression. With last_number: the last number that its sentence does not take back
 *               (number.h)
 *
 * Boxes in one run ("\boxed{2} and \boxed{3}") are all returned: the question may want a list. In
 * "\boxed{1/3} \approx \boxed{0.333}" the box before the sign counts.
 *
 * A box that a minus sign touches from outside ("-\boxed{18}") is no answer.
 *
 * Everything is a slice of the response; time is linear in the response, of which the last MiB is read. Any bytes may
 * come.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_ANSWER_H
#define REWARD_ANSWER_H

#include "base/str.h"

#define ANSWER_MAX_BYTES  ((size_t)1 << 20)
#define ANSWER_TAIL_BYTES 4096
#define ANSWER_MAX_BOXES  64
#define ANSWER_MAX_UNDONE 4 /* boxes not closed that `lenient` steps over */

struct answer_options {
    bool answer_tags; /* only <answer> ... </answer> */
    bool prefilled;   /* the prompt opened the thinking */
    bool hashes;      /* "#### x" too */
    bool phrases;     /* "the answer is x" too, and the inside of an answer tag */
    bool bare;        /* the last formula or number of a conclusion too */
    bool last_number; /* any last number too */
    bool lenient;     /* a last box that is not closed: take the one before */
};

struct answer {
    struct str text;                    /* trimmed, never empty */
    struct str searched;                /* the turn after its thinking */
    const char *path;                   /* "box", "answer tag", "####", "phrase", "formula", "number"; static */
    struct str boxes[ANSWER_MAX_BOXES]; /* the run that ends with the last box, in the order of the text */
    int n_boxes;                        /* 0: the path is not "box" */
    bool more_boxes;                    /* there are boxes before the run */
};

/* NULL, and *out filled; or why there is no answer, in a few static words. */
const char *answer_find(struct str response, const struct answer_options *options, struct answer *out);

/* The completion up to the end of its turn; of the last ANSWER_MAX_BYTES. */
struct str answer_turn(struct str response);

/* All boxes of `searched` (struct answer), in the order of the text, with words between them, for a reference that
 * lists as many: "\boxed{3} apples and \boxed{4} pears". names[i]: what is left of the "=" before box i, empty:
 * nothing. 0: there is one box or more than `max`, one is empty or not closed, or what is between takes one back. */
int answer_all_boxes(struct str searched, struct str *boxes, struct str *names, int max);

/* The run of boxes that ends with the last one; false if there is none, or it is empty or not closed. */
bool answer_boxes(struct str text, bool lenient, struct answer *out);

#endif

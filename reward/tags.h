/* reward/tags.h - the two tag pairs of the R1-Zero template in a completion.
 *
 * The thinking ends with the last </think>. Where the prompt already opened it (`prefilled`), a completion without
 * </think> is nothing but thinking; so is one with a <think> that no </think> follows. Tags inside the thinking are
 * prose.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_TAGS_H
#define REWARD_TAGS_H

#include "base/str.h"

/* Did the prompt open the thinking? `option` is the reward's own `prefilled`; else the prompt says so: it ends with
 * <think> and white space. Every reward that looks at thinking or answers calls this function. */
bool tags_prefilled(bool option, struct str prompt);
#define TAGS_PREFILLED_HELP "the prompt ends with <think> (found by itself where the prompt is known)"

/* The assistant's turn: up to the first special token that ends one and that something comes before. */
struct str tags_turn(struct str text);

/* Is there nothing that can be seen: white space, blanks of no width? */
bool tags_blank(struct str text);

/* Whole text is <think> ... </think> <answer> ... </answer> with only white space around and between, each tag once
 * (with `prefilled`, the first is in the prompt and not here), and both parts hold something. Fills think and answer
 * (may be NULL) if so. */
bool tags_strict(struct str text, bool prefilled, struct str *think, struct str *answer);
/* The share of the four tags (three when prefilled) that are in their place: each counts if all before it do, if it is
 * there once, and if
 *   <think>    nothing but white space comes before it
 *   </think>   the thinking holds something, and no other tag
 *   <answer>   nothing but white space comes before it, and the answer holds something
 *   </answer>  nothing but white space follows
 * 0 if a part was copied from the template (tags_copied). */
double tags_share(struct str text, bool prefilled, struct str prompt);
/* Is the thinking or the answer a placeholder ("the thinking", "answer here", "...") or what the prompt itself has
 * between these tags? An answer with a digit is never taken for one: a prompt may show solved examples. */
bool tags_copied(struct str think, struct str answer, struct str prompt);

/* What follows the thinking; all if there are no tags of thinking. False: it never ends. */
bool tags_rest(struct str text, bool prefilled, struct str *rest);
/* The inside of the last <answer> ... </answer> after the thinking; false if there is none. */
bool tags_answer(struct str text, bool prefilled, struct str *answer);
/* tags_answer where nothing else is an answer: <answer> and </answer> each once after the thinking; and if there are
 * tags of thinking, <think> (in the prompt when prefilled) and </think> each once, in this order. NULL, or what is
 * wrong; static. */
const char *tags_only_answer(struct str text, bool prefilled, struct str *answer);

/* A part of a completion by its tags, for rewards that let the user choose:
 *   all       everything
 *   thinking  from after the first <think>, or the start, to the </think> after it, else the first <answer>, else the
 *             end
 *   rest      tags_rest, answer: tags_answer; not prefilled
 * False if there is no such part. */
enum tags_part { PART_ALL, PART_THINKING, PART_REST, PART_ANSWER };
#define TAGS_PARTS "all|thinking|rest|answer"
enum tags_part tags_part_of(const char *name);
bool tags_part(struct str text, enum tags_part part, struct str *out);

#endif

/* reward/part.h - one opened reward: its kind, the values of its options, its state.
 *
 * A set is made of parts (reward/set.c); a reward that asks another one holds a part (reward/cosine_length.c).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_PART_H
#define REWARD_PART_H

#include "reward/options.h"

struct reward_part {
    struct reward_values values;
    void *state;
};

/* `text` as in struct reward_spec. On failure nothing is left open. */
enum err reward_part_open(struct reward_part *part, const char *text);
void reward_part_close(struct reward_part *part); /* an all-zero part is fine */
/* The kind's verdict; a score that is not finite becomes an error. Any number of threads at once. */
struct verdict reward_part_judge(const struct reward_part *part, const struct reward_item *item,
                                 const struct reward_call *call);
/* reward_part_judge for a whole batch, of a kind that has judge_all. */
void reward_part_judge_all(const struct reward_part *part, const struct reward_item *items, int n, double seconds,
                           const struct reward_call *call, struct verdict *verdicts);
const char *reward_part_check(const struct reward_part *part, const json_t *row, struct arena *arena); /* see check */
const char *reward_part_dead(const struct reward_part *part, struct arena *arena);                     /* see dead */

#endif

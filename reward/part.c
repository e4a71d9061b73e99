/* reward/part.c - calls the kind's functions, and makes a score that is not finite an error.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/part.h"

#include <math.h>
#include <stdlib.h>

enum err reward_part_open(struct reward_part *part, const char *text)
{
    struct reward_part opened = {0};
    TRY(reward_values_parse(&opened.values, text));
    const struct reward_kind *kind = opened.values.kind;
    opened.state = mem_zero(kind->state_bytes);
    enum err result = kind->open ? kind->open(opened.state, &opened.values) : ERR_NONE;
    if (result != ERR_NONE) {
        reward_part_close(&opened);
        return result;
    }
    *part = opened;
    return ERR_NONE;
}

void reward_part_close(struct reward_part *part)
{
    const struct reward_kind *kind = part->values.kind;
    if (kind && kind->close) {
        kind->close(part->state);
    }
    free(part->state);
    reward_values_release(&part->values);
    *part = (struct reward_part){0};
}

static struct verdict checked(struct verdict v)
{
    return v.kind == VERDICT_OK && !isfinite(v.score) ? verdict_error("the score is not a finite number") : v;
}

struct verdict reward_part_judge(const struct reward_part *part, const struct reward_item *item,
                                 const struct reward_call *call)
{
    return checked(part->values.kind->judge(part->state, item, call));
}

void reward_part_judge_all(const struct reward_part *part, const struct reward_item *items, int n, double seconds,
                           const struct reward_call *call, struct verdict *verdicts)
{
    part->values.kind->judge_all(part->state, items, n, seconds, call, verdicts);
    for (int i = 0; i < n; i++) {
        verdicts[i] = checked(verdicts[i]);
    }
}

const char *reward_part_check(const struct reward_part *part, const json_t *row, struct arena *arena)
{
    const struct reward_kind *kind = part->values.kind;
    if (kind->check || !kind->fields[0]) {
        return kind->check ? kind->check(part->state, row, arena) : NULL;
    }
    struct reward_item item = {.fields = row, .n_tokens = 1, .max_tokens = 1};
    struct reward_call call = {.arena = arena, .deadline = INFINITY};
    struct verdict v = kind->judge(part->state, &item, &call);
    return v.kind == VERDICT_ERROR ? v.reason : NULL;
}

const char *reward_part_dead(const struct reward_part *part, struct arena *arena)
{
    const struct reward_kind *kind = part->values.kind;
    return kind->dead ? kind->dead(part->state, arena) : NULL;
}

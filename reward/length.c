/* reward/length.c - is the completion as long as it should be?
 *
 * With n the length, [min, max] what is wanted, d the distance of n from it, and m the margin:
 *   1 if d = 0      1 - d / m  if d < m      0 otherwise
 * A target is min = max = target; its margin is the target itself unless given.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/rewards.h"
#include "reward/text.h"

struct length {
    enum text_unit unit;
    int64_t target, min, max, margin;
    const char *target_field; /* "": none */
};

static const struct reward_option length_options[] = {
    {"unit", OPTION_CHOICE, "tokens", 0, 0, TEXT_UNITS, "what is counted"},
    {"target", OPTION_INT, "0", 0, 1e9, NULL, "the length wanted; 0: none, limits are given"},
    {"target_field", OPTION_TEXT, "", 0, 0, NULL, "the field of an item that holds its target; empty: none"},
    {"least", OPTION_INT, "0", 0, 1e9, NULL, "the shortest length that earns 1"},
    {"most", OPTION_INT, "0", 0, 1e9, NULL, "the longest length that earns 1; 0: no limit"},
    {"margin", OPTION_INT, "-1", -1, 1e9, NULL,
     "how far outside nothing is left; -1: the target itself, or at once for limits"},
    {0},
};

static enum err length_open(void *state, const struct reward_values *values)
{
    struct length *length = state;
    length->unit = text_unit_of(reward_text(values, "unit"));
    length->target = reward_int(values, "target");
    length->target_field = reward_text(values, "target_field");
    length->min = reward_int(values, "least");
    length->max = reward_int(values, "most");
    length->margin = reward_int(values, "margin");
    int n_given = (length->target > 0) + (*length->target_field != '\0') + (length->min > 0 || length->max > 0);
    if (n_given != 1) {
        return err_set(ERR_USAGE, "reward length needs one of target, target_field, or limits (least, most)");
    }
    if (length->max > 0 && length->max < length->min) {
        return err_set(ERR_USAGE, "reward length: least is %lld, above most, %lld; swap them", (long long)length->min,
                       (long long)length->max);
    }
    return ERR_NONE;
}

static struct verdict length_judge(const void *state, const struct reward_item *item, const struct reward_call *call)
{
    const struct length *length = state;
    int64_t n, target = length->target, min = length->min, max = length->max ? length->max : INT64_MAX;
    if (!text_length(item, length->unit, &n)) {
        return verdict_error(TEXT_TOKENS_UNKNOWN);
    }
    if (*length->target_field) {
        const json_t *field = json_object_get(item->fields, length->target_field);
        target = json_integer_value(field);
        if (target <= 0) {
            return verdict_error(arena_printf(call->arena, "%s field '%s', which must be an integer above 0",
                                              field ? "wrong" : "missing", length->target_field));
        }
    }
    if (target > 0) {
        min = max = target;
    }
    int64_t margin = length->margin >= 0 ? length->margin : target;
    int64_t outside = n < min ? min - n : n > max ? n - max : 0;
    double score = outside == 0 ? 1 : outside < margin ? 1 - (double)outside / (double)margin : 0;
    char *text = arena_printf(call->arena, "%lld", (long long)n);
    return verdict_ok(score, n < min ? "too short" : n > max ? "too long" : "right", str_of(text));
}

const struct reward_kind reward_length = {
    .name = "length",
    .help = "1 if the completion has the wanted length, falling to 0 over a margin outside",
    .fields = "",
    .options = length_options,
    .open = length_open,
    .state_bytes = sizeof(struct length),
    .judge = length_judge,
};

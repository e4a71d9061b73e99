/* reward/cosine_length.c - right answers earn more when short, wrong ones lose less when long.
 *
 * arXiv 2502.03373, appendix C.1. With n the length, L the longest, and (a, b) = (value at 0, value at L)
 *   r = b + (a - b) (1 + cos(pi n / L)) / 2
 *   right: a = max_value_correct, b = min_value_correct      wrong: a = min_value_wrong, b = max_value_wrong
 * TRL counts tokens and holds n at L; open-r1 counts characters and lets the cosine rise again:
 * unit=characters,clamp=false. Another reward decides whether an answer is right.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "reward/part.h"
#include "reward/rewards.h"
#include "reward/text.h"

struct cosine_length {
    struct reward_part correct;
    double threshold, wrong_short, wrong_long, right_long, right_short;
    int64_t max;
    enum text_unit unit;
    bool clamp;
};

static const struct reward_option cosine_length_options[] = {
    {"correct", OPTION_TEXT, NULL, 0, 0, NULL,
     "the reward that says whether the answer is right, as on the command line"},
    {"threshold", OPTION_NUMBER, "1.0", -1e6, 1e6, NULL, "the score of that reward from which on an answer is right"},
    {"min_value_wrong", OPTION_NUMBER, "-1.0", -1e6, 1e6, NULL, "reward of a wrong answer of no length"},
    {"max_value_wrong", OPTION_NUMBER, "-0.5", -1e6, 1e6, NULL, "reward of the longest wrong answer"},
    {"min_value_correct", OPTION_NUMBER, "0.5", -1e6, 1e6, NULL, "reward of the longest right answer"},
    {"max_value_correct", OPTION_NUMBER, "1.0", -1e6, 1e6, NULL, "reward of a right answer of no length"},
    {"max_len", OPTION_INT, "0", 0, 1e9, NULL, "the longest length; 0: the tokens that the run allows"},
    {"unit", OPTION_CHOICE, "tokens", 0, 0, TEXT_UNITS, "what is counted"},
    {"clamp", OPTION_BOOL, "true", 0, 0, NULL, "lengths above max_len count as max_len"},
    {0},
};

static enum err cosine_length_open(void *state, const struct reward_values *values)
{
    struct cosine_length *cosine = state;
    cosine->threshold = reward_number(values, "threshold");
    cosine->wrong_short = reward_number(values, "min_value_wrong");
    cosine->wrong_long = reward_number(values, "max_value_wrong");
    cosine->right_long = reward_number(values, "min_value_correct");
    cosine->right_short = reward_number(values, "max_value_correct");
    cosine->max = reward_int(values, "max_len");
    cosine->unit = text_unit_of(reward_text(values, "unit"));
    cosine->clamp = reward_bool(values, "clamp");
    if (cosine->max == 0 && cosine->unit != TEXT_TOKENS) {
        return err_set(ERR_USAGE, "reward cosine_length needs the option max_len, since the run's limit is in tokens");
    }
    enum err result = reward_part_open(&cosine->correct, reward_text(values, "correct"));
    return result == ERR_NONE ? ERR_NONE : err_wrap(result, "reward cosine_length, option correct");
}

static void cosine_length_close(void *state)
{
    struct cosine_length *cosine = state;
    reward_part_close(&cosine->correct);
}

static struct verdict cosine_length_judge(const void *state, const struct reward_item *item,
                                          const struct reward_call *call)
{
    const struct cosine_length *cosine = state;
    int64_t max = cosine->max ? cosine->max : item->max_tokens, n;
    if (!text_length(item, cosine->unit, &n)) {
        return verdict_error(TEXT_TOKENS_UNKNOWN);
    }
    if (max <= 0) {
        return verdict_error("the limit of the run is not known; give max_len");
    }
    struct verdict v = reward_part_judge(&cosine->correct, item, call);
    if (v.kind != VERDICT_OK) {
        return v;
    }
    bool right = v.score >= cosine->threshold;
    double at_0 = right ? cosine->right_short : cosine->wrong_short;
    double at_max = right ? cosine->right_long : cosine->wrong_long;
    double progress = (double)n / (double)max;
    progress = cosine->clamp && progress > 1 ? 1 : progress;
    v.score = at_max + 0.5 * (at_0 - at_max) * (1 + cos(progress * acos(-1.0)));
    return v;
}

static const char *cosine_length_check(const void *state, const json_t *row, struct arena *arena)
{
    return reward_part_check(&((const struct cosine_length *)state)->correct, row, arena);
}

static const char *cosine_length_dead(const void *state, struct arena *arena)
{
    return reward_part_dead(&((const struct cosine_length *)state)->correct, arena);
}

const struct reward_kind reward_cosine_length = {
    .name = "cosine_length",
    .help = "scales a right-or-wrong reward by length along a cosine: short right answers earn most",
    .fields = "",
    .options = cosine_length_options,
    .open = cosine_length_open,
    .close = cosine_length_close,
    .state_bytes = sizeof(struct cosine_length),
    .judge = cosine_length_judge,
    .check = cosine_length_check,
    .dead = cosine_length_dead,
};

/* reward/think_format.c - reasoning between <think> and </think>, then the answer.
 *
 * TRL's think_format_reward asks that the text begins with <think>, has no other one, and has a </think> after it; so
 * it pays for "<think></think>". Here (mode strict) there must also be one </think> alone, something in the thinking
 * and something after it, which is in one pair of answer tags if there are any; and the completion must have ended by
 * itself.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "reward/rewards.h"
#include "reward/tags.h"

struct think_format {
    bool prefilled, as_trl;
};

static const struct reward_option think_format_options[] = {
    {"mode", OPTION_CHOICE, "strict", 0, 0, "strict|trl",
     "strict: thinking and answer both hold something, too; trl: TRL's pattern alone"},
    {"prefilled", OPTION_BOOL, "false", 0, 0, NULL, TAGS_PREFILLED_HELP ", so that none may follow"},
    {0},
};

static enum err think_format_open(void *state, const struct reward_values *values)
{
    struct think_format *format = state;
    format->as_trl = strcmp(reward_text(values, "mode"), "trl") == 0;
    format->prefilled = reward_bool(values, "prefilled");
    return ERR_NONE;
}

/* What is wrong with the answer after the thinking; NULL: nothing. */
static const char *wrong_answer(struct str rest)
{
    struct str open = STR("<answer>"), close = STR("</answer>");
    ptrdiff_t begin = str_find(rest, open, 0), end = str_find(rest, close, 0);
    if (tags_blank(rest)) {
        return "no answer";
    }
    if (begin < 0 && end < 0) {
        return NULL;
    }
    bool pair = begin >= 0 && begin < end && str_find_last(rest, open) == begin && str_find_last(rest, close) == end;
    struct str inside = pair ? str_slice(rest, (size_t)begin + open.length, (size_t)end) : (struct str){0};
    return tags_blank(inside) ? "the answer tags hold no answer" : NULL;
}

static const char *wrong(const struct think_format *format, const struct reward_item *item)
{
    struct str text = tags_turn(item->completion), open = STR("<think>"), close = STR("</think>");
    if (!tags_prefilled(format->prefilled, item->prompt)) {
        if (!str_starts(text, open)) {
            return "does not begin with <think>";
        }
        text = str_slice(text, open.length, text.length);
    }
    if (str_find(text, open, 0) >= 0) {
        return "more than one <think>";
    }
    ptrdiff_t end = str_find(text, close, 0);
    if (end < 0 || format->as_trl) {
        return end < 0 ? "no </think>" : NULL;
    }
    struct str think = str_slice(text, 0, (size_t)end), rest = str_slice(text, (size_t)end + close.length, text.length);
    return item->truncated                                     ? "cut off"
           : str_find(rest, close, 0) >= 0                     ? "more than one </think>"
           : tags_blank(think)                                 ? "no thinking"
           : tags_copied(think, (struct str){0}, item->prompt) ? "copied from the template"
                                                               : wrong_answer(rest);
}

static struct verdict think_format_judge(const void *state, const struct reward_item *item,
                                         const struct reward_call *call)
{
    (void)call;
    const char *reason = wrong(state, item);
    return verdict_ok(!reason, reason ? reason : "right", (struct str){0});
}

const struct reward_kind reward_think_format = {
    .name = "think_format",
    .help = "1 if the completion is <think>...</think> and an answer, both with content (TRL's think_format_reward)",
    .fields = "",
    .options = think_format_options,
    .open = think_format_open,
    .state_bytes = sizeof(struct think_format),
    .judge = think_format_judge,
};

/* reward/format.c - does the completion have the shape that the R1-Zero template asks for?
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "reward/rewards.h"
#include "reward/tags.h"

struct format {
    bool graded, prefilled;
};

static const struct reward_option format_options[] = {
    {"mode", OPTION_CHOICE, "strict", 0, 0, "strict|graded",
     "strict: 1 for the whole shape, else 0; graded: the share of tags that stand exactly once"},
    {"prefilled", OPTION_BOOL, "false", 0, 0, NULL, "the prompt already ends with <think>"},
    {0},
};

static enum err format_open(void *state, const struct reward_values *values)
{
    struct format *format = state;
    format->graded = strcmp(reward_text(values, "mode"), "graded") == 0;
    format->prefilled = reward_bool(values, "prefilled");
    return ERR_NONE;
}

static struct verdict format_judge(const void *state, const struct reward_item *item, const struct reward_call *call)
{
    (void)call;
    const struct format *format = state;
    if (format->graded) {
        return verdict_ok(tags_share(item->completion, format->prefilled), "share of tags", (struct str){0});
    }
    if (item->truncated) {
        return verdict_ok(0, "cut off", (struct str){0});
    }
    bool right = tags_strict(item->completion, format->prefilled, NULL, NULL);
    return verdict_ok(right, right ? "right" : "not <think>..</think><answer>..</answer>", (struct str){0});
}

const struct reward_kind reward_format = {
    .name = "format",
    .help = "1 if the completion is <think>...</think><answer>...</answer> and nothing else",
    .fields = "",
    .options = format_options,
    .open = format_open,
    .state_bytes = sizeof(struct format),
    .judge = format_judge,
};

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
     "strict: 1 for the whole shape, else 0; graded: the share of tags in their place"},
    {"prefilled", OPTION_BOOL, "false", 0, 0, NULL, TAGS_PREFILLED_HELP},
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
    bool prefilled = tags_prefilled(format->prefilled, item->prompt);
    struct str think, answer;
    if (item->truncated) {
        return verdict_ok(0, "cut off", (struct str){0});
    }
    struct str text = tags_turn(item->completion);
    if (format->graded) {
        return verdict_ok(tags_share(text, prefilled, item->prompt), "share of tags", (struct str){0});
    }
    if (!tags_strict(text, prefilled, &think, &answer)) {
        return verdict_ok(0, "not <think>..</think><answer>..</answer>", (struct str){0});
    }
    bool copied = tags_copied(think, answer, item->prompt);
    return verdict_ok(!copied, copied ? "copied from the template" : "right", (struct str){0});
}

const struct reward_kind reward_format = {
    .name = "format",
    .help = "1 if the completion is <think>...</think><answer>...</answer>, both with content, and nothing else",
    .fields = "",
    .options = format_options,
    .open = format_open,
    .state_bytes = sizeof(struct format),
    .judge = format_judge,
};

/* reward/tag_count.c - a quarter for each of the four tags that comes exactly once, on a line of its own.
 *
 * open-r1's tag_count_reward as it is: the line breaks belong to what it looks for, and it pays for tags in any order,
 * with anything or nothing between them. `format:mode=graded` pays for tags in their place.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/rewards.h"
#include "reward/tags.h"

struct tag_count {
    bool prefilled;
};

static const struct reward_option tag_count_options[] = {
    {"prefilled", OPTION_BOOL, "false", 0, 0, NULL, TAGS_PREFILLED_HELP ": a third for each of the others"},
    {0},
};

static enum err tag_count_open(void *state, const struct reward_values *values)
{
    struct tag_count *count = state;
    count->prefilled = reward_bool(values, "prefilled");
    return ERR_NONE;
}

static bool stands_once(struct str text, struct str tag)
{
    ptrdiff_t at = str_find(text, tag, 0);
    return at >= 0 && str_find(text, tag, (size_t)at + tag.length) < 0;
}

static struct verdict tag_count_judge(const void *state, const struct reward_item *item, const struct reward_call *call)
{
    (void)call;
    static const struct str tags[4] = {
        {"<think>\n", 8}, {"\n</think>\n", 10}, {"\n<answer>\n", 10}, {"\n</answer>", 10}};
    const struct tag_count *count = state;
    int first = tags_prefilled(count->prefilled, item->prompt) ? 1 : 0, n = 0;
    struct str turn = tags_turn(item->completion);
    for (int i = first; i < 4; i++) {
        n += stands_once(turn, tags[i]);
    }
    return verdict_ok((double)n / (4 - first), n == 4 - first ? "all tags" : "some tags", (struct str){0});
}

const struct reward_kind reward_tag_count = {
    .name = "tag_count",
    .help = "the share of <think>, </think>, <answer>, </answer> that come once, on lines of their own, as open-r1's",
    .fields = "",
    .options = tag_count_options,
    .open = tag_count_open,
    .state_bytes = sizeof(struct tag_count),
    .judge = tag_count_judge,
};

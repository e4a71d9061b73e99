/* reward/reasoning_steps.c - does the text go step by step?
 *
 * open-r1's reasoning_steps_reward counts, from left to right and without overlap, what matches
 *   Step \d+:   ^\d+\.   \n-   \n\*   First,   Second,   Next,   Finally,
 * and gives min(1, count / 3). It pays for the form alone: "First,Second,Finally," or three bare bullets earn all of
 * it, so give it a small weight. Its comment says that "1." counts at the start of each line; its pattern sees only the
 * start of the text. The pattern is the default here, the comment an option.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/rewards.h"
#include "reward/text.h"

struct reasoning_steps {
    int64_t steps;
    bool every_line;
};

static const struct reward_option reasoning_steps_options[] = {
    {"steps", OPTION_INT, "3", 1, 1e6, NULL, "how many steps earn the whole reward"},
    {"every_line", OPTION_BOOL, "false", 0, 0, NULL, "count '1.' at the start of every line, not only of the text"},
    {0},
};

static enum err reasoning_steps_open(void *state, const struct reward_values *values)
{
    struct reasoning_steps *steps = state;
    steps->steps = reward_int(values, "steps");
    steps->every_line = reward_bool(values, "every_line");
    return ERR_NONE;
}

/* Past "\d+" and `end`, or 0 if these do not start at `at`. */
static size_t numbered(struct str text, size_t at, char end)
{
    size_t start = at, length;
    while (at < text.length && text_is_digit(str_utf8_next(text, at, &length))) {
        at += length;
    }
    return at > start && at < text.length && text.data[at] == end ? at + 1 : 0;
}

/* Past the step that begins at `at`, or 0. */
static size_t step_end(const struct reasoning_steps *steps, struct str text, size_t at)
{
    static const struct str words[] = {{"\n-", 2},     {"\n*", 2},   {"First,", 6},
                                       {"Second,", 7}, {"Next,", 5}, {"Finally,", 8}};
    struct str rest = str_slice(text, at, text.length), step = STR("Step ");
    if (str_starts(rest, step)) {
        return numbered(text, at + step.length, ':');
    }
    if (at == 0 || (steps->every_line && text.data[at - 1] == '\n')) {
        size_t end = numbered(text, at, '.');
        if (end) {
            return end;
        }
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (str_starts(rest, words[i])) {
            return at + words[i].length;
        }
    }
    return 0;
}

static struct verdict reasoning_steps_judge(const void *state, const struct reward_item *item,
                                            const struct reward_call *call)
{
    const struct reasoning_steps *steps = state;
    struct str text = item->completion;
    int64_t n = 0;
    for (size_t at = 0; at < text.length;) {
        size_t end = step_end(steps, text, at);
        n += end > 0;
        at = end > 0 ? end : at + 1;
    }
    double share = (double)n / (double)steps->steps;
    return verdict_ok(share < 1 ? share : 1, arena_printf(call->arena, "%lld steps", (long long)n), (struct str){0});
}

const struct reward_kind reward_reasoning_steps = {
    .name = "reasoning_steps",
    .help = "1 from three visible steps on ('Step 1:', 'First,', bullets), less below, as open-r1's; it pays for the "
            "words, not for steps",
    .fields = "",
    .options = reasoning_steps_options,
    .open = reasoning_steps_open,
    .state_bytes = sizeof(struct reasoning_steps),
    .judge = reasoning_steps_judge,
};

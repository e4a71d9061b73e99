/* reward/soft_overlong.c - a penalty that grows over the last tokens before the limit.
 *
 * DAPO, arXiv 2503.14476, eq. 13, as TRL's get_soft_overlong_punishment: with n tokens, limit L and cache C
 *   0  if n <= L - C        (L - C - n) / C  if L - C < n <= L        -1  if L < n
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/rewards.h"
#include "reward/text.h"

struct soft_overlong {
    int64_t max, cache;
};

static const struct reward_option soft_overlong_options[] = {
    {"max_completion_len", OPTION_INT, "0", 0, 1e9, NULL, "tokens from which on all is lost; 0: the limit of the run"},
    {"soft_punish_cache", OPTION_INT, NULL, 0, 1e9, NULL, "tokens before the limit over which the penalty grows"},
    {0},
};

static enum err soft_overlong_open(void *state, const struct reward_values *values)
{
    struct soft_overlong *overlong = state;
    overlong->max = reward_int(values, "max_completion_len");
    overlong->cache = reward_int(values, "soft_punish_cache");
    return ERR_NONE;
}

static struct verdict soft_overlong_judge(const void *state, const struct reward_item *item,
                                          const struct reward_call *call)
{
    (void)call;
    const struct soft_overlong *overlong = state;
    int64_t max = overlong->max ? overlong->max : item->max_tokens, free = max - overlong->cache, n;
    if (!text_length(item, TEXT_TOKENS, &n)) {
        return verdict_error(TEXT_TOKENS_UNKNOWN);
    }
    if (max <= 0) {
        return verdict_error("the limit of the run is not known; give max_completion_len");
    }
    if (n <= free) {
        return verdict_ok(0, "short enough", (struct str){0});
    }
    if (n > max) {
        return verdict_ok(-1, "too long", (struct str){0});
    }
    return verdict_ok((double)(free - n) / (double)overlong->cache, "long", (struct str){0});
}

const struct reward_kind reward_soft_overlong = {
    .name = "soft_overlong",
    .help = "0, falling to -1 over the last tokens before the limit (DAPO, eq. 13; TRL's soft overlong punishment)",
    .fields = "",
    .options = soft_overlong_options,
    .open = soft_overlong_open,
    .state_bytes = sizeof(struct soft_overlong),
    .judge = soft_overlong_judge,
};

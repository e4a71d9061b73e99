/* reward/rewards.h - the kinds of reward, each in a file of its name.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_REWARDS_H
#define REWARD_REWARDS_H

#include "reward/reward.h"

extern const struct reward_kind reward_format;
extern const struct reward_kind reward_countdown;
extern const struct reward_kind reward_gsm8k;
extern const struct reward_kind reward_math;
extern const struct reward_kind reward_choice;
extern const struct reward_kind reward_exact;
extern const struct reward_kind reward_code;
extern const struct reward_kind reward_length;
extern const struct reward_kind reward_soft_overlong;
extern const struct reward_kind reward_cosine_length;
extern const struct reward_kind reward_repetition;
extern const struct reward_kind reward_language;
extern const struct reward_kind reward_tag_count;
extern const struct reward_kind reward_think_format;
extern const struct reward_kind reward_reasoning_steps;
extern const struct reward_kind reward_ifeval;
extern const struct reward_kind reward_command;
extern const struct reward_kind reward_plugin;
extern const struct reward_kind reward_http;

#endif

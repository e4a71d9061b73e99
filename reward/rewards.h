/* reward/rewards.h - the kinds of reward, each in a file of its name.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_REWARDS_H
#define REWARD_REWARDS_H

#include "reward/reward.h"

extern const struct reward_kind reward_format, reward_countdown;

#endif

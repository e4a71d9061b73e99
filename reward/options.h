/* reward/options.h - "name:key=value,key='a, b'" read against a table of options.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_OPTIONS_H
#define REWARD_OPTIONS_H

#include "reward/reward.h"

#define OPTIONS_MAX 24

struct reward_values {
    const struct reward_kind *kind;
    const char *texts[OPTIONS_MAX]; /* of kind->options, in their order; in the arena */
    double weight;
    bool only_if_right; /* paid only where the first reward of the set without this option gives 1 or more */
    const char *label;
    struct arena arena;
};

/* `text` as in struct reward_spec. ERR_USAGE names the reward, the option and what it may be. */
enum err reward_values_parse(struct reward_values *out, const char *text);
void reward_values_release(struct reward_values *values);

#endif

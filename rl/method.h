/* rl/method.h - what a run does, as one row per method: the recipe's `method`.
 *
 * A new method is its own file with a row, its name in enum method (rl/recipe/recipe.h) and in the table of
 * rl/method.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_METHOD_H
#define RL_METHOD_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct recipe;
struct train;

struct method {
    const char *name;
    const char *title; /* for a heading: "GRPO", "Supervised training" */
    bool samples;      /* draws completions: it has a rollout, rewards, evaluations; else it learns from texts */
    int (*max_length)(const struct recipe *recipe);             /* positions of its longest sequence */
    int (*batch_sequences)(const struct recipe *recipe);        /* sequences of one update, at most */
    int64_t (*steps)(const struct recipe *recipe, double rows); /* updates for this many rows of the data set */
    double (*temperature)(const struct recipe *recipe);         /* that logits are divided by in the loss */
    enum err (*check)(struct recipe *recipe); /* refuses keys that cannot be together, and warns of doubtful ones */
    enum err (*step)(struct train *t);        /* the next update, or the updates of the next iteration */
    void (*describe)(struct recipe *recipe, struct strbuf *out);            /* the keys that say most, for a report */
    void (*describe_step)(const struct recipe *recipe, struct strbuf *out); /* of what an update is made */
};

extern const struct method method_grpo; /* rl/grpo.c */
extern const struct method method_sft;  /* rl/sft.c */

const struct method *method_of(const struct recipe *recipe);

#endif

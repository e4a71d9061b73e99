/* rl/data/countdown.h - countdown problems: make the target out of the given numbers, each used exactly once.
 *
 * Expressions use + - * / on positive integers; every intermediate value is an integer from 1 to value_max.
 *
 * Problems are split by the multiset of their numbers, so that a held-out problem is new as a set of numbers too.
 * The split is the first two bytes u of MD5("s" + the numbers in ascending order, joined by "-"), as a fraction of
 * 65536:
 *   u < 0.15 eval (held out)     u < 0.40 rl     else pre (pre-training)
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_DATA_COUNTDOWN_H
#define RL_DATA_COUNTDOWN_H

#include <stdbool.h>

#include "base/str.h"
#include "kernels/rng.h"

#define COUNTDOWN_MAX_NUMBERS 4
#define COUNTDOWN_MAX_VALUE   9999

enum countdown_split { SPLIT_PRE, SPLIT_RL, SPLIT_EVAL, SPLIT_ALL, SPLIT_TRAIN /* pre and rl */ };

enum countdown_split countdown_split_of(const int *numbers, int n); /* one of the first three */
bool countdown_in_split(const int *numbers, int n, enum countdown_split split);

struct countdown_family {
    enum countdown_split split;
    int n;                         /* numbers: 3 or 4 */
    int number_least, number_most; /* drawn uniformly, with repetition */
    int target_least, target_most; /* drawn uniformly from what can be reached */
    int value_max;                 /* of intermediate values and the target */
};

struct countdown_problem {
    int numbers[COUNTDOWN_MAX_NUMBERS], n;
    int target;
};

/* One draw that may fail: false if the numbers belong to another split or reach no target. */
bool countdown_try(const struct countdown_family *family, struct rng *rng, struct countdown_problem *out);
/* Draws until one succeeds; the family must have problems (countdown_exists). */
void countdown_draw(const struct countdown_family *family, struct rng *rng, struct countdown_problem *out);
/* Whether at least one draw in 20,000 succeeds. */
bool countdown_exists(const struct countdown_family *family);

/* Marks every value up to value_max that all n numbers together can make. */
void countdown_reachable(const int *numbers, int n, int value_max, bool reachable[COUNTDOWN_MAX_VALUE + 1]);

/* A way to combine three numbers, in the words that a thought uses:
 *   text "(7-2)*5"   step "7-2=5"   reduced "5*5"   value 25 */
struct countdown_attempt {
    char text[24], step[24], reduced[16];
    int first, value; /* of the step, of the whole */
};
#define COUNTDOWN_MAX_ATTEMPTS 96

/* All ways for three numbers; a + b + c counts once. In an order that depends on the numbers only. */
int countdown_attempts(const int numbers[3], int value_max, struct countdown_attempt out[COUNTDOWN_MAX_ATTEMPTS]);

/* "7, 3, 9 make 30." */
void countdown_ask(const struct countdown_problem *problem, struct strbuf *out);
/* "User: 7, 3, 9 make 30. Reply with <think> </think> <answer> </answer>.\nAssistant:", or without the second
 * sentence. */
void countdown_prompt(const struct countdown_problem *problem, bool with_tags, struct strbuf *out);

#endif

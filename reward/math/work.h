/* reward/math/work.h - one check's memory and its budget of operations.
 *
 * Every loop of the math checker that the text can lengthen pays from the budget; when it is spent the check stops, and
 * the verdict is "not equal" (reason: limit). There is no clock in it: the same pair gets the same verdict on any
 * machine.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_WORK_H
#define REWARD_MATH_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

#define MATH_MAX_BYTES   4096   /* of an answer */
#define MATH_MAX_TOKENS  1024   /* in it */
#define MATH_MAX_NODES   1024   /* in its tree */
#define MATH_MAX_DEPTH   64     /* of brackets in brackets */
#define MATH_MAX_ITEMS   128    /* of a list, a tuple, a row of matrix cells */
#define MATH_MAX_DIGITS  256    /* of a number */
#define MATH_BUDGET      200000 /* operations per check, about 10 ms at most */
#define MATH_MAX_UNROLL  10000  /* terms of a sum or product */
#define MATH_MAX_FACTORS 20000  /* of a factorial */

struct math_work {
    struct arena *arena;
    int64_t budget; /* starts at MATH_BUDGET */
    int n_nodes;
};

/* Pays n operations; false once the budget is spent. */
static inline bool math_work_pay(struct math_work *work, int64_t n)
{
    work->budget -= n;
    return work->budget > 0;
}

/* After the first of a sum's terms, which cost `cost`: can the budget last for `more` of them? If it is far from that
 * (other terms may cost less, so far means 4 times), it is spent at once. */
static inline bool math_work_lasts(struct math_work *work, int64_t cost, int64_t more)
{
    if (work->budget > 0 && cost * more / 4 > work->budget) {
        work->budget = 0;
    }
    return work->budget > 0;
}

#endif

/* rl/dist.c - one rank: every sum is the rank's own.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/dist.h"

int64_t dist_sum_count(int64_t count)
{
    return count;
}

double dist_sum(double value)
{
    return value;
}

bool dist_any(bool flag)
{
    return flag;
}

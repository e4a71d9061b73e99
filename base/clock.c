/* base/clock.c - thin wrappers around clock_gettime and gmtime_r.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <time.h>

static double clock_read(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double clock_seconds(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

double clock_thread_seconds(void)
{
    return clock_read(CLOCK_THREAD_CPUTIME_ID);
}

double clock_wall(void)
{
    return clock_read(CLOCK_REALTIME);
}

void clock_format(double wall, char *text, size_t capacity)
{
    time_t seconds = (time_t)wall;
    struct tm parts;
    gmtime_r(&seconds, &parts);
    if (strftime(text, capacity, "%Y-%m-%d %H:%M:%S", &parts) == 0 && capacity) {
        text[0] = '\0';
    }
}

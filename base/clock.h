/* base/clock.h - durations by the monotonic clock; the wall clock is for display only.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>

double clock_seconds(void);        /* since some fixed moment; never goes back */
double clock_thread_seconds(void); /* processor time of this thread */
double clock_wall(void);           /* seconds since 1970 */
/* "2026-11-23 17:03:21" in UTC. */
void clock_format(double wall, char *text, size_t capacity);

#endif

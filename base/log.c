/* base/log.c - messages on stderr.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

static enum log_level log_least = LOG_INFO;
static void (*log_before)(void);
static void (*log_after)(void);
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

void log_set_level(enum log_level least)
{
    log_least = least;
}

void log_set_hooks(void (*before)(void), void (*after)(void))
{
    log_before = before;
    log_after = after;
}

void log_message(enum log_level level, const char *format, ...)
{
    static const char *const prefix[] = {"debug: ", "", "warning: ", "error: "};
    if (level < log_least) {
        return;
    }
    char text[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    pthread_mutex_lock(&log_lock);
    if (log_before) {
        log_before();
    }
    fprintf(stderr, "strop: %s%s\n", prefix[level], text);
    if (log_after) {
        log_after();
    }
    pthread_mutex_unlock(&log_lock);
}

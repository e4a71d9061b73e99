/* base/log.c - messages on stderr.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_TEXT_BYTES 8192

static enum log_level log_min_level = LOG_INFO;
static char log_name[32];
static void (*log_before)(void);
static void (*log_after)(void);
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

void log_set_level(enum log_level min)
{
    log_min_level = min;
}

void log_set_name(const char *name)
{
    snprintf(log_name, sizeof log_name, "%s", name);
}

void log_set_hooks(void (*before)(void), void (*after)(void))
{
    log_before = before;
    log_after = after;
}

static void log_text(enum log_level level, const char *text)
{
    static const char *const prefix[] = {"debug: ", "", "warning: ", "error: "};
    pthread_mutex_lock(&log_lock);
    if (log_before) {
        log_before();
    }
    fprintf(stderr, "strop: %s%s%s\n", log_name, prefix[level], text);
    if (log_after) {
        log_after();
    }
    pthread_mutex_unlock(&log_lock);
}

void log_message(enum log_level level, const char *format, ...)
{
    char text[LOG_TEXT_BYTES];
    if (level < log_min_level) {
        return;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_text(level, text);
}

/* Whether the text is new; the last ones are remembered. */
static bool log_is_new(const char *text)
{
    enum { REMEMBERED = 64 };
    static char *seen[REMEMBERED];
    static int next;
    bool is_new = true;
    pthread_mutex_lock(&log_lock);
    for (int i = 0; i < REMEMBERED && is_new; i++) {
        is_new = !seen[i] || strcmp(seen[i], text) != 0;
    }
    if (is_new) {
        free(seen[next]);
        seen[next] = strdup(text); /* NULL: the message may be shown again */
        next = (next + 1) % REMEMBERED;
    }
    pthread_mutex_unlock(&log_lock);
    return is_new;
}

void log_message_once(enum log_level level, const char *format, ...)
{
    char text[LOG_TEXT_BYTES];
    if (level < log_min_level) {
        return;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (log_is_new(text)) {
        log_text(level, text);
    }
}

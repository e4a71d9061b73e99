/* base/log.h - one line per message on stderr: "strop: warning: text".
 *
 * For what a person should know; numbers of a run go to its store. Thread-safe. A live status line (rl/progress) is
 * cleared before a message and drawn again after it, through the two hooks.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

void log_set_level(enum log_level min);
void log_set_name(const char *name); /* after "strop: ", at most 31 bytes; "": none, as at first */
void log_message(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* log_message, but a text that was shown before is not shown again: for what is found each time a file is opened. */
void log_message_once(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Called around each message; NULL for none. */
void log_set_hooks(void (*before)(void), void (*after)(void));

#define log_debug(...)        log_message(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)         log_message(LOG_INFO, __VA_ARGS__)
#define log_warning(...)      log_message(LOG_WARNING, __VA_ARGS__)
#define log_warning_once(...) log_message_once(LOG_WARNING, __VA_ARGS__)

#endif

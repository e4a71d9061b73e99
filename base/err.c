/* base/err.c - the sentence of the last error, in one buffer per thread.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERR_TEXT_BYTES 4096

static _Thread_local char err_buffer[ERR_TEXT_BYTES];

enum err(err_set)(enum err code, const char *format, ...)
{
    char text[ERR_TEXT_BYTES]; /* the arguments may point into err_buffer */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(err_buffer, text, sizeof text);
    return code;
}

enum err err_wrap(enum err code, const char *format, ...)
{
    char context[ERR_TEXT_BYTES / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
    char text[ERR_TEXT_BYTES];
    int written = snprintf(text, sizeof text, "%s: ", context);
    BUG_ON(written < 0);
    size_t used = strlen(text);
    size_t rest = strnlen(err_buffer, sizeof text - used - 1);
    memcpy(text + used, err_buffer, rest);
    text[used + rest] = '\0';
    memcpy(err_buffer, text, used + rest + 1);
    return code;
}

const char *err_text(void)
{
    return err_buffer;
}

void err_bug(const char *file, int line, const char *condition)
{
    fprintf(stderr, "strop: bug at %s:%d: %s\nThis is our mistake, not yours; please report the line above.\n", file,
            line, condition);
    abort();
}

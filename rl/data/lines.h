/* rl/data/lines.h - the lines of a file or a pipe, one after the other, in bounded memory.
 *
 * As rl/data/jsonl.h reads JSONL (byte order mark, CRLF ends, blank lines passed over, the same longest line), but
 * forwards only, so that it can be standard input.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_DATA_LINES_H
#define RL_DATA_LINES_H

#include "base/err.h"
#include "base/str.h"

struct lines;

enum err lines_open(struct lines **out, const char *path); /* "-": standard input */
void lines_close(struct lines *lines);                     /* NULL is fine */

/* The next line that is not blank, without its end; valid until the next call. `line->data` is NULL at the end. */
enum err lines_next(struct lines *lines, struct str *line);
/* Whether lines_next would find something without waiting for a slow writer. */
bool lines_ready(const struct lines *lines);
/* "path:17", of the line given last; for errors. */
void lines_where(const struct lines *lines, char *out, size_t capacity);

#endif

/* rl/data/jsonl.h - a file of JSON objects, one per line, read in any order.
 *
 * Only the offset of each line is kept in memory (16 bytes per line). A byte order mark and CRLF ends are accepted,
 * blank lines are passed over. Lines with a NUL byte or of more than JSONL_MAX_LINE bytes are refused when the file
 * is opened; what is not an object, when it is read. Every error begins with path:line.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_DATA_JSONL_H
#define RL_DATA_JSONL_H

#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#define JSONL_MAX_LINE (16 << 20)

struct jsonl {
    char *path;
    int file;
    struct jsonl_line *lines;
    int64_t n;     /* lines that are not blank */
    uint64_t hash; /* XXH3 of the whole file */
};

enum err jsonl_open(struct jsonl *out, const char *path);
void jsonl_close(struct jsonl *jsonl);
/* The object of line i; the caller's reference. `scratch` holds the text for the call. */
enum err jsonl_read(const struct jsonl *jsonl, int64_t i, struct strbuf *scratch, json_t **out);
/* "path:17" for errors about its contents. */
void jsonl_where(const struct jsonl *jsonl, int64_t i, char *out, size_t capacity);

#endif

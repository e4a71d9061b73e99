/* rl/data/jsonl.c - one pass finds where each line begins; a line is read and parsed when it is needed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/data/jsonl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/arena.h"
#include "base/file.h"

struct jsonl_line {
    uint64_t offset;
    uint32_t length, number; /* number from 1 */
};

/* The state of the one pass over a file that finds its lines. */
struct jsonl_scan {
    struct jsonl *jsonl;
    int64_t capacity;
    uint64_t line_start; /* where the present line begins */
    uint32_t number;     /* of the present line */
    bool blank;          /* nothing but white space in it so far */
};

static enum err jsonl_end_line(struct jsonl_scan *scan, uint64_t end)
{
    struct jsonl *jsonl = scan->jsonl;
    if (end - scan->line_start > JSONL_MAX_LINE) {
        return err_set(ERR_LIMIT, "%s:%u: the line has more than %d MB; is this one JSON object a line?", jsonl->path,
                       scan->number, JSONL_MAX_LINE >> 20);
    }
    if (!scan->blank) {
        if (jsonl->n == scan->capacity) {
            scan->capacity = scan->capacity ? 2 * scan->capacity : 1024;
            jsonl->lines = mem_grow(jsonl->lines, (size_t)scan->capacity * sizeof *jsonl->lines);
        }
        jsonl->lines[jsonl->n++] =
            (struct jsonl_line){scan->line_start, (uint32_t)(end - scan->line_start), scan->number};
    }
    scan->blank = true;
    if (scan->number == UINT32_MAX) {
        return err_set(ERR_LIMIT, "%s: more than %u lines; split the file", jsonl->path, UINT32_MAX);
    }
    scan->number++;
    return ERR_NONE;
}

static bool jsonl_is_blank(const char *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (data[i] != ' ' && data[i] != '\t' && data[i] != '\r' && data[i] != '\n') {
            return false;
        }
    }
    return true;
}

/* `data` are the bytes at offset `at` of the file. */
static enum err jsonl_scan_chunk(struct jsonl_scan *scan, const char *data, size_t length, uint64_t at)
{
    for (size_t i = 0; i < length;) {
        const char *newline = memchr(data + i, '\n', length - i);
        size_t end = newline ? (size_t)(newline - data) : length;
        if (memchr(data + i, 0, end - i)) {
            return err_set(ERR_FORMAT, "%s:%u: a NUL byte; the file is not text, or is damaged", scan->jsonl->path,
                           scan->number);
        }
        scan->blank = scan->blank && jsonl_is_blank(data + i, end - i);
        if (newline) {
            TRY(jsonl_end_line(scan, at + end));
            scan->line_start = at + end + 1;
        } else if (at + end - scan->line_start > JSONL_MAX_LINE) {
            return jsonl_end_line(scan, at + end); /* which refuses it; no need to read the rest */
        }
        i = end + 1;
    }
    return ERR_NONE;
}

static enum err jsonl_scan_file(struct jsonl *jsonl, char *buffer, size_t capacity, XXH3_state_t *hash)
{
    struct jsonl_scan scan = {.jsonl = jsonl, .number = 1, .blank = true};
    uint64_t at = 0;
    for (;;) {
        ssize_t n = pread(jsonl->file, buffer, capacity, (off_t)at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_set(ERR_IO, "%s: cannot be read: %s", jsonl->path, strerror(errno));
        }
        if (n == 0) {
            break;
        }
        XXH3_64bits_update(hash, buffer, (size_t)n);
        size_t skip = at == 0 && n >= 3 && memcmp(buffer, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; /* byte order mark */
        scan.line_start += skip;
        TRY(jsonl_scan_chunk(&scan, buffer + skip, (size_t)n - skip, at + skip));
        at += (uint64_t)n;
    }
    TRY(jsonl_end_line(&scan, at > scan.line_start ? at : scan.line_start));
    if (jsonl->n == 0) {
        return err_set(ERR_FORMAT, "%s: has no lines; write one JSON object a line", jsonl->path);
    }
    jsonl->hash = XXH3_64bits_digest(hash);
    return ERR_NONE;
}

/* Files of other formats that data sets come in, known by their first bytes. */
static enum err jsonl_refuse_others(int file, const char *path)
{
    static const struct {
        const char *bytes, *what;
        size_t n;
    } formats[] = {
        {"PAR1", "a Parquet file", 4},
        {"\x1f\x8b", "compressed by gzip", 2},
        {"\x28\xb5\x2f\xfd", "compressed by zstd", 4},
        {"PK\x03\x04", "a zip archive", 4},
        {"ARROW1", "an Arrow file", 6},
    };
    char head[8] = "";
    ssize_t n = pread(file, head, sizeof head, 0);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (n >= (ssize_t)formats[i].n && memcmp(head, formats[i].bytes, formats[i].n) == 0) {
            return err_set(ERR_FORMAT,
                           "%s is %s, which strop does not read: make it JSON lines, one object per line "
                           "(rl/data/README.md says how)",
                           path, formats[i].what);
        }
    }
    return ERR_NONE;
}

enum err jsonl_open(struct jsonl *out, const char *path)
{
    enum { CHUNK = 256 << 10 };
    if (file_is_folder(path)) {
        return err_set(ERR_USAGE, "%s is a folder; name a JSONL file", path);
    }
    struct jsonl jsonl = {0};
    TRY(file_open(&jsonl.file, path));
    jsonl.path = mem_strdup(path);
    char *buffer = mem_alloc(CHUNK);
    XXH3_state_t *hash = XXH3_createState();
    BUG_ON(!hash || XXH3_64bits_reset(hash) != XXH_OK);
    enum err err = jsonl_refuse_others(jsonl.file, path);
    err = err == ERR_NONE ? jsonl_scan_file(&jsonl, buffer, CHUNK, hash) : err;
    XXH3_freeState(hash);
    free(buffer);
    if (err != ERR_NONE) {
        jsonl_close(&jsonl);
        return err;
    }
    *out = jsonl;
    return ERR_NONE;
}

void jsonl_close(struct jsonl *jsonl)
{
    if (jsonl->path) {
        close(jsonl->file);
        free(jsonl->path);
        free(jsonl->lines);
    }
    *jsonl = (struct jsonl){0};
}

void jsonl_where(const struct jsonl *jsonl, int64_t i, char *out, size_t capacity)
{
    snprintf(out, capacity, "%s:%u", jsonl->path, jsonl->lines[i].number);
}

static enum err jsonl_read_bytes(const struct jsonl *jsonl, const struct jsonl_line *line, struct strbuf *out)
{
    char chunk[16 << 10];
    while (out->length < line->length) {
        size_t rest = line->length - out->length;
        ssize_t n =
            pread(jsonl->file, chunk, rest < sizeof chunk ? rest : sizeof chunk, (off_t)(line->offset + out->length));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return err_set(ERR_IO, "%s:%u: cannot be read: %s", jsonl->path, line->number,
                           n < 0 ? strerror(errno) : "the file became shorter while in use");
        }
        strbuf_add(out, chunk, (size_t)n);
    }
    return ERR_NONE;
}

enum err jsonl_read(const struct jsonl *jsonl, int64_t i, struct strbuf *scratch, json_t **out)
{
    BUG_ON(i < 0 || i >= jsonl->n);
    const struct jsonl_line *line = &jsonl->lines[i];
    char where[FILE_PATH_BYTES + 16];
    jsonl_where(jsonl, i, where, sizeof where);
    strbuf_clear(scratch);
    TRY(jsonl_read_bytes(jsonl, line, scratch));
    json_t *row = NULL;
    TRY(json_parse(&row, strbuf_view(scratch), where));
    if (!json_is_object(row)) {
        json_decref(row);
        return err_set(ERR_FORMAT, "%s: must be a JSON object: {\"prompt\": ...}", where);
    }
    *out = row;
    return ERR_NONE;
}

/* rl/data/lines.c - a buffer that grows until it holds a whole line.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/data/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "rl/data/jsonl.h"

#define LINES_CHUNK ((size_t)256 << 10)

struct lines {
    char *path;
    int file;
    char *data; /* [start, end) is read and not given out */
    size_t start, end, capacity;
    uint64_t number;
    bool at_end;
};

/* A shell's <(command) is a pipe under /dev/fd that is open already; another pipe might never have a writer. */
static enum err open_lines(int *file, const char *path)
{
    if (!str_starts(str_of(path), STR("/dev/fd/")) && strcmp(path, "/dev/stdin") != 0) {
        return file_open(file, path);
    }
    *file = open(path, O_RDONLY | O_CLOEXEC);
    return *file >= 0 ? ERR_NONE : err_set(ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
}

enum err lines_open(struct lines **out, const char *path)
{
    bool is_stdin = strcmp(path, "-") == 0;
    if (!is_stdin && file_is_folder(path)) {
        return err_set(ERR_USAGE, "%s is a folder; name a JSONL file", path);
    }
    int file = STDIN_FILENO;
    if (!is_stdin) {
        TRY(open_lines(&file, path));
    }
    struct lines *lines = mem_zero(sizeof *lines);
    lines->path = mem_strdup(is_stdin ? "stdin" : path);
    lines->file = file;
    *out = lines;
    return ERR_NONE;
}

void lines_close(struct lines *lines)
{
    if (lines) {
        if (lines->file != STDIN_FILENO) {
            close(lines->file);
        }
        free(lines->path);
        free(lines->data);
        free(lines);
    }
}

void lines_where(const struct lines *lines, char *out, size_t capacity)
{
    snprintf(out, capacity, "%s:%llu", lines->path, (unsigned long long)lines->number);
}

/* Reads once, to the end of what is buffered. */
static enum err lines_fill(struct lines *lines)
{
    if (lines->start > 0) {
        memmove(lines->data, lines->data + lines->start, lines->end - lines->start);
    }
    lines->end -= lines->start;
    lines->start = 0;
    if (lines->end > JSONL_MAX_LINE) {
        return err_set(ERR_LIMIT, "%s:%llu: the line has more than %d MB; is this one JSON object a line?", lines->path,
                       (unsigned long long)lines->number + 1, JSONL_MAX_LINE >> 20);
    }
    if (lines->capacity - lines->end < LINES_CHUNK) {
        lines->capacity = 2 * lines->capacity + LINES_CHUNK;
        lines->data = mem_grow(lines->data, lines->capacity);
    }
    ssize_t n;
    do {
        n = read(lines->file, lines->data + lines->end, LINES_CHUNK);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return err_set(ERR_IO, "%s: cannot be read: %s", lines->path, strerror(errno));
    }
    lines->end += (size_t)n;
    lines->at_end = n == 0;
    return ERR_NONE;
}

static enum err lines_next_any(struct lines *lines, struct str *line)
{
    size_t searched = lines->start;
    for (;;) {
        size_t left = lines->end - searched;
        const char *end = left ? memchr(lines->data + searched, '\n', left) : NULL;
        if (end || (lines->at_end && lines->end > lines->start)) {
            size_t length = end ? (size_t)(end - lines->data) - lines->start : lines->end - lines->start;
            *line = (struct str){lines->data + lines->start, length};
            lines->start += length + (end != NULL);
            lines->number++;
            return ERR_NONE;
        }
        if (lines->at_end) {
            *line = (struct str){0};
            return ERR_NONE;
        }
        searched = lines->end - lines->start;
        TRY(lines_fill(lines));
    }
}

enum err lines_next(struct lines *lines, struct str *line)
{
    do {
        TRY(lines_next_any(lines, line));
        if (lines->number == 1 && str_starts(*line, STR("\xef\xbb\xbf"))) {
            *line = str_slice(*line, 3, line->length);
        }
    } while (line->data && str_trim(*line).length == 0);
    return ERR_NONE;
}

bool lines_ready(const struct lines *lines)
{
    struct pollfd input = {.fd = lines->file, .events = POLLIN};
    size_t left = lines->end - lines->start;
    return (left && memchr(lines->data + lines->start, '\n', left)) || lines->at_end || poll(&input, 1, 0) > 0;
}

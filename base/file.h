/* base/file.h - whole files, mapped files, folders, and writes that a crash cannot tear.
 *
 * Every failure names the path and the system's reason.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* A read-only mapping. data is NULL for an empty file. */
struct file_map {
    const uint8_t *data;
    size_t size;
};

/* Opens a regular file for reading; the caller closes it. A folder, pipe, socket or device in its place is refused at
 * once, never waited for. */
enum err file_open(int *fd, const char *path);
/* Refuses the same kinds by path, for files that another library opens or that are written; a missing file is no
 * error. */
enum err file_check_regular(const char *path);
enum err file_map_open(struct file_map *map, const char *path);
void file_map_close(struct file_map *map);

/* Appends the file to `out`; refuses more than `limit` bytes with ERR_LIMIT. */
enum err file_read(struct strbuf *out, const char *path, size_t limit);
/* Writes under a temporary name, fsyncs, renames, fsyncs the folder: the old file or the new one, never a part. */
enum err file_write_atomic(const char *path, const void *data, size_t size);
/* Copies bytes; the new file is fsynced. */
enum err file_copy(const char *from, const char *to);

bool file_exists(const char *path);
bool file_is_folder(const char *path);
enum err file_make_folders(const char *path);                  /* mkdir -p */
enum err file_remove_folder(const char *path);                 /* rm -r; a missing folder is no error */
enum err file_sync(const char *path);                          /* fsync of a file or a folder */
enum err file_rename_synced(const char *from, const char *to); /* rename, then fsync of the parent folder */
enum err file_space_left(const char *path, uint64_t *bytes);

/* write() until all is written. `path` is for the sentence only. */
enum err file_write_all(int fd, const void *data, size_t size, const char *path);

/* "folder/name" in `out`; ERR_LIMIT if it does not fit. */
enum err file_join(char *out, size_t capacity, const char *folder, const char *name);

#define FILE_PATH_BYTES 4096

#endif

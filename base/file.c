/* base/file.c - POSIX calls with their failures put into sentences; a write goes to a temporary name, then is renamed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static enum err file_fail(const char *what, const char *path)
{
    return err_set(ERR_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

/* What a path is instead of a regular file; NULL: it is one. */
static const char *special_kind(mode_t mode)
{
    return S_ISREG(mode)    ? NULL
           : S_ISDIR(mode)  ? "a folder"
           : S_ISFIFO(mode) ? "a named pipe"
           : S_ISSOCK(mode) ? "a socket"
                            : "a device";
}

static enum err refuse_special(const struct stat *info, const char *path)
{
    const char *kind = special_kind(info->st_mode);
    return kind ? err_set(ERR_IO, "cannot open %s: it is %s, not a regular file", path, kind) : ERR_NONE;
}

enum err file_check_regular(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? refuse_special(&info, path) : ERR_NONE;
}

/* Looks before it opens, since opening a device may do something; and after it, since the path may name another file by
 * then. */
enum err file_open(int *out, const char *path)
{
    struct stat info;
    TRY(file_check_regular(path));
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return file_fail("open", path);
    }
    enum err result = fstat(fd, &info) == 0 ? refuse_special(&info, path) : file_fail("stat", path);
    if (result != ERR_NONE) {
        close(fd);
        return result;
    }
    *out = fd;
    return ERR_NONE;
}

enum err file_map_open(struct file_map *map, const char *path)
{
    int fd;
    TRY(file_open(&fd, path));
    struct stat info;
    if (fstat(fd, &info) != 0) {
        close(fd);
        return file_fail("stat", path);
    }
    struct file_map result = {.size = (size_t)info.st_size};
    if (result.size) {
        void *data = mmap(NULL, result.size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            close(fd);
            return file_fail("map", path);
        }
        result.data = data;
    }
    close(fd);
    *map = result;
    return ERR_NONE;
}

void file_map_close(struct file_map *map)
{
    if (map->data) {
        munmap((void *)(uintptr_t)map->data, map->size);
    }
    *map = (struct file_map){0};
}

enum err file_read(struct strbuf *out, const char *path, size_t limit)
{
    struct file_map map;
    TRY(file_map_open(&map, path));
    enum err result = ERR_NONE;
    if (map.size > limit) {
        result =
            err_set(ERR_LIMIT, "%s: %zu bytes, more than the %zu that such a file may have", path, map.size, limit);
    } else {
        strbuf_add(out, map.data, map.size);
    }
    file_map_close(&map);
    return result;
}

enum err file_write_all(int fd, const void *data, size_t size, const char *path)
{
    const char *bytes = data;
    while (size) {
        ssize_t written = write(fd, bytes, size);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return file_fail("write", path);
        }
        bytes += written;
        size -= (size_t)written;
    }
    return ERR_NONE;
}

static enum err file_write_synced(const char *path, const void *data, size_t size)
{
    TRY(file_check_regular(path));
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        return file_fail("create", path);
    }
    enum err result = file_write_all(fd, data, size, path);
    if (result == ERR_NONE && fsync(fd) != 0) {
        result = file_fail("fsync", path);
    }
    if (close(fd) != 0 && result == ERR_NONE) {
        result = file_fail("close", path);
    }
    return result;
}

enum err file_write_atomic(const char *path, const void *data, size_t size)
{
    char temporary[FILE_PATH_BYTES];
    int length = snprintf(temporary, sizeof temporary, "%s.tmp%ld", path, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof temporary) {
        return err_set(ERR_LIMIT, "path too long: %s", path);
    }
    enum err result = file_write_synced(temporary, data, size);
    if (result == ERR_NONE) {
        result = file_rename_synced(temporary, path);
    }
    if (result != ERR_NONE) {
        unlink(temporary);
    }
    return result;
}

enum err file_copy(const char *from, const char *to)
{
    struct file_map map;
    TRY(file_map_open(&map, from));
    enum err result = file_write_synced(to, map.data, map.size);
    file_map_close(&map);
    return result;
}

bool file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool file_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

enum err file_make_folders(const char *path)
{
    char part[FILE_PATH_BYTES];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof part) {
        return err_set(ERR_LIMIT, "not a usable folder name: '%s'", path);
    }
    memcpy(part, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (part[i] != '/' && part[i] != '\0') {
            continue;
        }
        char saved = part[i];
        part[i] = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST) {
            return file_fail("create folder", part);
        }
        part[i] = saved;
    }
    if (!file_is_folder(path)) {
        return err_set(ERR_IO, "cannot create folder %s: a file has that name", path);
    }
    return ERR_NONE;
}

enum err file_remove_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder) {
        return errno == ENOENT ? ERR_NONE : file_fail("open folder", path);
    }
    enum err result = ERR_NONE;
    struct dirent *entry;
    while (result == ERR_NONE && (entry = readdir(folder))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        char child[FILE_PATH_BYTES];
        struct stat info;
        result = file_join(child, sizeof child, path, entry->d_name);
        if (result == ERR_NONE && lstat(child, &info) == 0 && S_ISDIR(info.st_mode)) {
            result = file_remove_folder(child);
        } else if (result == ERR_NONE && unlink(child) != 0) {
            result = file_fail("remove", child);
        }
    }
    closedir(folder);
    if (result == ERR_NONE && rmdir(path) != 0) {
        result = file_fail("remove folder", path);
    }
    return result;
}

enum err file_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return file_fail("open", path);
    }
    enum err result = fsync(fd) == 0 ? ERR_NONE : file_fail("fsync", path);
    close(fd);
    return result;
}

enum err file_rename_synced(const char *from, const char *to)
{
    if (rename(from, to) != 0) {
        return file_fail("rename to", to);
    }
    char parent[FILE_PATH_BYTES];
    const char *slash = strrchr(to, '/');
    size_t length = slash ? (size_t)(slash - to) : 0;
    BUG_ON(length >= sizeof parent);
    memcpy(parent, to, length);
    parent[length] = '\0';
    return file_sync(slash ? (length ? parent : "/") : ".");
}

enum err file_space_left(const char *path, uint64_t *bytes)
{
    struct statvfs info;
    if (statvfs(path, &info) != 0) {
        return file_fail("ask for free space at", path);
    }
    *bytes = (uint64_t)info.f_bavail * info.f_frsize;
    return ERR_NONE;
}

enum err file_join(char *out, size_t capacity, const char *folder, const char *name)
{
    size_t length = strlen(folder);
    const char *between = length && folder[length - 1] == '/' ? "" : "/";
    int written = snprintf(out, capacity, "%s%s%s", folder, between, name);
    if (written < 0 || (size_t)written >= capacity) {
        return err_set(ERR_LIMIT, "path too long: %s/%s", folder, name);
    }
    return ERR_NONE;
}

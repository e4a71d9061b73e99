/* reward/sandbox/cgroup.c - tries version 2 from our own group upwards, then version 1; files are written through
 * openat.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/sandbox/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_BYTES = 512 };

static void cgroup_none(struct cgroup *group)
{
    *group = (struct cgroup){.join = {-1, -1}, .memory = -1, .tasks = -1, .events = -1};
}

/* The path of our group in a hierarchy: the line "N:CONTROLLERS:/path" of /proc/self/cgroup. */
static bool own_path(const char *controller, char *path, size_t capacity)
{
    char text[4096];
    if (!wire_read_small("/proc/self/cgroup", text, sizeof text)) {
        return false;
    }
    for (char *line = text; line && *line;) {
        char *end = strchr(line, '\n'), *first = strchr(line, ':');
        char *second = first ? strchr(first + 1, ':') : NULL;
        if (end) {
            *end = '\0';
        }
        if (first && second) {
            *second = '\0';
            if (strcmp(first + 1, controller) == 0) {
                snprintf(path, capacity, "%s", second + 1);
                return true;
            }
        }
        line = end ? end + 1 : NULL;
    }
    return false;
}

static int open_in(const char *folder, const char *name, int flags)
{
    char path[PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return open(path, flags | O_CLOEXEC);
}

/* Whether a process of ours may be moved there: tried with a child that leaves at once. */
static bool can_join(const struct cgroup *group)
{
    pid_t child = fork();
    if (child == 0) {
        _exit(cgroup_join(group, getpid()) ? 0 : 1);
    }
    int status = 1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool make_version2(struct cgroup *group, const char *folder)
{
    cgroup_none(group);
    if (mkdir(folder, 0755) != 0 && errno != EEXIST) {
        return false;
    }
    group->version = 2;
    snprintf(group->folders[0], sizeof group->folders[0], "%s", folder);
    group->join[0] = open_in(folder, "cgroup.procs", O_WRONLY);
    group->memory = open_in(folder, "memory.max", O_WRONLY);
    group->tasks = open_in(folder, "pids.max", O_WRONLY);
    group->events = open_in(folder, "memory.events", O_RDONLY);
    group->has_memory = group->memory >= 0;
    if (group->join[0] >= 0 && group->memory >= 0 && group->tasks >= 0 && group->events >= 0 && can_join(group)) {
        int swap = open_in(folder, "memory.swap.max", O_WRONLY);
        if (swap >= 0) {
            (void)!write(swap, "0", 1); /* without swap accounting this limit does not exist */
            close(swap);
        }
        return true;
    }
    cgroup_close(group);
    cgroup_remove(group);
    cgroup_none(group);
    return false;
}

static bool try_version2(struct cgroup *group, const char *name)
{
    char path[PATH_BYTES / 2];
    if (!own_path("", path, sizeof path)) {
        return false;
    }
    const char *mount_point =
        access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
    for (;;) { /* a group with processes has no controllers for its children, so look upwards */
        char folder[PATH_BYTES];
        snprintf(folder, sizeof folder, "%s%s/%s", mount_point, strcmp(path, "/") == 0 ? "" : path, name);
        if (make_version2(group, folder)) {
            return true;
        }
        char *slash = strrchr(path, '/');
        if (!slash) {
            return false;
        }
        *slash = '\0';
    }
}

/* One hierarchy of version 1; false if it cannot be used. */
static bool make_version1(struct cgroup *group, int slot, const char *controller, const char *name)
{
    char path[PATH_BYTES / 2];
    if (!own_path(controller, path, sizeof path)) {
        return false;
    }
    char *folder = group->folders[slot];
    snprintf(folder, PATH_BYTES, "/sys/fs/cgroup/%s%s/%s", controller, strcmp(path, "/") == 0 ? "" : path, name);
    if (mkdir(folder, 0755) != 0 && errno != EEXIST) {
        folder[0] = '\0';
        return false;
    }
    group->join[slot] = open_in(folder, "cgroup.procs", O_WRONLY);
    return group->join[slot] >= 0;
}

static bool try_version1(struct cgroup *group, const char *name)
{
    cgroup_none(group);
    group->version = 1;
    if (make_version1(group, 0, "memory", name)) {
        group->memory = open_in(group->folders[0], "memory.limit_in_bytes", O_WRONLY);
        group->events = open_in(group->folders[0], "memory.oom_control", O_RDONLY);
        group->has_memory = group->memory >= 0 && group->events >= 0;
    }
    if (make_version1(group, 1, "pids", name)) {
        group->tasks = open_in(group->folders[1], "pids.max", O_WRONLY);
    }
    if ((group->has_memory || group->tasks >= 0) && can_join(group)) {
        return true;
    }
    cgroup_close(group);
    cgroup_remove(group);
    cgroup_none(group);
    return false;
}

void cgroup_make(struct cgroup *group, const char *name)
{
    if (!try_version2(group, name) && !try_version1(group, name)) {
        cgroup_none(group);
    }
}

void cgroup_close(struct cgroup *group)
{
    int *const all[] = {&group->join[0], &group->join[1], &group->memory, &group->tasks, &group->events};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (*all[i] >= 0) {
            close(*all[i]);
        }
        *all[i] = -1;
    }
}

void cgroup_remove(struct cgroup *group)
{
    for (int i = 0; i < 2; i++) {
        for (int tries = 0; group->folders[i][0] && rmdir(group->folders[i]) != 0 && errno == EBUSY && tries < 200;
             tries++) {
            usleep(5000); /* the kernel releases dead processes a little later */
        }
        group->folders[i][0] = '\0';
    }
}

static void write_number(int fd, int64_t number)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%lld", (long long)number);
    if (fd >= 0) {
        (void)!pwrite(fd, text, (size_t)n, 0); /* the limits per process hold in any case */
    }
}

void cgroup_limit(const struct cgroup *group, int32_t memory_mb, int32_t tasks)
{
    write_number(group->memory, (int64_t)(memory_mb + CGROUP_OWN_MB) << 20);
    write_number(group->tasks, tasks);
}

bool cgroup_join(const struct cgroup *group, pid_t pid)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%d", (int)pid);
    for (int i = 0; i < 2; i++) {
        if (group->join[i] >= 0 && write(group->join[i], text, (size_t)n) != n) {
            return false;
        }
    }
    return true;
}

int64_t cgroup_kills(const struct cgroup *group)
{
    char text[1024];
    ssize_t n = group->events >= 0 ? pread(group->events, text, sizeof text - 1, 0) : 0;
    if (n <= 0) {
        return 0;
    }
    text[n] = '\0';
    const char *at = strstr(text, "oom_kill ");
    return at ? strtoll(at + strlen("oom_kill "), NULL, 10) : 0;
}

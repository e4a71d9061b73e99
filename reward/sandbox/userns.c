/* reward/sandbox/userns.c - clone3, falling back to clone, and the uid and gid maps written from outside.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/sandbox/userns.h"

#include <errno.h>
#include <grp.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Host ids that systemd's list of ranges leaves to nobody; in a container that has no such ids, the top of its own
 * range. */
enum { FREE_FIRST = 1879048192, FREE_COUNT = 268435456 };

pid_t userns_clone(uint64_t flags, int *pidfd)
{
    int fd = -1;
    struct clone_args arguments = {
        .flags = flags | CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&fd, .exit_signal = SIGCHLD};
    pid_t child = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child < 0 && (errno == ENOSYS || errno == EPERM)) {
        /* container profiles hide clone3 since they cannot look at its flags; clone reports what is really refused */
        child = (pid_t)syscall(SYS_clone, (unsigned long)flags | CLONE_PIDFD | SIGCHLD, NULL, &fd, NULL, 0);
    }
    if (child > 0) {
        *pidfd = fd;
    }
    return child;
}

/* A host id for this number that exists in our own namespace; our id if there is none. */
static unsigned long long pick_id(const char *map, unsigned number, unsigned own)
{
    char text[4096];
    unsigned long long wanted = FREE_FIRST + number % FREE_COUNT, last = 0;
    if (!wire_read_small(map, text, sizeof text)) {
        return own;
    }
    for (char *line = text; line && *line;) {
        char *end = strchr(line, '\n'), *at = line;
        unsigned long long first = strtoull(at, &at, 10);
        strtoull(at, &at, 10);
        unsigned long long count = strtoull(at, &at, 10);
        if (wanted >= first && wanted < first + count) {
            return wanted;
        }
        last = first + count - 1 > last ? first + count - 1 : last;
        line = end ? end + 1 : NULL;
    }
    return last > 1000 ? last - number % (last / 2) : own;
}

static bool write_map(pid_t child, const char *name, unsigned inside, unsigned long long outside, char text[WIRE_TEXT])
{
    char path[64], line[64];
    snprintf(path, sizeof path, "/proc/%d/%s", child, name);
    snprintf(line, sizeof line, "%u %llu 1\n", inside, outside);
    if (wire_write_small(path, line)) {
        return true;
    }
    int reason = errno;
    char mend[256];
    userns_mend(reason, mend, sizeof mend);
    snprintf(text, WIRE_TEXT, "writing %s was refused (%s): %s", name, strerror(reason), mend);
    return false;
}

bool userns_map(pid_t child, unsigned inside, unsigned number, char text[WIRE_TEXT])
{
    bool root = geteuid() == 0;
    unsigned long long user = root ? pick_id("/proc/self/uid_map", number, 0) : geteuid();
    unsigned long long group = root ? pick_id("/proc/self/gid_map", number, 0) : getegid();
    if (!root) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/setgroups", child);
        if (!wire_write_small(path, "deny")) {
            return wire_fail(text, "writing setgroups was refused");
        }
    }
    return write_map(child, "uid_map", inside, user, text) && write_map(child, "gid_map", inside, group, text);
}

bool userns_become(unsigned number)
{
    gid_t group = (gid_t)pick_id("/proc/self/gid_map", number, 0);
    uid_t user = (uid_t)pick_id("/proc/self/uid_map", number, 0);
    errno = EPERM;
    return user && group && setgroups(0, NULL) == 0 && setresgid(group, group, group) == 0 &&
           setresuid(user, user, user) == 0;
}

static bool setting_is(const char *path, const char *value)
{
    char text[64];
    if (!wire_read_small(path, text, sizeof text)) {
        return false;
    }
    text[strcspn(text, "\n")] = '\0';
    return strcmp(text, value) == 0;
}

static bool under_seccomp(void)
{
    char text[8192];
    const char *at = wire_read_small("/proc/self/status", text, sizeof text) ? strstr(text, "Seccomp:\t") : NULL;
    return at && at[strlen("Seccomp:\t")] == '2';
}

void userns_mend(int reason, char *text, size_t capacity)
{
    const char *mend = "user namespaces are needed; see user_namespaces(7)";
    if (setting_is("/proc/sys/user/max_user_namespaces", "0")) {
        mend = "user.max_user_namespaces is 0; as root: sysctl user.max_user_namespaces=15000";
    } else if (reason == ENOSPC) {
        mend = "user.max_user_namespaces is used up, or namespaces are nested too deep; as root: sysctl "
               "user.max_user_namespaces=15000";
    } else if (geteuid() != 0 && setting_is("/proc/sys/kernel/unprivileged_userns_clone", "0")) {
        mend = "kernel.unprivileged_userns_clone is 0; as root: sysctl kernel.unprivileged_userns_clone=1";
    } else if (geteuid() != 0 && setting_is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1")) {
        mend = "AppArmor restricts user namespaces (Ubuntu 24.04); as root: sysctl "
               "kernel.apparmor_restrict_unprivileged_userns=0, or run as root";
    } else if (under_seccomp()) {
        mend = "a container's seccomp profile forbids new namespaces; start it with --security-opt seccomp=unconfined "
               "--security-opt apparmor=unconfined (docker, podman)";
    } else if (reason == ENOSYS || reason == EINVAL) {
        mend = "this kernel was built without namespaces";
    }
    snprintf(text, capacity, "%s", mend);
}

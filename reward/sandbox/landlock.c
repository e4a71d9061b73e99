/* reward/sandbox/landlock.c - raw system calls for the rules; a run's folder is emptied by flattening it first.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/sandbox/landlock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "reward/sandbox/root.h"

/* Not in the headers of every C library we build with; the values are the kernel's. */
enum { LANDLOCK_CREATE = 444, LANDLOCK_ADD = 445, ASK_VERSION = 1, BELOW_PATH = 1, MIN_VERSION = 3 };
enum {
    WRITE_FILE = 1 << 1,
    READ_FILE = 1 << 2,
    READ_FOLDER = 1 << 3,
    REMOVE_FOLDER = 1 << 4,
    REMOVE_FILE = 1 << 5,
    MAKE_FOLDER = 1 << 7,
    MAKE_FILE = 1 << 8,
    MAKE_LINK = 1 << 12,
    MOVE = 1 << 13,
    TRUNCATE = 1 << 14,
    EVERYTHING = (1 << 15) - 1, /* all that version 3 can refuse */
    ON_FILES = WRITE_FILE | READ_FILE | TRUNCATE,
    LOOK = READ_FILE | READ_FOLDER,
    OWN = LOOK | WRITE_FILE | REMOVE_FOLDER | REMOVE_FILE | MAKE_FOLDER | MAKE_FILE | MAKE_LINK | MOVE | TRUNCATE,
};

/* ---- rules ---- */

/* Allows what may be done below a path, or with it if it is a file. A path that is not there needs no rule. */
static bool allow(int rules, const char *path, uint64_t what, char text[WIRE_TEXT])
{
    struct __attribute__((packed)) {
        uint64_t what;
        int32_t fd;
    } rule = {what, open(path, O_PATH | O_CLOEXEC)};
    struct stat status;
    if (rule.fd < 0) {
        return true;
    }
    rule.what &= fstat(rule.fd, &status) == 0 && S_ISDIR(status.st_mode) ? (uint64_t)EVERYTHING : (uint64_t)ON_FILES;
    bool ok = syscall(LANDLOCK_ADD, rules, BELOW_PATH, &rule, 0) == 0 ||
              wire_fail(text, "cannot show %s to the sandbox (landlock_add_rule)", path);
    close(rule.fd);
    return ok;
}

static bool make_rules(struct landlock *landlock, const struct wire_setup *setup, char text[WIRE_TEXT])
{
    const uint64_t handled = EVERYTHING;
    const char *const seen[] = {"/usr/lib",         "/usr/lib64",   "/lib",         "/lib64",
                                "/etc/ld.so.cache", setup->stdlib,  setup->dynload, setup->python,
                                "/dev/random",      "/dev/urandom", "box"};
    const char *const written[] = {"/dev/null", "/dev/zero", "/dev/full"};
    long version = syscall(LANDLOCK_CREATE, NULL, 0, ASK_VERSION);
    if (version < MIN_VERSION) {
        snprintf(text, WIRE_TEXT,
                 "sandbox=landlock needs Landlock of Linux 6.2 or newer (%s); is 'landlock' in "
                 "/sys/kernel/security/lsm? In a container, its seccomp profile may hide it",
                 version < 0 ? strerror(errno) : "this one is older");
        return false;
    }
    landlock->rules = (int)syscall(LANDLOCK_CREATE, &handled, sizeof handled, 0);
    bool ok = landlock->rules >= 0 || wire_fail(text, "cannot make rules (landlock_create_ruleset)");
    for (size_t i = 0; i < sizeof seen / sizeof *seen && ok; i++) {
        ok = !seen[i][0] || allow(landlock->rules, seen[i], LOOK, text);
    }
    for (size_t i = 0; i < sizeof written / sizeof *written && ok; i++) {
        ok = allow(landlock->rules, written[i], READ_FILE | WRITE_FILE, text);
    }
    return ok && allow(landlock->rules, "tmp", OWN, text);
}

bool landlock_open(struct landlock *landlock, const struct wire_setup *setup, const struct guard_filter *filter,
                   char text[WIRE_TEXT])
{
    landlock->rules = -1;
    umask(0022);
    snprintf(landlock->folder, sizeof landlock->folder, "/tmp/strop-sandbox-XXXXXX");
    if (!mkdtemp(landlock->folder)) {
        bool failed = wire_fail(text, "cannot make the folder %s", landlock->folder);
        landlock->folder[0] = '\0';
        return failed;
    }
    if (chdir(landlock->folder) != 0 || mkdir("box", 0755) != 0 || mkdir("tmp", 0755) != 0 ||
        mkdir("strop", 0755) != 0 || !root_write_ours(filter)) {
        return wire_fail(text, "cannot fill %s", landlock->folder);
    }
    return make_rules(landlock, setup, text);
}

/* ---- emptying ---- */

/* Moves what is in a folder of `top` up into `top`, and removes the folder. *next is for names that are free. */
static bool flatten(int top, const char *name, unsigned *next)
{
    if (unlinkat(top, name, AT_REMOVEDIR) == 0) {
        return true;
    }
    fchmodat(top, name, 0700, 0); /* it may have been made without rights */
    int fd = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder) {
        return false;
    }
    bool ok = true;
    for (struct dirent *e; ok && (e = readdir(folder));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || unlinkat(fd, e->d_name, 0) == 0) {
            continue;
        }
        char to[16];
        fchmodat(fd, e->d_name, 0700, 0); /* a folder that moves is written to */
        do {
            snprintf(to, sizeof to, "%u", (*next)++);
            ok = renameat2(fd, e->d_name, top, to, 1 /* RENAME_NOREPLACE */) == 0;
        } while (!ok && errno == EEXIST);
    }
    closedir(folder);
    return ok && unlinkat(top, name, AT_REMOVEDIR) == 0;
}

/* Without recursion, which a program could make too deep. */
bool landlock_empty(const struct landlock *landlock)
{
    char path[LANDLOCK_FOLDER + 8];
    snprintf(path, sizeof path, "%s/tmp", landlock->folder);
    DIR *top = opendir(path);
    bool ok = top, found = true;
    unsigned next = 0;
    while (ok && found) { /* until a pass sees nothing: entries that came meanwhile may not have been seen */
        found = false;
        rewinddir(top);
        for (struct dirent *e; ok && (e = readdir(top));) {
            if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
                found = true;
                ok = unlinkat(dirfd(top), e->d_name, 0) == 0 || flatten(dirfd(top), e->d_name, &next);
            }
        }
    }
    if (top) {
        closedir(top);
    }
    return ok;
}

void landlock_close(struct landlock *landlock)
{
    if (landlock->folder[0] && landlock_empty(landlock)) {
        file_remove_folder(landlock->folder);
    }
    if (landlock->rules >= 0) {
        close(landlock->rules);
    }
}

/* reward/sandbox/root.c - gathers open_tree descriptors as the first user, then places them in a tmpfs and pivots into
 * it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/sandbox/root.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not in the headers of every C library we build with; the values are the kernel's. */
enum { TREE_CLONE = 1, TREE_RECURSIVE = 0x8000, TREE_EMPTY_PATH = 0x1000, MOVE_FROM_FD = 4 };
enum { ATTRIBUTE_RDONLY = 1, ATTRIBUTE_NOSUID = 2, ATTRIBUTE_NODEV = 4 };
struct tree_attributes {
    uint64_t set, clear, propagation, userns;
};

extern const char zygote_python[], calls_python[], asserts_python[], ours_python_end[];
__asm__(".section .rodata\n"
        ".global zygote_python, calls_python, asserts_python, ours_python_end\n"
        "zygote_python:\n"
        ".incbin \"reward/python/zygote.py\"\n"
        "calls_python:\n"
        ".incbin \"reward/python/calls.py\"\n"
        "asserts_python:\n"
        ".incbin \"reward/python/asserts.py\"\n"
        "ours_python_end:\n"
        ".text\n");

/* ---- gathering ---- */

static bool tree_add(struct root *root, const char *path, const char *target, bool device)
{
    struct stat status;
    if (root->n_trees == ROOT_TREES || stat(path, &status) != 0) {
        return false;
    }
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, TREE_CLONE | TREE_RECURSIVE | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    struct tree_attributes attributes = {.set = ATTRIBUTE_RDONLY | ATTRIBUTE_NOSUID | (device ? 0u : ATTRIBUTE_NODEV)};
    if (syscall(SYS_mount_setattr, fd, "", TREE_RECURSIVE | TREE_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
        int reason = errno;
        close(fd);
        errno = reason;
        return false;
    }
    struct root_tree *tree = &root->trees[root->n_trees++];
    *tree = (struct root_tree){.target = target, .fd = fd, .folder = S_ISDIR(status.st_mode)};
    snprintf(tree->path, sizeof tree->path, "%s", path);
    return true;
}

static bool is_inside(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* A path that no gathered folder holds already. */
static bool tree_need(struct root *root, const char *path, char text[WIRE_TEXT])
{
    if (!path[0]) {
        return true;
    }
    for (int i = 0; i < root->n_trees; i++) {
        if (root->trees[i].folder && is_inside(path, root->trees[i].path)) {
            return true;
        }
    }
    return tree_add(root, path, NULL, false) || wire_fail(text, "cannot show %s to the sandbox", path);
}

/* Where the dynamic linker looks: only those that are folders, not links, are bound; links are made again. */
static const char *const library_folders[] = {
    "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64",
    "/lib/x86_64-linux-gnu",     "/lib/aarch64-linux-gnu",     "/lib64",
};

bool root_gather(struct root *root, enum slot_class class, const struct wire_setup *setup, char text[WIRE_TEXT])
{
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};
    *root = (struct root){.proc = -1};
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        if (!tree_add(root, devices[i], NULL, true)) {
            return wire_fail(text, "cannot show %s to the sandbox (open_tree, mount_setattr: Linux 5.12 or newer)",
                             devices[i]);
        }
    }
    if (class == SLOT_COMPILE) {
        if (!tree_need(root, "/usr", text)) {
            return false;
        }
        tree_add(root, "/etc/alternatives", NULL, false);
        if (setup->headers[0] && !tree_add(root, setup->headers, "/headers", false)) {
            return wire_fail(text, "cannot show %s to the sandbox", setup->headers);
        }
    }
    for (size_t i = 0; i < sizeof library_folders / sizeof *library_folders; i++) {
        struct stat status;
        char real[PATH_MAX];
        bool whole = realpath(library_folders[i], real) && strcmp(real, library_folders[i]) == 0;
        if (whole && lstat(library_folders[i], &status) == 0 && S_ISDIR(status.st_mode) &&
            !tree_need(root, library_folders[i], text)) {
            return false;
        }
    }
    tree_add(root, "/etc/ld.so.cache", NULL, false);
    return class == SLOT_COMPILE || (tree_need(root, setup->stdlib, text) && tree_need(root, setup->dynload, text) &&
                                     tree_need(root, setup->python, text));
}

/* ---- building, in the folder that will be the root ---- */

static bool make_parents(const char *relative)
{
    char path[512];
    snprintf(path, sizeof path, "%s", relative);
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0755) != 0 && errno != EEXIST) {
            return false;
        }
        *slash = '/';
    }
    return true;
}

static bool tree_place(const struct root_tree *tree)
{
    const char *target = (tree->target ? tree->target : tree->path) + 1;
    if (!make_parents(target)) {
        return false;
    }
    if (tree->folder) {
        if (mkdir(target, 0755) != 0 && errno != EEXIST) {
            return false;
        }
    } else {
        int fd = open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0) {
            return false;
        }
        close(fd);
    }
    return syscall(SYS_move_mount, tree->fd, "", AT_FDCWD, target, MOVE_FROM_FD) == 0;
}

/* /lib -> usr/lib and its like, where the host has them so and nothing was bound there. */
static void copy_links(void)
{
    static const char *const names[] = {"lib", "lib64", "bin", "sbin"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[16], to[256];
        snprintf(path, sizeof path, "/%s", names[i]);
        ssize_t n = readlink(path, to, sizeof to - 1);
        if (n > 0) {
            to[n] = '\0';
            (void)!symlink(to, names[i]); /* a program that needs it will say so */
        }
    }
}

static bool write_file(const char *path, const void *data, size_t bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return false;
    }
    bool ok = write(fd, data, bytes) == (ssize_t)bytes;
    close(fd);
    return ok;
}

static bool write_between(const char *path, const char *from, const char *to)
{
    return write_file(path, from, (size_t)((uintptr_t)to - (uintptr_t)from));
}

bool root_write_ours(const struct guard_filter *filter)
{
    return write_between("strop/zygote.py", zygote_python, calls_python) &&
           write_between("strop/calls.py", calls_python, asserts_python) &&
           write_between("strop/asserts.py", asserts_python, ours_python_end) &&
           write_file("strop/filter", filter->code, filter->n * sizeof *filter->code);
}

static bool make_rest(const struct guard_filter *filter)
{
    static const char *const folders[] = {"dev", "etc", "proc", "tmp", "box", "strop"};
    static const char *const links[][2] = {{"/proc/self/fd", "dev/fd"},
                                           {"/proc/self/fd/0", "dev/stdin"},
                                           {"/proc/self/fd/1", "dev/stdout"},
                                           {"/proc/self/fd/2", "dev/stderr"},
                                           {"/tmp", "dev/shm"}}; /* counted in the limit of /tmp */
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (mkdir(folders[i], 0755) != 0 && errno != EEXIST) {
            return false;
        }
    }
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        if (symlink(links[i][0], links[i][1]) != 0) {
            return false;
        }
    }
    return root_write_ours(filter);
}

/* A proc of our pid namespace that is mounted nowhere. */
static int private_proc(void)
{
    int context = (int)syscall(SYS_fsopen, "proc", 1 /* FSOPEN_CLOEXEC */);
    if (context < 0) {
        return -1;
    }
    int fd = -1;
    if (syscall(SYS_fsconfig, context, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0) == 0) {
        fd = (int)syscall(SYS_fsmount, context, 1 /* FSMOUNT_CLOEXEC */, 14 /* nosuid, nodev, noexec */);
    }
    close(context);
    return fd;
}

bool root_enter(struct root *root, const struct guard_filter *filter, char text[WIRE_TEXT])
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        return wire_fail(text, "cannot make the mounts private");
    }
    (void)!sethostname("sandbox", 7); /* a program must not see the host's name */
    if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=16m,nr_inodes=4096,mode=755") != 0) {
        return wire_fail(text,
                         "cannot mount a tmpfs (a security module such as AppArmor's docker-default forbids mount)");
    }
    /* before the pivot: a new proc is allowed only while the old one is in sight */
    root->proc = private_proc();
    root->has_proc = root->proc >= 0;
    if (chdir("/tmp") != 0 || !(umask(0022), true)) {
        return wire_fail(text, "cannot enter the new root");
    }
    for (int i = 0; i < root->n_trees; i++) {
        if (!tree_place(&root->trees[i])) {
            return wire_fail(text, "cannot place %s in the new root", root->trees[i].path);
        }
        close(root->trees[i].fd);
    }
    copy_links();
    if (!make_rest(filter)) {
        return wire_fail(text, "cannot fill the new root");
    }
    if (root->has_proc &&
        mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=2,subset=pid") != 0) {
        root->has_proc = false;
    }
    if (mount("tmpfs", "box", "tmpfs", MS_NOSUID | MS_NODEV, "size=64m,nr_inodes=64,mode=755") != 0) {
        return wire_fail(text, "cannot mount /box");
    }
    if (syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", MNT_DETACH) != 0 || chdir("/") != 0) {
        return wire_fail(text, "cannot change the root (pivot_root)");
    }
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) != 0) {
        return wire_fail(text, "cannot make the root read-only");
    }
    return true;
}

bool root_for_run(const struct root *root, int32_t tmp_mb, const char **what)
{
    char options[96];
    snprintf(options, sizeof options, "size=%dm,nr_inodes=%d,mode=755", tmp_mb, 256 + 64 * tmp_mb);
    *what = "cannot mount /tmp";
    if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, options) != 0) {
        return false;
    }
    *what = "cannot mount /proc";
    if (root->has_proc &&
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=2,subset=pid") != 0) {
        return false;
    }
    *what = "cannot make /box read-only";
    return mount(NULL, "/box", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) == 0;
}

/* reward/sandbox/root.h - the file system of a slot and of a run.
 *
 * A slot's root is a small tmpfs with what its programs need of the host, bound read-only, nosuid, nodev:
 *
 *   /usr/lib/...       shared libraries, Python's standard library and executable; a compiler's slot: all of /usr
 *   /dev               null, zero, full, random, urandom; links stdin, stdout, stderr, fd; shm -> /tmp
 *   /etc               empty but ld.so.cache; a compiler's slot: alternatives too
 *   /headers           a compiler's slot: precompiled headers
 *   /strop             our Python files and the seccomp filter
 *   /box               the program's source, written by the slot, read-only in the run
 *   /tmp /proc         made anew for each run
 *
 * Everything of the host is opened by path before the process takes its unprivileged user, so that an interpreter in a
 * home folder can be used by root. Needs the mount calls of Linux 5.12 (open_tree, mount_setattr).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_SANDBOX_ROOT_H
#define REWARD_SANDBOX_ROOT_H

#include "reward/sandbox/guard.h"

#define ROOT_TREES 32

struct root_tree {
    char path[512]; /* in the host, and in the slot unless it has another `target` */
    const char *target;
    int fd;
    bool folder;
};

struct root {
    struct root_tree trees[ROOT_TREES];
    int n_trees;
    bool has_proc; /* a run can have a /proc of its own; containers that mask parts of theirs forbid it */
    int proc;      /* the slot's processes, seen by the slot only; -1 */
};

/* Writes our Python files and the filter into strop/ of the current folder. False with errno. */
bool root_write_ours(const struct guard_filter *filter);
/* Opens what the class needs; before the user changes. */
bool root_gather(struct root *root, enum slot_class class, const struct wire_setup *setup, char text[WIRE_TEXT]);
/* Builds the tree and makes it the root; after the user changed, in mount and pid namespaces of its own. */
bool root_enter(struct root *root, const struct guard_filter *filter, char text[WIRE_TEXT]);
/* In pid 1 of a run: /tmp, /proc, and /box made read-only. False with errno; *what names the step. */
bool root_for_run(const struct root *root, int32_t tmp_mb, const char **what);

#endif

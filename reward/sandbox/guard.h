/* reward/sandbox/guard.h - what a program may do to the kernel: system calls, capabilities, resource limits.
 *
 * The list of system calls is an allow-list; all else gets EPERM (clone3: ENOSYS, so that the C library falls back to
 * clone, whose flags can be looked at). Refused for their known ways out: new namespaces, ptrace and its kin, io_uring,
 * bpf, userfaultfd, perf, keyrings, mount, sockets other than socketpair(AF_UNIX), memfd_create (memory outside the
 * limits), SysV memory, real-time priority. Another architecture's calls (int 0x80, x32) kill.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_SANDBOX_GUARD_H
#define REWARD_SANDBOX_GUARD_H

#include <linux/filter.h>

#include "reward/sandbox/wire.h"

#define GUARD_STACK_MB   64 /* the main thread's stack may grow to this */
#define GUARD_FILES      64 /* open descriptors */
#define GUARD_KEEP_COUNT 3  /* processes of ours in a slot's user namespace: the slot, its Python, pid 1 of the run */

/* The filter as the kernel takes it. */
struct guard_filter {
    struct sock_filter *code;
    unsigned short n;
};

/* alone: for a program without namespaces (landlock.h), where the list also lacks what starts processes, sends
 * signals, and changes a file's rights and times (which Landlock does not look at). */
bool guard_build(struct guard_filter *filter, bool alone, char text[WIRE_TEXT]);

/* The address space that a program with these limits gets, in bytes. with_cgroup: memory is limited as a whole, and the
 * address space is only kept from running away (stacks of threads and reserved memory cost nothing there). */
uint64_t guard_address_space(const struct sandbox_limits *limits, bool with_cgroup);

/* In the program's process, just before it is executed. False with errno. */
bool guard_limit(const struct sandbox_limits *limits, bool with_cgroup);
bool guard_drop(void); /* every capability, the bounding set, and the right to gain any */
bool guard_drop_all(
    void); /* guard_drop for a process that may lack CAP_SETPCAP; the bounding set stays, which nothing can use */
bool guard_filter_on(const struct guard_filter *filter);

/* The capabilities a slot's Python keeps over its execve: to enter a run's namespaces. */
bool guard_keep_for_python(void);

#endif

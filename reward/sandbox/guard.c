/* reward/sandbox/guard.c - libseccomp makes the filter once; each process then puts limits, capabilities and filter on
 * itself.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/sandbox/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <math.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What CPython, gcc, g++ and ordinary programs use. Names unknown to an architecture are skipped. */
static const char *const allowed[] = {
    /* files */
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "preadv",
    "pwritev",
    "preadv2",
    "pwritev2",
    "open",
    "openat",
    "openat2",
    "creat",
    "close",
    "close_range",
    "stat",
    "fstat",
    "lstat",
    "newfstatat",
    "statx",
    "lseek",
    "access",
    "faccessat",
    "faccessat2",
    "dup",
    "dup2",
    "dup3",
    "fcntl",

    "fsync",
    "fdatasync",
    "truncate",
    "ftruncate",
    "fallocate",
    "fadvise64",
    "readahead",
    "getdents",
    "getdents64",
    "getcwd",
    "chdir",
    "fchdir",
    "rename",
    "renameat",
    "renameat2",
    "mkdir",
    "mkdirat",
    "rmdir",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "symlink",
    "symlinkat",
    "readlink",
    "readlinkat",
    "chmod",
    "fchmod",
    "fchmodat",
    "umask",
    "utime",
    "utimes",
    "utimensat",
    "futimesat",
    "statfs",
    "fstatfs",
    "sendfile",
    "splice",
    "tee",
    "copy_file_range",
    "pipe",
    "pipe2",

    "sync_file_range",
    "getxattr",
    "lgetxattr",
    "fgetxattr",
    "listxattr",
    "llistxattr",
    "flistxattr",
    /* memory */
    "mmap",
    "munmap",
    "mprotect",
    "mremap",
    "madvise",
    "brk",
    "msync",
    "mincore",
    "membarrier",
    /* processes and threads */
    "fork",
    "vfork",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "wait4",
    "waitid",
    "getpid",
    "getppid",
    "gettid",
    "getpgid",
    "getpgrp",
    "setpgid",
    "getsid",
    "setsid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getresuid",
    "getresgid",
    "getgroups",
    "set_tid_address",
    "set_robust_list",
    "get_robust_list",
    "rseq",
    "futex",
    "futex_waitv",
    "arch_prctl",
    "sched_yield",
    "sched_getaffinity",
    "sched_setaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "getpriority",
    "getrlimit",
    "setrlimit",
    "getrusage",
    "times",
    "sysinfo",
    "uname",
    "getcpu",
    "capget",
    "pidfd_open",
    "pidfd_send_signal",
    /* signals */
    "kill",
    "tkill",
    "tgkill",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigpending",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "sigaltstack",
    "restart_syscall",
    "pause",
    "alarm",
    "signalfd",
    "signalfd4",
    /* time */
    "nanosleep",
    "clock_nanosleep",
    "clock_gettime",
    "clock_getres",
    "gettimeofday",
    "time",
    "getitimer",
    "setitimer",
    "timer_create",
    "timer_settime",
    "timer_gettime",
    "timer_getoverrun",
    "timer_delete",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    /* waiting */
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "eventfd",
    "eventfd2",
    "getrandom",
    /* on a socketpair */
    "sendmsg",
    "recvmsg",
    "sendto",
    "recvfrom",
    "shutdown",
    "getsockopt",
    "setsockopt",
    "getsockname",
    "getpeername",
};

/* Calls that are not allowed to a program that shares its pid namespace, and perhaps its user, with others. */
static const char *const not_alone[] = {
    "fork",
    "vfork",
    "execve",
    "execveat",
    "kill",
    "tkill",
    "tgkill",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "pidfd_open",
    "pidfd_send_signal",
    "fcntl",
    "chmod",
    "fchmod",
    "fchmodat",
    "utime",
    "utimes",
    "utimensat",
    "futimesat",
    "sched_setaffinity",
    "setpgid",
};

static bool is_alone(const char *name)
{
    for (size_t i = 0; i < sizeof not_alone / sizeof *not_alone; i++) {
        if (strcmp(name, not_alone[i]) == 0) {
            return false;
        }
    }
    return true;
}

static int allow_plain(scmp_filter_ctx context, bool alone)
{
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        int number = seccomp_syscall_resolve_name(allowed[i]);
        if (number < 0 || (alone && !is_alone(allowed[i]))) {
            continue;
        }
        int result = seccomp_rule_add(context, SCMP_ACT_ALLOW, number, 0);
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

/* Allows a call if the comparison holds for its argument. */
static int allow_if(scmp_filter_ctx context, int call, unsigned argument, enum scmp_compare how, scmp_datum_t a,
                    scmp_datum_t b)
{
    const struct scmp_arg_cmp condition = {.arg = argument, .op = how, .datum_a = a, .datum_b = b};
    return seccomp_rule_add_array(context, SCMP_ACT_ALLOW, call, 1, &condition);
}

/* Calls that are allowed for some arguments only. CLONE_PARENT would make a child of the slot's Python, which reaps one
 * child only: the run's pid namespace, and the slot with it, would wait for ever. */
static int allow_some(scmp_filter_ctx context, bool alone)
{
    /* not F_SETOWN, F_SETOWN_EX, F_SETSIG: they have the kernel send signals */
    static const unsigned long fcntls[] = {F_DUPFD, F_GETFD, F_SETFD,  F_GETFL,         F_SETFL,
                                           F_GETLK, F_SETLK, F_SETLKW, F_DUPFD_CLOEXEC, F_GETPIPE_SZ};
    static const unsigned long ioctls[] = {TCGETS, FIONREAD, FIOCLEX, FIONCLEX, FIONBIO, TIOCGWINSZ};
    static const unsigned long prctls[] = {PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, 0x53564d41 /* PR_SET_VMA */};
    const unsigned long never = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                                CLONE_NEWPID | CLONE_NEWNET | CLONE_PARENT | CLONE_PTRACE;
    const unsigned long thread = alone ? CLONE_THREAD : 0;
    int result = allow_if(context, SCMP_SYS(clone), 0, SCMP_CMP_MASKED_EQ, never | thread, thread);
    result = result < 0 ? result : seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    result = result < 0 ? result : allow_if(context, SCMP_SYS(prlimit64), 0, SCMP_CMP_EQ, 0, 0);
    result = result < 0 ? result : allow_if(context, SCMP_SYS(socketpair), 0, SCMP_CMP_EQ, AF_UNIX, 0);
    for (size_t i = 0; i < sizeof ioctls / sizeof *ioctls && result >= 0; i++) {
        result = allow_if(context, SCMP_SYS(ioctl), 1, SCMP_CMP_EQ, ioctls[i], 0);
    }
    for (size_t i = 0; i < sizeof fcntls / sizeof *fcntls && alone && result >= 0; i++) {
        result = allow_if(context, SCMP_SYS(fcntl), 1, SCMP_CMP_EQ, fcntls[i], 0);
    }
    for (size_t i = 0; i < sizeof prctls / sizeof *prctls && result >= 0; i++) {
        result = allow_if(context, SCMP_SYS(prctl), 0, SCMP_CMP_EQ, prctls[i], 0);
    }
    return result;
}

/* The program as libseccomp writes it, read back from a file in memory. */
static bool export_filter(scmp_filter_ctx context, struct guard_filter *filter)
{
    int fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    int result = seccomp_export_bpf(context, fd);
    off_t bytes = lseek(fd, 0, SEEK_END);
    bool ok = result == 0 && bytes > 0 && (size_t)bytes <= BPF_MAXINSNS * sizeof *filter->code;
    if (ok) {
        filter->code = malloc((size_t)bytes);
        filter->n = (unsigned short)((size_t)bytes / sizeof *filter->code);
        ok = filter->code && pread(fd, filter->code, (size_t)bytes, 0) == bytes;
    }
    close(fd);
    return ok;
}

bool guard_build(struct guard_filter *filter, bool alone, char text[WIRE_TEXT])
{
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int result = context ? 0 : -ENOMEM;
    result = result < 0 ? result : seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (result >= 0) {
        seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree; an older libseccomp makes a list, as good */
    }
    result = result < 0 ? result : allow_plain(context, alone);
    result = result < 0 ? result : allow_some(context, alone);
    bool ok = result >= 0 && export_filter(context, filter);
    if (!ok) {
        errno = result < 0 ? -result : errno;
        wire_fail(text, "cannot build the list of system calls (libseccomp)");
    }
    if (context) {
        seccomp_release(context);
    }
    return ok;
}

static bool limit(__rlimit_resource_t what, uint64_t soft, uint64_t hard)
{
    struct rlimit now, set = {.rlim_cur = soft, .rlim_max = hard};
    if (getrlimit(what, &now) == 0 && now.rlim_max < hard) { /* ours may be lower already */
        set.rlim_max = now.rlim_max;
        set.rlim_cur = soft < set.rlim_max ? soft : set.rlim_max;
    }
    return setrlimit(what, &set) == 0;
}

uint64_t guard_address_space(const struct sandbox_limits *limits, bool with_cgroup)
{
    uint64_t memory = (uint64_t)limits->memory_mb << 20;
    return with_cgroup ? 4 * memory + (1ull << 30) : memory;
}

bool guard_limit(const struct sandbox_limits *limits, bool with_cgroup)
{
    uint64_t cpu = (uint64_t)ceil(limits->cpu_s), space = guard_address_space(limits, with_cgroup);
    uint64_t file = (uint64_t)limits->fsize_mb << 20, tasks = (uint64_t)limits->processes + GUARD_KEEP_COUNT;
    uint64_t stack = (uint64_t)GUARD_STACK_MB << 20;
    return limit(RLIMIT_CPU, cpu, cpu + 1) && limit(RLIMIT_FSIZE, file, file) && limit(RLIMIT_CORE, 0, 0) &&
           limit(RLIMIT_NOFILE, GUARD_FILES, GUARD_FILES) && limit(RLIMIT_STACK, stack, stack) &&
           limit(RLIMIT_NPROC, tasks, tasks) && limit(RLIMIT_MEMLOCK, 0, 0) && limit(RLIMIT_MSGQUEUE, 0, 0) &&
           limit(RLIMIT_SIGPENDING, 256, 256) && limit(RLIMIT_AS, space, space);
}

static bool set_capabilities(uint64_t permitted, uint64_t inheritable)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    for (int i = 0; i < 2; i++) {
        data[i].permitted = data[i].effective = (uint32_t)(permitted >> (32 * i));
        data[i].inheritable = (uint32_t)(inheritable >> (32 * i));
    }
    return syscall(SYS_capset, &head, data) == 0;
}

static bool drop_bounding(void)
{
    for (unsigned long i = 0; i <= 63; i++) {
        if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0) {
            return errno == EINVAL; /* past the last one that this kernel has */
        }
    }
    return true;
}

bool guard_drop(void)
{
    return drop_bounding() && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 && set_capabilities(0, 0) &&
           prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

bool guard_drop_all(void)
{
    return set_capabilities(0, 0) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

bool guard_filter_on(const struct guard_filter *filter)
{
    struct sock_fprog program = {.len = filter->n, .filter = filter->code};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

bool guard_keep_for_python(void)
{
    static const unsigned long kept[] = {CAP_SYS_ADMIN, CAP_SYS_CHROOT};
    uint64_t set = (1ull << CAP_SYS_ADMIN) | (1ull << CAP_SYS_CHROOT);
    /* in this order: inheriting needs the bounding set, and emptying that needs CAP_SETPCAP */
    if (!set_capabilities(set | (1ull << CAP_SETPCAP), set)) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept[i], 0, 0) != 0) {
            return false;
        }
    }
    return drop_bounding() && set_capabilities(set, set) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

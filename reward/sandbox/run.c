/* reward/sandbox/run.c - one run, seen from the slot: pipes, pid 1, the program, the clock, the end.
 *
 * The run is over when the program's first process ends, or when a limit is passed. Nothing waits for the end of a
 * stream: a daemon may hold it for ever. Then pid 1 is killed, and with it all that the program left.
 *
 * pid 1 keeps one capability (CAP_SYS_CHROOT) that the program lacks, and is dumpable: so the slot's Python, which has
 * it too, may enter its namespaces, and the program may not look into it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "reward/sandbox/slot.h"
#include "reward/sandbox/userns.h"

enum { RUN_READY, RUN_ENDED, RUN_FAILED };
enum { SETUP_MS = 20000, KILLED_MS = 20000 };

/* From pid 1, and from the program's process if it cannot be executed. */
struct run_notice {
    int kind, status, reason;
    int64_t cpu_us, peak_kb;
    const char *what; /* RUN_FAILED; a literal: all of them are forks of the slot, so it is at the same address there */
};

struct run {
    struct slot *slot;
    const struct wire_job *job;
    struct wire_reply *reply;
    struct slot_output *output;
    int input, file, channel;                /* of the caller */
    int out[2], err[2], answer[2], notes[2]; /* pipes: read, write */
    int kept;                                /* a file in memory; -1 */
    bool python;
    pid_t first; /* pid 1, as we see it */
    int first_fd;
    pid_t program; /* as we see it; 0 until known */
    double start, deadline;
    bool ended;
    int status;
    int64_t kills_before;
};

/* ---- in pid 1 and in the program's process ---- */

static void notice_send(const struct run *run, struct run_notice notice)
{
    (void)!write(run->notes[1], &notice, sizeof notice);
}

static void program_failed(const struct run *run, const char *what)
{
    notice_send(run, (struct run_notice){.kind = RUN_FAILED, .reason = errno, .what = what});
    _exit(127);
}

static void program_main(const struct run *run)
{
    static char *const environment[] = {"PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8", "TMPDIR=/tmp", NULL};
    static char *const name[] = {"/box/program", NULL};
    bool compiler = run->job->what == SANDBOX_COMPILE;
    char *words[128] = {NULL};
    for (size_t at = 0, n = 0; compiler && at < run->job->command_bytes && n < 127; n++) {
        words[n] = (char *)(uintptr_t)run->job->command + at;
        at += strlen(words[n]) + 1;
    }
    if (setsid() < 0 || chdir("/tmp") != 0) {
        program_failed(run, "cannot enter the run");
    }
    wire_write_small("/proc/self/oom_score_adj",
                     "1000"); /* where memory is limited as a whole, the program goes first */
    if (dup2(run->input, 0) < 0 || dup2(run->out[1], 1) < 0 || dup2(run->err[1], 2) < 0 ||
        syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */) != 0) {
        program_failed(run, "cannot place descriptors");
    }
    if (!guard_limit(&run->job->limits, run->slot->cgroup.has_memory) || !guard_drop() ||
        !guard_filter_on(&run->slot->filter)) {
        program_failed(run, "cannot confine");
    }
    if (words[0]) {
        execve(words[0], words, environment);
    } else {
        syscall(SYS_execveat, run->file, "", name, environment, 0x1000 /* AT_EMPTY_PATH */);
    }
    program_failed(run, "cannot execute");
}

/* Copies what the compiler made, if it is an ordinary file of lawful size; it may have been made by anyone. */
static void keep_file(const struct run *run)
{
    int fd = open(run->job->keep, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
        status.st_size <= (off_t)run->job->limits.fsize_mb << 20) {
        off_t left = status.st_size;
        ssize_t n = 1;
        while (left > 0 && (n = sendfile(run->kept, fd, NULL, (size_t)left)) > 0) {
            left -= n;
        }
    }
}

static void first_drop(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{.permitted = 1u << CAP_SYS_CHROOT}};
    if (syscall(SYS_capset, &head, data) != 0) {
        _exit(1);
    }
    prctl(PR_SET_DUMPABLE, 1);
}

static void first_main(const struct run *run)
{
    const char *what = "cannot start a session";
    if (setsid() < 0 || !root_for_run(&run->slot->root, run->job->limits.tmp_mb, &what)) {
        program_failed(run, what);
    }
    pid_t program = run->python ? 0 : fork();
    if (program == 0 && !run->python) {
        program_main(run);
    }
    if (run->python) {
        first_drop();
        signal(SIGCHLD, SIG_IGN); /* orphans vanish by themselves */
    }
    notice_send(run, (struct run_notice){.kind = program < 0 ? RUN_FAILED : RUN_READY, .reason = errno});
    while (run->python) {
        pause();
    }
    struct rusage used;
    int status;
    pid_t ended;
    do {
        ended = wait4(-1, &status, 0, &used);
    } while (ended != program && (ended > 0 || errno == EINTR));
    if (run->kept >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        keep_file(run);
    }
    int64_t cpu =
        (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000ll + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
    notice_send(run,
                (struct run_notice){.kind = RUN_ENDED, .status = status, .cpu_us = cpu, .peak_kb = used.ru_maxrss});
    for (;;) {
        pause();
    }
}

/* ---- in the slot ---- */

static bool run_failed(struct run *run, const char *what)
{
    run->reply->ok = false;
    return wire_fail(run->reply->text, "sandbox: %s", what);
}

static bool write_source(struct run *run)
{
    char path[LANDLOCK_FOLDER + 16];
    snprintf(path, sizeof path, "%s/box/%s", run->slot->landlock.folder, run->python ? "main.py" : "source");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    struct stat status;
    if (fd < 0 || fstat(run->file, &status) != 0) {
        return run_failed(run, "cannot write the source");
    }
    off_t left = status.st_size, at = 0;
    ssize_t n = 1;
    while (left > 0 && (n = sendfile(fd, run->file, &at, (size_t)left)) > 0) {
        left -= n;
    }
    close(fd);
    return left == 0 || run_failed(run, "cannot write the source");
}

static bool run_open(struct run *run)
{
    int *const pipes[] = {run->out, run->err, run->answer, run->notes};
    for (int i = 0; i < 4; i++) {
        pipes[i][0] = pipes[i][1] = -1;
    }
    for (int i = 0; i < 4; i++) {
        if (pipe2(pipes[i], O_CLOEXEC) != 0 || fcntl(pipes[i][0], F_SETFL, O_NONBLOCK) != 0) {
            return run_failed(run, "cannot make pipes");
        }
    }
    if (run->job->what == SANDBOX_COMPILE) {
        run->kept = memfd_create("kept", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (run->kept < 0) {
            return run_failed(run, "cannot make a file in memory");
        }
    }
    return run->job->what == SANDBOX_BINARY || write_source(run);
}

static bool read_notice(struct run *run, struct run_notice *notice, int timeout_ms)
{
    struct pollfd wait = {.fd = run->notes[0], .events = POLLIN};
    if (poll(&wait, 1, timeout_ms) != 1 || read(run->notes[0], notice, sizeof *notice) != sizeof *notice) {
        errno = ETIMEDOUT;
        return run_failed(run, "pid 1 of the run does not answer");
    }
    if (notice->kind == RUN_FAILED) {
        errno = notice->reason;
        return run_failed(run, notice->what ? notice->what : "a fork was refused");
    }
    return true;
}

static bool python_order(struct run *run)
{
    const struct slot *slot = run->slot;
    const struct sandbox_limits *limits = &run->job->limits;
    bool answers = run->job->what == SANDBOX_FUNCTION || run->job->what == SANDBOX_TEST;
    bool shared_user = slot->landlock.shared_user; /* all that the caller runs would count */
    struct python_order order = {.what = (int32_t)run->job->what,
                                 .has_channel = run->channel >= 0,
                                 .prelude = run->job->prelude,
                                 .cpu_s = (uint64_t)(limits->cpu_s + 0.999),
                                 .space_bytes = guard_address_space(limits, slot->cgroup.has_memory),
                                 .file_bytes = (uint64_t)limits->fsize_mb << 20,
                                 .tasks = shared_user ? 1u << 22 : (uint64_t)limits->processes + GUARD_KEEP_COUNT,
                                 .files = GUARD_FILES,
                                 .stack_bytes = (uint64_t)GUARD_STACK_MB << 20};
    int fds[6] = {slot->setup->landlock ? slot->landlock.rules : run->first_fd, run->input, run->out[1], run->err[1]},
        n = 4;
    if (answers) {
        fds[n++] = run->answer[1];
    }
    if (run->channel >= 0) {
        fds[n++] = run->channel;
    }
    struct python_notice notice;
    struct pollfd wait = {.fd = slot->python, .events = POLLIN};
    if (!wire_send(slot->python, &order, sizeof order, fds, n) || poll(&wait, 1, SETUP_MS) != 1 ||
        recv(slot->python, &notice, sizeof notice, 0) != sizeof notice) {
        python_stop(run->slot);
        return run_failed(run, "the warm Python does not answer");
    }
    if (notice.kind == 2) {
        errno = notice.status;
        return run_failed(run, "the warm Python cannot confine a child");
    }
    run->program = notice.pid;
    run->slot->python_runs++;
    return true;
}

static bool first_start(struct run *run)
{
    run->first = userns_clone(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS, &run->first_fd);
    if (run->first == 0) {
        first_main(run);
        _exit(1);
    }
    if (run->first < 0) {
        return run_failed(run, "cannot make the run's namespaces");
    }
    struct run_notice ready;
    return read_notice(run, &ready, SETUP_MS);
}

static bool run_start(struct run *run)
{
    if ((!run->slot->setup->landlock && !first_start(run)) || (run->python && !python_order(run))) {
        return false;
    }
    close(run->out[1]);
    close(run->err[1]);
    close(run->answer[1]);
    run->out[1] = run->err[1] = run->answer[1] = -1;
    run->start = clock_seconds();
    run->deadline = run->start + run->job->limits.wall_s;
    return true;
}

/* Reads what is there. False when the stream has passed its limit; what is past `keep` is dropped. */
static bool drain(int fd, struct strbuf *to, int64_t keep, bool limited)
{
    char chunk[65536];
    for (int i = 0; i < 64; i++) { /* bounded: a flood must not keep us from the clock */
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n <= 0) {
            return true;
        }
        int64_t room = keep - (int64_t)to->length;
        strbuf_add(to, chunk, (size_t)(n < room ? n : room));
        if (limited && n > room) {
            return false;
        }
    }
    return true;
}

static void take_end(struct run *run)
{
    if (run->python) {
        struct python_notice notice;
        if (recv(run->slot->python, &notice, sizeof notice, MSG_DONTWAIT) != sizeof notice) {
            run_failed(run, "the warm Python died");
            python_stop(run->slot);
            run->ended = true;
            return;
        }
        run->status = notice.status;
        run->reply->cpu_s = (double)notice.cpu_us * 1e-6;
        run->reply->peak_kb = notice.peak_kb;
    } else {
        struct run_notice notice = {0};
        if (!read_notice(run, &notice, 0)) {
            run->ended = true;
            return;
        }
        run->status = notice.status;
        run->reply->cpu_s = (double)notice.cpu_us * 1e-6;
        run->reply->peak_kb = notice.peak_kb;
    }
    run->ended = true;
}

static bool drain_all(struct run *run)
{
    int64_t max = run->job->limits.output_bytes;
    bool ok = drain(run->out[0], &run->output->out, max, true);
    ok = drain(run->answer[0], &run->output->answer, max + WIRE_ANSWER_MORE, true) && ok;
    drain(run->err[0], &run->output->err, SANDBOX_STDERR, false);
    return ok;
}

/* Until the program ends or a limit is passed. */
static void run_watch(struct run *run)
{
    struct pollfd watched[] = {{.fd = run->out[0], .events = POLLIN},
                               {.fd = run->err[0], .events = POLLIN},
                               {.fd = run->answer[0], .events = POLLIN},
                               {.fd = run->python ? run->slot->python : run->notes[0], .events = POLLIN},
                               {.fd = run->slot->socket, .events = 0}};
    enum { OUT, ERR, ANSWER, END, CALLER, N };
    while (!run->ended) {
        double left = run->deadline - clock_seconds();
        if (left <= 0) {
            run->reply->stop = SANDBOX_WALL;
            return;
        }
        if (poll(watched, N, (int)(left * 1000) + 1) < 0 && errno != EINTR) {
            run_failed(run, "poll");
            return;
        }
        if (watched[CALLER].revents & (POLLHUP | POLLERR)) {
            run->reply->stop = SANDBOX_WALL; /* the caller no longer waits for this run */
            return;
        }
        if (watched[END].revents) {
            take_end(run);
        }
        if (!drain_all(run)) {
            run->reply->stop = SANDBOX_OUTPUT;
            return;
        }
        for (int i = OUT; i <= ANSWER; i++) { /* closed by all writers, which is not the end of the program */
            if ((watched[i].revents & (POLLHUP | POLLERR)) && !(watched[i].revents & POLLIN)) {
                watched[i].fd = -1;
            }
        }
    }
}

/* Whether the run has other processes than pid 1 and the program: then they may have starved each other. */
static bool has_more_processes(const struct run *run, pid_t program)
{
    int fd = openat(run->slot->root.proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *all = fd >= 0 ? fdopendir(fd) : NULL;
    bool more = false;
    for (struct dirent *entry; all && !more && (entry = readdir(all));) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        more = pid > 0 && pid != getpid() && pid != run->slot->python_pid && pid != run->first && pid != program;
    }
    if (all) {
        closedir(all);
    } else if (fd >= 0) {
        close(fd);
    }
    return more;
}

/* How long the program waited for a processor: "cpu wait slices" of its schedstat; 0 if it is not the only process. */
static double starved_seconds(const struct run *run)
{
    char path[64], text[128];
    pid_t program = run->program;
    if (run->slot->root.proc < 0) {
        return 0;
    }
    if (!program) { /* pid 1's child, by its number in the slot */
        snprintf(path, sizeof path, "%d/task/%d/children", run->first, run->first);
        int fd = openat(run->slot->root.proc, path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
        text[n > 0 ? n : 0] = '\0';
        program = (pid_t)strtol(text, NULL, 10);
        close(fd);
    }
    if (has_more_processes(run, program)) {
        return 0;
    }
    snprintf(path, sizeof path, "%d/schedstat", program);
    int fd = openat(run->slot->root.proc, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    char *second = NULL;
    strtoull(text, &second, 10);
    return (double)strtoull(second, NULL, 10) * 1e-9;
}

/* Kills all that is left, and waits until it is gone. */
static void run_end(struct run *run)
{
    if (run->first > 0) {
        syscall(SYS_pidfd_send_signal, run->first_fd, SIGKILL, NULL, 0);
    } else if (run->program && !run->ended) {
        kill(run->program, SIGKILL); /* without namespaces; it is all there is */
    }
    struct pollfd wait = {.fd = run->slot->python, .events = POLLIN};
    if (run->program && !run->ended) { /* its parent, the warm Python, reaps it; the namespace ends after that */
        if (poll(&wait, 1, KILLED_MS) == 1) {
            take_end(run);
        } else {
            python_stop(run->slot);
        }
    }
    if (run->first > 0) {
        while (waitpid(run->first, NULL, 0) < 0 && errno == EINTR) {
        }
        close(run->first_fd);
    }
    int *const pipes[] = {run->out, run->err, run->answer, run->notes};
    for (int i = 0; i < 8; i++) {
        if (pipes[i / 2][i % 2] >= 0) {
            close(pipes[i / 2][i % 2]);
        }
    }
    if (run->slot->setup->landlock && !landlock_empty(&run->slot->landlock)) {
        run_failed(run, "cannot empty the folder of a run");
    }
}

/* The status of a program that ended by itself, and the limit that caused it if there was one. */
static void run_judge(struct run *run)
{
    struct wire_reply *reply = run->reply;
    reply->exit_code = run->ended && WIFEXITED(run->status) ? WEXITSTATUS(run->status) : -1;
    reply->signal = run->ended && WIFSIGNALED(run->status) ? WTERMSIG(run->status) : 0;
    if (reply->stop != SANDBOX_ENDED) {
        return;
    }
    if (reply->signal == SIGKILL && cgroup_kills(&run->slot->cgroup) > run->kills_before) {
        reply->stop = SANDBOX_MEMORY;
    } else if (reply->signal == SIGXCPU || reply->cpu_s > run->job->limits.cpu_s) {
        reply->stop = SANDBOX_CPU;
    }
}

void slot_run(struct slot *slot, const struct wire_job *job, const int fds[WIRE_FDS], struct wire_reply *reply,
              struct slot_output *output)
{
    int next = 0;
    struct run run = {.slot = slot, .job = job, .reply = reply, .output = output, .kept = -1};
    run.input = job->has_input ? fds[next++] : -1;
    run.file = job->has_file ? fds[next++] : -1;
    run.channel = job->has_channel ? fds[next++] : -1;
    run.python = job->what <= SANDBOX_TEST;
    cgroup_limit(&slot->cgroup, job->limits.memory_mb, job->limits.processes + GUARD_KEEP_COUNT);
    run.kills_before = cgroup_kills(&slot->cgroup);
    if (run_open(&run) && run_start(&run)) {
        run_watch(&run);
        if (run.ended && reply->ok && reply->stop == SANDBOX_ENDED && !drain_all(&run)) {
            reply->stop = SANDBOX_OUTPUT;
        }
        reply->starved_s = run.ended ? 0 : starved_seconds(&run);
        reply->wall_s = clock_seconds() - run.start;
    }
    enum sandbox_stop stop = reply->stop;
    bool ended = run.ended;
    run_end(&run);
    run.ended = ended;
    reply->stop = stop;
    run_judge(&run);
    output->kept = run.kept;
    if (run.kept >= 0) {
        fcntl(run.kept, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    }
}

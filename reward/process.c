/* reward/process.c - pipes that never block, poll with a moment at which every wait ends, and a launcher between.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/process.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "reward/launcher.h"

enum { CHUNK = 1 << 16, LAST_WORDS = 300, END_MS = 200 };

extern char **environ;

/* ---- starting ---- */

/* A pipe whose ends are above stderr, so that the child's dup2 cannot run over one of them. */
static bool pipe_open(int ends[2])
{
    int low[2];
    if (pipe2(low, O_CLOEXEC) != 0) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        ends[i] = fcntl(low[i], F_DUPFD_CLOEXEC, 3);
        close(low[i]);
    }
    if (ends[0] >= 0 && ends[1] >= 0) {
        return true;
    }
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0) {
            close(ends[i]);
        }
    }
    return false;
}

static void close_pipes(int (*pipes)[2], int n)
{
    for (int i = 0; i < 2 * n; i++) {
        if (pipes[i / 2][i % 2] >= 0) {
            close(pipes[i / 2][i % 2]);
        }
    }
}

enum { STDIN, STDOUT, STDERR, REPORT, PIPES };

/* pipes: of its stdin, stdout and stderr, and of the launcher's report. */
static int spawn(pid_t *pid, char *const words[], int (*pipes)[2])
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, pipes[STDIN][0], 0);
    posix_spawn_file_actions_adddup2(&actions, pipes[STDOUT][1], 1);
    posix_spawn_file_actions_adddup2(&actions, pipes[STDERR][1], 2);
    posix_spawn_file_actions_adddup2(&actions, pipes[REPORT][1], LAUNCHER_REPORT);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    int failure = posix_spawn(pid, "/proc/self/exe", &actions, &attributes, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return failure;
}

/* Starts a launcher for the words and waits until it has started them; 0, or errno. */
static int launch(pid_t *pid, char *const words[], int (*pipes)[2])
{
    char parent[24];
    size_t n = 0;
    while (words[n]) {
        n++;
    }
    char **all = mem_zero((n + 3) * sizeof *all);
    snprintf(parent, sizeof parent, "%d", (int)getpid());
    all[0] = (char *)(uintptr_t)launcher_name;
    all[1] = parent;
    memcpy(all + 2, words, n * sizeof *all);
    int failure = spawn(pid, all, pipes), said = 0;
    free(all);
    close(pipes[REPORT][1]);
    pipes[REPORT][1] = -1;
    if (failure) {
        return failure;
    }
    ssize_t got;
    while ((got = read(pipes[REPORT][0], &said, sizeof said)) < 0 && errno == EINTR) {
    }
    if (got == sizeof said) {
        waitpid(*pid, NULL, 0);
    }
    return got == sizeof said ? said : 0;
}

enum err process_start(struct process *process, char *const words[], bool show)
{
    int pipes[PIPES][2], n = 0;
    pid_t pid = 0;
    BUG_ON(process->pid);
    while (n < PIPES && pipe_open(pipes[n])) {
        n++;
    }
    if (n < PIPES) {
        enum err result = err_set(ERR_IO, "cannot make pipes for '%s': %s", words[0], strerror(errno));
        close_pipes(pipes, n);
        return result;
    }
    int failure = launch(&pid, words, pipes);
    if (failure) {
        close_pipes(pipes, n);
        return err_set(ERR_IO, "cannot start '%s': %s", words[0], strerror(failure));
    }
    *process = (struct process){
        .pid = pid, .in = pipes[STDIN][1], .out = pipes[STDOUT][0], .err = pipes[STDERR][0], .show = show};
    close(pipes[STDIN][0]);
    close(pipes[STDOUT][1]);
    close(pipes[STDERR][1]);
    close(pipes[REPORT][0]);
    const int ours[] = {process->in, process->out, process->err};
    for (int i = 0; i < 3; i++) {
        fcntl(ours[i], F_SETFL, fcntl(ours[i], F_GETFL) | O_NONBLOCK);
    }
    return ERR_NONE;
}

bool process_running(const struct process *process)
{
    return process->pid != 0;
}

/* ---- stopping ---- */

static int reap(struct process *process)
{
    int status = 0;
    kill(process->pid, SIGTERM); /* the launcher ends the program with its group, then itself */
    while (waitpid(process->pid, &status, 0) < 0 && errno == EINTR) {
    }
    close(process->in);
    close(process->out);
    if (process->err >= 0) {
        close(process->err);
    }
    process->pid = 0;
    strbuf_release(&process->unsent);
    strbuf_release(&process->heard);
    process->taken = process->sent = 0;
    return status;
}

void process_stop(struct process *process)
{
    if (process->pid) {
        reap(process);
    }
}

/* ---- reading and writing ---- */

void process_say(struct process *process, struct str line)
{
    strbuf_add_str(&process->unsent, line);
}

/* write() to a pipe whose reader may be gone: without the signal that would end us. */
static ssize_t write_quietly(int fd, const void *data, size_t size)
{
    sigset_t broken, before, pending;
    sigemptyset(&broken);
    sigaddset(&broken, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &broken, &before);
    ssize_t n = write(fd, data, size);
    int failure = errno;
    if (n < 0 && failure == EPIPE && !sigismember(&pending, SIGPIPE)) {
        sigtimedwait(&broken, NULL, &(struct timespec){0});
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = failure;
    return n;
}

static bool again(void)
{
    return errno == EAGAIN || errno == EINTR;
}

static bool send_some(struct process *process)
{
    struct strbuf *unsent = &process->unsent;
    ssize_t n = write_quietly(process->in, unsent->data + process->sent, unsent->length - process->sent);
    if (n < 0) {
        return again();
    }
    process->sent += (size_t)n;
    if (process->sent == unsent->length) {
        strbuf_clear(unsent);
        process->sent = 0;
    }
    return true;
}

static bool hear_some(struct process *process)
{
    char chunk[CHUNK];
    ssize_t n = read(process->out, chunk, sizeof chunk);
    if (n > 0) {
        strbuf_add(&process->heard, chunk, (size_t)n);
    }
    return n > 0 || (n < 0 && again());
}

/* Keeps the end of what it writes to stderr; false when that is closed. */
static bool drain_some(struct process *process)
{
    char chunk[CHUNK];
    ssize_t n = read(process->err, chunk, sizeof chunk);
    if (n <= 0) {
        return n < 0 && again();
    }
    if (process->show) {
        fwrite(chunk, 1, (size_t)n, stderr);
    }
    size_t length = (size_t)n < PROCESS_TAIL ? (size_t)n : PROCESS_TAIL;
    size_t kept = process->tail_length < PROCESS_TAIL - length ? process->tail_length : PROCESS_TAIL - length;
    memmove(process->tail, process->tail + process->tail_length - kept, kept);
    memcpy(process->tail + kept, chunk + (size_t)n - length, length);
    process->tail_length = kept + length;
    return true;
}

static void drain(struct process *process)
{
    if (process->err >= 0 && !drain_some(process)) {
        close(process->err);
        process->err = -1;
    }
}

/* A whole line in `heard` from `scanned` on; `scanned` moves past what was looked at. */
static bool take_line(struct process *process, size_t *scanned, struct str *line)
{
    struct str heard = strbuf_view(&process->heard);
    const char *end = heard.length > *scanned ? memchr(heard.data + *scanned, '\n', heard.length - *scanned) : NULL;
    *scanned = heard.length;
    if (!end) {
        return false;
    }
    *line = (struct str){heard.data, (size_t)(end - heard.data)};
    process->taken = line->length + 1;
    return true;
}

static int wait_ms(double until)
{
    double left = ceil((until - clock_seconds()) * 1000);
    return left <= 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

enum process_answer process_hear(struct process *process, double until, size_t limit, struct str *line)
{
    struct strbuf *heard = &process->heard;
    size_t scanned = 0;
    BUG_ON(!process->pid);
    if (process->taken) {
        heard->length -= process->taken;
        memmove(heard->data, heard->data + process->taken, heard->length);
        process->taken = 0;
    }
    for (;;) {
        bool saying = process->unsent.length > 0;
        if (!saying && take_line(process, &scanned, line)) {
            return line->length > limit ? PROCESS_LONG : PROCESS_LINE;
        }
        if (heard->length > limit) {
            return PROCESS_LONG;
        }
        struct pollfd fds[] = {{.fd = saying ? process->in : -1, .events = POLLOUT},
                               {.fd = process->out, .events = POLLIN},
                               {.fd = process->err, .events = POLLIN}};
        poll(fds, 3, wait_ms(until));
        if (fds[2].revents) {
            drain(process);
        }
        if ((fds[0].revents && !send_some(process)) || (fds[1].revents && !hear_some(process))) {
            return PROCESS_GONE;
        }
        if (clock_seconds() > until) { /* a flood of output must not keep us past the deadline either */
            return PROCESS_LATE;
        }
    }
}

/* ---- afterwards ---- */

/* Lets a program that closed its pipes end by itself, so that its own status is reported. */
static void let_it_end(const struct process *process)
{
    siginfo_t info = {0};
    for (int i = 0; i < END_MS; i++) {
        if (waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0) {
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

const char *process_obituary(struct process *process, struct arena *arena)
{
    let_it_end(process);
    for (int i = 0; i < 64 && process->err >= 0; i++) { /* what is left in the pipe, but not a flood */
        drain(process);
        struct pollfd more = {.fd = process->err, .events = POLLIN};
        if (process->err < 0 || poll(&more, 1, 0) <= 0) {
            break;
        }
    }
    siginfo_t info = {0};
    bool ended = waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
    int status = reap(process);
    const char *how = !ended ? "it closed its input or output"
                      : WIFSIGNALED(status)
                          ? arena_printf(arena, "signal %d, %s", WTERMSIG(status), strsignal(WTERMSIG(status)))
                          : arena_printf(arena, "exit status %d", WEXITSTATUS(status));
    struct str said = str_trim((struct str){process->tail, process->tail_length});
    ptrdiff_t end_of_line = str_find_last(said, STR("\n"));
    struct str last = str_slice(said, (size_t)(end_of_line + 1), said.length);
    if (last.length == 0) {
        return how;
    }
    struct strbuf clean = STRBUF_INIT; /* any bytes may be in it */
    strbuf_add_json(&clean, str_slice(last, 0, LAST_WORDS));
    const char *text = arena_printf(arena, "%s; it said last: %s", how, clean.data);
    strbuf_release(&clean);
    return text;
}

/* reward/sandbox/sandbox.c - the caller's side: the supervisor, the slots and their sharing out.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "reward/sandbox/host.h"

enum { MAX_PER_CLASS = 256, GRACE_SECONDS = 90, LOOK_MS = 200 };

struct sandbox_slot {
    int socket; /* -1: not started */
    bool busy;
    enum slot_class class;
    double wall_s; /* limits of the job it runs */
    int64_t output_bytes;
    bool (*stop)(void);
};

struct sandbox {
    int control;
    pid_t supervisor;
    bool landlock;
    int per_class;
    char mode[WIRE_TEXT];
    pthread_mutex_t asking; /* the control socket */
    pthread_mutex_t lock;   /* the slots' busy flags */
    pthread_cond_t freed;
    struct sandbox_slot slots[SLOT_CLASSES][MAX_PER_CLASS];
};

int sandbox_file(struct str bytes)
{
    int fd = memfd_create("strop", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    size_t at = 0;
    while (fd >= 0 && at < bytes.length) {
        ssize_t n = write(fd, bytes.data + at, bytes.length - at);
        if (n < 0 && errno != EINTR) {
            close(fd);
            return -1;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0) {
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
        lseek(fd, 0, SEEK_SET);
    }
    return fd;
}

void sandbox_result_release(struct sandbox_result *result)
{
    strbuf_release(&result->out);
    strbuf_release(&result->err);
    strbuf_release(&result->answer);
    if (result->kept >= 0) {
        close(result->kept);
    }
    result->kept = -1;
}

/* ---- the supervisor ---- */

static enum err supervisor_spawn(struct sandbox *sandbox, int theirs)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, theirs, WIRE_CONTROL);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    char libraries[4096];
    const char *path = getenv("LD_LIBRARY_PATH"); /* this executable may need it to start */
    snprintf(libraries, sizeof libraries, "LD_LIBRARY_PATH=%s", path ? path : "");
    char *const words[] = {(char *)(uintptr_t)supervisor_name, NULL};
    char *const environment[] = {"LANG=C", path ? libraries : NULL, NULL};
    int failure = posix_spawn(&sandbox->supervisor, "/proc/self/exe", &actions, &attributes, words, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return failure ? err_set(ERR_IO, "cannot start the sandbox's supervisor (/proc/self/exe): %s", strerror(failure))
                   : ERR_NONE;
}

static enum err supervisor_start(struct sandbox *sandbox, const struct wire_setup *setup)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return err_set(ERR_IO, "cannot make a socket pair for the sandbox: %s", strerror(errno));
    }
    if (pair[1] == WIRE_CONTROL) { /* dup2 onto itself would leave it close-on-exec */
        int moved = fcntl(pair[1], F_DUPFD_CLOEXEC, WIRE_CONTROL + 1);
        close(pair[1]);
        pair[1] = moved;
    }
    sandbox->control = pair[0];
    enum err result = supervisor_spawn(sandbox, pair[1]);
    close(pair[1]);
    TRY(result);
    struct wire_reply ready;
    if (!wire_send(sandbox->control, setup, sizeof *setup, NULL, 0) ||
        !wire_receive(sandbox->control, &ready, sizeof ready, NULL)) {
        return err_set(ERR_IO, "the sandbox's supervisor died at its start: %s", strerror(errno));
    }
    return ready.ok ? ERR_NONE : err_set(ERR_STATE, "sandbox: %s", ready.text);
}

/* ---- slots ---- */

static enum err slot_open(struct sandbox *sandbox, struct sandbox_slot *slot)
{
    struct wire_ask ask = {.class = slot->class};
    struct wire_reply reply;
    int fds[WIRE_FDS];
    pthread_mutex_lock(&sandbox->asking);
    bool ok = wire_send(sandbox->control, &ask, sizeof ask, NULL, 0) &&
              wire_receive(sandbox->control, &reply, sizeof reply, fds);
    pthread_mutex_unlock(&sandbox->asking);
    if (!ok) {
        return err_set(ERR_IO, "the sandbox's supervisor is gone: %s", strerror(errno));
    }
    if (!reply.ok) {
        return err_set(ERR_STATE, "sandbox: %s", reply.text);
    }
    if (!wire_receive(fds[0], &reply, sizeof reply, NULL) || !reply.ok) {
        close(fds[0]);
        return err_set(ERR_STATE, "sandbox: %s", reply.ok ? "a slot died at its start" : reply.text);
    }
    slot->socket = fds[0];
    pthread_mutex_lock(&sandbox->lock);
    snprintf(sandbox->mode, sizeof sandbox->mode, "%s", reply.text);
    pthread_mutex_unlock(&sandbox->lock);
    return ERR_NONE;
}

static void slot_free(struct sandbox *sandbox, struct sandbox_slot *slot)
{
    pthread_mutex_lock(&sandbox->lock);
    slot->busy = false;
    pthread_cond_broadcast(&sandbox->freed);
    pthread_mutex_unlock(&sandbox->lock);
}

static void slot_lose(struct sandbox_slot *slot)
{
    if (slot->socket >= 0) {
        close(slot->socket);
    }
    slot->socket = -1;
}

static bool stopped(bool (*stop)(void))
{
    return stop && stop();
}

/* A free slot, a started one if there is one; waits for it. NULL: the deadline has passed, or it was stopped. */
static struct sandbox_slot *slot_take(struct sandbox *sandbox, enum slot_class class, double deadline,
                                      bool (*stop)(void))
{
    struct sandbox_slot *best = NULL;
    pthread_mutex_lock(&sandbox->lock);
    for (;;) {
        for (int i = 0; i < sandbox->per_class; i++) {
            struct sandbox_slot *slot = &sandbox->slots[class][i];
            if (!slot->busy && (!best || (slot->socket >= 0 && best->socket < 0))) {
                best = slot;
            }
        }
        double left = deadline - clock_seconds();
        if (best || left <= 0 || stopped(stop)) {
            break;
        }
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        double whole =
            (double)until.tv_sec + (double)until.tv_nsec * 1e-9 + (left < LOOK_MS * 1e-3 ? left : LOOK_MS * 1e-3);
        until.tv_sec = (time_t)whole;
        until.tv_nsec = (long)((whole - (double)until.tv_sec) * 1e9);
        pthread_cond_timedwait(&sandbox->freed, &sandbox->lock, &until);
    }
    if (best) {
        best->busy = true;
    }
    pthread_mutex_unlock(&sandbox->lock);
    return best;
}

/* ---- jobs ---- */

static enum slot_class job_class(enum sandbox_what what)
{
    return what == SANDBOX_COMPILE ? SLOT_COMPILE : what == SANDBOX_TEST ? SLOT_TEST : SLOT_PROGRAM;
}

static enum err job_send(const struct sandbox_slot *slot, const struct sandbox_job *job)
{
    struct wire_job message = {.what = job->what,
                               .limits = job->limits,
                               .has_input = true,
                               .has_file = true,
                               .has_channel = job->channel >= 0,
                               .prelude = job->prelude};
    if (job->command.length > sizeof message.command) {
        return err_set(ERR_LIMIT, "a command of %zu bytes for the compiler", job->command.length);
    }
    message.command_bytes = (uint32_t)job->command.length;
    if (job->command.length) {
        memcpy(message.command, job->command.data, job->command.length);
    }
    snprintf(message.keep, sizeof message.keep, "%s", job->keep ? job->keep : "");
    int input = sandbox_file(job->input);
    int file = job->what == SANDBOX_BINARY ? job->file : sandbox_file(job->source);
    int fds[3] = {input, file, job->channel};
    bool ok =
        input >= 0 && file >= 0 && wire_send(slot->socket, &message, sizeof message, fds, message.has_channel ? 3 : 2);
    enum err result = ok ? ERR_NONE : err_set(ERR_IO, "cannot hand a job to the sandbox: %s", strerror(errno));
    if (input >= 0) {
        close(input);
    }
    if (file >= 0 && file != job->file) {
        close(file);
    }
    return result;
}

enum err sandbox_start(struct sandbox *sandbox, const struct sandbox_job *job, double deadline,
                       struct sandbox_slot **slot)
{
    if (sandbox->landlock && job->what > SANDBOX_TEST) {
        return err_set(ERR_STATE, "sandbox=landlock runs Python only: compilers, and C and C++ programs, need the "
                                  "namespaces of sandbox=strict");
    }
    struct sandbox_slot *taken = slot_take(sandbox, job_class(job->what), deadline, job->stop);
    if (!taken) {
        return stopped(job->stop) ? err_set(ERR_STOPPED, "judging was stopped")
                                  : err_set(ERR_LIMIT, "no slot of the sandbox became free in time; raise "
                                                       "reward_timeout or use fewer tests");
    }
    enum err result = taken->socket < 0 ? slot_open(sandbox, taken) : ERR_NONE;
    if (result == ERR_NONE) {
        taken->wall_s = job->limits.wall_s;
        taken->output_bytes = job->limits.output_bytes;
        taken->stop = job->stop;
        result = job_send(taken, job);
        if (result == ERR_IO) {
            slot_lose(taken);
        }
    }
    if (result != ERR_NONE) {
        slot_free(sandbox, taken);
        return result;
    }
    *slot = taken;
    return ERR_NONE;
}

static bool receive_reply(const struct sandbox_slot *slot, struct wire_reply *reply, struct sandbox_result *result)
{
    struct pollfd wait = {.fd = slot->socket, .events = POLLIN};
    double until = clock_seconds() + slot->wall_s + GRACE_SECONDS; /* the slot has its own clock; this is if it hangs */
    int ready;
    do {
        ready = poll(&wait, 1, LOOK_MS);
    } while ((ready == 0 || (ready < 0 && errno == EINTR)) && clock_seconds() < until && !stopped(slot->stop));
    errno = ready == 0 ? ETIMEDOUT : errno;
    return ready == 1 && wire_receive_result(slot->socket, slot->output_bytes, reply, result);
}

enum err sandbox_finish(struct sandbox *sandbox, struct sandbox_slot *slot, struct sandbox_result *result)
{
    struct wire_reply reply;
    struct sandbox_result got = {.kept = -1};
    enum err failure = ERR_NONE;
    if (!receive_reply(slot, &reply, &got)) {
        failure = stopped(slot->stop) ? err_set(ERR_STOPPED, "judging was stopped")
                                      : err_set(ERR_IO, "a slot of the sandbox died: %s", strerror(errno));
        slot_lose(slot);
    } else if (!reply.ok) {
        failure = err_set(ERR_IO, "%s", reply.text);
    }
    slot_free(sandbox, slot);
    if (failure != ERR_NONE) {
        sandbox_result_release(&got);
        return failure;
    }
    *result = got;
    return ERR_NONE;
}

enum err sandbox_run(struct sandbox *sandbox, const struct sandbox_job *job, double deadline,
                     struct sandbox_result *result)
{
    struct sandbox_slot *slot;
    TRY(sandbox_start(sandbox, job, deadline, &slot));
    return sandbox_finish(sandbox, slot, result);
}

/* ---- opening and closing ---- */

static void sandbox_set_up(struct sandbox *sandbox, int n_slots)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&sandbox->freed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&sandbox->asking, NULL);
    pthread_mutex_init(&sandbox->lock, NULL);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int n = n_slots > 0 ? n_slots : (int)processors;
    sandbox->per_class = n < 1 ? 1 : n > MAX_PER_CLASS ? MAX_PER_CLASS : n;
    sandbox->control = -1;
    for (int class = 0; class < SLOT_CLASSES; class ++) {
        for (int i = 0; i < MAX_PER_CLASS; i++) {
            sandbox->slots[class][i] = (struct sandbox_slot){.socket = -1, .class = (enum slot_class) class};
        }
    }
}

enum err sandbox_open(struct sandbox **out, const struct sandbox_options *options)
{
    char text[WIRE_TEXT];
    struct wire_setup setup = {0};
    struct sandbox *sandbox = mem_zero(sizeof *sandbox);
    sandbox_set_up(sandbox, options->n_slots);
    enum err result = host_find_python(options->python, &setup, text) || !(options->python && options->python[0])
                          ? ERR_NONE
                          : err_set(ERR_USAGE, "%s", text);
    snprintf(setup.headers, sizeof setup.headers, "%s", options->headers ? options->headers : "");
    setup.landlock = sandbox->landlock = options->landlock;
    result = result == ERR_NONE ? supervisor_start(sandbox, &setup) : result;
    if (result == ERR_NONE) {
        struct sandbox_slot *first =
            &sandbox->slots[setup.python[0] || setup.landlock ? SLOT_PROGRAM : SLOT_COMPILE][0];
        result = slot_open(sandbox, first);
    }
    if (result != ERR_NONE) {
        sandbox_close(sandbox);
        return result;
    }
    *out = sandbox;
    return ERR_NONE;
}

void sandbox_close(struct sandbox *sandbox)
{
    if (!sandbox) {
        return;
    }
    for (int class = 0; class < SLOT_CLASSES; class ++) {
        for (int i = 0; i < sandbox->per_class; i++) {
            BUG_ON(sandbox->slots[class][i].busy);
            slot_lose(&sandbox->slots[class][i]);
        }
    }
    if (sandbox->control >= 0) {
        close(sandbox->control);
    }
    while (sandbox->supervisor > 0 && waitpid(sandbox->supervisor, NULL, 0) < 0 && errno == EINTR) {
    }
    pthread_cond_destroy(&sandbox->freed);
    pthread_mutex_destroy(&sandbox->asking);
    pthread_mutex_destroy(&sandbox->lock);
    free(sandbox);
}

const char *sandbox_mode(const struct sandbox *sandbox)
{
    return sandbox->mode;
}

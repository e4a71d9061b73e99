/* tests/fault/child.h - runs in processes of their own: what they say goes to a file, and one that hangs is ended.
 *
 * The parent starts no threads and opens no device, so that a fork of it can; the model too is made in a child.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAULT_CHILD_H
#define TESTS_FAULT_CHILD_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/rl/run_fixture.h"

#define CHILD_SECONDS 120 /* a run that takes longer hangs */
#define CHILD_HANGS   -1

static char folder[64]; /* of the program, made by child_begin */

static void child_begin(const char *template)
{
    snprintf(folder, sizeof folder, "%s/%s", file_is_folder("/dev/shm") ? "/dev/shm" : "/tmp", template);
    if (!mkdtemp(folder)) {
        perror(folder);
        exit(1);
    }
}

/* FOLDER/NAME in one of a few buffers. */
static const char *path_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *path_of(const char *format, ...)
{
    static char paths[8][512];
    static int next;
    char *path = paths[next++ % 8];
    int n = snprintf(path, 512, "%s/", folder);
    va_list args;
    va_start(args, format);
    vsnprintf(path + n, 512 - (size_t)n, format, args);
    va_end(args);
    return path;
}

static void rest(double seconds)
{
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&time, NULL);
}

/* What a process does; its result is the exit code. */
typedef int child_work(void *context);

static pid_t child_start(child_work *work, void *context)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    int log = open(path_of("log"), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    int code = work(context);
    fflush(NULL);
    _exit(code);
}

static bool child_ended(pid_t pid, int *status)
{
    pid_t got;
    do {
        got = waitpid(pid, status, WNOHANG);
    } while (got < 0 && errno == EINTR);
    return got == pid;
}

/* The exit code; 128 and the number of the signal that ended it; CHILD_HANGS. */
static int child_wait(pid_t pid)
{
    int status = 0;
    for (double until = clock_seconds() + CHILD_SECONDS; !child_ended(pid, &status); rest(0.001)) {
        if (clock_seconds() > until) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return CHILD_HANGS;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int child_run(child_work *work, void *context)
{
    return child_wait(child_start(work, context));
}

/* What the last process said. */
static void child_log(struct strbuf *text)
{
    strbuf_clear(text);
    MUST(file_read(text, path_of("log"), (size_t)1 << 24));
    strbuf_putc(text, '\0');
}

/* A run in FOLDER/NAME. */
struct child_recipe {
    const char *name, *text;
};

/* The exit code is that of `strop train`. */
static int child_train(void *context)
{
    const struct child_recipe *job = context;
    struct recipe recipe;
    struct strbuf all = STRBUF_INIT;
    strbuf_printf(&all, "%s\noutput_dir: %s\n", job->text, path_of("%s", job->name));
    enum err result = recipe_parse(&recipe, strbuf_view(&all), path_of("%s.yaml", job->name));
    if (result == ERR_NONE) {
        result = recipe_finish(&recipe);
    }
    if (result == ERR_NONE) {
        result = train_run(&recipe, "test");
    }
    if (result != ERR_NONE && result != ERR_STOPPED) {
        fprintf(stderr, "error: %s\n", err_text());
    }
    return result == ERR_NONE ? 0 : result == ERR_STOPPED ? 128 + train_stop_signal() : result == ERR_USAGE ? 2 : 1;
}

/* FROM and all in it as TO, which is replaced; links stay links. */
static void copy_run(const char *from, const char *to)
{
    char a[512], b[512];
    snprintf(a, sizeof a, "%s", path_of("%s", from));
    snprintf(b, sizeof b, "%s", path_of("%s", to));
    MUST(file_remove_folder(b));
    pid_t pid = fork();
    if (pid == 0) {
        execlp("cp", "cp", "-a", a, b, (char *)NULL);
        _exit(127);
    }
    int status = 1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0) {
        fprintf(stderr, "cannot copy %s to %s\n", a, b);
        exit(1);
    }
}

static int number_of(const char *name, int fallback)
{
    int64_t value;
    const char *text = getenv(name);
    return text && str_to_int(str_of(text), &value) && value >= 0 ? (int)value : fallback;
}

#endif

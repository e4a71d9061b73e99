/* reward/sandbox/host.c - asks each candidate interpreter for its own paths and version.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/sandbox/host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

enum { ANSWER_SECONDS = 10, ANSWER_BYTES = 4096 };

extern char **environ;

/* What a command prints, at most `capacity` - 1 bytes; false if it cannot run, fails or takes too long. */
static bool output_of(char *const words[], char *out, size_t capacity)
{
    int pipes[2];
    pid_t child = -1;
    if (pipe2(pipes, O_CLOEXEC) != 0) {
        return false;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, pipes[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    int failure = posix_spawnp(&child, words[0], &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipes[1]);
    size_t length = 0;
    double deadline = clock_seconds() + ANSWER_SECONDS;
    ssize_t n = 1;
    while (!failure && n > 0 && length < capacity - 1) {
        struct pollfd wait = {.fd = pipes[0], .events = POLLIN};
        double left = deadline - clock_seconds();
        if (left <= 0 || poll(&wait, 1, (int)(left * 1000) + 1) == 0) {
            kill(child, SIGKILL);
            failure = ETIMEDOUT;
        } else {
            n = read(pipes[0], out + length, capacity - 1 - length);
            length += n > 0 ? (size_t)n : 0;
        }
    }
    out[length] = '\0';
    close(pipes[0]);
    int status = 1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return !failure && status == 0;
}

/* The next line of *text, which moves past it; false if it is no absolute path or does not fit. */
static bool take_path(char **text, char *to, size_t capacity)
{
    size_t length = strcspn(*text, "\n");
    if (**text != '/' || length >= capacity) {
        return false;
    }
    memcpy(to, *text, length);
    to[length] = '\0';
    *text += length + ((*text)[length] == '\n');
    return true;
}

static bool try_python(const char *path, struct wire_setup *setup)
{
    static char program[] = "import sys, os\n"
                            "v = sys.version_info\n"
                            "assert v >= (3, 9) and sys.implementation.name == 'cpython'\n"
                            "system = sys.base_prefix in ('/usr', '/usr/local')\n"
                            "lib = os.path.dirname(os.path.realpath(os.__file__))\n"
                            "print(os.path.realpath(sys.executable))\n"
                            "print(lib if system else os.path.realpath(os.path.join(sys.base_prefix, 'lib')))\n"
                            "print(next((os.path.realpath(p) for p in sys.path if p.endswith('lib-dynload')), lib))\n";
    char out[ANSWER_BYTES], *rest = out;
    char *const words[] = {(char *)(uintptr_t)path, "-I", "-S", "-c", program, NULL};
    if (!output_of(words, out, sizeof out)) {
        return false;
    }
    return take_path(&rest, setup->python, sizeof setup->python) &&
           take_path(&rest, setup->stdlib, sizeof setup->stdlib) &&
           take_path(&rest, setup->dynload, sizeof setup->dynload);
}

bool host_find_python(const char *wanted, struct wire_setup *setup, char text[WIRE_TEXT])
{
    static const char *const usual[] = {"/usr/bin/python3", "/usr/local/bin/python3", "python3"};
    if (wanted && wanted[0]) {
        if (try_python(wanted, setup)) {
            return true;
        }
        snprintf(text, WIRE_TEXT, "%.200s is not a CPython of version 3.9 or newer that runs", wanted);
        return false;
    }
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        if (try_python(usual[i], setup)) {
            return true;
        }
    }
    snprintf(text, WIRE_TEXT, "no Python 3.9 or newer was found; install python3, or name one with python=PATH");
    return false;
}

const char *host_compiler(bool cpp)
{
    const char *path = cpp ? "/usr/bin/g++" : "/usr/bin/gcc";
    return access(path, X_OK) == 0 ? path : NULL;
}

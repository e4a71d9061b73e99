/* reward/sandbox/python.c - starting and stopping a slot's warm interpreter.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reward/sandbox/slot.h"

enum { START_MS = 30000, ORDERS = 3 };

static void python_exec(const struct slot *slot, int socket, int complaints)
{
    const char *folder = slot->landlock.folder;
    char home[LANDLOCK_FOLDER + 16], temporary[LANDLOCK_FOLDER + 16], script[LANDLOCK_FOLDER + 24];
    snprintf(home, sizeof home, "HOME=%s/tmp", folder);
    snprintf(temporary, sizeof temporary, "TMPDIR=%s/tmp", folder);
    snprintf(script, sizeof script, "%s/strop/zygote.py", folder);
    char *const environment[] = {"PATH=/usr/bin:/bin", home, temporary, "LANG=C.UTF-8", "PYTHONHASHSEED=0", NULL};
    int socket_high = fcntl(socket, F_DUPFD_CLOEXEC, 32), complaints_high = fcntl(complaints, F_DUPFD_CLOEXEC, 32);
    dup2(socket_high, ORDERS);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, 0);
    dup2(null, 1);
    dup2(complaints_high, 2);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (slot->setup->landlock ? !guard_drop_all() : !guard_keep_for_python()) {
        dprintf(2, "capabilities: %s", strerror(errno));
        _exit(126);
    }
    char *const words[] = {
        (char *)(uintptr_t)slot->setup->python, "-I", "-S", "-B", script, (char *)(uintptr_t)folder, NULL};
    execve(words[0], words, environment);
    dprintf(2, "execve: %s", strerror(errno));
    _exit(127);
}

/* The end of what a dying interpreter said, on one line. */
static void last_words(int complaints, char *text, size_t capacity)
{
    size_t length = 0;
    ssize_t n;
    char all[8192];
    while (length < sizeof all - 1 && (n = read(complaints, all + length, sizeof all - 1 - length)) > 0) {
        length += (size_t)n;
    }
    while (length && (all[length - 1] == '\n' || all[length - 1] == ' ')) {
        length--;
    }
    all[length] = '\0';
    const char *line = strrchr(all, '\n');
    snprintf(text, capacity, "%.*s", (int)capacity - 1, line ? line + 1 : all);
}

bool python_start(struct slot *slot, char text[WIRE_TEXT])
{
    int pair[2], complaints[2];
    if (!slot->setup->python[0]) {
        snprintf(text, WIRE_TEXT, "no Python 3.9 or newer was found; install python3, or name one with python=PATH");
        return false;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0 || pipe2(complaints, O_CLOEXEC) != 0) {
        return wire_fail(text, "cannot make a socket pair");
    }
    slot->python_pid = fork();
    if (slot->python_pid == 0) {
        python_exec(slot, pair[1], complaints[1]);
    }
    close(pair[1]);
    close(complaints[1]);
    slot->python = pair[0];
    slot->python_runs = 0;
    char hello[16];
    struct pollfd wait = {.fd = pair[0], .events = POLLIN};
    bool ok = slot->python_pid > 0 && poll(&wait, 1, START_MS) == 1 && recv(pair[0], hello, sizeof hello, 0) > 0;
    if (!ok) {
        char words[160] = "no answer";
        python_stop(slot);
        last_words(complaints[0], words, sizeof words);
        snprintf(text, WIRE_TEXT, "%.200s does not start in the sandbox: %s", slot->setup->python, words);
    }
    close(complaints[0]);
    return ok;
}

void python_stop(struct slot *slot)
{
    if (slot->python >= 0) {
        close(slot->python);
        slot->python = -1;
    }
    if (slot->python_pid > 0) {
        kill(slot->python_pid, SIGKILL);
        waitpid(slot->python_pid, NULL, 0);
        slot->python_pid = 0;
    }
}

/* reward/launcher.c - a constructor that runs before main: fork, then wait for the program or for a signal.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

const char launcher_name[] = "strop-launcher";

static void run_program(char **words)
{
    sigset_t none;
    sigemptyset(&none);
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvp(words[0], words);
    int failure = errno;
    (void)!write(LAUNCHER_REPORT, &failure, sizeof failure);
    _exit(127);
}

static void end_as(int status)
{
    if (WIFSIGNALED(status)) {
        sigset_t none;
        sigemptyset(&none);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0}); /* the program has written its own */
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
        sigprocmask(SIG_SETMASK, &none, NULL);
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void launcher_main(pid_t parent, char **words)
{
    sigset_t watched;
    siginfo_t info = {0};
    int status = 0;
    sigemptyset(&watched);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGCHLD);
    sigprocmask(SIG_BLOCK, &watched, NULL);
    fcntl(LAUNCHER_REPORT, F_SETFD, FD_CLOEXEC);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(1); /* it ended before the kernel could take note */
    }
    pid_t program = fork();
    if (program == 0) {
        run_program(words);
    }
    if (program < 0) {
        int failure = errno;
        (void)!write(LAUNCHER_REPORT, &failure, sizeof failure);
        _exit(127);
    }
    for (int fd = 0; fd <= LAUNCHER_REPORT; fd++) {
        close(fd); /* they are the program's: who reads them is to see it close them */
    }
    do {
        sigwaitinfo(&watched, &info);
    } while (info.si_signo != SIGTERM &&
             (waitid(P_PID, (id_t)program, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0));
    kill(-program, SIGKILL);
    kill(program, SIGKILL); /* if it has no group yet */
    while (waitpid(program, &status, 0) < 0 && errno == EINTR) {
    }
    end_as(status);
}

/* glibc hands main's arguments to constructors. */
__attribute__((constructor)) static void launcher_begin(int argc, char **argv)
{
    if (argc >= 3 && argv && strcmp(argv[0], launcher_name) == 0) {
        launcher_main((pid_t)strtol(argv[1], NULL, 10), argv + 2);
    }
}

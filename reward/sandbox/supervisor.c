/* reward/sandbox/supervisor.c - the process between the caller and the slots.
 *
 * It makes slots when asked, gives each its user and control group, and sees to it that they end when the caller does.
 * It is this executable started under another name: the constructor below runs before main, and before it nothing was
 * loaded that a slot could inherit.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reward/sandbox/slot.h"
#include "reward/sandbox/userns.h"

enum { MAX_SLOTS = 1024, REAP_MS = 1000 };

const char supervisor_name[] = "strop-sandbox";

struct supervisor {
    struct wire_setup setup;
    struct guard_filter filter;
    struct {
        pid_t pid;       /* 0: free */
        unsigned number; /* chooses its user; no other slot of this machine has it, as far as process numbers go */
        struct cgroup cgroup;
    } slots[MAX_SLOTS];
};

static void reap(struct supervisor *s)
{
    pid_t ended;
    while ((ended = waitpid(-1, NULL, WNOHANG)) > 0) {
        for (int i = 0; i < MAX_SLOTS; i++) {
            if (s->slots[i].pid == ended) {
                s->slots[i].pid = 0;
                cgroup_remove(&s->slots[i].cgroup);
            }
        }
    }
}

/* In the new namespaces: waits until the supervisor has mapped its user. */
static void slot_begin(struct supervisor *s, int index, enum slot_class class, const int pair[2], int go)
{
    char byte;
    close(pair[0]); /* the caller's end: while we held it too, its closing could not be seen */
    if (read(go, &byte, 1) != 1) {
        _exit(0);
    }
    close(go);
    close(WIRE_CONTROL);
    struct slot slot = {.class = class,
                        .socket = pair[1],
                        .setup = &s->setup,
                        .filter = s->filter,
                        .cgroup = s->slots[index].cgroup,
                        .number = s->slots[index].number,
                        .python = -1};
    slot_main(&slot);
}

static bool slot_make(struct supervisor *s, int index, enum slot_class class, const int pair[2], char text[WIRE_TEXT])
{
    char name[128];
    int go[2], pidfd;
    snprintf(name, sizeof name, "strop-%d-%d", (int)getpid(), index);
    cgroup_make(&s->slots[index].cgroup, name);
    s->slots[index].number = (unsigned)getpid() * 64 + (unsigned)index;
    if (pipe2(go, 0) != 0) {
        return wire_fail(text, "cannot make a pipe");
    }
    const uint64_t namespaces = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET;
    pid_t child = userns_clone(s->setup.landlock ? 0 : namespaces, &pidfd);
    if (child == 0) {
        close(go[1]);
        slot_begin(s, index, class, pair, go[0]);
    }
    bool ok = child > 0;
    if (!ok) {
        int reason = errno;
        char mend[256];
        userns_mend(reason, mend, sizeof mend);
        snprintf(text, WIRE_TEXT, "a process in new user, pid, mount and network namespaces was refused (%s): %s",
                 strerror(reason), mend);
    } else {
        s->slots[index].pid = child;
        close(pidfd);
        ok = s->setup.landlock || userns_map(child, SLOT_USER, s->slots[index].number, text);
        if (ok) {
            ok = cgroup_join(&s->slots[index].cgroup, child) ? write(go[1], "", 1) == 1
                                                             : wire_fail(text, "cannot put a slot into its cgroup");
        }
        if (!ok) {
            kill(child, SIGKILL);
        }
    }
    close(go[0]);
    close(go[1]);
    cgroup_close(&s->slots[index].cgroup);
    return ok;
}

static bool answer_ask(struct supervisor *s, const struct wire_ask *ask)
{
    struct wire_reply reply = {0};
    int pair[2] = {-1, -1}, index = 0;
    while (index < MAX_SLOTS && s->slots[index].pid) {
        index++;
    }
    if (index == MAX_SLOTS) {
        snprintf(reply.text, sizeof reply.text, "more than %d slots", MAX_SLOTS);
    } else if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        wire_fail(reply.text, "cannot make a socket pair");
    } else {
        reply.ok = slot_make(s, index, ask->class, pair, reply.text);
    }
    bool sent = wire_send(WIRE_CONTROL, &reply, sizeof reply, pair, reply.ok ? 1 : 0);
    for (int i = 0; i < 2; i++) {
        if (pair[i] >= 0) {
            close(pair[i]);
        }
    }
    return sent;
}

static void end_all(struct supervisor *s)
{
    for (int i = 0; i < MAX_SLOTS; i++) {
        if (s->slots[i].pid &&
            !s->setup.landlock) { /* slots of Landlock end by themselves: they have folders to remove */
            kill(s->slots[i].pid, SIGKILL);
        }
    }
    for (int i = 0; i < MAX_SLOTS; i++) {
        if (s->slots[i].pid) {
            waitpid(s->slots[i].pid, NULL, 0);
            cgroup_remove(&s->slots[i].cgroup);
        }
    }
}

static int supervisor_main(void)
{
    static struct supervisor s;
    struct wire_reply ready = {.ok = true};
    struct wire_ask ask;
    setsid(); /* Ctrl-C is for the caller, which then closes the socket */
    if (syscall(SYS_close_range, WIRE_CONTROL + 1, ~0u, 0u) != 0) {
        ready.ok = wire_fail(ready.text, "close_range was refused (Linux 5.12 or newer is needed)");
    }
    if (!wire_receive(WIRE_CONTROL, &s.setup, sizeof s.setup, NULL)) {
        return 1;
    }
    ready.ok = ready.ok && guard_build(&s.filter, s.setup.landlock, ready.text);
    bool going = wire_send(WIRE_CONTROL, &ready, sizeof ready, NULL, 0) && ready.ok;
    while (going) {
        struct pollfd wait = {.fd = WIRE_CONTROL, .events = POLLIN};
        int n = poll(&wait, 1, REAP_MS);
        reap(&s);
        if (n == 1) {
            going = wire_receive(WIRE_CONTROL, &ask, sizeof ask, NULL) && answer_ask(&s, &ask);
        }
    }
    end_all(&s);
    return 0;
}

/* glibc hands main's arguments to constructors. */
__attribute__((constructor)) static void supervisor_begin(int argc, char **argv)
{
    if (argc == 1 && argv && strcmp(argv[0], supervisor_name) == 0) {
        _exit(supervisor_main());
    }
}

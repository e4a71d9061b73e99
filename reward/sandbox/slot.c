/* reward/sandbox/slot.c - shuts itself in (root, user, limits), then serves jobs from its socket until that closes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/sandbox/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "reward/sandbox/userns.h"

enum { PYTHON_MAX_RUNS = 2000 }; /* then a fresh one, should it have grown */

/* Without namespaces. */
static bool slot_set_up_landlock(struct slot *slot, char text[WIRE_TEXT])
{
    slot->landlock.shared_user = geteuid() != 0;
    if (geteuid() == 0 && !userns_become(slot->number)) {
        return wire_fail(text, "cannot take a user that belongs to nobody; run as an ordinary user");
    }
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
        return wire_fail(text, "cannot tie the slot to its supervisor");
    }
    slot->root.proc = open("/proc", O_PATH | O_CLOEXEC);
    return landlock_open(&slot->landlock, slot->setup, &slot->filter, text) && python_start(slot, text);
}

/* Makes the supervisor's copy a process that sees nothing of the host. */
static bool slot_set_up(struct slot *slot, char text[WIRE_TEXT])
{
    if (setsid() < 0) { /* a pid namespace does not cut process groups: kill(0) would reach the caller */
        return wire_fail(text, "cannot start a session");
    }
    if (slot->setup->landlock) {
        return slot_set_up_landlock(slot, text);
    }
    if (!root_gather(&slot->root, slot->class, slot->setup, text)) {
        return false;
    }
    (void)!setgroups(0, NULL); /* an ordinary user may not; then its groups reach nothing but the slot's own root */
    if (setresgid(SLOT_USER, SLOT_USER, SLOT_USER) != 0 || setresuid(SLOT_USER, SLOT_USER, SLOT_USER) != 0) {
        return wire_fail(text, "cannot take the sandbox's user");
    }
    /* only now: the kernel forgets it when the user changes */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
        return wire_fail(text, "cannot tie the slot to its supervisor");
    }
    if (!root_enter(&slot->root, &slot->filter, text)) {
        return false;
    }
    prctl(PR_SET_DUMPABLE, 0);
    return slot->class == SLOT_COMPILE || python_start(slot, text);
}

static void slot_mode(const struct slot *slot, char text[WIRE_TEXT])
{
    static const char *const groups[] = {"no cgroup", "cgroup v1", "cgroup v2"};
    snprintf(text, WIRE_TEXT, "%s, seccomp, %s%s%s%s", slot->setup->landlock ? "landlock" : "namespaces",
             groups[slot->cgroup.version],
             slot->cgroup.version ? (slot->cgroup.has_memory ? " (memory" : " (") : " (limits per process",
             slot->cgroup.tasks >= 0 ? (slot->cgroup.has_memory ? ", tasks)" : "tasks)") : ")",
             slot->root.has_proc ? "" : ", no /proc");
}

static bool slot_answer(const struct slot *slot, struct wire_reply *reply, const struct slot_output *output)
{
    reply->out_bytes = output->out.length;
    reply->err_bytes = output->err.length;
    reply->answer_bytes = output->answer.length;
    const struct strbuf *const parts[] = {&output->out, &output->err, &output->answer};
    bool ok = wire_send(slot->socket, reply, sizeof *reply, &output->kept, output->kept >= 0);
    for (int i = 0; i < 3 && ok; i++) {
        ok = wire_send(slot->socket, parts[i]->data, parts[i]->length, NULL, 0);
    }
    return ok;
}

static bool slot_serve(struct slot *slot, struct slot_output *output)
{
    static struct wire_job job;
    int fds[WIRE_FDS];
    if (!wire_receive(slot->socket, &job, sizeof job, fds)) {
        return false;
    }
    struct wire_reply reply = {.ok = true, .exit_code = -1};
    bool python = job.what <= SANDBOX_TEST;
    if (python && (slot->python < 0 || slot->python_runs >= PYTHON_MAX_RUNS)) {
        python_stop(slot);
        reply.ok = python_start(slot, reply.text);
    }
    strbuf_clear(&output->out);
    strbuf_clear(&output->err);
    strbuf_clear(&output->answer);
    output->kept = -1;
    if (reply.ok) {
        slot_run(slot, &job, fds, &reply, output);
    }
    for (int i = 0; i < WIRE_FDS; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    bool ok = slot_answer(slot, &reply, output);
    if (output->kept >= 0) {
        close(output->kept);
    }
    return ok;
}

void slot_main(struct slot *slot)
{
    struct slot_output output = {.kept = -1};
    struct wire_reply hello = {0};
    hello.ok = slot_set_up(slot, hello.text);
    if (hello.ok) {
        slot_mode(slot, hello.text);
    }
    bool going = slot_answer(slot, &hello, &output) && hello.ok;
    while (going) {
        going = slot_serve(slot, &output);
    }
    if (slot->setup->landlock) {
        python_stop(slot);
        landlock_close(&slot->landlock);
    }
    _exit(0); /* pid 1 of its namespace: all below it go with it */
}

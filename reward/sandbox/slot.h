/* reward/sandbox/slot.h - a slot: the process that runs one program after the other.
 *
 * It is pid 1 of its own pid namespace, so that its end, however it comes, ends all below it. Without namespaces
 * (landlock.h) each process below it asks the kernel to die with its parent.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_SANDBOX_SLOT_H
#define REWARD_SANDBOX_SLOT_H

#include "reward/sandbox/cgroup.h"
#include "reward/sandbox/landlock.h"
#include "reward/sandbox/root.h"

#define SLOT_USER 65534 /* user and group inside */

struct slot {
    enum slot_class class;
    int socket; /* to the caller */
    const struct wire_setup *setup;
    struct guard_filter filter;
    struct root root;
    struct landlock landlock;
    unsigned number; /* chooses its user, where it does not have one by its namespace */
    struct cgroup cgroup;
    int python; /* socket to the warm interpreter; -1 */
    pid_t python_pid;
    int python_runs;
};

/* Never returns. In the slot's process, when its user and group are mapped. */
void slot_main(struct slot *slot) __attribute__((noreturn));

/* The warm Python (python.c). */
bool python_start(struct slot *slot, char text[WIRE_TEXT]);
void python_stop(struct slot *slot);

/* A request to the warm Python; its descriptors: the run's pid 1 (or the rules of Landlock), stdin, stdout, stderr,
 * answer, channel. */
struct python_order {
    int32_t what; /* enum sandbox_what */
    int32_t has_channel, prelude, reserved;
    uint64_t cpu_s, space_bytes, file_bytes, tasks, files, stack_bytes;
};
/* The warm Python's reports, two per request: the program's pid when it runs, and how it ended. */
struct python_notice {
    int32_t kind; /* 0 started, 1 ended, 2 could not: `status` is errno */
    int32_t pid;
    int32_t status;
    int32_t reserved;
    int64_t cpu_us, peak_kb;
};

/* One run (run.c): fills the reply and what follows it. */
struct slot_output {
    struct strbuf out, err, answer;
    int kept;
};
void slot_run(struct slot *slot, const struct wire_job *job, const int fds[WIRE_FDS], struct wire_reply *reply,
              struct slot_output *output);

#endif

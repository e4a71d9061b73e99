/* reward/process.h - a program of the user in a process of its own, with which we exchange lines.
 *
 * It runs in a session of its own, without a shell, with three pipes, and ends when we do (launcher.h). Nothing it does
 * can hold us: every wait has a moment (clock_seconds()) at which it ends, what it writes to stderr is drained while we
 * wait and only its end is kept, and stopping it kills its whole session's group. One thread at a time; the one that
 * starts it must not end before it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_PROCESS_H
#define REWARD_PROCESS_H

#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum { PROCESS_TAIL = 2048 };

/* All zero: not running. */
struct process {
    pid_t pid;            /* its launcher's; 0: none */
    int in, out, err;     /* our ends; err is -1 once the program closed it */
    bool show;            /* pass its stderr on to ours */
    struct strbuf unsent; /* for its stdin */
    size_t sent;          /* bytes of `unsent` that are already written */
    struct strbuf heard;  /* read from its stdout */
    size_t taken;         /* bytes of `heard` that were handed out */
    char tail[PROCESS_TAIL];
    size_t tail_length;
};

enum process_answer {
    PROCESS_LINE, /* a whole line */
    PROCESS_LATE, /* none in time; a next call continues to wait */
    PROCESS_GONE, /* it ended, or closed its stdin or stdout */
    PROCESS_LONG, /* more bytes than allowed without an end of line */
};

/* words[0] is looked for in PATH. `words` end with NULL. ERR_IO names the program. */
enum err process_start(struct process *process, char *const words[], bool show);
/* Kills it and all it started in its group, and waits for it. A process that is not running is fine. */
void process_stop(struct process *process);
bool process_running(const struct process *process);

/* Queues a line (with its '\n'); process_hear writes it. */
void process_say(struct process *process, struct str line);
/* Waits until all queued lines are written and a line came back; `line` is without its '\n', and valid until the next
 * call. `limit`: bytes of a line. */
enum process_answer process_hear(struct process *process, double until, size_t limit, struct str *line);

/* Stops it and puts in a few words how it ended and its last output: "exit status 3; it said: No module named x". */
const char *process_obituary(struct process *process, struct arena *arena);

#endif

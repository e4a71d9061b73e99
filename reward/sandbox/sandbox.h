/* reward/sandbox/sandbox.h - runs programs that a model wrote: bytes in, bytes out, nothing else.
 *
 * The sandbox never sees an expected value: the caller compares. It says how a run ended, not whether it was right.
 *
 *   caller --socket--> supervisor --clone3--> slot [user pid mount ipc uts net] --clone3--> run [pid mount ipc uts]
 *                      (this program, exec'ed  a root of its own, read-only;     pid 1: ours, reaps, out of reach;
 *                       anew: no heap, no      limits, the clock, the pipes;     the program: no capability, a list of
 *                       threads, no GPU)       a warm Python                     allowed system calls, /tmp in memory
 *
 * A slot runs one program at a time; each run has new namespaces and a new /tmp, and all its processes are dead when
 * the result arrives. Slots start when first needed and are kept. The supervisor is this executable started again under
 * another argv[0] (a constructor in supervisor.c takes over before main), so that it is the same whatever the
 * caller has loaded: threads, a GPU context, secrets in memory. It ends when the caller's end of its socket closes.
 *
 * Where it departs from the usual: Python is forked from a warm interpreter in the slot, which enters the run's
 * namespaces by setns; the namespaces themselves, pid 1 and the limits are made by C for every language. The network
 * namespace belongs to the slot: it is empty, and socket() is refused.
 *
 * Needs Linux 5.12 with user namespaces; sandbox_open refuses with the layer that failed and the mend. Without a
 * writable memory cgroup the limit is per process (RLIMIT_AS): the worst case is then processes x memory. A weaker form
 * that needs no namespaces is used only where `landlock` requests it (landlock.h lists what it does not protect).
 *
 * Thread-safe, all of it. A failure here is the sandbox's, never the program's.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_SANDBOX_SANDBOX_H
#define REWARD_SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct sandbox_limits {
    double wall_s, cpu_s;
    int32_t memory_mb;
    int32_t processes; /* threads count too */
    int32_t fsize_mb;  /* one file */
    int32_t tmp_mb;    /* all of /tmp */
    int64_t output_bytes;
};
#define SANDBOX_LIMITS                                                                                                 \
    ((struct sandbox_limits){.wall_s = 10,                                                                             \
                             .cpu_s = 4,                                                                               \
                             .memory_mb = 512,                                                                         \
                             .processes = 16,                                                                          \
                             .fsize_mb = 16,                                                                           \
                             .tmp_mb = 32,                                                                             \
                             .output_bytes = 1 << 20})

enum sandbox_what {
    SANDBOX_SCRIPT,   /* source: Python, run as __main__; input: its stdin */
    SANDBOX_FUNCTION, /* source: Python; input: {"entry":..., "args":[...]}; answer: a frame with the value (plain.h) */
    SANDBOX_SERVE,    /* source: Python, called over `channel`; input: Python of the same module, or none */
    SANDBOX_TEST,    /* input: {"test":..., ...} (python/asserts.py), trusted; calls over `channel`; answer: a report */
    SANDBOX_BINARY,  /* file: an executable; input: its stdin */
    SANDBOX_COMPILE, /* command: the compiler's words; source: /box/source; `keep` comes back as a file */
};

struct sandbox_job {
    enum sandbox_what what;
    struct str source;  /* copied */
    struct str input;   /* copied */
    int file;           /* SANDBOX_BINARY: a descriptor, borrowed; else -1 */
    bool prelude;       /* Python: common names need no import (python/calls.py) */
    int channel;        /* SANDBOX_SERVE and _TEST: one end of a socketpair, borrowed; else -1 */
    struct str command; /* SANDBOX_COMPILE: words, each ended by NUL */
    const char *keep;   /* SANDBOX_COMPILE: the path of what is to come back: "/tmp/a" */
    struct sandbox_limits limits;
    bool (*stop)(void); /* asked several times a second; true: ERR_STOPPED at once, the run is killed. NULL: never */
};

enum sandbox_stop {
    SANDBOX_ENDED,  /* by itself: exit_code or signal say how */
    SANDBOX_WALL,   /* killed after wall_s */
    SANDBOX_CPU,    /* cpu_s used up */
    SANDBOX_MEMORY, /* the memory cgroup killed it */
    SANDBOX_OUTPUT, /* killed for more than output_bytes on stdout, or an answer as long */
};

struct sandbox_result {
    enum sandbox_stop stop;
    int exit_code;     /* if it exited; else -1 */
    int signal;        /* that killed it; else 0 */
    double wall_s;     /* from its start to its end */
    double cpu_s;      /* of the program and the children it waited for */
    double starved_s;  /* how long it was ready to run and had no processor; 0 if it had started other processes */
    int64_t peak_kb;   /* resident, of the largest process */
    struct strbuf out; /* stdout, at most output_bytes */
    struct strbuf err; /* the first 8 kB of stderr */
    struct strbuf answer;
    int kept; /* SANDBOX_COMPILE: a sealed file in memory with the bytes of `keep`, for the caller to close; -1: none */
};
void sandbox_result_release(struct sandbox_result *result);

struct sandbox;
struct sandbox_options {
    const char *python;  /* path of an interpreter, 3.9 or newer; NULL or "": found (sandbox_find_python) */
    int n_slots;         /* max. runs at the same time, per class (programs, tests, compilers); 0: one per processor */
    const char *headers; /* a folder that compilers see as /headers; NULL: none */
    bool landlock;       /* no namespaces, weaker, Python only: other jobs are refused with ERR_STATE */
};

/* Starts the supervisor and a first slot, so that what is missing is reported at once: ERR_STATE with the layer and the
 * mend. A missing interpreter is reported by the first Python job (ERR_IO). */
enum err sandbox_open(struct sandbox **out, const struct sandbox_options *options);
void sandbox_close(struct sandbox *sandbox); /* NULL is fine; no job may be running */

/* Runs a job to its end. Waits for a free slot until `deadline` (clock_seconds), then ERR_LIMIT. Any failure leaves the
 * sandbox usable. *result is set on success only; the caller releases it. */
enum err sandbox_run(struct sandbox *sandbox, const struct sandbox_job *job, double deadline,
                     struct sandbox_result *result);

/* sandbox_run in two halves, for two jobs that talk to each other. Every start that succeeds needs a finish. Start a
 * SANDBOX_SERVE before its SANDBOX_TEST: tests have slots of their own, so that pairs cannot wait for each other. */
struct sandbox_slot;
enum err sandbox_start(struct sandbox *sandbox, const struct sandbox_job *job, double deadline,
                       struct sandbox_slot **slot);
enum err sandbox_finish(struct sandbox *sandbox, struct sandbox_slot *slot, struct sandbox_result *result);

/* A sealed, read-only copy of the bytes as a file in memory; -1 with errno. */
int sandbox_file(struct str bytes);

/* "memory cgroup v2", "rlimits only" ...: for a run's header. Valid as long as the sandbox. */
const char *sandbox_mode(const struct sandbox *sandbox);

#endif

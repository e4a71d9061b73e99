/* reward/sandbox/wire.h - messages between the caller, the supervisor and a slot, and descriptors that travel with
 * them.
 *
 * All ends are the same executable, so messages are plain structs. Stream sockets; a closed peer is an error of its
 * own, never a signal.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_SANDBOX_WIRE_H
#define REWARD_SANDBOX_WIRE_H

#include <sys/types.h>

#include "reward/sandbox/sandbox.h"

#define WIRE_TEXT        400
#define WIRE_COMMAND     2048
#define WIRE_FDS         6
#define WIRE_CONTROL     3 /* the supervisor's end of the control socket */
#define SANDBOX_STDERR   8192
#define WIRE_ANSWER_MORE 64 /* an answer may be so much longer than the output: its frame */

extern const char supervisor_name[]; /* argv[0] of the supervisor (supervisor.c) */

enum slot_class { SLOT_PROGRAM, SLOT_TEST, SLOT_COMPILE, SLOT_CLASSES };

/* To the supervisor, first of all. */
struct wire_setup {
    char python[512];  /* the interpreter's file; "" if there is none */
    char stdlib[512];  /* its standard library */
    char dynload[512]; /* compiled modules, where they are elsewhere; else "" */
    char headers[512]; /* folder of precompiled headers, seen by compilers; "" for none */
    bool landlock;     /* slots without namespaces (landlock.h) */
};

/* To the supervisor: start a slot. The answer is a wire_reply, with a descriptor if it is ok. */
struct wire_ask {
    enum slot_class class;
};

/* To a slot, with descriptors: input, then file, then channel, as flagged. */
struct wire_job {
    enum sandbox_what what;
    struct sandbox_limits limits;
    bool has_input, has_file, has_channel, prelude;
    uint32_t command_bytes;
    char command[WIRE_COMMAND];
    char keep[64];
};

/* From a slot: once when it is ready, then once per job; out, err, answer follow as bytes. A kept file is a
 * descriptor. */
struct wire_reply {
    bool ok;
    char text[WIRE_TEXT]; /* not ok: a sentence; first reply of a slot: its mode */
    enum sandbox_stop stop;
    int exit_code, signal;
    double wall_s, cpu_s, starved_s;
    int64_t peak_kb;
    uint64_t out_bytes, err_bytes, answer_bytes;
};

/* False with errno; ECONNRESET when the peer is gone. fds: what travels along; wire_receive sets the rest to -1. */
bool wire_send(int socket, const void *data, size_t bytes, const int *fds, int n_fds);
bool wire_receive(int socket, void *data, size_t bytes, int fds[WIRE_FDS]);

/* A slot's answer to a job of this output limit. The slot is ours, but it ran next to the program: what cannot be an
 * answer (a longer stream, a text without end, a number that is none) is refused with EBADMSG, like a lost connection.
 * *result is the caller's to release in any case. */
bool wire_receive_result(int socket, int64_t output_bytes, struct wire_reply *reply, struct sandbox_result *result);

/* "cannot WHAT: REASON" with errno in `text`; false, so that a caller can return it. */
bool wire_fail(char text[WIRE_TEXT], const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Reads a small file of the system (/proc, /sys) whole; false if it is missing or does not fit. */
bool wire_read_small(const char *path, char *text, size_t capacity);
bool wire_write_small(const char *path, const char *text);

#endif

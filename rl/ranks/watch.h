/* rl/ranks/watch.h - are all ranks alive? A thread per rank that listens while the others compute.
 *
 * Each rank tells rank 0 once per second that it lives, and rank 0 tells each. A rank is lost when its connection ends
 * without a word, or when it has not been heard of for WATCH_SILENCE seconds. Rank 0 judges: the first loss or failure is
 * the verdict, and all ranks hear it; of the loss of rank 0 each judges by itself. The verdict ends the call of
 * kernels/comm.h that a rank waits in, and all later ones.
 *
 *   seconds since the last sign of life   what happens
 *   0 (killed), 5 (stopped, cut off)      the verdict
 *   9                                     a rank whose computation has not come to a call by then is ended; one that
 *                                         saves, some seconds after it has
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_RANKS_WATCH_H
#define RL_RANKS_WATCH_H

#include "kernels/comm.h"
#include "rl/ranks/meet.h"

#define WATCH_BEAT    1.0
#define WATCH_SILENCE 4.0
#define WATCH_END     9.0
#define WATCH_EXIT    75 /* EX_TEMPFAIL of sysexits.h: try again */

struct watch;

/* Takes the control connections of a meeting; `comm` outlives it. */
enum err watch_open(struct watch **out, struct comm *comm, int rank, struct meeting *meeting);
/* This rank ends with an error, whose sentence is that of base/err.h, by that signal (0: none): the others end too. Nothing if
 * there is a verdict already. It is not ended by the watch any more: it may save what is finished. */
void watch_fail(struct watch *watch, enum err code, int signal);
/* The rank saves, from true to false: the watch does not end it, and after it gives it some seconds to come to a call. */
void watch_saving(struct watch *watch, bool saving);
/* The verdict: its code, with its sentence set; ERR_NONE: there is none. *signal: that stopped the run. */
enum err watch_verdict(struct watch *watch, int *signal);
/* The end: rank 0 says so, and the others wait for it, so that no launcher takes rank 0 down while it saves. Not after a
 * rank was lost. Returns the verdict. */
enum err watch_leave(struct watch *watch);
void watch_close(struct watch *watch); /* NULL is allowed */

#endif

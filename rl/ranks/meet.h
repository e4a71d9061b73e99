/* rl/ranks/meet.h - the rendezvous: the processes of a run find each other and are connected, each with each.
 *
 *   rank 0                       another rank
 *   listens              <----   hello: rank, of how many, job, hashes of recipe and program, port
 *   (until all are there)
 *   answer: seats of all ----->  this connection stays: heartbeats and reasons (rl/ranks/watch.h)
 *                        <---->  a connection for data between each two ranks (kernels/comm.h)
 *
 * Who is of another job is turned away, and a stranger is not answered; neither disturbs the run. A rank with another
 * recipe or program, or with a number that is taken, ends the rendezvous on all ranks with a sentence that names it.
 * The network is taken to be private: nothing is encrypted.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_RANKS_MEET_H
#define RL_RANKS_MEET_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/ranks/environment.h"

#define MEET_SECONDS 60.0 /* for all ranks to come; STROP_MEET_SECONDS says otherwise */

/* What must be the same on all ranks. */
struct meet_card {
    uint64_t recipe, program;
};

struct member {
    char host[64];
    int pid;
};

struct meeting {
    int n_ranks;
    int *control;           /* [n_ranks] of rank 0: connected with each other rank; of another: [0] alone; else -1 */
    int *data;              /* [n_ranks], -1 for itself; whoever takes one sets it to -1 */
    struct member *members; /* [n_ranks] */
};

/* Returns when all ranks are connected. `stop` (may be NULL) is asked several times per second: ERR_STOPPED. ERR_IO: the port is in
 * use, rank 0 cannot be reached, ranks do not come. ERR_USAGE: they do not belong together. */
enum err meet(struct meeting *out, const struct ranks *ranks, const struct meet_card *card, bool (*stop)(void));
/* Closes what is still there. */
void meeting_release(struct meeting *meeting);

#endif

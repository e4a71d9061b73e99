/* kernels/comm.h - bytes between the ranks of a run, and sums in an order of our own on top.
 *
 *   struct comm *comm;
 *   TRY(comm_open_sockets(&comm, rank, n_ranks, fds));
 *   TRY(comm_all_gather(comm, &own, all, sizeof own));     all[r] is what rank r gave
 *   comm_close(comm);
 *
 * A rank is one of n_ranks processes that make the same calls in the same order. A back end moves bytes and adds
 * nothing (struct comm_ops): libraries that sum on the way do so in an order that depends on the number of ranks.
 *
 * Memory. Buffers belong to the caller, do not overlap, and are memory of the back end's kind: the host's where
 * ops->host is true, else the device's. A call returns when its buffers may be used again.
 *
 * Failure. A call ends with ERR_PEER when a rank is lost: its connection has ended, or not a byte has moved for
 * `patience` seconds. comm_abort ends it from another thread, with a sentence of the caller's. After a failure what a
 * buffer holds is undefined, and no further call succeeds. ERR_STATE, naming both calls, where two ranks do not make
 * the same one; ERR_STOPPED if `stop` says so.
 *
 * One thread makes the calls; comm_abort may come from any. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_COMM_H
#define KERNELS_COMM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct comm;

/* What a back end can do: all of it moves bytes. */
struct comm_ops {
    const char *name;
    bool host;
    enum err (*all_gather)(struct comm *comm, const void *own, void *all, size_t bytes);
    enum err (*all_to_all)(struct comm *comm, const void *from, void *to, size_t bytes);
    enum err (*broadcast)(struct comm *comm, void *data, size_t bytes, int root);
    enum err (*send)(struct comm *comm, const void *data, size_t bytes, int to);
    enum err (*recv)(struct comm *comm, void *data, size_t bytes, int from);
    enum err (*barrier)(struct comm *comm);
    void (*abort)(struct comm *comm); /* wakes the thread that waits in a call; from any thread */
    void (*close)(struct comm *comm); /* frees what the back end holds, and comm itself */
};

struct comm {
    const struct comm_ops *ops;
    int rank, n_ranks;
    double patience;        /* seconds without a byte after which a call gives up; at first COMM_PATIENCE */
    double verdict_seconds; /* how long a call that finds a connection ended waits for comm_abort to say why; first 0 */
    bool broken;            /* a call has failed, so that the connections may hold half of it: no other can succeed */
    bool (*stop)(void);     /* called some times per second while a call waits; NULL: never */
    float *pieces;          /* of comm_sum */
    atomic_bool aborted;
    pthread_mutex_t lock; /* of the two below */
    enum err reason;
    char reason_text[1024];
};

#define COMM_PATIENCE 1800.0

/* The back end of processes: fds[r] is a stream socket (TCP or UNIX) connected with rank r, fds[rank] is not used. The
 * sockets belong to it from here on. */
enum err comm_open_sockets(struct comm **out, int rank, int n_ranks, const int *fds);
void comm_close(struct comm *comm); /* NULL is allowed */

/* all: [n_ranks][bytes]. */
enum err comm_all_gather(struct comm *comm, const void *own, void *all, size_t bytes);
/* from, to: [n_ranks][bytes]; to[r] is what rank r has in from[rank]. */
enum err comm_all_to_all(struct comm *comm, const void *from, void *to, size_t bytes);
enum err comm_broadcast(struct comm *comm, void *data, size_t bytes, int root);
/* Of two ranks alone. Two that send to each other at once wait for ever if the bytes are more than a connection holds:
 * that is comm_all_to_all. */
enum err comm_send(struct comm *comm, const void *data, size_t bytes, int to);
enum err comm_recv(struct comm *comm, void *data, size_t bytes, int from);
enum err comm_barrier(struct comm *comm);
/* Ends the present call and all later ones with that code and sentence; the first of several holds. */
void comm_abort(struct comm *comm, enum err code, const char *text);

/* data[i] = the sum over ranks of data[i], the same bits on every rank; host memory, n_ranks a power of two.
 * order: the binary tree over ranks, ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)) for 8, each + a rounding of fp32. So a
 * rank that has added its own part of a tree by itself continues the same tree. */
enum err comm_sum(struct comm *comm, float *data, size_t n);

/* For back ends: sets the sentence of comm_abort and returns its code; ERR_NONE if it was not called. */
enum err comm_aborted(struct comm *comm);
/* For back ends: the members above at their beginnings. */
void comm_init(struct comm *comm, const struct comm_ops *ops, int rank, int n_ranks);

#endif

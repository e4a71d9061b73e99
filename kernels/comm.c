/* kernels/comm.c - what all back ends share: the calls, the reason of an abort, and the sum over moved bytes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/comm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

#define SUM_FLOATS ((size_t)1 << 20) /* summed at once; bounds the memory */

void comm_init(struct comm *comm, const struct comm_ops *ops, int rank, int n_ranks)
{
    BUG_ON(rank < 0 || rank >= n_ranks);
    *comm = (struct comm){.ops = ops, .rank = rank, .n_ranks = n_ranks, .patience = COMM_PATIENCE};
    atomic_init(&comm->aborted, false);
    BUG_ON(pthread_mutex_init(&comm->lock, NULL) != 0);
}

void comm_close(struct comm *comm)
{
    if (comm) {
        free(comm->pieces);
        pthread_mutex_destroy(&comm->lock);
        comm->ops->close(comm);
    }
}

/* ---- an abort ---- */

void comm_abort(struct comm *comm, enum err code, const char *text)
{
    pthread_mutex_lock(&comm->lock);
    if (comm->reason == ERR_NONE) {
        comm->reason = code;
        snprintf(comm->reason_text, sizeof comm->reason_text, "%s", text);
    }
    pthread_mutex_unlock(&comm->lock);
    atomic_store(&comm->aborted, true);
    comm->ops->abort(comm);
}

enum err comm_aborted(struct comm *comm)
{
    if (!atomic_load(&comm->aborted)) {
        return ERR_NONE;
    }
    pthread_mutex_lock(&comm->lock);
    enum err code = err_set(comm->reason, "%s", comm->reason_text);
    pthread_mutex_unlock(&comm->lock);
    return code;
}

/* ---- moves ---- */

enum err comm_all_gather(struct comm *comm, const void *own, void *all, size_t bytes)
{
    TRY(comm_aborted(comm));
    return comm->ops->all_gather(comm, own, all, bytes);
}

enum err comm_all_to_all(struct comm *comm, const void *from, void *to, size_t bytes)
{
    TRY(comm_aborted(comm));
    return comm->ops->all_to_all(comm, from, to, bytes);
}

enum err comm_broadcast(struct comm *comm, void *data, size_t bytes, int root)
{
    TRY(comm_aborted(comm));
    return comm->ops->broadcast(comm, data, bytes, root);
}

enum err comm_send(struct comm *comm, const void *data, size_t bytes, int to)
{
    BUG_ON(to == comm->rank);
    TRY(comm_aborted(comm));
    return comm->ops->send(comm, data, bytes, to);
}

enum err comm_recv(struct comm *comm, void *data, size_t bytes, int from)
{
    BUG_ON(from == comm->rank);
    TRY(comm_aborted(comm));
    return comm->ops->recv(comm, data, bytes, from);
}

enum err comm_barrier(struct comm *comm)
{
    TRY(comm_aborted(comm));
    return comm->ops->barrier(comm);
}

/* ---- the sum ---- */

/* pieces[0] = the tree over pieces [n_pieces][n]. */
static void add_tree(float *pieces, int n_pieces, size_t n)
{
    for (int distance = 1; distance < n_pieces; distance *= 2) {
        for (int i = 0; i + distance < n_pieces; i += 2 * distance) {
            float *to = pieces + (size_t)i * n;
            const float *from = pieces + (size_t)(i + distance) * n;
            for (size_t k = 0; k < n; k++) {
                to[k] += from[k];
            }
        }
    }
}

/* Each rank adds up one slice of the numbers, of all ranks, and hands the sum to all. */
static enum err sum_part(struct comm *comm, float *data, size_t n)
{
    size_t n_ranks = (size_t)comm->n_ranks, slice = (n + n_ranks - 1) / n_ranks;
    float *mine = comm->pieces, *others = comm->pieces + n_ranks * slice;
    memcpy(mine, data, n * sizeof *data);
    memset(mine + n, 0, (n_ranks * slice - n) * sizeof *mine);
    TRY(comm_all_to_all(comm, mine, others, slice * sizeof *mine));
    add_tree(others, comm->n_ranks, slice);
    TRY(comm_all_gather(comm, others, mine, slice * sizeof *mine));
    memcpy(data, mine, n * sizeof *data);
    return ERR_NONE;
}

enum err comm_sum(struct comm *comm, float *data, size_t n)
{
    BUG_ON((comm->n_ranks & (comm->n_ranks - 1)) != 0 || !comm->ops->host);
    if (comm->n_ranks == 1) {
        return ERR_NONE;
    }
    if (!comm->pieces) {
        comm->pieces = mem_alloc(2 * (SUM_FLOATS + (size_t)comm->n_ranks) * sizeof *comm->pieces);
    }
    for (size_t at = 0; at < n; at += SUM_FLOATS) {
        TRY(sum_part(comm, data + at, n - at < SUM_FLOATS ? n - at : SUM_FLOATS));
    }
    return ERR_NONE;
}

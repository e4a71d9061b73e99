/* kernels/comm_socket.c - the back end of processes: a connection between each two ranks, and one loop that moves what a
 * call has for each of them, in both directions at once.
 *
 * Each transfer begins with a head that says of which call it is, so that ranks that have come apart are found out and do
 * not read each other's numbers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "kernels/comm.h"

#define LOOK_MS 100 /* between two looks at the deadline and at `stop` */

enum call { CALL_ALL_GATHER, CALL_ALL_TO_ALL, CALL_BROADCAST, CALL_SEND, CALL_BARRIER, CALLS };
static const char *const call_names[] = {"all_gather", "all_to_all", "broadcast", "send", "barrier"};

struct head {
    uint64_t call, bytes;
};

/* What a call moves to, or from, one rank: first the head, then the bytes. */
struct way {
    bool used;
    struct head head, want; /* as it travels; as it must be */
    char *data;
    size_t bytes, done; /* done counts the head too */
};

struct peer {
    int fd;
    struct way out, in;
};

struct socket_comm {
    struct comm comm;
    int wake; /* eventfd, readable once the comm is aborted */
    struct peer *peers;
    struct pollfd *polled;
    int *polled_rank;
};

static struct socket_comm *of(struct comm *comm)
{
    return (struct socket_comm *)comm; /* the first member */
}

/* ---- one transfer ---- */

static void begin_way(struct way *way, enum call call, const void *data, size_t bytes)
{
    struct head head = {(uint64_t)call, bytes};
    *way = (struct way){.used = true, .head = head, .want = head, .data = (char *)(uintptr_t)data, .bytes = bytes};
}

static bool is_done(const struct way *way)
{
    return !way->used || way->done == sizeof way->head + way->bytes;
}

/* Where the next byte is, and how many follow there. */
static char *next_bytes(struct way *way, size_t *n)
{
    size_t head = sizeof way->head;
    *n = way->done < head ? head - way->done : head + way->bytes - way->done;
    return way->done < head ? (char *)&way->head + way->done : way->data + (way->done - head);
}

static const char *name_of(uint64_t call)
{
    return call < CALLS ? call_names[call] : "something else";
}

static enum err check_head(int rank, const struct way *way)
{
    if (way->done != sizeof way->head || memcmp(&way->head, &way->want, sizeof way->head) == 0) {
        return ERR_NONE;
    }
    return err_set(ERR_STATE,
                   "the ranks have come apart: rank %d is in %s of %llu bytes, this one in %s of %llu bytes; this must "
                   "not happen",
                   rank, name_of(way->head.call), (unsigned long long)way->head.bytes, name_of(way->want.call),
                   (unsigned long long)way->want.bytes);
}

/* A connection has ended: whoever watches the ranks knows better why. */
static enum err lost(struct socket_comm *s, int rank)
{
    struct pollfd wake = {.fd = s->wake, .events = POLLIN};
    double until = clock_seconds() + s->comm.verdict_seconds;
    while (clock_seconds() < until && poll(&wake, 1, LOOK_MS) <= 0) {
    }
    TRY(comm_aborted(&s->comm));
    return err_set(ERR_PEER, "rank %d is lost: its connection has ended", rank);
}

/* Moves what can be moved now. *moved: something was. */
static enum err step_way(struct socket_comm *s, int rank, struct way *way, bool in, bool *moved)
{
    int fd = s->peers[rank].fd;
    while (!is_done(way)) {
        size_t n;
        char *at = next_bytes(way, &n);
        ssize_t did = in ? recv(fd, at, n, 0) : send(fd, at, n, MSG_NOSIGNAL);
        if (did < 0 && errno == EINTR) {
            continue;
        }
        if (did < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return ERR_NONE;
        }
        if (did <= 0) {
            return lost(s, rank);
        }
        way->done += (size_t)did;
        *moved = true;
        TRY(in ? check_head(rank, way) : ERR_NONE);
    }
    return ERR_NONE;
}

static enum err step_all(struct socket_comm *s, bool *moved)
{
    for (int r = 0; r < s->comm.n_ranks; r++) {
        TRY(step_way(s, r, &s->peers[r].out, false, moved));
        TRY(step_way(s, r, &s->peers[r].in, true, moved));
    }
    return ERR_NONE;
}

/* ---- the loop ---- */

/* Lists the connections that something is still to come from or go to, and returns how many there are. */
static int list_open(struct socket_comm *s)
{
    int n = 0;
    for (int r = 0; r < s->comm.n_ranks; r++) {
        const struct peer *peer = &s->peers[r];
        int events = (is_done(&peer->out) ? 0 : POLLOUT) | (is_done(&peer->in) ? 0 : POLLIN);
        if (events) {
            s->polled_rank[n] = r;
            s->polled[n++] = (struct pollfd){.fd = peer->fd, .events = (short)events};
        }
    }
    return n;
}

/* What must end a call that waits. */
static enum err check_wait(const struct socket_comm *s, double since)
{
    if (s->comm.stop && s->comm.stop()) {
        return err_set(ERR_STOPPED, "stopped while it waited for other ranks");
    }
    double seconds = clock_seconds() - since;
    if (seconds > s->comm.patience) {
        return err_set(ERR_PEER, "rank %d is lost: in %.0f seconds not a byte has moved", s->polled_rank[0], seconds);
    }
    return ERR_NONE;
}

/* After a call that failed. */
static enum err refuse_broken(struct socket_comm *s)
{
    enum err result = comm_aborted(&s->comm);
    return result != ERR_NONE || !s->comm.broken
               ? result
               : err_set(ERR_PEER, "an earlier exchange between the ranks has failed");
}

/* Moves all that the call has begun, and forgets it. */
static enum err move_all(struct socket_comm *s)
{
    enum err result = refuse_broken(s);
    double since = clock_seconds();
    for (int n; result == ERR_NONE && (n = list_open(s)) > 0;) {
        bool moved = false;
        result = step_all(s, &moved);
        since = moved ? clock_seconds() : since;
        if (result == ERR_NONE && !moved) {
            s->polled[n] = (struct pollfd){.fd = s->wake, .events = POLLIN};
            poll(s->polled, (nfds_t)n + 1, LOOK_MS);
            result = comm_aborted(&s->comm);
            result = result == ERR_NONE ? check_wait(s, since) : result;
        }
    }
    for (int r = 0; r < s->comm.n_ranks; r++) {
        s->peers[r].out.used = s->peers[r].in.used = false;
    }
    s->comm.broken = s->comm.broken || result != ERR_NONE;
    return result;
}

/* ---- the calls ---- */

static enum err socket_all_gather(struct comm *comm, const void *own, void *all, size_t bytes)
{
    struct socket_comm *s = of(comm);
    for (int r = 0; r < comm->n_ranks; r++) {
        if (r != comm->rank) {
            begin_way(&s->peers[r].out, CALL_ALL_GATHER, own, bytes);
            begin_way(&s->peers[r].in, CALL_ALL_GATHER, (char *)all + (size_t)r * bytes, bytes);
        }
    }
    memcpy((char *)all + (size_t)comm->rank * bytes, own, bytes);
    return move_all(s);
}

static enum err socket_all_to_all(struct comm *comm, const void *from, void *to, size_t bytes)
{
    struct socket_comm *s = of(comm);
    size_t mine = (size_t)comm->rank * bytes;
    for (int r = 0; r < comm->n_ranks; r++) {
        if (r != comm->rank) {
            begin_way(&s->peers[r].out, CALL_ALL_TO_ALL, (const char *)from + (size_t)r * bytes, bytes);
            begin_way(&s->peers[r].in, CALL_ALL_TO_ALL, (char *)to + (size_t)r * bytes, bytes);
        }
    }
    memcpy((char *)to + mine, (const char *)from + mine, bytes);
    return move_all(s);
}

static enum err socket_broadcast(struct comm *comm, void *data, size_t bytes, int root)
{
    struct socket_comm *s = of(comm);
    for (int r = 0; comm->rank == root && r < comm->n_ranks; r++) {
        if (r != root) {
            begin_way(&s->peers[r].out, CALL_BROADCAST, data, bytes);
        }
    }
    if (comm->rank != root) {
        begin_way(&s->peers[root].in, CALL_BROADCAST, data, bytes);
    }
    return move_all(s);
}

static enum err socket_send(struct comm *comm, const void *data, size_t bytes, int to)
{
    struct socket_comm *s = of(comm);
    begin_way(&s->peers[to].out, CALL_SEND, data, bytes);
    return move_all(s);
}

static enum err socket_recv(struct comm *comm, void *data, size_t bytes, int from)
{
    struct socket_comm *s = of(comm);
    begin_way(&s->peers[from].in, CALL_SEND, data, bytes);
    return move_all(s);
}

static enum err socket_barrier(struct comm *comm)
{
    struct socket_comm *s = of(comm);
    for (int r = 0; r < comm->n_ranks; r++) {
        if (r != comm->rank) {
            begin_way(&s->peers[r].out, CALL_BARRIER, NULL, 0);
            begin_way(&s->peers[r].in, CALL_BARRIER, NULL, 0);
        }
    }
    return move_all(s);
}

static void socket_abort(struct comm *comm)
{
    const uint64_t one = 1;
    ssize_t ignored = write(of(comm)->wake, &one, sizeof one);
    (void)ignored;
}

static void socket_close(struct comm *comm)
{
    struct socket_comm *s = of(comm);
    for (int r = 0; r < comm->n_ranks; r++) {
        if (r != comm->rank) {
            close(s->peers[r].fd);
        }
    }
    if (s->wake >= 0) {
        close(s->wake);
    }
    free(s->peers);
    free(s->polled);
    free(s->polled_rank);
    free(s);
}

static const struct comm_ops socket_ops = {
    .name = "socket",
    .host = true,
    .all_gather = socket_all_gather,
    .all_to_all = socket_all_to_all,
    .broadcast = socket_broadcast,
    .send = socket_send,
    .recv = socket_recv,
    .barrier = socket_barrier,
    .abort = socket_abort,
    .close = socket_close,
};

enum err comm_open_sockets(struct comm **out, int rank, int n_ranks, const int *fds)
{
    struct socket_comm *s = mem_zero(sizeof *s);
    comm_init(&s->comm, &socket_ops, rank, n_ranks);
    s->peers = mem_zero((size_t)n_ranks * sizeof *s->peers);
    s->polled = mem_zero((size_t)(n_ranks + 1) * sizeof *s->polled);
    s->polled_rank = mem_zero((size_t)(n_ranks + 1) * sizeof *s->polled_rank);
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool good = s->wake >= 0;
    for (int r = 0; r < n_ranks; r++) {
        s->peers[r].fd = fds[r];
        good = good && (r == rank || fcntl(fds[r], F_SETFL, O_NONBLOCK) == 0);
    }
    if (!good) {
        enum err result = err_set(ERR_IO, "cannot use the connections between ranks: %s", strerror(errno));
        comm_close(&s->comm);
        return result;
    }
    *out = &s->comm;
    return ERR_NONE;
}

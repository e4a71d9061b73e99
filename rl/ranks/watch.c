/* rl/ranks/watch.c - frames of one size on the control connections; a lock around what thread and rank share.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/ranks/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"

#define TEXT_BYTES    1000
#define LEAVE_WAIT    3.0     /* seconds for the others to hang up, or for the verdict to come back */
#define STALL         2.0     /* of this thread: then the silence of others is its own */
#define CALL_PATIENCE 86400.0 /* a rank that lives may compute for long before it comes to a call */
#define VERDICT_WAIT  6.0     /* of a call that finds a connection ended */

enum kind { BEAT = 1, FAIL, BYE };

struct frame {
    int32_t kind, rank, code, signal;
    char text[TEXT_BYTES];
};

/* The other end of a control connection. */
struct peer {
    int fd;    /* -1: gone */
    bool left; /* it has said BYE */
    double heard;
    struct frame frame;
    size_t got;
};

struct watch {
    struct comm *comm;
    int rank, n_ranks;
    struct peer *peers;     /* [n_ranks] rank 0 has all but its own, the others have [0]. Of the thread */
    struct member *members; /* [n_ranks] */
    struct pollfd *polled;
    pthread_t thread;
    bool started;
    int wake; /* eventfd: there is something in `say`, or the end */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct frame say;     /* to be sent to all; kind 0: nothing */
    struct frame verdict; /* kind FAIL, or 0: none */
    double end;           /* when a rank that goes on computing is ended; 0: never */
    bool saved;           /* watch_fail was called: it ends by itself */
    bool saving;          /* it is not ended in the middle of a checkpoint */
    bool first_left;      /* rank 0 has said BYE, or hung up after it */
    int n_peers;          /* that have not hung up */
    bool closing;
};

/* ---- the verdict; the lock is held ---- */

static void set_verdict(struct watch *w, const struct frame *verdict, double end)
{
    if (w->verdict.kind) {
        return;
    }
    w->verdict = *verdict;
    w->end = verdict->code == ERR_STOPPED ? 0 : end;
    if (w->rank == 0) {
        w->say = *verdict;
    }
    comm_abort(w->comm, (enum err)verdict->code, verdict->text);
    pthread_cond_broadcast(&w->changed);
}

/* "rank 2 (process 1234 on host)" */
static void name_rank(const struct watch *w, int rank, char text[160])
{
    snprintf(text, 160, "rank %d (process %d on %s)", rank, w->members[rank].pid, w->members[rank].host);
}

static void lose(struct watch *w, int rank, double heard, const char *how)
{
    struct frame verdict = {.kind = FAIL, .rank = rank, .code = ERR_PEER};
    char name[160];
    name_rank(w, rank, name);
    snprintf(verdict.text, sizeof verdict.text, "%s is lost: %s; start the run again to continue", name, how);
    set_verdict(w, &verdict, heard + WATCH_END);
}

/* ---- the thread: sending ---- */

static void hang_up(struct watch *w, int rank)
{
    struct peer *peer = &w->peers[rank];
    if (peer->fd >= 0) {
        close(peer->fd);
        peer->fd = -1;
        w->n_peers--;
        w->first_left = w->first_left || (w->rank != 0 && peer->left);
        pthread_cond_broadcast(&w->changed);
    }
}

/* A frame goes out whole or not at all, except where a peer takes nothing for seconds: that one is silent anyway. */
static void send_all(struct watch *w, const struct frame *frame)
{
    for (int r = 0; r < w->n_ranks; r++) {
        size_t done = 0;
        while (w->peers[r].fd >= 0 && done < sizeof *frame) {
            ssize_t n =
                send(w->peers[r].fd, (const char *)frame + done, sizeof *frame - done, MSG_NOSIGNAL | MSG_DONTWAIT);
            struct pollfd room = {.fd = w->peers[r].fd, .events = POLLOUT};
            done += n > 0 ? (size_t)n : 0;
            if (n <= 0 && (done == 0 || poll(&room, 1, 200) <= 0)) {
                break; /* its end is found by reading */
            }
        }
    }
}

/* ---- the thread: receiving ---- */

static void take_frame(struct watch *w, int rank, const struct frame *frame)
{
    struct peer *peer = &w->peers[rank];
    if (frame->kind == BYE) {
        peer->left = true;
        w->first_left = w->first_left || w->rank != 0;
        pthread_cond_broadcast(&w->changed);
    } else if (frame->kind == FAIL && w->rank == 0) { /* in a rank's own words; all hear whose they are */
        struct frame verdict = *frame;
        char name[160];
        name_rank(w, rank, name);
        verdict.rank = rank;
        snprintf(verdict.text, sizeof verdict.text, "%s: %.*s", name, TEXT_BYTES - 170, frame->text);
        set_verdict(w, &verdict, clock_seconds() + WATCH_END - WATCH_SILENCE);
    } else if (frame->kind == FAIL) {
        set_verdict(w, frame, clock_seconds() + WATCH_END - WATCH_SILENCE - WATCH_BEAT);
    }
}

static void ended(struct watch *w, int rank)
{
    if (!w->peers[rank].left) {
        lose(w, rank, clock_seconds(), "its connection has ended without a word (has it been killed?)");
    }
    hang_up(w, rank);
}

static void receive(struct watch *w, int rank)
{
    struct peer *peer = &w->peers[rank];
    while (peer->fd >= 0) {
        ssize_t n = recv(peer->fd, (char *)&peer->frame + peer->got, sizeof peer->frame - peer->got, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
            return;
        }
        if (n <= 0) {
            ended(w, rank);
            return;
        }
        peer->heard = clock_seconds();
        peer->got += (size_t)n;
        if (peer->got == sizeof peer->frame) {
            peer->got = 0;
            peer->frame.text[TEXT_BYTES - 1] = '\0';
            take_frame(w, rank, &peer->frame);
        }
    }
}

static void check_silence(struct watch *w, double now, bool stalled)
{
    char how[128];
    for (int r = 0; r < w->n_ranks; r++) {
        struct peer *peer = &w->peers[r];
        peer->heard = stalled ? now : peer->heard;
        if (peer->fd >= 0 && !peer->left && now - peer->heard > WATCH_SILENCE) {
            snprintf(how, sizeof how, "no sign of life for %.0f seconds (stopped, or cut off from the network?)",
                     now - peer->heard);
            lose(w, r, peer->heard, how);
        }
    }
}

/* The computation has not come to an end by itself: what is saved is whole at any instant. */
static void end_process(const struct watch *w)
{
    log_message(LOG_ERROR, "%s", w->verdict.text);
    _exit(w->verdict.code == ERR_PEER ? WATCH_EXIT : 1);
}

/* ---- the thread ---- */

static void wait_for_news(struct watch *w, double next_beat)
{
    int n = 0;
    double seconds = next_beat - clock_seconds();
    for (int r = 0; r < w->n_ranks; r++) {
        if (w->peers[r].fd >= 0) {
            w->polled[n++] = (struct pollfd){.fd = w->peers[r].fd, .events = POLLIN};
        }
    }
    w->polled[n++] = (struct pollfd){.fd = w->wake, .events = POLLIN};
    poll(w->polled, (nfds_t)n, seconds > 0 ? (int)(seconds * 1000) + 1 : 0);
    uint64_t ignored;
    (void)!read(w->wake, &ignored, sizeof ignored);
}

static void say_what_waits(struct watch *w, double *next_beat)
{
    const struct frame beat = {.kind = BEAT, .rank = w->rank};
    if (w->say.kind) {
        send_all(w, &w->say);
        w->say.kind = 0;
        pthread_cond_broadcast(&w->changed);
    }
    if (clock_seconds() >= *next_beat) {
        send_all(w, &beat);
        *next_beat = clock_seconds() + WATCH_BEAT;
    }
}

static void *watch_thread(void *context)
{
    struct watch *w = context;
    double next_beat = 0, before = clock_seconds();
    pthread_mutex_lock(&w->lock);
    while (!w->closing) {
        say_what_waits(w, &next_beat);
        pthread_mutex_unlock(&w->lock);
        wait_for_news(w, next_beat);
        pthread_mutex_lock(&w->lock);
        double now = clock_seconds();
        for (int r = 0; r < w->n_ranks; r++) {
            receive(w, r);
        }
        check_silence(w, now, now - before > STALL);
        before = now;
        if (w->end > 0 && now > w->end && !w->saved && !w->saving) {
            end_process(w);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* ---- the rank ---- */

static void wake(const struct watch *w)
{
    const uint64_t one = 1;
    (void)!write(w->wake, &one, sizeof one);
}

/* Waits until `done` or the deadline; the lock is held. seconds < 0: no deadline. */
static void wait_until(struct watch *w, bool (*done)(const struct watch *), double seconds)
{
    double until = clock_seconds() + seconds;
    while (!done(w) && (seconds < 0 || clock_seconds() < until)) {
        struct timespec next;
        clock_gettime(CLOCK_REALTIME, &next);
        next.tv_nsec += 100000000;
        next.tv_sec += next.tv_nsec / 1000000000;
        next.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&w->changed, &w->lock, &next);
    }
}

static bool has_verdict(const struct watch *w)
{
    return w->verdict.kind != 0;
}

static bool has_said(const struct watch *w)
{
    return w->say.kind == 0;
}

static bool is_alone(const struct watch *w)
{
    return w->n_peers <= (w->verdict.kind && w->verdict.code == ERR_PEER); /* the lost one does not hang up */
}

static bool may_leave(const struct watch *w)
{
    return w->first_left || w->n_peers == 0 || (w->verdict.kind && w->verdict.code == ERR_PEER);
}

enum err watch_open(struct watch **out, struct comm *comm, int rank, struct meeting *meeting)
{
    struct watch *w = mem_zero(sizeof *w);
    sigset_t all, before;
    *w = (struct watch){
        .comm = comm, .rank = rank, .n_ranks = meeting->n_ranks, .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    w->peers = mem_zero((size_t)w->n_ranks * sizeof *w->peers);
    w->polled = mem_zero((size_t)(w->n_ranks + 1) * sizeof *w->polled);
    w->members = mem_alloc((size_t)w->n_ranks * sizeof *w->members);
    memcpy(w->members, meeting->members, (size_t)w->n_ranks * sizeof *w->members);
    for (int r = 0; r < w->n_ranks; r++) {
        w->peers[r] = (struct peer){.fd = meeting->control[r], .heard = clock_seconds()};
        w->n_peers += w->peers[r].fd >= 0;
        meeting->control[r] = -1;
    }
    BUG_ON(pthread_mutex_init(&w->lock, NULL) != 0 || pthread_cond_init(&w->changed, NULL) != 0);
    comm->verdict_seconds = VERDICT_WAIT;
    comm->patience = CALL_PATIENCE;
    sigfillset(&all); /* signals are the rank's own */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    w->started = w->wake >= 0 && pthread_create(&w->thread, NULL, watch_thread, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!w->started) {
        watch_close(w);
        return err_set(ERR_IO, "cannot start the thread that watches the other ranks");
    }
    *out = w;
    return ERR_NONE;
}

void watch_fail(struct watch *w, enum err code, int signal)
{
    struct frame frame = {.kind = FAIL, .rank = w->rank, .code = (int32_t)code, .signal = signal};
    pthread_mutex_lock(&w->lock);
    w->saved = true;
    if (!w->verdict.kind) {
        char name[160];
        name_rank(w, w->rank, name);
        snprintf(frame.text, sizeof frame.text, w->rank == 0 ? "%s: %.800s" : "%.0s%.800s", name, err_text());
        if (w->rank == 0) {
            set_verdict(w, &frame, 0);
        } else {
            w->say = frame;
        }
        wake(w);
        wait_until(w, w->rank == 0 ? has_said : has_verdict, LEAVE_WAIT);
    }
    pthread_mutex_unlock(&w->lock);
}

void watch_saving(struct watch *w, bool saving)
{
    double again = clock_seconds() + WATCH_END - WATCH_SILENCE;
    pthread_mutex_lock(&w->lock);
    w->saving = saving;
    w->end = w->end > 0 && w->end < again ? again : w->end;
    pthread_mutex_unlock(&w->lock);
}

enum err watch_verdict(struct watch *w, int *signal)
{
    enum err result = ERR_NONE;
    pthread_mutex_lock(&w->lock);
    if (w->verdict.kind) {
        *signal = w->verdict.signal;
        result = err_set((enum err)w->verdict.code, "%s", w->verdict.text);
    }
    pthread_mutex_unlock(&w->lock);
    return result;
}

enum err watch_leave(struct watch *w)
{
    int signal;
    pthread_mutex_lock(&w->lock);
    w->saved = true;
    wait_until(w, has_said, LEAVE_WAIT);
    w->say = (struct frame){.kind = BYE, .rank = w->rank};
    wake(w);
    wait_until(w, has_said, LEAVE_WAIT);
    if (w->rank == 0) {
        wait_until(w, is_alone, LEAVE_WAIT);
    } else {
        wait_until(w, may_leave, -1);
    }
    pthread_mutex_unlock(&w->lock);
    return watch_verdict(w, &signal);
}

void watch_close(struct watch *w)
{
    if (!w) {
        return;
    }
    if (w->started) {
        pthread_mutex_lock(&w->lock);
        w->closing = true;
        pthread_mutex_unlock(&w->lock);
        wake(w);
        pthread_join(w->thread, NULL);
    }
    for (int r = 0; r < w->n_ranks; r++) {
        hang_up(w, r);
    }
    if (w->wake >= 0) {
        close(w->wake);
    }
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w->peers);
    free(w->polled);
    free(w->members);
    free(w);
}

/* rl/ranks/meet.c - rank 0 counts who comes; then each rank calls those below it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/ranks/meet.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "rl/ranks/net.h"

#define HELLO_SECONDS  5.0  /* for a connection to say who it is */
#define LATE_SECONDS   10.0 /* that others wait longer than rank 0, to hear its reason */
#define REFUSE_SECONDS 2.0
#define LOOK_MS        100
#define GUESTS_MORE    64 /* connections of strangers at once, in addition to the ranks' */

/* ---- what is said ---- */

static const char magic_hello[8] = "strop-h1", magic_data[8] = "strop-d1", magic_answer[8] = "strop-a1";

struct hello {
    char magic[8];
    int32_t rank, n_ranks, pid, port; /* port: where it listens for ranks above it */
    uint64_t recipe, program;
    char host[64], job[128];
};

struct answer {
    char magic[8];
    int32_t code; /* enum err */
    char text[1020];
    uint64_t key[2]; /* what data connections show */
};

struct seat {
    struct net_address address;
    struct member member;
};

struct data_hello {
    char magic[8];
    int32_t rank, unused;
    uint64_t key[2];
};

/* ---- connections that have not said yet who they are ---- */

struct guest {
    int fd;
    double until;
    size_t got;
    union {
        char bytes[sizeof(struct hello)];
        struct hello hello;
        struct data_hello data;
    } says;
};

struct door {
    int listener;
    size_t bytes; /* of what a guest says */
    struct guest *guests;
    int n, capacity;
    bool (*stop)(void);
};

static void door_open(struct door *door, int listener, size_t bytes, int n_ranks, bool (*stop)(void))
{
    *door = (struct door){.listener = listener, .bytes = bytes, .capacity = n_ranks + GUESTS_MORE, .stop = stop};
    door->guests = mem_zero((size_t)door->capacity * sizeof *door->guests);
}

static void door_drop(struct door *door, int i, bool keep)
{
    if (!keep) {
        close(door->guests[i].fd);
    }
    door->guests[i] = door->guests[--door->n];
}

static void door_close(struct door *door)
{
    while (door->n > 0) {
        door_drop(door, 0, false);
    }
    free(door->guests);
}

/* Reads what guests have said; the number of one that has said all, or -1. */
static int door_read(struct door *door)
{
    for (int i = 0; i < door->n; i++) {
        struct guest *g = &door->guests[i];
        ssize_t n = recv(g->fd, g->says.bytes + g->got, door->bytes - g->got, 0);
        bool waits = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
        g->got += n > 0 ? (size_t)n : 0;
        if (g->got == door->bytes) {
            return i;
        }
        if ((n <= 0 && !waits) || clock_seconds() > g->until) {
            door_drop(door, i--, false);
        }
    }
    return -1;
}

/* Waits a little for someone to come or to say something; a guest that has said all, or -1. */
static int door_wait(struct door *door)
{
    int done = door_read(door);
    if (done >= 0) {
        return done;
    }
    struct pollfd *polled = mem_alloc((size_t)(door->n + 1) * sizeof *polled);
    bool full = door->n == door->capacity;
    for (int i = 0; i < door->n; i++) {
        polled[i] = (struct pollfd){.fd = door->guests[i].fd, .events = POLLIN};
    }
    polled[door->n] = (struct pollfd){.fd = full ? -1 : door->listener, .events = POLLIN};
    poll(polled, (nfds_t)door->n + 1, LOOK_MS);
    free(polled);
    for (int fd; door->n < door->capacity && (fd = net_accept(door->listener)) >= 0;) {
        door->guests[door->n++] = (struct guest){.fd = fd, .until = clock_seconds() + HELLO_SECONDS};
    }
    return door_read(door);
}

/* ---- rank 0 ---- */

struct host {
    const struct ranks *ranks;
    struct meeting *meeting;
    struct hello own;
    struct seat *seats;
    struct door door;
    double until;
    int n_here, n_refused;
};

static void answer_with(int fd, enum err code, const char *text, const uint64_t key[2])
{
    struct answer answer = {.code = (int32_t)code};
    memcpy(answer.magic, magic_answer, sizeof answer.magic);
    snprintf(answer.text, sizeof answer.text, "%s", text);
    memcpy(answer.key, key, sizeof answer.key);
    if (net_write(fd, &answer, sizeof answer, clock_seconds() + HELLO_SECONDS, NULL) != ERR_NONE) {
        log_debug("a rank does not take its answer: %s", err_text());
    }
}

/* Ranks that come after the rendezvous has failed hear why, for a while. */
static void refuse_late(struct host *h, enum err code, const char *text, int n_left)
{
    static const uint64_t none[2];
    double until = clock_seconds() + REFUSE_SECONDS;
    while (n_left > 0 && clock_seconds() < until) {
        int guest = door_wait(&h->door);
        if (guest >= 0 && memcmp(h->door.guests[guest].says.hello.magic, magic_hello, sizeof magic_hello) == 0) {
            answer_with(h->door.guests[guest].fd, code, text, none);
            n_left--;
        }
        if (guest >= 0) {
            door_drop(&h->door, guest, false);
        }
    }
}

/* Ends the rendezvous: every rank that has come hears why. */
static enum err refuse_all(struct host *h, enum err code)
{
    static const uint64_t none[2];
    char text[1024];
    int n_left = h->ranks->n_ranks - h->n_here - h->n_refused;
    snprintf(text, sizeof text, "%s", err_text());
    for (int r = 1; r < h->ranks->n_ranks; r++) {
        if (h->meeting->control[r] >= 0) {
            answer_with(h->meeting->control[r], code, text, none);
        }
    }
    if (code == ERR_USAGE) {
        refuse_late(h, code, text, n_left);
    }
    return err_set(code, "%s", text);
}

/* Whether a rank belongs to this run; ERR_USAGE with what is wrong. */
static enum err check_hello(const struct host *h, const struct hello *hello)
{
    const struct hello *own = &h->own;
    int rank = hello->rank;
    if (hello->n_ranks != own->n_ranks || rank < 1 || rank >= own->n_ranks) {
        return err_set(ERR_USAGE, "process %d on %.63s takes itself for rank %d of %d, and rank 0 is one of %d",
                       hello->pid, hello->host, rank, hello->n_ranks, own->n_ranks);
    }
    if (h->meeting->control[rank] >= 0) {
        return err_set(ERR_USAGE, "there are two ranks %d: process %d on %.63s and process %d on %.63s", rank,
                       h->meeting->members[rank].pid, h->meeting->members[rank].host, hello->pid, hello->host);
    }
    if (hello->program != own->program) {
        return err_set(
            ERR_USAGE,
            "rank %d (process %d on %.63s) is another build of strop than rank 0; start the same program on all "
            "ranks",
            rank, hello->pid, hello->host);
    }
    if (hello->recipe != own->recipe) {
        return err_set(ERR_USAGE,
                       "rank %d (process %d on %.63s) has another recipe than rank 0; start all ranks with the same "
                       "recipe and keys",
                       rank, hello->pid, hello->host);
    }
    return ERR_NONE;
}

/* A guest has said who it is. Strangers and ranks of other jobs go. */
static enum err admit(struct host *h, int guest)
{
    static const uint64_t none[2];
    struct hello hello = h->door.guests[guest].says.hello;
    int fd = h->door.guests[guest].fd;
    hello.host[sizeof hello.host - 1] = hello.job[sizeof hello.job - 1] = '\0';
    if (memcmp(hello.magic, magic_hello, sizeof hello.magic) != 0) {
        door_drop(&h->door, guest, false);
        return ERR_NONE;
    }
    if (strcmp(hello.job, h->own.job) != 0) {
        answer_with(fd, ERR_USAGE,
                    "another run waits for its ranks on this port; set STROP_PORT to a free one on all ranks", none);
        door_drop(&h->door, guest, false);
        return ERR_NONE;
    }
    enum err result = check_hello(h, &hello);
    if (result != ERR_NONE) {
        char text[1024];
        snprintf(text, sizeof text, "%s", err_text());
        answer_with(fd, result, text, none);
        door_drop(&h->door, guest, false);
        h->n_refused++;
        return err_set(result, "%s", text);
    }
    door_drop(&h->door, guest, true);
    struct seat *seat = &h->seats[hello.rank];
    h->meeting->control[hello.rank] = fd;
    h->n_here++;
    TRY(net_peer(&seat->address, fd));
    net_set_port(&seat->address, hello.port);
    seat->member.pid = hello.pid;
    snprintf(seat->member.host, sizeof seat->member.host, "%s", hello.host);
    h->meeting->members[hello.rank] = seat->member;
    return ERR_NONE;
}

/* A rank that has come may have ended since. */
static enum err check_here(const struct host *h)
{
    for (int r = 1; r < h->ranks->n_ranks; r++) {
        char byte;
        int fd = h->meeting->control[r];
        ssize_t n = fd >= 0 ? recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) : 1;
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
            return err_set(ERR_PEER, "rank %d (process %d on %s) has ended before all ranks had come", r,
                           h->meeting->members[r].pid, h->meeting->members[r].host);
        }
    }
    return ERR_NONE;
}

static enum err report_missing(const struct host *h)
{
    struct strbuf missing = STRBUF_INIT;
    for (int r = 1, n = 0; r < h->ranks->n_ranks; r++) {
        if (h->meeting->control[r] < 0 && n++ < 16) {
            strbuf_printf(&missing, "%s%d", n > 1 ? ", " : "", r);
        }
    }
    enum err result = err_set(ERR_IO, "of %d ranks that %s has started, these have not come to port %d in time: %s",
                              h->ranks->n_ranks, h->ranks->launcher, h->ranks->port, missing.data);
    strbuf_release(&missing);
    return result;
}

static enum err gather_ranks(struct host *h)
{
    while (h->n_here < h->ranks->n_ranks) {
        if (h->door.stop && h->door.stop()) {
            return err_set(ERR_STOPPED, "stopped while it waited for the other ranks");
        }
        if (clock_seconds() > h->until) {
            return report_missing(h);
        }
        int guest = door_wait(&h->door);
        TRY(guest >= 0 ? admit(h, guest) : check_here(h));
    }
    return ERR_NONE;
}

static enum err seat_all(struct host *h, const uint64_t key[2])
{
    size_t bytes = (size_t)h->ranks->n_ranks * sizeof *h->seats;
    for (int r = 1; r < h->ranks->n_ranks; r++) {
        answer_with(h->meeting->control[r], ERR_NONE, "", key);
        enum err result = net_write(h->meeting->control[r], h->seats, bytes, h->until + LATE_SECONDS, h->door.stop);
        if (result != ERR_NONE) {
            return err_wrap(result, "rank %d", r);
        }
    }
    return ERR_NONE;
}

static enum err meet_as_first(struct meeting *m, const struct ranks *ranks, const struct hello *own, int listener,
                              double until, bool (*stop)(void), uint64_t key[2])
{
    struct host h = {.ranks = ranks, .meeting = m, .own = *own, .until = until, .n_here = 1};
    h.seats = mem_zero((size_t)ranks->n_ranks * sizeof *h.seats);
    h.seats[0].member = m->members[0];
    door_open(&h.door, listener, sizeof(struct hello), ranks->n_ranks, stop);
    enum err result = gather_ranks(&h);
    if (result == ERR_NONE && getrandom(key, 16, 0) != 16) {
        result = err_set(ERR_IO, "the system gives no random numbers: %s", strerror(errno));
    }
    result = result == ERR_NONE ? seat_all(&h, key) : result;
    result = result == ERR_NONE ? result : refuse_all(&h, result);
    door_close(&h.door);
    free(h.seats);
    return result;
}

/* ---- the others ---- */

/* Calls rank 0 until it is there. */
static enum err call_first(int *fd, const struct ranks *ranks, const struct net_address *first, double until,
                           bool (*stop)(void))
{
    while ((*fd = net_connect(first, until, stop)) < 0) {
        int reason = errno;
        if (stop && stop()) {
            return err_set(ERR_STOPPED, "stopped while it waited for rank 0");
        }
        if (clock_seconds() > until) {
            return err_set(
                ERR_IO,
                "rank %d of %d cannot reach rank 0 on %s, port %d: %s; has it been started, and is MASTER_ADDR "
                "its machine?",
                ranks->rank, ranks->n_ranks, ranks->address, ranks->port, strerror(reason));
        }
        poll(NULL, 0, LOOK_MS);
    }
    return ERR_NONE;
}

static enum err read_answer(struct meeting *m, struct seat *seats, double until, bool (*stop)(void), uint64_t key[2])
{
    struct answer answer;
    enum err result = net_read(m->control[0], &answer, sizeof answer, until, stop);
    if (result == ERR_IO) {
        return err_wrap(ERR_PEER, "rank 0 has left the rendezvous");
    }
    TRY(result);
    answer.text[sizeof answer.text - 1] = '\0';
    if (memcmp(answer.magic, magic_answer, sizeof answer.magic) != 0) {
        return err_set(ERR_IO,
                       "what listens in the place of rank 0 is not strop; set STROP_PORT to a free port on all ranks");
    }
    if (answer.code != ERR_NONE) {
        return err_set(answer.code > 0 && answer.code <= ERR_PEER ? (enum err)answer.code : ERR_STATE, "%s",
                       answer.text);
    }
    memcpy(key, answer.key, sizeof answer.key);
    return net_read(m->control[0], seats, (size_t)m->n_ranks * sizeof *seats, until, stop);
}

/* Calls a rank below this one. One that rank 0 sees on its own machine is on the machine where rank 0 is. */
static enum err call_rank(struct meeting *m, const struct ranks *ranks, int rank, const struct seat *seats,
                          const struct net_address *first, double until, bool (*stop)(void), const uint64_t key[2])
{
    struct net_address to = rank == 0 ? *first : seats[rank].address;
    struct data_hello hello = {.rank = ranks->rank};
    memcpy(hello.magic, magic_data, sizeof hello.magic);
    memcpy(hello.key, key, sizeof hello.key);
    if (rank != 0 && net_is_loopback(&to)) {
        int port = net_port(&to);
        to = *first;
        net_set_port(&to, port);
    }
    m->data[rank] = net_connect(&to, until, stop);
    if (m->data[rank] < 0 && stop && stop()) {
        return err_set(ERR_STOPPED, "stopped while it waited for rank %d", rank);
    }
    if (m->data[rank] < 0) {
        return err_set(ERR_IO, "rank %d cannot reach rank %d (%s), port %d: %s", ranks->rank, rank,
                       seats[rank].member.host, net_port(&to), strerror(errno));
    }
    return net_write(m->data[rank], &hello, sizeof hello, until, stop);
}

/* Takes the calls of the ranks above this one. */
static enum err take_calls(struct meeting *m, const struct ranks *ranks, int listener, double until, bool (*stop)(void),
                           const uint64_t key[2])
{
    struct door door;
    int left = ranks->n_ranks - 1 - ranks->rank;
    enum err result = ERR_NONE;
    door_open(&door, listener, sizeof(struct data_hello), ranks->n_ranks, stop);
    while (left > 0 && result == ERR_NONE) {
        int guest = door_wait(&door);
        struct data_hello hello = guest >= 0 ? door.guests[guest].says.data : (struct data_hello){0};
        bool good = guest >= 0 && memcmp(hello.magic, magic_data, sizeof hello.magic) == 0 &&
                    memcmp(hello.key, key, sizeof hello.key) == 0 && hello.rank > ranks->rank &&
                    hello.rank < ranks->n_ranks && m->data[hello.rank] < 0;
        if (good) {
            m->data[hello.rank] = door.guests[guest].fd;
            left--;
        }
        if (guest >= 0) {
            door_drop(&door, guest, good);
        } else if (stop && stop()) {
            result = err_set(ERR_STOPPED, "stopped while it waited for the other ranks");
        } else if (clock_seconds() > until) {
            result = err_set(ERR_IO, "rank %d waits in vain for the connections of %d ranks", ranks->rank, left);
        }
    }
    door_close(&door);
    return result;
}

static enum err meet_as_other(struct meeting *m, const struct ranks *ranks, struct hello *own,
                              const struct net_address *first, double until, bool (*stop)(void))
{
    int listener = -1;
    uint64_t key[2];
    struct net_address at;
    struct seat *seats = mem_zero((size_t)ranks->n_ranks * sizeof *seats);
    enum err result = call_first(&m->control[0], ranks, first, until, stop);
    result = result == ERR_NONE ? net_listen(&listener, first, 0) : result;
    result = result == ERR_NONE ? net_local(&at, listener) : result;
    if (result == ERR_NONE) {
        own->port = net_port(&at);
        result = net_write(m->control[0], own, sizeof *own, until, stop);
    }
    result = result == ERR_NONE ? read_answer(m, seats, until + LATE_SECONDS, stop, key) : result;
    for (int r = 0; result == ERR_NONE && r < ranks->n_ranks; r++) {
        m->members[r] = seats[r].member;
        m->members[r].host[sizeof m->members[r].host - 1] = '\0';
        result = r < ranks->rank ? call_rank(m, ranks, r, seats, first, until + LATE_SECONDS, stop, key) : ERR_NONE;
    }
    result = result == ERR_NONE ? take_calls(m, ranks, listener, until + LATE_SECONDS, stop, key) : result;
    if (listener >= 0) {
        close(listener);
    }
    free(seats);
    return result;
}

/* ---- both ---- */

static double seconds_given(void)
{
    double seconds;
    const char *text = getenv("STROP_MEET_SECONDS");
    return text && str_to_double(str_of(text), &seconds) && seconds > 0 && seconds < 1e6 ? seconds : MEET_SECONDS;
}

/* A name may be known only once the machine of rank 0 is up (Kubernetes). */
static enum err find_first(struct net_address *first, const struct ranks *ranks, double until, bool (*stop)(void))
{
    enum err result;
    while ((result = net_resolve(first, ranks->address, ranks->port)) != ERR_NONE && clock_seconds() < until) {
        if (stop && stop()) {
            return err_set(ERR_STOPPED, "stopped while it waited for the machine of rank 0");
        }
        poll(NULL, 0, 10 * LOOK_MS);
    }
    return result;
}

enum err meet(struct meeting *out, const struct ranks *ranks, const struct meet_card *card, bool (*stop)(void))
{
    int n = ranks->n_ranks, listener = ranks->listener;
    double until = clock_seconds() + seconds_given();
    uint64_t key[2];
    struct net_address first;
    struct hello own = {
        .rank = ranks->rank, .n_ranks = n, .pid = getpid(), .recipe = card->recipe, .program = card->program};
    memcpy(own.magic, magic_hello, sizeof own.magic);
    snprintf(own.job, sizeof own.job, "%s", ranks->job);
    gethostname(own.host, sizeof own.host - 1);
    *out = (struct meeting){.n_ranks = n,
                            .control = mem_alloc((size_t)n * sizeof(int)),
                            .data = mem_alloc((size_t)n * sizeof(int)),
                            .members = mem_zero((size_t)n * sizeof(struct member))};
    for (int r = 0; r < n; r++) {
        out->control[r] = out->data[r] = -1;
    }
    out->members[ranks->rank].pid = own.pid;
    memcpy(out->members[ranks->rank].host, own.host, sizeof own.host);
    enum err result = find_first(&first, ranks, until, stop);
    if (result == ERR_NONE && ranks->rank > 0) {
        result = meet_as_other(out, ranks, &own, &first, until, stop);
    } else if (result == ERR_NONE) {
        result = listener >= 0 ? ERR_NONE : net_listen(&listener, &first, ranks->port);
        result = result == ERR_NONE ? meet_as_first(out, ranks, &own, listener, until, stop, key) : result;
        result = result == ERR_NONE ? take_calls(out, ranks, listener, until + LATE_SECONDS, stop, key) : result;
    }
    if (ranks->rank == 0 && listener >= 0) {
        close(listener);
    }
    if (result != ERR_NONE) {
        meeting_release(out);
    }
    return result;
}

void meeting_release(struct meeting *m)
{
    for (int r = 0; m->control && r < m->n_ranks; r++) {
        if (m->control[r] >= 0) {
            close(m->control[r]);
        }
        if (m->data[r] >= 0) {
            close(m->data[r]);
        }
    }
    free(m->control);
    free(m->data);
    free(m->members);
    *m = (struct meeting){0};
}

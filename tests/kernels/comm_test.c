/* tests/kernels/comm_test.c - ranks are forked processes, connected by UNIX sockets.
 *
 * A rank checks what it got and ends with 0; the test waits for all of them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/comm.h"

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/kernels/fixture.h"

#define MAX_RANKS 8

/* In a rank, which has no test to fail: ends it with a code that is not 0. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "rank %d, line %d: %s (%s)\n", comm->rank, __LINE__, #condition, err_text());              \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

typedef void rank_work(struct comm *comm);

static int pairs[MAX_RANKS][MAX_RANKS]; /* [a][b]: a's end of its connection with b */

static void connect_all(int n_ranks)
{
    for (int a = 0; a < n_ranks; a++) {
        for (int b = 0; b < a; b++) {
            int ends[2];
            assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
            pairs[a][b] = ends[0];
            pairs[b][a] = ends[1];
        }
    }
}

/* Closes what is not rank `mine`'s; -1: all. */
static void close_others(int n_ranks, int mine)
{
    for (int a = 0; a < n_ranks; a++) {
        for (int b = 0; b < n_ranks; b++) {
            if (a != b && a != mine) {
                close(pairs[a][b]);
            }
        }
    }
}

static int run_rank(int rank, int n_ranks, rank_work *work)
{
    struct comm *comm = NULL;
    close_others(n_ranks, rank);
    if (comm_open_sockets(&comm, rank, n_ranks, pairs[rank]) != ERR_NONE) {
        return 2;
    }
    work(comm);
    comm_close(comm);
    return 0;
}

/* Runs it on n ranks; the number of those that end otherwise than with 0. */
static int run_ranks(int n_ranks, rank_work *work)
{
    pid_t pids[MAX_RANKS];
    int n_bad = 0;
    connect_all(n_ranks);
    for (int rank = 0; rank < n_ranks; rank++) {
        pids[rank] = fork();
        if (pids[rank] == 0) {
            _exit(run_rank(rank, n_ranks, work));
        }
    }
    close_others(n_ranks, -1);
    for (int rank = 0; rank < n_ranks; rank++) {
        int status = 0;
        assert_int_equal(waitpid(pids[rank], &status, 0), pids[rank]);
        n_bad += status != 0;
    }
    return n_bad;
}

/* ---- moves ---- */

/* What rank `from` sends to rank `to` at place i: no two are alike. */
static uint32_t number(int from, int to, size_t i)
{
    return (uint32_t)(from * 1000003 + to * 10007) + (uint32_t)i * 2654435761u;
}

/* More than a socket holds, so that both directions must move at once; and nothing at all. */
static const size_t sizes[] = {0, 1, 300000};

static void gather(struct comm *comm)
{
    for (size_t s = 0; s < 3; s++) {
        size_t n = sizes[s];
        uint32_t *own = mem_alloc((n + 1) * sizeof *own),
                 *all = mem_alloc(((size_t)comm->n_ranks * n + 1) * sizeof *all);
        for (size_t i = 0; i < n; i++) {
            own[i] = number(comm->rank, 0, i);
        }
        CHECK(comm_all_gather(comm, own, all, n * sizeof *own) == ERR_NONE);
        for (int r = 0; r < comm->n_ranks; r++) {
            for (size_t i = 0; i < n; i++) {
                CHECK(all[(size_t)r * n + i] == number(r, 0, i));
            }
        }
        free(own);
        free(all);
    }
}

static void exchange(struct comm *comm)
{
    for (size_t s = 0; s < 3; s++) {
        size_t n = sizes[s], ranks = (size_t)comm->n_ranks;
        uint32_t *from = mem_alloc((ranks * n + 1) * sizeof *from), *to = mem_alloc((ranks * n + 1) * sizeof *to);
        for (size_t i = 0; i < ranks * n; i++) {
            from[i] = number(comm->rank, (int)(i / n), i % n);
        }
        CHECK(comm_all_to_all(comm, from, to, n * sizeof *to) == ERR_NONE);
        for (size_t i = 0; i < ranks * n; i++) {
            CHECK(to[i] == number((int)(i / n), comm->rank, i % n));
        }
        free(from);
        free(to);
    }
}

/* From each rank in turn, then a ring of single sends; at the end nobody is in front of a barrier any more. */
static void broadcast_and_send(struct comm *comm)
{
    for (int root = 0; root < comm->n_ranks; root++) {
        uint32_t value[3] = {comm->rank == root ? number(root, 0, 0) : 0, 0, 0};
        CHECK(comm_broadcast(comm, value, sizeof value, root) == ERR_NONE);
        CHECK(value[0] == number(root, 0, 0));
    }
    for (int from = 0; from < comm->n_ranks; from++) {
        int to = (from + 1) % comm->n_ranks;
        uint32_t value = number(from, to, 7);
        if (comm->rank == from && to != from) {
            CHECK(comm_send(comm, &value, sizeof value, to) == ERR_NONE);
        } else if (comm->rank == to && to != from) {
            value = 0;
            CHECK(comm_recv(comm, &value, sizeof value, from) == ERR_NONE && value == number(from, to, 7));
        }
    }
    CHECK(comm_barrier(comm) == ERR_NONE);
}

static void bytes_come_where_they_belong(void **state)
{
    (void)state;
    for (int n = 1; n <= MAX_RANKS; n += n == 3 ? 5 : 1) { /* 1, 2, 3 and 8 */
        assert_int_equal(run_ranks(n, gather), 0);
        assert_int_equal(run_ranks(n, exchange), 0);
        assert_int_equal(run_ranks(n, broadcast_and_send), 0);
    }
}

/* ---- the sum ---- */

#define SUM_LEAVES  8
#define SUM_NUMBERS ((size_t)(1 << 20) + 5) /* more than are summed at once, and no multiple of the ranks */

static float *leaf(int i)
{
    float *x = mem_alloc(SUM_NUMBERS * sizeof *x);
    for (size_t k = 0; k < SUM_NUMBERS; k++) {
        x[k] = (float)number(i, 1, k) * 0x1p-32f - 0.5f;
    }
    return x;
}

/* The tree written out: leaves first .. first + n - 1. */
static float *tree(int first, int n)
{
    if (n == 1) {
        return leaf(first);
    }
    float *left = tree(first, n / 2), *right = tree(first + n / 2, n / 2);
    for (size_t i = 0; i < SUM_NUMBERS; i++) {
        left[i] = left[i] + right[i];
    }
    free(right);
    return left;
}

static float *whole; /* the tree of all leaves, made before the ranks are forked */

/* A rank has added its own leaves; on any number of ranks the sum has the bits of the whole tree. */
static void sum(struct comm *comm)
{
    int own = SUM_LEAVES / comm->n_ranks;
    float *got = tree(comm->rank * own, own);
    CHECK(comm_sum(comm, got, SUM_NUMBERS) == ERR_NONE);
    CHECK(memcmp(got, whole, SUM_NUMBERS * sizeof *got) == 0);
    free(got);
}

static void sums_have_the_bits_of_one_tree(void **state)
{
    (void)state;
    whole = tree(0, SUM_LEAVES);
    for (int n = 1; n <= SUM_LEAVES; n *= 2) {
        assert_int_equal(run_ranks(n, sum), 0);
    }
    free(whole);
}

/* The same leaves added one after the other have other bits: the test above can fail. */
static void another_order_has_other_bits(void **state)
{
    (void)state;
    float *want = tree(0, SUM_LEAVES), *chain = leaf(0);
    for (int l = 1; l < SUM_LEAVES; l++) {
        float *more = leaf(l);
        for (size_t i = 0; i < SUM_NUMBERS; i++) {
            chain[i] += more[i];
        }
        free(more);
    }
    assert_memory_not_equal(want, chain, SUM_NUMBERS * sizeof *want);
    free(want);
    free(chain);
}

/* ---- failures ---- */

/* Rank 1 ends; the others hear of it at once, and by its number. */
static void one_ends(struct comm *comm)
{
    char bytes[MAX_RANKS];
    if (comm->rank == 1) {
        comm_close(comm);
        _exit(0);
    }
    double start = clock_seconds();
    CHECK(comm_all_gather(comm, "x", bytes, 1) == ERR_PEER || comm_barrier(comm) == ERR_PEER);
    CHECK(strstr(err_text(), "rank ") && clock_seconds() - start < 5);
}

static void a_rank_that_ends_is_named(void **state)
{
    (void)state;
    assert_int_equal(run_ranks(2, one_ends), 0);
    assert_int_equal(run_ranks(4, one_ends), 0);
}

/* Rank 1 is stopped before it has sent anything. */
static void one_is_silent(struct comm *comm)
{
    char bytes[MAX_RANKS];
    comm->patience = 0.4;
    if (comm->rank == 1) {
        usleep(1500000);
        comm_close(comm);
        _exit(0);
    }
    CHECK(comm_all_gather(comm, "x", bytes, 1) == ERR_PEER);
    CHECK(strstr(err_text(), "rank 1 is lost") && strstr(err_text(), "not a byte"));
    /* what the connections hold is not known any more */
    CHECK(comm_barrier(comm) == ERR_PEER && strstr(err_text(), "an earlier exchange"));
}

static void a_silent_rank_is_given_up(void **state)
{
    (void)state;
    assert_int_equal(run_ranks(2, one_is_silent), 0);
}

static void *abort_soon(void *context)
{
    usleep(100000);
    comm_abort(context, ERR_STATE, "rank 1 said so");
    comm_abort(context, ERR_PEER, "this comes too late");
    return NULL;
}

/* Rank 0 waits for what never comes; a thread of its own ends that. */
static void aborted(struct comm *comm)
{
    char byte;
    pthread_t thread;
    if (comm->rank == 1) {
        CHECK(comm_recv(comm, &byte, 1, 0) == ERR_PEER); /* rank 0 ends without having sent anything */
        return;
    }
    double start = clock_seconds();
    CHECK(pthread_create(&thread, NULL, abort_soon, comm) == 0);
    CHECK(comm_recv(comm, &byte, 1, 1) == ERR_STATE && strcmp(err_text(), "rank 1 said so") == 0);
    pthread_join(thread, NULL);
    CHECK(clock_seconds() - start < 5);
    CHECK(comm_barrier(comm) == ERR_STATE &&
          strcmp(err_text(), "rank 1 said so") == 0); /* and so does all that follows */
}

static void an_abort_ends_a_call_that_waits(void **state)
{
    (void)state;
    assert_int_equal(run_ranks(2, aborted), 0);
}

/* A connection that ends while another thread is about to say why: its sentence is taken. */
static void says_why(struct comm *comm)
{
    char byte;
    pthread_t thread;
    if (comm->rank == 1) {
        return;
    }
    comm->verdict_seconds = 5;
    CHECK(pthread_create(&thread, NULL, abort_soon, comm) == 0);
    CHECK(comm_recv(comm, &byte, 1, 1) == ERR_STATE && strcmp(err_text(), "rank 1 said so") == 0);
    pthread_join(thread, NULL);
}

static void the_reason_is_waited_for(void **state)
{
    (void)state;
    assert_int_equal(run_ranks(2, says_why), 0);
}

static bool yes(void)
{
    return true;
}

static void stopped(struct comm *comm)
{
    char byte;
    comm->stop = yes;
    if (comm->rank == 0) {
        CHECK(comm_recv(comm, &byte, 1, 1) == ERR_STOPPED);
    } else {
        usleep(300000);
    }
}

static void a_wait_can_be_stopped(void **state)
{
    (void)state;
    assert_int_equal(run_ranks(2, stopped), 0);
}

/* Neither reads the other's numbers as its own. */
static void come_apart(struct comm *comm)
{
    int32_t value = 0, all[MAX_RANKS];
    if (comm->rank == 0) {
        CHECK(comm_all_gather(comm, &value, all, sizeof value) == ERR_STATE);
        CHECK(strstr(err_text(), "rank 1 is in barrier of 0 bytes, this one in all_gather of 4 bytes"));
    } else {
        CHECK(comm_barrier(comm) == ERR_STATE);
        CHECK(strstr(err_text(), "rank 0 is in all_gather of 4 bytes"));
    }
    usleep(300000); /* the other reads what is still on the way */
}

static void other_sizes(struct comm *comm)
{
    char own[8] = {0}, all[MAX_RANKS * 8];
    CHECK(comm_all_gather(comm, own, all, comm->rank == 0 ? 8 : 4) == ERR_STATE);
    usleep(300000);
}

static void ranks_that_make_other_calls_are_found_out(void **state)
{
    (void)state;
    assert_int_equal(run_ranks(2, come_apart), 0);
    assert_int_equal(run_ranks(2, other_sizes), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_where_they_belong),
        cmocka_unit_test(sums_have_the_bits_of_one_tree),
        cmocka_unit_test(another_order_has_other_bits),
        cmocka_unit_test(a_rank_that_ends_is_named),
        cmocka_unit_test(a_silent_rank_is_given_up),
        cmocka_unit_test(an_abort_ends_a_call_that_waits),
        cmocka_unit_test(the_reason_is_waited_for),
        cmocka_unit_test(a_wait_can_be_stopped),
        cmocka_unit_test(ranks_that_make_other_calls_are_found_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

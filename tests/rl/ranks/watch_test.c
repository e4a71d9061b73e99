/* tests/rl/ranks/watch_test.c - what ranks hear of each other's ends, and how soon. Ranks are forked processes that wait in a
 * call, or compute and make none.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/ranks/watch.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "rl/ranks/net.h"

#define RANKS 4

static int listener, port;

/* A rank that has met the others. */
struct self {
    int rank;
    struct comm *comm;
    struct watch *watch;
};

typedef int rank_work(struct self *self); /* the exit code */

static int be_rank(int rank, rank_work *work)
{
    struct ranks ranks = {.rank = rank, .n_ranks = RANKS, .port = port, .listener = rank == 0 ? listener : -1};
    struct meet_card card = {1, 2};
    struct meeting meeting;
    struct self self = {.rank = rank};
    snprintf(ranks.address, sizeof ranks.address, "127.0.0.1");
    if (meet(&meeting, &ranks, &card, NULL) != ERR_NONE ||
        comm_open_sockets(&self.comm, rank, RANKS, meeting.data) != ERR_NONE) {
        return 100;
    }
    for (int r = 0; r < RANKS; r++) {
        meeting.data[r] = -1;
    }
    if (watch_open(&self.watch, self.comm, rank, &meeting) != ERR_NONE) {
        return 101;
    }
    meeting_release(&meeting);
    int code = work(&self);
    watch_close(self.watch);
    comm_close(self.comm);
    return code;
}

static pid_t pids[RANKS];
static double ended[RANKS]; /* when each did */

static void start(rank_work *work)
{
    struct net_address at;
    assert_int_equal(net_resolve(&at, "127.0.0.1", 0), ERR_NONE);
    assert_int_equal(net_listen(&listener, &at, 0), ERR_NONE);
    assert_int_equal(net_local(&at, listener), ERR_NONE);
    port = net_port(&at);
    for (int rank = 0; rank < RANKS; rank++) {
        pids[rank] = fork();
        if (pids[rank] == 0) {
            _exit(be_rank(rank, work));
        }
    }
    close(listener);
}

static int code_of(int rank)
{
    int status = 0;
    assert_int_equal(waitpid(pids[rank], &status, 0), pids[rank]);
    ended[rank] = clock_seconds();
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- in order ---- */

static int leave(struct self *s)
{
    double start = clock_seconds();
    if (comm_barrier(s->comm) != ERR_NONE) {
        return 1;
    }
    if (s->rank == 0) {
        usleep(1500000); /* it saves */
    }
    if (watch_leave(s->watch) != ERR_NONE) {
        return 2;
    }
    return clock_seconds() - start < 1.4 ? 3 : 0; /* nobody leaves before rank 0 has finished */
}

static void all_wait_for_rank_0(void **state)
{
    (void)state;
    start(leave);
    for (int rank = 0; rank < RANKS; rank++) {
        assert_int_equal(code_of(rank), 0);
    }
}

/* ---- a loss ---- */

/* Rank 1 never comes to the call; 75 if the loss of rank `lost` is what the others hear. */
static int wait_and_hear(struct self *s, int lost)
{
    char name[32];
    snprintf(name, sizeof name, "rank %d (process ", lost);
    while (s->rank == lost) {
        pause();
    }
    if (comm_barrier(s->comm) != ERR_PEER || !strstr(err_text(), name)) {
        fprintf(stderr, "rank %d heard: %s\n", s->rank, err_text());
        return 1;
    }
    watch_fail(s->watch, ERR_PEER, 0);
    return watch_leave(s->watch) == ERR_PEER && strstr(err_text(), name) ? WATCH_EXIT : 2;
}

static int hear_of_1(struct self *s)
{
    return wait_and_hear(s, 1);
}

static int hear_of_0(struct self *s)
{
    return wait_and_hear(s, 0);
}

static void assert_heard(rank_work *work, int victim, int signal, double seconds)
{
    start(work);
    usleep(700000);
    double fault = clock_seconds();
    kill(pids[victim], signal);
    for (int rank = 0; rank < RANKS; rank++) {
        if (rank != victim) {
            assert_int_equal(code_of(rank), WATCH_EXIT);
            assert_true(ended[rank] - fault < seconds);
        }
    }
    kill(pids[victim], SIGKILL);
    code_of(victim);
}

static void a_killed_rank_is_heard_of_at_once(void **state)
{
    (void)state;
    assert_heard(hear_of_1, 1, SIGKILL, 3);
    assert_heard(hear_of_0, 0, SIGKILL, 3);
}

static void a_stopped_rank_is_heard_of_by_its_silence(void **state)
{
    (void)state;
    assert_heard(hear_of_0, 0, SIGSTOP, 8);
}

/* Makes no call for a minute. */
static int compute(struct self *s)
{
    (void)s;
    for (double until = clock_seconds() + 60; clock_seconds() < until;) {
        usleep(100000);
    }
    return 0;
}

static void a_rank_that_computes_is_ended(void **state)
{
    (void)state;
    assert_heard(compute, 2, SIGSTOP, 10);
}

/* Rank 0 saves for longer than a rank may compute, then comes to the call. */
static int save_for_long(struct self *s)
{
    while (s->rank == 1) {
        pause();
    }
    if (s->rank == 0) {
        watch_saving(s->watch, true);
        usleep((useconds_t)((WATCH_END + 2.5) * 1e6));
        watch_saving(s->watch, false);
    }
    return comm_barrier(s->comm) == ERR_PEER ? 7 : 1;
}

static void a_rank_that_saves_is_not_ended(void **state)
{
    (void)state;
    start(save_for_long);
    usleep(700000);
    kill(pids[1], SIGKILL);
    assert_int_equal(code_of(0), 7);
    for (int rank = 1; rank < RANKS; rank++) {
        assert_int_equal(code_of(rank), rank == 1 ? -SIGKILL : 7);
    }
}

/* ---- a failure ---- */

static int fail_as_2(struct self *s)
{
    int signal = 0;
    if (s->rank == 2) {
        err_set(ERR_STATE, "a reward has died");
        watch_fail(s->watch, ERR_STATE, SIGTERM);
        return watch_leave(s->watch) == ERR_STATE ? 7 : 1;
    }
    if (comm_barrier(s->comm) != ERR_STATE || !strstr(err_text(), "rank 2 (process ") ||
        !strstr(err_text(), ": a reward has died")) {
        return 2;
    }
    watch_fail(s->watch, ERR_STATE, 0);
    if (watch_verdict(s->watch, &signal) != ERR_STATE || signal != SIGTERM) {
        return 3;
    }
    watch_leave(s->watch);
    return 7;
}

static void a_failure_is_heard_with_its_words(void **state)
{
    (void)state;
    start(fail_as_2);
    for (int rank = 0; rank < RANKS; rank++) {
        assert_int_equal(code_of(rank), 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_wait_for_rank_0),
        cmocka_unit_test(a_killed_rank_is_heard_of_at_once),
        cmocka_unit_test(a_stopped_rank_is_heard_of_by_its_silence),
        cmocka_unit_test(a_rank_that_computes_is_ended),
        cmocka_unit_test(a_rank_that_saves_is_not_ended),
        cmocka_unit_test(a_failure_is_heard_with_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

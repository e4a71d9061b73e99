/* tests/rl/ranks/meet_test.c - who comes to the rendezvous besides the ranks: strangers, ranks of other jobs, those that say
 * nothing. None of them disturbs it. Ranks are forked processes; the listener is the parent's.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/ranks/meet.h"

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
#include "kernels/rng.h"
#include "rl/ranks/net.h"

#define MAX_RANKS 4

static int listener, port;
static struct net_address address;

static void listen_here(void)
{
    assert_int_equal(net_resolve(&address, "127.0.0.1", 0), ERR_NONE);
    assert_int_equal(net_listen(&listener, &address, 0), ERR_NONE);
    assert_int_equal(net_local(&address, listener), ERR_NONE);
    port = net_port(&address);
}

/* One rank: 0 if it has met the others and can talk with each of them. */
static int be_rank(int rank, int n, const char *job, uint64_t recipe, uint64_t program)
{
    struct ranks ranks = {
        .rank = rank, .n_ranks = n, .launcher = "test", .port = port, .listener = rank == 0 ? listener : -1};
    struct meet_card card = {recipe, program};
    struct meeting meeting;
    double until = clock_seconds() + 10;
    snprintf(ranks.address, sizeof ranks.address, "127.0.0.1");
    snprintf(ranks.job, sizeof ranks.job, "%s", job);
    enum err result = meet(&meeting, &ranks, &card, NULL);
    if (result != ERR_NONE) {
        fprintf(stderr, "rank %d: %s\n", rank, err_text());
        return 10 + (int)result;
    }
    for (int other = 0; other < n; other++) {
        char said = (char)rank, heard = -1;
        if (other != rank && (net_write(meeting.data[other], &said, 1, until, NULL) != ERR_NONE ||
                              net_read(meeting.data[other], &heard, 1, until, NULL) != ERR_NONE || heard != other)) {
            return 1;
        }
    }
    bool named = meeting.members[0].pid > 0 && meeting.members[n - 1].host[0];
    meeting_release(&meeting);
    return named ? 0 : 2;
}

static pid_t start_rank(int rank, int n, const char *job, uint64_t recipe, uint64_t program)
{
    pid_t pid = fork();
    if (pid == 0) {
        _exit(be_rank(rank, n, job, recipe, program));
    }
    return pid;
}

static int code_of(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* A connection that says n random bytes, or `text`, and stays open. */
static int stranger(const char *text, size_t n, uint64_t stream)
{
    char bytes[512];
    struct rng rng = rng_stream(3, stream);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = text ? text[i] : (char)rng_below(&rng, 256);
    }
    int fd = net_connect(&address, clock_seconds() + 5, NULL);
    assert_true(fd >= 0);
    assert_int_equal(net_write(fd, bytes, n, clock_seconds() + 5, NULL), ERR_NONE);
    return fd;
}

static void strangers_do_not_disturb(void **state)
{
    (void)state;
    static const char http[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    pid_t pids[MAX_RANKS];
    int fds[24], n = 0;
    listen_here();
    pids[0] = start_rank(0, MAX_RANKS, "job", 1, 2);
    for (size_t bytes = 0; bytes <= 480; bytes += 60) { /* short of what a rank says, as much, and more */
        fds[n++] = stranger(NULL, bytes, bytes);
    }
    fds[n++] = stranger(http, sizeof http - 1, 0);
    fds[n++] = stranger("strop-h1", 8, 0);
    fds[n++] = stranger("strop-d1", 8, 0);
    close(stranger(http, sizeof http - 1, 0));
    for (int rank = 1; rank < MAX_RANKS; rank++) {
        pids[rank] = start_rank(rank, MAX_RANKS, "job", 1, 2);
    }
    for (int rank = 0; rank < MAX_RANKS; rank++) {
        assert_int_equal(code_of(pids[rank]), 0);
    }
    while (n > 0) {
        close(fds[--n]);
    }
    close(listener);
}

/* It is sent away with a sentence, and this job's ranks meet. */
static void a_rank_of_another_job_is_sent_away(void **state)
{
    (void)state;
    listen_here();
    pid_t first = start_rank(0, 2, "job", 1, 2), other = start_rank(1, 2, "other job", 1, 2);
    assert_int_equal(code_of(other), 10 + ERR_USAGE);
    pid_t second = start_rank(1, 2, "job", 1, 2);
    assert_int_equal(code_of(second), 0);
    assert_int_equal(code_of(first), 0);
    close(listener);
}

static void assert_refused(uint64_t recipe, uint64_t program, int n, int rank)
{
    listen_here();
    pid_t first = start_rank(0, 3, "job", 1, 2), good = start_rank(1, 3, "job", 1, 2),
          bad = start_rank(rank, n, "job", recipe, program);
    assert_int_equal(code_of(bad), 10 + ERR_USAGE);
    assert_int_equal(code_of(first), 10 + ERR_USAGE);
    assert_int_equal(code_of(good), 10 + ERR_USAGE); /* whether it came before or after */
    close(listener);
}

static void who_does_not_belong_ends_it_for_all(void **state)
{
    (void)state;
    assert_refused(7, 2, 3, 2); /* another recipe */
    assert_refused(1, 7, 3, 2); /* another program */
    assert_refused(1, 2, 4, 2); /* takes the ranks for four */
}

static void a_rank_that_dies_ends_it(void **state)
{
    (void)state;
    listen_here();
    pid_t first = start_rank(0, 3, "job", 1, 2), second = start_rank(1, 3, "job", 1, 2);
    usleep(500000);
    kill(second, SIGKILL);
    assert_int_equal(code_of(second), -SIGKILL);
    assert_int_equal(code_of(first), 10 + ERR_PEER);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strangers_do_not_disturb),
        cmocka_unit_test(a_rank_of_another_job_is_sent_away),
        cmocka_unit_test(who_does_not_belong_ends_it_for_all),
        cmocka_unit_test(a_rank_that_dies_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/rl/ranks_fixture.h - runs of several ranks, each a process of its own with a log of its own.
 *
 * The parent starts no threads and opens no device, so that a fork of it can; the model is made in a child.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_RL_RANKS_FIXTURE_H
#define TESTS_RL_RANKS_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "rl/dist.h"
#include "rl/ranks/net.h"
#include "tests/rl/run_fixture.h"

#define TEAM_MAX     8
#define TEAM_SECONDS 120 /* ranks that take longer hang */
#define TEAM_HANGS   -1

static char team_folder[64];

/* Text of a run and, for each rank, more lines (NULL: none). */
struct team {
    int n;
    const char *name, *text;
    const char *more[TEAM_MAX];
    int port; /* 0: the parent listens on a free one for rank 0 */
    pid_t pids[TEAM_MAX];
    int codes[TEAM_MAX];    /* once they have ended; TEAM_HANGS */
    double ended[TEAM_MAX]; /* when */
};

static void team_path(char path[256], const char *name, int rank, const char *end)
{
    snprintf(path, 256, "%s/%s-%d%s", team_folder, name, rank, end);
}

/* In the process of a rank. */
static int team_work(const struct team *team, int rank)
{
    char path[256], all[8192];
    struct recipe recipe;
    dist_quiet_others();
    snprintf(all, sizeof all, "%s%s\noutput_dir: %s/%s\n", team->text, team->more[rank] ? team->more[rank] : "",
             team_folder, team->name);
    snprintf(path, sizeof path, "%s/%s.yaml", team_folder, team->name);
    enum err result = recipe_parse(&recipe, str_of(all), path);
    result = result == ERR_NONE ? recipe_finish(&recipe) : result;
    result = result == ERR_NONE ? train_run(&recipe, "test") : result;
    if (result != ERR_NONE && result != ERR_STOPPED) {
        fprintf(stderr, "error: %s\n", err_text());
    }
    return result == ERR_NONE      ? 0
           : result == ERR_STOPPED ? 128 + train_stop_signal()
           : result == ERR_USAGE   ? 2
           : result == ERR_PEER    ? 75
                                   : 1;
}

static void team_set(const char *name, int value)
{
    char text[16];
    snprintf(text, sizeof text, "%d", value);
    setenv(name, text, 1);
}

static void team_start_rank(struct team *team, int rank, int listener)
{
    char log[256];
    fflush(NULL);
    team_path(log, team->name, rank, ".log");
    int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    team->pids[rank] = fork();
    if (team->pids[rank] != 0) {
        close(fd);
        return;
    }
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    team_set("RANK", rank);
    team_set("WORLD_SIZE", team->n);
    team_set("LOCAL_RANK", rank);
    team_set("MASTER_PORT", team->port);
    setenv("MASTER_ADDR", "127.0.0.1", 1);
    if (rank == 0 && listener >= 0) {
        team_set("STROP_LISTENER", listener);
    }
    int code = team_work(team, rank);
    fflush(NULL);
    _exit(code);
}

static void team_start(struct team *team)
{
    int listener = -1;
    struct net_address at;
    if (team->port == 0) {
        MUST(net_resolve(&at, "127.0.0.1", 0));
        MUST(net_listen(&listener, &at, 0));
        MUST(net_local(&at, listener));
        team->port = net_port(&at);
    }
    for (int rank = 0; rank < team->n; rank++) {
        team_start_rank(team, rank, listener);
    }
    if (listener >= 0) {
        close(listener);
        team->port = 0;
    }
}

/* Whether the rank has ended by now; its code is noted. */
static bool team_has_ended(struct team *team, int rank)
{
    int status;
    if (team->pids[rank] > 0 && waitpid(team->pids[rank], &status, WNOHANG) == team->pids[rank]) {
        team->codes[rank] = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        team->ended[rank] = clock_seconds();
        team->pids[rank] = 0;
    }
    return team->pids[rank] == 0;
}

/* Waits for all ranks but `not` (-1: for all); those that hang are ended. */
static void team_wait(struct team *team, int not_this)
{
    double until = clock_seconds() + TEAM_SECONDS;
    for (int rank = 0; rank < team->n; rank++) {
        while (rank != not_this && !team_has_ended(team, rank)) {
            if (clock_seconds() > until) {
                kill(team->pids[rank], SIGKILL);
                waitpid(team->pids[rank], NULL, 0);
                team->pids[rank] = 0;
                team->codes[rank] = TEAM_HANGS;
            }
            usleep(2000);
        }
    }
}

static void team_log(const struct team *team, int rank, struct strbuf *out)
{
    char log[256];
    team_path(log, team->name, rank, ".log");
    strbuf_clear(out);
    MUST(file_read(out, log, (size_t)1 << 24));
    strbuf_putc(out, '\0');
}

static inline bool team_says(const struct team *team, int rank, const char *text)
{
    struct strbuf log = STRBUF_INIT;
    team_log(team, rank, &log);
    bool found = strstr(log.data, text) != NULL;
    strbuf_release(&log);
    return found;
}

/* All ranks ended with the code; what they said, if not. */
static inline bool team_ended_with(const struct team *team, int code)
{
    bool good = true;
    for (int rank = 0; rank < team->n; rank++) {
        good = good && team->codes[rank] == code;
    }
    for (int rank = 0; !good && rank < team->n; rank++) {
        struct strbuf log = STRBUF_INIT;
        team_log(team, rank, &log);
        fprintf(stderr, "---- %s, rank %d of %d: code %d\n%s\n", team->name, rank, team->n, team->codes[rank],
                log.data);
        strbuf_release(&log);
    }
    return good;
}

/* A run of n ranks from its beginning, or from where it was left, to its end. */
static inline bool team_run(int n, const char *name, const char *text)
{
    struct team team = {.n = n, .name = name, .text = text};
    team_start(&team);
    team_wait(&team, -1);
    return team_ended_with(&team, 0);
}

static inline struct run_digest team_digest(const char *name, int step)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", team_folder, name);
    return run_digest_of(path, step);
}

static inline void team_begin(void)
{
    char model[128];
    snprintf(team_folder, sizeof team_folder, "%s/strop_ranks_XXXXXX",
             file_is_folder("/dev/shm") ? "/dev/shm" : "/tmp");
    if (!mkdtemp(team_folder)) {
        abort();
    }
    snprintf(model, sizeof model, "%s/model", team_folder);
    pid_t pid = fork();
    if (pid == 0) {
        run_make_model(model, 5);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

static inline void team_end(void)
{
    MUST(file_remove_folder(team_folder));
}

#endif

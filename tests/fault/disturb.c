/* tests/fault/disturb.c - what befalls a run from outside: signals, another process's locks, full disks.
 *
 *   SIGNALS=100 LOCKS=8 LIMITS=40 SEED=1 build/release/tests/fault/disturb
 *
 *   signals   TERM, INT, HUP, XCPU, USR1, USR2, PIPE, ALRM, VTALRM, IO and PWR at random instants, singly or in pairs
 *   locks     another process holds run.db, for less and for longer than the run waits
 *   limits    files may not grow beyond a drawn size (RLIMIT_FSIZE), or the disk is said to be full
 *
 * No process dies or hangs, what was called saved is there, and the run, taken up again, ends as the straight run: run.db,
 * metrics.jsonl and the last checkpoint are equal (tests/rl/run_fixture.h).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <sys/resource.h>

#include "tests/fault/straight.h"

/* ---- what the linker leads here ---- */

static double patience; /* 0: as it is */
static int full_from;   /* the question for free space is answered with "none" from that one on; 0: never */
static int full_for;    /* and so many times */

void __real_store_set_patience(struct store *store, double most, bool (*give_up)(void));
void __wrap_store_set_patience(struct store *store, double most, bool (*give_up)(void));
void __wrap_store_set_patience(struct store *store, double most, bool (*give_up)(void))
{
    __real_store_set_patience(store, patience > 0 ? patience : most, give_up);
}

enum err __real_file_space_left(const char *path, uint64_t *bytes);
enum err __wrap_file_space_left(const char *path, uint64_t *bytes);
enum err __wrap_file_space_left(const char *path, uint64_t *bytes)
{
    static int asked;
    asked++;
    if (full_from > 0 && asked >= full_from && asked < full_from + full_for) {
        *bytes = 0;
        return ERR_NONE;
    }
    return __real_file_space_left(path, bytes);
}

/* ---- signals ---- */

static const int signals[] = {SIGTERM, SIGINT,  SIGHUP,    SIGXCPU, SIGUSR1, SIGUSR2,
                              SIGPIPE, SIGALRM, SIGVTALRM, SIGIO,   SIGPWR};
static const char *const signal_names[] = {"TERM", "INT",  "HUP",    "XCPU", "USR1", "USR2",
                                           "PIPE", "ALRM", "VTALRM", "IO",   "PWR"};

/* "saved at step N" in the last log; 0: it does not say so. */
static int said_saved(void)
{
    struct strbuf log = STRBUF_INIT;
    child_log(&log);
    const char *at = strstr(log.data, "saved at step ");
    int64_t step = at ? strtoll(at + strlen("saved at step "), NULL, 10) : 0;
    strbuf_release(&log);
    return (int)step;
}

static const char *torment(int *sent)
{
    int saved = 0;
    snprintf(damage_text, sizeof damage_text, "signals");
    for (int starts = 0; starts < 100; starts++) {
        struct child_recipe job = {"try", state_recipe};
        pid_t pid = child_start(child_train, &job);
        int which = draw((int)(sizeof signals / sizeof *signals)), status = 0;
        bool twice = draw(4) == 0, over = false;
        for (double until = clock_seconds() + seconds * draw(1000) / 900; !over && clock_seconds() < until;
             rest(0.0005)) {
            over = child_ended(pid, &status);
        }
        for (int k = 0; !over && k <= twice; k++) {
            kill(pid, signals[which]);
            rest(k < twice ? 0.002 * draw(5) : 0);
            ++*sent;
        }
        int code = !over ? child_wait(pid) : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        snprintf(damage_text, sizeof damage_text, "%s%s, exit code %d", signal_names[which], twice ? " twice" : "",
                 code);
        if (code == 0) {
            return difference("try");
        }
        /* before the handlers are there, a signal ends the process: nothing has been done then */
        struct strbuf log = STRBUF_INIT;
        child_log(&log);
        bool began = log.length > 1;
        strbuf_release(&log);
        if (code == CHILD_HANGS || (began && code != 128 + signals[which])) {
            return code == CHILD_HANGS ? "it hangs" : "it did not stop as asked";
        }
        int said = said_saved(), now = file_exists(path_of("try")) ? newest_whole("try") : 0;
        if (now < saved || now < said) {
            return "what was called saved is not there";
        }
        saved = now;
    }
    return "it never ends";
}

static void send_signals(int n)
{
    int before = n_failed, sent = 0, runs = 0;
    for (; sent < n; runs++) {
        MUST(file_remove_folder(path_of("try")));
        report("signals", runs, damage_text, torment(&sent));
    }
    printf("signals: %d in %d runs, %d lost something or differ\n", sent, runs, n_failed - before);
}

/* ---- locks ---- */

static struct lock {
    double after, held;
} lock;

static int hold_lock(void *context)
{
    const struct lock *l = context;
    sqlite3 *db;
    rest(l->after);
    if (sqlite3_open_v2(path_of("try/run.db"), &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
        return 0;
    }
    sqlite3_busy_timeout(db, 1000);
    if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK) {
        rest(l->held);
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    sqlite3_close(db);
    return 0;
}

static void hold_locks(int n)
{
    int before = n_failed, gave_up = 0;
    for (int i = 0; i < n; i++) {
        MUST(file_remove_folder(path_of("try")));
        bool longer = i % 2;
        lock = (struct lock){seconds * draw(100) / 150, longer ? 2.5 : 0.1 + draw(100) / 200.0};
        patience = longer ? 0.5 : 20;
        snprintf(damage_text, sizeof damage_text, "held for %.2f s, waits %.1f s", lock.held, patience);
        pid_t holder = child_start(hold_lock, &lock);
        int code = run_on("try");
        const char *problem = code == CHILD_HANGS ? "it hangs" : !longer && code != 0 ? "it did not wait" : NULL;
        if (code == 1) {
            gave_up++;
            int said = said_saved();
            problem = newest_whole("try") < said ? "what was called saved is not there" : problem;
        }
        child_wait(holder);
        patience = 0;
        report("locks", i, damage_text, problem ? problem : code == 1 ? finish_without_db("try") : finish("try"));
    }
    printf("locks: %d held by another process, %d runs gave up and were saved, %d not as the straight run\n", n,
           gave_up, n_failed - before);
}

/* ---- disks ---- */

static int train_limited(void *context)
{
    const struct child_recipe *job = context;
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = (rlim_t)(1000 + (rng_below(&rng, 1 << 20)));
    if (full_from == 0) {
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    return child_train((void *)(uintptr_t)job);
}

static void fill_disks(int n)
{
    int before = n_failed, stopped = 0;
    for (int i = 0; i < n; i++) {
        struct child_recipe job = {"try", state_recipe};
        copy_run("inside", "try");
        int saved = newest_whole("try");
        full_from = i % 2 ? 2 + draw(8) : 0;
        full_for = full_from ? 1 + draw(6) : 0;
        snprintf(damage_text, sizeof damage_text, full_from ? "full for %d questions from %d on" : "a limit on files",
                 full_for, full_from);
        (void)draw(2); /* the child draws its limit from here */
        int code = child_run(train_limited, &job);
        full_from = 0;
        const char *problem = code == CHILD_HANGS ? "it hangs" : code > 2 ? "it died" : NULL;
        stopped += code != 0;
        int said = code == 1 ? said_saved() : 0, now = newest_whole("try");
        problem = now < saved || now < said ? "what was called saved is not there" : problem;
        report("limits", i, damage_text, problem ? problem : finish("try"));
    }
    printf("limits: %d full disks, %d stopped the run, %d lost something or differ\n", n, stopped, n_failed - before);
}

int main(void)
{
    begin_straight("strop_disturb_XXXXXX");
    send_signals(number_of("SIGNALS", 100));
    hold_locks(number_of("LOCKS", 8));
    fill_disks(number_of("LIMITS", 40));
    return end_straight();
}

/* reward/workers.c - a thread takes a free process under a lock, asks it without, and gives it back.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/workers.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "reward/dialog.h"
#include "reward/process.h"

#define BACK_OFF_FIRST 0.1
#define BACK_OFF_MAX   10.0

enum { ATTEMPTS = 2 };

struct worker {
    struct process process;
    int index;
    bool ready;         /* it said so */
    bool busy;          /* a thread has it; guarded by the lock of all */
    int failures;       /* since the last good answer */
    double may_start;   /* when the next start may be; process not running */
    double ready_until; /* when a start has taken too long; process running */
    int64_t seq;
};

struct workers {
    struct workers_plan plan;
    struct worker *all;
    int n;
    pthread_mutex_t lock;
    pthread_cond_t freed;
    int lost;       /* failures in a row, without a good answer of any process; guarded by the lock */
    char last[400]; /* the sentence of the last of them */
};

/* ---- one worker, by the thread that has it ---- */

static void worker_failed(struct worker *w)
{
    double delay = w->failures == 0 ? 0 : fmin(BACK_OFF_MAX, BACK_OFF_FIRST * ldexp(1, w->failures - 1));
    process_stop(&w->process);
    w->ready = false;
    w->failures += w->failures < 30;
    w->may_start = clock_seconds() + delay;
}

static enum err worker_start(const struct workers *workers, struct worker *w)
{
    enum err result = process_start(&w->process, workers->plan.words, workers->plan.show);
    if (result != ERR_NONE) {
        worker_failed(w);
        return result;
    }
    struct strbuf hello = STRBUF_INIT;
    dialog_hello(&hello, workers->plan.name, workers->plan.config, w->index);
    process_say(&w->process, strbuf_view(&hello));
    strbuf_release(&hello);
    w->ready_until = clock_seconds() + workers->plan.start_seconds;
    return ERR_NONE;
}

/* Counts failures in a row, which show whether the program works at all. */
static void workers_count(struct workers *workers, bool good, const char *why)
{
    pthread_mutex_lock(&workers->lock);
    workers->lost = good ? 0 : workers->lost + 1;
    if (!good && workers->lost <= WORKERS_LOST) {
        snprintf(workers->last, sizeof workers->last, "%s", why);
    }
    pthread_mutex_unlock(&workers->lock);
}

const char *workers_dead(struct workers *workers, struct arena *arena)
{
    pthread_mutex_lock(&workers->lock);
    const char *why =
        workers->lost < WORKERS_LOST
            ? NULL
            : arena_printf(arena, "%s failed %d times in a row and is not asked any more; the last time: %s",
                           workers->plan.name, WORKERS_LOST, workers->last);
    pthread_mutex_unlock(&workers->lock);
    return why;
}

enum outcome { GOT, LOST, LATE };

/* process_hear, which a stop ends as if the answer were late. */
static enum process_answer hear(struct worker *w, double until, const struct reward_call *call, struct str *line)
{
    enum process_answer answer;
    do {
        double look = fmin(until, clock_seconds() + REWARD_LOOK_SECONDS);
        answer = process_hear(&w->process, look, DIALOG_ANSWER_BYTES, line);
    } while (answer == PROCESS_LATE && clock_seconds() < until && !reward_stopped(call));
    return answer;
}

/* The next answer that is no log line. LOST: the process is stopped, and *why says what happened. */
static enum outcome worker_hear(const struct workers *workers, struct worker *w, int64_t seq, double until,
                                const struct reward_call *call, struct dialog_answer *answer, const char **why)
{
    struct arena *arena = call->arena;
    for (;;) {
        struct str line;
        switch (hear(w, until, call, &line)) {
        case PROCESS_LINE: break;
        case PROCESS_LATE: return LATE;
        case PROCESS_LONG:
            *why = arena_printf(arena, "%s answered with more than %d bytes in a line", workers->plan.name,
                                DIALOG_ANSWER_BYTES);
            worker_failed(w);
            return LOST;
        case PROCESS_GONE:
            *why = arena_printf(arena, "%s ended: %s", workers->plan.name, process_obituary(&w->process, arena));
            worker_failed(w);
            return LOST;
        }
        *answer = dialog_read(line, seq, arena);
        if (answer->kind == DIALOG_BROKEN) {
            *why = arena_printf(arena, "%s broke the protocol: %s", workers->plan.name, answer->text);
            worker_failed(w);
            return LOST;
        }
        if (answer->kind != DIALOG_LOG) {
            return GOT;
        }
        log_info("%s: %s", workers->plan.name, answer->text);
    }
}

static void sleep_until(double moment, const struct reward_call *call)
{
    double left;
    while ((left = moment - clock_seconds()) > 0 && !reward_stopped(call)) {
        nanosleep(&(struct timespec){.tv_nsec = (long)(fmin(left, REWARD_LOOK_SECONDS) * 1e9)}, NULL);
    }
}

/* Starts it if need be and waits until it is ready. LATE: it still starts, or may not start yet. */
static enum outcome worker_ready(const struct workers *workers, struct worker *w, double until,
                                 const struct reward_call *call, const char **why)
{
    struct arena *arena = call->arena;
    struct dialog_answer answer;
    if (w->ready) {
        return GOT;
    }
    if (!process_running(&w->process)) {
        if (w->may_start > until) {
            *why = arena_printf(arena, "%s failed %d times in a row and is not started again yet", workers->plan.name,
                                w->failures);
            sleep_until(until, call);
            return LATE;
        }
        sleep_until(w->may_start, call);
        if (worker_start(workers, w) != ERR_NONE) {
            *why = arena_strdup(arena, err_text());
            return LOST;
        }
    }
    enum outcome outcome = worker_hear(workers, w, -1, fmin(until, w->ready_until), call, &answer, why);
    w->ready = outcome == GOT;
    if (outcome == LATE && clock_seconds() >= w->ready_until) {
        *why = arena_printf(arena, "%s was not ready in %g s (start_timeout)", workers->plan.name,
                            workers->plan.start_seconds);
        worker_failed(w);
        return LOST;
    }
    if (outcome == LATE) {
        *why = arena_printf(arena, "%s is still starting", workers->plan.name);
    }
    return outcome;
}

/* Asks once. *again: another process may do better. */
static struct verdict worker_ask(struct workers *workers, struct worker *w, const struct reward_item *item,
                                 const struct reward_call *call, bool *again)
{
    const char *why = "";
    struct dialog_answer answer;
    enum outcome outcome = worker_ready(workers, w, call->deadline, call, &why);
    if (outcome != GOT) {
        *again = outcome == LOST;
        if (outcome == LOST) {
            workers_count(workers, false, why);
        }
        return verdict_error(why);
    }
    double start = clock_seconds(), until = call->deadline;
    if (workers->plan.item_seconds > 0) {
        until = fmin(until, start + workers->plan.item_seconds);
    }
    struct strbuf request = STRBUF_INIT;
    w->seq++;
    dialog_score(&request, w->seq, item, workers->plan.field, until - start);
    process_say(&w->process, strbuf_view(&request));
    strbuf_release(&request);
    outcome = worker_hear(workers, w, w->seq, until, call, &answer, &why);
    *again = outcome == LOST || (outcome == GOT && answer.retryable);
    if (outcome == GOT) {
        w->failures = 0;
        workers_count(workers, true, NULL);
        return answer.verdict;
    }
    if (outcome == LATE) {
        worker_failed(w);
        why = arena_printf(call->arena, "%s gave no answer in %.3g s and was killed", workers->plan.name,
                           clock_seconds() - start);
    }
    if (!reward_stopped(call)) {
        workers_count(workers, false, why);
    }
    return verdict_error(why);
}

/* ---- which worker ---- */

static int rank(const struct worker *w)
{
    return w->ready ? 0 : process_running(&w->process) ? 1 : 2;
}

/* A free one: ready before starting before dead. NULL if none came free in time. */
static struct worker *worker_take(struct workers *workers, const struct reward_call *call)
{
    struct worker *best = NULL;
    pthread_mutex_lock(&workers->lock);
    while (!best) {
        for (int i = 0; i < workers->n; i++) {
            struct worker *w = &workers->all[i];
            if (!w->busy && (!best || rank(w) < rank(best))) {
                best = w;
            }
        }
        if (best || reward_expired(call)) {
            break;
        }
        double until = fmin(call->deadline, clock_seconds() + REWARD_LOOK_SECONDS), whole = floor(until);
        struct timespec moment = {.tv_sec = (time_t)whole, .tv_nsec = (long)((until - whole) * 1e9)};
        pthread_cond_clockwait(&workers->freed, &workers->lock, CLOCK_MONOTONIC, &moment);
    }
    if (best) {
        best->busy = true;
    }
    pthread_mutex_unlock(&workers->lock);
    return best;
}

/* A dead process is started before it is given back, where it need not wait, so that it gets ready while it is idle. */
static void worker_give(struct workers *workers, struct worker *w)
{
    pthread_mutex_lock(&workers->lock);
    bool dead = workers->lost >= WORKERS_LOST;
    pthread_mutex_unlock(&workers->lock);
    if (!dead && !process_running(&w->process) && w->may_start <= clock_seconds()) {
        (void)worker_start(workers, w);
    }
    pthread_mutex_lock(&workers->lock);
    w->busy = false;
    pthread_cond_signal(&workers->freed);
    pthread_mutex_unlock(&workers->lock);
}

struct verdict workers_judge(struct workers *workers, const struct reward_item *item, const struct reward_call *call)
{
    const char *dead = workers_dead(workers, call->arena);
    struct worker *w = dead ? NULL : worker_take(workers, call);
    if (dead) {
        return verdict_error(dead);
    }
    if (!w) {
        return verdict_error(arena_printf(call->arena,
                                          "no process of %s was free in time; ask for more of them (processes), or "
                                          "give an item more time",
                                          workers->plan.name));
    }
    struct verdict v = verdict_error("it was given up");
    bool again = true;
    for (int i = 0; i < ATTEMPTS && again && !workers_dead(workers, call->arena) && (i == 0 || !reward_expired(call));
         i++) {
        v = worker_ask(workers, w, item, call, &again);
    }
    worker_give(workers, w);
    return v;
}

/* ---- all workers ---- */

enum err workers_check_config(const char *reward, const char *config)
{
    json_t *document = NULL;
    bool object = json_parse(&document, str_of(config), "config") == ERR_NONE && json_is_object(document);
    json_decref(document);
    return object && !strpbrk(config, "\r\n")
               ? ERR_NONE
               : err_set(ERR_USAGE, "reward %s: config must be a JSON object on one line", reward);
}

static enum err start_all(struct workers *workers)
{
    struct arena arena = ARENA_INIT;
    enum err result = ERR_NONE;
    for (int i = 0; i < workers->n && result == ERR_NONE; i++) {
        workers->all[i].index = i;
        result = worker_start(workers, &workers->all[i]);
    }
    for (int i = 0; i < workers->n && result == ERR_NONE; i++) {
        struct worker *w = &workers->all[i];
        const char *why = "";
        struct reward_call call = {.arena = &arena, .deadline = w->ready_until + 1};
        if (worker_ready(workers, w, call.deadline, &call, &why) != GOT) {
            result = err_set(ERR_STATE, "%s", why);
        }
    }
    arena_release(&arena);
    return result;
}

enum err workers_open(struct workers **out, const struct workers_plan *plan)
{
    struct workers *workers = mem_zero(sizeof *workers);
    cpu_set_t processors;
    workers->plan = *plan;
    workers->n = plan->count                                                 ? plan->count
                 : sched_getaffinity(0, sizeof processors, &processors) == 0 ? CPU_COUNT(&processors)
                                                                             : 1;
    workers->all = mem_zero((size_t)workers->n * sizeof *workers->all);
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->freed, NULL);
    enum err result = start_all(workers);
    if (result != ERR_NONE) {
        workers_close(workers);
        return result;
    }
    *out = workers;
    return ERR_NONE;
}

void workers_close(struct workers *workers)
{
    if (!workers) {
        return;
    }
    for (int i = 0; i < workers->n; i++) {
        process_stop(&workers->all[i].process);
    }
    pthread_cond_destroy(&workers->freed);
    pthread_mutex_destroy(&workers->lock);
    free(workers->all);
    free(workers);
}

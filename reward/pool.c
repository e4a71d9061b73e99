/* reward/pool.c - threads sleep between runs; a run's number wakes them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

struct pool_thread {
    struct pool *pool;
    pthread_t id;
    int number;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t start, done;
    struct pool_thread *threads; /* [n_threads]; 0 is the caller and not started */
    int n_threads, n_started;
    /* under the lock */
    unsigned long run; /* counts calls of pool_run */
    int n_working;
    bool stopping;
    /* set before a run starts, read during it */
    pool_work *work;
    void *context;
    int n_jobs;
    atomic_int next;
};

static void pool_drain(struct pool *pool, int thread)
{
    for (;;) {
        int job = atomic_fetch_add(&pool->next, 1);
        if (job >= pool->n_jobs) {
            return;
        }
        pool->work(pool->context, job, thread);
    }
}

static void *pool_main(void *argument)
{
    struct pool_thread *self = argument;
    struct pool *pool = self->pool;
    unsigned long seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->run == seen && !pool->stopping) {
            pthread_cond_wait(&pool->start, &pool->lock);
        }
        if (pool->stopping) {
            break;
        }
        seen = pool->run;
        pthread_mutex_unlock(&pool->lock);
        pool_drain(pool, self->number);
        pthread_mutex_lock(&pool->lock);
        if (--pool->n_working == 0) {
            pthread_cond_signal(&pool->done);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* 0, or the system's reason why a thread could not be started. */
static int pool_start(struct pool *pool)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int failure = 0;
    for (int i = 1; i < pool->n_threads && !failure; i++) {
        pool->threads[i] = (struct pool_thread){.pool = pool, .number = i};
        failure = pthread_create(&pool->threads[i].id, NULL, pool_main, &pool->threads[i]);
        pool->n_started += !failure;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

enum err pool_open(struct pool **out, int n_threads)
{
    BUG_ON(n_threads < 1);
    struct pool *pool = mem_zero(sizeof *pool);
    pool->n_threads = n_threads;
    pool->threads = mem_zero((size_t)n_threads * sizeof *pool->threads);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->start, NULL);
    pthread_cond_init(&pool->done, NULL);
    int failure = pool_start(pool);
    if (failure) {
        pool_close(pool);
        return err_set(ERR_IO, "cannot start %d reward threads: %s; ask for fewer", n_threads, strerror(failure));
    }
    *out = pool;
    return ERR_NONE;
}

void pool_close(struct pool *pool)
{
    if (!pool) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 1; i <= pool->n_started; i++) {
        pthread_join(pool->threads[i].id, NULL);
    }
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->start);
    pthread_cond_destroy(&pool->done);
    free(pool->threads);
    free(pool);
}

int pool_threads(const struct pool *pool)
{
    return pool->n_threads;
}

void pool_run(struct pool *pool, int n_jobs, pool_work *work, void *context)
{
    BUG_ON(n_jobs < 0);
    pthread_mutex_lock(&pool->lock);
    pool->work = work;
    pool->context = context;
    pool->n_jobs = n_jobs;
    atomic_store(&pool->next, 0);
    pool->n_working = pool->n_started;
    pool->run++;
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->lock);
    pool_drain(pool, 0);
    pthread_mutex_lock(&pool->lock);
    while (pool->n_working > 0) {
        pthread_cond_wait(&pool->done, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
}

/* reward/pool.c - a counter under a lock is the whole queue.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/err.h"

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    pthread_t *threads;
    int n_threads, n_started; /* n_started: workers take their index from it */
    pool_job *job;
    void *context;
    int n_jobs, next, n_done;
    bool stop;
};

static void *pool_worker(void *argument)
{
    struct pool *pool = argument;
    pthread_mutex_lock(&pool->lock);
    int worker = pool->n_started++;
    while (!pool->stop) {
        if (pool->next >= pool->n_jobs) {
            pthread_cond_wait(&pool->work, &pool->lock);
            continue;
        }
        int job = pool->next++;
        pthread_mutex_unlock(&pool->lock);
        pool->job(pool->context, job, worker);
        pthread_mutex_lock(&pool->lock);
        if (++pool->n_done == pool->n_jobs) {
            pthread_cond_signal(&pool->done);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

struct pool *pool_new(int n_threads)
{
    BUG_ON(n_threads < 1);
    struct pool *pool = mem_zero(sizeof *pool);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->threads = mem_zero((size_t)n_threads * sizeof *pool->threads);
    for (; pool->n_threads < n_threads; pool->n_threads++) {
        BUG_ON(pthread_create(&pool->threads[pool->n_threads], NULL, pool_worker, pool) != 0);
    }
    return pool;
}

void pool_run(struct pool *pool, int n_jobs, pool_job *job, void *context)
{
    if (n_jobs == 0) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->job = job;
    pool->context = context;
    pool->n_done = 0;
    pool->next = 0;
    pool->n_jobs = n_jobs;
    pthread_cond_broadcast(&pool->work);
    while (pool->n_done < n_jobs) {
        pthread_cond_wait(&pool->done, &pool->lock);
    }
    pool->n_jobs = pool->next = 0;
    pthread_mutex_unlock(&pool->lock);
}

int pool_threads(const struct pool *pool)
{
    return pool->n_threads;
}

void pool_free(struct pool *pool)
{
    if (!pool) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->n_threads; i++) {
        pthread_join(pool->threads[i], NULL);
    }
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->done);
    free(pool->threads);
    free(pool);
}

/* reward/pool.h - a fixed number of threads that share out numbered jobs.
 *
 * Threads take the next number when they are free, so the order in which jobs run is open; a job writes only to places
 * that belong to its number or to its thread, and the outcome is the same for any number of threads.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_POOL_H
#define REWARD_POOL_H

#include "base/err.h"

struct pool;

/* `thread` counts from 0; two jobs with the same one never run at the same time. */
typedef void pool_work(void *context, int job, int thread);

/* The calling thread is one of the n_threads (at least 1): n_threads - 1 are started, with all signals blocked. */
enum err pool_open(struct pool **out, int n_threads);
void pool_close(struct pool *pool); /* NULL is fine */
int pool_threads(const struct pool *pool);

/* Calls work for each of 0 .. n_jobs - 1 once; returns when all have returned. Not to be called from a job. */
void pool_run(struct pool *pool, int n_jobs, pool_work *work, void *context);

#endif

/* reward/pool.h - threads that run numbered jobs.
 *
 * pool_run gives jobs 0 .. n-1 to the threads and returns when all are done; which thread runs which job, and when, is open,
 * so a job writes only to what belongs to its number.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_POOL_H
#define REWARD_POOL_H

struct pool;

/* `worker` is 0 .. threads-1: the index of per-thread state. */
typedef void pool_job(void *context, int job, int worker);

struct pool *pool_new(int n_threads); /* at least 1 */
void pool_run(struct pool *pool, int n_jobs, pool_job *job, void *context);
int pool_threads(const struct pool *pool);
void pool_free(struct pool *pool);

#endif

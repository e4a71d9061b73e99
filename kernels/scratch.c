/* kernels/scratch.c - what the operations of the CPU share over all instruction sets: scratch memory of a thread, and
 * how many threads a piece of work is worth.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <omp.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/arena.h"
#include "kernels/scratch.h"

struct scratch {
    float *data[SCRATCH_COUNT];
    size_t n[SCRATCH_COUNT];
};

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void scratch_free(void *memory)
{
    struct scratch *scratch = memory;
    for (int i = 0; i < SCRATCH_COUNT; i++) {
        free(scratch->data[i]);
    }
    free(scratch);
}

static void scratch_make_key(void)
{
    BUG_ON(pthread_key_create(&scratch_key, scratch_free) != 0);
}

float *cpu_scratch(enum cpu_scratch which, size_t n)
{
    static _Thread_local struct scratch *mine;
    if (!mine) {
        pthread_once(&scratch_once, scratch_make_key);
        mine = mem_zero(sizeof *mine);
        BUG_ON(pthread_setspecific(scratch_key, mine) != 0);
    }
    if (mine->n[which] < n) {
        free(mine->data[which]);
        mine->n[which] = (n + n / 4 + 63) / 64 * 64;
        mine->data[which] = aligned_alloc(64, mine->n[which] * sizeof(float));
        BUG_ON(!mine->data[which]);
    }
    return mine->data[which];
}

int cpu_threads_for(double work)
{
    const double least = 1e5; /* multiply-adds that pay for waking the threads: some ten microseconds */
    int threads = omp_in_parallel() ? 1 : omp_get_max_threads();
    return work < 2 * least ? 1 : work < threads * least ? (int)(work / least) : threads;
}

/* kernels/scratch.h - memory of a thread that operations keep between calls, and the number of threads to use.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_SCRATCH_H
#define KERNELS_SCRATCH_H

#include <stddef.h>

#include "base/err.h"

/* Memory of this thread and purpose: at least n floats, 64-byte aligned, contents undefined. */
enum cpu_scratch {
    SCRATCH_PACK,
    SCRATCH_TILE,
    SCRATCH_SCORES,
    SCRATCH_KEYS,
    SCRATCH_VALUES,
    SCRATCH_ROWS,
    SCRATCH_STATS,
    SCRATCH_COUNT
};
float *cpu_scratch(enum cpu_scratch which, size_t n);

/* Threads worth using for that many multiply-adds; 1 inside a parallel region. */
int cpu_threads_for(double work);

#endif

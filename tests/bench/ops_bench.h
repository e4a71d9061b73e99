/* tests/bench/ops_bench.h - timing, the limits of the machine, and the operations other than products.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_BENCH_OPS_BENCH_H
#define TESTS_BENCH_OPS_BENCH_H

#include <stdbool.h>

#include "kernels/device.h"

struct machine {
    double gflops; /* fused multiply-adds that touch no memory, over all threads */
    double gbytes; /* read and written by a copy, over all threads */
};

void bench_use_cpu_time(bool cpu);
/* Seconds of one call: the best of those within about 10 ms, at least 3. A pause before. */
double bench_best(void (*call)(void *), void *context);
void bench_fill(float *x, size_t n, unsigned stream); /* uniform in [-0.5, 0.5) */
void bench_machine(struct machine *machine);
void bench_ops(const struct device *device, const struct machine *machine);
void bench_experts(const struct device *device, const struct machine *machine);

#endif

/* tests/gpu/bench.h - for programs that measure a GPU: numbers to compute with, and the time of a call.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_GPU_BENCH_H
#define TESTS_GPU_BENCH_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "kernels/device.h"
#include "kernels/rng.h"

static void *bench_memory(struct device *device, size_t bytes)
{
    return device_alloc(device, bytes, "bench");
}

/* n bf16 numbers of an ordinary size, a block of them again and again. */
static void *bench_numbers(struct device *device, size_t n)
{
    enum { BLOCK = 1 << 20 };
    uint16_t *block = mem_alloc(BLOCK * sizeof *block);
    struct rng rng = rng_stream(1, 7);
    for (int i = 0; i < BLOCK; i++) {
        float x = 0.25f * rng_normal(&rng);
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        block[i] = (uint16_t)(bits >> 16);
    }
    char *to = bench_memory(device, 2 * n);
    for (size_t i = 0; i < n; i += BLOCK) {
        device_write(device, to + 2 * i, block, 2 * (n - i < BLOCK ? n - i : BLOCK));
    }
    free(block);
    return to;
}

static int bench_by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds of a call: the mean of a run of them, the median of five runs. `probe` is 4 bytes of device memory; reading them waits
 * for the work. */
static double bench_time(struct device *device, const void *probe, void (*work)(void))
{
    enum { RUNS = 5 };
    double seconds[RUNS], start;
    int32_t word;
    work(), work();
    device_read(device, &word, probe, sizeof word);
    start = clock_seconds();
    work();
    device_read(device, &word, probe, sizeof word);
    int n = (int)fmin(200, fmax(2, 0.02 / (clock_seconds() - start)));
    for (int run = 0; run < RUNS; run++) {
        start = clock_seconds();
        for (int i = 0; i < n; i++) {
            work();
        }
        device_read(device, &word, probe, sizeof word);
        seconds[run] = (clock_seconds() - start) / n;
    }
    qsort(seconds, RUNS, sizeof *seconds, bench_by_value);
    return seconds[RUNS / 2];
}

#endif

/* tests/kernels/fixture.h - the instruction sets of this machine, random arrays, and comparisons, for tests of kernels.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KERNELS_FIXTURE_H
#define TESTS_KERNELS_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "kernels/device.h"
#include "kernels/rng.h"

#define FIXTURE_TABLES 3

/* The operations of every instruction set that this machine can run, the plainest first. */
struct tables {
    int n;
    struct device *devices[FIXTURE_TABLES];
    const struct ops *ops[FIXTURE_TABLES];
};

/* For cmocka_run_group_tests: *state is a struct tables. */
static inline int tables_open(void **state)
{
    static const char *const names[FIXTURE_TABLES] = {"cpu/scalar", "cpu/avx2", "cpu/avx512"};
    struct tables *tables = mem_zero(sizeof *tables);
    for (int i = 0; i < FIXTURE_TABLES; i++) {
        if (device_open(&tables->devices[tables->n], names[i]) == ERR_NONE) {
            tables->ops[tables->n] = tables->devices[tables->n]->ops;
            tables->n++;
        }
    }
    *state = tables;
    return tables->n > 0 ? 0 : -1;
}

static inline int tables_close(void **state)
{
    struct tables *tables = *state;
    for (int i = 0; i < tables->n; i++) {
        device_close(tables->devices[i]);
    }
    free(tables);
    device_set_threads(0);
    return 0;
}

/* Normal numbers of that deviation, the same for the same stream; exactly n floats long, so that ASan sees a read past the
 * end. free() gives them back. */
static inline float *random_floats(size_t n, float deviation, uint64_t stream)
{
    float *x = mem_alloc((n ? n : 1) * sizeof *x);
    struct rng rng = rng_stream(2024, stream);
    for (size_t i = 0; i < n; i++) {
        x[i] = deviation * rng_normal(&rng);
    }
    return x;
}

static inline float *zero_floats(size_t n)
{
    return mem_zero((n ? n : 1) * sizeof(float));
}

static inline float *copy_floats(const float *x, size_t n)
{
    float *copy = mem_alloc((n ? n : 1) * sizeof *copy);
    memcpy(copy, x, n * sizeof *copy);
    return copy;
}

/* Rows [N, K] as a matrix (kernels/ops.h). */
static inline float *matrix_of(const struct ops *ops, const float *rows, int N, int K)
{
    float *matrix = zero_floats(ops->matrix_elements(N, K));
    ops->matrix_import(matrix, rows, 0, N, N, K);
    return matrix;
}

static inline float *rows_of(const struct ops *ops, const float *matrix, int N, int K)
{
    float *rows = zero_floats((size_t)N * (size_t)K);
    ops->matrix_export(rows, matrix, 0, N, N, K);
    return rows;
}

static inline void assert_same_bits(const float *got, const float *want, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(&got[i], &want[i], sizeof *got) != 0) {
            fail_msg("%s: element %zu of %zu is %a, not %a", what, i, n, (double)got[i], (double)want[i]);
        }
    }
}

/* Within `tolerance`, which grows with the wanted number above 1. */
static inline void assert_near(double got, double want, double tolerance, const char *what, size_t i)
{
    double scale = fabs(want) > 1 ? fabs(want) : 1;
    if (!(fabs(got - want) <= tolerance * scale)) {
        fail_msg("%s: element %zu is %.9g, not %.9g (off by %.3g, tolerance %.3g)", what, i, got, want, got - want,
                 tolerance * scale);
    }
}

static inline void assert_all_near(const float *got, const double *want, size_t n, double tolerance, const char *what)
{
    for (size_t i = 0; i < n; i++) {
        assert_near((double)got[i], want[i], tolerance, what, i);
    }
}

static inline double *zero_doubles(size_t n)
{
    return mem_zero((n ? n : 1) * sizeof(double));
}

#endif

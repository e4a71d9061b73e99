/* tests/bench/kernels.c - speed of the operations beside OpenBLAS, on the shapes of real models.
 *
 *   kernels [DEVICE] [THREADS ...]
 *
 * A line each for y = x W^T, dx = dy W and dW += dy^T x: GFLOP/s of both, and their ratio. Both run in turn, several times,
 * with a pause in which the threads of the other fall asleep; the best time of each counts. OpenBLAS is loaded when the program starts; without it its columns are empty.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "kernels/device.h"
#include "kernels/rng.h"

/* cblas_sgemm(layout, transpose a, transpose b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) */
typedef void sgemm_fn(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *, int);
enum { ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112 };

struct blas {
    sgemm_fn *sgemm;
    void (*set_threads)(int);
};

enum kind { FORWARD, INPUT_GRAD, WEIGHT_GRAD };
static const char *const kind_names[] = {"forward", "input_grad", "weight_grad"};

struct problem {
    enum kind kind;
    int T, N, K;
    float *x, *w, *rows, *y; /* [T, K], matrix [N, K], the same as rows, [T, N] */
};

static void run_ours(const struct ops *ops, const struct problem *p)
{
    if (p->kind == FORWARD) {
        ops->matmul(&(struct matmul_args){
            .T = p->T, .N = p->N, .K = p->K, .x = p->x, .x_stride = p->K, .w = p->w, .y = p->y, .y_stride = p->N});
    } else if (p->kind == INPUT_GRAD) {
        ops->matmul_input_grad(&(struct matmul_input_grad_args){
            .T = p->T, .N = p->N, .K = p->K, .dy = p->y, .dy_stride = p->N, .w = p->w, .dx = p->x, .dx_stride = p->K});
    } else {
        ops->matmul_weight_grad(&(struct matmul_weight_grad_args){
            .T = p->T, .N = p->N, .K = p->K, .dy = p->y, .dy_stride = p->N, .x = p->x, .x_stride = p->K, .dw = p->w});
    }
}

static void run_blas(const struct blas *blas, const struct problem *p)
{
    int T = p->T, N = p->N, K = p->K;
    if (p->kind == FORWARD) {
        blas->sgemm(ROW_MAJOR, PLAIN, TRANSPOSED, T, N, K, 1, p->x, K, p->rows, K, 0, p->y, N);
    } else if (p->kind == INPUT_GRAD) {
        blas->sgemm(ROW_MAJOR, PLAIN, PLAIN, T, K, N, 1, p->y, N, p->rows, K, 0, p->x, K);
    } else {
        blas->sgemm(ROW_MAJOR, TRANSPOSED, PLAIN, N, K, T, 1, p->y, N, p->x, K, 1, p->rows, K);
    }
}

/* The best time of one call within about 50 ms of them. */
static double measure(const struct ops *ops, const struct blas *blas, const struct problem *p)
{
    struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    nanosleep(&pause, NULL);
    int inner = (int)(2e7 / (2.0 * p->T * p->N * p->K)) + 1;
    double best = 1e9, finish = clock_seconds() + 0.05;
    for (int round = 0; round < 3 || clock_seconds() < finish; round++) {
        double start = clock_seconds();
        for (int i = 0; i < inner; i++) {
            if (ops) {
                run_ours(ops, p);
            } else {
                run_blas(blas, p);
            }
        }
        double seconds = (clock_seconds() - start) / inner;
        best = seconds < best ? seconds : best;
    }
    return best;
}

static void fill(float *x, size_t n, uint64_t stream)
{
    struct rng rng = rng_stream(1, stream);
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)rng_double(&rng) - 0.5f;
    }
}

static void bench_shape(const struct ops *ops, const struct blas *blas, int T, int N, int K)
{
    struct arena arena = ARENA_INIT;
    struct problem p = {.T = T, .N = N, .K = K};
    size_t size_w = ops->matrix_elements(N, K), size_x = (size_t)T * (size_t)K, size_y = (size_t)T * (size_t)N;
    p.x = ARENA_NEW(&arena, float, size_x);
    p.y = ARENA_NEW(&arena, float, size_y);
    p.w = ARENA_NEW(&arena, float, size_w);
    p.rows = ARENA_NEW(&arena, float, size_w);
    for (p.kind = FORWARD; p.kind <= WEIGHT_GRAD; p.kind++) {
        fill(p.x, size_x, 1);
        fill(p.y, size_y, 2);
        fill(p.w, size_w, 3);
        fill(p.rows, size_w, 3);
        double ours = 1e9, theirs = 1e9, giga = 2e-9 * T * N * K;
        for (int round = 0; round < 3; round++) {
            ours = fmin(ours, measure(ops, NULL, &p));
            theirs = blas->sgemm ? fmin(theirs, measure(NULL, blas, &p)) : theirs;
        }
        printf("%d threads  %-11s  T %4d  N %5d  K %4d  %8.1f GFLOP/s  OpenBLAS %8.1f  ratio %5.2f\n", device_threads(),
               kind_names[p.kind], T, N, K, giga / ours, blas->sgemm ? giga / theirs : 0.0,
               blas->sgemm ? theirs / ours : 0.0);
    }
    arena_release(&arena);
}

int main(int argc, char **argv)
{
    static const int shapes[][3] = {{64, 384, 128},    {64, 128, 384},   {512, 384, 128},   {2048, 384, 128},
                                    {2048, 768, 128},  {2048, 128, 384}, {2048, 512, 128},  {1, 1152, 896},
                                    {1, 9728, 896},    {1, 896, 4864},   {16, 1152, 896},   {16, 9728, 896},
                                    {16, 896, 4864},   {256, 1152, 896}, {256, 9728, 896},  {256, 896, 4864},
                                    {1024, 1152, 896}, {1024, 896, 896}, {1024, 9728, 896}, {1024, 896, 4864}};
    struct device *device;
    if (device_open(&device, argc > 1 ? argv[1] : "auto") != ERR_NONE) {
        fprintf(stderr, "%s\n", err_text());
        return 1;
    }
    void *library = dlopen("libopenblas.so.0", RTLD_NOW);
    struct blas blas = {0};
    if (library) {
        *(void **)&blas.sgemm = dlsym(library, "cblas_sgemm");
        *(void **)&blas.set_threads = dlsym(library, "openblas_set_num_threads");
    }
    for (int i = argc > 2 ? 2 : 1; i < (argc > 2 ? argc : 2); i++) {
        device_set_threads(argc > 2 ? (int)strtol(argv[i], NULL, 10) : 0);
        if (blas.set_threads) {
            blas.set_threads(device_threads());
        }
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            bench_shape(device->ops, &blas, shapes[s][0], shapes[s][1], shapes[s][2]);
        }
    }
    device_close(device);
    return 0;
}

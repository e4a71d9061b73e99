/* tests/bench/kernels.c - speed of the operations: beside OpenBLAS, and beside what this machine can do.
 *
 *   kernels [wall|cpu|experts] [THREADS ...]
 *
 * First the machine: multiply-adds in registers, and a copy of more memory than the caches hold. Then a line each for
 * y = x W^T, dx = dy W and dW += dy^T x on the shapes of the tiny model, the 30M one and a Qwen 0.5B: GFLOP/s, the share of the
 * machine's, and the ratio to OpenBLAS; last the other operations.
 *
 * Both run in turn, many times, with a pause in which the threads of the other fall asleep; the best time of each counts.
 * On a machine that others use, `cpu` counts processor time where one thread runs.
 * `experts` prints the products of a mixture alone.
 * OpenBLAS is loaded when the program starts; without it its columns are empty.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "kernels/device.h"
#include "kernels/rng.h"
#include "tests/bench/bench.h"
#include "tests/bench/ops_bench.h"

/* cblas_sgemm(layout, transpose a, transpose b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) */
typedef void sgemm_fn(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *, int);
enum { ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112 };

static struct blas {
    sgemm_fn *sgemm;
    void (*set_threads)(int);
} blas;

enum kind { FORWARD, INPUT_GRAD, WEIGHT_GRAD };
static const char *const kind_names[] = {"y = x W^T", "dx = dy W", "dW += dy^T x"};

struct problem {
    const struct ops *ops;
    enum kind kind;
    int T, N, K;
    float *x, *w, *rows, *y; /* [T, K], matrix [N, K], the same as rows, [T, N] */
};

static void run_ours(void *context)
{
    const struct problem *p = context;
    if (p->kind == FORWARD) {
        p->ops->matmul(&(struct matmul_args){
            .T = p->T, .N = p->N, .K = p->K, .x = p->x, .x_stride = p->K, .w = p->w, .y = p->y, .y_stride = p->N});
    } else if (p->kind == INPUT_GRAD) {
        p->ops->matmul_input_grad(&(struct matmul_input_grad_args){
            .T = p->T, .N = p->N, .K = p->K, .dy = p->y, .dy_stride = p->N, .w = p->w, .dx = p->x, .dx_stride = p->K});
    } else {
        p->ops->matmul_weight_grad(&(struct matmul_weight_grad_args){
            .T = p->T, .N = p->N, .K = p->K, .dy = p->y, .dy_stride = p->N, .x = p->x, .x_stride = p->K, .dw = p->w});
    }
}

static void run_blas(void *context)
{
    const struct problem *p = context;
    int T = p->T, N = p->N, K = p->K;
    if (p->kind == FORWARD) {
        blas.sgemm(ROW_MAJOR, PLAIN, TRANSPOSED, T, N, K, 1, p->x, K, p->rows, K, 0, p->y, N);
    } else if (p->kind == INPUT_GRAD) {
        blas.sgemm(ROW_MAJOR, PLAIN, PLAIN, T, K, N, 1, p->y, N, p->rows, K, 0, p->x, K);
    } else {
        blas.sgemm(ROW_MAJOR, TRANSPOSED, PLAIN, N, K, T, 1, p->y, N, p->x, K, 1, p->rows, K);
    }
}

static void bench_shape(const struct device *device, const struct machine *machine, int T, int N, int K)
{
    struct arena arena = ARENA_INIT;
    struct problem p = {.ops = device->ops, .T = T, .N = N, .K = K};
    size_t size_w = p.ops->matrix_elements(N, K), size_x = (size_t)T * (size_t)K, size_y = (size_t)T * (size_t)N;
    p.x = ARENA_NEW(&arena, float, size_x);
    p.y = ARENA_NEW(&arena, float, size_y);
    p.w = ARENA_NEW(&arena, float, size_w);
    p.rows = ARENA_NEW(&arena, float, size_w);
    for (p.kind = FORWARD; p.kind <= (T < 64 ? FORWARD : WEIGHT_GRAD); p.kind++) {
        bench_fill(p.x, size_x, 1);
        bench_fill(p.y, size_y, 2);
        bench_fill(p.w, size_w, 3);
        bench_fill(p.rows, size_w, 3);
        double ours = 1e9, theirs = 1e9, giga = 2e-9 * T * N * K;
        for (int round = 0; round < 20; round++) {
            ours = fmin(ours, bench_best(run_ours, &p));
            theirs = blas.sgemm ? fmin(theirs, bench_best(run_blas, &p)) : theirs;
        }
        printf("%d  %-13s %5d %6d %5d %9.1f %6.0f %%", device_threads(), kind_names[p.kind], T, N, K, giga / ours,
               100 * giga / ours / machine->gflops);
        if (blas.sgemm) {
            printf(" %10.1f %7.2f", giga / theirs, theirs / ours);
        }
        putchar('\n');
        fflush(stdout);
    }
    arena_release(&arena);
}

/* [T, N, K] of qkv, o, gate and up, down: training rows, and for the large model rows of decoding */
static const int shapes[][3] = {
    {256, 256, 128},  {256, 128, 128},  {256, 768, 128},  {256, 128, 384},  {1024, 256, 128},  {1024, 128, 128},
    {1024, 768, 128}, {1024, 128, 384}, {1024, 640, 384}, {1024, 384, 384}, {1024, 2304, 384}, {1024, 384, 1152},
    {1, 1152, 896},   {1, 9728, 896},   {1, 896, 4864},   {16, 1152, 896},  {16, 9728, 896},   {16, 896, 4864},
    {512, 1152, 896}, {512, 896, 896},  {512, 9728, 896}, {512, 896, 4864},
};

int main(int argc, char **argv)
{
    struct device *device;
    struct machine machine;
    int first = argc > 1 && (argv[1][0] < '0' || argv[1][0] > '9') ? 2 : 1;
    bool experts = first > 1 && strcmp(argv[1], "experts") == 0;
    bench_use_cpu_time(first > 1 && strcmp(argv[1], "cpu") == 0);
    BUG_ON(device_open(&device, "auto") != ERR_NONE);
    /* its threads spin for 2^20 cycles after a call, not 2^28, which is 100 ms on our core */
    setenv("OPENBLAS_THREAD_TIMEOUT", "20", 0);
    void *library = dlopen("libopenblas.so.0", RTLD_NOW);
    if (library) {
        *(void **)&blas.sgemm = dlsym(library, "cblas_sgemm");
        *(void **)&blas.set_threads = dlsym(library, "openblas_set_num_threads");
    } else {
        puts("OpenBLAS is absent: apt-get install libopenblas0-pthread");
    }
    for (int i = first; i < (argc > first ? argc : first + 1); i++) {
        device_set_threads(argc > first ? (int)strtol(argv[i], NULL, 10) : 0);
        if (library) {
            blas.set_threads(device_threads());
        }
        bench_machine(&machine);
        printf("\n%s, %d threads: %.0f GFLOP/s of multiply-adds, %.1f GB/s of copying\n", device->ops->name,
               device_threads(), machine.gflops, machine.gbytes);
        printf("threads, operation    T      N     K    GFLOP/s  of peak%s\n", library ? "   OpenBLAS   ratio" : "");
        for (size_t s = 0; !experts && s < sizeof shapes / sizeof *shapes; s++) {
            bench_shape(device, &machine, shapes[s][0], shapes[s][1], shapes[s][2]);
        }
        if (!experts) {
            bench_ops(device, &machine);
        }
        bench_experts(device, &machine);
    }
    device_close(device);
    return 0;
}

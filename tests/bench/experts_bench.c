/* tests/bench/experts_bench.c - products with a matrix per expert, compared with a dense product of the same multiply-adds.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "tests/bench/ops_bench.h"

enum kind { FORWARD, INPUT_GRAD, WEIGHT_GRAD, KINDS };
static const char *const kind_names[] = {"grouped y = x W^T", "grouped dx = dy W", "grouped dW += dy^T x"};

struct problem {
    const struct ops *ops;
    enum kind kind;
    int E, N, K, n; /* n: places, or rows of the dense product */
    int32_t *offsets;
    float *x, *y, *w;
};

static void run_grouped(void *context)
{
    const struct problem *p = context;
    struct grouped_grad_args grad = {
        .E = p->E, .N = p->N, .K = p->K, .n_places = p->n, .offsets = p->offsets, .dy = p->y, .w = p->w};
    if (p->kind == FORWARD) {
        p->ops->grouped_matmul(&(struct grouped_matmul_args){p->E, p->N, p->K, p->n, p->offsets, p->x, p->w, p->y});
    } else if (p->kind == INPUT_GRAD) {
        grad.dx = p->x;
        p->ops->grouped_input_grad(&grad);
    } else {
        grad.x = p->x;
        grad.dw = p->w;
        p->ops->grouped_weight_grad(&grad);
    }
}

static void run_dense(void *context)
{
    const struct problem *p = context;
    int T = p->n, N = p->N, K = p->K;
    if (p->kind == FORWARD) {
        p->ops->matmul(&(struct matmul_args){
            .T = T, .N = N, .K = K, .x = p->x, .x_stride = K, .w = p->w, .y = p->y, .y_stride = N});
    } else if (p->kind == INPUT_GRAD) {
        p->ops->matmul_input_grad(&(struct matmul_input_grad_args){
            .T = T, .N = N, .K = K, .dy = p->y, .dy_stride = N, .w = p->w, .dx = p->x, .dx_stride = K});
    } else {
        p->ops->matmul_weight_grad(&(struct matmul_weight_grad_args){
            .T = T, .N = N, .K = K, .dy = p->y, .dy_stride = N, .x = p->x, .x_stride = K, .dw = p->w});
    }
}

/* Rows of each expert: about equal, or half of all to the first. */
static void set_loads(struct problem *p, bool skewed)
{
    int first = skewed ? p->n / 2 : p->n / p->E, rest = p->n - first;
    p->offsets[0] = 0;
    for (int e = 0; e < p->E; e++) {
        p->offsets[e + 1] = first + (int)((long)rest * e / (p->E - 1));
    }
}

static void bench_shape(const struct device *device, const struct machine *machine, int E, int T, int N, int K,
                        bool skewed)
{
    struct arena arena = ARENA_INIT;
    struct problem p = {.ops = device->ops, .E = E, .N = N, .K = K, .n = T};
    size_t size_w = p.ops->matrix_elements(E * N, K), size_x = (size_t)T * (size_t)K, size_y = (size_t)T * (size_t)N;
    p.x = ARENA_NEW(&arena, float, size_x);
    p.y = ARENA_NEW(&arena, float, size_y);
    p.w = ARENA_NEW(&arena, float, size_w);
    p.offsets = ARENA_NEW(&arena, int32_t, E + 1);
    set_loads(&p, skewed);
    for (p.kind = FORWARD; p.kind < (T < 8 * E ? INPUT_GRAD : KINDS); p.kind++) {
        bench_fill(p.x, size_x, 1);
        bench_fill(p.y, size_y, 2);
        bench_fill(p.w, size_w, 3);
        double grouped = 1e9, dense = 1e9, giga = 2e-9 * T * N * K;
        for (int round = 0; round < 10; round++) {
            grouped = fmin(grouped, bench_best(run_grouped, &p));
            dense = fmin(dense, bench_best(run_dense, &p));
        }
        printf("%d  %-21s %3d %6d %5d %5d %-7s %9.1f %6.0f %% %9.1f %7.2f\n", device_threads(), kind_names[p.kind], E,
               T, N, K, skewed ? "skewed" : "even", giga / grouped, 100 * giga / grouped / machine->gflops,
               giga / dense, dense / grouped);
        fflush(stdout);
    }
    arena_release(&arena);
}

void bench_experts(const struct device *device, const struct machine *machine)
{
    /* experts, places (rows times experts of each), outputs, inputs: of decoding, then of training */
    static const int shapes[][4] = {{8, 32, 256, 128},    {16, 64, 256, 128},  {8, 32, 1536, 768},
                                    {128, 256, 512, 256}, {8, 2048, 256, 128}, {8, 2048, 128, 128},
                                    {16, 4096, 512, 256}, {8, 4096, 1536, 768}};
    printf("experts:                  E places     N     K load      GFLOP/s  of peak     dense   ratio\n");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (int skewed = 0; skewed < 2; skewed++) {
            bench_shape(device, machine, shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3], skewed);
        }
    }
}

/* tests/bench/ops_bench.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/ops_bench.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/arena.h"
#include "kernels/rng.h"
#include "tests/bench/bench.h"

/* ---- time ---- */

static bool use_cpu;

void bench_use_cpu_time(bool cpu)
{
    use_cpu = cpu;
}

/* The kernel brings the time of other threads up to date only with its ticks, so several threads need the clock. */
static double now(void)
{
    return use_cpu && device_threads() == 1 ? bench_cpu_seconds() : clock_seconds();
}

double bench_best(void (*call)(void *), void *context)
{
    struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
    nanosleep(&pause, NULL);
    double start = now();
    call(context);
    double first = now() - start, best = first;
    int inner = first > 0 && first < 2e-5 ? (int)(2e-5 / first) + 1 : 1;
    double finish = clock_seconds() + 0.01;
    for (int round = 0; round < 2 || clock_seconds() < finish; round++) {
        start = now();
        for (int i = 0; i < inner; i++) {
            call(context);
        }
        double seconds = (now() - start) / inner;
        best = seconds < best ? seconds : best;
    }
    return best;
}

void bench_fill(float *x, size_t n, unsigned stream)
{
    struct rng rng = rng_stream(1, stream);
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)rng_double(&rng) - 0.5f;
    }
}

/* ---- the machine ---- */

#define PEAK_STEPS 20000
#define COPY_BYTES ((size_t)64 << 20) /* for each thread */

/* Multiply-adds of a step: enough independent chains to hide their latency. The sum is returned so that they are done. */
typedef double peak_fn(int steps);

#if defined(__x86_64__)
#define PEAK_CHAINS 24

__attribute__((target("avx512f"))) static double peak_avx512(int steps)
{
    __m512 acc[PEAK_CHAINS], x = _mm512_set1_ps(0.999f);
    for (int i = 0; i < PEAK_CHAINS; i++) {
        acc[i] = _mm512_set1_ps((float)i);
    }
    for (int s = 0; s < steps; s++) {
#pragma GCC unroll 24
        for (int i = 0; i < PEAK_CHAINS; i++) {
            acc[i] = _mm512_fmadd_ps(acc[i], x, x);
        }
    }
    float sum = 0;
    for (int i = 0; i < PEAK_CHAINS; i++) {
        sum += _mm512_cvtss_f32(acc[i]);
    }
    return (double)sum;
}

__attribute__((target("avx2,fma"))) static double peak_avx2(int steps)
{
    enum { CHAINS = 12 };
    __m256 acc[CHAINS], x = _mm256_set1_ps(0.999f);
    for (int i = 0; i < CHAINS; i++) {
        acc[i] = _mm256_set1_ps((float)i);
    }
    for (int s = 0; s < steps * PEAK_CHAINS * 2 / CHAINS; s++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) {
            acc[i] = _mm256_fmadd_ps(acc[i], x, x);
        }
    }
    float sum = 0;
    for (int i = 0; i < CHAINS; i++) {
        sum += _mm256_cvtss_f32(acc[i]);
    }
    return (double)sum;
}
#endif

static peak_fn *peak_best(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f")) {
        return peak_avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return peak_avx2;
    }
#endif
    return NULL;
}

static volatile double peak_sink;

static void run_peak(void *context)
{
    (void)context;
    peak_fn *peak = peak_best();
#pragma omp parallel
    {
        double sum = peak ? peak(PEAK_STEPS) : 0;
#pragma omp critical
        peak_sink += sum;
    }
}

static void run_copy(void *context)
{
    char *memory = context;
#pragma omp parallel
    {
        char *mine = memory + (size_t)omp_get_thread_num() * 2 * COPY_BYTES;
        memcpy(mine, mine + COPY_BYTES, COPY_BYTES);
    }
}

void bench_machine(struct machine *machine)
{
    size_t threads = (size_t)device_threads(), bytes = threads * 2 * COPY_BYTES;
    char *memory = mem_alloc(bytes);
    memset(memory, 1, bytes);
    double best_peak = 1e9, best_copy = 1e9;
    for (int i = 0; i < 8; i++) {
        double peak = bench_best(run_peak, NULL), copy = bench_best(run_copy, memory);
        best_peak = peak < best_peak ? peak : best_peak;
        best_copy = copy < best_copy ? copy : best_copy;
    }
    free(memory);
    machine->gflops = peak_best() ? 1e-9 * 2 * 16 * 24 * PEAK_STEPS * (double)threads / best_peak : (double)NAN;
    machine->gbytes = 1e-9 * (double)bytes / best_copy;
}

/* ---- operations ---- */

/* The middle model of tests/bench/peers/30m, a training batch of 8 sequences of 256. */
enum { T = 2048, D_MODEL = 384, F = 1152, H = 6, J = 2, D = 64, V = 8192, SEQUENCES = 8, LENGTH = T / SEQUENCES };
enum { QKV = (H + 2 * J) * D, PAGES = SEQUENCES * LENGTH / OPS_PAGE };

struct arrays {
    const struct ops *ops;
    float *x, *y, *qkv, *dqkv, *attended, *dattended, *lse, *gate_up, *dgate_up, *act, *norm, *dnorm;
    float *k_pool, *v_pool, *head, *dhead, *row_numbers, *cos, *sin;
    int32_t tokens[T], positions[T], pages[PAGES];
    struct span spans[SEQUENCES];
    struct context contexts[SEQUENCES];
};

static void run_rmsnorm(void *context)
{
    struct arrays *a = context;
    a->ops->rmsnorm(&(struct rmsnorm_args){.T = T,
                                           .n_heads = 1,
                                           .width = D_MODEL,
                                           .eps = 1e-6f,
                                           .x = a->x,
                                           .x_stride = D_MODEL,
                                           .weight = a->norm,
                                           .y = a->y,
                                           .y_stride = D_MODEL});
}

static void run_rmsnorm_grad(void *context)
{
    struct arrays *a = context;
    a->ops->rmsnorm_grad(&(struct rmsnorm_grad_args){.T = T,
                                                     .n_heads = 1,
                                                     .width = D_MODEL,
                                                     .eps = 1e-6f,
                                                     .x = a->x,
                                                     .x_stride = D_MODEL,
                                                     .weight = a->norm,
                                                     .dy = a->y,
                                                     .dy_stride = D_MODEL,
                                                     .dx = a->attended,
                                                     .dx_stride = D_MODEL,
                                                     .dweight = a->dnorm});
}

static void run_rope(void *context)
{
    struct arrays *a = context;
    a->ops->rope(&(struct rope_args){.T = T,
                                     .n_heads = H,
                                     .D = D,
                                     .x = a->qkv,
                                     .x_stride = QKV,
                                     .positions = a->positions,
                                     .cos = a->cos,
                                     .sin = a->sin});
}

static void run_swiglu(void *context)
{
    struct arrays *a = context;
    a->ops->swiglu(&(struct swiglu_args){.T = T, .F = F, .gate_up = a->gate_up, .act = a->act});
}

static void run_swiglu_grad(void *context)
{
    struct arrays *a = context;
    a->ops->swiglu_grad(
        &(struct swiglu_args){.T = T, .F = F, .gate_up = a->gate_up, .dact = a->act, .dgate_up = a->dgate_up});
}

static void run_kv_store(void *context)
{
    struct arrays *a = context;
    a->ops->kv_store(&(struct kv_store_args){.n_spans = SEQUENCES,
                                             .spans = a->spans,
                                             .J = J,
                                             .D = D,
                                             .k = a->qkv + (ptrdiff_t)H * D,
                                             .v = a->qkv + (ptrdiff_t)(H + J) * D,
                                             .kv_stride = QKV,
                                             .k_pool = a->k_pool,
                                             .v_pool = a->v_pool});
}

static void run_attention(void *context)
{
    struct arrays *a = context;
    a->ops->attention(&(struct attention_args){.n_spans = SEQUENCES,
                                               .spans = a->spans,
                                               .H = H,
                                               .J = J,
                                               .D = D,
                                               .scale = 0.125f,
                                               .q = a->qkv,
                                               .q_stride = QKV,
                                               .k_pool = a->k_pool,
                                               .v_pool = a->v_pool,
                                               .out = a->attended,
                                               .out_stride = H * D,
                                               .lse = a->lse});
}

static void run_attention_grad(void *context)
{
    struct arrays *a = context;
    a->ops->attention_grad(&(struct attention_grad_args){.n_contexts = SEQUENCES,
                                                         .contexts = a->contexts,
                                                         .H = H,
                                                         .J = J,
                                                         .D = D,
                                                         .scale = 0.125f,
                                                         .q = a->qkv,
                                                         .k = a->qkv + (ptrdiff_t)H * D,
                                                         .v = a->qkv + (ptrdiff_t)(H + J) * D,
                                                         .qkv_stride = QKV,
                                                         .out = a->attended,
                                                         .dout = a->dattended,
                                                         .out_stride = H * D,
                                                         .lse = a->lse,
                                                         .dq = a->dqkv,
                                                         .dk = a->dqkv + (ptrdiff_t)H * D,
                                                         .dv = a->dqkv + (ptrdiff_t)(H + J) * D});
}

/* One new row for each of the sequences, at the end of LENGTH keys. */
static void run_decode_attention(void *context)
{
    struct arrays *a = context;
    struct span spans[SEQUENCES];
    for (int i = 0; i < SEQUENCES; i++) {
        spans[i] = (struct span){i, 1, LENGTH - 1, a->spans[i].pages};
    }
    a->ops->attention(&(struct attention_args){.n_spans = SEQUENCES,
                                               .spans = spans,
                                               .H = H,
                                               .J = J,
                                               .D = D,
                                               .scale = 0.125f,
                                               .q = a->qkv,
                                               .q_stride = QKV,
                                               .k_pool = a->k_pool,
                                               .v_pool = a->v_pool,
                                               .out = a->attended,
                                               .out_stride = H * D});
}

static void run_head(void *context)
{
    struct arrays *a = context;
    a->ops->head(&(struct head_args){.n_rows = T,
                                     .d = D_MODEL,
                                     .V = V,
                                     .hidden = a->x,
                                     .w = a->head,
                                     .inv_temperature = 1,
                                     .targets = a->tokens,
                                     .logprob = a->row_numbers,
                                     .lse = a->row_numbers + T,
                                     .entropy = a->row_numbers + 2 * T});
}

static void run_head_grad(void *context)
{
    struct arrays *a = context;
    a->ops->head_grad(&(struct head_grad_args){.n_rows = T,
                                               .d = D_MODEL,
                                               .V = V,
                                               .hidden = a->x,
                                               .w = a->head,
                                               .inv_temperature = 1,
                                               .targets = a->tokens,
                                               .lse = a->row_numbers + T,
                                               .d_logprob = a->row_numbers,
                                               .dhidden = a->y,
                                               .dw = a->dhead});
}

static void step_adamw(struct arrays *a, bool stochastic)
{
    a->ops->adamw(&(struct adamw_args){.n = (size_t)V * D_MODEL,
                                       .param = a->head,
                                       .grad = a->dhead,
                                       .m = a->k_pool,
                                       .v = a->v_pool,
                                       .grad_scale = 1,
                                       .lr = 1e-9f,
                                       .beta1 = 0.9f,
                                       .beta2 = 0.95f,
                                       .eps = 1e-8f,
                                       .correction1 = 1,
                                       .correction2 = 1,
                                       .stochastic = stochastic});
}

static void run_adamw(void *context)
{
    step_adamw(context, false);
}

static void run_adamw_stochastic(void *context)
{
    step_adamw(context, true);
}

static float *some(struct arena *arena, size_t n)
{
    float *x = ARENA_NEW(arena, float, n);
    bench_fill(x, n, (unsigned)n);
    return x;
}

static void fill_arrays(struct arrays *a, struct arena *arena)
{
    size_t rows = T, pool = (size_t)PAGES * ops_page_elements(J, D), matrix = (size_t)V * D_MODEL;
    size_t least = matrix > pool ? matrix : pool; /* the pools stand in for AdamW's moments */
    float **of_d[] = {&a->x, &a->y, &a->attended, &a->dattended};
    for (size_t i = 0; i < sizeof of_d / sizeof *of_d; i++) {
        *of_d[i] = some(arena, rows * D_MODEL);
    }
    a->qkv = some(arena, rows * QKV);
    a->dqkv = some(arena, rows * QKV);
    a->lse = some(arena, rows * H);
    a->gate_up = some(arena, rows * 2 * F);
    a->dgate_up = some(arena, rows * 2 * F);
    a->act = some(arena, rows * F);
    a->norm = some(arena, D_MODEL);
    a->dnorm = some(arena, D_MODEL);
    a->k_pool = some(arena, least);
    a->v_pool = ARENA_NEW(arena, float, least);
    a->head = some(arena, matrix);
    a->dhead = some(arena, matrix);
    a->row_numbers = some(arena, 3 * rows);
    a->cos = some(arena, (size_t)LENGTH * D / 2);
    a->sin = some(arena, (size_t)LENGTH * D / 2);
    for (int t = 0; t < T; t++) {
        a->tokens[t] = t % V;
        a->positions[t] = t % LENGTH;
    }
    for (int i = 0; i < PAGES; i++) {
        a->pages[i] = i;
    }
    for (int i = 0; i < SEQUENCES; i++) {
        a->spans[i] = (struct span){i * LENGTH, LENGTH, 0, a->pages + (ptrdiff_t)i * LENGTH / OPS_PAGE};
        a->contexts[i] = (struct context){0, 0, i * LENGTH, LENGTH};
    }
}

void bench_ops(const struct device *device, const struct machine *machine)
{
    const double row = 4.0 * T, pairs = (double)T * (LENGTH + 1) / 2 * H * D;
    const struct {
        const char *name;
        void (*run)(void *);
        double flops, bytes; /* what the arithmetic needs; what must be read and written once */
    } list[] = {
        {"rmsnorm", run_rmsnorm, 0, row * 2 * D_MODEL},
        {"rmsnorm_grad", run_rmsnorm_grad, 0, row * 3 * D_MODEL},
        {"rope", run_rope, 0, row * 2 * H * D},
        {"kv_store", run_kv_store, 0, row * 4 * J * D},
        {"attention", run_attention, 4 * pairs, 0},
        {"attention, decode", run_decode_attention, 0, 4.0 * SEQUENCES * LENGTH * 2 * J * D},
        {"swiglu", run_swiglu, 0, row * 3 * F},
        {"head", run_head, 2.0 * T * V * D_MODEL, 0},
        {"head_grad", run_head_grad, 6.0 * T * V * D_MODEL, 0},
        {"swiglu_grad", run_swiglu_grad, 0, row * 5 * F},
        {"attention_grad", run_attention_grad, 10 * pairs, 0},
        {"adamw", run_adamw, 0, 28.0 * V * D_MODEL},
        {"adamw, stochastic", run_adamw_stochastic, 0, 20.0 * V * D_MODEL},
    };
    struct arena arena = ARENA_INIT;
    struct arrays a = {.ops = device->ops};
    fill_arrays(&a, &arena);
    printf("other operations: T %d, d %d, F %d, heads %d/%d of %d, V %d, sequences of %d\n", T, D_MODEL, F, H, J, D, V,
           LENGTH);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        double seconds = 1e9;
        for (int round = 0; round < 10; round++) {
            double one = bench_best(list[i].run, &a);
            seconds = one < seconds ? one : seconds;
        }
        double flops = 1e-9 * list[i].flops / seconds, bytes = 1e-9 * list[i].bytes / seconds;
        printf("%d  %-20s %9.3f ms %9.1f %s %6.0f %% of peak\n", device_threads(), list[i].name, 1e3 * seconds,
               flops > 0 ? flops : bytes, flops > 0 ? "GFLOP/s" : "GB/s   ",
               flops > 0 ? 100 * flops / machine->gflops : 100 * bytes / machine->gbytes);
        fflush(stdout);
    }
    arena_release(&arena);
}

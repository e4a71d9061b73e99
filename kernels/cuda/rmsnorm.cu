/* kernels/cuda/rmsnorm.cu - RMS norm, forward and backward: a group of threads per slice, whose size depends on its
 * width alone.
 *
 * Thread i of a group of G sums the squares of runs i, i + G, ... of the slice by fma, a run's elements ascending; then
 * the butterfly of a warp, then warps ascending. A run is 8 elements where the width is a multiple of 8, else one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/device.cuh"

extern "C" {
#include "base/err.h"
}

static constexpr int WIDE = 256; /* wider slices have a block of their own */
static constexpr int THREADS = 128;
static constexpr int ROWS_PER_PART =
    CUDA_PART_ROWS; /* slices whose share of dweight is summed apart; the parts are added in order */

template <int GROUP> __device__ __forceinline__ float group_sum(float x, float *parts)
{
    return GROUP == LANES ? warp_sum(x) : block_sum<THREADS>(x, parts);
}

/* RUN elements, 8 or 1. */
template <int RUN> __device__ __forceinline__ struct eight load_run(const bf16 *p)
{
    if constexpr (RUN == 8) {
        return load8(p);
    } else {
        struct eight e = {};
        e.x[0] = to_float(*p);
        return e;
    }
}

template <int RUN> __device__ __forceinline__ void store_run(bf16 *p, const struct eight &e)
{
    if constexpr (RUN == 8) {
        store8(p, e);
    } else {
        *p = to_bf16(e.x[0]);
    }
}

/* 1 / sqrt(mean(x^2) + eps) */
template <int GROUP, int RUN> __device__ float rms_of(const bf16 *x, int n, float eps, float *parts)
{
    float sum = 0;
    for (int k = threadIdx.x % GROUP * RUN; k < n; k += GROUP * RUN) {
        struct eight v = load_run<RUN>(x + k);
#pragma unroll
        for (int i = 0; i < RUN; i++) {
            sum = __fmaf_rn(v.x[i], v.x[i], sum);
        }
    }
    sum = group_sum<GROUP>(sum, parts);
    return __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(__fdiv_rn(sum, (float)n), eps)));
}

/* The slice of this group; -1 past the end. */
template <int GROUP> __device__ __forceinline__ long slice_index(long n)
{
    long i = (long)blockIdx.x * (THREADS / GROUP) + threadIdx.x / GROUP;
    return i < n ? i : -1;
}

template <int GROUP, int RUN> __global__ void rmsnorm_kernel(struct rmsnorm_args a)
{
    __shared__ float parts[THREADS / LANES];
    long i = slice_index<GROUP>((long)a.T * a.n_heads);
    if (i < 0) {
        return;
    }
    long t = i / a.n_heads, h = i % a.n_heads;
    const bf16 *x = (const bf16 *)a.x + t * a.x_stride + h * a.width, *weight = (const bf16 *)a.weight;
    bf16 *y = (bf16 *)a.y + t * a.y_stride + h * a.width;
    float r = rms_of<GROUP, RUN>(x, a.width, a.eps, parts);
    for (int k = threadIdx.x % GROUP * RUN; k < a.width; k += GROUP * RUN) {
        struct eight v = load_run<RUN>(x + k), w = load_run<RUN>(weight + k);
#pragma unroll
        for (int e = 0; e < RUN; e++) {
            v.x[e] = __fmul_rn(__fmul_rn(v.x[e], r), w.x[e]);
        }
        store_run<RUN>(y + k, v);
    }
}

/* Whether runs of 8 begin at multiples of 16 bytes. */
static bool has_runs(int width, int stride, const void *p)
{
    return width % 8 == 0 && stride % 8 == 0 && (uintptr_t)p % 16 == 0;
}

/* The order of a sum must depend on the width alone, so a slice of whole runs has to begin at a whole run. */
static bool takes_runs(int width, bool fits)
{
    BUG_ON(width % 2 != 0 || (width % 8 == 0 && !fits));
    return fits;
}

#define LAUNCH_GROUPS(kernel, runs, width, n, ...)                                                                     \
    do {                                                                                                               \
        unsigned narrow = (unsigned)ceil_div((n), THREADS / LANES), wide = (unsigned)(n);                              \
        if ((width) <= WIDE) {                                                                                         \
            (runs) ? kernel<LANES, 8><<<narrow, THREADS, 0, cuda.stream>>>(__VA_ARGS__)                                \
                   : kernel<LANES, 1><<<narrow, THREADS, 0, cuda.stream>>>(__VA_ARGS__);                               \
        } else {                                                                                                       \
            (runs) ? kernel<THREADS, 8><<<wide, THREADS, 0, cuda.stream>>>(__VA_ARGS__)                                \
                   : kernel<THREADS, 1><<<wide, THREADS, 0, cuda.stream>>>(__VA_ARGS__);                               \
        }                                                                                                              \
        cuda_launched(#kernel);                                                                                        \
    } while (0)

void cuda_rmsnorm(const struct rmsnorm_args *a)
{
    int n = a->T * a->n_heads;
    bool runs = takes_runs(a->width, has_runs(a->width, a->x_stride, a->x) && has_runs(a->width, a->y_stride, a->y) &&
                                         has_runs(a->width, 0, a->weight));
    if (n > 0) {
        LAUNCH_GROUPS(rmsnorm_kernel, runs, a->width, n, *a);
    }
}

/* ---- backward: with g = dy * weight: dx = r g - x r^3 mean(g x); dweight += dy x r ---- */

template <int GROUP, int RUN> __global__ void rms_inverse_kernel(struct rmsnorm_grad_args a, float *r)
{
    __shared__ float parts[THREADS / LANES];
    long i = slice_index<GROUP>((long)a.T * a.n_heads);
    if (i < 0) {
        return;
    }
    const bf16 *x = (const bf16 *)a.x + i / a.n_heads * a.x_stride + i % a.n_heads * a.width;
    float inverse = rms_of<GROUP, RUN>(x, a.width, a.eps, parts);
    if (threadIdx.x % GROUP == 0) {
        r[i] = inverse;
    }
}

/* Sums dweight of a part of the slices, a thread two columns. */
__global__ void rms_dweight_kernel(struct rmsnorm_grad_args a, const float *r, float *parts)
{
    int k = (int)(blockIdx.x * THREADS + threadIdx.x) * 2;
    long n = (long)a.T * a.n_heads, first = (long)blockIdx.y * ROWS_PER_PART;
    long end = first + ROWS_PER_PART < n ? first + ROWS_PER_PART : n;
    if (k >= a.width) {
        return;
    }
    float sums[2] = {0, 0};
    for (long i = first; i < end; i++) {
        long t = i / a.n_heads, at = i % a.n_heads * a.width + k;
        const bf16 *x = (const bf16 *)a.x + t * a.x_stride + at, *dy = (const bf16 *)a.dy + t * a.dy_stride + at;
        float2 v = __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162 *>(x));
        float2 d = __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162 *>(dy));
        sums[0] = __fmaf_rn(__fmul_rn(d.x, v.x), r[i], sums[0]);
        sums[1] = __fmaf_rn(__fmul_rn(d.y, v.y), r[i], sums[1]);
    }
    parts[(long)blockIdx.y * a.width + k] = sums[0];
    parts[(long)blockIdx.y * a.width + k + 1] = sums[1];
}

__global__ void rms_add_parts_kernel(int width, int n_parts, const float *parts, float *dweight)
{
    int k = (int)(blockIdx.x * THREADS + threadIdx.x);
    if (k >= width) {
        return;
    }
    float sum = dweight[k];
    for (int i = 0; i < n_parts; i++) {
        sum = __fadd_rn(sum, parts[(long)i * width + k]);
    }
    dweight[k] = sum;
}

template <int GROUP, int RUN> __global__ void rms_dx_kernel(struct rmsnorm_grad_args a, const float *inverse)
{
    __shared__ float parts[THREADS / LANES];
    long i = slice_index<GROUP>((long)a.T * a.n_heads);
    if (i < 0) {
        return;
    }
    long t = i / a.n_heads, at = i % a.n_heads * a.width;
    const bf16 *x = (const bf16 *)a.x + t * a.x_stride + at, *dy = (const bf16 *)a.dy + t * a.dy_stride + at;
    const bf16 *weight = (const bf16 *)a.weight;
    bf16 *dx = (bf16 *)a.dx + t * a.dx_stride + at;
    float dot = 0, r = inverse[i];
    for (int k = threadIdx.x % GROUP * RUN; k < a.width; k += GROUP * RUN) {
        struct eight d = load_run<RUN>(dy + k), w = load_run<RUN>(weight + k), v = load_run<RUN>(x + k);
#pragma unroll
        for (int e = 0; e < RUN; e++) {
            dot = __fmaf_rn(__fmul_rn(d.x[e], w.x[e]), v.x[e], dot);
        }
    }
    dot = group_sum<GROUP>(dot, parts);
    float pull = __fmul_rn(-r * r * r, __fdiv_rn(dot, (float)a.width));
    for (int k = threadIdx.x % GROUP * RUN; k < a.width; k += GROUP * RUN) {
        struct eight d = load_run<RUN>(dy + k), w = load_run<RUN>(weight + k), v = load_run<RUN>(x + k), sum = {};
        if (a.accumulate) {
            sum = load_run<RUN>(dx + k);
        }
#pragma unroll
        for (int e = 0; e < RUN; e++) {
            float grad = __fmaf_rn(pull, v.x[e], __fmul_rn(r, __fmul_rn(d.x[e], w.x[e])));
            sum.x[e] = a.accumulate ? __fadd_rn(sum.x[e], grad) : grad;
        }
        store_run<RUN>(dx + k, sum);
    }
}

/* All of it in one pass over rows of whole runs: a warp per row, RUNS runs per lane, in registers. A block has
 * ROWS_PER_PART rows, and its share of dweight is the sum over its warps, each of which has every WARPS-th row. */
static constexpr int WARPS = THREADS / LANES;

template <int RUNS> __global__ void __launch_bounds__(THREADS) rms_grad_kernel(struct rmsnorm_grad_args a, float *parts)
{
    extern __shared__ float shares[]; /* [WARPS, width] */
    int warp = threadIdx.x / LANES, lane = threadIdx.x % LANES, first = (int)blockIdx.x * ROWS_PER_PART;
    int end = first + ROWS_PER_PART < a.T ? first + ROWS_PER_PART : a.T;
    const bf16 *weight = (const bf16 *)a.weight;
    float dweight[RUNS][8] = {};
    for (int t = first + warp; t < end; t += WARPS) {
        const bf16 *x = (const bf16 *)a.x + (size_t)t * a.x_stride, *dy = (const bf16 *)a.dy + (size_t)t * a.dy_stride;
        bf16 *dx = (bf16 *)a.dx + (size_t)t * a.dx_stride;
        uint4 xs[RUNS], dys[RUNS];
        float squares = 0, dot = 0;
#pragma unroll
        for (int i = 0; i < RUNS; i++) {
            int k = (i * LANES + lane) * 8;
            bool there = k < a.width;
            xs[i] = there ? *reinterpret_cast<const uint4 *>(x + k) : make_uint4(0, 0, 0, 0);
            dys[i] = there ? *reinterpret_cast<const uint4 *>(dy + k) : make_uint4(0, 0, 0, 0);
        }
#pragma unroll
        for (int i = 0; i < RUNS; i++) {
            int k = (i * LANES + lane) * 8;
            struct eight v = unpack8(xs[i]), d = unpack8(dys[i]), w = {};
            if (k < a.width) {
                w = load8(weight + k);
            }
#pragma unroll
            for (int e = 0; e < 8; e++) {
                squares = __fmaf_rn(v.x[e], v.x[e], squares);
                dot = __fmaf_rn(__fmul_rn(d.x[e], w.x[e]), v.x[e], dot);
            }
        }
        float mean = __fdiv_rn(warp_sum(squares), (float)a.width);
        float r = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(mean, a.eps)));
        float pull = __fmul_rn(-r * r * r, __fdiv_rn(warp_sum(dot), (float)a.width));
#pragma unroll
        for (int i = 0; i < RUNS; i++) {
            int k = (i * LANES + lane) * 8;
            if (k >= a.width) {
                continue;
            }
            struct eight v = unpack8(xs[i]), d = unpack8(dys[i]), w = load8(weight + k), sum = {};
            if (a.accumulate) {
                sum = load8(dx + k);
            }
#pragma unroll
            for (int e = 0; e < 8; e++) {
                float grad = __fmaf_rn(pull, v.x[e], __fmul_rn(r, __fmul_rn(d.x[e], w.x[e])));
                sum.x[e] = a.accumulate ? __fadd_rn(sum.x[e], grad) : grad;
                dweight[i][e] = __fmaf_rn(__fmul_rn(d.x[e], v.x[e]), r, dweight[i][e]);
            }
            store8(dx + k, sum);
        }
    }
#pragma unroll
    for (int i = 0; i < RUNS; i++) {
        for (int e = 0; e < 8; e++) {
            int k = (i * LANES + lane) * 8 + e;
            if (k < a.width) {
                shares[warp * a.width + k] = dweight[i][e];
            }
        }
    }
    __syncthreads();
    for (int k = threadIdx.x; k < a.width; k += THREADS) {
        float sum = shares[k];
        for (int i = 1; i < WARPS; i++) {
            sum = __fadd_rn(sum, shares[i * a.width + k]);
        }
        parts[(size_t)blockIdx.x * (size_t)a.width + (size_t)k] = sum;
    }
}

/* Whether rms_grad_kernel did it. */
static bool grad_in_one_pass(const struct rmsnorm_grad_args *a, bool runs, int n_parts, float *parts)
{
    size_t bytes = (size_t)WARPS * (size_t)a->width * sizeof(float);
    if (!runs || a->n_heads > 1 || a->width <= WIDE || a->width > 8 * 8 * LANES) {
        return false;
    }
    if (a->width <= 4 * 8 * LANES) {
        rms_grad_kernel<4><<<(unsigned)n_parts, THREADS, bytes, cuda.stream>>>(*a, parts);
    } else if (a->width <= 6 * 8 * LANES) {
        rms_grad_kernel<6><<<(unsigned)n_parts, THREADS, bytes, cuda.stream>>>(*a, parts);
    } else {
        rms_grad_kernel<8><<<(unsigned)n_parts, THREADS, bytes, cuda.stream>>>(*a, parts);
    }
    cuda_launched("rms_grad");
    return true;
}

static void add_parts(const struct rmsnorm_grad_args *a, int n_parts, const float *parts)
{
    if (!a->dweight) {
        return;
    }
    rms_add_parts_kernel<<<(unsigned)ceil_div(a->width, THREADS), THREADS, 0, cuda.stream>>>(a->width, n_parts, parts,
                                                                                             a->dweight);
    cuda_launched("rms_add_parts");
}

void cuda_rmsnorm_grad(const struct rmsnorm_grad_args *a)
{
    int n = a->T * a->n_heads, n_parts = ceil_div(n, ROWS_PER_PART);
    if (n == 0) {
        return;
    }
    bool runs = takes_runs(a->width, has_runs(a->width, a->x_stride, a->x) && has_runs(a->width, a->dy_stride, a->dy) &&
                                         has_runs(a->width, a->dx_stride, a->dx) && has_runs(a->width, 0, a->weight));
    float *r = (float *)cuda_slot(CUDA_SLOT_ROWS, (size_t)n * sizeof(float));
    float *parts = (float *)cuda_slot(CUDA_SLOT_PARTS, (size_t)n_parts * (size_t)a->width * sizeof(float));
    if (grad_in_one_pass(a, runs, n_parts, parts)) {
        add_parts(a, n_parts, parts);
        return;
    }
    LAUNCH_GROUPS(rms_inverse_kernel, runs, a->width, n, *a, r);
    /* before dx may take dy's place */
    if (a->dweight) {
        dim3 grid((unsigned)ceil_div(a->width, 2 * THREADS), (unsigned)n_parts);
        rms_dweight_kernel<<<grid, THREADS, 0, cuda.stream>>>(*a, r, parts);
        cuda_launched("rms_dweight");
        add_parts(a, n_parts, parts);
    }
    LAUNCH_GROUPS(rms_dx_kernel, runs, a->width, n, *a, r);
}

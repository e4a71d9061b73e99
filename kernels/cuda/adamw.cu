/* kernels/cuda/adamw.cu - the optimiser's update, and the sum of squares for clipping.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/device.cuh"

extern "C" {
#include "base/err.h"
}

static constexpr int THREADS = 256;
static constexpr int SQUARES_BLOCK = CUDA_SQUARES;

struct state {
    float w, m, v;
};

__device__ __forceinline__ void update(const struct adamw_args &a, float grad, struct state *s)
{
    float g = __fmul_rn(grad, a.grad_scale);
    s->m = __fmaf_rn(a.beta1, s->m, __fmul_rn(__fsub_rn(1.0f, a.beta1), g));
    s->v = __fmaf_rn(a.beta2, s->v, __fmul_rn(__fmul_rn(__fsub_rn(1.0f, a.beta2), g), g));
    float root = __fadd_rn(__fsqrt_rn(__fdiv_rn(s->v, a.correction2)), a.eps);
    float step = __fmaf_rn(a.weight_decay, s->w, __fdiv_rn(__fdiv_rn(s->m, a.correction1), root));
    s->w = __fmaf_rn(-a.lr, step, s->w);
}

__global__ void adamw_kernel(struct adamw_args a)
{
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= a.n) {
        return;
    }
    float *m = (float *)a.m, *v = (float *)a.v;
    struct state s = {a.master[i], m[i], v[i]};
    update(a, a.grad[i], &s);
    a.master[i] = s.w;
    m[i] = s.m;
    v[i] = s.v;
    ((bf16 *)a.param)[i] = to_bf16(s.w);
}

/* ---- everything in bf16, rounded stochastically; a thread has the two elements that share a block of Philox ---- */

__device__ __forceinline__ float low_half(uint32_t pair)
{
    return __uint_as_float(pair << 16);
}

__device__ __forceinline__ float high_half(uint32_t pair)
{
    return __uint_as_float(pair & 0xFFFF0000u);
}

__device__ __forceinline__ uint32_t round_pair(float low, float high, uint32_t random_low, uint32_t random_high)
{
    return (__float_as_uint(low) + random_low) >> 16 | ((__float_as_uint(high) + random_high) & 0xFFFF0000u);
}

__global__ void adamw_stochastic_kernel(struct adamw_args a)
{
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= a.n / 2) {
        return;
    }
    uint32_t *param = (uint32_t *)a.param + i, *m = (uint32_t *)a.m + i, *v = (uint32_t *)a.v + i;
    float2 grad = ((const float2 *)a.grad)[i];
    struct state x = {low_half(*param), low_half(*m), low_half(*v)};
    struct state y = {high_half(*param), high_half(*m), high_half(*v)};
    update(a, grad.x, &x);
    update(a, grad.y, &y);
    uint64_t pair = a.first / 2 + i;
    uint4 r = philox((uint32_t)pair, (uint32_t)(pair >> 32), (uint32_t)a.step, (uint32_t)(a.step >> 32),
                     (uint32_t)a.key, (uint32_t)(a.key >> 32));
    *m = round_pair(x.m, y.m, r.x & 0xFFFFu, r.z & 0xFFFFu);
    *v = round_pair(x.v, y.v, r.x >> 16, r.z >> 16);
    *param = round_pair(x.w, y.w, r.y & 0xFFFFu, r.w & 0xFFFFu);
}

void cuda_adamw(const struct adamw_args *a)
{
    BUG_ON(a->stochastic == (a->master != NULL) || (a->stochastic && (a->n % 2 != 0 || a->first % 2 != 0)));
    size_t threads = a->stochastic ? a->n / 2 : a->n;
    unsigned blocks = (unsigned)((threads + THREADS - 1) / THREADS);
    if (blocks == 0) {
        return;
    }
    if (a->stochastic) {
        adamw_stochastic_kernel<<<blocks, THREADS, 0, cuda.stream>>>(*a);
    } else {
        adamw_kernel<<<blocks, THREADS, 0, cuda.stream>>>(*a);
    }
    cuda_launched("adamw");
}

/* ---- sum of squares, in fp64: each thread its stride, then a tree ---- */

__device__ void add_tree(double *sums)
{
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) {
            sums[threadIdx.x] += sums[threadIdx.x + half];
        }
    }
    __syncthreads();
}

__global__ void squares_kernel(const float *x, size_t n, double *parts)
{
    __shared__ double sums[THREADS];
    size_t from = (size_t)blockIdx.x * SQUARES_BLOCK, end = from + SQUARES_BLOCK < n ? from + SQUARES_BLOCK : n;
    double sum = 0;
    for (size_t i = from + threadIdx.x; i < end; i += THREADS) {
        sum += (double)x[i] * (double)x[i];
    }
    sums[threadIdx.x] = sum;
    add_tree(sums);
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = sums[0];
    }
}

__global__ void add_squares_kernel(double *parts, size_t n)
{
    __shared__ double sums[THREADS];
    double sum = 0;
    for (size_t i = threadIdx.x; i < n; i += THREADS) {
        sum += parts[i];
    }
    sums[threadIdx.x] = sum;
    add_tree(sums);
    if (threadIdx.x == 0) {
        parts[n] = sums[0];
    }
}

double cuda_sum_squares(const float *x, size_t n)
{
    size_t blocks = (n + SQUARES_BLOCK - 1) / SQUARES_BLOCK;
    double *parts = (double *)cuda_slot(CUDA_SLOT_PARTS, (blocks + 1) * sizeof(double)), total = 0;
    if (n == 0) {
        return 0;
    }
    squares_kernel<<<(unsigned)blocks, THREADS, 0, cuda.stream>>>(x, n, parts);
    cuda_launched("squares");
    add_squares_kernel<<<1, THREADS, 0, cuda.stream>>>(parts, blocks);
    cuda_launched("add_squares");
    cuda_download(&total, parts + blocks, sizeof total);
    return total;
}

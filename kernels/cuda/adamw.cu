/* kernels/cuda/adamw.cu - the optimiser's update, and the sum of squares for clipping.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/device.cuh"

extern "C" {
#include "base/err.h"
}

#define THREADS       256
#define SQUARES_BLOCK CUDA_SQUARES

__global__ void adamw_kernel(struct adamw_args a)
{
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= a.n) {
        return;
    }
    float g = __fmul_rn(a.grad[i], a.grad_scale), w = a.master[i];
    float m = __fmaf_rn(a.beta1, a.m[i], __fmul_rn(__fsub_rn(1.0f, a.beta1), g));
    float v = __fmaf_rn(a.beta2, a.v[i], __fmul_rn(__fmul_rn(__fsub_rn(1.0f, a.beta2), g), g));
    float root = __fadd_rn(__fsqrt_rn(__fdiv_rn(v, a.correction2)), a.eps);
    float update = __fmaf_rn(a.weight_decay, w, __fdiv_rn(__fdiv_rn(m, a.correction1), root));
    w = __fmaf_rn(-a.lr, update, w);
    a.master[i] = w;
    a.m[i] = m;
    a.v[i] = v;
    ((bf16 *)a.param)[i] = to_bf16(w);
}

void cuda_adamw(const struct adamw_args *a)
{
    BUG_ON(!a->master);
    if (a->n > 0) {
        adamw_kernel<<<(unsigned)((a->n + THREADS - 1) / THREADS), THREADS, 0, cuda.stream>>>(*a);
        cuda_launched("adamw");
    }
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

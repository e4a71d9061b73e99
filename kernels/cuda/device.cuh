/* kernels/cuda/device.cuh - arithmetic that every kernel shares, each operation rounded where it is written.
 *
 * The log is that of kernels/cpu/vec.h, bit for bit. Sums over threads are butterflies: every thread gets the same
 * bits, and their order depends on the number of threads only, which is fixed for an operation.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CUDA_DEVICE_CUH
#define KERNELS_CUDA_DEVICE_CUH

#include <cuda_bf16.h>
#include <math_constants.h>
#include <stdint.h>

#include "kernels/cuda/cuda.h"

typedef __nv_bfloat16 bf16;

static constexpr int LANES = 32;
static constexpr float LOG2_E = 1.4426950408889634f;
static constexpr float LN_2 = 0.6931471805599453f;

static inline int ceil_div(int a, int b)
{
    return (a + b - 1) / b;
}

__device__ __forceinline__ float to_float(bf16 x)
{
    return __bfloat162float(x);
}

__device__ __forceinline__ bf16 to_bf16(float x)
{
    return __float2bfloat16_rn(x);
}

/* two elements as one register, the first in the low half */
__device__ __forceinline__ uint32_t pack_bf16(float low, float high)
{
    __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<uint32_t *>(&pair);
}

/* 2^x of the special-function unit: the same bits on every call on one kind of GPU; 2^-infinity = 0 */
__device__ __forceinline__ float fast_exp2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* e^x by fast_exp2 */
__device__ __forceinline__ float fast_exp(float x)
{
    return fast_exp2(__fmul_rn(x, LOG2_E));
}

/* 1 / x of the special-function unit, to 1 unit in the last place; 1 / infinity = 0 */
__device__ __forceinline__ float fast_inverse(float x)
{
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* Eight elements at 16 bytes, in and out. */
struct eight {
    float x[8];
};

__device__ __forceinline__ struct eight unpack8(const uint4 &raw)
{
    uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
    struct eight e;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        e.x[2 * i] = __uint_as_float(words[i] << 16);
        e.x[2 * i + 1] = __uint_as_float(words[i] & 0xFFFF0000u);
    }
    return e;
}

__device__ __forceinline__ struct eight load8(const bf16 *p)
{
    return unpack8(*reinterpret_cast<const uint4 *>(p));
}

__device__ __forceinline__ void store8(bf16 *p, const struct eight &e)
{
    *reinterpret_cast<uint4 *>(p) = make_uint4(pack_bf16(e.x[0], e.x[1]), pack_bf16(e.x[2], e.x[3]),
                                               pack_bf16(e.x[4], e.x[5]), pack_bf16(e.x[6], e.x[7]));
}

/* Eight elements times eight others, from the first to the last. */
__device__ __forceinline__ float dot8(const bf16 *a, const bf16 *b)
{
    struct eight x = load8(a), y = load8(b);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        sum = __fmaf_rn(x.x[i], y.x[i], sum);
    }
    return sum;
}

/* Words w[0 .. 3] of four lanes: lane i gets word i of each. */
__device__ __forceinline__ uint4 quad_transposed(uint32_t w0, uint32_t w1, uint32_t w2, uint32_t w3)
{
    bool odd = threadIdx.x % 2, upper = threadIdx.x / 2 % 2;
    uint32_t got0 = __shfl_xor_sync(0xFFFFFFFFu, odd ? w0 : w1, 1),
             got1 = __shfl_xor_sync(0xFFFFFFFFu, odd ? w2 : w3, 1);
    uint32_t a0 = odd ? got0 : w0, a1 = odd ? w1 : got0, b0 = odd ? got1 : w2, b1 = odd ? w3 : got1;
    uint32_t got2 = __shfl_xor_sync(0xFFFFFFFFu, upper ? a0 : b0, 2),
             got3 = __shfl_xor_sync(0xFFFFFFFFu, upper ? a1 : b1, 2);
    return upper ? make_uint4(got2, got3, b0, b1) : make_uint4(a0, a1, got2, got3);
}

/* vec_log of kernels/cpu/vec.h: x positive and normal */
__device__ __forceinline__ float exact_log(float x)
{
    float e = __fsub_rn((float)(__float_as_uint(x) >> 23), 127.0f);
    float m = __uint_as_float((__float_as_uint(x) & 0x007FFFFFu) | 0x3F800000u);
    if (1.41421356f < m) {
        e = __fadd_rn(e, 1.0f);
        m = __fmul_rn(m, 0.5f);
    }
    float y = __fsub_rn(m, 1.0f), z = __fmul_rn(y, y), p = 7.0376836292e-2f;
    p = __fmaf_rn(p, y, -1.1514610310e-1f);
    p = __fmaf_rn(p, y, 1.1676998740e-1f);
    p = __fmaf_rn(p, y, -1.2420140846e-1f);
    p = __fmaf_rn(p, y, 1.4249322787e-1f);
    p = __fmaf_rn(p, y, -1.6668057665e-1f);
    p = __fmaf_rn(p, y, 2.0000714765e-1f);
    p = __fmaf_rn(p, y, -2.4999993993e-1f);
    p = __fmaf_rn(p, y, 3.3333331174e-1f);
    p = __fmul_rn(__fmul_rn(p, y), z);
    p = __fmaf_rn(e, -2.12194440e-4f, p);
    p = __fmaf_rn(z, -0.5f, p);
    return __fmaf_rn(e, 0.693359375f, __fadd_rn(y, p));
}

/* vec_exp of kernels/cpu/vec.h */
__device__ __forceinline__ float exact_exp(float x)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23 */
    float y = fmaxf(fminf(x, 88.3f), -87.3f), shifted = __fmaf_rn(y, 1.44269504f, magic), n = __fsub_rn(shifted, magic);
    y = __fmaf_rn(n, -0.693359375f, y);
    y = __fmaf_rn(n, 2.12194440e-4f, y);
    float p = 1.9875691500e-4f;
    p = __fmaf_rn(p, y, 1.3981999507e-3f);
    p = __fmaf_rn(p, y, 8.3334519073e-3f);
    p = __fmaf_rn(p, y, 4.1665795894e-2f);
    p = __fmaf_rn(p, y, 1.6666665459e-1f);
    p = __fmaf_rn(p, y, 5.0000001201e-1f);
    p = __fmaf_rn(p, __fmul_rn(y, y), __fadd_rn(y, 1.0f));
    float power = __uint_as_float((__float_as_uint(shifted) + 127u - 0x4B400000u) << 23); /* 2^n */
    return x < -87.3f ? 0.0f : __fmul_rn(p, power);
}

/* Sum over the lanes of a warp, in all of them. */
__device__ __forceinline__ float warp_sum(float x)
{
#pragma unroll
    for (int half = LANES / 2; half > 0; half /= 2) {
        x = __fadd_rn(x, __shfl_xor_sync(0xFFFFFFFFu, x, half));
    }
    return x;
}

/* An integer of the same order as x, and back. */
__device__ __forceinline__ uint32_t ordered_bits(float x)
{
    uint32_t bits = __float_as_uint(x);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float from_ordered_bits(uint32_t bits)
{
    return __uint_as_float(bits & 0x80000000u ? bits & 0x7FFFFFFFu : ~bits);
}

/* The largest over the lanes of a warp, in all of them. */
__device__ __forceinline__ float warp_most(float x)
{
    return from_ordered_bits(__reduce_max_sync(0xFFFFFFFFu, ordered_bits(x)));
}

/* Sum over a block of THREADS threads, in all of them; `parts` is THREADS / 32 floats of shared memory. */
template <int THREADS> __device__ __forceinline__ float block_sum(float x, float *parts)
{
    x = warp_sum(x);
    if (threadIdx.x % LANES == 0) {
        parts[threadIdx.x / LANES] = x;
    }
    __syncthreads();
    float sum = parts[0];
#pragma unroll
    for (int i = 1; i < THREADS / LANES; i++) {
        sum = __fadd_rn(sum, parts[i]);
    }
    __syncthreads();
    return sum;
}

/* Philox4x32-10 of kernels/rng.h */
__device__ __forceinline__ uint4 philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1)
{
#pragma unroll
    for (int round = 0; round < 10; round++) {
        uint32_t high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
        uint32_t high2 = __umulhi(0xCD9E8D57u, c2), low2 = 0xCD9E8D57u * c2;
        c0 = high2 ^ c1 ^ k0;
        c1 = low2;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return make_uint4(c0, c1, c2, c3);
}

/* Gumbel noise of one word, as kernels/cpu/gumbel.c makes it. */
__device__ __forceinline__ float gumbel(uint32_t word)
{
    float u = __fmul_rn(__fadd_rn((float)(word >> 8), 0.5f), 5.9604644775390625e-8f);
    u = u < 0.999999940395355224609375f ? u : 0.999999940395355224609375f;
    float e = __fsub_rn(0.0f, exact_log(u));
    return __fsub_rn(0.0f, exact_log(e));
}

/* ---- tensor cores and copies ---- */

/* c += a b^T: a 16 x 16 in row order, b 8 x 16 */
__device__ __forceinline__ void mma16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1)
{
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ uint32_t shared_address(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}

__device__ __forceinline__ void load_matrices(uint32_t r[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row)));
}

__device__ __forceinline__ void load_matrices_transposed(uint32_t r[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row)));
}

/* 16 bytes from global to shared memory; zeros if not `there` */
__device__ __forceinline__ void copy16(void *to, const void *from, bool there)
{
    int bytes = there ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(bytes));
}

__device__ __forceinline__ void copies_commit()
{
    asm volatile("cp.async.commit_group;");
}

/* until at most N groups are under way */
template <int N> __device__ __forceinline__ void copies_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(N));
}

/* Whether this GPU has warpgroups and this build holds their code. */
static inline bool wgmma_usable()
{
#ifdef STROP_SM90A
    return cuda.capability == 90;
#else
    return false;
#endif
}

/* Lets a kernel use more than 48 KiB of shared memory: before each of its launches, all with as many bytes. */
template <auto KERNEL> static void allow_shared(size_t bytes)
{
    static int allowed_on = -1; /* GPU of the last call: the driver keeps it per GPU, as long as the process runs */
    if (allowed_on != cuda.index) {
        cuda_check(cudaFuncSetAttribute((const void *)KERNEL, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes),
                   "cudaFuncSetAttribute");
        allowed_on = cuda.index;
    }
}

#endif

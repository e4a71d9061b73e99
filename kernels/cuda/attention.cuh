/* kernels/cuda/attention.cuh - pieces of attention on tensor cores, for forward and backward.
 *
 * Rows of D elements are stored in shared memory in lines of DP + 8, where DP is D up to the next size a kernel is made
 * for; columns past D are zeros, which change no sum. D is a multiple of 8 and at most 128.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CUDA_ATTENTION_CUH
#define KERNELS_CUDA_ATTENTION_CUH

#include "kernels/cuda/device.cuh"

template <int DP> __host__ __device__ constexpr int line_of()
{
    return DP + 8;
}

/* Fragments of 16 rows of a for all of D. */
template <int DP> __device__ __forceinline__ void load_rows(uint32_t a[DP / 16][4], const bf16 *rows)
{
    int lane = threadIdx.x % LANES;
#pragma unroll
    for (int k = 0; k < DP / 16; k++) {
        load_matrices(a[k], rows + (lane % 16) * line_of<DP>() + k * 16 + lane / 16 * 8);
    }
}

/* s[i] = rows of a times lines 8 i .. 8 i + 7 of b, for N lines: each a chain over D, ascending. */
template <int DP, int N>
__device__ __forceinline__ void rows_times_lines(float s[N / 8][4], const uint32_t a[DP / 16][4], const bf16 *b)
{
    int lane = threadIdx.x % LANES;
#pragma unroll
    for (int i = 0; i < N / 8; i++) {
        s[i][0] = s[i][1] = s[i][2] = s[i][3] = 0;
    }
#pragma unroll
    for (int i = 0; i < N / 16; i++) {
#pragma unroll
        for (int k = 0; k < DP / 16; k++) {
            uint32_t f[4];
            load_matrices(f, b + (i * 16 + lane / 16 * 8 + lane % 8) * line_of<DP>() + k * 16 + lane / 8 % 2 * 8);
            mma16(s[2 * i], a[k], f[0], f[1]);
            mma16(s[2 * i + 1], a[k], f[2], f[3]);
        }
    }
}

/* o[i] += p times columns 8 i .. 8 i + 7 of b, over its lines k, of which p holds weights [16 rows][N lines] as
 * accumulators: each sum continues as a chain over the lines, 16 at a time, ascending. */
template <int DP, int N, int COLUMNS>
__device__ __forceinline__ void weights_times_columns(float o[COLUMNS / 8][4], const float p[N / 8][4], const bf16 *b)
{
    int lane = threadIdx.x % LANES;
#pragma unroll
    for (int k = 0; k < N / 16; k++) {
        uint32_t a[4] = {pack_bf16(p[2 * k][0], p[2 * k][1]), pack_bf16(p[2 * k][2], p[2 * k][3]),
                         pack_bf16(p[2 * k + 1][0], p[2 * k + 1][1]), pack_bf16(p[2 * k + 1][2], p[2 * k + 1][3])};
#pragma unroll
        for (int i = 0; i < COLUMNS / 16; i++) {
            uint32_t f[4];
            load_matrices_transposed(f, b + (k * 16 + lane % 16) * line_of<DP>() + i * 16 + lane / 16 * 8);
            mma16(o[2 * i], a, f[0], f[1]);
            mma16(o[2 * i + 1], a, f[2], f[3]);
        }
    }
}

/* A size that kernels are made for. */
static inline int padded_head(int D)
{
    return D <= 16 ? 16 : D <= 32 ? 32 : D <= 64 ? 64 : 128;
}

#endif

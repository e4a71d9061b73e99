/* kernels/cuda/gemm.cuh - the one inner product: a block's tile of sums, 16 at a time, ascending, from 0.
 *
 * BM x 128 sums per block, 64 x 32 per warp, in the layout of mma.sync's accumulators; 32 steps of k are in shared
 * memory at a time, four such stages under way by cp.async. FAST needs rows that start at 16 bytes and whole runs of 8
 * elements; otherwise elements are copied one by one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CUDA_GEMM_CUH
#define KERNELS_CUDA_GEMM_CUH

#include "kernels/cuda/device.cuh"

static constexpr int GEMM_BN = 128;
static constexpr int GEMM_BK = 32;
static constexpr int GEMM_STAGES = 4;
static constexpr int GEMM_PAD = 8; /* elements after each row of shared memory, so that ldmatrix meets no bank twice */

/* X(r, k) at p[r * ld + k], or transposed p[k * ld + r]; zero outside of rows x depth */
struct operand {
    const bf16 *p;
    size_t ld;
    int rows, depth;
};

struct sums {
    float c[4][4][4]; /* [16 rows][8 columns][accumulator] of a warp's 64 x 32 */
};

template <int BM> __host__ __device__ constexpr int gemm_threads()
{
    return BM * 2;
}

template <int ROWS, bool TRANSPOSED> __host__ __device__ constexpr int tile_elements()
{
    return TRANSPOSED ? GEMM_BK * (ROWS + GEMM_PAD) : ROWS * (GEMM_BK + GEMM_PAD);
}

template <int BM, bool AT, bool BT> __host__ __device__ constexpr size_t gemm_shared_bytes()
{
    return sizeof(bf16) * GEMM_STAGES * (size_t)(tile_elements<BM, AT>() + tile_elements<GEMM_BN, BT>());
}

/* Whether FAST may be used. */
static inline bool operand_is_fast(const void *p, size_t ld, int rows, int depth, bool transposed)
{
    return (uintptr_t)p % 16 == 0 && ld % 8 == 0 && (transposed ? rows : depth) % 8 == 0;
}

template <int ROWS, bool TRANSPOSED, bool FAST, int THREADS>
__device__ __forceinline__ void load_tile(bf16 *to, const struct operand &o, int row, int k)
{
    constexpr int RUN = TRANSPOSED ? ROWS : GEMM_BK,
                  LINES = TRANSPOSED ? GEMM_BK : ROWS; /* a line is contiguous in memory */
    int line0 = TRANSPOSED ? k : row, run0 = TRANSPOSED ? row : k;
    int n_lines = TRANSPOSED ? o.depth : o.rows, n_run = TRANSPOSED ? o.rows : o.depth;
    if constexpr (FAST) {
#pragma unroll
        for (int i = threadIdx.x; i < LINES * RUN / 8; i += THREADS) {
            int line = i / (RUN / 8), at = i % (RUN / 8) * 8;
            bool there = line0 + line < n_lines && run0 + at < n_run;
            const bf16 *from = there ? o.p + (size_t)(line0 + line) * o.ld + (size_t)(run0 + at) : o.p;
            copy16(to + line * (RUN + GEMM_PAD) + at, from, there);
        }
    } else {
        for (int i = threadIdx.x; i < LINES * RUN; i += THREADS) {
            int line = i / RUN, at = i % RUN;
            bool there = line0 + line < n_lines && run0 + at < n_run;
            to[line * (RUN + GEMM_PAD) + at] =
                there ? o.p[(size_t)(line0 + line) * o.ld + (size_t)(run0 + at)] : __ushort_as_bfloat16(0);
        }
    }
}

/* Multiplies one stage. */
template <int BM, bool AT, bool BT>
__device__ __forceinline__ void multiply_stage(struct sums &s, const bf16 *as, const bf16 *bs, int warp_m, int warp_n)
{
    constexpr int A_LINE = (AT ? BM : GEMM_BK) + GEMM_PAD, B_LINE = (BT ? GEMM_BN : GEMM_BK) + GEMM_PAD;
    int lane = threadIdx.x % LANES;
#pragma unroll
    for (int k = 0; k < GEMM_BK; k += 16) {
        uint32_t a[4][4], b[2][4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int m = warp_m + i * 16;
            if (AT) {
                load_matrices_transposed(a[i], as + (k + lane % 8 + lane / 16 * 8) * A_LINE + m + lane / 8 % 2 * 8);
            } else {
                load_matrices(a[i], as + (m + lane % 16) * A_LINE + k + lane / 16 * 8);
            }
        }
#pragma unroll
        for (int j = 0; j < 2; j++) {
            int n = warp_n + j * 16;
            if (BT) {
                load_matrices_transposed(b[j], bs + (k + lane % 16) * B_LINE + n + lane / 16 * 8);
            } else {
                load_matrices(b[j], bs + (n + lane / 16 * 8 + lane % 8) * B_LINE + k + lane / 8 % 2 * 8);
            }
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                mma16(s.c[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
            }
        }
    }
}

/* Adds the products of rows m .. of A and n .. of B to s. `shared` holds gemm_shared_bytes; it is free again when this
 * returns. */
template <int BM, bool AT, bool BT, bool FAST>
__device__ __forceinline__ void multiply(struct sums &s, const struct operand &a, const struct operand &b, int m, int n,
                                         bf16 *shared)
{
    constexpr int THREADS = gemm_threads<BM>(), A = tile_elements<BM, AT>(), B = tile_elements<GEMM_BN, BT>();
    int warp = threadIdx.x / LANES, warp_m = warp / 4 * 64, warp_n = warp % 4 * 32;
    int steps = (a.depth + GEMM_BK - 1) / GEMM_BK;
    bf16 *as = shared, *bs = shared + GEMM_STAGES * A;
    for (int i = 0; i < GEMM_STAGES - 1; i++) {
        if (i < steps) {
            load_tile<BM, AT, FAST, THREADS>(as + i * A, a, m, i * GEMM_BK);
            load_tile<GEMM_BN, BT, FAST, THREADS>(bs + i * B, b, n, i * GEMM_BK);
        }
        copies_commit();
    }
    for (int i = 0; i < steps; i++) {
        copies_wait<GEMM_STAGES - 2>();
        __syncthreads();
        int next = i + GEMM_STAGES - 1;
        if (next < steps) {
            load_tile<BM, AT, FAST, THREADS>(as + next % GEMM_STAGES * A, a, m, next * GEMM_BK);
            load_tile<GEMM_BN, BT, FAST, THREADS>(bs + next % GEMM_STAGES * B, b, n, next * GEMM_BK);
        }
        copies_commit();
        multiply_stage<BM, AT, BT>(s, as + i % GEMM_STAGES * A, bs + i % GEMM_STAGES * B, warp_m, warp_n);
    }
    copies_wait<0>();
    __syncthreads();
}

/* Row and column, within the block's tile, of accumulator e of the warp's piece (i, j). */
__device__ __forceinline__ int sum_row(int i, int e)
{
    return (int)threadIdx.x / LANES / 4 * 64 + i * 16 + (int)threadIdx.x % LANES / 4 + e / 2 * 8;
}

__device__ __forceinline__ int sum_column(int j, int e)
{
    return (int)threadIdx.x / LANES % 4 * 32 + j * 8 + (int)threadIdx.x % 4 * 2 + e % 2;
}

#endif

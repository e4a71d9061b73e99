/* kernels/cuda/grouped.cuh - products of rows that are sorted by expert with the experts' matrices.
 *
 * How many rows an expert has is known on the device only: each block makes a table of where each expert's tiles begin, and
 * looks up what a tile of its own belongs to.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CUDA_GROUPED_CUH
#define KERNELS_CUDA_GROUPED_CUH

#include "kernels/cuda/gemm.cuh"

static constexpr int MOST_EXPERTS = CUDA_MOST_EXPERTS;

/* Rows: c [n_places, N] = a [n_places, K] times b, E matrices [N, K] or, transposed, [K, N].
 * Weights: c, E matrices [N, K] of fp32, += a^T b over the rows of each; a [n_places, N], b [n_places, K]. */
struct grouped {
    const char *what;
    int E, N, K, n_places;
    const int32_t *offsets;
    const bf16 *a, *b;
    void *c;
};

/* by[e]: tiles of ROWS rows before expert e; by[E]: of all. By all threads of the block. */
template <int ROWS, class T> __device__ __forceinline__ void count_tiles(int E, const int32_t *offsets, T *by)
{
    if (threadIdx.x < LANES) {
        int lane = (int)threadIdx.x, before = 0;
        for (int base = 0; base < E; base += LANES) {
            int e = base + lane, n = e < E ? (offsets[e + 1] - offsets[e] + ROWS - 1) / ROWS : 0, sum = n;
#pragma unroll
            for (int step = 1; step < LANES; step *= 2) {
                int left = __shfl_up_sync(0xFFFFFFFFu, sum, step);
                sum += lane >= step ? left : 0;
            }
            if (e < E) {
                by[e] = (T)(before + sum - n);
            }
            before += __shfl_sync(0xFFFFFFFFu, sum, LANES - 1);
        }
        if (lane == 0) {
            by[E] = (T)before;
        }
    }
    __syncthreads();
}

/* The expert of a tile < by[E]. */
__device__ __forceinline__ int expert_of(const int *by, int E, int tile)
{
    int low = 0, high = E; /* by[low] <= tile < by[high] */
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (by[middle] <= tile) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* On Hopper (kernels/cuda/grouped_flow.cu): false where a shape is not for it. */
bool grouped_flow_rows(const struct grouped *g, bool transposed);
bool grouped_flow_weights(const struct grouped *g);

#endif

/* kernels/cuda/experts.cu - rows sorted by expert, and the experts' outputs added up.
 *
 * Pairs are sorted by counting: a warp counts a run of pairs per expert, counts become places by sums over the runs
 * before, and the warp goes through its run again. Where a pair goes depends on the pairs before it alone.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/device.cuh"

extern "C" {
#include "base/err.h"
}

/* ---- sorting pairs ---- */

static constexpr int SORT_THREADS = 512;
static constexpr int SORT_WARPS = SORT_THREADS / LANES;
static constexpr int RUN = CUDA_SORT_PAIRS / SORT_WARPS; /* pairs of a warp */

static_assert(RUN % LANES == 0, "whole rounds of a warp");

/* counts[w][e]: of the run of warp w of this block */
struct sort_counts {
    int of[SORT_WARPS][CUDA_MOST_EXPERTS];
};

/* Does use(i, expert, mine) for pair i of this warp's run; mine: the pairs of this round with the same expert, by lane. All
 * lanes call it; expert -1: there is no pair. */
template <class USE> __device__ __forceinline__ void each_pair(const struct expert_order_args &a, const USE &use)
{
    int n = a.T * a.k, warp = (int)threadIdx.x / LANES;
    int first = (int)blockIdx.x * CUDA_SORT_PAIRS + warp * RUN;
    for (int i = first + (int)threadIdx.x % LANES; i - (int)threadIdx.x % LANES < first + RUN; i += LANES) {
        int expert = i < n ? a.experts[i] : -1;
        use(i, expert, __match_any_sync(0xFFFFFFFFu, expert));
    }
}

__device__ __forceinline__ bool is_first(uint32_t lanes)
{
    return __ffs((int)lanes) - 1 == (int)threadIdx.x % LANES;
}

/* Counts the runs of this block; then counts.of[w][e]: of the warps before w. Returns the sum of expert threadIdx.x. */
__device__ __forceinline__ int count_runs(const struct expert_order_args &a, struct sort_counts &counts)
{
    int warp = (int)threadIdx.x / LANES, sum = 0;
    for (int i = (int)threadIdx.x; i < SORT_WARPS * a.E; i += SORT_THREADS) {
        counts.of[i / a.E][i % a.E] = 0;
    }
    __syncthreads();
    each_pair(a, [&](int, int expert, uint32_t mine) {
        if (expert >= 0 && is_first(mine)) {
            counts.of[warp][expert] += __popc(mine);
        }
        __syncwarp();
    });
    __syncthreads();
    if ((int)threadIdx.x < a.E) {
        for (int w = 0; w < SORT_WARPS; w++) {
            int n = counts.of[w][threadIdx.x];
            counts.of[w][threadIdx.x] = sum;
            sum += n;
        }
    }
    return sum;
}

/* Sum of the numbers of all threads before this one; `parts`: SORT_WARPS of shared memory. */
__device__ __forceinline__ int sum_before(int x, int *parts)
{
    int lane = (int)threadIdx.x % LANES, warp = (int)threadIdx.x / LANES, sum = x;
#pragma unroll
    for (int step = 1; step < LANES; step *= 2) {
        int left = __shfl_up_sync(0xFFFFFFFFu, sum, step);
        sum += lane >= step ? left : 0;
    }
    if (lane == LANES - 1) {
        parts[warp] = sum;
    }
    __syncthreads();
    int before = 0;
    for (int w = 0; w < warp; w++) {
        before += parts[w];
    }
    return before + sum - x;
}

/* Gives each pair of this block its place; next.of[w][e]: that of the first of warp w with expert e. */
__device__ __forceinline__ void place_pairs(const struct expert_order_args &a, struct sort_counts &next)
{
    int warp = (int)threadIdx.x / LANES, lane = (int)threadIdx.x % LANES;
    each_pair(a, [&](int i, int expert, uint32_t mine) {
        int place = expert < 0 ? 0 : next.of[warp][expert] + __popc(mine & ((1u << lane) - 1));
        __syncwarp();
        if (expert >= 0) {
            a.places[i] = place;
            a.pairs[place] = i;
            a.rows[place] = i / a.k;
            if (is_first(mine)) {
                next.of[warp][expert] += __popc(mine);
            }
        }
        __syncwarp();
    });
}

/* All of it, in one block. */
__global__ void __launch_bounds__(SORT_THREADS) order_kernel(struct expert_order_args a)
{
    __shared__ struct sort_counts counts;
    __shared__ int parts[SORT_WARPS];
    int n = count_runs(a, counts), before = sum_before((int)threadIdx.x < a.E ? n : 0, parts);
    if ((int)threadIdx.x < a.E) {
        a.offsets[threadIdx.x] = before;
        a.offsets[a.E] = a.T * a.k;
        for (int w = 0; w < SORT_WARPS; w++) {
            counts.of[w][threadIdx.x] += before;
        }
    }
    __syncthreads();
    place_pairs(a, counts);
}

/* blocks[b][e]: pairs of block b */
__global__ void __launch_bounds__(SORT_THREADS) count_kernel(struct expert_order_args a, int *blocks)
{
    __shared__ struct sort_counts counts;
    int n = count_runs(a, counts);
    if ((int)threadIdx.x < a.E) {
        blocks[(int)blockIdx.x * a.E + (int)threadIdx.x] = n;
    }
}

__global__ void __launch_bounds__(SORT_THREADS) place_kernel(struct expert_order_args a, const int *blocks)
{
    __shared__ struct sort_counts counts;
    __shared__ int parts[SORT_WARPS];
    int e = (int)threadIdx.x, all = 0, earlier = 0;
    (void)count_runs(a, counts);
    for (int b = 0; e < a.E && b < (int)gridDim.x; b++) {
        int n = blocks[b * a.E + e];
        earlier += b < (int)blockIdx.x ? n : 0;
        all += n;
    }
    int before = sum_before(all, parts);
    if (e < a.E) {
        if (blockIdx.x == 0) {
            a.offsets[e] = before;
            a.offsets[a.E] = a.T * a.k;
        }
        for (int w = 0; w < SORT_WARPS; w++) {
            counts.of[w][e] += before + earlier;
        }
    }
    __syncthreads();
    place_pairs(a, counts);
}

void cuda_expert_order(const struct expert_order_args *a)
{
    int blocks = ceil_div(a->T * a->k, CUDA_SORT_PAIRS);
    BUG_ON(a->E > CUDA_MOST_EXPERTS);
    if (blocks <= 1) {
        order_kernel<<<1, SORT_THREADS, 0, cuda.stream>>>(*a);
        cuda_launched("expert_order");
        return;
    }
    int *counts = (int *)cuda_slot(CUDA_SLOT_ROWS, (size_t)blocks * (size_t)a->E * sizeof(int));
    count_kernel<<<(unsigned)blocks, SORT_THREADS, 0, cuda.stream>>>(*a, counts);
    cuda_launched("expert_order counts");
    place_kernel<<<(unsigned)blocks, SORT_THREADS, 0, cuda.stream>>>(*a, counts);
    cuda_launched("expert_order");
}

/* ---- sums over experts ---- */

static constexpr int COMBINE_THREADS = 128;

/* acc += weight x, eight elements */
__device__ __forceinline__ void add_row(struct eight &acc, float weight, const bf16 *x)
{
    struct eight e = load8(x);
#pragma unroll
    for (int i = 0; i < 8; i++) {
        acc.x[i] = __fmaf_rn(weight, e.x[i], acc.x[i]);
    }
}

/* A block per row, eight elements per thread at a time: d is a multiple of 8. */
__global__ void __launch_bounds__(COMBINE_THREADS) combine_eights_kernel(struct combine_args a)
{
    size_t t = blockIdx.x, d = (size_t)a.d;
    const int32_t *places = a.places + t * (size_t)a.k;
    const float *weights = a.weights ? a.weights + t * (size_t)a.k : NULL;
    const bf16 *x = (const bf16 *)a.x, *shared = (const bf16 *)a.shared, *residual = (const bf16 *)a.residual;
    for (size_t i = threadIdx.x * 8; i < d; i += COMBINE_THREADS * 8) {
        struct eight acc = {};
#pragma unroll 8
        for (int j = 0; j < a.k; j++) {
            add_row(acc, weights ? weights[j] : 1, x + (size_t)places[j] * d + i);
        }
        if (shared) {
            add_row(acc, a.gates ? a.gates[t] : 1, shared + t * d + i);
        }
        if (residual) {
            struct eight r = load8(residual + t * d + i);
#pragma unroll
            for (int e = 0; e < 8; e++) {
                acc.x[e] = __fadd_rn(r.x[e], acc.x[e]);
            }
        }
        store8((bf16 *)a.y + t * d + i, acc);
    }
}

__global__ void __launch_bounds__(COMBINE_THREADS) combine_kernel(struct combine_args a)
{
    size_t t = blockIdx.x, d = (size_t)a.d;
    for (size_t i = threadIdx.x; i < d; i += COMBINE_THREADS) {
        float acc = 0;
        for (int j = 0; j < a.k; j++) {
            size_t pair = t * (size_t)a.k + (size_t)j;
            acc = __fmaf_rn(a.weights ? a.weights[pair] : 1,
                            to_float(((const bf16 *)a.x)[(size_t)a.places[pair] * d + i]), acc);
        }
        if (a.shared) {
            acc = __fmaf_rn(a.gates ? a.gates[t] : 1, to_float(((const bf16 *)a.shared)[t * d + i]), acc);
        }
        if (a.residual) {
            acc = __fadd_rn(to_float(((const bf16 *)a.residual)[t * d + i]), acc);
        }
        ((bf16 *)a.y)[t * d + i] = to_bf16(acc);
    }
}

void cuda_combine(const struct combine_args *a)
{
    if (a->T == 0) {
        return;
    }
    if (a->d % 8 == 0) {
        combine_eights_kernel<<<(unsigned)a->T, COMBINE_THREADS, 0, cuda.stream>>>(*a);
    } else {
        combine_kernel<<<(unsigned)a->T, COMBINE_THREADS, 0, cuda.stream>>>(*a);
    }
    cuda_launched("combine");
}

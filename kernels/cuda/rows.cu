/* kernels/cuda/rows.cu - rows picked from an array, and gradients added to rows that may repeat.
 *
 * Backward, the first of the entries with one destination adds for all of them, in order, so the sums have one order
 * and no atomics. A first kernel links each entry to the next one with its destination.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/device.cuh"

static constexpr int THREADS = 128;
static constexpr int STRIPES = 128;
static constexpr int MANY_ROWS = 16384;

__global__ void gather_kernel(int width, const int32_t *rows, const bf16 *x, bf16 *y)
{
    const bf16 *from = x + (size_t)rows[blockIdx.x] * (size_t)width;
    bf16 *to = y + (size_t)blockIdx.x * (size_t)width;
    for (int k = threadIdx.x; k < width; k += THREADS) {
        to[k] = from[k];
    }
}

/* A warp per row, 16 bytes per lane at a time, many of them under way: width is a multiple of 8. Warps of the same time have rows
 * of `n_stripes` stripes: where rows are sorted by expert, these are the same rows of x, and are read from memory once. What
 * is written is not kept in the cache. */
__global__ void gather_eights_kernel(int n, int width, int n_stripes, const int32_t *rows, const bf16 *x, bf16 *y)
{
    constexpr int RUN = 8;
    int warp = (int)(blockIdx.x * (THREADS / LANES) + threadIdx.x / LANES), per = (n + n_stripes - 1) / n_stripes;
    int i = warp % n_stripes * per + warp / n_stripes, eights = width / 8;
    if (i >= n || warp / n_stripes >= per) {
        return;
    }
    const uint4 *from = reinterpret_cast<const uint4 *>(x + (size_t)rows[i] * (size_t)width);
    uint4 *to = reinterpret_cast<uint4 *>(y + (size_t)i * (size_t)width), run[RUN];
    for (int k = (int)threadIdx.x % LANES; k < eights; k += RUN * LANES) {
#pragma unroll
        for (int j = 0; j < RUN; j++) {
            if (k + j * LANES < eights) {
                run[j] = __ldg(from + k + j * LANES);
            }
        }
#pragma unroll
        for (int j = 0; j < RUN; j++) {
            if (k + j * LANES < eights) {
                __stcs(to + k + j * LANES, run[j]);
            }
        }
    }
}

static void gather(int n, int width, const int32_t *rows, const void *x, void *y)
{
    if (n == 0) {
        return;
    }
    if (width % 8 == 0) {
        int n_stripes = n < MANY_ROWS ? 1 : STRIPES, warps = ceil_div(n, n_stripes) * n_stripes;
        gather_eights_kernel<<<(unsigned)ceil_div(warps, THREADS / LANES), THREADS, 0, cuda.stream>>>(
            n, width, n_stripes, rows, (const bf16 *)x, (bf16 *)y);
    } else {
        gather_kernel<<<(unsigned)n, THREADS, 0, cuda.stream>>>(width, rows, (const bf16 *)x, (bf16 *)y);
    }
    cuda_launched("gather");
}

void cuda_gather_rows(const struct rows_args *a)
{
    gather(a->n_rows, a->width, a->rows, a->x, a->y);
}

void cuda_embedding(const struct embedding_args *a)
{
    gather(a->T, a->d, a->tokens, a->table, a->y);
}

/* ---- adding ---- */

/* Index of the nearest entry equal to rows[i], going by `step` from i; -1 if there is none. One warp. */
__device__ int nearest(const int32_t *rows, int n, int i, int step)
{
    int key = rows[i], lane = threadIdx.x % LANES;
    for (int base = i + step; base >= 0 && base < n; base += step * LANES) {
        int j = base + step * lane;
        unsigned found = __ballot_sync(0xFFFFFFFFu, j >= 0 && j < n && rows[j] == key);
        if (found) {
            return base + step * (__ffs((int)found) - 1);
        }
    }
    return -1;
}

/* next[i]: the next entry with the same destination or -1; -2 - that, if an earlier one has it too */
__global__ void link_kernel(const int32_t *rows, int n, int32_t *next)
{
    int i = (int)(blockIdx.x * (THREADS / LANES) + threadIdx.x / LANES);
    if (i >= n) {
        return;
    }
    int after = nearest(rows, n, i, 1), before = nearest(rows, n, i, -1);
    if (threadIdx.x % LANES == 0) {
        next[i] = before < 0 ? after : -3 - after;
    }
}

__device__ __forceinline__ float load_sum(const float *p)
{
    return *p;
}
__device__ __forceinline__ float load_sum(const bf16 *p)
{
    return to_float(*p);
}
__device__ __forceinline__ void store_sum(float *p, float x)
{
    *p = x;
}
__device__ __forceinline__ void store_sum(bf16 *p, float x)
{
    *p = to_bf16(x);
}

/* y[rows[i]] += x[i], summed in fp32 and rounded once */
template <class T>
__global__ void add_rows_kernel(int width, const int32_t *rows, const int32_t *next, const bf16 *x, T *y)
{
    int first = (int)blockIdx.x;
    if (next[first] < -1) {
        return; /* an earlier entry does it */
    }
    T *to = y + (size_t)rows[first] * (size_t)width;
    for (int k = threadIdx.x; k < width; k += THREADS) {
        float sum = load_sum(to + k);
        for (int i = first; i >= 0;) {
            sum = __fadd_rn(sum, to_float(x[(size_t)i * (size_t)width + (size_t)k]));
            int after = next[i];
            i = after < -1 ? -3 - after : after;
        }
        store_sum(to + k, sum);
    }
}

template <class T> static void add_rows(int n, int width, const int32_t *rows, const void *x, T *y)
{
    if (n == 0) {
        return;
    }
    int32_t *next = (int32_t *)cuda_slot(CUDA_SLOT_ROWS, (size_t)n * sizeof(int32_t));
    link_kernel<<<(unsigned)ceil_div(n, THREADS / LANES), THREADS, 0, cuda.stream>>>(rows, n, next);
    cuda_launched("link");
    add_rows_kernel<<<(unsigned)n, THREADS, 0, cuda.stream>>>(width, rows, next, (const bf16 *)x, y);
    cuda_launched("add_rows");
}

void cuda_scatter_add_rows(const struct rows_args *a)
{
    add_rows(a->n_rows, a->width, a->rows, a->x, (bf16 *)a->y);
}

void cuda_embedding_grad(const struct embedding_args *a)
{
    if (a->dtable) {
        add_rows(a->T, a->d, a->tokens, a->dy, a->dtable);
    }
}

/* kernels/cuda/attention_rows.cuh - the softmax of attention, for a lane's two rows of the sixteen of its warp.
 *
 * Half 0 is row lane / 4, half 1 the one eight rows below. The arithmetic is written down in kernels/cuda/attention.cu.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CUDA_ATTENTION_ROWS_CUH
#define KERNELS_CUDA_ATTENTION_ROWS_CUH

#include "kernels/cuda/device.cuh"

static constexpr float NEVER = -__builtin_inff();

struct block {
    const struct cuda_task *tasks;
    const int32_t *pages;
    int heads; /* query heads per key/value head */
    int H, J, D, Dv, q_stride, out_stride;
    float scale_log2;
    const bf16 *q, *k_pool, *v_pool;
    bf16 *out;
    float *lse;
};

/* Where query row r of a task and key/value head j begins in an array of rows of heads that are `width` wide. */
static __device__ __forceinline__ size_t row_at(const struct block &b, const struct cuda_task &t, int j, int r,
                                                int stride, int width)
{
    size_t head = (size_t)j * (size_t)b.heads + (size_t)(r % b.heads);
    return (size_t)(t.row + r / b.heads) * (size_t)stride + head * (size_t)width;
}

/* Sums -> scaled scores, and -infinity from each row's limit on. first: the key of s[0]'s first column. */
template <int N>
static __device__ __forceinline__ void scale_and_hide(float s[N / 8][4], float scale, int first, const int limit[2])
{
#pragma unroll
    for (int i = 0; i < N / 8; i++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            int key = first + i * 8 + (int)threadIdx.x % 4 * 2 + e % 2;
            s[i][e] = key < limit[e / 2] ? __fmul_rn(s[i][e], scale) : NEVER;
        }
    }
}

/* The same where all keys are seen. */
template <int N> static __device__ __forceinline__ void scale_all(float s[N / 8][4], float scale)
{
#pragma unroll
    for (int i = 0; i < N / 8; i++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            s[i][e] = __fmul_rn(s[i][e], scale);
        }
    }
}

template <int N> static __device__ __forceinline__ float row_most(const float s[N / 8][4], int half)
{
    float most = NEVER;
#pragma unroll
    for (int i = 0; i < N / 8; i++) {
        most = fmaxf(most, fmaxf(s[i][2 * half], s[i][2 * half + 1]));
    }
    most = fmaxf(most, __shfl_xor_sync(0xFFFFFFFFu, most, 1));
    return fmaxf(most, __shfl_xor_sync(0xFFFFFFFFu, most, 2));
}

/* Scores of a quarter -> weights; their sum. */
static __device__ __forceinline__ float quarter_weights(float s[4][4], int half, float most)
{
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int e = 2 * half; e < 2 * half + 2; e++) {
            s[i][e] = fast_exp2(__fsub_rn(s[i][e], most));
            sum = __fadd_rn(sum, s[i][e]);
        }
    }
    sum = __fadd_rn(sum, __shfl_xor_sync(0xFFFFFFFFu, sum, 1));
    return __fadd_rn(sum, __shfl_xor_sync(0xFFFFFFFFu, sum, 2));
}

static __device__ __forceinline__ float next_sum(float l, float a, const float quarters[4])
{
    float sum = __fadd_rn(__fadd_rn(quarters[0], quarters[1]), __fadd_rn(quarters[2], quarters[3]));
    return __fadd_rn(__fmul_rn(l, a), sum);
}

/* A page's scores -> weights, with m and l of the two rows; a: what the sums so far are to be multiplied by. */
static __device__ __forceinline__ void page_weights(float s[OPS_PAGE / 8][4], float m[2], float l[2], float a[2])
{
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float most = fmaxf(m[half], row_most<OPS_PAGE>(s, half)), quarters[4];
        a[half] = fast_exp2(__fsub_rn(m[half], most));
#pragma unroll
        for (int i = 0; i < 4; i++) {
            quarters[i] = quarter_weights(s + 4 * i, half, most);
        }
        l[half] = next_sum(l[half], a[half], quarters);
        m[half] = most;
    }
}

template <int COLUMNS> static __device__ __forceinline__ void shrink(float o[COLUMNS / 8][4], const float a[2])
{
#pragma unroll
    for (int i = 0; i < COLUMNS / 8; i++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            o[i][e] = __fmul_rn(o[i][e], a[e / 2]);
        }
    }
}

static __device__ __forceinline__ void store_lse(const struct block &b, const struct cuda_task &t, int j, int r,
                                                 float m, float l)
{
    size_t head = (size_t)j * (size_t)b.heads + (size_t)(r % b.heads);
    b.lse[(size_t)(t.row + r / b.heads) * (size_t)b.H + head] = __fadd_rn(__fmul_rn(m, LN_2), exact_log(l));
}

/* Stores columns `first` .. of a lane's two rows, r and r + 8. */
template <int COLUMNS>
static __device__ __forceinline__ void store_rows(const struct block &b, const struct cuda_task &t, int j, int r,
                                                  int first, const float o[COLUMNS / 8][4], const float m[2],
                                                  const float l[2])
{
#pragma unroll
    for (int half = 0; half < 2; half++, r += 8) {
        if (r >= t.n_rows * b.heads) {
            return;
        }
        bf16 *out = b.out + row_at(b, t, j, r, b.out_stride, b.Dv);
#pragma unroll
        for (int i = 0; i < COLUMNS / 8; i++) {
            int column = first + i * 8 + (int)threadIdx.x % 4 * 2;
            if (column < b.Dv) {
                *reinterpret_cast<uint32_t *>(out + column) =
                    pack_bf16(__fdiv_rn(o[i][2 * half], l[half]), __fdiv_rn(o[i][2 * half + 1], l[half]));
            }
        }
        if (b.lse && first == 0 && threadIdx.x % 4 == 0) {
            store_lse(b, t, j, r, m[half], l[half]);
        }
    }
}

/* The tasks of many rows on Hopper (kernels/cuda/attention_flow.cu). */
bool attention_flow_serves(const struct block *b);
int attention_flow_rows(void); /* of a task */
void attention_flow(const struct block *b, int n_tasks, int n_rows);

#endif

/* kernels/cpu/rope.c - rotary embedding.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"

/* Rotates the pairs (x, y) by `n` angles: (x cos - y sin, y cos + x sin) go to (to_x, to_y). */
static void rope_rotate(const float *x, const float *y, float *to_x, float *to_y, const float *cos, const float *sin,
                        int n, float sign)
{
    for (int i = 0; i < n; i += VEC_LANES) {
        int lanes = n - i < VEC_LANES ? n - i : VEC_LANES;
        vec a = vec_load_n(x + i, lanes, 0), b = vec_load_n(y + i, lanes, 0);
        vec c = vec_load_n(cos + i, lanes, 0), s = vec_mul(vec_set(sign), vec_load_n(sin + i, lanes, 0));
        vec_store_n(to_x + i, vec_fma(a, c, vec_sub(vec_zero(), vec_mul(b, s))), lanes);
        vec_store_n(to_y + i, vec_fma(b, c, vec_mul(a, s)), lanes);
    }
}

static void rope_head(const struct rope_args *a, const float *x, float *y, const float *cos, const float *sin)
{
    int half = a->D / 2;
    float sign = a->inverse ? -1.0f : 1.0f;
    if (!a->interleaved) {
        rope_rotate(x, x + half, y, y + half, cos, sin, half, sign);
        return;
    }
    float even[VEC_LANES], odd[VEC_LANES];
    for (int i = 0; i < half; i += VEC_LANES) {
        int lanes = half - i < VEC_LANES ? half - i : VEC_LANES;
        for (int j = 0; j < lanes; j++) {
            even[j] = x[2 * (i + j)];
            odd[j] = x[2 * (i + j) + 1];
        }
        rope_rotate(even, odd, even, odd, cos + i, sin + i, lanes, sign);
        for (int j = 0; j < lanes; j++) {
            y[2 * (i + j)] = even[j];
            y[2 * (i + j) + 1] = odd[j];
        }
    }
}

void ISA_NAME(rope)(const struct rope_args *a)
{
    int threads = cpu_threads_for((double)a->T * a->n_heads * a->D * 4);
    ptrdiff_t x_head = a->x_head > 0 ? a->x_head : a->D, y_stride = a->y ? a->y_stride : a->x_stride;
    ptrdiff_t y_head = a->y ? a->y_head : x_head;
    float *y = a->y ? a->y : a->x;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int t = 0; t < a->T; t++) {
        ptrdiff_t at = (ptrdiff_t)a->positions[t] * (a->D / 2);
        for (int h = 0; h < a->n_heads; h++) {
            rope_head(a, (const float *)a->x + (ptrdiff_t)t * a->x_stride + h * x_head, y + t * y_stride + h * y_head,
                      a->cos + at, a->sin + at);
        }
    }
}

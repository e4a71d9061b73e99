/* kernels/cpu/rmsnorm.c - RMS norm, forward and backward.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"

#define ROWS_PER_PART 64 /* rows whose share of dweight is summed apart; the parts are added in order */

static vec load_part(const float *p, int i, int n)
{
    return n - i >= VEC_LANES ? vec_load(p + i) : vec_load_n(p + i, n - i, 0.0f);
}

static void store_part(float *p, int i, int n, vec a)
{
    if (n - i >= VEC_LANES) {
        vec_store(p + i, a);
    } else {
        vec_store_n(p + i, a, n - i);
    }
}

static float inverse_rms(const float *x, int n, float eps)
{
    vec sum = vec_zero();
    for (int i = 0; i < n; i += VEC_LANES) {
        vec v = load_part(x, i, n);
        sum = vec_fma(v, v, sum);
    }
    return 1.0f / sqrtf(vec_sum(sum) / (float)n + eps);
}

void ISA_NAME(rmsnorm)(const struct rmsnorm_args *a)
{
    const float *weight = a->weight;
    int threads = cpu_threads_for((double)a->T * a->n_heads * a->width * 4);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int t = 0; t < a->T; t++) {
        for (int h = 0; h < a->n_heads; h++) {
            const float *x = (const float *)a->x + (ptrdiff_t)t * a->x_stride + (ptrdiff_t)h * a->width;
            float *y = (float *)a->y + (ptrdiff_t)t * a->y_stride + (ptrdiff_t)h * a->width;
            vec r = vec_set(inverse_rms(x, a->width, a->eps));
            for (int i = 0; i < a->width; i += VEC_LANES) {
                vec v = vec_mul(vec_mul(load_part(x, i, a->width), r), load_part(weight, i, a->width));
                store_part(y, i, a->width, v);
            }
        }
    }
}

/* With g = dy * weight: dx = r g - x r^3 mean(g x); dweight += dy x r. */
static void rmsnorm_grad_slice(const struct rmsnorm_grad_args *a, int t, int h, float *dweight)
{
    ptrdiff_t at = (ptrdiff_t)h * a->width;
    const float *x = (const float *)a->x + (ptrdiff_t)t * a->x_stride + at, *weight = a->weight;
    const float *dy = (const float *)a->dy + (ptrdiff_t)t * a->dy_stride + at;
    float *dx = (float *)a->dx + (ptrdiff_t)t * a->dx_stride + at;
    int n = a->width;
    float r = inverse_rms(x, n, a->eps);
    vec dot = vec_zero();
    for (int i = 0; i < n; i += VEC_LANES) {
        dot = vec_fma(vec_mul(load_part(dy, i, n), load_part(weight, i, n)), load_part(x, i, n), dot);
    }
    vec pull = vec_set(-r * r * r * (vec_sum(dot) / (float)n)), scale = vec_set(r);
    for (int i = 0; i < n; i += VEC_LANES) {
        vec d = load_part(dy, i, n), v = load_part(x, i, n);
        vec grad = vec_fma(pull, v, vec_mul(scale, vec_mul(d, load_part(weight, i, n))));
        if (dweight) {
            store_part(dweight, i, n, vec_fma(vec_mul(d, v), scale, load_part(dweight, i, n)));
        }
        store_part(dx, i, n, a->accumulate ? vec_add(load_part(dx, i, n), grad) : grad);
    }
}

void ISA_NAME(rmsnorm_grad)(const struct rmsnorm_grad_args *a)
{
    int parts = div_up(a->T, ROWS_PER_PART);
    float *sums = cpu_scratch(SCRATCH_STATS, (size_t)parts * (size_t)a->width);
    memset(sums, 0, (size_t)parts * (size_t)a->width * sizeof *sums);
    int threads = cpu_threads_for((double)a->T * a->n_heads * a->width * 8);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int part = 0; part < parts; part++) {
        int end = (part + 1) * ROWS_PER_PART < a->T ? (part + 1) * ROWS_PER_PART : a->T;
        for (int t = part * ROWS_PER_PART; t < end; t++) {
            for (int h = 0; h < a->n_heads; h++) {
                rmsnorm_grad_slice(a, t, h, a->dweight ? sums + (ptrdiff_t)part * a->width : NULL);
            }
        }
    }
    for (int part = 0; a->dweight && part < parts; part++) {
        for (int i = 0; i < a->width; i++) {
            a->dweight[i] += sums[(ptrdiff_t)part * a->width + i];
        }
    }
}

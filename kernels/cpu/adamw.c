/* kernels/cpu/adamw.c - the optimiser's update, and the sum of squares for clipping.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/philox.h"

#define SQUARES_BLOCK 4096

static void adamw_range(const struct adamw_args *a, float *param, const float *grad, float *moment1, float *moment2,
                        size_t length)
{
    const vec b1 = vec_set(a->beta1), b2 = vec_set(a->beta2), one1 = vec_set(1 - a->beta1),
              one2 = vec_set(1 - a->beta2);
    const vec scale = vec_set(a->grad_scale), eps = vec_set(a->eps), lr = vec_set(-a->lr),
              decay = vec_set(a->weight_decay);
    const vec correction1 = vec_set(a->correction1), correction2 = vec_set(a->correction2);
    for (size_t i = 0; i < length; i += VEC_LANES) {
        int n = length - i < VEC_LANES ? (int)(length - i) : VEC_LANES;
        vec g = vec_mul(vec_load_n(grad + i, n, 0), scale), w = vec_load_n(param + i, n, 0);
        vec m = vec_fma(b1, vec_load_n(moment1 + i, n, 0), vec_mul(one1, g));
        vec v = vec_fma(b2, vec_load_n(moment2 + i, n, 0), vec_mul(vec_mul(one2, g), g));
        vec root = vec_add(vec_sqrt(vec_div(v, correction2)), eps);
        vec update = vec_fma(decay, w, vec_div(vec_div(m, correction1), root));
        vec_store_n(param + i, vec_fma(lr, update, w), n);
        vec_store_n(moment1 + i, m, n);
        vec_store_n(moment2 + i, v, n);
    }
}

/* ---- moments in bf16 ---- */

#define ROUND_BLOCK (2 * PHILOX_BLOCKS) /* elements of one call of philox_blocks: a counter for two */

static void widen(float *to, const uint16_t *from, size_t n)
{
    uint32_t bits[ROUND_BLOCK];
    for (size_t i = 0; i < n; i++) {
        bits[i] = (uint32_t)from[i] << 16;
    }
    memcpy(to, bits, n * sizeof *to);
}

/* shift: which half of an element's first word */
static void round_block(uint16_t *to, const float *from, size_t n, uint32_t words[4][PHILOX_BLOCKS], int shift)
{
    uint32_t bits[ROUND_BLOCK];
    memcpy(bits, from, n * sizeof *from);
    for (size_t i = 0; i < n; i += 2) {
        to[i] = (uint16_t)((bits[i] + (words[0][i / 2] >> shift & 0xFFFFu)) >> 16);
        to[i + 1] = (uint16_t)((bits[i + 1] + (words[2][i / 2] >> shift & 0xFFFFu)) >> 16);
    }
}

static void stochastic_block(const struct adamw_args *a, size_t from, size_t n)
{
    float m[ROUND_BLOCK], v[ROUND_BLOCK];
    uint16_t *m16 = (uint16_t *)a->m + from, *v16 = (uint16_t *)a->v + from;
    uint32_t words[4][PHILOX_BLOCKS];
    for (uint64_t i = 0; i < PHILOX_BLOCKS; i++) {
        uint64_t pair = (a->first + from) / 2 + i;
        words[0][i] = (uint32_t)pair;
        words[1][i] = (uint32_t)(pair >> 32);
        words[2][i] = (uint32_t)a->step;
        words[3][i] = (uint32_t)(a->step >> 32);
    }
    philox_blocks(words, a->key);
    widen(m, m16, n);
    widen(v, v16, n);
    adamw_range(a, (float *)a->param + from, a->grad + from, m, v, n);
    round_block(m16, m, n, words, 0);
    round_block(v16, v, n, words, 16);
}

static void stochastic_range(const struct adamw_args *a, size_t from, size_t to)
{
    for (; from < to; from += ROUND_BLOCK) {
        stochastic_block(a, from, to - from < ROUND_BLOCK ? to - from : ROUND_BLOCK);
    }
}

void ISA_NAME(adamw)(const struct adamw_args *a)
{
    size_t blocks = div_up_size(a->n, SQUARES_BLOCK);
    int threads = cpu_threads_for((double)a->n * 16);
    BUG_ON(a->stochastic && (a->n % 2 != 0 || a->first % 2 != 0));
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (size_t b = 0; b < blocks; b++) {
        size_t from = b * SQUARES_BLOCK, end = from + SQUARES_BLOCK < a->n ? from + SQUARES_BLOCK : a->n;
        if (a->stochastic) {
            stochastic_range(a, from, end);
        } else {
            adamw_range(a, (float *)a->param + from, a->grad + from, (float *)a->m + from, (float *)a->v + from,
                        end - from);
        }
    }
}

double ISA_NAME(sum_squares)(const float *x, size_t n)
{
    enum { PARTS = 1024 };
    double total = 0, sums[PARTS];
    int threads = cpu_threads_for((double)n * 4);
    for (size_t first = 0; first < n; first += (size_t)PARTS * SQUARES_BLOCK) {
        size_t left = div_up_size(n - first, SQUARES_BLOCK);
        int parts = left < PARTS ? (int)left : PARTS;
#pragma omp parallel for num_threads(threads) if (threads > 1)
        for (int b = 0; b < parts; b++) {
            size_t from = first + (size_t)b * SQUARES_BLOCK;
            size_t to = from + SQUARES_BLOCK < n ? from + SQUARES_BLOCK : n;
            double lanes[8] = {0};
            for (size_t i = from; i < to; i++) {
                lanes[(i - from) % 8] += (double)x[i] * (double)x[i];
            }
            sums[b] = ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
        }
        for (int b = 0; b < parts; b++) {
            total += sums[b];
        }
    }
    return total;
}

void ISA_NAME(add)(float *to, const float *from, size_t n)
{
    int threads = cpu_threads_for((double)n * 4);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < n; i++) {
        to[i] += from[i];
    }
}

void ISA_NAME(mix)(void *to, const void *from, size_t n, float share)
{
    float *x = to, rest = 1 - share;
    const float *y = from;
    int threads = cpu_threads_for((double)n * 4);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < n; i++) {
        x[i] = share * y[i] + rest * x[i];
    }
}

void ISA_NAME(scale)(void *x, size_t n, float factor)
{
    float *values = x;
    int threads = cpu_threads_for((double)n * 2);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < n; i++) {
        values[i] *= factor;
    }
}

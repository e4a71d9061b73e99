/* kernels/cpu/swiglu.c - the gated activation, forward and backward.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"

static vec sigmoid(vec g)
{
    const vec one = vec_set(1.0f);
    return vec_div(one, vec_add(one, vec_exp(vec_sub(vec_zero(), g))));
}

void ISA_NAME(swiglu)(const struct swiglu_args *a)
{
    int threads = cpu_threads_for((double)a->T * a->F * 16);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int t = 0; t < a->T; t++) {
        const float *gate = (const float *)a->gate_up + (ptrdiff_t)t * 2 * a->F, *up = gate + a->F;
        float *act = (float *)a->act + (ptrdiff_t)t * a->F;
        for (int i = 0; i < a->F; i += VEC_LANES) {
            int n = a->F - i < VEC_LANES ? a->F - i : VEC_LANES;
            vec g = n == VEC_LANES ? vec_load(gate + i) : vec_load_n(gate + i, n, 0);
            vec u = n == VEC_LANES ? vec_load(up + i) : vec_load_n(up + i, n, 0);
            vec y = vec_mul(vec_mul(g, sigmoid(g)), u);
            if (n == VEC_LANES) {
                vec_store(act + i, y);
            } else {
                vec_store_n(act + i, y, n);
            }
        }
    }
}

/* silu'(g) = s (1 + g (1 - s)), s = sigmoid(g) */
void ISA_NAME(swiglu_grad)(const struct swiglu_args *a)
{
    int threads = cpu_threads_for((double)a->T * a->F * 24);
    const vec one = vec_set(1.0f);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int t = 0; t < a->T; t++) {
        ptrdiff_t at = (ptrdiff_t)t * 2 * a->F;
        const float *gate = (const float *)a->gate_up + at, *up = gate + a->F;
        const float *dact = (const float *)a->dact + (ptrdiff_t)t * a->F;
        float *dgate = (float *)a->dgate_up + at, *dup = dgate + a->F;
        for (int i = 0; i < a->F; i += VEC_LANES) {
            int n = a->F - i < VEC_LANES ? a->F - i : VEC_LANES;
            vec g = vec_load_n(gate + i, n, 0), u = vec_load_n(up + i, n, 0), d = vec_load_n(dact + i, n, 0);
            vec s = sigmoid(g);
            vec slope = vec_mul(s, vec_fma(g, vec_sub(one, s), one));
            vec_store_n(dgate + i, vec_mul(vec_mul(d, u), slope), n);
            vec_store_n(dup + i, vec_mul(d, vec_mul(g, s)), n);
        }
    }
}

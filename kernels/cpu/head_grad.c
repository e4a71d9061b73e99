/* kernels/cpu/head_grad.c - the LM head backward: logits again, a piece of the vocabulary at a time.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"

#define PIECE 512 /* tokens of the vocabulary at once */
#define ROWS  1024

/* Logits x [n] of one row become their gradients. */
static void dlogit_row(const struct head_grad_args *a, int r, float *x, int first, int n)
{
    float entropy_grad = a->d_entropy ? a->d_entropy[r] : 0.0f, entropy = a->d_entropy ? a->entropy[r] : 0.0f;
    vec scale = vec_set(a->inv_temperature), lse = vec_set(a->lse[r]), down = vec_set(-a->d_logprob[r]);
    vec pull = vec_set(-entropy_grad), mean = vec_set(entropy);
    for (int i = 0; i < n; i += VEC_LANES) {
        vec logprob = vec_sub(vec_mul(vec_load(x + i), scale), lse), p = vec_exp(logprob);
        vec slope = vec_fma(pull, vec_add(logprob, mean), down);
        vec_store(x + i, vec_mul(vec_mul(p, slope), scale));
    }
    int at = a->targets[r] - first;
    if (at >= 0 && at < n) {
        x[at] += a->d_logprob[r] * a->inv_temperature;
    }
}

static void head_grad_piece(const struct head_grad_args *a, int row, int n_rows, int first, float *x)
{
    int n = a->V - first < PIECE ? a->V - first : PIECE;
    const float *hidden = (const float *)a->hidden + (ptrdiff_t)row * a->d;
    const float *w = (const float *)a->w + (size_t)first * (size_t)a->d;
    ISA_NAME(matmul)
    (&(struct matmul_args){
        .T = n_rows, .N = n, .K = a->d, .x = hidden, .x_stride = a->d, .w = w, .y = x, .y_stride = PIECE});
    int threads = cpu_threads_for((double)n_rows * n * 16);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int r = 0; r < n_rows; r++) {
        dlogit_row(a, row + r, x + (ptrdiff_t)r * PIECE, first, n);
    }
    ISA_NAME(matmul_weight_grad)
    (&(struct matmul_weight_grad_args){.T = n_rows,
                                       .N = n,
                                       .K = a->d,
                                       .dy = x,
                                       .dy_stride = PIECE,
                                       .x = hidden,
                                       .x_stride = a->d,
                                       .dw = a->dw ? a->dw + (size_t)first * (size_t)a->d : NULL});
    ISA_NAME(matmul_input_grad)
    (&(struct matmul_input_grad_args){.T = n_rows,
                                      .N = n,
                                      .K = a->d,
                                      .dy = x,
                                      .dy_stride = PIECE,
                                      .w = w,
                                      .dx = (float *)a->dhidden + (ptrdiff_t)row * a->d,
                                      .dx_stride = a->d,
                                      .accumulate = first > 0});
}

void ISA_NAME(head_grad)(const struct head_grad_args *a)
{
    for (int row = 0; row < a->n_rows; row += ROWS) {
        int n_rows = a->n_rows - row < ROWS ? a->n_rows - row : ROWS;
        float *x = cpu_scratch(SCRATCH_VALUES, (size_t)n_rows * PIECE);
        for (int first = 0; first < a->V; first += PIECE) {
            head_grad_piece(a, row, n_rows, first, x);
        }
    }
}

/* kernels/cpu/matmul.h - pieces of a product, for one thread: what dense and grouped products are made of.
 *
 * Private to kernels/cpu. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_MATMUL_H
#define KERNELS_CPU_MATMUL_H

#include "kernels/cpu/cpu.h"

/* How work is cut into pieces of about equal size; the pieces change no bit. */
struct cut {
    int rows, row_blocks; /* of x or dy */
    int width, chunks;    /* panels */
};

/* y of rows t .. and panels p .. */
void ISA_NAME(matmul_block)(const struct matmul_args *args, int t, int n_rows, int p, int n_panels);
/* For T rows of a product; `groups` products of that shape are computed at once. */
struct cut ISA_NAME(matmul_cut)(int T, int N, int threads, int groups);

/* dx of rows begin .. end - 1 and column panels kp .. */
void ISA_NAME(input_grad_chunk)(const struct matmul_input_grad_args *args, int kp, int n_panels, int begin, int end);
struct cut ISA_NAME(input_grad_cut)(int T, int K, int threads, int groups);

/* dW of panels p .. and inputs k .. k_end - 1: the whole sum over T. Who has k = 0 adds up dbias. */
void ISA_NAME(weight_grad_chunk)(const struct matmul_weight_grad_args *args, int p, int n_panels, int k, int k_end);

#endif

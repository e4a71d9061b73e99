/* kernels/cpu/cpu.h - the operations of struct ops (kernels/ops.h) as one instruction set has them.
 *
 * Private to kernels/cpu. Each function here exists once per build: ISA_NAME(matmul) is matmul_avx2, and so on.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_H
#define KERNELS_CPU_CPU_H

#include "base/num.h"
#include "kernels/cpu/vec.h"
#include "kernels/ops.h"
#include "kernels/scratch.h"

#define CPU_PANEL VEC_LANES /* outputs of a matrix panel */

extern const struct ops ISA_NAME(ops_cpu);

size_t ISA_NAME(matrix_elements)(int N, int K);
void ISA_NAME(matrix_import)(void *matrix, const float *rows, int row, int n_rows, int N, int K);
void ISA_NAME(matrix_export)(float *rows, const void *matrix, int row, int n_rows, int N, int K);
void ISA_NAME(bf16_import)(uint16_t *matrix, const uint16_t *rows, int row, int n_rows, int N, int K);
void ISA_NAME(bf16_export)(uint16_t *rows, const uint16_t *matrix, int row, int n_rows, int N, int K);
void ISA_NAME(embedding)(const struct embedding_args *);
void ISA_NAME(embedding_grad)(const struct embedding_args *);
void ISA_NAME(rmsnorm)(const struct rmsnorm_args *);
void ISA_NAME(rmsnorm_grad)(const struct rmsnorm_grad_args *);
void ISA_NAME(matmul)(const struct matmul_args *);
void ISA_NAME(matmul_input_grad)(const struct matmul_input_grad_args *);
void ISA_NAME(matmul_weight_grad)(const struct matmul_weight_grad_args *);
void ISA_NAME(rope)(const struct rope_args *);
void ISA_NAME(kv_store)(const struct kv_store_args *);
void ISA_NAME(kv_copy)(const struct kv_copy_args *);
void ISA_NAME(attention)(const struct attention_args *);
void ISA_NAME(attention_grad)(const struct attention_grad_args *);
void ISA_NAME(swiglu)(const struct swiglu_args *);
void ISA_NAME(swiglu_grad)(const struct swiglu_args *);
void ISA_NAME(route)(const struct route_args *);
void ISA_NAME(route_grad)(const struct route_grad_args *);
void ISA_NAME(expert_order)(const struct expert_order_args *);
void ISA_NAME(grouped_matmul)(const struct grouped_matmul_args *);
void ISA_NAME(grouped_input_grad)(const struct grouped_grad_args *);
void ISA_NAME(grouped_weight_grad)(const struct grouped_grad_args *);
void ISA_NAME(combine)(const struct combine_args *);
void ISA_NAME(weighted_swiglu_grad)(const struct weighted_swiglu_grad_args *);
void ISA_NAME(gather_rows)(const struct rows_args *);
void ISA_NAME(scatter_add_rows)(const struct rows_args *);
void ISA_NAME(head)(const struct head_args *);
void ISA_NAME(head_sample)(const struct head_sample_args *);
void ISA_NAME(head_grad)(const struct head_grad_args *);
void ISA_NAME(adamw)(const struct adamw_args *);
double ISA_NAME(sum_squares)(const float *x, size_t n);
void ISA_NAME(mix)(void *to, const void *from, size_t n, float share);
void ISA_NAME(add)(float *to, const float *from, size_t n);
void ISA_NAME(scale)(void *x, size_t n, float factor);

#endif

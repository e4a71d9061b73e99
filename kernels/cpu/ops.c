/* kernels/cpu/ops.c - the table of one instruction set.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

/* Elements are fp32 here, so both kinds of array are one. */
static void wide_import(float *matrix, const float *rows, int row, int n_rows, int N, int K)
{
    ISA_NAME(matrix_import)(matrix, rows, row, n_rows, N, K);
}

static void wide_export(float *rows, const float *matrix, int row, int n_rows, int N, int K)
{
    ISA_NAME(matrix_export)(rows, matrix, row, n_rows, N, K);
}

const struct ops ISA_NAME(ops_cpu) = {
    .name = "cpu/" TEXT(ISA),
    .matrix_elements = ISA_NAME(matrix_elements),
    .matrix_import = ISA_NAME(matrix_import),
    .matrix_export = ISA_NAME(matrix_export),
    .wide_import = wide_import,
    .wide_export = wide_export,
    .bf16_import = ISA_NAME(bf16_import),
    .bf16_export = ISA_NAME(bf16_export),
    .embedding = ISA_NAME(embedding),
    .embedding_grad = ISA_NAME(embedding_grad),
    .rmsnorm = ISA_NAME(rmsnorm),
    .rmsnorm_grad = ISA_NAME(rmsnorm_grad),
    .matmul = ISA_NAME(matmul),
    .matmul_wide = ISA_NAME(matmul), /* elements are fp32 */
    .matmul_input_grad = ISA_NAME(matmul_input_grad),
    .matmul_weight_grad = ISA_NAME(matmul_weight_grad),
    .rope = ISA_NAME(rope),
    .kv_store = ISA_NAME(kv_store),
    .kv_copy = ISA_NAME(kv_copy),
    .attention = ISA_NAME(attention),
    .attention_grad = ISA_NAME(attention_grad),
    .swiglu = ISA_NAME(swiglu),
    .swiglu_grad = ISA_NAME(swiglu_grad),
    .route = ISA_NAME(route),
    .route_grad = ISA_NAME(route_grad),
    .expert_order = ISA_NAME(expert_order),
    .grouped_matmul = ISA_NAME(grouped_matmul),
    .grouped_input_grad = ISA_NAME(grouped_input_grad),
    .grouped_weight_grad = ISA_NAME(grouped_weight_grad),
    .combine = ISA_NAME(combine),
    .weighted_swiglu_grad = ISA_NAME(weighted_swiglu_grad),
    .gather_rows = ISA_NAME(gather_rows),
    .scatter_add_rows = ISA_NAME(scatter_add_rows),
    .head = ISA_NAME(head),
    .head_sample = ISA_NAME(head_sample),
    .head_grad = ISA_NAME(head_grad),
    .adamw = ISA_NAME(adamw),
    .sum_squares = ISA_NAME(sum_squares),
    .mix = ISA_NAME(mix),
    .add = ISA_NAME(add),
    .scale = ISA_NAME(scale),
};

/* kernels/cuda/attention_grad.cuh - what the kernels of attention's gradient are given.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CUDA_ATTENTION_GRAD_CUH
#define KERNELS_CUDA_ATTENTION_GRAD_CUH

#include "kernels/cuda/device.cuh"

struct grad {
    const struct context *contexts;
    const struct cuda_grad_task *queries, *keys;
    const struct cuda_parts_task *sums;
    int n_rows, heads, H, J, D, Dv; /* n_rows: of the batch; heads: per key/value head */
    int qkv_stride, kv_stride, out_stride;
    float scale, scale_log2;
    const bf16 *q, *k, *v, *out, *dout;
    const float *lse;
    float *delta;       /* [T, H] rowsum(dO O) */
    float *parts;       /* [part, J, 2, CUDA_GRAD_ROWS, D] */
    bf16 *dq, *dk, *dv; /* dv may be dk: then the sum of both */
};

/* The tasks of the plan on Hopper (kernels/cuda/attention_grad_flow.cu): dQ, then dK and dV or their parts. */
bool attention_grad_flow_serves(const struct grad *g);
void attention_grad_flow(const struct grad *g, const struct cuda_grad_plan *plan);

#endif

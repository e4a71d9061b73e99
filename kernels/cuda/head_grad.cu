/* kernels/cuda/head_grad.cu - the LM head backward: logits again, a few thousand rows at a time, and the products with
 * their gradients.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/head.cuh"

static constexpr int GRAD_ROWS = CUDA_DLOGIT_ROWS; /* rows whose gradients of logits are stored at once */

/* A warp has every eighth row of the block, a lane four tokens of it. */
template <bool FAST> __global__ void __launch_bounds__(HEAD_THREADS, 2) head_grad_kernel(struct head_grad g)
{
    extern __shared__ uint4 shared[];
    struct operand a = {g.hidden, (size_t)g.d, g.n_rows, g.d}, b = {g.w, (size_t)g.d, g.V, g.d};
    int row0 = (int)blockIdx.x * HEAD_ROWS, first = (int)blockIdx.y * HEAD_TILE, lane = (int)threadIdx.x % LANES;
    int warp = (int)threadIdx.x / LANES, token = first + 4 * lane;
    const float *lines = block_sums<FAST>(a, b, row0, first, shared);
    for (int q = 0; q < HEAD_ROWS_PER_WARP; q++) {
        int r = warp + q * HEAD_WARPS, row = row0 + r;
        struct grad_facts facts = grad_facts_of(g, row);
        float x[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            x[i] = token + i < g.V ? dlogit_of<true>(facts, lines[r * HEAD_LINE + 4 * lane + i], g.inv_temperature) : 0;
            if (token + i == facts.target) {
                x[i] = __fadd_rn(x[i], __fmul_rn(facts.d_logprob, g.inv_temperature));
            }
        }
        if (row < g.n_rows && (size_t)token < g.line) {
            *reinterpret_cast<uint2 *>(g.dlogits + (size_t)row * g.line + (size_t)token) =
                make_uint2(pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3]));
        }
    }
}

template <bool FAST> static void launch_grad(const struct head_grad *g)
{
    constexpr size_t bytes = block_sums_bytes();
    allow_shared<head_grad_kernel<FAST>>(bytes);
    dim3 grid((unsigned)ceil_div(g->n_rows, HEAD_ROWS), (unsigned)ceil_div(g->V, HEAD_TILE));
    head_grad_kernel<FAST><<<grid, HEAD_THREADS, bytes, cuda.stream>>>(*g);
    cuda_launched("head_grad");
}

static void grad_rows(const struct head_grad_args *a, int row, int n)
{
    struct head_grad g = {};
    g.n_rows = n, g.d = a->d, g.V = a->V, g.line = ((size_t)a->V + 7) / 8 * 8, g.w = (const bf16 *)a->w;
    g.hidden = (const bf16 *)a->hidden + (size_t)row * (size_t)a->d;
    g.inv_temperature = a->inv_temperature;
    g.targets = a->targets + row, g.lse = a->lse + row, g.d_logprob = a->d_logprob + row;
    g.entropy = a->entropy ? a->entropy + row : NULL, g.d_entropy = a->d_entropy ? a->d_entropy + row : NULL;
    g.dlogits = (bf16 *)cuda_slot(CUDA_SLOT_LOGITS, (size_t)n * g.line * sizeof(bf16));
    switch (way_of(g.hidden, g.w, g.d)) {
    case WARPGROUPS: head_grad_flow(&g); break;
    case WARPS: launch_grad<true>(&g); break;
    case ELEMENTS: launch_grad<false>(&g); break;
    }
    struct matmul_weight_grad_args dw = {};
    dw.T = n, dw.N = a->V, dw.K = a->d;
    dw.dy = g.dlogits, dw.dy_stride = (int)g.line;
    dw.x = g.hidden, dw.x_stride = a->d;
    dw.dw = a->dw;
    cuda_matmul_weight_grad(&dw);
    struct matmul_input_grad_args dx = {};
    dx.T = n, dx.N = a->V, dx.K = a->d;
    dx.dy = g.dlogits, dx.dy_stride = (int)g.line;
    dx.w = a->w;
    dx.dx = (bf16 *)a->dhidden + (size_t)row * (size_t)a->d, dx.dx_stride = a->d;
    cuda_matmul_input_grad(&dx);
}

void cuda_head_grad(const struct head_grad_args *a)
{
    for (int row = 0; row < a->n_rows; row += GRAD_ROWS) {
        grad_rows(a, row, a->n_rows - row < GRAD_ROWS ? a->n_rows - row : GRAD_ROWS);
    }
}

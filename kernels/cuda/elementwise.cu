/* kernels/cuda/elementwise.cu - rotary embedding, SwiGLU, pages, conversions: a thread an element or a pair.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/device.cuh"

static constexpr int THREADS = 256;

static unsigned blocks_of(size_t n)
{
    return (unsigned)((n + THREADS - 1) / THREADS);
}

/* ---- conversions ---- */

__global__ void narrow_kernel(bf16 *to, const float *from, size_t n)
{
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < n) {
        to[i] = to_bf16(from[i]);
    }
}

__global__ void widen_kernel(float *to, const bf16 *from, size_t n)
{
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < n) {
        to[i] = to_float(from[i]);
    }
}

void cuda_narrow(void *to, const float *from, size_t n)
{
    if (n > 0) {
        narrow_kernel<<<blocks_of(n), THREADS, 0, cuda.stream>>>((bf16 *)to, from, n);
        cuda_launched("narrow");
    }
}

void cuda_widen(float *to, const void *from, size_t n)
{
    if (n > 0) {
        widen_kernel<<<blocks_of(n), THREADS, 0, cuda.stream>>>(to, (const bf16 *)from, n);
        cuda_launched("widen");
    }
}

size_t cuda_matrix_elements(int N, int K)
{
    return cuda_elements(N, K);
}

void cuda_matrix_import(void *matrix, const float *rows, int row, int n_rows, int N, int K)
{
    (void)N;
    size_t n = (size_t)n_rows * (size_t)K;
    float *wide = (float *)cuda_slot(CUDA_SLOT_WIDE, n * sizeof(float));
    cuda_upload(wide, rows, n * sizeof(float));
    cuda_narrow((bf16 *)matrix + (size_t)row * (size_t)K, wide, n);
}

void cuda_matrix_export(float *rows, const void *matrix, int row, int n_rows, int N, int K)
{
    (void)N;
    size_t n = (size_t)n_rows * (size_t)K;
    float *wide = (float *)cuda_slot(CUDA_SLOT_WIDE, n * sizeof(float));
    cuda_widen(wide, (const bf16 *)matrix + (size_t)row * (size_t)K, n);
    cuda_download(rows, wide, n * sizeof(float));
}

void cuda_wide_import(float *matrix, const float *rows, int row, int n_rows, int N, int K)
{
    (void)N;
    cuda_upload(matrix + (size_t)row * (size_t)K, rows, (size_t)n_rows * (size_t)K * sizeof(float));
}

void cuda_wide_export(float *rows, const float *matrix, int row, int n_rows, int N, int K)
{
    (void)N;
    cuda_download(rows, matrix + (size_t)row * (size_t)K, (size_t)n_rows * (size_t)K * sizeof(float));
}

void cuda_bf16_import(uint16_t *matrix, const uint16_t *rows, int row, int n_rows, int N, int K)
{
    (void)N;
    cuda_upload(matrix + (size_t)row * (size_t)K, rows, (size_t)n_rows * (size_t)K * sizeof(uint16_t));
}

void cuda_bf16_export(uint16_t *rows, const uint16_t *matrix, int row, int n_rows, int N, int K)
{
    (void)N;
    cuda_download(rows, matrix + (size_t)row * (size_t)K, (size_t)n_rows * (size_t)K * sizeof(uint16_t));
}

/* ---- rotary embedding ---- */

__global__ void rope_kernel(struct rope_args a)
{
    int half = a.D / 2;
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x, per_row = (size_t)a.n_heads * (size_t)half;
    if (i >= (size_t)a.T * per_row) {
        return;
    }
    size_t t = i / per_row;
    int h = (int)(i % per_row) / half, pair = (int)(i % per_row) % half;
    int i_first = a.interleaved ? 2 * pair : pair, i_second = a.interleaved ? i_first + 1 : i_first + half;
    size_t x_head = a.x_head > 0 ? (size_t)a.x_head : (size_t)a.D;
    bf16 *x = (bf16 *)a.x + t * (size_t)a.x_stride + (size_t)h * x_head;
    bf16 *y = a.y ? (bf16 *)a.y + t * (size_t)a.y_stride + (size_t)h * (size_t)a.y_head : x;
    size_t at = (size_t)a.positions[t] * (size_t)half + (size_t)pair;
    float c = a.cos[at], s = a.inverse ? -a.sin[at] : a.sin[at], u = to_float(x[i_first]), v = to_float(x[i_second]);
    y[i_first] = to_bf16(__fmaf_rn(u, c, -__fmul_rn(v, s)));
    y[i_second] = to_bf16(__fmaf_rn(v, c, __fmul_rn(u, s)));
}

void cuda_rope(const struct rope_args *a)
{
    size_t n = (size_t)a->T * (size_t)a->n_heads * (size_t)(a->D / 2);
    if (n > 0) {
        rope_kernel<<<blocks_of(n), THREADS, 0, cuda.stream>>>(*a);
        cuda_launched("rope");
    }
}

/* ---- SwiGLU ---- */

__device__ __forceinline__ float sigmoid(float g)
{
    return fast_inverse(__fadd_rn(1.0f, fast_exp2(__fmul_rn(g, -LOG2_E))));
}

__device__ __forceinline__ float gated(float g, float u)
{
    return __fmul_rn(__fmul_rn(g, sigmoid(g)), u);
}

/* silu'(g) = s (1 + g (1 - s)), s = sigmoid(g) */
__device__ __forceinline__ void gated_grad(float g, float u, float d, float *dg, float *du)
{
    float s = sigmoid(g), slope = __fmul_rn(s, __fmaf_rn(g, __fsub_rn(1.0f, s), 1.0f));
    *dg = __fmul_rn(__fmul_rn(d, u), slope);
    *du = __fmul_rn(d, __fmul_rn(g, s));
}

/* Eight columns per thread; F is a multiple of 8. */
__global__ void swiglu_eights_kernel(struct swiglu_args a)
{
    size_t i = ((size_t)blockIdx.x * THREADS + threadIdx.x) * 8, F = (size_t)a.F;
    if (i >= (size_t)a.T * F) {
        return;
    }
    const bf16 *gate = (const bf16 *)a.gate_up + i / F * 2 * F + i % F;
    struct eight g = load8(gate), u = load8(gate + F), y;
#pragma unroll
    for (int k = 0; k < 8; k++) {
        y.x[k] = gated(g.x[k], u.x[k]);
    }
    store8((bf16 *)a.act + i, y);
}

__global__ void swiglu_kernel(struct swiglu_args a)
{
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x, F = (size_t)a.F;
    if (i >= (size_t)a.T * F) {
        return;
    }
    const bf16 *gate = (const bf16 *)a.gate_up + i / F * 2 * F + i % F;
    ((bf16 *)a.act)[i] = to_bf16(gated(to_float(gate[0]), to_float(gate[F])));
}

__global__ void swiglu_grad_eights_kernel(struct swiglu_args a)
{
    size_t i = ((size_t)blockIdx.x * THREADS + threadIdx.x) * 8, F = (size_t)a.F;
    if (i >= (size_t)a.T * F) {
        return;
    }
    size_t at = i / F * 2 * F + i % F;
    const bf16 *gate = (const bf16 *)a.gate_up + at;
    bf16 *dgate = (bf16 *)a.dgate_up + at;
    struct eight g = load8(gate), u = load8(gate + F), d = load8((const bf16 *)a.dact + i), dg, du;
#pragma unroll
    for (int k = 0; k < 8; k++) {
        gated_grad(g.x[k], u.x[k], d.x[k], &dg.x[k], &du.x[k]);
    }
    store8(dgate, dg);
    store8(dgate + F, du);
}

__global__ void swiglu_grad_kernel(struct swiglu_args a)
{
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x, F = (size_t)a.F;
    if (i >= (size_t)a.T * F) {
        return;
    }
    size_t at = i / F * 2 * F + i % F;
    const bf16 *gate = (const bf16 *)a.gate_up + at;
    bf16 *dgate = (bf16 *)a.dgate_up + at;
    float dg, du;
    gated_grad(to_float(gate[0]), to_float(gate[F]), to_float(((const bf16 *)a.dact)[i]), &dg, &du);
    dgate[0] = to_bf16(dg);
    dgate[F] = to_bf16(du);
}

void cuda_swiglu(const struct swiglu_args *a)
{
    size_t n = (size_t)a->T * (size_t)a->F;
    if (n == 0) {
        return;
    }
    if (a->F % 8 == 0) {
        swiglu_eights_kernel<<<blocks_of(n / 8), THREADS, 0, cuda.stream>>>(*a);
    } else {
        swiglu_kernel<<<blocks_of(n), THREADS, 0, cuda.stream>>>(*a);
    }
    cuda_launched("swiglu");
}

void cuda_swiglu_grad(const struct swiglu_args *a)
{
    size_t n = (size_t)a->T * (size_t)a->F;
    if (n == 0) {
        return;
    }
    if (a->F % 8 == 0) {
        swiglu_grad_eights_kernel<<<blocks_of(n / 8), THREADS, 0, cuda.stream>>>(*a);
    } else {
        swiglu_grad_kernel<<<blocks_of(n), THREADS, 0, cuda.stream>>>(*a);
    }
    cuda_launched("swiglu_grad");
}

/* ---- the gradient of SwiGLU for rows that are weighted later: a warp per row ---- */

__device__ __forceinline__ void weighted_eight(float weight, const struct eight &g, const struct eight &u,
                                               const struct eight &d, struct eight &dg, struct eight &du,
                                               struct eight &act, float &dot)
{
#pragma unroll
    for (int k = 0; k < 8; k++) {
        float value = to_float(to_bf16(gated(g.x[k], u.x[k]))); /* as swiglu keeps it */
        dot = __fmaf_rn(d.x[k], value, dot);
        gated_grad(g.x[k], u.x[k], __fmul_rn(weight, d.x[k]), &dg.x[k], &du.x[k]);
        act.x[k] = __fmul_rn(weight, value);
    }
}

/* Up to eight elements, zeros after them. */
__device__ __forceinline__ struct eight load_some(const bf16 *p, int n)
{
    struct eight e;
#pragma unroll
    for (int k = 0; k < 8; k++) {
        e.x[k] = k < n ? to_float(p[k]) : 0;
    }
    return e;
}

__device__ __forceinline__ void store_some(bf16 *p, const struct eight &e, int n)
{
#pragma unroll
    for (int k = 0; k < 8; k++) {
        if (k < n) {
            p[k] = to_bf16(e.x[k]);
        }
    }
}

/* WHOLE: F is a multiple of 8. */
template <bool WHOLE> __global__ void weighted_swiglu_grad_kernel(struct weighted_swiglu_grad_args a)
{
    size_t row = (size_t)blockIdx.x * (THREADS / LANES) + threadIdx.x / LANES, F = (size_t)a.F;
    if (row >= (size_t)a.n_rows) {
        return;
    }
    size_t pair = a.pairs ? (size_t)a.pairs[row] : row;
    const bf16 *gate = (const bf16 *)a.gate_up + row * 2 * F, *dact = (const bf16 *)a.dact + row * F;
    bf16 *dgate = (bf16 *)a.dgate_up + row * 2 * F, *to = (bf16 *)a.act + row * F;
    float weight = a.weights[pair], dot = 0;
    for (size_t i = threadIdx.x % LANES * 8; i < F; i += LANES * 8) {
        int n = F - i < 8 ? (int)(F - i) : 8;
        struct eight g = WHOLE ? load8(gate + i) : load_some(gate + i, n),
                     u = WHOLE ? load8(gate + F + i) : load_some(gate + F + i, n),
                     d = WHOLE ? load8(dact + i) : load_some(dact + i, n), dg, du, act;
        weighted_eight(weight, g, u, d, dg, du, act, dot);
        if (WHOLE) {
            store8(dgate + i, dg), store8(dgate + F + i, du), store8(to + i, act);
        } else {
            store_some(dgate + i, dg, n), store_some(dgate + F + i, du, n), store_some(to + i, act, n);
        }
    }
    dot = warp_sum(dot);
    if (threadIdx.x % LANES == 0) {
        a.dweights[pair] = dot;
    }
}

void cuda_weighted_swiglu_grad(const struct weighted_swiglu_grad_args *a)
{
    unsigned blocks = (unsigned)ceil_div(a->n_rows, THREADS / LANES);
    if (a->n_rows == 0) {
        return;
    }
    if (a->F % 8 == 0) {
        weighted_swiglu_grad_kernel<true><<<blocks, THREADS, 0, cuda.stream>>>(*a);
    } else {
        weighted_swiglu_grad_kernel<false><<<blocks, THREADS, 0, cuda.stream>>>(*a);
    }
    cuda_launched("weighted_swiglu_grad");
}

/* ---- pages: k is [page, J, 128, D], v [page, J, 128, Dv] ---- */

/* A row of J heads into slot `slot` of a page. */
static __device__ __forceinline__ void store_heads(bf16 *pool, const bf16 *row, int J, int D, size_t page, size_t slot)
{
    for (int i = threadIdx.x; i < J * D; i += blockDim.x) {
        size_t j = (size_t)(i / D);
        pool[((page * (size_t)J + j) * OPS_PAGE + slot) * (size_t)D + (size_t)(i % D)] = row[i];
    }
}

__global__ void kv_store_kernel(struct kv_store_args a, const int2 *stores)
{
    int2 store = stores[blockIdx.x];
    size_t page = (size_t)(store.y / OPS_PAGE), slot = (size_t)(store.y % OPS_PAGE);
    size_t from = (size_t)store.x * (size_t)a.kv_stride;
    store_heads((bf16 *)a.k_pool, (const bf16 *)a.k + from, a.J, a.D, page, slot);
    store_heads((bf16 *)a.v_pool, (const bf16 *)a.v + from, a.J, a.Dv > 0 ? a.Dv : a.D, page, slot);
}

void cuda_kv_store(const struct kv_store_args *a)
{
    const struct cuda_plan *plan = cuda_plan_spans(a->spans, a->n_spans, 0, 0);
    if (plan->n_stores > 0) {
        kv_store_kernel<<<(unsigned)plan->n_stores, 128, 0, cuda.stream>>>(*a, plan->stores);
        cuda_launched("kv_store");
    }
}

/* The first n lines of one head of a page, which is number `from` of all heads. */
static __device__ __forceinline__ void copy_lines(bf16 *pool, size_t from, size_t to, int D, int n)
{
    size_t head = (size_t)OPS_PAGE * (size_t)D;
    for (int i = threadIdx.x; i < n * D; i += THREADS) {
        pool[to * head + (size_t)i] = pool[from * head + (size_t)i];
    }
}

__global__ void kv_copy_kernel(struct kv_copy_args a)
{
    size_t J = (size_t)a.J, j = blockIdx.x;
    copy_lines((bf16 *)a.k_pool, (size_t)a.from * J + j, (size_t)a.to * J + j, a.D, a.n);
    copy_lines((bf16 *)a.v_pool, (size_t)a.from * J + j, (size_t)a.to * J + j, a.Dv > 0 ? a.Dv : a.D, a.n);
}

void cuda_kv_copy(const struct kv_copy_args *a)
{
    if (a->n > 0) {
        kv_copy_kernel<<<(unsigned)a->J, THREADS, 0, cuda.stream>>>(*a);
        cuda_launched("kv_copy");
    }
}

/* ---- mixing ---- */

__global__ void mix_kernel(bf16 *to, const bf16 *from, size_t n, float share)
{
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < n) {
        to[i] = to_bf16(__fmaf_rn(share, to_float(from[i]), __fmul_rn(__fsub_rn(1.0f, share), to_float(to[i]))));
    }
}

void cuda_mix(void *to, const void *from, size_t n, float share)
{
    if (n > 0) {
        mix_kernel<<<blocks_of(n), THREADS, 0, cuda.stream>>>((bf16 *)to, (const bf16 *)from, n, share);
        cuda_launched("mix");
    }
}

/* ---- adding ---- */

__global__ void add_kernel(float *to, const float *from, size_t n)
{
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < n) {
        to[i] = __fadd_rn(to[i], from[i]);
    }
}

void cuda_add(float *to, const float *from, size_t n)
{
    if (n > 0) {
        add_kernel<<<blocks_of(n), THREADS, 0, cuda.stream>>>(to, from, n);
        cuda_launched("add");
    }
}

/* ---- scaling ---- */

__global__ void scale_kernel(bf16 *x, size_t n, float factor)
{
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < n) {
        x[i] = to_bf16(__fmul_rn(factor, to_float(x[i])));
    }
}

void cuda_scale(void *x, size_t n, float factor)
{
    if (n > 0) {
        scale_kernel<<<blocks_of(n), THREADS, 0, cuda.stream>>>((bf16 *)x, n, factor);
        cuda_launched("scale");
    }
}

/* kernels/cuda/gemm.cu - matrix products by our own kernel: the reference of the bit contract, and what serves every
 * shape.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/gemm.cuh"

static constexpr int BM = 128;

/* One element: the sum, then bias, then residual or what was there, each rounded; then the element. */
__device__ __forceinline__ void put(const struct cuda_product &p, int m, int n, float x)
{
    size_t at = (size_t)m * p.ldc + (size_t)n;
    if (p.wide) {
        float *c = (float *)p.c;
        c[at] = p.accumulate && !p.from_c ? __fadd_rn(c[at], x) : x;
        return;
    }
    bf16 *c = (bf16 *)p.c;
    if (p.bias) {
        x = __fadd_rn(x, to_float(((const bf16 *)p.bias)[n]));
    }
    if (p.residual) {
        x = __fadd_rn(x, to_float(((const bf16 *)p.residual)[at]));
    }
    if (p.accumulate && !p.from_c) {
        x = __fadd_rn(x, to_float(c[at]));
    }
    c[at] = to_bf16(x);
}

__device__ __noinline__ void begin_from(const struct cuda_product &p, int m0, int n0, struct sums &s)
{
    for (int i = 0; i < 64; i++) {
        int m = m0 + sum_row(i / 16, i % 4), n = n0 + sum_column(i / 4 % 4, i % 4);
        size_t at = (size_t)m * p.ldc + (size_t)n;
        if (m < p.M && n < p.N) {
            s.c[i / 16][i / 4 % 4][i % 4] = p.wide ? ((const float *)p.c)[at] : to_float(((const bf16 *)p.c)[at]);
        }
    }
}

template <bool AT, bool BT, bool FAST>
__global__ void __launch_bounds__(gemm_threads<BM>(), 2) product_kernel(struct cuda_product p)
{
    extern __shared__ uint4 shared[];
    struct operand a = {(const bf16 *)p.a, p.lda, p.M, p.K}, b = {(const bf16 *)p.b, p.ldb, p.N, p.K};
    int m0 = (int)blockIdx.x * BM, n0 = (int)blockIdx.y * GEMM_BN;
    struct sums s = {};
    if (p.from_c) {
        begin_from(p, m0, n0, s);
    }
    multiply<BM, AT, BT, FAST>(s, a, b, m0, n0, reinterpret_cast<bf16 *>(shared));
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                int m = m0 + sum_row(i, e), n = n0 + sum_column(j, e);
                if (m < p.M && n < p.N) {
                    put(p, m, n, s.c[i][j][e]);
                }
            }
        }
    }
}

template <bool AT, bool BT, bool FAST> static void launch(const struct cuda_product *p)
{
    constexpr size_t bytes = gemm_shared_bytes<BM, AT, BT>();
    allow_shared<product_kernel<AT, BT, FAST>>(bytes);
    dim3 grid((unsigned)ceil_div(p->M, BM), (unsigned)ceil_div(p->N, GEMM_BN));
    product_kernel<AT, BT, FAST><<<grid, gemm_threads<BM>(), bytes, cuda.stream>>>(*p);
    cuda_launched(p->what ? p->what : "a matrix product");
}

void cuda_product_reference(const struct cuda_product *p)
{
    bool fast = operand_is_fast(p->a, p->lda, p->M, p->K, p->a_transposed) &&
                operand_is_fast(p->b, p->ldb, p->N, p->K, p->b_transposed);
    if (p->M == 0 || p->N == 0) {
        return;
    }
    if (!p->a_transposed && !p->b_transposed) {
        fast ? launch<false, false, true>(p) : launch<false, false, false>(p);
    } else if (!p->a_transposed) {
        fast ? launch<false, true, true>(p) : launch<false, true, false>(p);
    } else {
        fast ? launch<true, true, true>(p) : launch<true, true, false>(p);
    }
}

/* cuBLASLt rounds otherwise where the residual is C itself, so it gets a copy. */
void cuda_product_run(const struct cuda_product *p)
{
    struct cuda_product apart = *p;
    if (p->M == 0 || p->N == 0) {
        return;
    }
    if (p->residual && p->residual == p->c) {
        size_t bytes = ((size_t)(p->M - 1) * p->ldc + (size_t)p->N) * sizeof(bf16);
        void *copy = cuda_slot(CUDA_SLOT_WIDE, bytes);
        cuda_check(cudaMemcpyAsync(copy, p->residual, bytes, cudaMemcpyDeviceToDevice, cuda.stream), "a copy");
        apart.residual = copy;
    }
    if (!cuda_blas_run(&apart)) {
        cuda_product_reference(p);
    }
}

/* ---- for trials (kernels/cuda/blas.c) ---- */

static constexpr int TRIAL_THREADS = 256;

/* (-1)^s 2^(shift - e) (1 + f), e in 0 .. 15: wider than an accumulator can hold, so that every order of adding rounds
 * otherwise. In two halves that cancel, what is left of a sum is nothing but those roundings. */
__device__ __forceinline__ bf16 trial_number(size_t row, int column, int width, enum cuda_trial kind, int shift)
{
    int half = width / 2, at = column;
    bool second = kind != CUDA_TRIAL_PLAIN && column >= half;
    if (second) {
        at = column - half;
    }
    uint4 r = philox((uint32_t)row, (uint32_t)at, (uint32_t)shift, 0, 2024, 0);
    unsigned bits = (r.x & 0x807Fu) | ((unsigned)(127 + shift) - (r.y & 15u)) << 7;
    if (second && kind == CUDA_TRIAL_NEGATIVE) {
        bits ^= 0x8000u;
    }
    bool there = kind == CUDA_TRIAL_PLAIN ? column < width : column < 2 * half;
    return __ushort_as_bfloat16((unsigned short)(there ? bits : 0));
}

__global__ void trial_kernel(bf16 *to, size_t n, size_t line, int width, enum cuda_trial kind, int shift,
                             bool transposed)
{
    size_t i = (size_t)blockIdx.x * TRIAL_THREADS + threadIdx.x;
    if (i < n) {
        to[i] = transposed ? trial_number(i % line, (int)(i / line), width, kind, shift)
                           : trial_number(i / line, (int)(i % line), width, kind, shift);
    }
}

static void make_trial(void *to, size_t n, size_t line, int width, enum cuda_trial kind, int shift, bool transposed)
{
    trial_kernel<<<(unsigned)((n + TRIAL_THREADS - 1) / TRIAL_THREADS), TRIAL_THREADS, 0, cuda.stream>>>(
        (bf16 *)to, n, line, width, kind, shift, transposed);
    cuda_launched("trial numbers");
}

void cuda_trial_elements(void *to, size_t rows, size_t line, int width, enum cuda_trial kind, int shift)
{
    make_trial(to, rows * line, line, width, kind, shift, false);
}

void cuda_trial_columns(void *to, int length, size_t line, int width, enum cuda_trial kind, int shift)
{
    (void)width;
    make_trial(to, (size_t)length * line, line, length, kind, shift, true);
}

__global__ void count_different_kernel(const unsigned short *a, const unsigned short *b, size_t n, size_t width,
                                       size_t stride, unsigned long long *count)
{
    size_t i = (size_t)blockIdx.x * TRIAL_THREADS + threadIdx.x;
    if (i < n && i % stride < width && a[i] != b[i]) {
        atomicAdd(count, 1ull); /* of integers: any order gives the same */
    }
}

size_t cuda_count_different(const void *a, const void *b, size_t n, size_t width, size_t stride)
{
    unsigned long long *count = (unsigned long long *)cuda_slot(CUDA_SLOT_ROWS, sizeof *count), found = 0;
    cuda_check(cudaMemsetAsync(count, 0, sizeof *count, cuda.stream), "a memory fill");
    count_different_kernel<<<(unsigned)((n + TRIAL_THREADS - 1) / TRIAL_THREADS), TRIAL_THREADS, 0, cuda.stream>>>(
        (const unsigned short *)a, (const unsigned short *)b, n, width, stride, count);
    cuda_launched("a comparison");
    cuda_download(&found, count, sizeof found);
    return (size_t)found;
}

/* ---- the operations ---- */

void cuda_matmul(const struct matmul_args *a)
{
    struct cuda_product p = {};
    p.what = "matmul";
    p.M = a->T, p.N = a->N, p.K = a->K;
    p.a = a->x, p.lda = (size_t)a->x_stride;
    p.b = a->w, p.ldb = (size_t)a->K;
    p.c = a->y, p.ldc = (size_t)a->y_stride;
    p.bias = a->bias;
    p.residual = a->residual;
    cuda_product_run(&p);
}

void cuda_matmul_input_grad(const struct matmul_input_grad_args *a)
{
    struct cuda_product p = {};
    p.what = "matmul_input_grad";
    p.M = a->T, p.N = a->K, p.K = a->N;
    p.a = a->dy, p.lda = (size_t)a->dy_stride;
    p.b = a->w, p.ldb = (size_t)a->K, p.b_transposed = true;
    p.c = a->dx, p.ldc = (size_t)a->dx_stride;
    p.accumulate = a->accumulate;
    cuda_product_run(&p);
}

/* dbias: parts of 64 rows, a thread per column; the parts are added in order. */
static constexpr int BIAS_ROWS = CUDA_PART_ROWS;
static constexpr int BIAS_THREADS = 128;

__global__ void bias_parts_kernel(int T, int N, const bf16 *dy, size_t stride, float *parts)
{
    int n = (int)(blockIdx.x * BIAS_THREADS + threadIdx.x), first = (int)blockIdx.y * BIAS_ROWS;
    int end = first + BIAS_ROWS < T ? first + BIAS_ROWS : T;
    if (n >= N) {
        return;
    }
    float sum = 0;
    for (int t = first; t < end; t++) {
        sum = __fadd_rn(sum, to_float(dy[(size_t)t * stride + (size_t)n]));
    }
    parts[(size_t)blockIdx.y * (size_t)N + (size_t)n] = sum;
}

__global__ void add_bias_parts_kernel(int N, int n_parts, const float *parts, float *dbias)
{
    int n = (int)(blockIdx.x * BIAS_THREADS + threadIdx.x);
    if (n >= N) {
        return;
    }
    float sum = dbias[n];
    for (int i = 0; i < n_parts; i++) {
        sum = __fadd_rn(sum, parts[(size_t)i * (size_t)N + (size_t)n]);
    }
    dbias[n] = sum;
}

/* ---- the gradient of a small matrix ----
 *
 * It has few tiles of 128 x 128, and a sum over all tokens: so tokens are cut into parts, as many as keep the GPU busy,
 * and the sums of the parts are added in order. How they are cut depends on the shape alone. */

static constexpr int BUSY_TILES = 128; /* blocks that keep a GPU busy */
static constexpr int FEW_TILES = 32;   /* fewer than these are helped */
static constexpr int PART_ROWS = 512;  /* tokens of a part, at least */

__global__ void __launch_bounds__(gemm_threads<BM>(), 2)
    product_parts_kernel(struct cuda_product p, int part, float *sums)
{
    extern __shared__ uint4 shared[];
    int m0 = (int)blockIdx.x * BM, n0 = (int)blockIdx.y * GEMM_BN, first = (int)blockIdx.z * part;
    int depth = p.K - first < part ? p.K - first : part;
    struct operand a = {(const bf16 *)p.a + (size_t)first * p.lda, p.lda, p.M, depth};
    struct operand b = {(const bf16 *)p.b + (size_t)first * p.ldb, p.ldb, p.N, depth};
    struct sums s = {};
    multiply<BM, true, true, true>(s, a, b, m0, n0, reinterpret_cast<bf16 *>(shared));
    sums += (size_t)blockIdx.z * (size_t)p.M * (size_t)p.N;
#pragma unroll
    for (int i = 0; i < 64; i++) {
        int m = m0 + sum_row(i / 16, i % 4), n = n0 + sum_column(i / 4 % 4, i % 4);
        if (m < p.M && n < p.N) {
            sums[(size_t)m * (size_t)p.N + (size_t)n] = s.c[i / 16][i / 4 % 4][i % 4];
        }
    }
}

__global__ void add_parts_kernel(size_t n, int n_parts, const float *sums, float *to)
{
    size_t i = (size_t)blockIdx.x * TRIAL_THREADS + threadIdx.x;
    if (i < n) {
        float sum = 0;
        for (int part = 0; part < n_parts; part++) {
            sum = __fadd_rn(sum, sums[(size_t)part * n + i]);
        }
        to[i] = __fadd_rn(to[i], sum);
    }
}

static void launch_parts(const struct cuda_product *p, int n_parts, int part)
{
    constexpr size_t bytes = gemm_shared_bytes<BM, true, true>();
    size_t n = (size_t)p->M * (size_t)p->N;
    float *sums = (float *)cuda_slot(CUDA_SLOT_PARTS, (size_t)n_parts * n * sizeof(float));
    allow_shared<product_parts_kernel>(bytes);
    dim3 grid((unsigned)ceil_div(p->M, BM), (unsigned)ceil_div(p->N, GEMM_BN), (unsigned)n_parts);
    product_parts_kernel<<<grid, gemm_threads<BM>(), bytes, cuda.stream>>>(*p, part, sums);
    cuda_launched("matmul_weight_grad parts");
    add_parts_kernel<<<(unsigned)((n + TRIAL_THREADS - 1) / TRIAL_THREADS), TRIAL_THREADS, 0, cuda.stream>>>(
        n, n_parts, sums, (float *)p->c);
    cuda_launched("add_parts");
}

/* C += A^T B in parts, if that helps. */
static bool product_in_parts(const struct cuda_product *p)
{
    int tiles = ceil_div(p->M, BM) * ceil_div(p->N, GEMM_BN), most = p->K / PART_ROWS;
    int n_parts = tiles < FEW_TILES ? ceil_div(BUSY_TILES, tiles) : 1;
    n_parts = n_parts < most ? n_parts : most;
    bool fast = operand_is_fast(p->a, p->lda, p->M, p->K, true) && operand_is_fast(p->b, p->ldb, p->N, p->K, true);
    if (n_parts < 2 || !fast || p->ldc != (size_t)p->N) {
        return false;
    }
    int part = ceil_div(ceil_div(p->K, n_parts), GEMM_BK) * GEMM_BK;
    launch_parts(p, ceil_div(p->K, part), part);
    return true;
}

void cuda_matmul_weight_grad(const struct matmul_weight_grad_args *a)
{
    struct cuda_product p = {};
    p.what = "matmul_weight_grad";
    p.M = a->N, p.N = a->K, p.K = a->T;
    p.a = a->dy, p.lda = (size_t)a->dy_stride, p.a_transposed = true;
    p.b = a->x, p.ldb = (size_t)a->x_stride, p.b_transposed = true;
    p.c = a->dw, p.ldc = (size_t)a->K, p.wide = true, p.accumulate = true;
    if (a->dw && !product_in_parts(&p)) {
        cuda_product_run(&p);
    }
    if (a->dbias && a->T > 0) {
        int n_parts = ceil_div(a->T, BIAS_ROWS);
        unsigned columns = (unsigned)ceil_div(a->N, BIAS_THREADS);
        float *parts = (float *)cuda_slot(CUDA_SLOT_PARTS, (size_t)n_parts * (size_t)a->N * sizeof(float));
        bias_parts_kernel<<<dim3(columns, (unsigned)n_parts), BIAS_THREADS, 0, cuda.stream>>>(
            a->T, a->N, (const bf16 *)a->dy, (size_t)a->dy_stride, parts);
        cuda_launched("bias_parts");
        add_bias_parts_kernel<<<columns, BIAS_THREADS, 0, cuda.stream>>>(a->N, n_parts, parts, a->dbias);
        cuda_launched("add_bias_parts");
    }
}

/* kernels/cuda/router.cu - which experts a row goes to, and the gradient of its weights.
 *
 * A warp has a row; lane l holds experts l, l + 32, ... The arithmetic of scores, choices and weights is that of
 * kernels/cpu/experts.c, bit for bit: equal logits give equal experts and weights on every device. Gradients are sums in an order
 * of their own.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/device.cuh"

extern "C" {
#include "base/err.h"
}

static constexpr int THREADS = 128;
static constexpr uint32_t ALL = 0xFFFFFFFFu;

/* Numbers of a lane: expert lane + 32 i at x[i]. */
template <int N> struct spread {
    float x[N];
};

__device__ __forceinline__ int lane_of()
{
    return (int)threadIdx.x % LANES;
}

__device__ __forceinline__ int row_of()
{
    return (int)(blockIdx.x * (THREADS / LANES) + threadIdx.x / LANES);
}

template <int N> __device__ __forceinline__ struct spread<N> load_spread(const float *from, int n, float rest) {
    struct spread<N> s;
#pragma unroll
    for (int i = 0; i < N; i++) {
        int at = lane_of() + LANES * i;
        s.x[i] = at < n ? from[at] : rest;
    }
    return s;
}

/* Number `at` of all, in every lane. */
template <int N>
__device__ __forceinline__ float pick(const struct spread<N> &s, int at)
{
    float x = 0;
#pragma unroll
    for (int i = 0; i < N; i++) {
        x = at / LANES == i ? s.x[i] : x;
    }
    return __shfl_sync(ALL, x, at % LANES);
}

/* 16 lanes, of which lane i adds numbers i, i + 16, ...; then those 8, 4, 2, 1 apart. In every lane. */
template <int N> __device__ __forceinline__ float sum_of(const struct spread<N> &s)
{
    float sum = 0;
#pragma unroll
    for (int i = 0; i < N; i++) {
        float other = __shfl_xor_sync(ALL, s.x[i], 16);
        bool low = lane_of() < 16;
        sum = __fadd_rn(sum, low ? s.x[i] : other);
        sum = __fadd_rn(sum, low ? other : s.x[i]);
    }
#pragma unroll
    for (int half = 8; half > 0; half /= 2) {
        sum = __fadd_rn(sum, __shfl_xor_sync(ALL, sum, half));
    }
    return sum;
}

/* ---- scores ---- */

template <int N> __device__ __forceinline__ void softmax(struct spread<N> &s)
{
    float most = s.x[0];
#pragma unroll
    for (int i = 1; i < N; i++) {
        most = fmaxf(most, s.x[i]);
    }
    most = warp_most(most);
#pragma unroll
    for (int i = 0; i < N; i++) {
        s.x[i] = exact_exp(__fsub_rn(s.x[i], most)); /* after the last expert: 0 */
    }
    float total = sum_of(s);
#pragma unroll
    for (int i = 0; i < N; i++) {
        s.x[i] = __fdiv_rn(s.x[i], total);
    }
}

template <int N>
__device__ __forceinline__ struct spread<N> scores_of(const struct router &r, const float *logits, int row) {
    struct spread<N> s = load_spread<N>(logits + (size_t)row * (size_t)r.E, r.E, -CUDART_INF_F);
    if (!r.sigmoid) {
        softmax(s);
        return s;
    }
#pragma unroll
    for (int i = 0; i < N; i++) {
        float power = exact_exp(__fsub_rn(0.0f, s.x[i]));
        s.x[i] = lane_of() + LANES * i < r.E ? __fdiv_rn(1.0f, __fadd_rn(1.0f, power)) : 0.0f;
    }
    return s;
}

/* ---- the choice ---- */

/* The largest of the numbers whose bit of `left` is set, the first of equal ones: its index, in every lane. */
template <int N>
__device__ __forceinline__ int largest(const struct spread<N> &s, uint32_t left)
{
    uint32_t most = 0; /* of ordered bits; below those of every number */
    int at = LANES * N;
#pragma unroll
    for (int i = 0; i < N; i++) {
        uint32_t bits = ordered_bits(__fadd_rn(s.x[i], 0.0f)); /* -0 is 0 */
        if ((left >> i & 1) && (bits > most || at == LANES * N)) {
            most = bits, at = lane_of() + LANES * i;
        }
    }
    uint32_t best = __reduce_max_sync(ALL, at < LANES * N ? most : 0);
    return (int)__reduce_min_sync(ALL, most == best ? (uint32_t)at : (uint32_t)(LANES * N));
}

__device__ __forceinline__ void take(uint32_t &set, int at, bool in)
{
    uint32_t bit = at % LANES == lane_of() ? 1u << (at / LANES) : 0;
    set = in ? set | bit : set & ~bit;
}

/* Bits of the numbers first .. first + n - 1 that this lane holds. */
template <int N> __device__ __forceinline__ uint32_t bits_of(int first, int n)
{
    uint32_t bits = 0;
#pragma unroll
    for (int i = 0; i < N; i++) {
        int at = lane_of() + LANES * i;
        bits |= at >= first && at < first + n ? 1u << i : 0;
    }
    return bits;
}

/* c = -infinity in all groups but the best. */
template <int N> __device__ __forceinline__ void limit_groups(const struct router &r, struct spread<N> &c)
{
    struct spread<N> scores;
    int size = r.E / r.n_groups;
    uint32_t left = bits_of<N>(0, r.n_groups), kept = 0;
    for (int g = 0; g < r.n_groups; g++) {
        uint32_t of_group = bits_of<N>(g * size, size);
        float sum = 0;
        for (int i = 0; i < r.group_best; i++) {
            int at = largest(c, of_group);
            float x = pick(c, at);
            sum = i == 0 ? x : __fadd_rn(sum, x);
            take(of_group, at, false);
        }
#pragma unroll
        for (int i = 0; i < N; i++) {
            scores.x[i] = g == lane_of() + LANES * i ? sum : scores.x[i];
        }
    }
    for (int i = 0; i < r.top_groups; i++) {
        int g = largest(scores, left);
        take(left, g, false);
        kept |= bits_of<N>(g * size, size);
    }
#pragma unroll
    for (int i = 0; i < N; i++) {
        c.x[i] = kept >> i & 1 ? c.x[i] : -CUDART_INF_F;
    }
}

/* The bits of the experts of a row. */
template <int N>
__device__ __forceinline__ uint32_t choose(const struct route_args &a, const struct spread<N> &scores, int row)
{
    const struct router &r = a.router;
    uint32_t chosen = 0, left = bits_of<N>(0, r.E);
    if (a.forced) {
        for (int j = 0; j < r.k; j++) {
            take(chosen, a.forced[(size_t)row * (size_t)r.k + (size_t)j], true);
        }
        return chosen;
    }
    struct spread<N> c = scores;
    if (a.bias) {
#pragma unroll
        for (int i = 0; i < N; i++) {
            int at = lane_of() + LANES * i;
            c.x[i] = at < r.E ? __fadd_rn(c.x[i], a.bias[at]) : 0.0f;
        }
    }
    if (r.n_groups > 1) {
        limit_groups(r, c);
    }
    for (int j = 0; j < r.k; j++) {
        int at = largest(c, left);
        take(left, at, false);
        take(chosen, at, true);
    }
    return chosen;
}

template <int N> __global__ void __launch_bounds__(THREADS) route_kernel(struct route_args a)
{
    const struct router &r = a.router;
    int row = row_of();
    if (row >= a.T) {
        return;
    }
    struct spread<N> s = scores_of<N>(r, a.logits, row);
    uint32_t chosen = choose(a, s, row);
    int before = 0, place[N];
    float sum = 0;
#pragma unroll
    for (int i = 0; i < N; i++) {
        uint32_t lanes = __ballot_sync(ALL, chosen >> i & 1);
        place[i] = before + __popc(lanes & ((1u << lane_of()) - 1));
        before += __popc(lanes);
        for (; lanes; lanes &= lanes - 1) {
            sum = __fadd_rn(sum, __shfl_sync(ALL, s.x[i], __ffs((int)lanes) - 1));
        }
    }
    float divisor = __fadd_rn(sum, r.epsilon);
#pragma unroll
    for (int i = 0; i < N; i++) {
        if (chosen >> i & 1) {
            size_t at = (size_t)row * (size_t)r.k + (size_t)place[i];
            a.experts[at] = lane_of() + LANES * i;
            a.weights[at] = __fmul_rn(r.scale, r.normalised ? __fdiv_rn(s.x[i], divisor) : s.x[i]);
        }
    }
}

/* ---- the gradient ---- */

/* ds of the experts that were chosen: w = scale s / sum, or scale s. */
template <int N>
__device__ __forceinline__ void weights_grad(const struct route_grad_args &a, const struct spread<N> &s, int row,
                                             struct spread<N> &ds)
{
    const struct router &r = a.router;
    const int32_t *experts = a.experts + (size_t)row * (size_t)r.k;
    const float *dweights = a.dweights + (size_t)row * (size_t)r.k;
    float sum = 0, mean = 0, divisor = 1;
    for (int j = 0; r.normalised && j < r.k; j++) {
        sum = __fadd_rn(sum, pick(s, experts[j]));
    }
    divisor = r.normalised ? __fadd_rn(sum, r.epsilon) : 1.0f;
    for (int j = 0; r.normalised && j < r.k; j++) {
        mean = __fmaf_rn(dweights[j], __fdiv_rn(pick(s, experts[j]), divisor), mean);
    }
    for (int j = 0; j < r.k; j++) {
        float d = __fmul_rn(r.scale, __fdiv_rn(__fsub_rn(dweights[j], mean), divisor));
#pragma unroll
        for (int i = 0; i < N; i++) {
            ds.x[i] = experts[j] == lane_of() + LANES * i ? d : ds.x[i];
        }
    }
}

/* sum of a times b */
template <int N> __device__ __forceinline__ float dot_of(const struct spread<N> &a, const struct spread<N> &b)
{
    struct spread<N> products;
#pragma unroll
    for (int i = 0; i < N; i++) {
        products.x[i] = __fmul_rn(a.x[i], b.x[i]);
    }
    return sum_of(products);
}

/* ds through the shares s / (sum of s) */
template <int N>
__device__ __forceinline__ void shares_grad(const struct route_grad_args &a, const struct spread<N> &s, int row,
                                            struct spread<N> &ds)
{
    int E = a.router.E, set = a.sets ? a.sets[row] : 0;
    struct spread<N> d = load_spread<N>(a.dshares + (size_t)set * (size_t)E, E, 0);
    float all = sum_of(s), mean = __fdiv_rn(dot_of(d, s), all);
#pragma unroll
    for (int i = 0; i < N; i++) {
        ds.x[i] = __fadd_rn(ds.x[i], __fdiv_rn(__fsub_rn(d.x[i], mean), all));
    }
}

template <int N> __global__ void __launch_bounds__(THREADS) route_grad_kernel(struct route_grad_args a)
{
    const struct router &r = a.router;
    int row = row_of();
    if (row >= a.T) {
        return;
    }
    struct spread<N> s = scores_of<N>(r, a.logits, row), ds = {
    };
    weights_grad(a, s, row, ds);
    if (a.dshares) {
        shares_grad(a, s, row, ds);
    }
    float mean = r.sigmoid ? 0 : dot_of(ds, s);
    bf16 *dlogits = (bf16 *)a.dlogits + (size_t)row * (size_t)r.E;
#pragma unroll
    for (int i = 0; i < N; i++) {
        int at = lane_of() + LANES * i;
        float x = r.sigmoid ? __fmul_rn(__fmul_rn(ds.x[i], s.x[i]), __fsub_rn(1.0f, s.x[i]))
                            : __fmul_rn(s.x[i], __fsub_rn(ds.x[i], mean));
        if (at < r.E) {
            dlogits[at] = to_bf16(x);
        }
    }
}

/* ---- the operations ---- */

void cuda_matmul_wide(const struct matmul_args *a)
{
    struct cuda_product p = {};
    p.what = "matmul_wide";
    p.M = a->T, p.N = a->N, p.K = a->K;
    p.a = a->x, p.lda = (size_t)a->x_stride;
    p.b = a->w, p.ldb = (size_t)a->K;
    p.c = a->y, p.ldc = (size_t)a->y_stride;
    p.wide = true;
    BUG_ON(a->bias || a->residual);
    cuda_product_run(&p);
}

void cuda_route(const struct route_args *a)
{
    unsigned blocks = (unsigned)ceil_div(a->T, THREADS / LANES);
    int per_lane = ceil_div(a->router.E, LANES);
    BUG_ON(a->router.E > CUDA_MOST_EXPERTS || a->router.k > a->router.E);
    if (a->T == 0) {
        return;
    }
    if (per_lane <= 2) {
        route_kernel<2><<<blocks, THREADS, 0, cuda.stream>>>(*a);
    } else if (per_lane <= 4) {
        route_kernel<4><<<blocks, THREADS, 0, cuda.stream>>>(*a);
    } else if (per_lane <= 8) {
        route_kernel<8><<<blocks, THREADS, 0, cuda.stream>>>(*a);
    } else {
        route_kernel<16><<<blocks, THREADS, 0, cuda.stream>>>(*a);
    }
    cuda_launched("route");
}

void cuda_route_grad(const struct route_grad_args *a)
{
    unsigned blocks = (unsigned)ceil_div(a->T, THREADS / LANES);
    int per_lane = ceil_div(a->router.E, LANES);
    BUG_ON(a->router.E > CUDA_MOST_EXPERTS);
    if (a->T == 0) {
        return;
    }
    if (per_lane <= 2) {
        route_grad_kernel<2><<<blocks, THREADS, 0, cuda.stream>>>(*a);
    } else if (per_lane <= 4) {
        route_grad_kernel<4><<<blocks, THREADS, 0, cuda.stream>>>(*a);
    } else if (per_lane <= 8) {
        route_grad_kernel<8><<<blocks, THREADS, 0, cuda.stream>>>(*a);
    } else {
        route_grad_kernel<16><<<blocks, THREADS, 0, cuda.stream>>>(*a);
    }
    cuda_launched("route_grad");
}

/* kernels/cpu/attention_grad.c - attention backward (FlashAttention, arXiv 2205.14135, algorithm 4, without its tiling
 * over workers: one thread owns a key/value head of all sequences that share a prefix, and walks them in order).
 *
 *   P = exp(scale Q K^T - lse);  dV = P^T dO;  dP = dO V^T;  dS = P (dP - rowsum(dO O)) scale;  dQ = dS K;  dK = dS^T Q
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/gemm.h"

#define MAX_ROWS 96

struct grad_task {
    const struct attention_grad_args *args;
    const struct context *context;
    int Dv, kv_stride;
    int j, n_keys, width;          /* key/value head; width: n_keys up to a multiple of 16 */
    int head, heads;               /* query heads that use it, or a share of them, from `head` on */
    float *k, *v, *kt, *vt;        /* [n_keys, D], [n_keys, Dv], [D, width], [Dv, width] */
    float *dk, *dv;                /* as k and v */
    float *q, *dout, *dq, *s, *dp; /* [R, D], [R, Dv], [R, D]; [R, width] twice */
    float lse[MAX_ROWS], delta[MAX_ROWS];
};

static ptrdiff_t key_row(const struct context *c, int i)
{
    return i < c->n_prefix ? c->prefix_row + i : c->row + i - c->n_prefix;
}

/* Row i of a matrix [.., D] and column i of its transpose [D, width] */
static void put_key(float *rows, float *columns, int i, int D, int width, const float *from)
{
    memcpy(rows + (ptrdiff_t)i * D, from, (size_t)D * sizeof *rows);
    for (int d = 0; d < D; d++) {
        columns[(ptrdiff_t)d * width + i] = from[d];
    }
}

static void gather_keys(struct grad_task *t)
{
    const struct attention_grad_args *a = t->args;
    int D = a->D, Dv = t->Dv;
    size_t n = (size_t)t->width * (size_t)D, n_v = (size_t)t->width * (size_t)Dv;
    t->k = cpu_scratch(SCRATCH_KEYS, 3 * (n + n_v));
    t->v = t->k + n;
    t->kt = t->v + n_v;
    t->vt = t->kt + n;
    t->dk = t->vt + n_v;
    t->dv = t->dk + n;
    memset(t->kt, 0, 2 * (n + n_v) * sizeof *t->kt);
    for (int i = 0; i < t->n_keys; i++) {
        ptrdiff_t row = key_row(t->context, i) * t->kv_stride;
        put_key(t->k, t->kt, i, D, t->width, (const float *)a->k + row + (ptrdiff_t)t->j * D);
        put_key(t->v, t->vt, i, Dv, t->width, (const float *)a->v + row + (ptrdiff_t)t->j * Dv);
    }
}

static void add_row(float *to, const float *from, int n)
{
    for (int i = 0; i < n; i++) {
        to[i] += from[i];
    }
}

static void scatter_keys(const struct grad_task *t)
{
    const struct attention_grad_args *a = t->args;
    for (int i = 0; i < t->n_keys; i++) {
        ptrdiff_t row = key_row(t->context, i) * t->kv_stride;
        add_row((float *)a->dk + row + (ptrdiff_t)t->j * a->D, t->dk + (ptrdiff_t)i * a->D, a->D);
        add_row((float *)a->dv + row + (ptrdiff_t)t->j * t->Dv, t->dv + (ptrdiff_t)i * t->Dv, t->Dv);
    }
}

static void gather_queries(struct grad_task *t, int row, int n_rows)
{
    const struct attention_grad_args *a = t->args;
    int D = a->D, Dv = t->Dv;
    for (int r = 0; r < n_rows * t->heads; r++) {
        ptrdiff_t token = t->context->row + row + r / t->heads, head = t->head + r % t->heads;
        const float *q = (const float *)a->q + token * a->qkv_stride + head * D;
        const float *out = (const float *)a->out + token * a->out_stride + head * Dv;
        const float *dout = (const float *)a->dout + token * a->out_stride + head * Dv;
        vec sum = vec_zero();
        for (int i = 0; i < Dv; i += VEC_LANES) {
            vec d = vec_load(dout + i);
            sum = vec_fma(d, vec_load(out + i), sum);
            vec_store(t->dout + (ptrdiff_t)r * Dv + i, d);
        }
        memcpy(t->q + (ptrdiff_t)r * D, q, (size_t)D * sizeof *q);
        t->delta[r] = vec_sum(sum);
        t->lse[r] = a->lse[token * a->H + head];
    }
}

/* s: scores -> P; dp: dP -> dS. Keys from `limit` on have weight 0. */
static void weights_row(struct grad_task *t, int r, int limit, int width)
{
    float *s = t->s + (ptrdiff_t)r * t->width, *dp = t->dp + (ptrdiff_t)r * t->width;
    vec scale = vec_set(t->args->scale), lse = vec_set(t->lse[r]), delta = vec_set(t->delta[r]);
    for (int j = 0; j < width; j += VEC_LANES) {
        int n = limit - j < VEC_LANES ? (limit > j ? limit - j : 0) : VEC_LANES;
        vec p = vec_exp(vec_sub(vec_mul(vec_load(s + j), scale), lse));
        vec_store(s + j, p);
        if (n < VEC_LANES) {
            p = vec_load_n(s + j, n, 0.0f);
            vec_store(s + j, p);
        }
        vec_store(dp + j, vec_mul(vec_mul(p, vec_sub(vec_load(dp + j), delta)), scale));
    }
}

static void product(int M, int n_panels, int K, const float *a, ptrdiff_t a_row, ptrdiff_t a_k, const float *b,
                    ptrdiff_t b_k, float *c, ptrdiff_t c_row, bool from_c)
{
    ISA_NAME(gemm_tile)
    (&(struct gemm_tile){.M = M,
                         .n_panels = n_panels,
                         .K = K,
                         .a = a,
                         .a_row = a_row,
                         .a_k = a_k,
                         .b = b,
                         .b_panel = VEC_LANES,
                         .b_k = b_k,
                         .c = c,
                         .c_row = c_row,
                         .from_c = from_c});
}

static void query_block(struct grad_task *t, int row, int n_rows)
{
    const struct attention_grad_args *a = t->args;
    int D = a->D, Dv = t->Dv, R = n_rows * t->heads, first = t->context->n_prefix + row, panels = D / VEC_LANES;
    int n_keys = first + n_rows, width = div_up(n_keys, VEC_LANES) * VEC_LANES;
    gather_queries(t, row, n_rows);
    product(R, width / VEC_LANES, D, t->q, D, 1, t->kt, t->width, t->s, t->width, false);
    product(R, width / VEC_LANES, Dv, t->dout, Dv, 1, t->vt, t->width, t->dp, t->width, false);
    for (int r = 0; r < R; r++) {
        weights_row(t, r, first + r / t->heads + 1, width);
    }
    product(n_keys, Dv / VEC_LANES, R, t->s, 1, t->width, t->dout, Dv, t->dv, Dv, true);
    product(n_keys, panels, R, t->dp, 1, t->width, t->q, D, t->dk, D, true);
    product(R, panels, n_keys, t->dp, t->width, 1, t->k, D, t->dq, D, false);
    for (int r = 0; r < R; r++) {
        ptrdiff_t token = t->context->row + row + r / t->heads, head = t->head + r % t->heads;
        float *dq = (float *)a->dq + token * a->qkv_stride + head * D;
        for (int i = 0; i < D; i += VEC_LANES) {
            vec_store(dq + i, vec_add(vec_load(dq + i), vec_load(t->dq + (ptrdiff_t)r * D + i)));
        }
    }
}

/* The gradient through the query heads head .. head + heads - 1. */
static void heads_grad(struct grad_task *t, int head, int heads)
{
    int rows = MAX_ROWS / heads;
    t->head = head;
    t->heads = heads;
    for (int row = 0; row < t->context->n_rows; row += rows) {
        query_block(t, row, min_int(t->context->n_rows - row, rows));
    }
}

static void context_grad(const struct attention_grad_args *a, const struct context *context, int j)
{
    struct grad_task t = {.args = a, .context = context, .j = j};
    int group = a->H / a->J, heads = div_up(group, div_up(group, MAX_ROWS));
    t.Dv = a->Dv > 0 ? a->Dv : a->D;
    t.kv_stride = a->kv_stride > 0 ? a->kv_stride : a->qkv_stride;
    t.n_keys = context->n_prefix + context->n_rows;
    t.width = div_up(t.n_keys, VEC_LANES) * VEC_LANES;
    gather_keys(&t);
    t.q = cpu_scratch(SCRATCH_ROWS, (size_t)MAX_ROWS * (size_t)(2 * a->D + t.Dv));
    t.dout = t.q + (ptrdiff_t)MAX_ROWS * a->D;
    t.dq = t.dout + (ptrdiff_t)MAX_ROWS * t.Dv;
    t.s = cpu_scratch(SCRATCH_SCORES, (size_t)2 * MAX_ROWS * (size_t)t.width);
    t.dp = t.s + (ptrdiff_t)MAX_ROWS * t.width;
    for (int share = 0; share < group; share += heads) {
        heads_grad(&t, j * group + share, min_int(group - share, heads));
    }
    scatter_keys(&t);
}

void ISA_NAME(attention_grad)(const struct attention_grad_args *a)
{
    double work = 0;
    for (int c = 0; c < a->n_contexts; c++) {
        const struct context *x = &a->contexts[c];
        work += 5.0 * x->n_rows * (x->n_prefix + x->n_rows) * a->H * a->D;
    }
    int threads = cpu_threads_for(work);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int i = 0; i < a->n_contexts * a->J; i++) {
        int c = i / a->J, j = i % a->J;
        if (a->contexts[c].n_prefix > 0) {
            continue; /* done with the prefix it shares */
        }
        do {
            context_grad(a, &a->contexts[c], j);
        } while (++c < a->n_contexts && a->contexts[c].n_prefix > 0);
    }
}

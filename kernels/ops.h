/* kernels/ops.h - every operation of a decoder, once per device: the boundary between the network and arithmetic.
 *
 * A `struct ops` is one constant table per device (kernels/cpu: three builds of the same sources, for any x86-64, AVX2
 * and AVX-512; kernels/cuda: an NVIDIA GPU). Code above calls through the table and never asks which device it is on.
 *
 * Types. `void *` is an array of the device's element (fp32 on the CPU, bf16 on a GPU); `float *` is fp32 everywhere.
 * All pointers of the argument structs are borrowed, and point to the device's memory unless marked host. Arrays do not
 * overlap unless said. Orders of arithmetic below are the CPU's; kernels/cuda/README.md has those of the GPU.
 *
 * Letters (kernels/README.md): T rows = tokens of a batch, d model width, H query heads, J key/value heads, D head
 * width, F feed-forward width, V vocabulary. "[T, d]" is row-major; a `_stride` is in elements.
 *
 * The contract (kernels/README.md, "Exactness"): every output element of a forward operation is a fixed sequence of
 * fp32 operations that depends on nothing but the element's own inputs: not on T, on the other rows, on the number of
 * threads, on the instruction set, nor on how a sequence was cut into calls. Backward operations are deterministic for
 * the same call, whatever the number of threads.
 *
 * Matrices. A weight matrix W [N, K] (N outputs, K inputs, as in a checkpoint) is kept, on the CPU, in panels of 16
 * outputs: element (n, k) at panel n/16, offset k*16 + n%16; N is padded up to a multiple of 16 with zeros. On a GPU it
 * is kept in rows. A gradient has the layout of its matrix, so that the optimiser sees flat arrays.
 * matrix_import/export convert from and to rows of fp32; wide_import/export do so for fp32 arrays of the same layout
 * (master weights, gradients, moments), and bf16_import/export for bf16 arrays (moments), from and to rows of bf16.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_OPS_H
#define KERNELS_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/experts.h"

#define OPS_PAGE 128 /* positions in a page of the key/value cache, and keys in a block of attention */

/* y[t, n] = residual[t, n] + (bias[n] + sum over k of x[t, k] W[n, k])
 * order: acc = 0; acc = fma(x[k], w[k], acc) for k ascending; then + bias, then residual +; each rounds on its own */
struct matmul_args {
    int T, N, K;
    const void *x; /* [T, K], rows x_stride apart */
    int x_stride;
    const void *w;        /* matrix [N, K] */
    const void *bias;     /* [N] or NULL */
    const void *residual; /* [T, N] with y's stride, may be y itself; or NULL */
    void *y;              /* [T, N] */
    int y_stride;
};

/* dx[t, k] (+)= sum over n of dy[t, n] W[n, k]
 * order: acc = 0, or dx; acc = fma(dy[n], W[n, k], acc) for n ascending. It is a forward operation, too: a product with a matrix
 * transposed, under the contract. */
struct matmul_input_grad_args {
    int T, N, K;
    const void *dy; /* [T, N] */
    int dy_stride;
    const void *w; /* matrix [N, K] */
    void *dx;      /* [T, K] */
    int dx_stride;
    bool accumulate; /* dx += instead of dx = */
};

/* dW[n, k] += sum over t of dy[t, n] x[t, k];  dbias[n] += sum over t of dy[t, n] */
struct matmul_weight_grad_args {
    int T, N, K;
    const void *dy;
    int dy_stride;
    const void *x;
    int x_stride;
    float *dw;    /* matrix [N, K]; NULL: not computed, for weights that are frozen */
    float *dbias; /* [N] or NULL */
};

/* y[t] = row tokens[t] of the table (a matrix [V, d]);  backward: dtable row tokens[t] += dy[t], t ascending */
struct embedding_args {
    int T, d, V;
    const int32_t *tokens; /* [T], each in [0, V) */
    const void *table;     /* forward */
    void *y;               /* forward, [T, d] */
    const void *dy;        /* backward */
    float *dtable;         /* backward; NULL: nothing is done */
};

/* RMS norm (Zhang and Sennrich 2019, eq. 4) of `n_heads` slices of `width` in each row:
 *   y = x * r * weight,  r = 1 / sqrt(mean(x^2) + eps)
 * order: 16 lanes; lane i sums x[j]^2 by fma for j = i, i+16, ... ascending; lanes are added in halves 8, 4, 2, 1.
 * x and y may be the same array (query/key norm works in place, and keeps nothing: its backward gets x saved apart). */
struct rmsnorm_args {
    int T, n_heads, width;
    float eps;
    const void *x; /* [T, n_heads * width], rows x_stride apart */
    int x_stride;
    const void *weight; /* [width] */
    void *y;
    int y_stride;
};

/* dx (+)= gradient through the norm; dweight += */
struct rmsnorm_grad_args {
    int T, n_heads, width;
    float eps;
    const void *x; /* the forward's input */
    int x_stride;
    const void *weight;
    const void *dy;
    int dy_stride;
    void *dx; /* may be dy's array when accumulate is false */
    int dx_stride;
    bool accumulate;
    float *dweight; /* [width]; NULL: not computed */
};

/* Rotary embedding (Su et al. 2021, eq. 34) of `n_heads` heads of width D of each row: the pair (a, b) at
 * position p becomes (a cos - b sin, b cos + a sin), each product rounded, then one fma. Pairs are (i, i + D/2) or,
 * interleaved, (2i, 2i + 1), in x and in y. `inverse` rotates back (the backward pass). */
struct rope_args {
    int T, n_heads, D;
    void *x;
    int x_stride, x_head; /* from row to row, from head to head; x_head 0: D */
    void *y;              /* the result, an array of its own; NULL: x itself */
    int y_stride, y_head;
    const int32_t *positions; /* [T] */
    const float *cos, *sin;   /* [positions, D/2] */
    bool interleaved, inverse;
};

/* Rows `row .. row + n_rows - 1` of a batch are positions `position ...` of one sequence, whose keys and values for
 * positions 128 i ... 128 i + 127 are in page pages[i] of the pool. */
struct span {
    int32_t row, n_rows, position;
    const int32_t *pages;
};

/* The pool, one pair of arrays per layer:
 *   k: [page, J, D, 128]  keys transposed, so that 128 scores are one run of panels; on a GPU [page, J, 128, D]
 *   v: [page, J, 128, D]
 * Values may have another width than keys, Dv (on a GPU at most D); Dv 0: D, everywhere below. */
static inline size_t ops_page_elements(int J, int D)
{
    return (size_t)J * (size_t)D * OPS_PAGE;
}

/* Writes the keys and values of the spans' rows into their pages. */
struct kv_store_args {
    int n_spans;
    const struct span *spans; /* host */
    int J, D, Dv;
    const void *k, *v; /* [T, J * D] and [T, J * Dv], rows kv_stride apart; may be one array */
    int kv_stride;
    void *k_pool, *v_pool;
};

/* Copies the first n positions of one page onto another. */
struct kv_copy_args {
    int J, D, Dv, n;
    int32_t from, to;
    void *k_pool, *v_pool;
};

/* Grouped-query attention, causal: query head h uses key/value head h / (H / J); a row at position p sees keys 0..p.
 *   out = sum_j softmax_j(scale q.k_j) v_j
 * order: key blocks of 128 at absolute positions, ascending. In a block: s_j = fma chain over D ascending, times scale;
 * block maximum; m' = max(m, max); a = exp(m - m'); p_j = exp(s_j - m'); l = l a + sum of p_j (16 lanes by j % 16, each
 * ascending, added in halves); out = out a, then fma(p_j, v_j, out) for j ascending. At the end out / l,
 * lse = m + log l. */
struct attention_args {
    int n_spans;
    const struct span *spans; /* host */
    int H, J, D, Dv;
    float scale;
    const void *q; /* [T, H * D], rows q_stride apart */
    int q_stride;
    const void *k_pool, *v_pool;
    void *out; /* [T, H * Dv] */
    int out_stride;
    float *lse; /* [T, H] or NULL; kept for the backward pass */
};

/* One sequence of a training batch: rows row .. row + n_rows - 1 follow `n_prefix` rows that start at prefix_row and
 * may be shared with other sequences (the prompt of a group). Positions are 0 .. n_prefix + n_rows - 1. Sequences that
 * share a prefix are adjacent, after the sequence that is the prefix itself. */
struct context {
    int32_t prefix_row, n_prefix, row, n_rows;
};

/* dq, dk, dv from dout; q, k, v are the forward's inputs (after rotary embedding). The gradient of a shared prefix
 * is the sum over its sequences, in their order. Where values are the first Dv columns of the keys of one head, v may be k, and
 * dv dk: then it is the sum of both. */
struct attention_grad_args {
    int n_contexts;
    const struct context *contexts; /* host */
    int H, J, D, Dv;
    float scale;
    const void *q, *k, *v;     /* rows qkv_stride apart, */
    int qkv_stride, kv_stride; /* those of k and v kv_stride; 0: as q */
    const void *out, *dout;    /* [T, H * Dv], rows out_stride apart */
    int out_stride;
    const float *lse;   /* [T, H] */
    void *dq, *dk, *dv; /* rows as q, k, v; zeroed by the caller */
};

/* act = silu(gate) * up;  silu(g) = g / (1 + exp(-g)).  gate_up: [T, 2F], gate in the first F columns. */
struct swiglu_args {
    int T, F;
    const void *gate_up;
    void *act;        /* forward, [T, F] */
    const void *dact; /* backward */
    void *dgate_up;   /* backward, [T, 2F]; may be gate_up itself */
};

/* How to draw a token; one of them per row. */
struct sampling {
    float temperature;        /* 0: the largest logit (the smallest token id on a tie) */
    float top_p;              /* 1: off */
    float min_p;              /* 0: off */
    int32_t top_k;            /* 0: off */
    float repetition_penalty; /* 1: off */
    uint64_t seed, sequence;  /* with `position` and the token id: the key of the random number (kernels/rng.h) */
    uint32_t position;
    const int32_t *seen; /* host: the sequence's tokens so far, for the penalty */
    int32_t n_seen;
};

/* The LM head fused with log-softmax. For each row: logit_v = (fma chain over d) * inv_temperature; the log-sum-exp
 * over vocabulary tiles of 128, ascending (tile maximum, 16-lane sum of exp, then combined with the running pair); and
 *   logprob = logit[target] - lse,   entropy = lse - sum of softmax * logit  (nats).
 * Logits of more than a few rows are never stored. */
struct head_args {
    int n_rows, d, V;
    const void *hidden; /* [n_rows, d] */
    const void *w;      /* matrix [V, d] */
    float inv_temperature;
    const int32_t *targets; /* [n_rows] */
    float *logprob, *lse;   /* [n_rows] */
    float *entropy;         /* [n_rows] or NULL */
};

/* The same, with the token drawn: argmax over v of logit_v + Gumbel noise (kernels/rng.h), after the filters of
 * `sampling`. logprob and lse are those of head_args (unfiltered, unpenalised; at temperature 0 they are those of
 * temperature 1), so that the trainer computes the same bits. Only tokens < n_valid are drawn. */
struct head_sample_args {
    int n_rows, d, V, n_valid;
    const void *hidden;
    const void *w;
    const struct sampling *sampling; /* host, [n_rows] */
    int32_t *tokens;                 /* [n_rows], drawn */
    float *logprob, *lse, *entropy;  /* [n_rows] */
};

/* Given lse (and entropy where d_entropy is used) of the forward pass with the same weights:
 *   dlogit_v = (d_logprob (1[v = target] - p_v) - d_entropy p_v (log p_v + entropy)) * inv_temperature
 *   dhidden = dlogit W,  dW += dlogit^T hidden */
struct head_grad_args {
    int n_rows, d, V;
    const void *hidden;
    const void *w;
    float inv_temperature;
    const int32_t *targets;
    const float *lse, *entropy;
    const float *d_logprob;
    const float *d_entropy; /* [n_rows] or NULL for zeros */
    void *dhidden;          /* [n_rows, d], overwritten */
    float *dw;              /* matrix [V, d]; NULL: not computed */
};

/* y[i] = x[rows[i]]; or, backward, y[rows[i]] += x[i] for i ascending (rows may repeat) */
struct rows_args {
    int n_rows, width;
    const int32_t *rows;
    const void *x;
    void *y;
};

/* AdamW (Loshchilov and Hutter 2019, algorithm 2), decoupled decay:
 *   g = grad * grad_scale; m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2
 *   param -= lr (m / correction1 / (sqrt(v / correction2) + eps) + weight_decay param)
 * Where elements are narrower than fp32, `master` is the parameter that is updated, and param its rounding.
 *
 * stochastic: m and v are bf16, and there is no master: elements that are bf16 are updated themselves. The arithmetic
 * is the same, in fp32; what is stored is then rounded to one of its two neighbours, up with the probability of the
 * distance to the lower one: 16 random bits are added to the 16 that are cut off. They belong to the element and the
 * step (kernels/rng.h): with its two words a and b, m takes the lower half of a, v the upper half of a, the parameter
 * the lower half of b. */
struct adamw_args {
    size_t n; /* stochastic: even */
    void *param;
    float *master; /* NULL where elements are fp32, or stochastic */
    const float *grad;
    void *m, *v; /* fp32; stochastic: bf16 */
    float grad_scale, lr, beta1, beta2, eps, weight_decay;
    float correction1, correction2; /* 1 - beta^step */
    bool stochastic;
    uint64_t key, step, first; /* stochastic: of the random numbers; `first`, even, is the index of element 0 */
};

/* A list of operations that is the same again and again: a pass of decoding. Equal keys promise the same calls in the
 * same order with the same arguments and `spans`, except for the contents of device memory and the numbers in the
 * n_spans single rows of `spans`. */
struct repeat_args {
    const void *key;
    size_t key_bytes; /* at most OPS_REPEAT_KEY */
    const struct span *spans;
    int n_spans;
    void (*work)(void *context); /* calls the operations; reads and writes nothing else */
    void *context;
};
#define OPS_REPEAT_KEY 64

/* Shapes that the operations of a kind of device take (kernels/device.h); model_open refuses others. 0: any. */
struct ops_limits {
    int max_D;
    int max_group;  /* H / J: query heads that share a key/value head */
    int multiple_d; /* d is a multiple of it */
    int max_experts;
};

struct ops {
    const char *name; /* "cpu/avx2" */
    size_t (*matrix_elements)(int N, int K);
    /* n_rows rows [n_rows, K] of fp32 (host) into, or out of, rows row .. of the matrix [N, K] */
    void (*matrix_import)(void *matrix, const float *rows, int row, int n_rows, int N, int K);
    void (*matrix_export)(float *rows, const void *matrix, int row, int n_rows, int N, int K);
    void (*wide_import)(float *matrix, const float *rows, int row, int n_rows, int N, int K);
    void (*wide_export)(float *rows, const float *matrix, int row, int n_rows, int N, int K);
    void (*bf16_import)(uint16_t *matrix, const uint16_t *rows, int row, int n_rows, int N, int K);
    void (*bf16_export)(uint16_t *rows, const uint16_t *matrix, int row, int n_rows, int N, int K);

    void (*embedding)(const struct embedding_args *);
    void (*embedding_grad)(const struct embedding_args *);
    void (*rmsnorm)(const struct rmsnorm_args *);
    void (*rmsnorm_grad)(const struct rmsnorm_grad_args *);
    void (*matmul)(const struct matmul_args *);
    void (*matmul_wide)(const struct matmul_args *); /* y is fp32 on every device; no bias, no residual */
    void (*matmul_input_grad)(const struct matmul_input_grad_args *);
    void (*matmul_weight_grad)(const struct matmul_weight_grad_args *);
    void (*rope)(const struct rope_args *);
    void (*kv_store)(const struct kv_store_args *);
    void (*kv_copy)(const struct kv_copy_args *);
    void (*attention)(const struct attention_args *);
    void (*attention_grad)(const struct attention_grad_args *);
    void (*swiglu)(const struct swiglu_args *);
    void (*swiglu_grad)(const struct swiglu_args *);
    void (*route)(const struct route_args *);
    void (*route_grad)(const struct route_grad_args *);
    void (*expert_order)(const struct expert_order_args *);
    void (*grouped_matmul)(const struct grouped_matmul_args *);
    void (*grouped_input_grad)(const struct grouped_grad_args *);
    void (*grouped_weight_grad)(const struct grouped_grad_args *);
    void (*combine)(const struct combine_args *);
    void (*weighted_swiglu_grad)(const struct weighted_swiglu_grad_args *);
    void (*gather_rows)(const struct rows_args *);
    void (*scatter_add_rows)(const struct rows_args *);
    void (*head)(const struct head_args *);
    void (*head_sample)(const struct head_sample_args *);
    void (*head_grad)(const struct head_grad_args *);
    void (*adamw)(const struct adamw_args *);
    double (*sum_squares)(const float *x, size_t n); /* fixed order: blocks of 4096 in fp64, added ascending */
    void (*mix)(void *to, const void *from, size_t n, float share); /* to = share from + (1 - share) to */
    void (*add)(float *to, const float *from, size_t n);            /* to = to + from */
    void (*scale)(void *x, size_t n, float factor);                 /* x = factor x */
    /* Does the work, or what it recorded when it did it before: for devices whose host is slow. NULL: do the work. */
    void (*repeat)(const struct repeat_args *);
};

#endif

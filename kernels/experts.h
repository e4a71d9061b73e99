/* kernels/experts.h - the operations of a mixture of experts (Shazeer et al. 2017, section 2; DeepSeek-V3, section 2.1.2).
 *
 * Part of kernels/ops.h, whose letters, types and contract hold here as well. E experts, k of which each row goes to. The
 * T k pairs (row, expert) are sorted by expert and by row within an expert: a place is where a pair is then. All counts stay on
 * the device, so that nothing waits for it.
 *
 *   logits = x W^T (fp32) ── route ──► experts, weights [T, k] ── expert_order ──► offsets, places ...
 *   x ── gather_rows ──► [T k, d] ── grouped_matmul ── swiglu ── grouped_matmul ──► [T k, d] ── combine ──► y [T, d]
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_EXPERTS_H
#define KERNELS_EXPERTS_H

#include <stdbool.h>
#include <stdint.h>

/* How experts are chosen, and what their outputs are multiplied by:
 *   s = sigmoid(logits), or softmax over all E;   c = s + bias
 *   groups: E / n_groups experts in a row; a group's score is the sum of its group_best largest c; all but the top_groups groups
 *     with the largest scores get c = -inf
 *   the k experts with the largest c;  weight = scale (s / (sum of the k s + epsilon)), or scale s where not normalised
 * Equal numbers: the lower index first, of experts and of groups. Order of sums: the chosen experts ascending, a group's largest c
 * from the largest down; softmax: 16 lanes as in kernels/README.md, maximum first. */
struct router {
    int E, k;
    bool sigmoid, normalised;
    float scale, epsilon;
    int n_groups, top_groups, group_best; /* n_groups 1: none */
};

struct route_args {
    struct router router;
    int T;
    const float *logits;   /* [T, E] */
    const float *bias;     /* [E] or NULL */
    const int32_t *forced; /* [T, k], ascending in each row: taken without a choice; may be `experts`; or NULL */
    int32_t *experts;      /* [T, k], ascending in each row */
    float *weights;        /* [T, k], of these experts */
};

/* dlogits through the weights and, for balance losses, the shares: a row's scores divided by their sum over all E. */
struct route_grad_args {
    struct router router;
    int T;
    const float *logits;
    const int32_t *experts;
    const float *dweights; /* [T, k] */
    const float *dshares;  /* [n, E], added to the gradient of each row's shares; or NULL */
    const int32_t *sets;   /* [T]: which of the n a row has; NULL: the first */
    void *dlogits;         /* [T, E] */
};

/* Sorts the pairs. */
struct expert_order_args {
    int T, k, E;
    const int32_t *experts; /* [T, k] */
    int32_t *offsets;       /* [E + 1]: expert e has the places offsets[e] .. offsets[e + 1] - 1 */
    int32_t *places;        /* [T, k]: of each pair */
    int32_t *pairs;         /* [T k]: the pair t k + j of each place */
    int32_t *rows;          /* [T k]: its row t */
};

/* For each expert's places: y = x W_e^T, with the order of matmul for every row, however many an expert has. */
struct grouped_matmul_args {
    int E, N, K, n_places;
    const int32_t *offsets; /* [E + 1], offsets[E] == n_places */
    const void *x;          /* [n_places, K] */
    const void *w;          /* E matrices [N, K], matrix_elements(N, K) apart; N a multiple of 16 */
    void *y;                /* [n_places, N] */
};

/* dx = dy W_e;  dW_e += dy^T x, nothing for an expert without places */
struct grouped_grad_args {
    int E, N, K, n_places;
    const int32_t *offsets;
    const void *dy; /* [n_places, N] */
    const void *w;  /* input_grad */
    void *dx;       /* input_grad, [n_places, K] */
    const void *x;  /* weight_grad, [n_places, K] */
    float *dw;      /* weight_grad, E matrices as w; NULL: not computed */
};

/* y[t] = residual[t] + (sum over j of weights[t, j] x[places[t, j]], + gates[t] shared[t])
 * order: acc = 0; acc = fma(weight, x, acc) for j ascending; acc = fma(gate, shared, acc), or acc + shared without gates;
 * residual + acc; one rounding to the device's element at the end. */
struct combine_args {
    int T, d, k;
    const int32_t *places; /* [T, k] */
    const float *weights;  /* [T, k]; NULL: ones */
    const void *x;         /* [T k, d] */
    const void *shared;    /* [T, d] or NULL */
    const float *gates;    /* [T] or NULL */
    const void *residual;  /* [T, d] or NULL; may be y */
    void *y;
};

/* The backward pass of rows that are weighted after their down product, without that product's output: with act as in swiglu, and
 * dact = dy W_down for the unweighted dy,
 *   dweights[p] = sum over f of dact[f] act[f] (an order of the device's),  dgate_up = swiglu_grad(weights[p] dact),  act = weights[p] act
 * where p is pairs[i], or i where pairs is NULL. */
struct weighted_swiglu_grad_args {
    int n_rows, F;
    const void *gate_up;  /* [n_rows, 2F] */
    const void *dact;     /* [n_rows, F] */
    const int32_t *pairs; /* [n_rows] or NULL */
    const float *weights;
    float *dweights;
    void *dgate_up; /* [n_rows, 2F]; may be gate_up */
    void *act;      /* [n_rows, F]; may be dact */
};

#endif

/* kernels/slots.h - the memory that the GPU's operations need for themselves, from the limits of a run.
 *
 * Kernels ask for an array by its purpose (cuda_slot, kernels/cuda/cuda.h). How large each can get follows from the
 * largest batch: cuda_slots_plan gives it before the first kernel runs, on any machine. The sizes of blocks that its
 * formulae share with the kernels are here, and the kernels assert them.
 *
 * Private to kernels/. Needs no CUDA. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_SLOTS_H
#define KERNELS_SLOTS_H

#include <stddef.h>

enum cuda_slot {
    CUDA_SLOT_ROWS,                        /* a number or a list entry per row */
    CUDA_SLOT_PARTS,                       /* sums of parts, before they are added in order */
    CUDA_SLOT_DELTA,                       /* attention backward: rowsum(dO O) */
    CUDA_SLOT_TILES,                       /* head: the result of each vocabulary tile */
    CUDA_SLOT_LOGITS,                      /* head: logits of filtered rows; gradients of logits */
    CUDA_SLOT_SAMPLING,                    /* head: how to draw each row */
    CUDA_SLOT_WIDE,                        /* fp32 sums before they are rounded to elements; import and export */
    CUDA_SLOT_BLAS,                        /* workspace of cuBLASLt */
    CUDA_SLOT_TRIAL,                       /* numbers to try cuBLASLt's algorithms on (cuda_borrow) */
    CUDA_SLOT_CONTEXTS,                    /* the plan of attention's backward pass (kernels/cuda/plan.c) */
    CUDA_SLOT_PLAN,                        /* first of four: plans of spans */
    CUDA_SLOT_REPEAT = CUDA_SLOT_PLAN + 4, /* first of two: plans of what is repeated (kernels/cuda/repeat.c) */
    CUDA_SLOTS = CUDA_SLOT_REPEAT + 2,
};

#define CUDA_IMPORT_FLOATS (1 << 18) /* of weights, in or out at once; or IMPORT_ROWS rows, if that is more */
#define CUDA_IMPORT_ROWS   64
#define CUDA_PASS_ROWS     2048 /* head: rows at once; */
#define CUDA_FEW_ROWS      256  /* that store their logits; */
#define CUDA_DLOGIT_ROWS   4096 /* that store the gradients of their logits */
#define CUDA_TILE          128  /* rows and columns of a tile of a product; tokens of a vocabulary tile */
#define CUDA_TILE_BYTES    24   /* the result of a vocabulary tile for a row */
#define CUDA_DRAW_BYTES    28   /* how to draw a row, */
#define CUDA_FILTER_BYTES  56   /* and with filters */
#define CUDA_PART_ROWS     64   /* rows whose sum is a part: norms, biases, keys of attention */
#define CUDA_PART_TILES    160  /* most tiles of a product that is summed in parts */
#define CUDA_SQUARES       4096 /* elements of a partial sum of squares */
#define CUDA_MOST_EXPERTS  512
#define CUDA_SORT_PAIRS    4096 /* pairs of a row and an expert that a block sorts */
#define CUDA_BLAS_BYTES    ((size_t)64 << 20)
#define CUDA_TRIAL_TOKENS  2048  /* at most: rows of a trial, */
#define CUDA_TRIAL_OUTPUTS 16384 /* and outputs, of a weight's gradient */

/* Elements of a matrix [N, K]: rows, one after the other. Tensors begin at multiples of 16 elements (model/weights.h),
 * and that keeps rows that cp.async can read. */
static inline size_t cuda_elements(int N, int K)
{
    return ((size_t)N * (size_t)K + 15) / 16 * 16;
}

struct device_limits;

/* Bytes of each slot in each phase: 0 where it is not needed. Slots whose contents outlive a call, and
 * those of checkpoints, are in DEVICE_ALWAYS. */
void cuda_slots_plan(const struct device_limits *limits, size_t bytes[][CUDA_SLOTS]);
const char *cuda_slot_label(enum cuda_slot slot);

#endif

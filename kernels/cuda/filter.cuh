/* kernels/cuda/filter.cuh - drawing with filters, for kernels/cuda/head.cu.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CUDA_FILTER_CUH
#define KERNELS_CUDA_FILTER_CUH

#include "kernels/cuda/device.cuh"

/* How one row is drawn. */
struct filter {
    float inv_temperature, top_p, min_p, penalty;
    int32_t top_k, seen, n_seen; /* seen: where its tokens begin in filter_args.seen */
    uint32_t noisy, position, seed_low, seed_high, sequence_low, sequence_high;
};

static_assert(sizeof(struct filter) <= CUDA_FILTER_BYTES, "kernels/slots.h");

struct filter_args {
    int V, n_valid;
    const struct filter *filters; /* [n_rows]; all on the device */
    const int32_t *seen;
    float *kept;   /* as many as there are in `seen` */
    float *logits; /* [n_rows, V] without the temperature; changed */
    const float *lse;
    int32_t *tokens;
    float *logprob;
};

void filter_draw(const struct filter_args *a, int n_rows);

#endif

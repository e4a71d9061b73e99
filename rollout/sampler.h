/* rollout/sampler.h - from hidden rows to tokens.
 *
 * The head and the draw are one operation of the device (ops->head_sample); here its rows are gathered and its keys
 * made. Each row has the options of its own request. The random number of a token depends on the seed, the sequence's
 * key and the token's position in the sequence, and on nothing else. One row may be drawn from many times: the last row
 * of a prompt gives the first token of each of its samples.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ROLLOUT_SAMPLER_H
#define ROLLOUT_SAMPLER_H

#include "rollout/sequence.h"

/* Draw the next token of `sequence` from row `row` of hidden. */
struct draw_job {
    int32_t row;
    struct sequence *sequence;
};

struct sampler {
    struct model *model;                  /* borrowed */
    int n_valid;                          /* tokens that can be drawn: 0 .. n_valid - 1 */
    int capacity;                         /* rows of one call of the device */
    void *hidden;                         /* device, [capacity, d] */
    int32_t *device_rows, *device_tokens; /* [capacity] */
    float *device_numbers;                /* [3, capacity]: logprob, lse, entropy */
    int32_t *rows, *tokens;               /* [capacity] on the host */
    float *numbers;
    struct sampling *sampling; /* [capacity] */
};

void sampler_init(struct sampler *sampler, struct model *model, int capacity);
void sampler_release(struct sampler *sampler);
/* hidden: device. Fills draws [n]. */
void sampler_draw(struct sampler *sampler, const void *hidden, const struct draw_job *jobs, int n, struct draw *draws);

#endif

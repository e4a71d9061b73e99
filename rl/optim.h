/* rl/optim.h - AdamW with clipping and a learning-rate schedule.
 *
 * State: m and v, fp32, in the layout of the weights. Norms and biases do not decay, as in TRL. A step whose gradient is not
 * finite is skipped and counted: the weights stay as they are.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_OPTIM_H
#define RL_OPTIM_H

#include "model/model.h"

enum lr_schedule { LR_CONSTANT, LR_LINEAR, LR_COSINE };

struct optim_options {
    double learning_rate, beta1, beta2, epsilon, weight_decay, max_grad_norm; /* max_grad_norm 0: no clipping */
    enum lr_schedule schedule;
    double min_lr_ratio; /* where linear and cosine end, as a share of learning_rate */
    int warmup_steps;    /* linear from 0; the first step has learning_rate / warmup_steps */
    int64_t max_steps;   /* of the schedule */
};

struct optim {
    struct optim_options options;
    float *grads, *m, *v; /* device, [weights.n] */
    size_t n;
    int64_t step;      /* updates applied so far; bias correction uses it */
    int64_t n_skipped; /* in a row */
};

struct optim_stats {
    double grad_norm, learning_rate;
    bool skipped;
};

void optim_init(struct optim *optim, const struct optim_options *options, const struct model *model);
void optim_release(struct optim *optim, const struct model *model);
/* The turn of DEVICE_TRAINING begins (kernels/device.h). */
void optim_zero_grads(struct optim *optim, const struct model *model);
/* Learning rate of step s, counted from 1. */
double optim_learning_rate(const struct optim_options *options, int64_t step);
/* weights -= update; `schedule_step` counts from 1. ERR_STATE after three gradients in a row that are not finite. */
enum err optim_step(struct optim *optim, struct model *model, int64_t schedule_step, struct optim_stats *stats);

#endif

/* rl/optim.h - AdamW with clipping and a learning-rate schedule.
 *
 * It updates a set of parameters (model_trained), those that train; the gradients and the moments m and v, fp32 or
 * bf16 by the kind, belong to the set, and have no place for those that are frozen. Norms and biases do not decay, as in TRL. A step whose gradient is not finite
 * is skipped, reported and counted: the weights stay as they are.
 *
 *   kind                   bytes per parameter that trains, on a GPU: element + master + gradient + m + v
 *   OPTIM_ADAMW            2 + 4 + 4 + 4 + 4 = 18   everything that lasts is fp32
 *   OPTIM_ADAMW_BF16_SR    2 + 0 + 4 + 2 + 2 = 10   moments in bf16, and the bf16 parameters themselves are updated
 *
 * bf16 has 8 bits of mantissa: an update below half a unit in the last place, 1/512 to 1/256 of the parameter, is
 * lost when it is rounded to nearest, and so is a change of v by (1 - beta2). Rounded stochastically (kernels/ops.h,
 * adamw) it happens with the probability of its share, so that the mean is right (Zamirai et al. 2020, arXiv
 * 2010.06192, section 4, which has it level with fp32; Kahan's sum, the other way there, takes another bf16 per
 * parameter). Each step adds noise of a unit in the last place of a parameter. The numbers belong to (seed, step,
 * element): runs repeat bit by bit, and resume exactly. Where elements are fp32 (the CPU) the parameters stay so and
 * the moments alone are bf16.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_OPTIM_H
#define RL_OPTIM_H

#include "model/model.h"

enum lr_schedule { LR_CONSTANT_WITH_WARMUP, LR_CONSTANT, LR_LINEAR, LR_COSINE };

enum optim_kind { OPTIM_ADAMW, OPTIM_ADAMW_BF16_SR };

struct optim_options {
    enum optim_kind kind;
    uint64_t seed;                                                            /* of stochastic rounding */
    double learning_rate, beta1, beta2, epsilon, weight_decay, max_grad_norm; /* max_grad_norm 0: no clipping */
    enum lr_schedule schedule;
    double min_lr_ratio; /* where linear and cosine end, as a share of learning_rate */
    int warmup_steps;    /* step s of these has s / warmup_steps of the rate; LR_CONSTANT has none */
    int64_t max_steps;   /* of the schedule */
};

struct optim {
    struct optim_options options;
    struct {
        size_t first, n; /* even */
    } range;           /* of the elements that optim_step updates: at first all, a part where others update the rest */
    int64_t step;      /* updates applied so far; bias correction uses it */
    int64_t n_skipped; /* in a row */
};

struct optim_stats {
    double grad_norm, learning_rate;
    bool skipped;
};

/* The policy of OPTIM_ADAMW was opened by model_open_trainable, that of OPTIM_ADAMW_BF16_SR by model_open: it has no
 * masters. */
void optim_init(struct optim *optim, const struct optim_options *options, struct model *model);
void optim_release(struct optim *optim, struct model *model);
/* Bytes of a number of m or v. */
static inline size_t optim_moment_bytes(enum optim_kind kind)
{
    return kind == OPTIM_ADAMW_BF16_SR ? sizeof(uint16_t) : sizeof(float);
}
/* Begins the phase DEVICE_TRAINING (kernels/device.h). */
void optim_zero_grads(const struct model *model);
/* Learning rate of step s, counted from 1; never 0. After the warm-up of W steps it is that of transformers'
 * schedules: of N steps the first after the warm-up has the full rate, and the last one share: with linear, (N - s +
 * 1) / (N - W) in step s. During the warm-up transformers has (s - 1) / W, and so wastes its first step. Beyond N
 * the rate of step N stays. */
double optim_learning_rate(const struct optim_options *options, int64_t step);
/* Subtracts the update from the weights of the range; the norm is that of all gradients. `schedule_step` counts from
 * 1. ERR_NUMBERS, with a tensor's name, after three gradients in a row that are not finite, or if the weights no
 * longer are. */
enum err optim_step(struct optim *optim, struct model *model, int64_t schedule_step, struct optim_stats *stats);

#endif

/* rl/optim.c - one AdamW call of the device per parameter, cut to the range that is updated.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/optim.h"

#include <math.h>

#include "base/log.h"
#include "base/num.h"
#include "kernels/rng.h"
#include "model/finite.h"

#define OPTIM_MAX_SKIPPED 3

void optim_init(struct optim *optim, const struct optim_options *options, struct model *model)
{
    struct params *params = model_trained(model);
    size_t bytes = params->n_trained * optim_moment_bytes(options->kind);
    BUG_ON((options->kind == OPTIM_ADAMW_BF16_SR && params->master) || params->grads);
    *optim = (struct optim){.options = *options, .range = {0, params->n_trained}};
    params->grads = device_alloc_in(model->device, DEVICE_TRAINING, params->n_trained * sizeof(float), "gradients");
    params->m = device_alloc(model->device, bytes, "optimiser: first moment");
    params->v = device_alloc(model->device, bytes, "optimiser: second moment");
}

void optim_release(struct optim *optim, struct model *model)
{
    struct params *params = model_trained(model);
    device_free(model->device, params->grads);
    device_free(model->device, params->m);
    device_free(model->device, params->v);
    params->grads = NULL;
    params->m = params->v = NULL;
    *optim = (struct optim){0};
}

void optim_zero_grads(const struct model *model)
{
    device_use(model->device, DEVICE_TRAINING);
    const struct params *params = model_trained(model);
    device_zero(model->device, params->grads, params->n_trained * sizeof(float));
}

double optim_learning_rate(const struct optim_options *o, int64_t step)
{
    if (o->schedule != LR_CONSTANT && step <= o->warmup_steps) {
        return o->learning_rate * (double)step / o->warmup_steps;
    }
    int64_t span = o->max_steps - o->warmup_steps, last = step < o->max_steps ? step : o->max_steps;
    double done = span > 0 ? (double)(last - 1 - o->warmup_steps) / (double)span : 0;
    switch (o->schedule) {
    case LR_CONSTANT_WITH_WARMUP:
    case LR_CONSTANT: return o->learning_rate;
    case LR_LINEAR: return o->learning_rate * (1 - (1 - o->min_lr_ratio) * done);
    case LR_COSINE:
        return o->learning_rate * (o->min_lr_ratio + (1 - o->min_lr_ratio) * 0.5 * (1 + cos(acos(-1) * done)));
    }
    BUG_ON(true);
}

/* Elements first .. first + n - 1 of the set, all of parameter w. */
static void update(const struct optim *optim, struct model *model, const struct param *w, size_t first, size_t n,
                   double learning_rate, double grad_scale)
{
    const struct optim_options *o = &optim->options;
    const struct params *params = model_trained(model);
    size_t moment = optim_moment_bytes(o->kind),
           element = w->dtype == PARAM_FP32 ? sizeof(float) : model->device->element_bytes;
    model->device->ops->adamw(&(struct adamw_args){
        .n = n,
        .param = (char *)params->data + w->at + (first - w->offset) * element,
        .master = params->master ? params->master + first : NULL,
        .grad = params->grads + first,
        .m = (char *)params->m + first * moment,
        .v = (char *)params->v + first * moment,
        .grad_scale = (float)grad_scale,
        .lr = (float)learning_rate,
        .beta1 = (float)o->beta1,
        .beta2 = (float)o->beta2,
        .eps = (float)o->epsilon,
        .weight_decay = w->decays ? (float)o->weight_decay : 0.0f,
        .correction1 = (float)(1 - pow(o->beta1, (double)optim->step)),
        .correction2 = (float)(1 - pow(o->beta2, (double)optim->step)),
        .stochastic = o->kind == OPTIM_ADAMW_BF16_SR,
        .key = o->seed ^ RNG_ROUNDING,
        .step = (uint64_t)optim->step,
        .first = first,
    });
}

static void optim_apply(const struct optim *optim, struct model *model, double learning_rate, double grad_scale)
{
    const struct params *params = model_trained(model);
    size_t begin = optim->range.first, end = begin + optim->range.n;
    for (int i = 0; i < params->n_params; i++) {
        const struct param *w = &params->table[i];
        size_t from = max_size(w->offset, begin), to = min_size(w->offset + w->n, end);
        BUG_ON(w->trains && w->dtype == PARAM_FP32 && model->device->element_bytes != sizeof(float));
        if (w->trains && from < to) {
            update(optim, model, w, from, to - from, learning_rate, grad_scale);
        }
    }
}

/* A step whose gradient is not finite leaves the weights as they are; the third in a row ends the run. */
static enum err skip_step(struct optim *optim, const struct model *model, int64_t schedule_step, double learning_rate)
{
    const struct params *params = model_trained(model);
    const struct param_part *w = not_finite_find(params, model->device, params->grads);
    const char *where = w ? w->name : "none: their squares overflow";
    if (++optim->n_skipped < OPTIM_MAX_SKIPPED) {
        log_warning("step %lld: the gradient is not finite (first in %s); the update is left out",
                    (long long)schedule_step, where);
        return ERR_NONE;
    }
    return err_set(
        ERR_NUMBERS,
        "step %lld: the gradient is not finite (first in %s), for the %dth time in a row; the checkpoints are "
        "as they were; resume from the last one with a smaller learning_rate (now %g)",
        (long long)schedule_step, where, OPTIM_MAX_SKIPPED, learning_rate);
}

/* bf16 weights without masters are not checked here: the next forward pass and the next save find what is not
 * finite. */
static enum err check_weights(const struct model *model, int64_t schedule_step, double learning_rate)
{
    const struct params *params = model_trained(model);
    const float *trained = params->master ? params->master : params->data;
    size_t n = params->master ? params->n_trained : params->n;
    bool narrow = !params->master && params->bytes != params->n * sizeof(float);
    if (narrow || isfinite(model->device->ops->sum_squares(trained, n))) {
        return ERR_NONE;
    }
    const struct param_part *w = not_finite_find(params, model->device, NULL);
    return err_set(ERR_NUMBERS,
                   "step %lld: after the update the weights are not finite (first in %s); the checkpoints are as they "
                   "were; resume from the last one with a smaller learning_rate (now %g)",
                   (long long)schedule_step, w ? w->name : "none: their squares overflow", learning_rate);
}

enum err optim_step(struct optim *optim, struct model *model, int64_t schedule_step, struct optim_stats *stats)
{
    const struct optim_options *o = &optim->options;
    const struct params *params = model_trained(model);
    double norm = sqrt(model->device->ops->sum_squares(params->grads, params->n_trained));
    double learning_rate = optim_learning_rate(o, schedule_step);
    *stats = (struct optim_stats){.grad_norm = norm, .learning_rate = learning_rate, .skipped = !isfinite(norm)};
    if (stats->skipped) {
        return skip_step(optim, model, schedule_step, learning_rate);
    }
    optim->n_skipped = 0;
    optim->step++;
    double scale = o->max_grad_norm > 0 && norm > o->max_grad_norm ? o->max_grad_norm / (norm + 1e-6) : 1;
    optim_apply(optim, model, learning_rate, scale);
    return check_weights(model, schedule_step, learning_rate);
}

/* rl/train_plan.h - the memory of a run, laid out before anything is taken.
 *
 * The calls that take a run's memory are made on a device that only adds up (kernels/device.h); from the sums follow
 * the pages of the key/value cache: as many as can be of use, of what the device has left, and at least what the
 * place that gradients and activations need holds anyway. One sixteenth of the device stays free, for the driver and
 * what libraries take; of the CPU's memory, pages fill no more than makes one half.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_TRAIN_PLAN_H
#define RL_TRAIN_PLAN_H

#include "rl/train_internal.h"

struct train_plan {
    struct train made;   /* what takes memory, on a device that plans: made.device has the table */
    size_t memory;       /* bytes that the device has; 0: not known, and enough */
    int kv_pages;        /* of the key/value cache; 0: no rollout */
    int kv_pages_wanted; /* that could be of use */
};

/* From the shape of the model at `path`, without its weights. `device` is a name of device_open_planning. Release with
 * train_plan_release, also after an error. */
enum err train_plan_make(struct train_plan *plan, struct recipe *recipe, const char *path, const char *device,
                         size_t memory);
/* The same for a config. */
enum err train_plan_make_config(struct train_plan *plan, struct recipe *recipe, const struct model_config *config,
                                const char *source, const char *device, size_t memory);
void train_plan_release(struct train_plan *plan);
bool train_plan_fits(const struct train_plan *plan);
/* The table. */
void train_plan_print(const struct train_plan *plan, FILE *out);
/* For a plan that does not fit: the table and three changes that would make it fit, each planned anew, to `out`;
 * returns ERR_LIMIT. */
enum err train_plan_refuse(const struct train_plan *plan, FILE *out);

#endif

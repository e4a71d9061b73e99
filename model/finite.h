/* model/finite.h - numbers that are none: NaN and infinity among weights.
 *
 * One of them makes every log-probability NaN, and then nothing looks wrong: all completions are alike, the advantages and the
 * gradient are 0. So weights are looked through when they are read, after each update, and when they are saved.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_FINITE_H
#define MODEL_FINITE_H

#include "model/safetensors.h"
#include "model/params.h"

/* How many of n numbers are NaN or infinite; parallel. Any alignment. */
uint64_t not_finite_count(const void *data, enum tensor_dtype dtype, uint64_t n);
/* The same, and those of 2^100 (1.3e30) or more, which no weight is: products of them overflow, or drown all others. */
uint64_t not_weight_count(const void *data, enum tensor_dtype dtype, uint64_t n);
/* ERR_FORMAT, with the tensor's name, if `bad` of n numbers are no weights. */
enum err not_finite_refuse(const char *path, const char *tensor, uint64_t bad, uint64_t n);

/* The first part with such a number in `array` [params.n_trained] (device, fp32, in the layout of the set), or, where array is NULL,
 * in the parameters themselves, the masters where there are some. NULL: there is none. Every number comes to the host. */
const struct param_part *not_finite_find(const struct params *params, const struct device *device, const float *array);

#endif

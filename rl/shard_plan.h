/* rl/shard_plan.h - the memory of a run of any size, divided among GPUs, from the config.json of its model alone.
 *
 * All bytes come from the plan of the run on one GPU (rl/train_plan.h), which is made by the calls that take a run's memory:
 * parameters from the tables of the blocks, what is kept of tokens from their buffers. Here they are divided:
 *
 *   setting          weights     gradients   master weights, moments     activations, sampling
 *   data             all         all         all                         each GPU its own tokens
 *   ZeRO-1           all         all         a share                     "
 *   ZeRO-2           all         a share     a share                     "
 *   ZeRO-3           a share *   a share     a share                     "
 *   experts          each GPU has some experts whole, all else as in "data"; with ZeRO-1 or 2 all else as there
 *
 *   * and the largest layer gathered (Rajbhandari et al. 2020, arXiv 1910.02054, sections 5 and 7)
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_SHARD_PLAN_H
#define RL_SHARD_PLAN_H

#include "rl/train_plan.h"

/* What a GPU can do at most. */
struct gpu_kind {
    const char *name;
    double gib;        /* memory */
    double bandwidth;  /* bytes per second */
    double operations; /* floating-point operations per second in bf16, sums in fp32, dense */
};
/* ERR_USAGE with all names if there is none of that name. */
enum err gpu_kind_find(struct gpu_kind *out, const char *name);

/* Numbers of a model. */
struct model_counts {
    double total;      /* parameters */
    double experts;    /* of which routed experts have */
    double active;     /* that a token uses */
    double multiplied; /* of which are not a row of a table: without the embedding, where the head is another matrix */
    double page_bytes; /* of the cache, per token, over all layers, in bf16 */
};

enum { SHARD_SETTINGS = 7 };
struct shard_setting {
    const char *name;
    bool experts;
    int zero; /* 0 to 3 */
};
extern const struct shard_setting shard_settings[SHARD_SETTINGS];

/* Bytes on one GPU. */
struct shard_bytes {
    double weights, masters, moments, gradients;
    double training; /* activations and what kernels need */
    double sampling; /* what kernels need, and one sequence of the cache */
    double always;   /* rotary tables, plans of kernels */
    double total;    /* sampling and training alternate in one place: the larger counts */
};

struct shard_plan {
    struct train_plan plan; /* on one GPU of any size */
    struct model_counts counts;
    double expert_share; /* of the elements of all parameters */
    double layer_bytes;  /* weights of the largest layer */
    double page_bytes, sequence_bytes;
};

/* `recipe` says what is trained and how long its sequences are; it is finished. Release with shard_plan_release, also after an
 * error. */
enum err shard_plan_make(struct shard_plan *plan, struct recipe *recipe, const struct model_config *config,
                         const char *source);
void shard_plan_release(struct shard_plan *plan);
/* False if experts cannot be divided so. */
bool shard_plan_bytes(const struct shard_plan *plan, const struct shard_setting *setting, int n_gpus,
                      struct shard_bytes *out);
/* Fewest GPUs of `memory` bytes each, 1 to 4096, on which the setting fits; 0: none. */
int shard_plan_smallest(const struct shard_plan *plan, const struct shard_setting *setting, double memory);

/* Sequences that a GPU samples at once. */
int shard_plan_sequences(const struct shard_plan *plan, const struct shard_setting *setting, int n_gpus, double memory);
/* Tokens per second and GPU that the machine's limits allow: while sampling the weights that are touched and the cache are read
 * once per token of all sequences, or the operations take longer; training computes three times a forward pass, four times with
 * recomputing. Links between GPUs cost nothing. */
double shard_plan_sampling_rate(const struct shard_plan *plan, const struct shard_setting *setting, int n_gpus,
                                const struct gpu_kind *gpu);
double shard_plan_training_rate(const struct shard_plan *plan, const struct gpu_kind *gpu);

/* Counts, bytes of every setting on n_gpus (0: on the fewest), the smallest setting that fits, and its rates. */
void shard_plan_print(const struct shard_plan *plan, const struct gpu_kind *gpu, int n_gpus, FILE *out);
/* The same numbers; released by the caller. */
json_t *shard_plan_to_json(const struct shard_plan *plan, const struct gpu_kind *gpu, int n_gpus);

#endif

/* rl/cmd/sampling.h - options that commands which sample from a model have in common.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_CMD_SAMPLING_H
#define RL_CMD_SAMPLING_H

#include "rl/cmd/cmd.h"
#include "rollout/rollout.h"

/* Rows of a command's table of options. */
#define SAMPLING_OPTIONS(temperature)                                                                                  \
    {"max_tokens", CMD_INT, "N", "512", "at most N tokens per completion"},                                            \
        {"temperature", CMD_NUMBER, "T", temperature, "0 takes the most probable token"},                              \
        {"top_p", CMD_NUMBER, "P", "1.0", "keep the smallest set of tokens with this probability"},                    \
        {"top_k", CMD_INT, "K", "0", "keep the K most probable tokens; 0: all"},                                       \
        {"min_p", CMD_NUMBER, "P", "0.0", "keep tokens with this share of the largest probability"},                   \
        {"repetition_penalty", CMD_NUMBER, "X", "1.0", "divide the logits of tokens seen before"},                     \
        {"stop", CMD_TEXT, "TEXT", NULL, "end before this text; may be repeated"},                                     \
        {"ignore_eos", CMD_FLAG, NULL, NULL, "continue past end tokens"},                                              \
        {"seed", CMD_INT, "N", "42", "of the random numbers"},                                                         \
        {"max_positions", CMD_INT, "N", "0", "longest sequence, prompt included; 0: what the model allows, to 32768"}, \
        {"device", CMD_TEXT, "NAME", "auto", "auto, cuda, cuda:N, cpu, cpu/scalar, cpu/avx2 or cpu/avx512"},           \
    {                                                                                                                  \
        "threads", CMD_INT, "N", "0", "threads of operations; 0: one per core"                                         \
    }

/* ERR_USAGE, with the range, if a value of these options is out of it; to be called first. */
enum err sampling_check(const struct cmd_args *args);
/* Arrays live in `arena`. */
void sampling_options(const struct cmd_args *args, struct arena *arena, struct rollout_options *out);

/* Sets max_sequences and n_pages for n sequences of max_length tokens: no more memory than they can use. */
void sampling_size_cache(struct rollout_options *options, const struct model *model, int64_t n, int64_t max_length);

/* A device and a model on it, which must have a tokenizer. `target` is a model, or a run, of which the newest
 * checkpoint is opened. */
struct sampling_model {
    struct device *device;
    struct model *model;
};

enum err sampling_model_open(struct sampling_model *out, const struct cmd_args *args, const char *target);
void sampling_model_close(struct sampling_model *opened);

#endif

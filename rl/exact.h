/* rl/exact.h - the proof that training equals rollout: sample, compute again as the trainer does, count bits that
 * differ.
 *
 * A round draws random prompts, samples groups of completions from them, packs these as a training step does
 * (rl/batch.h) and compares the log-probability and the log-sum-exp of every drawn token, bit by bit. Rounds go over
 *
 *   models   random ones of the families Qwen2, Qwen3 and Llama with widths that no tile divides, one of them with an adapter (LoRA),
 *            and mixtures of experts; or the one given
 *   devices  every instruction set of the machine; also rollout on one and training on another
 *   rollout  rows of a step (1024 to 1), prompts shared or not, so few pages that sequences are pre-empted, 1 and 2 threads
 *   training packed with shared prompts, or every sample with a prompt of its own, on the other number of threads
 *
 * Of a mixture the experts of each row and layer are compared, too. In every fourth round the hidden states after each layer are compared too (rl/exact_hidden.h).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_EXACT_H
#define RL_EXACT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct exact_options {
    int64_t tokens;     /* compare at least this many log-probabilities */
    const char *device; /* "auto": all instruction sets; else only this one */
    const char *model;  /* a checkpoint, or NULL for the random models */
    uint64_t seed;
    /* Called now and then; may be NULL. */
    void (*report)(void *context, int64_t compared, int64_t different);
    void *context;
};

/* What one configuration showed. */
struct exact_row {
    const char *model, *rollout_device, *train_device, *setup;
    int64_t compared, different, preempted;
    int64_t hidden_compared, hidden_different;   /* rows after a layer */
    int64_t experts_compared, experts_different; /* rows in a layer with experts */
};

struct exact_result {
    int64_t compared, different;                 /* tokens; a token differs if one bit of its logprob or lse does */
    int64_t hidden_compared, hidden_different;   /* rows after a layer */
    int64_t experts_compared, experts_different; /* rows in a layer with experts: a row differs if one expert does */
    struct exact_row *rows;
    int n_rows;
    double seconds;
};

/* rows live in `arena`. A difference is a result, not an error. */
enum err exact_run(const struct exact_options *options, struct arena *arena, struct exact_result *result);

#endif

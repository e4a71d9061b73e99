/* rollout/rollout.h - prompts in, groups of completions with log-probabilities out.
 *
 * A batch on top of an engine (rollout/engine.h): all prompts are submitted with the same options, and it steps until
 * all have finished.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ROLLOUT_ROLLOUT_H
#define ROLLOUT_ROLLOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "model/model.h"
#include "rollout/request.h"

/* One prompt to sample from. */
struct rollout_prompt {
    const int32_t *tokens;
    int n_tokens;
    int n_samples;
    int max_tokens;    /* of a completion */
    uint64_t sequence; /* sample i draws with random numbers keyed by sequence + i */
};

struct rollout_options {
    float temperature, top_p, min_p, repetition_penalty; /* 1, 1, 0, 1: plain sampling */
    int top_k;                                           /* 0: off */
    uint64_t seed;
    const char *const *stop; /* stop strings */
    int n_stop;
    const int32_t *stop_tokens; /* in addition to the model's own end tokens */
    int n_stop_tokens;
    bool ignore_eos;      /* benchmarks: continue past end tokens up to max_tokens */
    int max_batch_tokens; /* rows of one forward pass (0: as many as max_sequences, at least 512) */
    int n_pages;          /* of the cache (0: enough for max_sequences at full length, within memory) */
    int max_sequences;    /* that run at once (0: 256) */
    bool keep_experts;    /* completions have the experts of each row; of a mixture only */
};

struct rollout;

/* The arrays of the options are copied. ERR_USAGE for stop strings that are wrong (rollout/stop.h). */
enum err rollout_open(struct rollout **out, struct model *model, const struct rollout_options *options);
void rollout_close(struct rollout *rollout);

/* The rows of one forward pass that these two options come to. */
int rollout_rows(int max_batch_tokens, int max_sequences);

/* Samples all prompts, in the memory of DEVICE_ROLLOUT (kernels/device.h); groups [n_prompts], one per prompt and in
 * their order, live in `arena`. ERR_FORMAT or ERR_LIMIT for a prompt that can never be computed, before anything is;
 * ERR_NUMBERS when a number is not finite. `progress` (may be NULL) is called up to ten times a second with the tokens
 * drawn so far and the sequences finished; a true return stops the rollout with ERR_STOPPED. */
typedef bool rollout_progress(void *context, int64_t tokens, int finished, int total);
enum err rollout_run(struct rollout *rollout, const struct rollout_prompt *prompts, int n_prompts, struct arena *arena,
                     struct group *groups, rollout_progress *progress, void *context);
void rollout_set_temperature(struct rollout *rollout, float temperature); /* evaluation may differ from training */
/* Called with each newly drawn piece of text of sample 0 of prompt 0 (chat); whole UTF-8 only. NULL: none. */
typedef void rollout_stream(void *context, struct str piece);
void rollout_set_stream(struct rollout *rollout, rollout_stream *stream, void *context);
const struct rollout_stats *rollout_stats(const struct rollout *rollout); /* of the last run */

#endif

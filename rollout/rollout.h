/* rollout/rollout.h - prompts in, groups of completions with log-probabilities out.
 *
 * Continuous batching over a paged key/value cache. A prompt is computed once and its pages are shared by the n samples of
 * its group; long prompts are cut into chunks; when pages run out the youngest sequence gives its pages back and is
 * computed again later (rollout/README.md draws the states). None of this can be seen in the result: tokens and
 * log-probabilities are, to the last bit, those of each sequence computed alone (kernels/ops.h).
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

enum finish_reason {
    FINISH_NONE,
    FINISH_EOS,    /* an end token was drawn; it is the last of the tokens */
    FINISH_STOP,   /* a stop string or stop token was met; see `text` */
    FINISH_LENGTH, /* max_tokens reached */
};

/* One prompt to sample from. */
struct rollout_prompt {
    const int32_t *tokens;
    int n_tokens;
    int n_samples;
    int max_tokens;    /* of a completion */
    uint64_t sequence; /* sample i draws with random numbers keyed by sequence + i */
};

struct completion {
    int32_t *tokens;                /* [n_tokens], the end token included */
    float *logprob, *lse, *entropy; /* [n_tokens], at the sampling temperature, over the whole vocabulary */
    int n_tokens;
    enum finish_reason finish;
    struct str text; /* decoded, without the end token; cut before a stop string, which is left out */
};

struct group {
    struct completion *completions; /* [n_completions] in sample order */
    int n_completions;
};

struct rollout_options {
    float temperature, top_p, min_p, repetition_penalty; /* 1, 1, 0, 1: plain sampling */
    int top_k;                                           /* 0: off */
    uint64_t seed;
    const char *const *stop; /* stop strings */
    int n_stop;
    const int32_t *stop_tokens; /* beside the model's own end tokens */
    int n_stop_tokens;
    bool ignore_eos;      /* benchmarks: go on to max_tokens */
    int max_batch_tokens; /* rows of one forward pass (0: as many as max_sequences, 512 at least) */
    int n_pages;          /* of the cache (0: enough for max_sequences at full length, within memory) */
    int max_sequences;    /* that run at once (0: 256) */
};

struct rollout_stats {
    int64_t prompt_tokens, completion_tokens; /* in the result */
    int64_t computed_rows;                    /* forward rows, with what pre-emption computed again */
    int64_t shared_tokens;                    /* prompt tokens that a sample did not have to compute */
    int n_steps, n_preempted, most_pages, most_sequences;
    int64_t decode_rows; /* of computed_rows, those in steps without a prompt's rows */
    double seconds, decode_seconds;
};

struct rollout;

enum err rollout_open(struct rollout **out, struct model *model, const struct rollout_options *options);
void rollout_close(struct rollout *rollout);

/* The rows of one forward pass that these two options come to. */
int rollout_rows(int max_batch_tokens, int max_sequences);

/* Samples all prompts, in the memory of DEVICE_ROLLOUT (kernels/device.h); groups (one a prompt, in order) live in `arena`. `progress` (may be NULL) is called now and then
 * with the tokens drawn so far and the sequences finished; a true return stops the rollout with ERR_STOPPED. */
typedef bool rollout_progress(void *context, int64_t tokens, int finished, int total);
enum err rollout_run(struct rollout *rollout, const struct rollout_prompt *prompts, int n_prompts, struct arena *arena,
                     struct group *groups, rollout_progress *progress, void *context);
void rollout_set_temperature(struct rollout *rollout, float temperature); /* evaluation may differ from training */
/* Called with each newly drawn piece of text of sample 0 of prompt 0 (chat); whole UTF-8 only. NULL: none. */
typedef void rollout_stream(void *context, struct str piece);
void rollout_set_stream(struct rollout *rollout, rollout_stream *stream, void *context);
const struct rollout_stats *rollout_stats(const struct rollout *rollout); /* of the last run */

#endif

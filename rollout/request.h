/* rollout/request.h - what goes into an engine and what comes out: requests, completions in groups, counters.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ROLLOUT_REQUEST_H
#define ROLLOUT_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "kernels/ops.h"

enum finish_reason {
    FINISH_NONE,
    FINISH_EOS,       /* an end token was drawn; it is the last of the tokens */
    FINISH_STOP,      /* a stop string or stop token was met; see `text` */
    FINISH_LENGTH,    /* max_tokens reached */
    FINISH_CANCELLED, /* engine_cancel_sample; the tokens are those drawn until then, perhaps none */
};

/* One more token of a sample. */
struct engine_piece {
    int64_t id; /* of the request */
    int sample;
    int32_t token;
    float logprob;
    struct str text; /* what has become certain with this token, perhaps nothing; whole UTF-8; "" without a tokenizer */
    enum finish_reason finish; /* FINISH_NONE: there is more to come */
};

/* Called within engine_step for each token of a request, in order per sample. The texts of a sample add up to the text
 * of its completion, with U+FFFD in place of bytes that are no UTF-8. May submit and cancel; a cancelled request or
 * sample is not called for again. */
typedef void engine_stream(void *context, const struct engine_piece *piece);

/* One prompt to sample from. All arrays are copied. */
struct engine_request {
    const int32_t *tokens; /* [n_tokens] */
    int n_tokens;
    int n_samples;            /* at least 1 */
    int max_tokens;           /* of a completion, at least 1; fewer where the model's positions end */
    struct sampling sampling; /* sample i draws with the key sequence + i; position and seen are set by the engine */
    const char *const *stop;  /* [n_stop] stop strings */
    int n_stop;
    const int32_t *stop_tokens; /* [n_stop_tokens] in addition to the model's own end tokens */
    int n_stop_tokens;
    bool ignore_eos;       /* continue past the model's end tokens, up to max_tokens (benchmarks) */
    engine_stream *stream; /* may be NULL */
    void *stream_context;
};

struct completion {
    int32_t *tokens;                /* [n_tokens], the end token included */
    float *logprob, *lse, *entropy; /* [n_tokens], at the sampling temperature, over the whole vocabulary */
    int n_tokens;
    enum finish_reason finish;
    struct str text; /* decoded, without the end token; cut before a stop string, which is left out */
    /* Where the engine keeps them, of each computed token the experts of its row, [layers with experts, k] (model/model.h): of the
     * prompt's tokens, which all completions of a group share, and of all tokens but the last one here. */
    const uint8_t *prompt_experts, *experts;
    int prompt_bytes, expert_bytes; /* of all prompt_experts; of a token's experts; 0: not kept */
};

struct group {
    struct completion *completions; /* [n_completions] in sample order */
    int n_completions;
};

struct rollout_stats {
    int64_t prompt_tokens, completion_tokens; /* submitted, drawn */
    int64_t computed_rows;                    /* forward rows, with what pre-emption computed again */
    int64_t shared_tokens;                    /* prompt tokens that a sample did not have to compute */
    int n_steps, n_preempted, peak_pages, peak_sequences;
    int n_finished;      /* completions */
    int64_t decode_rows; /* of computed_rows, those in steps without a prompt's rows */
    double seconds, decode_seconds;
};

#endif

/* rollout/completion.h - what generation hands back: completions in groups, and counters.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ROLLOUT_COMPLETION_H
#define ROLLOUT_COMPLETION_H

#include <stdint.h>

#include "base/str.h"

enum finish_reason {
    FINISH_NONE,
    FINISH_EOS,       /* an end token was drawn; it is the last of the tokens */
    FINISH_STOP,      /* a stop string or stop token was met; see `text` */
    FINISH_LENGTH,    /* max_tokens reached */
    FINISH_CANCELLED, /* engine_cancel_sample; the tokens are those drawn until then, perhaps none */
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

struct rollout_stats {
    int64_t prompt_tokens, completion_tokens; /* submitted, drawn */
    int64_t computed_rows;                    /* forward rows, with what pre-emption computed again */
    int64_t shared_tokens;                    /* prompt tokens that a sample did not have to compute */
    int n_steps, n_preempted, most_pages, most_sequences;
    int n_finished;      /* completions */
    int64_t decode_rows; /* of computed_rows, those in steps without a prompt's rows */
    double seconds, decode_seconds;
};

#endif

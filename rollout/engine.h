/* rollout/engine.h - requests in, at any time; their completions out as they finish.
 *
 *   engine_submit(engine, &request, &id)          at any time, also while others run
 *   while (engine_load(engine).n_requests > 0) {
 *       engine_step(engine);                      one forward pass, one token for each sequence that is ready
 *       while (engine_take(engine, &arena, &finished)) { ... }
 *   }
 *
 * Continuous batching over a paged key/value cache. A request is one prompt and n samples of it: the prompt is computed
 * once and its pages are shared by the samples; long prompts are cut into chunks; when pages run out the youngest
 * sequence gives its pages back and is computed again later (rollout/README.md draws the states). None of this can be
 * seen in the result: tokens and log-probabilities are, to the last bit, those of each sequence computed alone
 * (kernels/ops.h), whatever other requests with other options run in the same pass, come, or are cancelled.
 *
 * A request is copied when it is submitted. Its memory is the engine's until it is taken or cancelled. An engine is
 * used by one thread. While requests are in flight their pages occupy the memory of DEVICE_ROLLOUT (kernels/device.h):
 * weights must not change and the device must not be used for training until all are taken or cancelled.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ROLLOUT_ENGINE_H
#define ROLLOUT_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/model.h"
#include "rollout/request.h"

struct engine_options {
    int max_batch_tokens; /* rows of one forward pass (0: as many as max_sequences, at least 512) */
    int n_pages;          /* of the cache (0: enough for max_sequences at full length, within memory) */
    int max_sequences;    /* that run at once (0: 256) */
    bool keep_experts;    /* of a mixture with at most MODEL_MOST_BYTE_EXPERTS experts */
};

/* A request that has ended. */
struct finished {
    int64_t id;
    enum err result;    /* ERR_NUMBERS: a number was not finite; the group is then empty */
    const char *error;  /* which sample and token; NULL without an error */
    struct group group; /* n_samples completions */
};

struct engine_load {
    int n_requests; /* submitted, not finished */
    int n_running;  /* sequences that hold pages */
    int n_pages, pages_used;
};

struct engine;

enum err engine_open(struct engine **out, struct model *model, const struct engine_options *options);
void engine_close(struct engine *engine);

/* The rows of one forward pass that these two options come to. */
int engine_rows(int max_batch_tokens, int max_sequences);

/* Ids count from 0, one per request. ERR_FORMAT, ERR_LIMIT, ERR_USAGE if the request can never be computed, or its stop
 * strings are wrong (rollout/stop.h). */
enum err engine_submit(struct engine *engine, const struct engine_request *request, int64_t *id);
/* One pass over the oldest sequences; does nothing if no request is in flight. */
void engine_step(struct engine *engine);
/* The next finished request, in the order in which they finished; false if there is none. The group and the error are
 * copied into `arena`. */
bool engine_take(struct engine *engine, struct arena *arena, struct finished *out);

/* Forgets a request in whatever state it is; its pages are free again when the call, or the step that made it, returns.
 * It will not be taken. False if there is no such request any more. */
bool engine_cancel(struct engine *engine, int64_t id);
/* Ends one sample (FINISH_CANCELLED), keeps its tokens and continues with the others of its request. False if it has
 * ended already. */
bool engine_cancel_sample(struct engine *engine, int64_t id, int sample);
/* Cancels all requests, finished ones included. */
void engine_cancel_all(struct engine *engine);

struct engine_load engine_load(const struct engine *engine);
const struct rollout_stats *engine_stats(const struct engine *engine); /* since it was opened or they were cleared */
void engine_clear_stats(struct engine *engine);

#endif

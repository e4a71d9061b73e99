/* rollout/stop.h - what ends a completion early: end tokens, stop tokens, stop strings.
 *
 * Stop strings are found in the bytes of the decoded text, wherever the tokens are cut. Of several the one that begins
 * first counts. Special tokens have no text; a stop string that is the name of one ("<|im_end|>") makes it a stop
 * token.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ROLLOUT_STOP_H
#define ROLLOUT_STOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "model/model.h"
#include "rollout/request.h"

struct stop {
    struct str *strings; /* [n_strings], none empty */
    int n_strings;
    size_t longest; /* of the strings, in bytes; 0: there are none */
    int32_t *tokens, *ends;
    int n_tokens, n_ends;
};

/* ERR_USAGE for a stop string that is empty or not UTF-8, or if there are some and the model has no tokenizer. */
enum err stop_check(const struct engine_request *request, const struct model *model);
/* Of a request that stop_check accepts; copies what it needs into `arena`. */
void stop_init(struct stop *stop, const struct engine_request *request, const struct model *model, struct arena *arena);

/* FINISH_EOS, FINISH_STOP, or FINISH_NONE if the token ends nothing. */
enum finish_reason stop_token(const struct stop *stop, int32_t token);
/* Where the first stop string begins in `text`; -1: nowhere. */
ptrdiff_t stop_find(const struct stop *stop, struct str text);
/* Bytes at the end of `text`, which holds no stop string, that may begin one and must not be shown yet. */
size_t stop_held(const struct stop *stop, struct str text);

#endif

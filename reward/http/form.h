/* reward/http/form.h - the requests sent over HTTP and the answers accepted, in the two forms that ask for scores.
 *
 *   native      > {"seq": 17, "deadline_ms": 9000, "items": [{"id": "17:0", "prompt": .., "completion": .., ..}, ..]}
 *               < {"results": [{"id": "17:0", "score": 1.0, "reason": "..", "extracted": ".."}, ..]}     in any order
 *               items and results are those of a reward program (reward/dialog.h): a score of null abstains, "error" in
 *               its place says that it could not be judged, and with "retryable": true that a new try may succeed
 *   openrlhf    > {"query": [prompt and completion, ..], "prompts": [..], "labels": [ground truth or null, ..]}
 *               < {"rewards": [1.0, ..]}                                                             in the order asked
 *               what OpenRLHF's remote reward models take (remote_rm_url); a reward of null abstains
 *
 * Each request has the headers X-Strop-Protocol: 1 and Idempotency-Key, a key of its own, which is the same when the
 * request is sent again because no answer came.
 *
 * Source: the protocol of reward/dialog.h; OpenRLHF, openrlhf/utils/remote_rm_utils.py and its examples.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_HTTP_FORM_H
#define REWARD_HTTP_FORM_H

#include "reward/reward.h"

/* `field` as in dialog_score. `seconds`: what the server has left. */
void http_form_ask_native(struct strbuf *out, int64_t seq, const struct reward_item *items, int n, const char *field,
                          double seconds);
void http_form_ask_openrlhf(struct strbuf *out, const struct reward_item *items, int n, const char *field);

/* Reads an answer (any bytes) to n items into their verdicts. NULL, or what is wrong with it as a whole: then no
 * verdict is set. *retryable: an item's error may be temporary. */
const char *http_form_read_native(struct str body, int64_t seq, int n, struct verdict *verdicts, bool *retryable,
                                  struct arena *arena);
const char *http_form_read_openrlhf(struct str body, int n, struct verdict *verdicts, struct arena *arena);

#endif

/* reward/dialog.h - requests to a reward program and the answers it may give: JSON lines, protocol 1.
 *
 *   > {"type": "hello", "protocol": 1, "name": NAME, "config": {..}, "worker": 0}
 *   < {"type": "ready", "protocol": 1}
 *   > {"type": "score", "seq": 17, "deadline_ms": 9000, "items": [{"id": "17", "prompt": "..", "completion": "..",
 *      "ground_truth": .., "data_source": .., "extra": {the row}, "finish": "stop" or "length", "n_tokens": 211,
 *      "max_tokens": 512}]}
 *   < {"type": "scores", "seq": 17, "results": [{"id": "17", "score": 1.0, "reason": "..", "extracted": ".."}]}
 *                                              {"id": "17", "score": null}: it abstains
 *                                              {"id": "17", "error": "..", "retryable": true}: it failed
 *   < {"type": "log", "level": "info", "msg": ".."}     at any time
 *
 * There is one item in a request (a reward here judges item by item); a program should still answer for all it is
 * given. The score may be true or false. A program ends when its stdin does. NaN and Infinity without quotes, which
 * Python writes though JSON lacks them, are understood and are no score.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_DIALOG_H
#define REWARD_DIALOG_H

#include "reward/reward.h"

enum { DIALOG_PROTOCOL = 1, DIALOG_ANSWER_BYTES = 1 << 20 };

/* `config`: a JSON object as text. Lines are added with their '\n'. */
void dialog_hello(struct strbuf *out, const char *name, const char *config, int worker);
/* `field`: the field that is the ground truth; "": ground_truth, reward_model.ground_truth, answer, solution or label,
 * the first that the row has. Without one, "ground_truth" is null. */
void dialog_score(struct strbuf *out, int64_t seq, const struct reward_item *item, const char *field, double seconds);
void dialog_item(struct strbuf *out, const char *id, const struct reward_item *item,
                 const char *field);                              /* one of its items */
const json_t *dialog_truth(const json_t *row, const char *field); /* NULL: none */
/* NULL, or that the row lacks the field that was named. */
const char *dialog_check(const json_t *row, const char *field, struct arena *arena);

enum dialog_kind { DIALOG_READY, DIALOG_SCORED, DIALOG_LOG, DIALOG_BROKEN };

struct dialog_answer {
    enum dialog_kind kind;
    const char *text;       /* LOG: the message; BROKEN: what is wrong. In the arena, or static */
    struct verdict verdict; /* SCORED */
    bool retryable;         /* SCORED, an error that may pass */
};

/* Reads a line (any bytes). seq < 0: "ready" is awaited, else the scores of that request; anything else is BROKEN. */
struct dialog_answer dialog_read(struct str line, int64_t seq, struct arena *arena);

/* The parts of dialog_read, for other protocols in JSON (reward/http/form.h). */

/* An object or array in strict JSON, but for NaN and Infinity, which become texts; NULL for anything else. */
json_t *dialog_parse(struct str text);
/* One result; false if it has neither a score nor an error. */
bool dialog_result(const json_t *result, struct verdict *verdict, bool *retryable, struct arena *arena);
/* A score: a number, true, false, or null to abstain; else an error. `reason` may be NULL. */
struct verdict dialog_number(const json_t *score, const json_t *reason, struct str extracted, struct arena *arena);
const char *dialog_shown(struct str text, struct arena *arena); /* its beginning, quoted */

#endif

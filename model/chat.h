/* model/chat.h - conversations as the model's own chat template lays them out (model/jinja).
 *
 * The template sees what transformers' apply_chat_template shows it: `messages` as they are, `tools` and `documents` (none where
 * there are none), `add_generation_prompt`, the tokenizer's named tokens (bos_token ...), and any further variables. A begin
 * token that it writes is part of the result, so that encoding must not add another.
 *
 * strftime_now gives the date of the moment when the template was opened. Templates that write a date take a variable for it,
 * mostly date_string; a run that must be the same on another day sets it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_CHAT_H
#define MODEL_CHAT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "model/tokenizer.h"

struct chat;

/* `variables`: a JSON object, kept by reference, or NULL. Refused (ERR_FORMAT): no template, and one that model/jinja does not
 * know in all its parts. The tokenizer outlives it. Once opened, several threads may use it. */
enum err chat_open(struct chat **out, const struct tokenizer *tokenizer, json_t *variables);
void chat_close(struct chat *chat); /* NULL is allowed */

struct chat_request {
    json_t *messages;           /* [{"role": ..., "content": ...}, ...] */
    json_t *tools;              /* a list of JSON schemas; NULL or null: none */
    json_t *documents;          /* the same, of {"title": ..., "text": ...} */
    json_t *variables;          /* an object; before those of chat_open; NULL: none */
    bool add_generation_prompt; /* the opening of the next assistant turn */
};

/* Appends the conversation. ERR_FORMAT, with nothing appended, for what the template refuses or cannot lay out. */
enum err chat_render(const struct chat *chat, const struct chat_request *request, struct strbuf *out);

/* Does the text end in <think>, with nothing but white space after it? A completion then continues the thinking. */
bool chat_opens_thinking(struct str text);

#endif

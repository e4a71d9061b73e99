/* rl/data/template.h - what surrounds a prompt.
 *
 *   r1-zero   plain text, no chat tokens: first think, then answer (recipes/templates/r1-zero.txt, which is compiled in)
 *   chat      the model's own format, with its special tokens, up to where the assistant begins
 *   none      the prompt as it is
 *   PATH      a text file with {prompt} in it; {NAME} puts the row's field NAME there (text or a number, or a list of them, one
 *             per line), so mind not to name the answer. Braces around anything but a name are plain. One line end at
 *             the end is not part of it.
 *
 * A prompt is text, or a list of chat messages [{"role": "user", "content": "..."}, ...]. Templates of plain text
 * take a list only if it is one message of the user. With chat, the row's fields "tools", "documents" and
 * "chat_template_kwargs" go to the model's template as TRL gives them: a list, a list, further variables; each may
 * also be JSON in a text.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_DATA_TEMPLATE_H
#define RL_DATA_TEMPLATE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "model/tokenizer.h"

struct template;

/* `name` is one of the words above or the path that opens. chat needs the tokenizer, which outlives the template; it
 * takes variables for the model's template in a JSON object (kwargs; "": none), and a system message before
 * conversations that have none ("": none). */
enum err template_open(struct template **out, const char *name, const char *system_prompt, const char *kwargs,
                       const struct tokenizer *tokenizer);
void template_close(struct template *tpl); /* NULL is allowed */

/* A prompt's begin token is part of the model's own format; before plain text it must be put
 * (tokenizer_encode_whole). */
bool template_is_chat(const struct template *tpl);

/* Appends the prompt in its template. `prompt` is a text or messages, `fields` the row; `where` opens the sentence
 * of an error. */
enum err template_apply(const struct template *tpl, const json_t *prompt, const json_t *fields, const char *where,
                        struct strbuf *out);

/* The tokens with which the model's own template ends the assistant's turn: what it writes after an answer, up to
 * the first special token. *n is 0 if it writes none, and for templates of plain text. */
void template_turn_end(const struct template *tpl, struct arena *arena, int32_t **ids, int *n);

#endif

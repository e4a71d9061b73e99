/* model/chat.h - conversations as the text that chat models were trained on.
 *
 * A checkpoint brings a Jinja template. This is no Jinja: the templates of the model families are recognised by what stands
 * in them, and written here as code, for messages of system, user and assistant without tools. One that is not
 * recognised is refused.
 *
 *   format             recognised as                            what is special
 *   CHAT_CHATML        <|im_start|>, no default system text
 *   CHAT_QWEN25        Qwen2.5                                  a default system message
 *   CHAT_QWEN25_MATH   Qwen2.5-Math                             another default
 *   CHAT_SMOLLM2       SmolLM2                                  another default
 *   CHAT_QWEN3         Qwen3 (hybrid)                           earlier turns lose their thinking
 *   CHAT_LLAMA3        Llama 3                                  texts are trimmed; begin token
 *   CHAT_LLAMA31       Llama 3.1 to 3.3                         the same, and a system message with a date: always 26 Jul 2024,
 *                                                               the template's own for those without a clock
 *   CHAT_DEEPSEEK_R1   R1-Distill since February 2025           opens with <think>; turns keep what follows </think>
 *
 * The begin token's text is part of the result where the template has it, so that encoding must not add another.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_CHAT_H
#define MODEL_CHAT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

enum chat_format {
    CHAT_CHATML,
    CHAT_QWEN25,
    CHAT_QWEN25_MATH,
    CHAT_SMOLLM2,
    CHAT_QWEN3,
    CHAT_LLAMA3,
    CHAT_LLAMA31,
    CHAT_DEEPSEEK_R1,
};

struct chat_message {
    const char *role; /* "system", "user", "assistant" */
    struct str content;
};

/* ERR_FORMAT if the template is empty or of no known family. */
enum err chat_format_of(struct str jinja, enum chat_format *out);
const char *chat_format_name(enum chat_format format); /* "qwen2.5" */

/* Appends the conversation, and with add_generation_prompt the opening of the next assistant turn. ERR_FORMAT, with nothing
 * appended, for another role, no message, or (R1) two system messages. */
enum err chat_render(enum chat_format format, const struct chat_message *messages, int n, bool add_generation_prompt,
                     struct strbuf *out);

#endif

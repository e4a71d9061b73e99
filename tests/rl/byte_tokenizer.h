/* tests/rl/byte_tokenizer.h - a tokenizer whose token i is the byte i, for tests that count tokens. Token 256 is "ab" (a
 * tokenizer needs a merge), 257 the special token <|im_start|>, 258 <|im_end|>. `begin`: the token of plain texts, -1 for none.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_RL_BYTE_TOKENIZER_H
#define TESTS_RL_BYTE_TOKENIZER_H

#include <stdlib.h>

#include "model/tokenizer.h"

/* A chat template of that tokenizer. */
#define CHATML                                                                                                         \
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "   \
    "'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

static struct tokenizer *byte_tokenizer(const char *chat_template, int begin)
{
    enum { N = 259 };
    static struct strbuf texts[256];
    struct str tokens[N] = {[256] = STR("ab"), [257] = STR("<|im_start|>"), [258] = STR("<|im_end|>")},
               merge = STR("a b");
    int32_t types[N];
    uint32_t next = 256; /* bytes without a shape of their own are numbered from 256 on */
    for (uint32_t byte = 0; byte < 256; byte++) {
        bool plain = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
        strbuf_clear(&texts[byte]);
        strbuf_put_utf8(&texts[byte], plain ? byte : next++);
        tokens[byte] = strbuf_view(&texts[byte]);
    }
    for (int i = 0; i < N; i++) {
        types[i] = i < 257 ? 1 : 3;
    }
    const struct tokenizer_parts parts = {.tokens = tokens,
                                          .types = types,
                                          .n_tokens = N,
                                          .merges = &merge,
                                          .n_merges = 1,
                                          .pre = STR("gpt-2"),
                                          .chat_template = str_of(chat_template),
                                          .begins = begin >= 0,
                                          .begin_token = begin};
    struct tokenizer *tokenizer = NULL;
    if (tokenizer_from_parts(&tokenizer, &parts, "test") != ERR_NONE) {
        fail_msg("%s", err_text());
    }
    for (int byte = 0; byte < 256; byte++) {
        strbuf_release(&texts[byte]);
    }
    return tokenizer;
}

#endif

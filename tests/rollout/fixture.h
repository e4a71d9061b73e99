/* tests/rollout/fixture.h - a tokenizer of single bytes, for the tests of stop strings and streaming.
 *
 *   0 .. 255   the bytes
 *   256        "ab"
 *   257        <|end|>, special
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_ROLLOUT_FIXTURE_H
#define TESTS_ROLLOUT_FIXTURE_H

#include "tests/model/fixture.h"

#include "model/tokenizer.h"
#include "rollout/rollout.h"

#define FIXTURE_AB      256
#define FIXTURE_SPECIAL 257

/* The byte alphabet of GPT-2: printable bytes are themselves, the others 256, 257 ... in order. */
static inline void fixture_put_byte(struct strbuf *out, int byte)
{
    int n = 0;
    struct strbuf character = STRBUF_INIT;
    for (int b = 0; b <= byte; b++) {
        bool plain = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        if (b == byte) {
            strbuf_put_utf8(&character, (uint32_t)(plain ? b : 256 + n));
        }
        n += !plain;
    }
    strbuf_add_json(out, strbuf_view(&character));
    strbuf_release(&character);
}

static inline struct tokenizer *fixture_tokenizer(void)
{
    struct strbuf json = STRBUF_INIT;
    struct tokenizer *tokenizer = NULL;
    strbuf_puts(&json,
                "{\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}, \"decoder\": {\"type\": "
                "\"ByteLevel\"}, \"added_tokens\": [{\"id\": 257, \"content\": \"<|end|>\", \"special\": true}], "
                "\"model\": {\"type\": \"BPE\", \"merges\": [\"a b\"], \"vocab\": {\"ab\": 256");
    for (int b = 0; b < 256; b++) {
        strbuf_puts(&json, ", \"");
        fixture_put_byte(&json, b);
        strbuf_printf(&json, "\": %d", b);
    }
    strbuf_puts(&json, "}}}");
    FIXTURE_ASSERT(tokenizer_parse(&tokenizer, strbuf_view(&json), "fixture"));
    strbuf_release(&json);
    return tokenizer;
}

#endif

/* tests/fuzz/tokenizer_fuzz.c - any bytes as a tokenizer.json, and any bytes as a text for the tiny tokenizer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(const struct tokenizer *tokenizer, struct str text, bool special)
{
    struct arena arena = ARENA_INIT;
    struct strbuf out = STRBUF_INIT;
    struct token_stream stream = {STRBUF_INIT};
    int32_t *ids = NULL;
    int n = 0;
    if (tokenizer_encode(tokenizer, text, special, &arena, &ids, &n) == ERR_NONE) {
        for (int i = 0; i < n; i++) {
            BUG_ON(ids[i] < 0 || ids[i] >= tokenizer_size(tokenizer));
            token_stream_push(&stream, tokenizer, ids[i], &out);
        }
        token_stream_flush(&stream, &out);
        BUG_ON(str_utf8_prefix(strbuf_view(&out)) != out.length);
        strbuf_clear(&out);
        tokenizer_decode(tokenizer, ids, n, false, &out);
    }
    token_stream_release(&stream);
    strbuf_release(&out);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tokenizer *tiny;
    if (!tiny) {
        BUG_ON(tokenizer_open(&tiny, "tests/golden/tiny_tokenizer/tokenizer.json") != ERR_NONE);
    }
    struct str text = {(const char *)data, size};
    struct tokenizer *tokenizer = NULL;
    if (tokenizer_parse(&tokenizer, text, "fuzz") == ERR_NONE) {
        encode(tokenizer, STR("<think> a\xC3\xA9 \xFF 12\n\n b"), true);
        encode(tokenizer, text, false);
        tokenizer_free(tokenizer);
    }
    encode(tiny, text, size % 2);
    return 0;
}

/* tests/fuzz/tokenizer_fuzz.c - any bytes as a tokenizer.json, as the files beside the tiny one, and as a text for it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "model/tokenizer.h"
#include "model/tokenizer_added.h"

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

/* {"config": ..., "map": ..., "added": ...}, or all three the same document. */
static void add_tokens(struct str text)
{
    static json_t *tiny;
    struct added_tokens added;
    json_t *all;
    if (!tiny) {
        BUG_ON(json_parse_file(&tiny, "tests/golden/tiny_tokenizer/tokenizer.json", 1 << 20) != ERR_NONE);
    }
    if (json_parse(&all, text, "fuzz") != ERR_NONE) {
        return;
    }
    json_t *config = json_object_get(all, "config"), *map = json_object_get(all, "map"),
           *own = json_object_get(all, "added");
    struct tokenizer_files files = {tiny, config ? config : all, map ? map : all, own ? own : all, "fuzz/"};
    if (added_tokens_read(&added, &files, "fuzz") == ERR_NONE) {
        for (int i = 0; i < added.n; i++) {
            BUG_ON(added.items[i].id < 0 || added.items[i].id > added.most || added.items[i].text.length == 0);
        }
    }
    added_tokens_release(&added);
    json_decref(all);
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
    add_tokens(text);
    encode(tiny, text, size % 2);
    return 0;
}

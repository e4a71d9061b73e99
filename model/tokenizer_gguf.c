/* model/tokenizer_gguf.c - a tokenizer from the parts that a GGUF file holds.
 *
 * The file names its pre-tokenizer instead of describing it; the table says what each name stands for. Unused ids at the
 * end of the vocabulary pad the embedding and are not counted.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer_build.h"

enum { GGUF_NORMAL = 1, GGUF_UNKNOWN, GGUF_CONTROL, GGUF_USER, GGUF_UNUSED, GGUF_BYTE };

static const struct pre {
    const char *name;
    const char *patterns[2];
    bool nfc, ignore_merges;
} pres[] = {
    {"qwen2", {PATTERN_QWEN2}, true, false},      {"deepseek-r1-qwen", {PATTERN_QWEN2}, true, false},
    {"llama-bpe", {PATTERN_LLAMA3}, false, true}, {"smollm", {PATTERN_DIGIT, PATTERN_GPT2}, false, false},
    {"gpt-2", {PATTERN_GPT2}, false, false},
};

static enum err set_pretokenizer(struct tokenizer *t, struct str pre, const char *name)
{
    for (size_t i = 0; i < sizeof pres / sizeof *pres; i++) {
        if (str_equal(str_of(pres[i].name), pre)) {
            t->nfc = pres[i].nfc;
            t->bpe.ignore_merges = pres[i].ignore_merges;
            for (int k = 0; k < 2 && pres[i].patterns[k]; k++) {
                TRY(pretokenizer_add(&t->pretokenizer, str_of(pres[i].patterns[k]), name));
            }
            return ERR_NONE;
        }
    }
    return err_set(
        ERR_FORMAT,
        "%s: the pre-tokenizer '%.*s' is not supported; known are qwen2, deepseek-r1-qwen, llama-bpe, smollm and gpt-2",
        name, (int)pre.length, pre.data);
}

static enum err set_tokens(struct tokenizer *t, const struct tokenizer_parts *parts, const char *name)
{
    for (int32_t id = 0; id < t->size; id++) {
        switch (parts->types[id]) {
        case GGUF_NORMAL: tokenizer_set_token(t, id, parts->tokens[id], TOKEN_NORMAL); break;
        case GGUF_UNKNOWN:
        case GGUF_CONTROL: tokenizer_set_token(t, id, parts->tokens[id], TOKEN_SPECIAL); break;
        case GGUF_USER: tokenizer_set_token(t, id, parts->tokens[id], TOKEN_ADDED); break;
        case GGUF_UNUSED: break;
        default:
            return err_set(ERR_FORMAT, "%s: token %d has the type %d, which byte-level BPE does not have", name, id,
                           parts->types[id]);
        }
    }
    return ERR_NONE;
}

static enum err set_merges(struct tokenizer *t, const struct tokenizer_parts *parts, const char *name)
{
    for (int i = 0; i < parts->n_merges; i++) {
        struct str merge = parts->merges[i];
        ptrdiff_t space = str_find(merge, STR(" "), 0);
        if (space <= 0 || (size_t)space + 1 == merge.length) {
            return err_set(ERR_FORMAT, "%s: merge %d must be two texts with a space between", name, i);
        }
        TRY(tokenizer_add_merge(t, str_slice(merge, 0, (size_t)space),
                                str_slice(merge, (size_t)space + 1, merge.length), i, name));
    }
    return ERR_NONE;
}

static enum err build(struct tokenizer *t, const struct tokenizer_parts *parts, const char *name)
{
    TRY(set_pretokenizer(t, parts->pre, name));
    TRY(set_tokens(t, parts, name));
    return set_merges(t, parts, name);
}

enum err tokenizer_from_parts(struct tokenizer **out, const struct tokenizer_parts *parts, const char *name)
{
    if (parts->n_merges == 0) {
        return err_set(ERR_FORMAT, "%s: the tokenizer has no merges; only byte-level BPE is supported", name);
    }
    int size = parts->n_tokens;
    while (size > 0 && parts->types[size - 1] == GGUF_UNUSED) {
        size--;
    }
    if (parts->begins && (parts->begin_token < 0 || parts->begin_token >= size)) {
        return err_set(ERR_FORMAT, "%s: the begin token %d is not in the vocabulary of %d", name, parts->begin_token,
                       size);
    }
    struct tokenizer *t = tokenizer_new(size, (size_t)parts->n_merges);
    t->begin = parts->begins ? parts->begin_token : -1;
    enum err err = build(t, parts, name);
    if (err != ERR_NONE) {
        tokenizer_free(t);
        return err;
    }
    t->chat_template = tokenizer_keep(t, parts->chat_template);
    t->tool_template = tokenizer_keep(t, parts->tool_template);
    for (int i = 0; i < TOKENIZER_NAMES; i++) {
        t->names[i] = tokenizer_keep(t, parts->names[i]);
    }
    tokenizer_finish(t);
    *out = t;
    return ERR_NONE;
}

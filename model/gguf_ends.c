/* model/gguf_ends.c - the end-of-generation tokens of a GGUF file, as llama.cpp finds them.
 *
 * The keys for the end of a text, of a turn and of a message; tokens whose text says that they end something, since most files have
 * no key for them; and the padding and the separators of fill-in-the-middle, by key or by text. Two exceptions are llama.cpp's own:
 * gpt-oss and Solar go on after "<|end|>", Gemma 4 and PLaMo have an ordinary "</s>".
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/arena.h"
#include "model/gguf_model.h"

struct vocabulary {
    struct str *tokens;
    int n;
    bool *ends; /* [n] */
};

static const char *const end_texts[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "[e~[",
    "<｜end▁of▁sentence｜>",
};

/* A file's key for one token, and the texts by which it is found without one, in this order. */
static const struct {
    const char *key, *texts[6];
} fill_in[] = {
    {"tokenizer.ggml.fim_pad_token_id", {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}},
    {"tokenizer.ggml.fim_rep_token_id", {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}},
    {"tokenizer.ggml.fim_sep_token_id", {"<|file_sep|>"}},
};

static int find_text(const struct vocabulary *v, const char *text)
{
    struct str wanted = str_of(text);
    for (int id = 0; id < v->n; id++) {
        if (str_equal(v->tokens[id], wanted)) {
            return id;
        }
    }
    return -1;
}

static bool ends_at(const struct vocabulary *v, const char *text)
{
    int id = find_text(v, text);
    return id >= 0 && v->ends[id];
}

static void take_out(struct vocabulary *v, const char *text)
{
    int id = find_text(v, text);
    if (id >= 0) {
        v->ends[id] = false;
    }
}

/* The ends that only their texts tell. */
static enum err mark(const struct gguf *file, struct vocabulary *v)
{
    for (size_t i = 0; i < sizeof end_texts / sizeof *end_texts; i++) {
        int id = find_text(v, end_texts[i]);
        if (id >= 0) {
            v->ends[id] = true;
        }
    }
    for (size_t i = 0; i < sizeof fill_in / sizeof *fill_in; i++) {
        int64_t id = -1;
        TRY(gguf_want_int(file, fill_in[i].key, &id));
        for (int k = 0; (id < 0 || id >= v->n) && fill_in[i].texts[k]; k++) {
            id = find_text(v, fill_in[i].texts[k]);
        }
        if (id >= 0 && id < v->n) {
            v->ends[id] = true;
        }
    }
    return ERR_NONE;
}

static void except(struct vocabulary *v)
{
    bool call = ends_at(v, "<|call|>") || ends_at(v, "<|calls|>");
    if (call && (ends_at(v, "<|return|>") || ends_at(v, "<|flush|>"))) {
        take_out(v, "<|end|>");
    }
    if (ends_at(v, "<|tool_response>") || ends_at(v, "<|plamo:eos|>")) {
        take_out(v, "</s>");
    }
}

/* Those of the keys first: what is trained to end a turn is the first of all. */
static enum err collect(const struct gguf *file, struct vocabulary *v, json_t *ids)
{
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    int64_t id[3] = {-1, -1, -1};
    for (int i = 0; i < 3; i++) {
        TRY(gguf_want_int(file, keys[i], &id[i]));
        if (id[i] >= 0 && id[i] < v->n) {
            v->ends[id[i]] = true;
        }
    }
    TRY(mark(file, v));
    except(v);
    for (int i = 0; i < 3; i++) {
        if (id[i] >= v->n ||
            (id[i] >= 0 && v->ends[id[i]])) { /* too large: refused with the other keys of the config */
            json_array_append_new(ids, json_integer(id[i]));
        }
    }
    for (int k = 0; k < v->n; k++) {
        if (v->ends[k]) {
            json_array_append_new(ids, json_integer(k));
        }
    }
    return ERR_NONE;
}

enum err gguf_end_tokens(const struct gguf *file, json_t *ids)
{
    struct vocabulary v = {0};
    TRY(gguf_want_texts(file, "tokenizer.ggml.tokens", &v.tokens, &v.n));
    v.ends = mem_zero((size_t)v.n * sizeof *v.ends);
    enum err result = collect(file, &v, ids);
    free(v.tokens);
    free(v.ends);
    return result;
}

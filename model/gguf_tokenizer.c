/* model/gguf_tokenizer.c - the tokenizer in a GGUF file: opened, and written as a tokenizer.json.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "model/gguf_model.h"
#include "model/pretokenize.h"

enum { TYPE_UNKNOWN = 2, TYPE_CONTROL, TYPE_USER, TYPE_UNUSED };

struct parts {
    struct str *tokens, *merges;
    int32_t *types;
    struct tokenizer_parts view;
};

static void parts_release(struct parts *p)
{
    free(p->tokens);
    free(p->merges);
    free(p->types);
}

static enum err read_lists(const struct gguf *file, struct parts *p)
{
    int n_types = 0;
    TRY(gguf_want_texts(file, "tokenizer.ggml.tokens", &p->tokens, &p->view.n_tokens));
    TRY(gguf_want_texts(file, "tokenizer.ggml.merges", &p->merges, &p->view.n_merges));
    TRY(gguf_want_ints(file, "tokenizer.ggml.token_type", &p->types, &n_types));
    if (!p->types || n_types != p->view.n_tokens) {
        return err_set(ERR_FORMAT, "%s: 'tokenizer.ggml.token_type' has %d entries for %d tokens", file->path, n_types,
                       p->view.n_tokens);
    }
    p->view.tokens = p->tokens;
    p->view.merges = p->merges;
    p->view.types = p->types;
    return ERR_NONE;
}

/* A file that does not say whether texts begin with a token: those of Llama 3 do, as in llama.cpp. */
static enum err read_begin(const struct gguf *file, struct tokenizer_parts *parts)
{
    int64_t begins = str_equal(parts->pre, STR("llama-bpe")), token = -1;
    TRY(gguf_want_int(file, "tokenizer.ggml.add_bos_token", &begins));
    TRY(gguf_want_int(file, "tokenizer.ggml.bos_token_id", &token));
    if (token > INT32_MAX) {
        return err_set(ERR_FORMAT, "%s: tokenizer.ggml.bos_token_id is %lld", file->path, (long long)token);
    }
    parts->begins = begins != 0 && token >= 0;
    parts->begin_token = (int32_t)token;
    return ERR_NONE;
}

/* The keys of the ids of tokenizer_names. */
static const char *const name_keys[TOKENIZER_NAMES] = {
    "tokenizer.ggml.bos_token_id",       "tokenizer.ggml.eos_token_id", "tokenizer.ggml.unknown_token_id",
    "tokenizer.ggml.seperator_token_id", /* so it is written */
    "tokenizer.ggml.padding_token_id",   "tokenizer.ggml.cls_token_id", "tokenizer.ggml.mask_token_id"};

static enum err read_names(const struct gguf *file, struct tokenizer_parts *parts)
{
    for (int i = 0; i < TOKENIZER_NAMES; i++) {
        int64_t id = -1;
        TRY(gguf_want_int(file, name_keys[i], &id));
        if (id >= 0 && id < parts->n_tokens) {
            parts->names[i] = parts->tokens[id];
        }
    }
    return ERR_NONE;
}

/* On failure, too, *p is released by the caller. */
static enum err read_parts(const struct gguf *file, struct parts *p)
{
    struct str model = {"", 0};
    TRY(gguf_want_text(file, "tokenizer.ggml.model", &model));
    if (!str_equal(model, STR("gpt2"))) {
        return err_set(ERR_FORMAT, "%s: the tokenizer is of kind '%.*s'; only byte-level BPE ('gpt2') is supported",
                       file->path, (int)(model.length < 100 ? model.length : 100), model.data);
    }
    TRY(read_lists(file, p));
    TRY(gguf_want_text(file, "tokenizer.ggml.pre", &p->view.pre));
    TRY(read_begin(file, &p->view));
    TRY(read_names(file, &p->view));
    TRY(gguf_want_text(file, "tokenizer.chat_template.tool_use", &p->view.tool_template));
    return gguf_want_text(file, "tokenizer.chat_template", &p->view.chat_template);
}

enum err gguf_model_tokenizer(const struct gguf *file, struct tokenizer **out)
{
    if (!gguf_find(file, "tokenizer.ggml.model")) {
        *out = NULL;
        return ERR_NONE;
    }
    struct parts p = {0};
    enum err result = read_parts(file, &p);
    if (result == ERR_NONE) {
        result = tokenizer_from_parts(out, &p.view, file->path);
    }
    parts_release(&p);
    return result;
}

/* ---- tokenizer.json ---- */

/* What a name in tokenizer.ggml.pre stands for. */
static const struct pre {
    const char *name;
    const char *pattern; /* NULL: the one of GPT-2, which ByteLevel has built in */
    bool digits;         /* each digit alone, first */
    bool nfc, ignore_merges;
} pres[] = {
    {"qwen2", PATTERN_QWEN2, false, true, false},
    {"deepseek-r1-qwen", PATTERN_QWEN2, false, true, false},
    {"llama-bpe", PATTERN_LLAMA3, false, false, true},
    {"smollm", NULL, true, false, false},
    {"gpt-2", NULL, false, false, false},
};

static enum err find_pre(const struct gguf *file, struct str name, const struct pre **out)
{
    for (size_t i = 0; i < sizeof pres / sizeof *pres; i++) {
        if (str_equal(name, str_of(pres[i].name))) {
            *out = &pres[i];
            return ERR_NONE;
        }
    }
    return err_set(ERR_FORMAT, "%s: the pre-tokenizer '%.*s' is not known, so no tokenizer.json can be written",
                   file->path, (int)(name.length < 100 ? name.length : 100), name.data);
}

static void add_text(struct strbuf *out, struct str text)
{
    strbuf_putc(out, '"');
    strbuf_add_json(out, text);
    strbuf_putc(out, '"');
}

static void add_added_tokens(struct strbuf *out, const struct tokenizer_parts *p)
{
    const char *comma = "";
    strbuf_puts(out, "  \"added_tokens\": [");
    for (int i = 0; i < p->n_tokens; i++) {
        if (p->types[i] >= TYPE_UNKNOWN && p->types[i] <= TYPE_USER && p->tokens[i].length > 0) {
            strbuf_printf(out, "%s\n    {\"id\": %d, \"content\": ", comma, i);
            add_text(out, p->tokens[i]);
            strbuf_printf(out,
                          ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, "
                          "\"special\": %s}",
                          p->types[i] == TYPE_USER ? "false" : "true");
            comma = ",";
        }
    }
    strbuf_puts(out, "\n  ],\n");
}

static void add_pre_tokenizer(struct strbuf *out, const struct pre *pre)
{
    strbuf_puts(out, "  \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [");
    if (pre->pattern) {
        strbuf_puts(out, "{\"type\": \"Split\", \"pattern\": {\"Regex\": ");
        add_text(out, str_of(pre->pattern));
        strbuf_puts(out, "}, \"behavior\": \"Isolated\", \"invert\": false}, ");
    }
    if (pre->digits) {
        strbuf_puts(out, "{\"type\": \"Digits\", \"individual_digits\": true}, ");
    }
    strbuf_printf(
        out, "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": %s, \"use_regex\": %s}]},\n",
        pre->pattern ? "false" : "true", pre->pattern ? "false" : "true");
}

/* A model that begins every text with a token gets it from here. */
static void add_post_processor(struct strbuf *out, const struct tokenizer_parts *p)
{
    if (!p->begins || p->begin_token >= p->n_tokens) {
        strbuf_puts(out, "  \"post_processor\": null,\n");
        return;
    }
    struct strbuf token = STRBUF_INIT;
    add_text(&token, p->tokens[p->begin_token]);
    strbuf_printf(
        out,
        "  \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": %s, "
        "\"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], \"pair\": [{\"SpecialToken\": "
        "{\"id\": %s, \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, {\"Sequence\": "
        "{\"id\": \"B\", \"type_id\": 1}}], \"special_tokens\": {%s: {\"id\": %s, \"ids\": [%d], "
        "\"tokens\": [%s]}}},\n",
        token.data, token.data, token.data, token.data, p->begin_token, token.data);
    strbuf_release(&token);
}

static void add_model(struct strbuf *out, const struct tokenizer_parts *p, const struct pre *pre)
{
    strbuf_printf(out,
                  "  \"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, "
                  "\"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, \"fuse_unk\": false, "
                  "\"byte_fallback\": false, \"ignore_merges\": %s,\n  \"vocab\": {",
                  pre->ignore_merges ? "true" : "false");
    const char *comma = "";
    for (int i = 0; i < p->n_tokens; i++) {
        if (p->types[i] != TYPE_UNUSED) { /* those only pad the embedding */
            strbuf_printf(out, "%s\n    ", comma);
            add_text(out, p->tokens[i]);
            strbuf_printf(out, ": %d", i);
            comma = ",";
        }
    }
    strbuf_puts(out, "\n  },\n  \"merges\": [");
    for (int i = 0; i < p->n_merges; i++) {
        strbuf_puts(out, i ? ",\n    " : "\n    ");
        add_text(out, p->merges[i]);
    }
    strbuf_puts(out, "\n  ]}\n");
}

static void add_tokenizer(struct strbuf *out, const struct tokenizer_parts *p, const struct pre *pre)
{
    strbuf_puts(out, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n");
    add_added_tokens(out, p);
    strbuf_printf(out, "  \"normalizer\": %s,\n", pre->nfc ? "{\"type\": \"NFC\"}" : "null");
    add_pre_tokenizer(out, pre);
    add_post_processor(out, p);
    strbuf_puts(out, "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": false, "
                     "\"use_regex\": false},\n");
    add_model(out, p, pre);
    strbuf_puts(out, "}\n");
}

/* ---- tokenizer_config.json ---- */

static void add_named_tokens(struct strbuf *out, const struct tokenizer_parts *p)
{
    for (int i = 0; i < TOKENIZER_NAMES; i++) {
        if (p->names[i].length) {
            strbuf_printf(out, ",\n  \"%s\": ", tokenizer_names[i]);
            add_text(out, p->names[i]);
        }
    }
}

/* A text, or a list where there is a second template for tools. */
static void add_templates(struct strbuf *out, const struct tokenizer_parts *p)
{
    if (p->chat_template.length == 0) {
        return;
    }
    bool two = p->tool_template.length > 0;
    strbuf_puts(out, ",\n  \"chat_template\": ");
    strbuf_puts(out, two ? "[{\"name\": \"default\", \"template\": " : "");
    add_text(out, p->chat_template);
    if (two) {
        strbuf_puts(out, "}, {\"name\": \"tool_use\", \"template\": ");
        add_text(out, p->tool_template);
        strbuf_puts(out, "}]");
    }
}

static void add_settings(struct strbuf *out, const struct tokenizer_parts *p)
{
    strbuf_puts(out,
                "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n  \"clean_up_tokenization_spaces\": false");
    add_named_tokens(out, p);
    add_templates(out, p);
    strbuf_puts(out, "\n}\n");
}

static enum err write_text(const char *folder, const char *name, const struct strbuf *text)
{
    char path[FILE_PATH_BYTES];
    TRY(file_join(path, sizeof path, folder, name));
    return file_write_atomic(path, text->data, text->length);
}

static enum err save(const struct gguf *file, const char *folder, struct parts *p, struct strbuf *text)
{
    const struct pre *pre = NULL;
    TRY(read_parts(file, p));
    TRY(find_pre(file, p->view.pre, &pre));
    add_tokenizer(text, &p->view, pre);
    TRY(write_text(folder, "tokenizer.json", text));
    strbuf_clear(text);
    add_settings(text, &p->view);
    return write_text(folder, "tokenizer_config.json", text);
}

enum err gguf_model_save_tokenizer(const struct gguf *file, const char *folder)
{
    if (!gguf_find(file, "tokenizer.ggml.model")) {
        return ERR_NONE;
    }
    struct parts p = {0};
    struct strbuf text = STRBUF_INIT;
    enum err result = save(file, folder, &p, &text);
    parts_release(&p);
    strbuf_release(&text);
    return result;
}

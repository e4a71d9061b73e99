/* rl/data/dataset.c - rows are read, put into their template and tokenised.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/data/dataset_internal.h"

#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "rl/data/order.h"
#include "rl/method.h"

/* ---- one row ---- */

static int64_t dataset_line(const struct dataset *dataset, int64_t position)
{
    int64_t size = dataset->file.n, epoch = position / size, i = position % size;
    return dataset->shuffled ? (int64_t)order_at(dataset->seed, (uint64_t)epoch, (uint64_t)size, (uint64_t)i) : i;
}

/* The content is text, or parts of it, or there is none next to calls of tools; what else is in a message is its
 * template's. */
static bool is_message(const json_t *message)
{
    const json_t *content = json_object_get(message, "content");
    bool empty = !content || json_is_null(content);
    return json_is_string(json_object_get(message, "role")) &&
           (json_is_string(content) || json_is_array(content) || (empty && json_object_get(message, "tool_calls")));
}

static bool is_prompt(const json_t *value)
{
    if (json_is_string(value)) {
        return true;
    }
    size_t i;
    json_t *message;
    json_array_foreach(value, i, message)
    {
        if (!is_message(message)) {
            return false;
        }
    }
    return json_array_size(value) > 0;
}

static enum err dataset_read_fields(const struct dataset *dataset, struct row *row)
{
    const struct data_recipe *o = dataset->options;
    if (dataset->is_text) {
        return json_get_text(row->fields, o->text_field, row->where, &row->text);
    }
    row->prompt = json_object_get(row->fields, o->prompt_field);
    if (!row->prompt) {
        return err_set(ERR_FORMAT, "%s: the field '%s' is missing; 'prompt_field' says which field holds the prompt",
                       row->where, o->prompt_field);
    }
    if (!is_prompt(row->prompt)) {
        return err_set(ERR_FORMAT, "%s: '%s' must be text, or messages [{\"role\": \"user\", \"content\": \"...\"}]",
                       row->where, o->prompt_field);
    }
    return ERR_NONE;
}

enum err dataset_read(const struct dataset *dataset, int64_t position, struct desk *desk, struct row *row)
{
    row->fields = row->prompt = NULL;
    if (dataset->from_generator) {
        struct generator_item item;
        snprintf(row->where, sizeof row->where, "%s %lld", dataset->generator.kind->name, (long long)position);
        generator_make(&dataset->generator, position, &desk->scratch, &item);
        row->fields = item.fields;
        row->text = item.text;
        row->prompt = dataset->is_text ? NULL : json_stringn(item.text.data, item.text.length);
        return ERR_NONE;
    }
    int64_t line = dataset_line(dataset, position);
    jsonl_where(&dataset->file, line, row->where, sizeof row->where);
    TRY(jsonl_read(&dataset->file, line, &desk->line, &row->fields));
    enum err err = dataset_read_fields(dataset, row);
    if (err != ERR_NONE) {
        json_decref(row->fields);
        return err;
    }
    json_incref(row->prompt);
    return ERR_NONE;
}

void row_release(struct row *row)
{
    json_decref(row->prompt);
    json_decref(row->fields);
}

const char *dataset_length_key(const struct dataset *dataset)
{
    return dataset->options->pack_length > 0 ? "pack_length" : dataset->learns ? "max_length" : "max_prompt_length";
}

enum err dataset_check_length(const struct dataset *dataset, const struct row *row, int n, int max, bool *fits)
{
    *fits = n <= max;
    if (*fits || dataset->options->long_prompts == LONG_PROMPTS_SKIP) {
        return ERR_NONE;
    }
    return err_set(ERR_LIMIT, "%s: %d tokens, but %s is %d; raise it, or set long_prompts: skip", row->where, n,
                   dataset_length_key(dataset), max);
}

enum err dataset_skip(struct dataset *dataset, int64_t skipped_in_a_row)
{
    int64_t max = dataset->from_generator ? 100000 : dataset->file.n;
    dataset->n_skipped++;
    if (skipped_in_a_row >= max) {
        return err_set(ERR_LIMIT, "all of %lld rows in a row are too long; raise %s", (long long)max,
                       dataset_length_key(dataset));
    }
    return ERR_NONE;
}

enum err dataset_row(struct dataset *dataset, int64_t i, json_t **fields, char *where, size_t capacity)
{
    if (!dataset->from_generator) {
        jsonl_where(&dataset->file, i, where, capacity);
        return jsonl_read(&dataset->file, i, &dataset->desk.line, fields);
    }
    struct row row;
    arena_reset(&dataset->desk.scratch);
    TRY(dataset_read(dataset, i, &dataset->desk, &row));
    snprintf(where, capacity, "%s", row.where);
    *fields = json_incref(row.fields);
    row_release(&row);
    return ERR_NONE;
}

/* ---- prompts ---- */

enum err dataset_encode_prompt(const struct dataset *dataset, struct str text, struct arena *arena, int32_t **tokens,
                               int *n)
{
    return template_is_chat(dataset->tpl) ? tokenizer_encode(dataset->tokenizer, text, true, arena, tokens, n)
                                          : tokenizer_encode_whole(dataset->tokenizer, text, true, arena, tokens, n);
}

/* Fills `out` from the row; its texts live in `arena`. */
static enum err dataset_make_prompt(struct dataset *dataset, const struct row *row, struct arena *arena,
                                    struct prompt *out, bool *fits)
{
    int32_t *tokens = NULL;
    int n = 0;
    strbuf_clear(&dataset->desk.text);
    TRY(template_apply(dataset->tpl, row->prompt, row->fields, row->where, &dataset->desk.text));
    struct str text = strbuf_view(&dataset->desk.text);
    TRY(dataset_encode_prompt(dataset, text, arena, &tokens, &n));
    if (text.length == 0) {
        return err_set(ERR_FORMAT, "%s: the prompt is empty; write one, or use a template", row->where);
    }
    TRY(dataset_check_length(dataset, row, n, dataset->options->max_prompt_length, fits));
    out->text = (struct str){arena_strndup(arena, text.data, text.length), text.length};
    out->tokens = tokens;
    out->n_tokens = n;
    return ERR_NONE;
}

/* The next prompt that is not too long, from *position on, which moves past it. */
static enum err dataset_next_prompt(struct dataset *dataset, int64_t *position, struct arena *arena, struct prompt *out)
{
    for (int64_t skipped = 1;; skipped++) {
        struct row row;
        bool fits = false;
        arena_reset(&dataset->desk.scratch);
        TRY(dataset_read(dataset, *position, &dataset->desk, &row));
        enum err err = dataset_make_prompt(dataset, &row, arena, out, &fits);
        if (err == ERR_NONE && fits) {
            out->fields = json_incref(row.fields);
            out->index = *position;
        }
        row_release(&row);
        TRY(err);
        ++*position;
        if (fits) {
            return ERR_NONE;
        }
        TRY(dataset_skip(dataset, skipped));
    }
}

enum err dataset_next(struct dataset *dataset, struct iteration *it)
{
    BUG_ON(dataset->is_text);
    int64_t position = dataset->cursor;
    it->prompts = ARENA_NEW(&it->arena, struct prompt, it->n_prompts);
    for (int i = 0; i < it->n_prompts; i++) {
        TRY(dataset_next_prompt(dataset, &position, &it->arena, &it->prompts[i]));
    }
    dataset->cursor = position;
    return ERR_NONE;
}

/* ---- opening ---- */

static enum err dataset_open_source(struct dataset *dataset, struct recipe *recipe, const char *name, bool is_eval)
{
    dataset->from_generator = generator_find(name) != NULL;
    if (dataset->from_generator) {
        TRY(generator_open(&dataset->generator, name, is_eval ? 0 : recipe->run.seed));
        dataset->is_text = dataset->generator.kind->makes_texts;
        dataset->fingerprint = XXH3_64bits_withSeed(name, strlen(name), dataset->generator.seed);
        return ERR_NONE;
    }
    dataset->is_text = recipe->data.text_field[0] != '\0';
    const char *path = recipe_path(recipe, name);
    if (!file_exists(path)) {
        return err_set(
            ERR_USAGE,
            "there is no data set '%s': neither a file of JSON lines nor a generator (countdown, arithmetic, "
            "tiny-text); strop downloads nothing (rl/data/README.md says how to get one)",
            name);
    }
    TRY(jsonl_open(&dataset->file, path));
    dataset->fingerprint = dataset->file.hash;
    return ERR_NONE;
}

static enum err dataset_check_use(const struct dataset *dataset, const struct recipe *recipe, const char *name)
{
    if (dataset->is_text && method_of(recipe)->samples) {
        return err_set(ERR_USAGE, "data set '%s' makes whole texts; use it with method: sft", name);
    }
    if (dataset->from_generator && !dataset->is_text && dataset->learns) {
        return err_set(ERR_USAGE, "data set '%s' makes prompts without completions; use it with method: grpo", name);
    }
    if (recipe->data.pack_length > 0 && !dataset->is_text && dataset->learns) {
        return err_set(ERR_USAGE, "'pack_length' joins whole texts; set 'text_field', or leave pack_length at 0");
    }
    return ERR_NONE;
}

/* A prompt that is too long is found now and not in the middle of a run. A token is at least a byte, so few texts
 * have to be tokenised. */
static enum err dataset_check_prompt(struct dataset *dataset, const struct row *row)
{
    struct prompt prompt;
    bool fits;
    strbuf_clear(&dataset->desk.text);
    TRY(template_apply(dataset->tpl, row->prompt, row->fields, row->where, &dataset->desk.text));
    if (dataset->desk.text.length > 0 && dataset->desk.text.length <= (size_t)dataset->options->max_prompt_length) {
        return ERR_NONE;
    }
    arena_reset(&dataset->desk.scratch);
    return dataset_make_prompt(dataset, row, &dataset->desk.scratch, &prompt, &fits);
}

/* Every line once, in the file's order. `texts`: rows are learnt from, not prompts. */
static enum err dataset_check_lines(struct dataset *dataset, bool texts, bool pairs)
{
    struct row row;
    for (int64_t i = 0; i < dataset->file.n; i++) {
        jsonl_where(&dataset->file, i, row.where, sizeof row.where);
        TRY(jsonl_read(&dataset->file, i, &dataset->desk.line, &row.fields));
        enum err err = dataset_read_fields(dataset, &row);
        if (err == ERR_NONE && pairs) {
            struct str completion;
            json_t *messages = json_deep_copy(row.prompt);
            err = dataset_completion(dataset, &row, messages, &completion);
            json_decref(messages);
        }
        if (err == ERR_NONE && !texts && dataset->options->long_prompts == LONG_PROMPTS_ERROR) {
            err = dataset_check_prompt(dataset, &row);
        }
        json_decref(row.fields);
        TRY(err);
    }
    return ERR_NONE;
}

static enum err dataset_set_up(struct dataset *dataset, struct recipe *recipe, const char *name, bool is_eval)
{
    static const char *const words[] = {"r1-zero", "chat", "none"};
    const char *template_name = recipe->data.template_name;
    bool word = false;
    for (int i = 0; i < 3; i++) {
        word |= strcmp(template_name, words[i]) == 0;
    }
    dataset->learns = !method_of(recipe)->samples && !is_eval;
    TRY(dataset_open_source(dataset, recipe, name, is_eval));
    TRY(dataset_check_use(dataset, recipe, name));
    if (!dataset->is_text) {
        TRY(template_open(&dataset->tpl, word ? template_name : recipe_path(recipe, template_name),
                          recipe->data.system_prompt, recipe->data.chat_template_kwargs, dataset->tokenizer));
        dataset_find_turn_end(dataset);
    }
    bool texts = dataset->is_text || dataset->learns;
    return dataset_check_lines(dataset, texts, texts && !dataset->is_text);
}

enum err dataset_open(struct dataset **out, struct recipe *recipe, const char *name, bool is_eval,
                      const struct tokenizer *tokenizer, int32_t end_token)
{
    struct dataset *dataset = mem_zero(sizeof *dataset);
    dataset->options = &recipe->data;
    dataset->tokenizer = tokenizer;
    dataset->end_token = end_token;
    dataset->seed = recipe->run.seed;
    dataset->shuffled = recipe->data.shuffle && !is_eval;
    enum err err = dataset_set_up(dataset, recipe, name, is_eval);
    if (err != ERR_NONE) {
        dataset_close(dataset);
        return err;
    }
    *out = dataset;
    return ERR_NONE;
}

void desk_release(struct desk *desk)
{
    arena_release(&desk->scratch);
    strbuf_release(&desk->line);
    strbuf_release(&desk->text);
}

void dataset_close(struct dataset *dataset)
{
    if (dataset) {
        template_close(dataset->tpl);
        arena_release(&dataset->lasting);
        jsonl_close(&dataset->file);
        desk_release(&dataset->desk);
        for (int i = 0; dataset->made && i < AHEAD; i++) {
            desk_release(&dataset->made[i].desk);
        }
        free(dataset->made);
        free(dataset);
    }
}

/* ---- where we are ---- */

int64_t dataset_size(const struct dataset *dataset)
{
    return dataset->file.n;
}

int64_t dataset_cursor(const struct dataset *dataset)
{
    return dataset->cursor;
}

void dataset_seek(struct dataset *dataset, int64_t position)
{
    BUG_ON(position < 0);
    dataset->cursor = position;
}

uint64_t dataset_fingerprint(const struct dataset *dataset)
{
    return dataset->fingerprint;
}

int64_t dataset_skipped(const struct dataset *dataset)
{
    return dataset->n_skipped;
}

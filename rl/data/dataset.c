/* rl/data/dataset.c - rows are read, put into their template and tokenised.
 *
 * What stands at a position depends on nothing but the position, so texts are made AHEAD of their turn, many at once by the
 * threads of the host, and a turn only takes what is there. An error waits for its turn too.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/data/dataset.h"

#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "rl/data/generator.h"
#include "rl/data/jsonl.h"
#include "rl/data/order.h"
#include "rl/data/template.h"

enum { WHERE_BYTES = 4200, AHEAD = 128 };

/* What the making of a row needs; of one thread at a time. */
struct desk {
    struct arena scratch; /* of one row */
    struct strbuf line, text;
};

/* A text that waits for its turn; it lies in the arena of its desk. */
struct made {
    struct desk desk;
    struct dataset_text text;
    bool fits;
    enum err err;
    const char *error; /* the sentence of err */
};

struct dataset {
    const struct data_recipe *options;
    const struct tokenizer *tokenizer;
    struct template *tpl;
    int32_t end_token;
    int32_t *turn_end; /* tokens after a learnt completion; in `lasting` */
    int n_turn_end;
    struct arena lasting;
    bool is_text; /* rows are whole texts */
    bool from_generator;
    bool shuffled;
    uint64_t seed;
    struct generator generator;
    struct jsonl file;
    uint64_t fingerprint;
    int64_t cursor, n_skipped;
    struct desk desk;
    struct made *made; /* [AHEAD], the texts of the positions made_from .. made_from + n_made - 1 */
    int64_t made_from;
    int n_made;
};

/* What stands at one position. */
struct row {
    json_t *fields;
    json_t *prompt;  /* text or messages; borrowed from fields, or owned by the row of a generator */
    struct str text; /* is_text */
    char where[WHERE_BYTES];
};

/* ---- one row ---- */

static int64_t dataset_line(const struct dataset *dataset, int64_t position)
{
    int64_t size = dataset->file.n, epoch = position / size, i = position % size;
    return dataset->shuffled ? (int64_t)order_at(dataset->seed, (uint64_t)epoch, (uint64_t)size, (uint64_t)i) : i;
}

/* The content is text, or parts of it, or there is none beside calls of tools; what else is in a message is its template's. */
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

static enum err dataset_read(const struct dataset *dataset, int64_t position, struct desk *desk, struct row *row)
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

static void row_release(struct row *row)
{
    json_decref(row->prompt);
    json_decref(row->fields);
}

/* Too long: an error, or *fits is false. */
static enum err dataset_check_length(const struct dataset *dataset, const struct row *row, int n, int most, bool *fits)
{
    *fits = n <= most;
    if (*fits || dataset->options->long_prompts == LONG_PROMPTS_SKIP) {
        return ERR_NONE;
    }
    const char *key = dataset->options->pack_length > 0 ? "pack_length" : "max_prompt_length";
    return err_set(ERR_LIMIT, "%s: %d tokens, but %s is %d; raise it, or set long_prompts: skip", row->where, n, key,
                   most);
}

/* After a row that was too long: is there any hope of one that is not? */
static enum err dataset_skip(struct dataset *dataset, int64_t skipped_in_a_row)
{
    int64_t most = dataset->from_generator ? 100000 : dataset->file.n;
    dataset->n_skipped++;
    if (skipped_in_a_row >= most) {
        return err_set(ERR_LIMIT, "all of %lld rows in a row are too long; raise %s", (long long)most,
                       dataset->options->pack_length > 0 ? "pack_length" : "max_prompt_length");
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

static enum err dataset_encode_prompt(const struct dataset *dataset, struct str text, struct arena *arena,
                                      int32_t **tokens, int *n)
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

/* The next prompt that is not too long, from *position on, which moves behind it. */
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

/* ---- texts ---- */

/* What is learnt of a row with a prompt. If there is no such field, the prompt's last message is taken out of `messages`,
 * a copy of the prompt. */
static enum err dataset_completion(const struct dataset *dataset, const struct row *row, json_t *messages,
                                   struct str *out)
{
    const char *key = dataset->options->completion_field;
    json_t *value = json_object_get(row->fields, key);
    if (value && !json_is_null(value)) {
        return json_get_text(row->fields, key, row->where, out);
    }
    size_t n = json_array_size(messages);
    const json_t *last = n > 1 ? json_array_get(messages, n - 1) : NULL;
    const char *role = json_string_value(json_object_get(last, "role"));
    if (!role || strcmp(role, "assistant") != 0) {
        return err_set(ERR_FORMAT,
                       "%s: the field '%s' is missing, and the prompt does not end with a message of the assistant; "
                       "'completion_field' says which field is learnt",
                       row->where, key);
    }
    const json_t *content = json_object_get(json_array_get(row->prompt, n - 1), "content");
    if (!json_is_string(content)) {
        return err_set(ERR_FORMAT, "%s: the last message, which is learnt, must have a text as its content",
                       row->where);
    }
    *out = (struct str){json_string_value(content), json_string_length(content)};
    json_array_remove(messages, n - 1);
    return ERR_NONE;
}

static int32_t *join_tokens(struct arena *arena, const int32_t *a, int n_a, const int32_t *b, int n_b,
                            const int32_t *end, int n_end)
{
    int32_t *all = ARENA_NEW(arena, int32_t, n_a + n_b + n_end + 1);
    memcpy(all, a, (size_t)n_a * sizeof *all);
    if (n_b > 0) {
        memcpy(all + n_a, b, (size_t)n_b * sizeof *all);
    }
    if (n_end > 0) {
        memcpy(all + n_a + n_b, end, (size_t)n_end * sizeof *all);
    }
    return all;
}

static enum err dataset_make_pair(const struct dataset *dataset, const struct row *row, json_t *messages,
                                  struct desk *desk, struct dataset_text *out)
{
    struct str completion;
    int32_t *prompt = NULL, *learnt = NULL;
    int n_prompt = 0, n_learnt = 0;
    TRY(dataset_completion(dataset, row, messages, &completion));
    strbuf_clear(&desk->text);
    TRY(template_apply(dataset->tpl, messages, row->fields, row->where, &desk->text));
    TRY(dataset_encode_prompt(dataset, strbuf_view(&desk->text), &desk->scratch, &prompt, &n_prompt));
    TRY(tokenizer_encode(dataset->tokenizer, completion, true, &desk->scratch, &learnt, &n_learnt));
    out->tokens =
        join_tokens(&desk->scratch, prompt, n_prompt, learnt, n_learnt, dataset->turn_end, dataset->n_turn_end);
    out->n_tokens = n_prompt + n_learnt + dataset->n_turn_end;
    out->n_masked = n_prompt;
    return ERR_NONE;
}

static enum err dataset_make_text(const struct dataset *dataset, const struct row *row, struct desk *desk,
                                  struct dataset_text *out)
{
    if (!dataset->is_text) {
        json_t *messages = json_deep_copy(row->prompt);
        enum err err = dataset_make_pair(dataset, row, messages, desk, out);
        json_decref(messages);
        return err;
    }
    int32_t *tokens = NULL;
    int n = 0;
    TRY(tokenizer_encode_whole(dataset->tokenizer, row->text, true, &desk->scratch, &tokens, &n));
    bool end = dataset->end_token >= 0;
    out->tokens = join_tokens(&desk->scratch, tokens, n, NULL, 0, &dataset->end_token, end);
    out->n_tokens = n + end;
    out->n_masked = 0;
    return ERR_NONE;
}

/* The most tokens of one text. */
static int dataset_text_most(const struct dataset *dataset)
{
    return dataset->options->pack_length > 0 ? dataset->options->pack_length : dataset->options->max_prompt_length;
}

static void dataset_make_at(const struct dataset *dataset, int64_t position, struct made *out)
{
    struct row row;
    arena_reset(&out->desk.scratch);
    out->err = dataset_read(dataset, position, &out->desk, &row);
    if (out->err == ERR_NONE) {
        out->err = dataset_make_text(dataset, &row, &out->desk, &out->text);
        if (out->err == ERR_NONE) {
            out->err = dataset_check_length(dataset, &row, out->text.n_tokens, dataset_text_most(dataset), &out->fits);
        }
        row_release(&row);
    }
    out->error = out->err == ERR_NONE ? NULL : arena_strdup(&out->desk.scratch, err_text());
}

static void dataset_make_ahead(struct dataset *dataset, int64_t position)
{
    if (!dataset->made) {
        dataset->made = mem_zero(AHEAD * sizeof *dataset->made);
    }
#pragma omp parallel for schedule(dynamic, 4) /* neighbours share cache lines */
    for (int i = 0; i < AHEAD; i++) {
        dataset_make_at(dataset, position + i, &dataset->made[i]);
    }
    dataset->made_from = position;
    dataset->n_made = AHEAD;
}

/* The text of a position, made now if it is not there; valid until the next call. */
static enum err dataset_text_at(struct dataset *dataset, int64_t position, const struct made **out)
{
    if (position < dataset->made_from || position >= dataset->made_from + dataset->n_made) {
        dataset_make_ahead(dataset, position);
    }
    const struct made *made = &dataset->made[position - dataset->made_from];
    if (made->err != ERR_NONE) {
        dataset->n_made = 0; /* who tries again reads again */
        return err_set(made->err, "%s", made->error);
    }
    *out = made;
    return ERR_NONE;
}

/* The next text that is not too long, like dataset_next_prompt; valid until the next call. */
static enum err dataset_next_fitting(struct dataset *dataset, int64_t *position, struct dataset_text *out)
{
    for (int64_t skipped = 1;; skipped++) {
        const struct made *made = NULL;
        TRY(dataset_text_at(dataset, *position, &made));
        ++*position;
        if (made->fits) {
            *out = made->text;
            return ERR_NONE;
        }
        TRY(dataset_skip(dataset, skipped));
    }
}

enum err dataset_next_text(struct dataset *dataset, struct arena *arena, struct dataset_text *out)
{
    int pack = dataset->options->pack_length;
    int64_t position = dataset->cursor;
    struct dataset_text row, next;
    TRY(dataset_next_fitting(dataset, &position, &row));
    dataset->cursor = position;
    int room = pack > 0 ? pack : row.n_tokens;
    row.tokens = memcpy(ARENA_NEW(arena, int32_t, room), row.tokens, (size_t)row.n_tokens * sizeof *row.tokens);
    while (pack > 0) {
        int64_t n_skipped = dataset->n_skipped;
        TRY(dataset_next_fitting(dataset, &position, &next));
        if (row.n_tokens + next.n_tokens > pack) { /* it begins the next row, and is taken again then */
            dataset->n_skipped = n_skipped;
            break;
        }
        memcpy(row.tokens + row.n_tokens, next.tokens, (size_t)next.n_tokens * sizeof *row.tokens);
        row.n_tokens += next.n_tokens;
        dataset->cursor = position;
    }
    *out = row;
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

static enum err dataset_check_use(const struct dataset *dataset, const struct recipe *recipe, const char *name,
                                  bool is_eval)
{
    if (dataset->is_text && recipe->method == METHOD_GRPO) {
        return err_set(ERR_USAGE, "data set '%s' makes whole texts; use it with method: sft", name);
    }
    if (dataset->from_generator && !dataset->is_text && recipe->method == METHOD_SFT && !is_eval) {
        return err_set(ERR_USAGE, "data set '%s' makes prompts without completions; use it with method: grpo", name);
    }
    if (recipe->data.pack_length > 0 && !dataset->is_text && !is_eval) {
        return err_set(ERR_USAGE, "'pack_length' joins whole texts; set 'text_field', or leave pack_length at 0");
    }
    return ERR_NONE;
}

/* A prompt that is too long is found now and not in the middle of a run. A token is at least a byte, so that most need not be
 * tokenised. */
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

/* After a learnt completion comes what the chat template writes there, so that the model learns to end as the template does; without
 * such a template, or if it ends with no special token, the model's end token. */
static void dataset_find_turn_end(struct dataset *dataset)
{
    template_turn_end(dataset->tpl, &dataset->lasting, &dataset->turn_end, &dataset->n_turn_end);
    if (dataset->n_turn_end == 0) {
        dataset->turn_end = &dataset->end_token;
        dataset->n_turn_end = dataset->end_token >= 0;
    }
}

static enum err dataset_set_up(struct dataset *dataset, struct recipe *recipe, const char *name, bool is_eval)
{
    static const char *const words[] = {"r1-zero", "chat", "none"};
    const char *template_name = recipe->data.template_name;
    bool word = false;
    for (int i = 0; i < 3; i++) {
        word |= strcmp(template_name, words[i]) == 0;
    }
    TRY(dataset_open_source(dataset, recipe, name, is_eval));
    TRY(dataset_check_use(dataset, recipe, name, is_eval));
    if (!dataset->is_text) {
        TRY(template_open(&dataset->tpl, word ? template_name : recipe_path(recipe, template_name),
                          recipe->data.system_prompt, recipe->data.chat_template_kwargs, dataset->tokenizer));
        dataset_find_turn_end(dataset);
    }
    bool texts = dataset->is_text || (recipe->method == METHOD_SFT && !is_eval);
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

static void desk_release(struct desk *desk)
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

/* rl/data/dataset_text.c - rows for method sft: a prompt and what is learnt after it, or a whole text.
 *
 * The text at a position depends on nothing but the position, so AHEAD texts are made before they are needed, in
 * parallel by the threads of the host, and dataset_next_text only takes what is there. An error is kept until its
 * text is taken.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "rl/data/dataset_internal.h"

/* After a learnt completion comes what the chat template writes there, so that the model learns to end as the
 * template does; without such a template, or if it ends with no special token, the model's end token. */
void dataset_find_turn_end(struct dataset *dataset)
{
    template_turn_end(dataset->tpl, &dataset->lasting, &dataset->turn_end, &dataset->n_turn_end);
    if (dataset->n_turn_end == 0) {
        dataset->turn_end = &dataset->end_token;
        dataset->n_turn_end = dataset->end_token >= 0;
    }
}

enum err dataset_completion(const struct dataset *dataset, const struct row *row, json_t *messages, struct str *out)
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

/* The maximum number of tokens of one text. */
static int dataset_text_max_tokens(const struct dataset *dataset)
{
    return dataset->options->pack_length > 0 ? dataset->options->pack_length : dataset->options->max_length;
}

static void dataset_make_at(const struct dataset *dataset, int64_t position, struct made *out)
{
    struct row row;
    arena_reset(&out->desk.scratch);
    out->err = dataset_read(dataset, position, &out->desk, &row);
    if (out->err == ERR_NONE) {
        out->err = dataset_make_text(dataset, &row, &out->desk, &out->text);
        if (out->err == ERR_NONE) {
            out->err =
                dataset_check_length(dataset, &row, out->text.n_tokens, dataset_text_max_tokens(dataset), &out->fits);
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

enum err dataset_first(struct dataset *dataset, bool sft, struct arena *arena, struct dataset_text *out)
{
    struct iteration it = {.n_prompts = 1};
    int64_t cursor = dataset->cursor, n_skipped = dataset->n_skipped;
    enum err err = sft ? dataset_next_text(dataset, arena, out) : dataset_next(dataset, &it);
    if (err == ERR_NONE && !sft) {
        int n = it.prompts[0].n_tokens;
        *out = (struct dataset_text){arena_copy(arena, it.prompts[0].tokens, (size_t)n * sizeof(int32_t)), n, n};
    }
    iteration_release(&it);
    dataset->cursor = cursor;
    dataset->n_skipped = n_skipped;
    return err;
}

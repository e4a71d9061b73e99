/* reward/http/form.c - a writer and a reader for each form.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/http/form.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reward/dialog.h"

void http_form_ask_native(struct strbuf *out, int64_t seq, const struct reward_item *items, int n, const char *field,
                          double seconds)
{
    char id[40];
    strbuf_printf(out, "{\"seq\": %" PRId64 ", \"deadline_ms\": %.0f, \"items\": [", seq,
                  seconds > 0 ? seconds * 1000 : 0);
    for (int i = 0; i < n; i++) {
        snprintf(id, sizeof id, "%" PRId64 ":%d", seq, i);
        strbuf_puts(out, i ? ", " : "");
        dialog_item(out, id, &items[i], field);
    }
    strbuf_puts(out, "]}");
}

static void put_texts(struct strbuf *out, const char *key, const struct reward_item *items, int n, bool completions)
{
    strbuf_printf(out, "\"%s\": [", key);
    for (int i = 0; i < n; i++) {
        strbuf_puts(out, i ? ", \"" : "\"");
        strbuf_add_json(out, items[i].prompt);
        strbuf_add_json(out, completions ? items[i].completion : (struct str){0});
        strbuf_putc(out, '"');
    }
    strbuf_puts(out, "], ");
}

void http_form_ask_openrlhf(struct strbuf *out, const struct reward_item *items, int n, const char *field)
{
    strbuf_putc(out, '{');
    put_texts(out, "query", items, n, true);
    put_texts(out, "prompts", items, n, false);
    strbuf_puts(out, "\"labels\": [");
    for (int i = 0; i < n; i++) {
        const json_t *truth = dialog_truth(items[i].fields, field);
        char *text = truth ? json_dumps(truth, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        strbuf_puts(out, i ? ", " : "");
        strbuf_puts(out, text ? text : "null");
        free(text);
    }
    strbuf_puts(out, "]}");
}

static const char *no_json(struct str body, struct arena *arena)
{
    return arena_printf(arena, "its answer is no JSON object: %s", dialog_shown(body, arena));
}

/* The number after "SEQ:" in an id that we gave; -1 if there is none. */
static int index_of(const json_t *id, int64_t seq, int n)
{
    char prefix[32];
    struct str text = {json_string_value(id), json_string_length(id)};
    int64_t i = -1;
    snprintf(prefix, sizeof prefix, "%" PRId64 ":", seq);
    bool ours = str_starts(text, str_of(prefix)) && str_to_int(str_slice(text, strlen(prefix), text.length), &i) &&
                i >= 0 && i < n;
    return ours ? (int)i : -1;
}

static const char *read_results(const json_t *results, int64_t seq, int n, struct verdict *verdicts, bool *retryable,
                                struct arena *arena)
{
    bool *seen = ARENA_NEW(arena, bool, n);
    if (!json_is_array(results) || json_array_size(results) != (size_t)n) {
        return arena_printf(arena, "it gave %zu results for %d item%s", json_array_size(results), n, n == 1 ? "" : "s");
    }
    *retryable = false;
    for (int k = 0; k < n; k++) {
        const json_t *result = json_array_get(results, (size_t)k);
        int i = index_of(json_object_get(result, "id"), seq, n);
        bool again = false;
        if (i < 0 || seen[i]) {
            return arena_printf(arena, "result %d of %d is for an item that was not asked about%s", k + 1, n,
                                i < 0 ? "" : ", or not twice");
        }
        if (!dialog_result(result, &verdicts[i], &again, arena)) {
            return "a result has neither a score nor an error";
        }
        seen[i] = true;
        *retryable = *retryable || again;
    }
    return NULL;
}

const char *http_form_read_native(struct str body, int64_t seq, int n, struct verdict *verdicts, bool *retryable,
                                  struct arena *arena)
{
    json_t *document = dialog_parse(body);
    struct verdict *read = ARENA_NEW(arena, struct verdict, n);
    const char *wrong = json_is_object(document)
                            ? read_results(json_object_get(document, "results"), seq, n, read, retryable, arena)
                            : no_json(body, arena);
    json_decref(document);
    if (!wrong) {
        memcpy(verdicts, read, (size_t)n * sizeof *read);
    }
    return wrong;
}

const char *http_form_read_openrlhf(struct str body, int n, struct verdict *verdicts, struct arena *arena)
{
    json_t *document = dialog_parse(body);
    const json_t *rewards = json_object_get(document, "rewards");
    const char *wrong = NULL;
    if (!json_is_object(document)) {
        wrong = no_json(body, arena);
    } else if (!json_is_array(rewards)) {
        wrong = "its answer has no list \"rewards\"";
    } else if (json_array_size(rewards) != (size_t)n) {
        wrong =
            arena_printf(arena, "it gave %zu rewards for %d item%s", json_array_size(rewards), n, n == 1 ? "" : "s");
    }
    for (int i = 0; !wrong && i < n; i++) {
        verdicts[i] = dialog_number(json_array_get(rewards, (size_t)i), NULL, (struct str){0}, arena);
    }
    json_decref(document);
    return wrong;
}

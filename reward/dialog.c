/* reward/dialog.c - lines are written by hand into a buffer, and read with jansson.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/dialog.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 500, SHOWN_MAX = 80 };

/* ---- writing requests ---- */

static void put_text(struct strbuf *out, const char *key, struct str text)
{
    strbuf_printf(out, "\"%s\": \"", key);
    strbuf_add_json(out, text);
    strbuf_puts(out, "\", ");
}

static int put_bytes(const char *bytes, size_t length, void *out)
{
    strbuf_add(out, bytes, length);
    return 0;
}

static void put_value(struct strbuf *out, const char *key, const json_t *value)
{
    strbuf_printf(out, "\"%s\": ", key);
    if (!value || json_dump_callback(value, put_bytes, out, JSON_COMPACT | JSON_ENCODE_ANY) != 0) {
        strbuf_puts(out, "null");
    }
    strbuf_puts(out, ", ");
}

void dialog_hello(struct strbuf *out, const char *name, const char *config, int worker)
{
    strbuf_printf(out, "{\"type\": \"hello\", \"protocol\": %d, ", DIALOG_PROTOCOL);
    put_text(out, "name", str_of(name));
    strbuf_printf(out, "\"config\": %s, \"worker\": %d}\n", config, worker);
}

const json_t *dialog_truth(const json_t *row, const char *field)
{
    static const char *const usual[] = {"ground_truth", "answer", "solution", "label"};
    if (field[0]) {
        return json_object_get(row, field);
    }
    const json_t *nested = json_object_get(json_object_get(row, "reward_model"), "ground_truth");
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        const json_t *value = json_object_get(row, usual[i]);
        if (value && !json_is_null(value)) {
            return value;
        }
        if (i == 0 && nested) {
            return nested;
        }
    }
    return NULL;
}

const char *dialog_check(const json_t *row, const char *field, struct arena *arena)
{
    const json_t *value = json_object_get(row, field);
    return field[0] && (!value || json_is_null(value)) ? arena_printf(arena, "missing field '%s'", field) : NULL;
}

void dialog_item(struct strbuf *out, const char *id, const struct reward_item *item, const char *field)
{
    strbuf_puts(out, "{");
    put_text(out, "id", str_of(id));
    put_text(out, "prompt", item->prompt);
    put_text(out, "completion", item->completion);
    put_value(out, "ground_truth", dialog_truth(item->fields, field));
    put_value(out, "data_source", json_object_get(item->fields, "data_source"));
    put_value(out, "extra", item->fields);
    strbuf_printf(out, "\"finish\": \"%s\", \"n_tokens\": %d, \"max_tokens\": %d}", item->truncated ? "length" : "stop",
                  item->n_tokens, item->max_tokens);
}

void dialog_score(struct strbuf *out, int64_t seq, const struct reward_item *item, const char *field, double seconds)
{
    char id[24];
    snprintf(id, sizeof id, "%" PRId64, seq);
    strbuf_printf(out, "{\"type\": \"score\", \"seq\": %s, \"deadline_ms\": %.0f, \"items\": [", id,
                  seconds > 0 ? seconds * 1000 : 0);
    dialog_item(out, id, item, field);
    strbuf_puts(out, "]}\n");
}

/* ---- reading answers ---- */

/* The line with NaN, Infinity and -Infinity made texts, which are no score. */
static void quote_words(struct strbuf *out, struct str line)
{
    static const struct str words[] = {{"NaN", 3}, {"-Infinity", 9}, {"Infinity", 8}};
    bool inside = false;
    for (size_t i = 0; i < line.length;) {
        size_t step = 1;
        if (inside && line.data[i] == '\\') {
            step = 2;
        }
        inside ^= line.data[i] == '"';
        for (size_t w = 0; !inside && w < 3; w++) {
            if (str_starts(str_slice(line, i, line.length), words[w])) {
                strbuf_puts(out, "\"not finite\"");
                i += words[w].length;
                step = 0;
                break;
            }
        }
        strbuf_add_str(out, str_slice(line, i, i + step));
        i += step;
    }
}

json_t *dialog_parse(struct str line)
{
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    json_t *document = line.length ? json_loadb(line.data, line.length, flags, NULL) : NULL;
    if (!document) {
        struct strbuf quoted = STRBUF_INIT;
        quote_words(&quoted, line);
        document = quoted.length ? json_loadb(quoted.data, quoted.length, flags, NULL) : NULL;
        strbuf_release(&quoted);
    }
    return document;
}

/* A text of the document, cut where it is long, and in the arena. */
static struct str kept_text(const json_t *value, struct arena *arena)
{
    struct str text = str_slice((struct str){json_string_value(value), json_string_length(value)}, 0, TEXT_MAX);
    text.length = str_utf8_prefix(text);
    return (struct str){arena_strndup(arena, text.data, text.length), text.length};
}

static const char *kept_reason(const json_t *value, struct arena *arena, const char *fallback)
{
    struct str text = kept_text(value, arena);
    return text.length && text.data[0] ? text.data : fallback;
}

static struct dialog_answer broken(const char *text)
{
    return (struct dialog_answer){.kind = DIALOG_BROKEN, .text = text};
}

struct verdict dialog_number(const json_t *score, const json_t *reason, struct str extracted, struct arena *arena)
{
    if (json_is_null(score)) {
        return verdict_abstain(kept_reason(reason, arena, "it has no opinion"));
    }
    if (json_is_boolean(score)) {
        return verdict_ok(json_is_true(score), kept_reason(reason, arena, "scored"), extracted);
    }
    if (!json_is_number(score) || !isfinite(json_number_value(score))) {
        return verdict_error("the score is not a finite number");
    }
    return verdict_ok(json_number_value(score), kept_reason(reason, arena, "scored"), extracted);
}

bool dialog_result(const json_t *result, struct verdict *verdict, bool *retryable, struct arena *arena)
{
    const json_t *error = json_object_get(result, "error"), *score = json_object_get(result, "score");
    if (error && !json_is_null(error)) {
        *verdict = verdict_error(kept_reason(error, arena, "it failed without a reason"));
        *retryable = json_is_true(json_object_get(result, "retryable"));
        return true;
    }
    *retryable = false;
    *verdict = dialog_number(score, json_object_get(result, "reason"),
                             kept_text(json_object_get(result, "extracted"), arena), arena);
    return score != NULL;
}

static struct dialog_answer read_scores(const json_t *document, int64_t seq, struct arena *arena)
{
    const json_t *number = json_object_get(document, "seq"), *results = json_object_get(document, "results");
    const json_t *result = json_array_get(results, 0);
    if (!json_is_integer(number) || json_integer_value(number) != seq) {
        return broken(arena_printf(arena, "it answered another request than %" PRId64, seq));
    }
    if (json_array_size(results) != 1) {
        return broken(arena_printf(arena, "it gave %zu results for 1 item", json_array_size(results)));
    }
    const char *id = json_string_value(json_object_get(result, "id"));
    if (!id || strcmp(id, arena_printf(arena, "%" PRId64, seq)) != 0) {
        return broken(arena_printf(arena, "its result is for another item than \"%" PRId64 "\"", seq));
    }
    struct dialog_answer answer = {.kind = DIALOG_SCORED};
    return dialog_result(result, &answer.verdict, &answer.retryable, arena)
               ? answer
               : broken("its result has neither a score nor an error");
}

static struct dialog_answer read_ready(const json_t *document, struct arena *arena)
{
    int64_t protocol = json_integer_value(json_object_get(document, "protocol"));
    if (protocol != DIALOG_PROTOCOL) {
        return broken(arena_printf(arena, "it speaks protocol %" PRId64 ", not %d", protocol, DIALOG_PROTOCOL));
    }
    if (json_is_true(json_object_get(document, "wants_groups"))) {
        return broken("it wants whole groups, and rewards are asked item by item");
    }
    return (struct dialog_answer){.kind = DIALOG_READY};
}

const char *dialog_shown(struct str line, struct arena *arena)
{
    struct strbuf clean = STRBUF_INIT;
    strbuf_add_json(&clean, str_slice(line, 0, SHOWN_MAX));
    const char *text =
        arena_printf(arena, "\"%s%s\"", clean.data ? clean.data : "", line.length > SHOWN_MAX ? "..." : "");
    strbuf_release(&clean);
    return text;
}

struct dialog_answer dialog_read(struct str line, int64_t seq, struct arena *arena)
{
    json_t *document = dialog_parse(line);
    const char *type = json_string_value(json_object_get(document, "type"));
    struct dialog_answer answer;
    if (!document) {
        answer = broken(arena_printf(arena, "its line is no JSON object: %s", dialog_shown(line, arena)));
    } else if (type && strcmp(type, "log") == 0) {
        answer = (struct dialog_answer){.kind = DIALOG_LOG,
                                        .text = kept_reason(json_object_get(document, "msg"), arena, "")};
    } else if (type && strcmp(type, seq < 0 ? "ready" : "scores") == 0) {
        answer = seq < 0 ? read_ready(document, arena) : read_scores(document, seq, arena);
    } else {
        answer = broken(arena_printf(arena, "a line of type \"%s\" was awaited, not %s", seq < 0 ? "ready" : "scores",
                                     dialog_shown(line, arena)));
    }
    json_decref(document);
    return answer;
}

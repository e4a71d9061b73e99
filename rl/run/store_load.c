/* rl/run/store_load.c - reading a run back: the rollouts of an iteration, and going back to a step.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "rl/run/store.h"
#include "rl/run/store_internal.h"

/* ---- rows that are hashed as they are read ---- */

struct rows {
    sqlite3_stmt *query;
    XXH3_state_t *hash;
    int status; /* of the last sqlite3_step */
    int n;      /* read so far */
};

static enum err rows_open(struct rows *rows, struct store *store, const char *sql, int64_t number, XXH3_state_t *hash)
{
    *rows = (struct rows){.hash = hash, .status = SQLITE_OK};
    TRY(store_prepare(store, &rows->query, sql));
    sqlite3_bind_int64(rows->query, 1, number);
    return ERR_NONE;
}

static bool rows_next(struct rows *rows)
{
    rows->status = sqlite3_step(rows->query);
    if (rows->status != SQLITE_ROW) {
        return false;
    }
    for (int i = 0; i < sqlite3_column_count(rows->query); i++) {
        int type = sqlite3_column_type(rows->query, i);
        if (type == SQLITE_INTEGER) {
            store_fold_int(rows->hash, sqlite3_column_int64(rows->query, i));
        } else if (type == SQLITE_FLOAT) {
            store_fold_real(rows->hash, sqlite3_column_double(rows->query, i));
        } else {
            const void *data = sqlite3_column_blob(rows->query, i);
            store_fold(rows->hash, type, data, (size_t)sqlite3_column_bytes(rows->query, i));
        }
    }
    rows->n++;
    return true;
}

/* Whether the file could be read to the last row. */
static bool rows_close(struct rows *rows)
{
    sqlite3_finalize(rows->query);
    return rows->status == SQLITE_DONE;
}

static void *rows_copy(struct rows *rows, int column, struct arena *arena, int *bytes)
{
    const void *data = sqlite3_column_blob(rows->query, column);
    *bytes = sqlite3_column_bytes(rows->query, column);
    char *copy = arena_alloc(arena, (size_t)*bytes + 1);
    if (*bytes) {
        memcpy(copy, data, (size_t)*bytes);
    }
    return copy;
}

static struct str rows_text(struct rows *rows, int column, struct arena *arena)
{
    int bytes;
    const char *text = rows_copy(rows, column, arena, &bytes);
    return (struct str){text, (size_t)bytes};
}

/* ---- the rollouts of an iteration ---- */

static enum err store_damaged(const struct store *store, int64_t number, const char *what)
{
    return err_set(ERR_STATE, "%s: the rollouts of iteration %lld %s", store->path, (long long)number, what);
}

static bool are_tokens(const int32_t *tokens, int bytes, int V)
{
    bool valid = bytes % 4 == 0;
    for (int i = 0; valid && i < bytes / 4; i++) {
        valid = tokens[i] >= 0 && tokens[i] < V;
    }
    return valid;
}

static bool are_finite(const float *numbers, int n)
{
    bool valid = true;
    for (int i = 0; valid && i < n; i++) {
        valid = isfinite(numbers[i]);
    }
    return valid;
}

static bool read_prompt(struct rows *rows, struct iteration *it, int V)
{
    struct prompt *p = &it->prompts[rows->n - 1];
    int bytes;
    p->index = sqlite3_column_int64(rows->query, 2);
    p->text = rows_text(rows, 3, &it->arena);
    p->tokens = rows_copy(rows, 5, &it->arena, &bytes);
    p->n_tokens = bytes / 4;
    return json_parse(&p->fields, rows_text(rows, 4, &it->arena), "run.db") == ERR_NONE && bytes > 0 &&
           sqlite3_column_int64(rows->query, 1) == rows->n - 1 && are_tokens(p->tokens, bytes, V);
}

static bool read_sample(struct rows *rows, struct iteration *it, int V)
{
    int i = rows->n - 1, bytes, numbers[3];
    sqlite3_stmt *row = rows->query;
    struct sample *s = &it->samples[i];
    struct completion *c = &it->groups[i / it->G].completions[i % it->G];
    c->text = rows_text(rows, 3, &it->arena);
    c->tokens = rows_copy(rows, 4, &it->arena, &bytes);
    c->n_tokens = bytes / 4;
    c->logprob = rows_copy(rows, 5, &it->arena, &numbers[0]);
    c->lse = rows_copy(rows, 6, &it->arena, &numbers[1]);
    c->entropy = rows_copy(rows, 7, &it->arena, &numbers[2]);
    c->finish = (enum finish_reason)sqlite3_column_int(row, 8);
    *s = (struct sample){.prompt = &it->prompts[i / it->G],
                         .completion = c,
                         .reward = sqlite3_column_double(row, 9),
                         .advantage = sqlite3_column_double(row, 10),
                         .dropped = sqlite3_column_int(row, 11) != 0};
    return sqlite3_column_int64(row, 1) == i / it->G && sqlite3_column_int64(row, 2) == i % it->G &&
           are_tokens(c->tokens, bytes, V) && numbers[0] == bytes && numbers[1] == bytes && numbers[2] == bytes &&
           are_finite(c->logprob, c->n_tokens) && are_finite(c->lse, c->n_tokens) &&
           are_finite(c->entropy, c->n_tokens) && isfinite(s->reward) && isfinite(s->advantage);
}

static const char *const damaged = "are not as they were written: run.db is damaged";
static const char *const not_numbers = "hold what is no token or no number: run.db is damaged";

static enum err read_prompts(struct store *store, struct iteration *it, int V, XXH3_state_t *hash)
{
    struct rows rows;
    bool valid = true;
    TRY(rows_open(&rows, store, "SELECT * FROM prompts WHERE iteration = ? ORDER BY prompt", it->number, hash));
    while (valid && rows_next(&rows)) {
        valid = rows.n <= it->n_prompts && read_prompt(&rows, it, V);
    }
    valid = rows_close(&rows) && valid && rows.n == it->n_prompts;
    return valid ? ERR_NONE : store_damaged(store, it->number, not_numbers);
}

static enum err read_samples(struct store *store, struct iteration *it, int V, XXH3_state_t *hash)
{
    struct rows rows;
    bool valid = true;
    TRY(rows_open(&rows, store, "SELECT * FROM completions WHERE iteration = ? ORDER BY prompt, sample", it->number,
                  hash));
    while (valid && rows_next(&rows)) {
        valid = rows.n <= it->n_samples && read_sample(&rows, it, V);
    }
    valid = rows_close(&rows) && valid && rows.n == it->n_samples;
    return valid ? ERR_NONE : store_damaged(store, it->number, not_numbers);
}

/* Rows that are not there are none: nothing is replayed. Whether they are experts of a model, the reader asks
 * (rl/balance.h). */
static bool read_route(struct rows *rows, struct iteration *it)
{
    int i = rows->n - 1, prompt = i / (it->G + 1), sample = i % (it->G + 1) - 1, bytes;
    const uint8_t *experts = rows_copy(rows, 3, &it->arena, &bytes);
    struct group *group = &it->groups[prompt];
    for (int k = 0; k < it->G && sample < 0; k++) {
        group->completions[k].prompt_experts = experts;
        group->completions[k].prompt_bytes = bytes;
        group->completions[k].expert_bytes = bytes / it->prompts[prompt].n_tokens;
    }
    bool whole = true;
    if (sample >= 0) {
        struct completion *c = &group->completions[sample];
        c->experts = experts;
        whole = bytes == (c->n_tokens > 0 ? (c->n_tokens - 1) * c->expert_bytes : 0);
    }
    return whole && sqlite3_column_int64(rows->query, 1) == prompt && sqlite3_column_int64(rows->query, 2) == sample;
}

static enum err read_routes(struct store *store, struct iteration *it, XXH3_state_t *hash)
{
    struct rows rows;
    bool valid = true;
    int n = it->n_prompts * (it->G + 1);
    TRY(rows_open(&rows, store, "SELECT * FROM routes WHERE iteration = ? ORDER BY prompt, sample", it->number, hash));
    while (valid && rows_next(&rows)) {
        valid = rows.n <= n && read_route(&rows, it);
    }
    valid = rows_close(&rows) && valid && (rows.n == 0 || rows.n == n);
    return valid ? ERR_NONE : store_damaged(store, it->number, damaged);
}

static enum err read_parts(struct store *store, struct iteration *it, XXH3_state_t *hash)
{
    struct rows rows;
    TRY(rows_open(&rows, store,
                  "SELECT iteration, prompt, sample, part, label, verdict, score, reason, extracted FROM rewards"
                  " WHERE iteration = ? ORDER BY prompt, sample, part",
                  it->number, hash));
    while (rows_next(&rows)) {
    }
    return rows_close(&rows) ? ERR_NONE : store_damaged(store, it->number, damaged);
}

static enum err read_rows(struct store *store, struct iteration *it, int V, XXH3_state_t *hash)
{
    TRY(read_prompts(store, it, V, hash));
    TRY(read_samples(store, it, V, hash));
    TRY(read_routes(store, it, hash));
    return read_parts(store, it, hash);
}

static enum err load_shape(struct store *store, int64_t number, struct arena *arena, struct store_shape *out,
                           char hash[17])
{
    sqlite3_stmt *query;
    TRY(store_prepare(store, &query,
                      "SELECT prompts, completions, steps, keys, xxh3 FROM rollouts WHERE iteration = ?"));
    sqlite3_bind_int64(query, 1, number);
    bool found = sqlite3_step(query) == SQLITE_ROW;
    for (int i = 0; found && i < 5; i++) { /* SQLite would make 4 of 4.5 */
        found = sqlite3_column_type(query, i) == (i < 3 ? SQLITE_INTEGER : SQLITE_TEXT);
    }
    if (found) {
        const char *keys = (const char *)sqlite3_column_text(query, 3);
        const char *text = (const char *)sqlite3_column_text(query, 4);
        *out = (struct store_shape){.n_prompts = sqlite3_column_int64(query, 0),
                                    .G = sqlite3_column_int64(query, 1),
                                    .n_steps = sqlite3_column_int64(query, 2),
                                    .keys = arena_strdup(arena, keys ? keys : "")};
        snprintf(hash, 17, "%s", text ? text : "");
    }
    sqlite3_finalize(query);
    return found ? ERR_NONE : store_damaged(store, number, "are not in it");
}

enum err store_load_shape(struct store *store, int64_t number, struct arena *arena, struct store_shape *out)
{
    char hash[17];
    return load_shape(store, number, arena, out, hash);
}

static void make_room(struct iteration *it)
{
    it->n_samples = it->n_prompts * it->G;
    it->prompts = ARENA_NEW(&it->arena, struct prompt, it->n_prompts);
    it->groups = ARENA_NEW(&it->arena, struct group, it->n_prompts);
    it->samples = ARENA_NEW(&it->arena, struct sample, it->n_samples);
    for (int p = 0; p < it->n_prompts; p++) {
        it->groups[p].completions = ARENA_NEW(&it->arena, struct completion, it->G);
        it->groups[p].n_completions = it->G;
    }
}

enum err store_load_rollout(struct store *store, struct iteration *it, int V)
{
    struct store_shape shape;
    char want[17], is[17];
    TRY(load_shape(store, it->number, &it->arena, &shape, want));
    if (shape.n_prompts != it->n_prompts || shape.G != it->G || shape.n_steps != it->n_steps) {
        return store_damaged(store, it->number, "are of another shape");
    }
    make_room(it);
    XXH3_state_t *hash = XXH3_createState();
    BUG_ON(!hash);
    XXH3_64bits_reset(hash);
    enum err result = read_rows(store, it, V, hash);
    store_fold_shape(hash, &shape);
    store_fold_end(hash, is);
    TRY(result);
    return strcmp(want, is) == 0 ? ERR_NONE : store_damaged(store, it->number, damaged);
}

/* ---- going back ---- */

enum err store_has_eval(struct store *store, int64_t step, bool *out)
{
    sqlite3_stmt *query;
    TRY(store_prepare(store, &query, "SELECT 1 FROM evals WHERE step = ? LIMIT 1"));
    sqlite3_bind_int64(query, 1, step);
    *out = sqlite3_step(query) == SQLITE_ROW;
    sqlite3_finalize(query);
    return ERR_NONE;
}

enum err store_count_steps(struct store *store, int64_t step, int64_t *last, int64_t *missing)
{
    sqlite3_stmt *query;
    TRY(store_prepare(store, &query, "SELECT max(step), sum(step <= ?1) FROM steps WHERE step > 0"));
    sqlite3_bind_int64(query, 1, step);
    bool read = sqlite3_step(query) == SQLITE_ROW;
    *last = sqlite3_column_int64(query, 0);
    *missing = step - sqlite3_column_int64(query, 1);
    sqlite3_finalize(query);
    return read ? ERR_NONE : err_set(ERR_IO, "%s: cannot read: %s", store->path, sqlite3_errmsg(store->db));
}

/* ---- metrics.jsonl, written again ---- */

/* A line; its text is in `text` of struct lines. The evaluation after a step comes after the step's own line. */
struct line {
    int64_t key; /* 2 x step, and 1 for an evaluation */
    size_t from, to;
};

struct lines {
    struct strbuf text;
    struct line *items;
    int n;
};

static void lines_add(struct lines *lines, int64_t key, size_t from)
{
    lines->items = mem_grow(lines->items, (size_t)(lines->n + 1) * sizeof *lines->items);
    int i = lines->n++;
    for (; i > 0 && lines->items[i - 1].key > key; i--) { /* nearly always in order */
        lines->items[i] = lines->items[i - 1];
    }
    lines->items[i] = (struct line){key, from, lines->text.length};
}

static void lines_release(struct lines *lines)
{
    strbuf_release(&lines->text);
    free(lines->items);
}

/* What run.db has in a table: of steps, or (is_eval) of evaluations. */
static enum err read_metrics(struct store *store, bool is_eval, struct lines *lines)
{
    sqlite3_stmt *query;
    TRY(store_prepare(store, &query,
                      is_eval ? "SELECT step, name, value FROM evals ORDER BY step, i"
                              : "SELECT step, name, value FROM metrics ORDER BY step, i"));
    struct metrics *metrics = mem_zero(sizeof *metrics);
    int64_t step = -1;
    for (bool more = true; more;) {
        more = sqlite3_step(query) == SQLITE_ROW;
        int64_t row_step = more ? sqlite3_column_int64(query, 0) : step + 1;
        if (row_step != step && metrics->n) {
            size_t from = lines->text.length;
            metrics_to_json(metrics, step, &lines->text);
            lines_add(lines, 2 * step + is_eval, from);
            metrics_clear(metrics);
        }
        step = row_step;
        const char *name = more ? (const char *)sqlite3_column_text(query, 1) : NULL;
        if (name && metrics->n < METRICS_MAX) {
            bool null = sqlite3_column_type(query, 2) == SQLITE_NULL;
            metrics_set(metrics, null ? (double)NAN : sqlite3_column_double(query, 2), "%s", name);
        }
    }
    sqlite3_finalize(query);
    free(metrics);
    return ERR_NONE;
}

static bool has_line(const struct lines *lines, int64_t key)
{
    int low = 0, high = lines->n;
    while (low < high) {
        int middle = (low + high) / 2;
        if (lines->items[middle].key < key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < lines->n && lines->items[low].key == key;
}

/* The key of a line of metrics.jsonl; -1 if it is none, as a line that a crash tore. */
static int64_t key_of(struct str line)
{
    json_t *document;
    int64_t key = -1;
    if (json_parse(&document, line, "metrics.jsonl") == ERR_NONE) {
        const json_t *step = json_object_get(document, "step");
        bool is_eval = json_object_get(document, "eval/unjudged") != NULL;
        key = json_is_integer(step) && json_integer_value(step) >= 0 ? 2 * json_integer_value(step) + is_eval : -1;
        json_decref(document);
    }
    return key;
}

/* Lines of the file for steps that run.db does not have. */
static enum err read_other_lines(struct store *store, const struct lines *in_db, struct lines *others)
{
    struct strbuf text = STRBUF_INIT;
    enum err result =
        file_exists(store->metrics_path) ? file_read(&text, store->metrics_path, (size_t)1 << 32) : ERR_NONE;
    for (size_t at = 0, end; result == ERR_NONE && at < text.length; at = end + 1) {
        const char *feed = memchr(text.data + at, '\n', text.length - at);
        end = feed ? (size_t)(feed - text.data) : text.length;
        struct str line = str_slice(strbuf_view(&text), at, end);
        int64_t key = key_of(line);
        if (key >= 0 && !has_line(in_db, key)) {
            size_t from = others->text.length;
            strbuf_add_str(&others->text, line);
            strbuf_putc(&others->text, '\n');
            lines_add(others, key, from);
        }
    }
    strbuf_release(&text);
    return result;
}

/* metrics.jsonl under the first name that is free: metrics-1.jsonl ... */
static enum err set_metrics_aside(struct store *store)
{
    char path[FILE_PATH_BYTES];
    int stem = (int)(strlen(store->metrics_path) - strlen(".jsonl"));
    for (int i = 1; i < 1000000; i++) {
        int length = snprintf(path, sizeof path, "%.*s-%d.jsonl", stem, store->metrics_path, i);
        if (length > 0 && (size_t)length < sizeof path && !file_exists(path)) {
            log_warning("%s has lines of steps that are done again; it is kept as %s", store->metrics_path, path);
            return file_rename_synced(store->metrics_path, path);
        }
    }
    return err_set(ERR_STATE, "%s: too many files metrics-N.jsonl", store->metrics_path);
}

/* run.db's lines up to `step`, and those that only the file has, in the order of steps. */
static enum err write_metrics(struct store *store, int64_t step, const struct lines *in_db, const struct lines *others)
{
    struct strbuf out = STRBUF_INIT;
    for (int a = 0, b = 0; a < in_db->n || b < others->n;) {
        bool first = b == others->n || (a < in_db->n && in_db->items[a].key < others->items[b].key);
        const struct lines *from = first ? in_db : others;
        const struct line *line = &from->items[first ? a++ : b++];
        if (line->key / 2 <= step) {
            strbuf_add(&out, from->text.data + line->from, line->to - line->from);
        }
    }
    enum err result = file_write_atomic(store->metrics_path, out.data ? out.data : "", out.length);
    strbuf_release(&out);
    return result;
}

static enum err merge_metrics(struct store *store, int64_t step, struct lines *in_db, struct lines *others)
{
    TRY(read_metrics(store, false, in_db));
    TRY(read_metrics(store, true, in_db));
    TRY(read_other_lines(store, in_db, others));
    if (others->n > 0 && others->items[others->n - 1].key / 2 > step) {
        TRY(set_metrics_aside(store));
    }
    return write_metrics(store, step, in_db, others);
}

/* Writes what metrics.jsonl will hold; to be called before run.db forgets the later steps. */
static enum err store_rewrite_metrics(struct store *store, int64_t step)
{
    struct lines in_db = {0}, others = {0};
    enum err result = merge_metrics(store, step, &in_db, &others);
    lines_release(&in_db);
    lines_release(&others);
    return result;
}

enum err store_rewind(struct store *store, int64_t step, int64_t iteration)
{
    char sql[1024];
    snprintf(sql, sizeof sql,
             "DELETE FROM steps WHERE step > %lld; DELETE FROM metrics WHERE step > %lld;"
             "DELETE FROM evals WHERE step > %lld; DELETE FROM eval_completions WHERE step > %lld;"
             "DELETE FROM prompts WHERE iteration >= %lld; DELETE FROM completions WHERE iteration >= %lld;"
             "DELETE FROM rewards WHERE iteration >= %lld; DELETE FROM rollouts WHERE iteration >= %lld;"
             "DELETE FROM routes WHERE iteration >= %lld;",
             (long long)step, (long long)step, (long long)step, (long long)step, (long long)iteration,
             (long long)iteration, (long long)iteration, (long long)iteration, (long long)iteration);
    TRY(store_rewrite_metrics(store, step));
    TRY(store_begin(store));
    return store_end(store, store_exec(store, sql));
}

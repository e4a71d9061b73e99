/* rl/run/store_load.c - reading a run back: the rollouts of an iteration, and going back to a step.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "rl/run/store.h"
#include "rl/run/store_internal.h"

static void *store_column(sqlite3_stmt *row, int column, struct arena *arena, int *bytes)
{
    *bytes = sqlite3_column_bytes(row, column);
    const void *data = sqlite3_column_blob(row, column);
    char *copy = arena_alloc(arena, (size_t)*bytes + 1);
    if (*bytes) {
        memcpy(copy, data, (size_t)*bytes);
    }
    return copy;
}

static struct str store_text(sqlite3_stmt *row, int column, struct arena *arena)
{
    int bytes;
    const char *text = store_column(row, column, arena, &bytes);
    return (struct str){text, (size_t)bytes};
}

static enum err store_read_prompts(struct store *store, struct iteration *it, int *n)
{
    sqlite3_stmt *query;
    TRY(store_prepare(store, &query,
                      "SELECT data_index, text, fields, tokens FROM prompts WHERE iteration = ? ORDER BY prompt"));
    sqlite3_bind_int64(query, 1, it->number);
    enum err result = ERR_NONE;
    for (*n = 0; result == ERR_NONE && *n < it->n_prompts && sqlite3_step(query) == SQLITE_ROW; ++*n) {
        struct prompt *p = &it->prompts[*n];
        int bytes;
        p->index = sqlite3_column_int64(query, 0);
        p->text = store_text(query, 1, &it->arena);
        result = json_parse(&p->fields, store_text(query, 2, &it->arena), "run.db");
        p->tokens = store_column(query, 3, &it->arena, &bytes);
        p->n_tokens = bytes / 4;
    }
    sqlite3_finalize(query);
    return result;
}

static enum err store_read_samples(struct store *store, struct iteration *it, int *n)
{
    sqlite3_stmt *query;
    TRY(store_prepare(store, &query,
                      "SELECT text, tokens, logprob, lse, entropy, finish, reward, advantage, dropped FROM completions"
                      " WHERE iteration = ? ORDER BY prompt, sample"));
    sqlite3_bind_int64(query, 1, it->number);
    for (*n = 0; *n < it->n_samples && sqlite3_step(query) == SQLITE_ROW; ++*n) {
        struct sample *s = &it->samples[*n];
        struct completion *c = &it->groups[*n / it->G].completions[*n % it->G];
        int bytes;
        c->text = store_text(query, 0, &it->arena);
        c->tokens = store_column(query, 1, &it->arena, &bytes);
        c->n_tokens = bytes / 4;
        c->logprob = store_column(query, 2, &it->arena, &bytes);
        c->lse = store_column(query, 3, &it->arena, &bytes);
        c->entropy = store_column(query, 4, &it->arena, &bytes);
        c->finish = (enum finish_reason)sqlite3_column_int(query, 5);
        *s = (struct sample){.prompt = &it->prompts[*n / it->G],
                             .completion = c,
                             .reward = sqlite3_column_double(query, 6),
                             .advantage = sqlite3_column_double(query, 7),
                             .dropped = sqlite3_column_int(query, 8) != 0};
    }
    sqlite3_finalize(query);
    return ERR_NONE;
}

enum err store_load_rollout(struct store *store, struct iteration *it, bool *found)
{
    it->n_samples = it->n_prompts * it->G;
    it->prompts = ARENA_NEW(&it->arena, struct prompt, it->n_prompts);
    it->groups = ARENA_NEW(&it->arena, struct group, it->n_prompts);
    it->samples = ARENA_NEW(&it->arena, struct sample, it->n_samples);
    for (int p = 0; p < it->n_prompts; p++) {
        it->groups[p].completions = ARENA_NEW(&it->arena, struct completion, it->G);
        it->groups[p].n_completions = it->G;
    }
    int n_prompts, n_samples;
    TRY(store_read_prompts(store, it, &n_prompts));
    TRY(store_read_samples(store, it, &n_samples));
    *found = n_prompts == it->n_prompts && n_samples == it->n_samples;
    return ERR_NONE;
}

enum err store_has_eval(struct store *store, int64_t step, bool *out)
{
    sqlite3_stmt *query;
    TRY(store_prepare(store, &query, "SELECT 1 FROM evals WHERE step = ? LIMIT 1"));
    sqlite3_bind_int64(query, 1, step);
    *out = sqlite3_step(query) == SQLITE_ROW;
    sqlite3_finalize(query);
    return ERR_NONE;
}

/* metrics.jsonl as run.db has it. */
static enum err store_rewrite_metrics(struct store *store)
{
    sqlite3_stmt *query;
    TRY(store_prepare(store, &query, "SELECT step, name, value FROM metrics ORDER BY step, i"));
    struct strbuf lines = STRBUF_INIT;
    struct metrics *metrics = mem_zero(sizeof *metrics);
    int64_t step = -1;
    while (sqlite3_step(query) == SQLITE_ROW) {
        int64_t row_step = sqlite3_column_int64(query, 0);
        if (row_step != step && metrics->n) {
            metrics_to_json(metrics, step, &lines);
            metrics_clear(metrics);
        }
        step = row_step;
        bool null = sqlite3_column_type(query, 2) == SQLITE_NULL;
        metrics_set(metrics, null ? (double)__builtin_nan("") : sqlite3_column_double(query, 2), "%s",
                    (const char *)sqlite3_column_text(query, 1));
    }
    if (metrics->n) {
        metrics_to_json(metrics, step, &lines);
    }
    sqlite3_finalize(query);
    enum err result = file_write_atomic(store->metrics_path, lines.data ? lines.data : "", lines.length);
    strbuf_release(&lines);
    free(metrics);
    return result;
}

enum err store_rewind(struct store *store, int64_t step, int64_t iteration)
{
    char sql[1024];
    snprintf(sql, sizeof sql,
             "DELETE FROM steps WHERE step > %lld; DELETE FROM metrics WHERE step > %lld;"
             "DELETE FROM evals WHERE step > %lld; DELETE FROM eval_completions WHERE step > %lld;"
             "DELETE FROM prompts WHERE iteration >= %lld; DELETE FROM completions WHERE iteration >= %lld;"
             "DELETE FROM rewards WHERE iteration >= %lld;",
             (long long)step, (long long)step, (long long)step, (long long)step, (long long)iteration,
             (long long)iteration, (long long)iteration);
    TRY(store_begin(store));
    TRY(store_end(store, store_exec(store, sql)));
    return store_rewrite_metrics(store);
}

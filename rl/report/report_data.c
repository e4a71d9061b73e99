/* rl/report/report_data.c - curves and facts of a run as JSON.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/report/report_data.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "rl/method.h"
#include "rl/recipe/recipe.h"
#include "rl/run/runs.h"

#define MAX_SERIES 512

const struct report_limits report_limits = {
    .points = 1000, .completions = 2000, .bytes = (size_t)6 << 20, .text_bytes = (size_t)24 << 10};

/* ---- queries and JSON ---- */

static enum err report_fail(sqlite3 *db)
{
    const char *path = sqlite3_db_filename(db, "main");
    return err_set(ERR_IO, "%s: cannot read: %s", path ? path : "run.db", sqlite3_errmsg(db));
}

enum err report_prepare(sqlite3 *db, sqlite3_stmt **query, const char *sql)
{
    return sqlite3_prepare_v2(db, sql, -1, query, NULL) == SQLITE_OK ? ERR_NONE : report_fail(db);
}

enum err report_finish(sqlite3 *db, sqlite3_stmt *query, int last_step)
{
    enum err result = last_step == SQLITE_DONE || last_step == SQLITE_ROW ? ERR_NONE : report_fail(db);
    sqlite3_finalize(query);
    return result;
}

void report_add_text(struct strbuf *out, struct str text)
{
    strbuf_putc(out, '"');
    strbuf_add_json(out, text);
    strbuf_putc(out, '"');
}

void report_add_number(struct strbuf *out, double value)
{
    if (isfinite(value)) {
        strbuf_printf(out, "%.6g", value);
    } else {
        strbuf_puts(out, "null");
    }
}

struct str report_column(sqlite3_stmt *query, int column)
{
    const void *data = sqlite3_column_blob(query, column);
    return (struct str){data, (size_t)sqlite3_column_bytes(query, column)};
}

void report_add_column(struct strbuf *out, sqlite3_stmt *query, int column)
{
    bool null = sqlite3_column_type(query, column) == SQLITE_NULL;
    report_add_number(out, null ? (double)NAN : sqlite3_column_double(query, column));
}

/* A member: comma, name, colon. */
static void add_name(struct strbuf *out, const char *name)
{
    strbuf_printf(out, ",\n\"%s\":", name);
}

/* ---- curves ---- */

/* A table (step, i, name, value), its steps put into n_points of equal size. */
struct curves {
    struct arena arena;
    int64_t *steps;
    int n_steps, per_point, n_points, n_series;
    struct curve {
        char *name;
        double *sum;
        int *n;
    } series[MAX_SERIES];
};

static enum err read_steps(sqlite3 *db, const char *table, int max_points, struct curves *c)
{
    sqlite3_stmt *query;
    TRY(report_prepare(db, &query, arena_printf(&c->arena, "SELECT count(DISTINCT step) FROM %s", table)));
    int last = sqlite3_step(query), n = last == SQLITE_ROW ? sqlite3_column_int(query, 0) : 0;
    TRY(report_finish(db, query, last));
    c->steps = ARENA_NEW(&c->arena, int64_t, n + 1);
    TRY(report_prepare(db, &query, arena_printf(&c->arena, "SELECT DISTINCT step FROM %s ORDER BY step", table)));
    while ((last = sqlite3_step(query)) == SQLITE_ROW && c->n_steps < n) {
        c->steps[c->n_steps++] = sqlite3_column_int64(query, 0);
    }
    c->per_point = n > max_points ? (n + max_points - 1) / max_points : 1;
    c->n_points = (c->n_steps + c->per_point - 1) / c->per_point;
    return report_finish(db, query, last);
}

/* Names mostly come in the order of the step before, so the search begins after the last one found. */
static struct curve *find_curve(struct curves *c, const char *name, int *hint)
{
    for (int k = 1; k <= c->n_series; k++) {
        int i = (*hint + k) % c->n_series;
        if (strcmp(c->series[i].name, name) == 0) {
            *hint = i;
            return &c->series[i];
        }
    }
    if (c->n_series == MAX_SERIES) {
        return NULL;
    }
    *hint = c->n_series;
    struct curve *curve = &c->series[c->n_series++];
    curve->name = arena_strdup(&c->arena, name);
    curve->sum = ARENA_NEW(&c->arena, double, c->n_points);
    curve->n = ARENA_NEW(&c->arena, int, c->n_points);
    return curve;
}

static enum err read_curves(sqlite3 *db, const char *table, struct curves *c)
{
    sqlite3_stmt *query;
    const char *sql = arena_printf(&c->arena, "SELECT step, name, value FROM %s ORDER BY step, i", table);
    TRY(report_prepare(db, &query, sql));
    int last, hint = 0, at = 0;
    while ((last = sqlite3_step(query)) == SQLITE_ROW) {
        while (at < c->n_steps && c->steps[at] < sqlite3_column_int64(query, 0)) {
            at++;
        }
        const char *name = (const char *)sqlite3_column_text(query, 1);
        struct curve *curve = name && at < c->n_steps ? find_curve(c, name, &hint) : NULL;
        if (curve && sqlite3_column_type(query, 2) != SQLITE_NULL) {
            curve->sum[at / c->per_point] += sqlite3_column_double(query, 2);
            curve->n[at / c->per_point]++;
        }
    }
    return report_finish(db, query, last);
}

static void write_curves(const struct curves *c, struct strbuf *out)
{
    strbuf_printf(out, "{\"steps_per_point\":%d,\"steps\":[", c->per_point);
    for (int i = 0; i < c->n_points; i++) {
        int end = (i + 1) * c->per_point;
        strbuf_printf(out, "%s%lld", i ? "," : "", (long long)c->steps[(end < c->n_steps ? end : c->n_steps) - 1]);
    }
    strbuf_puts(out, "],\"series\":[");
    for (int s = 0; s < c->n_series; s++) {
        strbuf_puts(out, s ? ",\n[" : "\n[");
        report_add_text(out, str_of(c->series[s].name));
        strbuf_puts(out, ",[");
        for (int i = 0; i < c->n_points; i++) {
            strbuf_puts(out, i ? "," : "");
            report_add_number(out, c->series[s].n[i] ? c->series[s].sum[i] / c->series[s].n[i] : (double)NAN);
        }
        strbuf_puts(out, "]]");
    }
    strbuf_puts(out, "]}");
}

static enum err add_curves(sqlite3 *db, const char *member, const char *table, int max_points, struct strbuf *out)
{
    struct curves *c = mem_zero(sizeof *c);
    enum err result = read_steps(db, table, max_points, c);
    if (result == ERR_NONE) {
        result = read_curves(db, table, c);
    }
    if (result == ERR_NONE) {
        add_name(out, member);
        write_curves(c, out);
    }
    arena_release(&c->arena);
    free(c);
    return result;
}

static enum err add_totals(sqlite3 *db, struct strbuf *out)
{
    sqlite3_stmt *query;
    TRY(report_prepare(db, &query,
                       "SELECT (SELECT count(*) FROM steps),"
                       " (SELECT total(value) FROM metrics WHERE name = 'step_time'),"
                       " (SELECT total(value) FROM metrics WHERE name = 'sampling/bits_compared'),"
                       " (SELECT total(value) FROM metrics WHERE name = 'sampling/bits_different')"));
    int last = sqlite3_step(query);
    add_name(out, "steps");
    strbuf_printf(out, "%lld", (long long)sqlite3_column_int64(query, 0));
    add_name(out, "totals");
    strbuf_puts(out, "{\"step_time\":");
    report_add_column(out, query, 1);
    strbuf_printf(out, ",\"bits_compared\":%.0f,\"bits_different\":%.0f}", sqlite3_column_double(query, 2),
                  sqlite3_column_double(query, 3));
    return report_finish(db, query, last);
}

/* ---- the recipe ---- */

static enum err read_meta(sqlite3 *db, const char *key, struct strbuf *out)
{
    sqlite3_stmt *query;
    TRY(report_prepare(db, &query, "SELECT value FROM meta WHERE key = ?"));
    sqlite3_bind_text(query, 1, key, -1, SQLITE_STATIC);
    int last = sqlite3_step(query);
    if (last == SQLITE_ROW) {
        strbuf_add_str(out, report_column(query, 0));
    }
    return report_finish(db, query, last);
}

static void add_member(struct strbuf *out, const char *name, struct str text)
{
    add_name(out, name);
    report_add_text(out, text);
}

/* "grpo of recipes/tiny/base on countdown:split=rl" and the keys that say most; the text may come from another
 * version. */
static void describe(struct recipe *r, struct strbuf *subtitle, struct strbuf *changes)
{
    const char *of = run_path_from_here(r->model.model_name_or_path), *on = run_path_from_here(r->data.dataset_name);
    strbuf_printf(subtitle, "%s of %s on %s: ", method_of(r)->title, of, on);
    method_of(r)->describe(r, subtitle);
    strbuf_printf(subtitle, ", seed %llu", (unsigned long long)r->run.seed);
    recipe_write_changes(r, changes);
}

/* Keys that got other values while the run was continued: the recipe is that of its last steps. */
static enum err describe_changes(sqlite3 *db, struct strbuf *subtitle)
{
    sqlite3_stmt *query;
    int last;
    TRY(report_prepare(db, &query, "SELECT step, text FROM events WHERE kind = 'recipe' ORDER BY id"));
    for (int n = 0; (last = sqlite3_step(query)) == SQLITE_ROW; n++) {
        strbuf_printf(subtitle, "%s after step %lld: ", n ? ";" : ". Changed",
                      (long long)sqlite3_column_int64(query, 0));
        strbuf_add_str(subtitle, report_column(query, 1));
    }
    return report_finish(db, query, last);
}

static enum err add_recipe(sqlite3 *db, struct strbuf *out)
{
    struct strbuf text = STRBUF_INIT, subtitle = STRBUF_INIT, changes = STRBUF_INIT, command = STRBUF_INIT;
    struct strbuf max_steps = STRBUF_INIT;
    struct recipe recipe;
    enum err result = read_meta(db, "recipe", &text);
    if (result == ERR_NONE) {
        result = read_meta(db, "max_steps", &max_steps);
    }
    if (result == ERR_NONE) {
        result = read_meta(db, "command", &command);
    }
    if (result == ERR_NONE && text.length && recipe_parse(&recipe, strbuf_view(&text), "recipe.yaml") == ERR_NONE) {
        describe(&recipe, &subtitle, &changes);
        recipe_release(&recipe);
    }
    if (result == ERR_NONE) {
        result = describe_changes(db, &subtitle);
    }
    add_member(out, "subtitle", strbuf_view(&subtitle));
    add_member(out, "command", strbuf_view(&command));
    add_member(out, "recipe", strbuf_view(&text));
    add_member(out, "changes", strbuf_view(&changes));
    int64_t steps = 0;
    str_to_int(strbuf_view(&max_steps), &steps);
    add_name(out, "max_steps");
    strbuf_printf(out, "%lld", (long long)steps);
    strbuf_release(&max_steps);
    strbuf_release(&text);
    strbuf_release(&subtitle);
    strbuf_release(&changes);
    strbuf_release(&command);
    return result;
}

static enum err add_events(sqlite3 *db, struct strbuf *out)
{
    enum { MAX_ROWS = 200 };
    sqlite3_stmt *query;
    TRY(report_prepare(db, &query, "SELECT step, kind, text FROM events ORDER BY id DESC LIMIT ?"));
    sqlite3_bind_int(query, 1, MAX_ROWS);
    add_name(out, "events");
    strbuf_putc(out, '[');
    int last;
    for (int n = 0; (last = sqlite3_step(query)) == SQLITE_ROW; n++) {
        strbuf_printf(out, "%s[%lld,", n ? "," : "", (long long)sqlite3_column_int64(query, 0));
        report_add_text(out, report_column(query, 1));
        strbuf_putc(out, ',');
        report_add_text(out, report_column(query, 2));
        strbuf_putc(out, ']');
    }
    strbuf_putc(out, ']');
    return report_finish(db, query, last);
}

/* ---- the whole ---- */

/* The last name of a path: "runs/demo/" is "demo". */
static struct str folder_name(const char *folder)
{
    struct str name = str_of(folder);
    while (name.length > 1 && name.data[name.length - 1] == '/') {
        name.length--;
    }
    ptrdiff_t slash = str_find_last(name, STR("/"));
    return str_slice(name, (size_t)(slash + 1), name.length);
}

static enum err add_all(sqlite3 *db, const char *folder, const struct report_limits *limits, struct strbuf *out)
{
    char now[32];
    clock_format(clock_wall(), now, sizeof now);
    strbuf_puts(out, "{\"version\":1");
    add_member(out, "title", folder_name(folder));
    add_member(out, "folder", str_of(folder));
    add_member(out, "written", str_of(now));
    TRY(add_recipe(db, out));
    TRY(add_totals(db, out));
    TRY(add_curves(db, "metrics", "metrics", limits->points, out));
    TRY(add_curves(db, "evals", "evals", limits->points, out));
    TRY(add_events(db, out));
    TRY(report_completions(db, limits, out));
    strbuf_puts(out, "\n}\n");
    return ERR_NONE;
}

enum err report_data(sqlite3 *db, const char *folder, const struct report_limits *limits, struct strbuf *out)
{
    struct strbuf json = STRBUF_INIT;
    enum err result = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK ? ERR_NONE : report_fail(db);
    if (result == ERR_NONE) { /* one state of the file, even while the run continues */
        result = add_all(db, folder, limits, &json);
        sqlite3_exec(db, "END", NULL, NULL, NULL);
    }
    if (result == ERR_NONE) { /* JSON itself has no "<": all of them are in strings */
        for (size_t i = 0; i < json.length; i++) {
            if (json.data[i] == '<') {
                strbuf_puts(out, "\\u003c");
            } else {
                strbuf_putc(out, json.data[i]);
            }
        }
    }
    strbuf_release(&json);
    return result;
}

/* rl/report.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/report.h"

#include <stdio.h>

#include "rl/progress.h"
#include "rl/store.h"

#define MOST_POINTS 4096

static int read_series(sqlite3 *db, const char *table, const char *name, double *steps, double *values)
{
    char sql[160];
    sqlite3_stmt *query;
    int n = 0;
    snprintf(sql, sizeof sql, "SELECT step, value FROM %s WHERE name = ? AND value IS NOT NULL ORDER BY step", table);
    if (sqlite3_prepare_v2(db, sql, -1, &query, NULL) != SQLITE_OK) {
        return 0;
    }
    sqlite3_bind_text(query, 1, name, -1, SQLITE_STATIC);
    for (; n < MOST_POINTS && sqlite3_step(query) == SQLITE_ROW; n++) {
        steps[n] = sqlite3_column_double(query, 0);
        values[n] = sqlite3_column_double(query, 1);
    }
    sqlite3_finalize(query);
    return n;
}

static void draw_curves(sqlite3 *db)
{
    static const struct {
        const char *table, *name, *title;
    } curves[] = {
        {"evals", "eval/pass@1", "held-out accuracy (pass@1)"},
        {"metrics", "reward", "reward"},
        {"metrics", "completions/mean_length", "completion length, tokens"},
        {"metrics", "aha/all", "reflective words a completion"},
        {"metrics", "loss", "loss"},
    };
    static double steps[MOST_POINTS], values[MOST_POINTS];
    struct strbuf out = STRBUF_INIT;
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
        int n = read_series(db, curves[i].table, curves[i].name, steps, values);
        if (n > 1 && (i < 4 || out.length == 0)) {
            progress_curve(curves[i].title, steps, values, n, 60, 8, &out);
        }
    }
    if (out.length) {
        fputs(out.data, stdout);
    }
    strbuf_release(&out);
}

enum err report_run(const char *folder)
{
    sqlite3 *db;
    TRY(store_open_reader(&db, folder));
    draw_curves(db);
    sqlite3_close(db);
    return ERR_NONE;
}

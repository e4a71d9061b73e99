/* rl/report/report.c - the page and the terminal's curves.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/report/report.h"

#include <stdio.h>

#include "base/file.h"
#include "rl/run/progress.h"
#include "rl/report/report_data.h"
#include "rl/run/store.h"

#ifndef REPORT_CHART_JS /* of the package libjs-chart.js */
#define REPORT_CHART_JS "/usr/share/javascript/chart.js/chart.min.js"
#endif

/* The page's sources are the files themselves. */
#define ASSET(name, path)                                                                                              \
    __asm__(".section .rodata\n"                                                                                       \
            ".global report_" #name "\n"                                                                               \
            ".global report_" #name "_end\n"                                                                           \
            "report_" #name ":\n"                                                                                      \
            ".incbin \"" path "\"\n"                                                                                   \
            "report_" #name "_end:\n"                                                                                  \
            ".text\n");                                                                                                \
    extern const char report_##name[], report_##name##_end[]

ASSET(html, "rl/report/page.html");
ASSET(style, "rl/report/style.css");
ASSET(charts_js, "rl/report/charts.js");
ASSET(completions_js, "rl/report/completions.js");
ASSET(page_js, "rl/report/page.js");
ASSET(chart_js, REPORT_CHART_JS);

#define ASSET_STR(name)                                                                                                \
    ((struct str){report_##name, (size_t)((uintptr_t)report_##name##_end - (uintptr_t)report_##name)})

#define MAX_POINTS 4096

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
    for (; n < MAX_POINTS && sqlite3_step(query) == SQLITE_ROW; n++) {
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
        {"metrics", "aha/all", "reflective words per completion"},
        {"metrics", "loss", "loss"},
    };
    static double steps[MAX_POINTS], values[MAX_POINTS];
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

enum err report_draw(const char *folder)
{
    sqlite3 *db;
    TRY(store_open_reader(&db, folder));
    draw_curves(db);
    sqlite3_close(db);
    return ERR_NONE;
}

/* ", NAME first -> last", in units of 1 / scale; nothing where there are not two values. */
static void add_change(sqlite3 *db, const char *table, const char *name, const char *title, double scale,
                       const char *unit, struct strbuf *out)
{
    static double steps[MAX_POINTS], values[MAX_POINTS];
    int n = read_series(db, table, name, steps, values);
    if (n > 1) {
        strbuf_printf(out, ", %s %.*f -> %.*f%s", title, scale > 1 ? 1 : 2, scale * values[0], scale > 1 ? 1 : 2,
                      scale * values[n - 1], unit);
    }
}

enum err report_sum_up(const char *folder, int64_t n_steps, struct strbuf *out)
{
    sqlite3 *db;
    TRY(store_open_reader(&db, folder));
    strbuf_printf(out, "%lld steps", (long long)n_steps);
    add_change(db, "evals", "eval/pass@1", "held-out pass@1", 100, " %", out);
    add_change(db, "metrics", "reward", "reward", 1, "", out);
    add_change(db, "metrics", "loss", "loss", 1, "", out);
    add_change(db, "metrics", "completions/mean_length", "length", 1, " tokens", out);
    add_change(db, "metrics", "aha/all", "reflective words", 1, "", out);
    sqlite3_close(db);
    return ERR_NONE;
}

/* ---- the page ---- */

/* What replaces {{name}} in page.html. */
static void put_slot(struct str name, struct str title, struct str data, struct strbuf *out)
{
    if (str_equal(name, STR("title"))) {
        strbuf_add_html(out, title);
    } else if (str_equal(name, STR("data"))) {
        strbuf_add_str(out, data);
    } else if (str_equal(name, STR("style"))) {
        strbuf_add_str(out, ASSET_STR(style));
    } else if (str_equal(name, STR("chart"))) {
        strbuf_add_str(out, ASSET_STR(chart_js));
    } else {
        BUG_ON(!str_equal(name, STR("script")));
        strbuf_puts(out, "\"use strict\";\n");
        strbuf_add_str(out, ASSET_STR(charts_js));
        strbuf_add_str(out, ASSET_STR(completions_js));
        strbuf_add_str(out, ASSET_STR(page_js));
    }
}

void report_page(struct str title, struct str data, struct strbuf *out)
{
    struct str page = ASSET_STR(html);
    for (size_t at = 0;;) {
        ptrdiff_t slot = str_find(page, STR("{{"), at);
        if (slot < 0) {
            strbuf_add_str(out, str_slice(page, at, page.length));
            return;
        }
        ptrdiff_t end = str_find(page, STR("}}"), (size_t)slot);
        BUG_ON(end < 0);
        strbuf_add_str(out, str_slice(page, at, (size_t)slot));
        put_slot(str_slice(page, (size_t)slot + 2, (size_t)end), title, data, out);
        at = (size_t)end + 2;
    }
}

static enum err write_page(const char *folder, const char *path, struct str data)
{
    char name[FILE_PATH_BYTES];
    struct strbuf page = STRBUF_INIT, title = STRBUF_INIT;
    strbuf_printf(&title, "%s - strop report", folder);
    report_page(strbuf_view(&title), data, &page);
    enum err result = path ? ERR_NONE : file_join(name, sizeof name, folder, "report.html");
    if (result == ERR_NONE) {
        result = file_write_atomic(path ? path : name, page.data, page.length);
    }
    strbuf_release(&page);
    strbuf_release(&title);
    return result;
}

enum err report_write(const char *folder, const char *path)
{
    sqlite3 *db;
    struct strbuf data = STRBUF_INIT;
    TRY(store_open_reader(&db, folder));
    enum err result = report_data(db, folder, &report_limits, &data);
    sqlite3_close(db);
    if (result == ERR_NONE) {
        result = write_page(folder, path, strbuf_view(&data));
    }
    strbuf_release(&data);
    return result;
}

/* rl/cmd/runs.c - strop runs [FOLDER]: the runs there are, and how far they have come.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/run/runs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "rl/cmd/commands.h"

enum { COLUMNS = 8 };

/* ---- a table for people ---- */

static const char *text_of_age(double wall, struct arena *arena)
{
    double seconds = fmax(0, clock_wall() - wall);
    if (isnan(wall)) {
        return "";
    }
    return seconds < 60      ? arena_printf(arena, "%.0f s", seconds)
           : seconds < 3600  ? arena_printf(arena, "%.0f min", seconds / 60)
           : seconds < 86400 ? arena_printf(arena, "%.1f h", seconds / 3600)
                             : arena_printf(arena, "%.0f days", seconds / 86400);
}

static void make_row(const struct run_summary *run, const char *cells[COLUMNS], struct arena *arena)
{
    for (int i = 0; i < COLUMNS; i++) {
        cells[i] = "";
    }
    cells[0] = run->folder;
    cells[1] = run_state_name(run->state);
    cells[2] = run->max_steps ? arena_printf(arena, "%lld/%lld", (long long)run->steps, (long long)run->max_steps)
                              : arena_printf(arena, "%lld", (long long)run->steps);
    if (run->saved_step < run->steps && run->state != RUN_RUNNING) {
        cells[2] = arena_printf(arena, "%s, %lld saved", cells[2], (long long)run->saved_step);
    }
    if (!isnan(run->reward)) {
        cells[3] = arena_printf(arena, "%.3f", run->reward);
    } else if (!isnan(run->loss)) {
        cells[3] = arena_printf(arena, "loss %.3f", run->loss);
    }
    if (!isnan(run->accuracy)) {
        cells[4] = isnan(run->accuracy_ci95)
                       ? arena_printf(arena, "%.1f %%", 100 * run->accuracy)
                       : arena_printf(arena, "%.1f %% +- %.1f", 100 * run->accuracy, 100 * run->accuracy_ci95);
    }
    cells[5] = text_of_age(run->last_wall, arena);
    cells[6] = run_path_from_here(run->model);
    cells[7] = run->state == RUN_UNREADABLE ? run->problem : run_path_from_here(run->data);
}

static void print_table(const struct run_list *list, struct arena *arena)
{
    static const char *const heads[COLUMNS] = {"run", "state", "steps", "reward", "held-out", "age", "model", "data"};
    const char **cells = ARENA_NEW(arena, const char *, COLUMNS *(list->n + 1));
    size_t widths[COLUMNS] = {0};
    memcpy(cells, heads, sizeof heads);
    for (int i = 0; i < list->n; i++) {
        make_row(&list->items[i], cells + (ptrdiff_t)COLUMNS * (i + 1), arena);
    }
    for (int i = 0; i < COLUMNS * (list->n + 1); i++) {
        size_t width = strlen(cells[i]);
        widths[i % COLUMNS] = width > widths[i % COLUMNS] ? width : widths[i % COLUMNS];
    }
    for (int i = 0; i < COLUMNS * (list->n + 1); i++) {
        bool last = i % COLUMNS == COLUMNS - 1;
        printf("%-*s%s", last ? 0 : (int)widths[i % COLUMNS], cells[i], last ? "\n" : "  ");
    }
}

/* ---- JSON for programs ---- */

static void add_text(struct strbuf *line, const char *name, const char *text)
{
    strbuf_printf(line, ", \"%s\": \"", name);
    strbuf_add_json(line, str_of(text));
    strbuf_putc(line, '"');
}

static void add_number(struct strbuf *line, const char *name, double value)
{
    if (isfinite(value)) {
        strbuf_printf(line, ", \"%s\": %.9g", name, value);
    } else {
        strbuf_printf(line, ", \"%s\": null", name);
    }
}

static void print_json(const struct run_summary *run)
{
    struct strbuf line = STRBUF_INIT;
    strbuf_puts(&line, "{\"run\": \"");
    strbuf_add_json(&line, str_of(run->folder));
    strbuf_putc(&line, '"');
    add_text(&line, "state", run_state_name(run->state));
    add_text(&line, "problem", run->problem);
    add_text(&line, "method", run->method);
    add_text(&line, "model", run->model);
    add_text(&line, "data", run->data);
    add_text(&line, "command", run->command);
    add_number(&line, "steps", (double)run->steps);
    add_number(&line, "saved_step", (double)run->saved_step);
    add_number(&line, "max_steps", run->max_steps ? (double)run->max_steps : (double)NAN);
    add_number(&line, "reward", run->reward);
    add_number(&line, "loss", run->loss);
    add_number(&line, "mean_length", run->length);
    add_number(&line, "pass@1", run->accuracy);
    add_number(&line, "pass@1_ci95", run->accuracy_ci95);
    add_number(&line, "pass@1_step", isnan(run->accuracy) ? run->accuracy : (double)run->accuracy_step);
    add_number(&line, "first_pass@1", run->first_accuracy);
    strbuf_printf(&line, ", \"last_wall\": %.3f}\n", isnan(run->last_wall) ? 0 : run->last_wall);
    fwrite(line.data, 1, line.length, stdout);
    strbuf_release(&line);
}

static enum err runs_command(const struct cmd_args *args)
{
    const char *folder = cmd_positional_count(args) ? cmd_positional(args, 0) : "runs";
    struct arena arena = ARENA_INIT;
    struct run_list list;
    enum err result = run_list(folder, &arena, &list);
    if (result == ERR_NONE && cmd_flag(args, "json")) {
        for (int i = 0; i < list.n; i++) {
            print_json(&list.items[i]);
        }
    } else if (result == ERR_NONE && list.n > 0) {
        print_table(&list, &arena);
    } else if (result == ERR_NONE) {
        printf("no runs in %s\n", folder);
    }
    arena_release(&arena);
    return result;
}

static const struct cmd_option runs_options[] = {
    {"json", CMD_FLAG, NULL, NULL, "print a JSON object per run"},
    {0},
};

const struct command command_runs = {
    .name = "runs",
    .arguments = "[FOLDER] [--json]",
    .summary = "list runs: steps, reward, held-out accuracy, state",
    .details =
        "FOLDER (runs) is searched, four levels deep. The run that did something last comes first. A state is one of\n"
        "running, finished (all steps are done and saved), stopped (the command that began it continues it) and "
        "unreadable.\n",
    .options = runs_options,
    .max_positional = 1,
    .run = runs_command,
};

/* rl/run/runs.c - a few queries on a run.db that is opened for reading, and a test of its lock.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/run/runs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "rl/recipe/recipe.h"
#include "rl/run/store.h"

#define MAX_DEPTH 4

bool run_is_folder(const char *path)
{
    char db[FILE_PATH_BYTES];
    return file_join(db, sizeof db, path, "run.db") == ERR_NONE && file_exists(db);
}

const char *run_path_from_here(const char *path)
{
    char here[FILE_PATH_BYTES];
    size_t length = getcwd(here, sizeof here) ? strlen(here) : 0;
    bool inside = length > 1 && strncmp(path, here, length) == 0 && path[length] == '/' && path[length + 1];
    return inside ? path + length + 1 : path;
}

const char *run_state_name(enum run_state state)
{
    static const char *const names[] = {"running", "finished", "stopped", "unreadable"};
    return names[state];
}

/* ---- one run ---- */

static bool is_locked(const char *folder)
{
    char path[FILE_PATH_BYTES];
    if (file_join(path, sizeof path, folder, "lock") != ERR_NONE) {
        return false;
    }
    int fd;
    if (file_open(&fd, path) != ERR_NONE) {
        return false;
    }
    bool locked = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return locked;
}

/* One value of one row; `key` is bound to ?1. */
static double query_number(sqlite3 *db, const char *sql, const char *key)
{
    sqlite3_stmt *query;
    double value = (double)NAN;
    if (sqlite3_prepare_v2(db, sql, -1, &query, NULL) == SQLITE_OK) {
        sqlite3_bind_text(query, 1, key, -1, SQLITE_STATIC);
        if (sqlite3_step(query) == SQLITE_ROW && sqlite3_column_type(query, 0) != SQLITE_NULL) {
            value = sqlite3_column_double(query, 0);
        }
    }
    sqlite3_finalize(query);
    return value;
}

/* The text in the first row; "" if there is none. `key` may be NULL. */
static const char *query_text(sqlite3 *db, const char *sql, const char *key, struct arena *arena)
{
    sqlite3_stmt *query;
    const char *text = "";
    if (sqlite3_prepare_v2(db, sql, -1, &query, NULL) == SQLITE_OK) {
        if (key) {
            sqlite3_bind_text(query, 1, key, -1, SQLITE_STATIC);
        }
        if (sqlite3_step(query) == SQLITE_ROW && sqlite3_column_text(query, 0)) {
            text = arena_strdup(arena, (const char *)sqlite3_column_text(query, 0));
        }
    }
    sqlite3_finalize(query);
    return text;
}

static const char *query_meta(sqlite3 *db, const char *key, struct arena *arena)
{
    return query_text(db, "SELECT value FROM meta WHERE key = ?", key, arena);
}

/* Metrics of an iteration are stored with its first step only, so the last one may be some steps back. */
static double last_metric(sqlite3 *db, const char *name)
{
    static const char sql[] =
        "SELECT value FROM metrics WHERE name = ? AND value IS NOT NULL ORDER BY step DESC LIMIT 1";
    return query_number(db, sql, name);
}

static void read_recipe(const char *text, struct arena *arena, struct run_summary *out)
{
    struct recipe recipe;
    const char *name = out->recipe_path[0] ? out->recipe_path : "recipe.yaml"; /* its paths are relative to it */
    if (*text && recipe_parse(&recipe, str_of(text), name) == ERR_NONE) {      /* it may be another version's */
        out->method = arena_strdup(arena, recipe_text(&recipe, "method"));
        out->model = arena_strdup(arena, recipe.model.model_name_or_path);
        out->data = arena_strdup(arena, recipe.data.dataset_name);
        out->template_name = arena_strdup(arena, recipe_path(&recipe, recipe.data.template_name));
        out->system_prompt = arena_strdup(arena, recipe.data.system_prompt);
        out->chat_template_kwargs = arena_strdup(arena, recipe.data.chat_template_kwargs);
        out->max_steps = out->max_steps ? out->max_steps : recipe.run.max_steps;
        recipe_release(&recipe);
    }
}

static void read_run(sqlite3 *db, struct arena *arena, struct run_summary *out)
{
    static const char last_eval[] = "SELECT value FROM evals WHERE name = ? ORDER BY step DESC LIMIT 1";
    double steps = query_number(db, "SELECT max(step) FROM steps", "");
    double eval_step = query_number(db, "SELECT max(step) FROM evals", "");
    out->steps = isnan(steps) ? 0 : (int64_t)steps;
    out->accuracy_step = isnan(eval_step) ? 0 : (int64_t)eval_step;
    str_to_int(str_of(query_meta(db, "max_steps", arena)), &out->max_steps);
    out->command = query_meta(db, "command", arena);
    out->recipe_path = query_meta(db, "recipe_path", arena);
    read_recipe(query_meta(db, "recipe", arena), arena, out);
    out->example = query_text(db, "SELECT text FROM prompts ORDER BY iteration, prompt LIMIT 1", NULL, arena);
    out->reward = last_metric(db, "reward");
    out->loss = last_metric(db, "loss");
    out->length = last_metric(db, "completions/mean_length");
    out->accuracy = query_number(db, last_eval, "eval/pass@1");
    out->accuracy_ci95 = query_number(db, last_eval, "eval/pass@1_ci95");
    out->first_accuracy =
        query_number(db, "SELECT value FROM evals WHERE name = ? ORDER BY step LIMIT 1", "eval/pass@1");
    out->first_wall = query_number(db, "SELECT wall FROM steps ORDER BY step LIMIT 1", "");
    out->last_wall = query_number(db, "SELECT wall FROM steps ORDER BY step DESC LIMIT 1", "");
}

/* The step of the newest checkpoint by its name; whether it is whole is not looked at. */
static int64_t newest_checkpoint(const char *folder)
{
    char path[FILE_PATH_BYTES];
    int64_t newest = 0, step;
    DIR *dir = file_join(path, sizeof path, folder, "checkpoints") == ERR_NONE ? opendir(path) : NULL;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        struct str name = str_of(entry->d_name);
        if (str_starts(name, STR("step-")) && str_to_int(str_slice(name, 5, name.length), &step)) {
            newest = step > newest ? step : newest;
        }
    }
    if (dir) {
        closedir(dir);
    }
    return newest;
}

/* When the database was last written, for a run without a step. */
static double file_wall(const char *folder)
{
    char path[FILE_PATH_BYTES];
    struct stat status;
    bool known = file_join(path, sizeof path, folder, "run.db") == ERR_NONE && stat(path, &status) == 0;
    return known ? (double)status.st_mtime : (double)NAN;
}

void run_summarise(const char *folder, struct arena *arena, struct run_summary *out)
{
    const double none = (double)NAN;
    sqlite3 *db;
    *out = (struct run_summary){.folder = arena_strdup(arena, folder),
                                .problem = "",
                                .method = "",
                                .model = "",
                                .data = "",
                                .command = "",
                                .recipe_path = "",
                                .template_name = "",
                                .system_prompt = "",
                                .chat_template_kwargs = "",
                                .example = "",
                                .reward = none,
                                .loss = none,
                                .length = none,
                                .accuracy = none,
                                .accuracy_ci95 = none,
                                .first_accuracy = none,
                                .first_wall = none,
                                .last_wall = none};
    enum err result = store_open_reader(&db, folder);
    if (result == ERR_NONE) {
        if (sqlite3_exec(db, "SELECT 1 FROM meta, steps, metrics, evals LIMIT 1", NULL, NULL, NULL) != SQLITE_OK) {
            result = err_set(ERR_IO, "%s/run.db: cannot read: %s", folder, sqlite3_errmsg(db));
        } else {
            read_run(db, arena, out);
        }
        sqlite3_close(db);
    }
    if (result != ERR_NONE) {
        out->problem = arena_strdup(arena, err_text());
    }
    if (isnan(out->last_wall)) {
        out->last_wall = file_wall(folder);
    }
    out->saved_step = newest_checkpoint(folder);
    bool done = out->max_steps > 0 && out->saved_step >= out->max_steps;
    out->state = is_locked(folder) ? RUN_RUNNING : done ? RUN_FINISHED : RUN_STOPPED;
    if (result != ERR_NONE) {
        out->state = RUN_UNREADABLE;
    }
}

/* ---- the model of one ---- */

const char *run_of(const char *target, struct arena *arena)
{
    const char *above = arena_printf(arena, "%s/../..", target);
    return run_is_folder(target) ? target : run_is_folder(above) ? above : NULL;
}

enum err run_model_path(const char *target, struct arena *arena, const char **out)
{
    if (!run_is_folder(target)) {
        *out = arena_strdup(arena, target);
        return ERR_NONE;
    }
    const char *newest = arena_printf(arena, "%s/checkpoints/latest", target);
    if (!file_exists(newest)) {
        return err_set(ERR_STATE, "the run %s has no checkpoint yet; name a model", target);
    }
    *out = newest;
    return ERR_NONE;
}

/* ---- many ---- */

struct search {
    struct arena *arena;
    struct run_list list;
    int capacity;
};

static void add_run(struct search *search, const char *folder)
{
    struct run_list *list = &search->list;
    if (list->n == search->capacity) {
        int capacity = search->capacity ? 2 * search->capacity : 16;
        struct run_summary *items = ARENA_NEW(search->arena, struct run_summary, capacity);
        if (list->n) {
            memcpy(items, list->items, (size_t)list->n * sizeof *items);
        }
        list->items = items;
        search->capacity = capacity;
    }
    run_summarise(folder, search->arena, &list->items[list->n++]);
}

static void find_runs(struct search *search, const char *folder, int depth)
{
    if (run_is_folder(folder)) {
        add_run(search, folder); /* a run has no runs inside */
        return;
    }
    DIR *dir = depth < MAX_DEPTH ? opendir(folder) : NULL;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char path[FILE_PATH_BYTES];
        struct stat status;
        if (entry->d_name[0] != '.' && file_join(path, sizeof path, folder, entry->d_name) == ERR_NONE &&
            lstat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
            find_runs(search, path, depth + 1);
        }
    }
    if (dir) {
        closedir(dir);
    }
}

static int by_time(const void *a, const void *b)
{
    const struct run_summary *x = a, *y = b;
    double first = isnan(x->last_wall) ? 0 : x->last_wall, second = isnan(y->last_wall) ? 0 : y->last_wall;
    return first != second ? (first < second ? 1 : -1) : strcmp(x->folder, y->folder);
}

enum err run_list(const char *folder, struct arena *arena, struct run_list *out)
{
    if (!file_is_folder(folder)) {
        return err_set(ERR_IO, "%s: there is no such folder", folder);
    }
    struct search search = {.arena = arena};
    find_runs(&search, folder, 0);
    if (search.list.n > 1) {
        qsort(search.list.items, (size_t)search.list.n, sizeof *search.list.items, by_time);
    }
    *out = search.list;
    return ERR_NONE;
}

/* rl/run/store.c - prepared statements, each call one transaction; rows of an iteration are hashed as they are written.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/run/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "rl/run/store.sql.h"
#include "rl/run/store_internal.h"

static enum err store_fail(const struct store *store, const char *what)
{
    if (sqlite3_errcode(store->db) == SQLITE_BUSY) {
        return err_set(ERR_IO,
                       "%s: cannot %s: another program holds it (a backup, a notebook, sqlite3?); close that one and "
                       "run the same command again",
                       store->path, what);
    }
    return err_set(ERR_IO, "%s: cannot %s: %s", store->path, what, sqlite3_errmsg(store->db));
}

enum err store_exec(struct store *store, const char *sql)
{
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK ? ERR_NONE : store_fail(store, "write");
}

enum err store_begin(struct store *store)
{
    if (store->depth == 0) {
        TRY(store_exec(store, "BEGIN IMMEDIATE"));
    }
    store->depth++;
    return ERR_NONE;
}

enum err store_end(struct store *store, enum err result)
{
    if (--store->depth > 0) {
        return result;
    }
    if (result == ERR_NONE) {
        result = store_exec(store, "COMMIT");
    }
    if (result != ERR_NONE) {
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    }
    return result;
}

void store_set_patience(struct store *store, double seconds, bool (*give_up)(void))
{
    store->patience = seconds;
    store->give_up = give_up;
}

/* Called by SQLite while another program holds a lock, for the n-th time; true: try again. */
static int store_wait(void *context, int n)
{
    struct store *store = context;
    double now = clock_seconds();
    if (n == 0) {
        store->waiting_since = now;
        store->said = false;
    }
    double waited = now - store->waiting_since;
    if (waited > store->patience || (store->give_up && store->give_up())) {
        return 0;
    }
    if (waited > 1 && !store->said) {
        store->said = true;
        log_warning("%s is held by another program; waiting for it, at most %.0f seconds", store->path,
                    store->patience);
    }
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    return 1;
}

/* The folder's lock: a file that names its owner; the system lets go of it when the process ends. */
static enum err store_take_lock(struct store *store, const char *folder)
{
    char path[FILE_PATH_BYTES], owner[32] = "";
    TRY(file_join(path, sizeof path, folder, "lock"));
    TRY(file_check_regular(path));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        return err_set(ERR_IO, "cannot create %s: %s", path, strerror(errno));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t n = read(fd, owner, sizeof owner - 1);
        owner[n > 0 ? n : 0] = '\0';
        close(fd);
        return err_set(ERR_STATE,
                       "%s is in use by another run (process %s); choose another output_dir, or stop that one", folder,
                       owner[0] ? owner : "unknown");
    }
    int length = snprintf(owner, sizeof owner, "%ld", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, owner, (size_t)length, 0) != length) {
        close(fd);
        return err_set(ERR_IO, "cannot write %s: %s", path, strerror(errno));
    }
    store->lock = fd;
    return ERR_NONE;
}

/* Temporary files of file_write_atomic that a killed process left; the lock says that no other writes here. */
static void store_remove_litter(const char *folder)
{
    static const char *const names[] = {"metrics.jsonl.tmp", "recipe.yaml.tmp", "report.html.tmp"};
    DIR *listing = opendir(folder);
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
        char path[FILE_PATH_BYTES];
        for (int i = 0; i < 3; i++) {
            if (str_starts(str_of(entry->d_name), str_of(names[i])) &&
                file_join(path, sizeof path, folder, entry->d_name) == ERR_NONE) {
                unlink(path);
            }
        }
    }
    if (listing) {
        closedir(listing);
    }
}

static enum err store_open_db(struct store *store)
{
    TRY(file_check_regular(store->path));
    TRY(file_check_regular(store->metrics_path));
    if (sqlite3_open_v2(store->path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK) {
        return store_fail(store, "open");
    }
    sqlite3_busy_handler(store->db, store_wait, store);
    TRY(store_exec(store, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=OFF;"));
    TRY(store_exec(store, STORE_SCHEMA));
    struct arena scratch = ARENA_INIT;
    const char *version = store_get_meta(store, "schema", &scratch);
    enum err result = ERR_NONE;
    if (!version) {
        result = store_set_meta(store, "schema", STORE_SCHEMA_VERSION);
    } else if (strcmp(version, STORE_SCHEMA_VERSION) != 0) {
        result = err_set(ERR_STATE, "%s: written by another version of strop (schema %s, this one has %s)", store->path,
                         version, STORE_SCHEMA_VERSION);
    }
    arena_release(&scratch);
    return result;
}

/* Takes the folder for this process, then opens its database. */
static enum err store_open_folder(struct store *store, const char *folder)
{
    TRY(file_make_folders(folder));
    TRY(file_join(store->path, sizeof store->path, folder, "run.db"));
    TRY(file_join(store->metrics_path, sizeof store->metrics_path, folder, "metrics.jsonl"));
    TRY(store_take_lock(store, folder));
    store_remove_litter(folder);
    return store_open_db(store);
}

enum err store_open(struct store **out, const char *folder)
{
    struct store *store = mem_zero(sizeof *store);
    store->lock = -1;
    store->patience = STORE_PATIENCE;
    enum err result = store_open_folder(store, folder);
    if (result != ERR_NONE) {
        store_close(store);
        return result;
    }
    *out = store;
    return ERR_NONE;
}

void store_close(struct store *store)
{
    if (!store) {
        return;
    }
    sqlite3_close(store->db);
    if (store->lock >= 0) {
        close(store->lock);
    }
    free(store);
}

enum err store_open_reader(sqlite3 **out, const char *folder)
{
    char path[FILE_PATH_BYTES];
    TRY(file_join(path, sizeof path, folder, "run.db"));
    if (!file_exists(path)) {
        return err_set(ERR_IO, "%s: no run there (run.db is missing)", folder);
    }
    TRY(file_check_regular(path));
    sqlite3 *db;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK) {
        enum err result = err_set(ERR_IO, "%s: cannot open: %s", path, sqlite3_errmsg(db));
        sqlite3_close(db);
        return result;
    }
    sqlite3_busy_timeout(db, 1000);
    *out = db;
    return ERR_NONE;
}

enum err store_prepare(struct store *store, sqlite3_stmt **statement, const char *sql)
{
    return sqlite3_prepare_v2(store->db, sql, -1, statement, NULL) == SQLITE_OK ? ERR_NONE
                                                                                : store_fail(store, "prepare");
}

void store_fold(XXH3_state_t *hash, int type, const void *data, size_t bytes)
{
    uint64_t head[2] = {(uint64_t)type, bytes};
    XXH3_64bits_update(hash, head, sizeof head);
    if (bytes > 0) {
        XXH3_64bits_update(hash, data, bytes);
    }
}

void store_fold_int(XXH3_state_t *hash, int64_t number)
{
    store_fold(hash, SQLITE_INTEGER, &number, sizeof number);
}

void store_fold_real(XXH3_state_t *hash, double number)
{
    number = number == 0 ? 0 : number;
    store_fold(hash, SQLITE_FLOAT, &number, sizeof number);
}

void store_fold_shape(XXH3_state_t *hash, const struct store_shape *shape)
{
    store_fold_int(hash, shape->n_prompts);
    store_fold_int(hash, shape->G);
    store_fold_int(hash, shape->n_steps);
    store_fold(hash, SQLITE_TEXT, shape->keys, strlen(shape->keys));
}

void store_fold_end(XXH3_state_t *hash, char text[17])
{
    snprintf(text, 17, "%016llx", (unsigned long long)XXH3_64bits_digest(hash));
    XXH3_freeState(hash);
}

static void store_bind_int(struct store *store, sqlite3_stmt *statement, int i, int64_t number)
{
    sqlite3_bind_int64(statement, i, number);
    if (store->hash) {
        store_fold_int(store->hash, number);
    }
}

/* Not-a-number is NULL. */
static void store_bind_real(struct store *store, sqlite3_stmt *statement, int i, double number)
{
    if (isnan(number)) {
        sqlite3_bind_null(statement, i);
    } else {
        sqlite3_bind_double(statement, i, number);
    }
    if (store->hash && isnan(number)) {
        store_fold(store->hash, SQLITE_NULL, NULL, 0);
    } else if (store->hash) {
        store_fold_real(store->hash, number);
    }
}

static void store_bind_bytes(struct store *store, sqlite3_stmt *statement, int i, int type, const void *data,
                             size_t bytes)
{
    data = data ? data : "";
    if (type == SQLITE_TEXT) {
        sqlite3_bind_text(statement, i, data, (int)bytes, SQLITE_STATIC);
    } else {
        sqlite3_bind_blob(statement, i, data, (int)bytes, SQLITE_STATIC);
    }
    if (store->hash) {
        store_fold(store->hash, type, data, bytes);
    }
}

/* A completion may end inside a character: TEXT where it is whole UTF-8 without a zero, else a BLOB of its bytes. */
static int store_type_of(struct str text)
{
    bool whole = str_utf8_prefix(text) == text.length && (text.length == 0 || !memchr(text.data, 0, text.length));
    return whole ? SQLITE_TEXT : SQLITE_BLOB;
}

/* Steps a statement once with these values. Types: i int64, d double, s C string, S struct str as text, c struct str
 * of a completion, b blob (pointer, int bytes). */
static enum err store_insert(struct store *store, sqlite3_stmt *statement, const char *types, ...)
{
    va_list args;
    va_start(args, types);
    for (int i = 1; types[i - 1]; i++) {
        struct str text;
        const void *blob;
        switch (types[i - 1]) {
        case 'i': store_bind_int(store, statement, i, va_arg(args, int64_t)); break;
        case 'd': store_bind_real(store, statement, i, va_arg(args, double)); break;
        case 's':
            text = str_of(va_arg(args, const char *));
            store_bind_bytes(store, statement, i, SQLITE_TEXT, text.data, text.length);
            break;
        case 'S':
            text = va_arg(args, struct str);
            store_bind_bytes(store, statement, i, SQLITE_TEXT, text.data, text.length);
            break;
        case 'c':
            text = va_arg(args, struct str);
            store_bind_bytes(store, statement, i, store_type_of(text), text.data, text.length);
            break;
        case 'b':
            blob = va_arg(args, const void *);
            store_bind_bytes(store, statement, i, SQLITE_BLOB, blob, (size_t)va_arg(args, int));
            break;
        default: BUG_ON(true);
        }
    }
    va_end(args);
    enum err result = sqlite3_step(statement) == SQLITE_DONE ? ERR_NONE : store_fail(store, "write");
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return result;
}

enum err store_set_meta(struct store *store, const char *key, const char *value)
{
    sqlite3_stmt *insert;
    TRY(store_prepare(store, &insert, "INSERT OR REPLACE INTO meta VALUES(?, ?)"));
    enum err result = store_insert(store, insert, "ss", key, value);
    sqlite3_finalize(insert);
    return result;
}

const char *store_get_meta(struct store *store, const char *key, struct arena *arena)
{
    sqlite3_stmt *query;
    if (store_prepare(store, &query, "SELECT value FROM meta WHERE key = ?") != ERR_NONE) {
        return NULL;
    }
    sqlite3_bind_text(query, 1, key, -1, SQLITE_STATIC);
    const char *value = NULL;
    if (sqlite3_step(query) == SQLITE_ROW && sqlite3_column_text(query, 0)) {
        value = arena_strdup(arena, (const char *)sqlite3_column_text(query, 0));
    }
    sqlite3_finalize(query);
    return value;
}

static enum err store_write_prompts(struct store *store, const struct iteration *it)
{
    sqlite3_stmt *insert;
    TRY(store_prepare(store, &insert, "INSERT OR REPLACE INTO prompts VALUES(?, ?, ?, ?, ?, ?)"));
    enum err result = ERR_NONE;
    for (int p = 0; p < it->n_prompts && result == ERR_NONE; p++) {
        const struct prompt *prompt = &it->prompts[p];
        char *fields = json_dumps(prompt->fields, JSON_COMPACT | JSON_SORT_KEYS);
        result = store_insert(store, insert, "iiiSsb", it->number, (int64_t)p, prompt->index, prompt->text,
                              fields ? fields : "{}", (const void *)prompt->tokens, 4 * prompt->n_tokens);
        free(fields);
    }
    sqlite3_finalize(insert);
    return result;
}

static enum err store_write_samples(struct store *store, const struct iteration *it)
{
    sqlite3_stmt *insert;
    TRY(store_prepare(store, &insert, "INSERT OR REPLACE INTO completions VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
    enum err result = ERR_NONE;
    for (int i = 0; i < it->n_samples && result == ERR_NONE; i++) {
        const struct sample *s = &it->samples[i];
        const struct completion *c = s->completion;
        int bytes = 4 * c->n_tokens;
        result = store_insert(store, insert, "iiicbbbbiddi", it->number, (int64_t)(i / it->G), (int64_t)(i % it->G),
                              c->text, (const void *)c->tokens, bytes, (const void *)c->logprob, bytes,
                              (const void *)c->lse, bytes, (const void *)c->entropy, bytes, (int64_t)c->finish,
                              s->reward, s->advantage, (int64_t)s->dropped);
    }
    sqlite3_finalize(insert);
    return result;
}

/* A reward's part of a sample; its seconds are not hashed, like all that depends on the clock. */
static enum err store_write_part(struct store *store, sqlite3_stmt *insert, const struct iteration *it, int i, int part,
                                 const char *label)
{
    static const char *const kinds[] = {"ok", "abstain", "error"};
    const struct judgement *judgement = &it->samples[i].judgement;
    const struct verdict *v = &judgement->parts[part];
    sqlite3_bind_double(insert, 10, judgement->seconds[part]);
    return store_insert(store, insert, "iiiissdsS", it->number, (int64_t)(i / it->G), (int64_t)(i % it->G),
                        (int64_t)part, label, kinds[v->kind], v->kind == VERDICT_OK ? v->score : (double)NAN,
                        v->reason ? v->reason : "", v->extracted);
}

static enum err store_write_parts(struct store *store, const struct iteration *it, const struct reward_set *rewards)
{
    sqlite3_stmt *insert;
    TRY(store_prepare(store, &insert, "INSERT OR REPLACE INTO rewards VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
    enum err result = ERR_NONE;
    for (int i = 0; i < it->n_samples && result == ERR_NONE; i++) {
        for (int part = 0; part < reward_set_count(rewards) && result == ERR_NONE; part++) {
            result = store_write_part(store, insert, it, i, part, reward_set_label(rewards, part));
        }
    }
    sqlite3_finalize(insert);
    return result;
}

/* The experts of one prompt (i % (G + 1) == 0) or of a completion of it. */
static enum err store_write_route(struct store *store, sqlite3_stmt *insert, const struct iteration *it, int i)
{
    int prompt = i / (it->G + 1), sample = i % (it->G + 1) - 1;
    const struct completion *c = it->samples[prompt * it->G + (sample < 0 ? 0 : sample)].completion;
    int bytes = sample < 0 ? c->prompt_bytes : c->n_tokens > 0 ? (c->n_tokens - 1) * c->expert_bytes : 0;
    const void *experts = sample < 0 ? c->prompt_experts : c->experts;
    return store_insert(store, insert, "iiib", it->number, (int64_t)prompt, (int64_t)sample, bytes ? experts : "",
                        bytes);
}

static enum err store_write_routes(struct store *store, const struct iteration *it)
{
    sqlite3_stmt *insert;
    if (it->n_samples == 0 || it->samples[0].completion->expert_bytes == 0) {
        return ERR_NONE;
    }
    TRY(store_prepare(store, &insert, "INSERT OR REPLACE INTO routes VALUES(?, ?, ?, ?)"));
    enum err result = ERR_NONE;
    for (int i = 0; i < it->n_prompts * (it->G + 1) && result == ERR_NONE; i++) {
        result = store_write_route(store, insert, it, i);
    }
    sqlite3_finalize(insert);
    return result;
}

static enum err store_write_rows(struct store *store, const struct iteration *it, const struct reward_set *rewards)
{
    TRY(store_write_prompts(store, it));
    TRY(store_write_samples(store, it));
    TRY(store_write_routes(store, it));
    return store_write_parts(store, it, rewards);
}

/* The row that says what the others must be; the hash that they have been added to becomes a part of it. */
static enum err store_write_shape(struct store *store, const struct iteration *it, XXH3_state_t *hash)
{
    char text[17];
    sqlite3_stmt *insert;
    const char *keys = it->keys ? it->keys : "";
    store_fold_shape(hash, &(struct store_shape){it->n_prompts, it->G, it->n_steps, keys});
    store_fold_end(hash, text);
    TRY(store_prepare(store, &insert, "INSERT OR REPLACE INTO rollouts VALUES(?, ?, ?, ?, ?, ?)"));
    enum err result = store_insert(store, insert, "iiiiss", it->number, (int64_t)it->n_prompts, (int64_t)it->G,
                                   (int64_t)it->n_steps, keys, text);
    sqlite3_finalize(insert);
    return result;
}

enum err store_rollout(struct store *store, const struct iteration *it, const struct reward_set *rewards)
{
    TRY(store_begin(store));
    XXH3_state_t *hash = XXH3_createState();
    BUG_ON(!hash);
    XXH3_64bits_reset(hash);
    store->hash = hash;
    enum err result = store_write_rows(store, it, rewards);
    store->hash = NULL;
    if (result == ERR_NONE) {
        result = store_write_shape(store, it, hash);
    } else {
        XXH3_freeState(hash);
    }
    return store_end(store, result);
}

static enum err store_write_metrics(struct store *store, const char *sql, int64_t step, const struct metrics *metrics)
{
    sqlite3_stmt *insert;
    TRY(store_prepare(store, &insert, sql));
    enum err result = ERR_NONE;
    for (int i = 0; i < metrics->n && result == ERR_NONE; i++) {
        result = store_insert(store, insert, "iisd", step, (int64_t)i, metrics->items[i].name, metrics->items[i].value);
    }
    sqlite3_finalize(insert);
    return result;
}

static enum err store_append_metrics(struct store *store, const struct strbuf *lines)
{
    int fd = open(store->metrics_path, O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0666);
    if (fd < 0) {
        return err_set(ERR_IO, "cannot open %s: %s", store->metrics_path, strerror(errno));
    }
    enum err result = file_write_all(fd, lines->data, lines->length, store->metrics_path);
    close(fd);
    return result;
}

static enum err store_write_step(struct store *store, int64_t step, int64_t iteration, const struct metrics *metrics)
{
    sqlite3_stmt *insert;
    TRY(store_begin(store));
    enum err result = store_prepare(store, &insert, "INSERT OR REPLACE INTO steps VALUES(?, ?, ?)");
    if (result == ERR_NONE) {
        result = store_insert(store, insert, "iid", step, iteration, clock_wall());
        sqlite3_finalize(insert);
    }
    if (result == ERR_NONE) {
        result = store_write_metrics(store, "INSERT OR REPLACE INTO metrics VALUES(?, ?, ?, ?)", step, metrics);
    }
    return store_end(store, result);
}

/* The line of metrics.jsonl, whether run.db could be written (`result`) or not. */
static enum err store_append_line(struct store *store, int64_t step, const struct metrics *metrics, enum err result)
{
    char reason[1024];
    struct strbuf line = STRBUF_INIT;
    snprintf(reason, sizeof reason, "%s", err_text());
    metrics_to_json(metrics, step, &line);
    enum err appended = store_append_metrics(store, &line);
    strbuf_release(&line);
    return result != ERR_NONE ? err_set(result, "%s", reason) : appended;
}

enum err store_step(struct store *store, int64_t step, int64_t iteration, const struct metrics *metrics)
{
    return store_append_line(store, step, metrics, store_write_step(store, step, iteration, metrics));
}

enum err store_eval(struct store *store, int64_t step, const struct metrics *metrics)
{
    TRY(store_begin(store));
    enum err result =
        store_end(store, store_write_metrics(store, "INSERT OR REPLACE INTO evals VALUES(?, ?, ?, ?)", step, metrics));
    return store_append_line(store, step, metrics, result);
}

enum err store_eval_completion(struct store *store, int64_t step, int prompt, int sample, struct str question,
                               const struct completion *completion, double score, const char *reason)
{
    sqlite3_stmt *insert;
    TRY(store_prepare(store, &insert, "INSERT OR REPLACE INTO eval_completions VALUES(?, ?, ?, ?, ?, ?, ?, ?)"));
    enum err result = store_insert(store, insert, "iiiScids", step, (int64_t)prompt, (int64_t)sample, question,
                                   completion->text, (int64_t)completion->n_tokens, score, reason ? reason : "");
    sqlite3_finalize(insert);
    return result;
}

enum err store_event(struct store *store, int64_t step, const char *kind, const char *text)
{
    sqlite3_stmt *insert;
    TRY(store_prepare(store, &insert, "INSERT INTO events(step, wall, kind, text) VALUES(?, ?, ?, ?)"));
    enum err result = store_insert(store, insert, "idss", step, clock_wall(), kind, text);
    sqlite3_finalize(insert);
    return result;
}

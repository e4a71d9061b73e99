/* tests/fault/damage.c - rows of run.db and files of checkpoints, damaged at random before a run goes on.
 *
 *   ROWS=1000 RESUMES=40 PAGES=100 FILES=150 SEED=1 build/release/tests/fault/damage
 *
 *   rows      one value, row or pair of rows of an iteration under way is changed in run.db: the rows must not be believed
 *   resumes   the same with a run that goes on: it ends with the straight run's checkpoint and metrics
 *   pages     bytes of the file run.db are changed: the run is refused, or ends with the straight run's weights
 *   files     files of checkpoints are swapped, added, removed, cut, flipped: run.db, metrics.jsonl and the last checkpoint are
 *             those of the straight run
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "rl/run/store_internal.h"
#include "tests/fault/straight.h"

/* ---- rows of run.db ---- */

static const char *const tables[] = {"prompts", "completions", "rewards", "rollouts"};

static int64_t query_int(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *query;
    int64_t number = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &query, NULL) == SQLITE_OK && sqlite3_step(query) == SQLITE_ROW) {
        number = sqlite3_column_int64(query, 0);
    }
    sqlite3_finalize(query);
    return number;
}

static void must_exec(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        printf("%s: %s\n", sql, sqlite3_errmsg(db));
        exit(1);
    }
}

/* All rows of the iteration but what depends on the clock, as one number. */
static uint64_t content(sqlite3 *db, int64_t iteration)
{
    struct strbuf text = STRBUF_INIT;
    char sql[200];
    static const char *const columns[] = {
        "*", "*", "iteration, prompt, sample, part, label, verdict, score, reason, extracted", "*"};
    for (int i = 0; i < 4; i++) {
        snprintf(sql, sizeof sql, "SELECT %s FROM %s WHERE iteration = %lld", columns[i], tables[i],
                 (long long)iteration);
        run_db_rows(db, sql, &text);
    }
    uint64_t hash = XXH3_64bits(text.data, text.length);
    strbuf_release(&text);
    return hash;
}

/* The i-th row of a table's iteration as a condition on its keys. */
static void row_condition(const char *table, int64_t iteration, int i, char *out, size_t capacity)
{
    const char *keys = strcmp(table, "prompts") == 0       ? "prompt"
                       : strcmp(table, "completions") == 0 ? "prompt, sample"
                       : strcmp(table, "rewards") == 0     ? "prompt, sample, part"
                                                           : "iteration";
    snprintf(out, capacity,
             "(iteration, %s) IN (SELECT iteration, %s FROM %s WHERE iteration = %lld LIMIT 1 OFFSET %d)", keys, keys,
             table, (long long)iteration, i);
}

/* Another value for a column: by the kinds that occur. */
static const char *other_value(const char *column)
{
    static char text[200];
    switch (draw(8)) {
    case 0: snprintf(text, sizeof text, "NULL"); break;
    case 1: snprintf(text, sizeof text, "x''"); break;
    case 2: snprintf(text, sizeof text, "%d", draw(2000000) - 1000000); break;
    case 3: snprintf(text, sizeof text, "'nan'"); break;
    case 4: snprintf(text, sizeof text, "9e999"); break;
    case 5: snprintf(text, sizeof text, "substr(%s, 1, length(%s) - %d)", column, column, 1 + draw(4)); break;
    case 6: snprintf(text, sizeof text, "zeroblob(%d)", draw(4) == 0 ? 4000000 : draw(200)); break;
    default: snprintf(text, sizeof text, "%s + 0.5", column); break;
    }
    return text;
}

/* One bit of a value that is text or a blob, or of the last place of a number. */
static void flip_value(sqlite3 *db, const char *table, const char *column, const char *where)
{
    char sql[700];
    sqlite3_stmt *query, *update;
    snprintf(sql, sizeof sql, "SELECT %s FROM %s WHERE %s", column, table, where);
    sqlite3_prepare_v2(db, sql, -1, &query, NULL);
    snprintf(sql, sizeof sql, "UPDATE %s SET %s = ? WHERE %s", table, column, where);
    sqlite3_prepare_v2(db, sql, -1, &update, NULL);
    if (sqlite3_step(query) == SQLITE_ROW) {
        int type = sqlite3_column_type(query, 0), n = sqlite3_column_bytes(query, 0);
        unsigned char *bytes = mem_alloc((size_t)n + 1);
        if (type == SQLITE_FLOAT) {
            sqlite3_bind_double(update, 1, nextafter(sqlite3_column_double(query, 0), 1e9));
        } else if (type == SQLITE_INTEGER) {
            sqlite3_bind_int64(update, 1, sqlite3_column_int64(query, 0) ^ ((sqlite3_int64)1 << draw(8)));
        } else {
            const void *data = sqlite3_column_blob(query, 0);
            if (n > 0) {
                memcpy(bytes, data, (size_t)n);
                bytes[draw(n)] ^= (unsigned char)(1 << draw(8));
            }
            sqlite3_bind_blob(update, 1, bytes, n, SQLITE_TRANSIENT);
        }
        sqlite3_step(update);
        free(bytes);
    }
    sqlite3_finalize(query);
    sqlite3_finalize(update);
}

/* The values of a column of two rows, exchanged. */
static void swap_values(sqlite3 *db, const char *table, const char *column, const char *a, const char *b)
{
    char sql[1500];
    snprintf(sql, sizeof sql,
             "CREATE TEMP TABLE pair AS SELECT (SELECT %s FROM %s WHERE %s) AS a, (SELECT %s FROM %s WHERE %s) AS b;",
             column, table, a, column, table, b);
    sqlite3_exec(db, sql, NULL, NULL, NULL);
    snprintf(sql, sizeof sql, "UPDATE OR IGNORE %s SET %s = (SELECT b FROM pair) WHERE %s;", table, column, a);
    sqlite3_exec(db, sql, NULL, NULL, NULL);
    snprintf(sql, sizeof sql, "UPDATE OR IGNORE %s SET %s = (SELECT a FROM pair) WHERE %s; DROP TABLE pair;", table,
             column, b);
    sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_exec(db, "DROP TABLE IF EXISTS pair", NULL, NULL, NULL);
}

static void column_of(sqlite3 *db, const char *table, char *out, size_t capacity)
{
    char sql[200];
    sqlite3_stmt *query;
    snprintf(sql, sizeof sql,
             "SELECT name FROM pragma_table_info('%s') WHERE name <> 'seconds' ORDER BY random() LIMIT 1", table);
    sqlite3_prepare_v2(db, sql, -1, &query, NULL);
    sqlite3_step(query);
    snprintf(out, capacity, "%s", (const char *)sqlite3_column_text(query, 0));
    sqlite3_finalize(query);
}

/* Changes something of the iteration; what is in damage_text. */
static void damage_once(sqlite3 *db, int64_t iteration)
{
    char column[64], where[400], other[400], sql[1000];
    const char *table = tables[draw(10) == 0 ? 3 : draw(3)];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s WHERE iteration = %lld", table, (long long)iteration);
    int n = (int)query_int(db, sql), kind = draw(6);
    column_of(db, table, column, sizeof column);
    row_condition(table, iteration, draw(n), where, sizeof where);
    row_condition(table, iteration, draw(n), other, sizeof other);
    snprintf(damage_text, sizeof damage_text, "%s of %s.%s",
             (const char *[]){"a bit", "a bit", "a value", "an exchange", "a row removed", "a row doubled"}[kind],
             table, column);
    if (kind <= 1) {
        flip_value(db, table, column, where);
    } else if (kind == 2) {
        snprintf(sql, sizeof sql, "UPDATE OR IGNORE %s SET %s = %s WHERE %s", table, column, other_value(column),
                 where);
        sqlite3_exec(db, sql, NULL, NULL, NULL);
    } else if (kind == 3) {
        swap_values(db, table, column, where, other);
    } else if (kind == 4) {
        snprintf(sql, sizeof sql, "DELETE FROM %s WHERE %s", table, where);
        sqlite3_exec(db, sql, NULL, NULL, NULL);
    } else {
        snprintf(sql, sizeof sql, "UPDATE OR REPLACE %s SET %s = %s WHERE %s", table,
                 strcmp(table, "rollouts") == 0 ? "iteration" : "prompt",
                 strcmp(table, "rollouts") == 0 ? "9"
                 : draw(2)                      ? "0"
                                                : "1",
                 where);
        sqlite3_exec(db, sql, NULL, NULL, NULL);
    }
}

/* Until something is different from what was there. */
static void damage(sqlite3 *db, int64_t iteration)
{
    for (uint64_t before = content(db, iteration); content(db, iteration) == before;) {
        damage_once(db, iteration);
    }
}

/* Whether a run would go on with the rows as they are. */
static bool believed(struct store *store, int64_t iteration)
{
    struct iteration it = {.number = iteration, .n_prompts = 6, .G = 4, .n_steps = 4};
    enum err result = store_load_rollout(store, &it, RUN_VOCABULARY);
    iteration_release(&it);
    return result == ERR_NONE;
}

static void damage_rows(int n)
{
    struct store *store;
    const int64_t iteration = (INSIDE - 1) / 4;
    int n_believed = 0;
    copy_run("inside", "try");
    MUST(store_open(&store, path_of("try")));
    BUG_ON(!believed(store, iteration));
    sqlite3 *db = store->db;
    for (int i = 0; i < n; i++) {
        must_exec(db, "BEGIN");
        damage(db, iteration);
        bool wrong = believed(store, iteration);
        must_exec(db, "ROLLBACK");
        n_believed += wrong;
        report("rows", i, damage_text, wrong ? "the rows are believed" : NULL);
    }
    BUG_ON(!believed(store, iteration));
    store_close(store);
    printf("rows: %d damaged, %d believed\n", n, n_believed);
}

static void damage_and_resume(int n)
{
    int before = n_failed;
    for (int i = 0; i < n; i++) {
        sqlite3 *db;
        copy_run("inside", "try");
        if (sqlite3_open(path_of("try/run.db"), &db) != SQLITE_OK) {
            exit(1);
        }
        damage(db, (INSIDE - 1) / 4);
        sqlite3_close(db);
        report("resumes", i, damage_text, finish_without_db("try"));
    }
    printf("resumes: %d with damaged rows, %d not as the straight run\n", n, n_failed - before);
}

/* ---- bytes of files ---- */

static uint64_t size_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static void change_file(const char *path, int n)
{
    uint64_t size = size_of(path);
    FILE *file = fopen(path, "r+b");
    for (int i = 0; file && size && i < n; i++) {
        long at = (long)rng_below(&rng, (uint32_t)size);
        fseek(file, at, SEEK_SET);
        int byte = fgetc(file);
        fseek(file, at, SEEK_SET);
        fputc(byte ^ (1 << draw(8)), file);
    }
    if (file) {
        fclose(file);
    }
}

static void damage_pages(int n)
{
    int before = n_failed, refused = 0;
    for (int i = 0; i < n; i++) {
        copy_run("inside", "try");
        change_file(path_of("try/run.db"), 1 + draw(20));
        int code = run_on("try");
        const char *problem = code == CHILD_HANGS ? "it hangs" : code > 2 ? "it died" : NULL;
        refused += code == 1 || code == 2;
        if (code == 0) {
            static const char model[] = "checkpoints/step-000012/model.safetensors";
            problem = run_hash_file(path_of("try"), model) != run_hash_file(path_of("straight"), model)
                          ? "the weights differ"
                          : NULL;
        }
        report("pages", i, "bytes of run.db", problem);
    }
    printf("pages: %d files run.db damaged, %d refused, %d wrong\n", n, refused, n_failed - before);
}

static const char *const parts[] = {
    "config.json",      "tokenizer.json",      "model.safetensors", "generation_config.json",
    "state/train.json", "state/optimizer.bin", "MANIFEST.json"};
static const char *const extras[] = {
    "state/weights.bin",       "state/reference.bin",          "generation_config.json",
    "tokenizer_config.json",   "chat_template.jinja",          "state/optimizer_bf16.bin",
    "special_tokens_map.json", "model.safetensors.index.json", "notes.txt"};

/* One thing that can happen to a folder of checkpoints; 4 to 6 are there, and an older one is left whole. */
static void disturb_files(void)
{
    int step = draw(2) ? INSIDE : INSIDE - 1;
    const char *part = parts[draw(7)], *extra = extras[draw(9)];
    const char *file = path_of("try/checkpoints/step-%06d/%s", step, part);
    const char *added = path_of("try/checkpoints/step-%06d/%s", step, extra);
    const char *older = path_of("try/checkpoints/step-%06d/%s", INSIDE - 2, part);
    int kind = draw(8);
    static const char *const kinds[] = {"flipped", "removed",       "cut",     "swapped in",
                                        "added",   "entry removed", "renamed", "zeros"};
    snprintf(damage_text, sizeof damage_text, "step %d, %s %s", step, kind == 4 ? extra : part, kinds[kind]);
    bool there = file_exists(file);
    if (kind == 0 && there) {
        change_file(file, 1);
    } else if (kind == 1) {
        unlink(file);
    } else if (kind == 2 && there) {
        uint64_t size = size_of(file);
        MUST(truncate(file, (off_t)rng_below(&rng, (uint32_t)size)) == 0 ? ERR_NONE : ERR_IO);
    } else if (kind == 3 && there && file_exists(older)) {
        MUST(file_copy(older, file));
    } else if (kind == 4 && !file_exists(added)) {
        const char *model = path_of("try/checkpoints/step-%06d/model.safetensors", INSIDE - 2);
        MUST(strstr(extra, ".bin") ? file_copy(model, added) : file_write_atomic(added, "{\"eos_token_id\": 65}", 20));
    } else if (kind == 5) {
        struct strbuf text = STRBUF_INIT;
        const char *manifest = path_of("try/checkpoints/step-%06d/MANIFEST.json", step);
        MUST(file_read(&text, manifest, 1 << 20));
        json_t *document;
        MUST(json_parse(&document, strbuf_view(&text), manifest));
        json_object_del(json_object_get(document, "files"), part);
        char *changed = json_dumps(document, JSON_INDENT(1));
        MUST(file_write_atomic(manifest, changed, strlen(changed)));
        free(changed);
        json_decref(document);
        strbuf_release(&text);
    } else if (kind == 6) {
        MUST(rename(path_of("try/checkpoints/step-%06d", step), path_of("try/checkpoints/step-%06d", 10 + draw(90))) ==
                     0
                 ? ERR_NONE
                 : ERR_IO);
    } else if (kind == 7 && there) {
        uint64_t size = size_of(file);
        void *zeros = mem_zero((size_t)size + 1);
        MUST(file_write_atomic(file, zeros, (size_t)size));
        free(zeros);
    }
}

static void damage_files(int n)
{
    int before = n_failed;
    for (int i = 0; i < n; i++) {
        copy_run("inside", "try");
        disturb_files();
        report("files", i, damage_text, finish("try"));
    }
    printf("files: %d disturbances of checkpoints, %d not as the straight run\n", n, n_failed - before);
}

int main(void)
{
    begin_straight("strop_damage_XXXXXX");
    damage_rows(number_of("ROWS", 1000));
    damage_and_resume(number_of("RESUMES", 40));
    damage_pages(number_of("PAGES", 100));
    damage_files(number_of("FILES", 150));
    return end_straight();
}

/* rl/run/tensorboard.c - protocol buffers and CRC-32C by hand, one write per record.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/run/tensorboard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "rl/run/store.h"

#define PREFIX "events.out.tfevents."
#define SUFFIX ".strop"

struct tensorboard {
    int fd;
    char path[FILE_PATH_BYTES];
};

/* ---- records ---- */

uint32_t tensorboard_crc32c(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint32_t crc = ~0U;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) { /* reflected; some kilobytes per step need no table */
            crc = crc & 1 ? crc >> 1 ^ 0x82f63b78U : crc >> 1;
        }
    }
    return ~crc;
}

static void put_fixed(struct strbuf *out, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        strbuf_putc(out, (char)(value >> 8 * i));
    }
}

static void put_masked_crc(struct strbuf *out, const char *data, size_t size)
{
    uint32_t crc = tensorboard_crc32c(data, size);
    put_fixed(out, ((crc >> 15) | (crc << 17)) + 0xa282ead8U, 4);
}

static void put_record(struct strbuf *out, const struct strbuf *data)
{
    size_t start = out->length;
    put_fixed(out, data->length, 8);
    put_masked_crc(out, out->data + start, 8);
    strbuf_add_str(out, strbuf_view(data));
    put_masked_crc(out, data->data, data->length);
}

/* ---- protocol buffers: key (field number * 8 + wire type), then the value ---- */

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static void put_varint(struct strbuf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) {
        strbuf_putc(out, (char)(value | 0x80));
    }
    strbuf_putc(out, (char)value);
}

static void put_key(struct strbuf *out, unsigned field, unsigned wire)
{
    put_varint(out, field << 3 | wire);
}

static void put_bytes(struct strbuf *out, unsigned field, struct str bytes)
{
    put_key(out, field, WIRE_BYTES);
    put_varint(out, bytes.length);
    strbuf_add_str(out, bytes);
}

static void put_wall(struct strbuf *out, double wall)
{
    uint64_t bits;
    memcpy(&bits, &wall, sizeof bits);
    put_key(out, 1, WIRE_64);
    put_fixed(out, bits, 8);
}

void tensorboard_put_version(struct strbuf *out, double wall)
{
    struct strbuf event = STRBUF_INIT;
    put_wall(&event, wall);
    put_bytes(&event, 3, STR("brain.Event:2"));
    put_record(out, &event);
    strbuf_release(&event);
}

void tensorboard_put_scalars(struct strbuf *out, double wall, int64_t step, const struct metric *items, int n)
{
    struct strbuf event = STRBUF_INIT, summary = STRBUF_INIT, value = STRBUF_INIT;
    for (int i = 0; i < n; i++) {
        float number = (float)items[i].value;
        uint32_t bits;
        if (!isfinite(number)) {
            continue;
        }
        memcpy(&bits, &number, sizeof bits);
        strbuf_clear(&value);
        put_bytes(&value, 1, str_of(items[i].name));
        put_key(&value, 2, WIRE_32);
        put_fixed(&value, bits, 4);
        put_bytes(&summary, 1, strbuf_view(&value));
    }
    put_wall(&event, wall);
    if (step != 0) { /* zero is the default, which is not written */
        put_key(&event, 2, WIRE_VARINT);
        put_varint(&event, (uint64_t)step);
    }
    put_bytes(&event, 5, strbuf_view(&summary));
    put_record(out, &event);
    strbuf_release(&event);
    strbuf_release(&summary);
    strbuf_release(&value);
}

/* ---- the file ---- */

/* Steps of a table (step, i, name, value), each with the time at which it ended. */
static enum err put_table(sqlite3 *db, const char *sql, struct strbuf *out)
{
    sqlite3_stmt *query;
    if (sqlite3_prepare_v2(db, sql, -1, &query, NULL) != SQLITE_OK) {
        return err_set(ERR_IO, "run.db: cannot read: %s", sqlite3_errmsg(db));
    }
    struct metrics metrics = {0};
    int64_t step = 0;
    double wall = 0;
    int last;
    while ((last = sqlite3_step(query)) == SQLITE_ROW) {
        if (metrics.n > 0 && sqlite3_column_int64(query, 0) != step) {
            tensorboard_put_scalars(out, wall, step, metrics.items, metrics.n);
            metrics_clear(&metrics);
        }
        step = sqlite3_column_int64(query, 0);
        wall = sqlite3_column_double(query, 3);
        if (sqlite3_column_type(query, 2) != SQLITE_NULL && sqlite3_column_text(query, 1)) {
            metrics_set(&metrics, sqlite3_column_double(query, 2), "%s", (const char *)sqlite3_column_text(query, 1));
        }
    }
    if (metrics.n > 0) {
        tensorboard_put_scalars(out, wall, step, metrics.items, metrics.n);
    }
    sqlite3_finalize(query);
    return last == SQLITE_DONE ? ERR_NONE : err_set(ERR_IO, "run.db: cannot read: %s", sqlite3_errmsg(db));
}

static enum err put_run(const char *folder, double now, struct strbuf *out)
{
    sqlite3 *db;
    TRY(store_open_reader(&db, folder));
    tensorboard_put_version(out, now);
    enum err result = put_table(db,
                                "SELECT m.step, m.name, m.value, s.wall FROM metrics m JOIN steps s ON s.step = m.step"
                                " ORDER BY m.step, m.i",
                                out);
    if (result == ERR_NONE) { /* the first evaluation comes before the first step */
        result = put_table(db,
                           "SELECT e.step, e.name, e.value, coalesce(s.wall, (SELECT min(wall) FROM steps), 0)"
                           " FROM evals e LEFT JOIN steps s ON s.step = e.step ORDER BY e.step, e.i",
                           out);
    }
    sqlite3_close(db);
    return result;
}

static enum err remove_old(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir) {
        return err_set(ERR_IO, "cannot read %s: %s", folder, strerror(errno));
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[FILE_PATH_BYTES];
        struct str name = str_of(entry->d_name);
        if (str_starts(name, STR(PREFIX)) && str_ends(name, STR(SUFFIX)) &&
            file_join(path, sizeof path, folder, entry->d_name) == ERR_NONE) {
            unlink(path);
        }
    }
    closedir(dir);
    return ERR_NONE;
}

static enum err begin_file(struct tensorboard *t, const char *folder)
{
    char tb[FILE_PATH_BYTES], name[128], host[64] = "";
    double now = clock_wall();
    struct strbuf records = STRBUF_INIT;
    TRY(file_join(tb, sizeof tb, folder, "tb"));
    TRY(file_make_folders(tb));
    TRY(remove_old(tb));
    gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, PREFIX "%010lld.%s.%ld" SUFFIX, (long long)now, host[0] ? host : "host",
             (long)getpid());
    TRY(file_join(t->path, sizeof t->path, tb, name));
    enum err result = put_run(folder, now, &records);
    if (result == ERR_NONE) {
        result = file_write_atomic(t->path, records.data, records.length);
    }
    strbuf_release(&records);
    TRY(result);
    t->fd = open(t->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    return t->fd >= 0 ? ERR_NONE : err_set(ERR_IO, "cannot open %s: %s", t->path, strerror(errno));
}

enum err tensorboard_open(struct tensorboard **out, const char *folder)
{
    struct tensorboard *t = mem_zero(sizeof *t);
    t->fd = -1;
    enum err result = begin_file(t, folder);
    if (result != ERR_NONE) {
        tensorboard_close(t);
        return result;
    }
    *out = t;
    return ERR_NONE;
}

enum err tensorboard_add(struct tensorboard *t, int64_t step, const struct metrics *metrics)
{
    struct strbuf record = STRBUF_INIT;
    tensorboard_put_scalars(&record, clock_wall(), step, metrics->items, metrics->n);
    enum err result = file_write_all(t->fd, record.data, record.length, t->path);
    strbuf_release(&record);
    return result;
}

void tensorboard_close(struct tensorboard *t)
{
    if (!t) {
        return;
    }
    if (t->fd >= 0) {
        close(t->fd);
    }
    free(t);
}

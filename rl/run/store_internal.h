/* rl/run/store_internal.h - what store.c and store_load.c share.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_RUN_STORE_INTERNAL_H
#define RL_RUN_STORE_INTERNAL_H

#include <xxhash.h>

#include "base/file.h"
#include "rl/run/store.h"

struct store {
    sqlite3 *db;
    char path[FILE_PATH_BYTES], metrics_path[FILE_PATH_BYTES];
    int lock;                       /* descriptor of the lock file */
    int depth;                      /* of store_begin */
    XXH3_state_t *hash;             /* of the rows of an iteration, while they are written */
    double patience, waiting_since; /* seconds; on the clock */
    bool said;                      /* that it waits */
    bool (*give_up)(void);
};

enum err store_exec(struct store *store, const char *sql);
/* Adds a value to the hash: its type in SQLite, its length, its bytes. A number is 8 bytes; -0.0, which SQLite does
 * not keep, is 0. */
void store_fold(XXH3_state_t *hash, int type, const void *data, size_t bytes);
void store_fold_int(XXH3_state_t *hash, int64_t number);
void store_fold_real(XXH3_state_t *hash, double number);
void store_fold_shape(XXH3_state_t *hash, const struct store_shape *shape);
/* The hash of what was added; frees the state. */
void store_fold_end(XXH3_state_t *hash, char text[17]);
enum err store_prepare(struct store *store, sqlite3_stmt **statement, const char *sql);

#endif

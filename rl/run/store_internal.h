/* rl/run/store_internal.h - what store.c and store_load.c share.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_RUN_STORE_INTERNAL_H
#define RL_RUN_STORE_INTERNAL_H

#include "base/file.h"
#include "rl/run/store.h"

struct store {
    sqlite3 *db;
    char path[FILE_PATH_BYTES], metrics_path[FILE_PATH_BYTES];
    int lock;  /* descriptor of the lock file */
    int depth; /* of store_begin */
};

enum err store_exec(struct store *store, const char *sql);
enum err store_prepare(struct store *store, sqlite3_stmt **statement, const char *sql);

#endif

/* rl/run/store.sql.h - the schema of run.db.
 *
 * Blobs are little-endian arrays: tokens int32, logprob, lse and entropy float32. Columns named wall or seconds depend
 * on the clock; everything else is the same for two runs of one recipe and seed.
 *
 * rollouts has a row per iteration, written in the transaction of its prompts, completions and rewards: how many prompts, how many
 * completions of each, the steps that it feeds, the recipe's keys that shape it (lines "key: value"), and the XXH3 (64 bits,
 * hexadecimal) of all these values in the order of the keys of their tables, without rewards.seconds.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_RUN_STORE_SQL_H
#define RL_RUN_STORE_SQL_H

#define STORE_SCHEMA_VERSION "1"

#define STORE_SCHEMA                                                                                                   \
    "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"                                 \
    "CREATE TABLE IF NOT EXISTS steps(step INTEGER PRIMARY KEY, iteration INTEGER, wall REAL);"                        \
    "CREATE TABLE IF NOT EXISTS metrics(step INTEGER, i INTEGER, name TEXT, value REAL, PRIMARY KEY(step, i))"         \
    " WITHOUT ROWID;"                                                                                                  \
    "CREATE TABLE IF NOT EXISTS rollouts(iteration INTEGER PRIMARY KEY, prompts INTEGER, completions INTEGER,"         \
    " steps INTEGER, keys TEXT, xxh3 TEXT);"                                                                           \
    "CREATE TABLE IF NOT EXISTS prompts(iteration INTEGER, prompt INTEGER, data_index INTEGER, text TEXT, fields "     \
    "TEXT,"                                                                                                            \
    " tokens BLOB, PRIMARY KEY(iteration, prompt)) WITHOUT ROWID;"                                                     \
    "CREATE TABLE IF NOT EXISTS completions(iteration INTEGER, prompt INTEGER, sample INTEGER, text BLOB, tokens "     \
    "BLOB,"                                                                                                            \
    " logprob BLOB, lse BLOB, entropy BLOB, finish INTEGER, reward REAL, advantage REAL, dropped INTEGER,"             \
    " PRIMARY KEY(iteration, prompt, sample)) WITHOUT ROWID;"                                                          \
    "CREATE TABLE IF NOT EXISTS rewards(iteration INTEGER, prompt INTEGER, sample INTEGER, part INTEGER, label TEXT,"  \
    " verdict TEXT, score REAL, reason TEXT, extracted TEXT, seconds REAL, PRIMARY KEY(iteration, prompt, sample, "    \
    "part))"                                                                                                           \
    " WITHOUT ROWID;"                                                                                                  \
    "CREATE TABLE IF NOT EXISTS evals(step INTEGER, i INTEGER, name TEXT, value REAL, PRIMARY KEY(step, i))"           \
    " WITHOUT ROWID;"                                                                                                  \
    "CREATE TABLE IF NOT EXISTS eval_completions(step INTEGER, prompt INTEGER, sample INTEGER, question TEXT, text "   \
    "BLOB,"                                                                                                            \
    " n_tokens INTEGER, score REAL, reason TEXT, PRIMARY KEY(step, prompt, sample)) WITHOUT ROWID;"                    \
    "CREATE TABLE IF NOT EXISTS events(id INTEGER PRIMARY KEY, step INTEGER, wall REAL, kind TEXT, text TEXT);"

#endif

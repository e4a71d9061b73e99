/* rl/run/store.h - run.db and metrics.jsonl: everything a run did.
 *
 * One SQLite file, WAL, one connection that writes and checkpoints. Each call is one transaction, durable when it
 * returns. metrics.jsonl holds the same numbers, a line per step and one per evaluation ({"step": 20, "eval/pass@1":
 * ...}); it is written again from run.db when a run resumes. A run's folder belongs to one process: store_open takes
 * a lock that ends with the process. While another program holds run.db (a backup, a notebook), calls wait, saying
 * so; then they fail with ERR_IO.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_RUN_STORE_H
#define RL_RUN_STORE_H

#include <sqlite3.h>

#include "rl/iteration.h"
#include "rl/metrics.h"

struct store;

/* Opens or makes FOLDER/run.db. ERR_STATE, naming the other process, if another run has the folder. */
enum err store_open(struct store **out, const char *folder);
void store_close(struct store *store);
#define STORE_PATIENCE 300.0 /* seconds */
/* Other seconds, and a question that ends the waiting when it is answered with true (NULL: none). */
void store_set_patience(struct store *store, double seconds, bool (*give_up)(void));
/* For readers (report, runs): no lock, nothing is written. Close with sqlite3_close. */
enum err store_open_reader(sqlite3 **out, const char *folder);

enum err store_set_meta(struct store *store, const char *key, const char *value);
/* NULL if absent; in the arena. */
const char *store_get_meta(struct store *store, const char *key, struct arena *arena);

/* Prompts, completions and judgements of an iteration, after rewards and advantages. */
enum err store_rollout(struct store *store, const struct iteration *it, const struct reward_set *rewards);
/* What an iteration in the file was made with (rl/run/store.sql.h). */
struct store_shape {
    int64_t n_prompts, G, n_steps;
    const char *keys;
};
/* Of iteration `number`; text in the arena. ERR_STATE if the file does not have it. */
enum err store_load_shape(struct store *store, int64_t number, struct arena *arena, struct store_shape *out);
/* Fills prompts, groups, samples (reward, advantage, dropped) of it->number from the file. ERR_STATE, saying what is
 * wrong, unless every row is as it was written (one XXH3 over all of them), for it->n_prompts prompts of it->G
 * completions and it->n_steps steps, with tokens below V, and finite numbers. */
enum err store_load_rollout(struct store *store, struct iteration *it, int V);
/* A step's metrics: run.db, then metrics.jsonl, which gets its line even where run.db fails. */
enum err store_step(struct store *store, int64_t step, int64_t iteration, const struct metrics *metrics);
enum err store_eval(struct store *store, int64_t step, const struct metrics *metrics);
enum err store_eval_completion(struct store *store, int64_t step, int prompt, int sample, struct str question,
                               const struct completion *completion, double score, const char *reason);
enum err store_event(struct store *store, int64_t step, const char *kind, const char *text);
enum err store_begin(struct store *store); /* several calls as one transaction */
/* Ends it: commits, or undoes it if `result` is an error and hands that on. */
enum err store_end(struct store *store, enum err result);

/* Whether the evaluation at that step is in the file. */
enum err store_has_eval(struct store *store, int64_t step, bool *out);

/* The last step in the file (0: none), and how many of the steps up to `step` it lacks. */
enum err store_count_steps(struct store *store, int64_t step, int64_t *last, int64_t *missing);
/* Forgets all that came after `step`, and rollouts from iteration `iteration` on; writes metrics.jsonl again. Lines
 * that only metrics.jsonl has stay; if they are of later steps, the whole file is kept under another name
 * (metrics-1.jsonl ...). */
enum err store_rewind(struct store *store, int64_t step, int64_t iteration);

#endif

/* rl/run/store.sql.h - the schema of run.db.
 *
 * routes has rows where routing_replay is set: for each prompt (sample -1) and completion, [tokens that were computed, layers with
 * experts, k] ids of one byte.
 *
 * Blobs are little-endian arrays: tokens int32, logprob, lse and entropy float32. Columns named wall or seconds depend
 * on the clock; everything else is the same for two runs of one recipe and seed.
 *
 * rollouts has a row per iteration, written in the transaction of its prompts, completions and rewards: how many
 * prompts, how many completions of each, the steps that it feeds, the recipe's keys that shape it (lines "key:
 * value"), and the XXH3 (64 bits, hexadecimal) of all these values in the order of the keys of their tables, without
 * rewards.seconds.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_RUN_STORE_SQL_H
#define RL_RUN_STORE_SQL_H

#define STORE_SCHEMA_VERSION "1"

/* The comments are part of the schema: sqlite3 RUN/run.db .schema prints them. */
/* clang-format off */
#define STORE_SCHEMA \
    "CREATE TABLE IF NOT EXISTS meta( /* facts of the run */\n" \
    " key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;\n" \
    "CREATE TABLE IF NOT EXISTS steps( /* updates of the policy */\n" \
    " step INTEGER PRIMARY KEY, /* from 1 */\n" \
    " iteration INTEGER, /* whose rollout it learnt from, from 0 */\n" \
    " wall REAL /* when it ended, seconds since 1970 */);\n" \
    "CREATE TABLE IF NOT EXISTS metrics( /* numbers of steps; those of a rollout come with the first step that it feeds */\n" \
    " step INTEGER, i INTEGER, /* order within the step */\n" \
    " name TEXT, value REAL, PRIMARY KEY(step, i)) WITHOUT ROWID;\n" \
    "CREATE TABLE IF NOT EXISTS rollouts( /* what prompts, completions and rewards of an iteration must be */\n" \
    " iteration INTEGER PRIMARY KEY, prompts INTEGER, completions INTEGER, /* of each prompt */\n" \
    " steps INTEGER, /* that it feeds */\n" \
    " keys TEXT, /* of the recipe, that shape it */\n" \
    " xxh3 TEXT /* of the rows */);\n" \
    "CREATE TABLE IF NOT EXISTS prompts(iteration INTEGER, prompt INTEGER, /* from 0 */\n" \
    " data_index INTEGER, /* position in the order of the data set */\n" \
    " text TEXT, /* in its template */\n" \
    " fields TEXT, /* the row, JSON */\n" \
    " tokens BLOB, /* int32, little endian */\n" \
    " PRIMARY KEY(iteration, prompt)) WITHOUT ROWID;\n" \
    "CREATE TABLE IF NOT EXISTS completions(iteration INTEGER, prompt INTEGER, sample INTEGER, /* from 0 */\n" \
    " text BLOB, /* TEXT where it is whole UTF-8 */\n" \
    " tokens BLOB, /* int32, little endian */\n" \
    " logprob BLOB, /* float32 per token: ln of its probability when it was drawn */\n" \
    " lse BLOB, /* float32 per token: ln of the sum of exp of the logits */\n" \
    " entropy BLOB, /* float32 per token, nats */\n" \
    " finish INTEGER, /* 1 end token, 2 stop text, 3 max_completion_length, 4 cancelled */\n" \
    " reward REAL, advantage REAL, dropped INTEGER, /* 1: no reward judged it */\n" \
    " PRIMARY KEY(iteration, prompt, sample)) WITHOUT ROWID;\n" \
    "CREATE TABLE IF NOT EXISTS routes( /* routing_replay: which experts rows went to */\n" \
    " iteration INTEGER, prompt INTEGER, sample INTEGER, /* -1: of the prompt itself */\n" \
    " experts BLOB, /* a byte each: tokens (all but a completion's last) x layers with experts x k, ascending */\n" \
    " PRIMARY KEY(iteration, prompt, sample)) WITHOUT ROWID;\n" \
    "CREATE TABLE IF NOT EXISTS rewards(iteration INTEGER, prompt INTEGER, sample INTEGER, part INTEGER, /* place in reward_funcs */\n" \
    " label TEXT, verdict TEXT, /* ok, abstain, error */\n" \
    " score REAL, reason TEXT, extracted TEXT, /* the answer that was judged */\n" \
    " seconds REAL, PRIMARY KEY(iteration, prompt, sample, part)) WITHOUT ROWID;\n" \
    "CREATE TABLE IF NOT EXISTS evals( /* numbers of evaluations; step 0 is before the first update */\n" \
    " step INTEGER, i INTEGER, name TEXT, value REAL, PRIMARY KEY(step, i)) WITHOUT ROWID;\n" \
    "CREATE TABLE IF NOT EXISTS eval_completions( /* of the first prompts of an evaluation */\n" \
    " step INTEGER, prompt INTEGER, sample INTEGER, question TEXT, text BLOB, /* TEXT where it is whole UTF-8 */\n" \
    " n_tokens INTEGER, score REAL, reason TEXT, PRIMARY KEY(step, prompt, sample)) WITHOUT ROWID;\n" \
    "CREATE TABLE IF NOT EXISTS events( /* what happened: resumes, changed keys, failed checkpoints, warnings */\n" \
    " id INTEGER PRIMARY KEY, step INTEGER, wall REAL, kind TEXT, text TEXT);\n" \
    "CREATE VIEW IF NOT EXISTS samples AS /* completions with their prompts, in words */\n" \
    " SELECT c.iteration, c.prompt, c.sample, p.text AS question, c.text, length(c.tokens) / 4 AS n_tokens,\n" \
    " CASE c.finish WHEN 1 THEN 'end' WHEN 2 THEN 'stop' WHEN 3 THEN 'length' ELSE 'cancelled' END AS finish,\n" \
    " c.reward, c.advantage, c.dropped, p.fields FROM completions c JOIN prompts p USING(iteration, prompt);\n" \
    "CREATE VIEW IF NOT EXISTS verdicts AS /* each reward's say on each completion */\n" \
    " SELECT r.iteration, r.prompt, r.sample, r.label, r.verdict, r.score, r.reason, r.extracted, c.text, c.reward\n" \
    " FROM rewards r JOIN completions c USING(iteration, prompt, sample);\n"
/* clang-format on */

#endif

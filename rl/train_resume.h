/* rl/train_resume.h - continuing a run: by which recipe (train_changes.c), from where (train_resume.c).
 *
 * A run's state is its newest checkpoint, the rows of run.db and metrics.jsonl. They are compared before anything is
 * used: what can be continued is, and what was found is reported once and kept as an event.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_TRAIN_RESUME_H
#define RL_TRAIN_RESUME_H

#include "rl/train_internal.h"

/* Makes every path of a finished recipe absolute, so that its text means the same from any folder. */
void train_resolve_paths(struct recipe *recipe);

/* Compares with the recipe of the last start: t->changed names what is used anew. ERR_USAGE for another method or
 * model, or for a reference model that is not there any more. */
enum err train_compare(struct train *t);
/* ERR_USAGE, naming the keys, if the recipe cannot continue an iteration that a checkpoint has cut. */
enum err train_check_inside(struct train *t, const struct checkpoint_state *state, const struct store_shape *shape);
/* Warns of t->changed, and keeps it as an event. */
enum err train_report_changes(struct train *t);
/* Remembers what the base model is. */
enum err train_note_base(struct train *t);

/* The checkpoint to continue from; *found false: the run begins. ERR_STATE if the run has lost all of its
 * checkpoints. */
enum err train_find_checkpoint(struct train *t, char *path, size_t capacity, bool *found);
/* State and moments of the checkpoint; steps may follow. Writes nothing. */
enum err train_read_checkpoint(struct train *t, const char *checkpoint);
/* Before the first of steps that follow: run.db and metrics.jsonl go back to t->state, which is reported. */
enum err train_go_back(struct train *t, const char *checkpoint);
/* A warning that is also an event of the run. */
enum err train_warn(struct train *t, const char *kind, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif

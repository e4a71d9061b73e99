/* rl/record.h - what the first rank of a run writes down: run.db, metrics.jsonl, TensorBoard, the live line, the
 * report.
 *
 * The others compute the same numbers (struct train, rl/train_internal.h) and write nothing: their record is empty,
 * and every call here does nothing with it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_RECORD_H
#define RL_RECORD_H

#include "rl/collapse.h"
#include "rl/run/progress.h"
#include "rl/run/store.h"
#include "rl/run/tensorboard.h"

struct train;

struct record {
    struct store *store;             /* NULL on every rank but the first, and before it is opened */
    struct tensorboard *tensorboard; /* NULL unless report_to has it */
    struct progress progress;
    struct collapse collapse;
    int64_t saved_step;    /* of the newest checkpoint; -1: none */
    bool wrote;            /* a step or an evaluation, since the start */
    bool compared;         /* with the last start: what follows is known */
    bool base_changed;     /* what model_name_or_path names is no longer the model that the run began with */
    struct strbuf changed; /* keys with other values than at the last start */
};

void record_close(struct record *record);

/* Records a judged rollout: its metrics, whether the policy still learns, its rows. */
enum err record_rollout(struct train *t, struct iteration *it);
/* Records a finished step: t->metrics. */
enum err record_step(struct train *t);
/* Records an evaluation: t->evaluation and its metrics. */
enum err record_evaluation(struct train *t, const struct metrics *metrics);
/* Records that a checkpoint was saved. */
void record_save(struct train *t);
/* Prints a warning and stores it as an event of the run. */
enum err record_warning(struct train *t, int64_t step, const char *kind, const char *text);
/* Ends the record of a run, finished or stopped: curves, report.html, a line that sums it up. */
void record_end(const struct train *t, bool finished);

#endif

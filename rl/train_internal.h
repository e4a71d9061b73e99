/* rl/train_internal.h - the state of a run, shared by train.c (what it does), train_setup.c (how it begins),
 * train_resume.c (how it continues) and sft.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_TRAIN_INTERNAL_H
#define RL_TRAIN_INTERNAL_H

#include "rl/collapse.h"
#include "rl/run/checkpoint.h"
#include "rl/data/dataset.h"
#include "rl/loss.h"
#include "rl/run/progress.h"
#include "rl/run/store.h"
#include "rl/run/tensorboard.h"
#include "rl/train.h"

struct train {
    struct recipe *recipe;
    struct device *device;
    struct model *policy, *reference; /* reference NULL when beta is 0 */
    struct optim optim;
    struct loss loss;
    struct dataset *dataset, *eval_dataset; /* eval_dataset may be NULL */
    struct rollout *rollout;                /* NULL for sft */
    struct reward_set *rewards;             /* NULL for sft */
    struct store *store;
    struct tensorboard *tensorboard; /* NULL unless report_to has it */
    struct progress progress;
    struct iteration iteration, evaluation;
    struct checkpoint_state state; /* after the last finished step */
    struct metrics metrics;        /* of the step under way */
    int64_t max_steps;
    int64_t saved_step;    /* of the newest checkpoint; -1: none */
    bool wrote;            /* a step or an evaluation, since the start */
    bool compared;         /* with the last start: what follows is known */
    bool base_changed;     /* what model_name_or_path names is no longer the model that the run began with */
    struct strbuf changed; /* keys with other values than at the last start */
    int n_failing;         /* rollouts in a row whose rewards failed too often */
    struct collapse collapse;
    double step_start;
};

/* Opens everything and, where the recipe wants it, goes back to the newest checkpoint. */
enum err train_open(struct train *t, struct recipe *recipe, const char *command);
void train_close(struct train *t);

/* What a person should know of the first prompt: that it opens the thinking, or (sft) that a turn ends where the model does not.
 * The second prints it, for check (rl/train_first.c). */
enum err train_note_first(const struct train *t);
enum err train_print_first(const struct train *t, FILE *out);

int train_longest_sequence(const struct recipe *recipe); /* positions */
bool train_has_reference(const struct recipe *recipe);
bool train_has_masters(const struct recipe *recipe); /* else the elements themselves are trained */
/* What the operations will be asked for, with the policy's shape. */
struct device_limits train_limits(const struct train *t);
/* Gradients, moments, activations, and the rollout with so many pages. The device may be one that plans (rl/train_plan.h). */
enum err train_alloc(struct train *t, int kv_pages);
enum err train_open_rollout(struct train *t, int kv_pages);

/* One update by supervised training (rl/sft.c). */
enum err sft_step(struct train *t);

/* Groups of completions for it->prompts, and their rewards: it->samples. ERR_STATE when rewards fail again and again. */
enum err sample_groups(struct train *t, struct iteration *it);
/* Replaces groups that teach nothing by new ones (dynamic_sampling; DAPO, arXiv 2503.14476, section 3.2). */
enum err refill_groups(struct train *t, struct iteration *it);

/* The end of a step: metrics to the store, progress, state; then a checkpoint or an evaluation where one is due. */
/* ERR_NUMBERS, with the step, unless the log-probabilities that the loss was made of are finite. */
enum err train_check_loss(const struct train *t, bool is_finite);
enum err train_finish_step(struct train *t, const struct optim_stats *stats);

/* ---- signals (rl/train_signals.c) ----
 *
 * SIGINT (Ctrl-C), SIGTERM, SIGHUP and SIGXCPU ask the run to stop: once, after the step in progress; twice, at once, with what is
 * finished saved; three times, the program ends. SIGUSR1 and SIGUSR2 ask for a checkpoint after the step in progress. Each is
 * acknowledged on stderr at once. */
void train_signals_begin(void);
void train_signals_end(void);
void train_signals_step(int64_t step); /* in progress; 0: none yet */
int train_interrupts(void);            /* requests to stop, so far */
bool train_interrupted(void);          /* whether there was one */
bool train_stops_now(void);            /* two of them: what is under way is given up */
bool train_save_wanted(void);          /* since the last call */

#endif

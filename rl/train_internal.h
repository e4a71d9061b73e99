/* rl/train_internal.h - the state of a run, shared by train.c (what it does), train_setup.c (how it begins),
 * train_resume.c (how it continues) and sft.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_TRAIN_INTERNAL_H
#define RL_TRAIN_INTERNAL_H

#include "rl/batch.h"
#include "rl/data/dataset.h"
#include "rl/loss.h"
#include "rl/record.h"
#include "rl/run/checkpoint.h"
#include "rl/train.h"

/* What every rank of a run has and does. What the first rank writes in addition is its record. */
struct train {
    struct recipe *recipe;
    struct dist *dist; /* the ranks of the run (rl/dist.h); NULL: one */
    struct device *device;
    struct model *policy, *reference; /* reference NULL when beta is 0 */
    struct optim optim;
    struct loss loss;
    struct batch_options batch;
    struct dataset *dataset, *eval_dataset; /* eval_dataset may be NULL */
    struct rollout *rollout;                /* NULL for a method that does not sample */
    struct reward_set *rewards;             /* the same */
    struct iteration iteration, evaluation;
    struct checkpoint_state state; /* after the last finished step */
    struct metrics metrics;        /* of the step under way */
    struct loss_stats loss_stats;
    struct optim_stats optim_stats;
    double step_start, update_start; /* of the step under way; of its update, after the rollout */
    int64_t max_steps;
    int n_failing; /* rollouts in a row whose rewards failed too often */
    struct record record;
};

/* Opens everything and, where the recipe wants it, goes back to the newest checkpoint. */
enum err train_open(struct train *t, struct recipe *recipe, const char *command);
void train_close(struct train *t);

/* Warns of what follows from the first prompt: that it opens the thinking, or (sft) that a turn ends where the model
 * does not. train_print_first prints it, for check (rl/train_first.c). */
enum err train_note_first(const struct train *t);
enum err train_print_first(const struct train *t, FILE *out);

bool train_has_reference(const struct recipe *recipe);
/* The reference model of an open policy; with LoRA the policy with its adapter off, which takes no memory. */
enum err train_make_reference(struct train *t);
bool train_has_masters(const struct recipe *recipe); /* else the elements themselves are trained */
/* What the policy's weights are opened from, given the files of a checkpoint or NULL: with LoRA the base in any case. */
const char *train_model_path(struct recipe *recipe, const char *files);
/* The largest arguments that operations will get, by the policy's shape. */
struct device_limits train_limits(const struct train *t);
/* Takes gradients, moments, activations, and a rollout with kv_pages pages. The device may be one that plans
 * (rl/train_plan.h). */
enum err train_alloc(struct train *t, int kv_pages);
enum err train_open_rollout(struct train *t, int kv_pages);

/* ---- an iteration (rl/train.c is the story; rl/grpo.c, rl/refill.c) ---- */

/* One iteration, from its prompts to the last update that its rollout feeds; the rest of one that a checkpoint cut. */
enum err train_iteration(struct train *t);
void iteration_begin(struct train *t, struct iteration *it);
/* Its rollouts from run.db, packed; ERR_STATE if the next step would not begin with the bits that it began with
 * before. */
enum err iteration_resume(struct train *t, struct iteration *it);
/* Replaces groups that teach nothing by new ones (dynamic_sampling; DAPO, arXiv 2503.14476, section 3.2). ERR_STATE
 * when rewards fail again and again. */
enum err refill_groups(struct train *t, struct iteration *it);

/* ---- a step (rl/step.c) ---- */

/* The end of update i of an iteration: reference, metrics, state; then step_finish. */
enum err step_end(struct train *t, const struct iteration *it, int i);
/* The end of a step of any method: the record; then a checkpoint or an evaluation where one is due. ERR_STOPPED if a
 * signal asked for it. */
enum err step_finish(struct train *t);
enum err step_save(struct train *t); /* nothing if the step is saved already */
/* The evaluation that is due after the present step, also if it was due when the run was stopped. */
enum err step_evaluate(struct train *t);

/* ---- signals (rl/train_signals.c) ----
 *
 * SIGINT (Ctrl-C), SIGTERM, SIGHUP and SIGXCPU ask the run to stop: once, after the step in progress; twice, at once, with what is
 * finished saved; three times, the program ends. SIGUSR1 and SIGUSR2 ask for a checkpoint after the step in progress. Each is
 * acknowledged on stderr at once. */
void train_signals_begin(void);
void train_signals_end(void);
void train_signals_step(int64_t step); /* in progress; 0: none yet */
bool train_interrupted(void);          /* whether there was one */
bool train_stops_now(void);            /* two of them: what is under way is given up */
bool train_save_wanted(void);          /* since the last call */
void train_stopped_by(int signal);     /* that another rank got; 0: none */

#endif

/* rl/run/runs.h - runs as others see them: which there are in a folder, and how far each has come.
 *
 * Nothing is written, and a run may continue meanwhile. For an instant the lock of a run that is not running is tried.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_RUN_RUNS_H
#define RL_RUN_RUNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

enum run_state {
    RUN_RUNNING,    /* a process holds its lock */
    RUN_FINISHED,   /* all of its steps are done and saved */
    RUN_STOPPED,    /* its command, run again, continues it */
    RUN_UNREADABLE, /* see `problem`; nothing else is known but the folder */
};

/* Numbers that a run does not have are NaN, texts empty. */
struct run_summary {
    const char *folder;
    enum run_state state;
    const char *problem;
    const char *method, *model, *data, *command; /* as the recipe and the command line say */
    const char *recipe_path;                     /* where the recipe was that it began with */
    const char *template_name, *system_prompt, *chat_template_kwargs;
    const char *example;            /* the first prompt that was trained on, in its template */
    int64_t steps, max_steps;       /* max_steps 0: unknown */
    int64_t saved_step;             /* of its newest checkpoint; 0: none */
    double reward, loss, length;    /* of the last step that has one */
    double accuracy, accuracy_ci95; /* eval/pass@1 of the last evaluation */
    int64_t accuracy_step;
    double first_accuracy;        /* of the first evaluation */
    double first_wall, last_wall; /* end of the first and the last step, seconds since 1970 */
};

struct run_list {
    struct run_summary *items; /* the one that did something last comes first */
    int n;
};

/* A path inside the working directory without it, for people; others as they are. Points into `path`. */
const char *run_path_from_here(const char *path);
bool run_is_folder(const char *path); /* does it hold a run? */
const char *run_state_name(enum run_state state);
/* The run in `folder`. A run.db that cannot be read is RUN_UNREADABLE. */
void run_summarise(const char *folder, struct arena *arena, struct run_summary *out);
/* The model that `target` names: the newest checkpoint of a run, anything else as it is. In the arena. ERR_STATE if
 * the run has no checkpoint yet. */
enum err run_model_path(const char *target, struct arena *arena, const char **out);
/* The run that `target` is, or that it is a checkpoint of (RUN/checkpoints/NAME); NULL if it is neither. */
const char *run_of(const char *target, struct arena *arena);
/* All runs in a folder and its folders, at most four levels deep; or the one run that the folder is. ERR_IO if there
 * is no such folder. */
enum err run_list(const char *folder, struct arena *arena, struct run_list *out);

#endif

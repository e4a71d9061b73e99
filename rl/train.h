/* rl/train.h - a training run from its recipe to its last checkpoint.
 *
 * Interrupts (Ctrl-C, SIGTERM, SIGHUP, SIGXCPU): once, the step in progress is finished and saved; twice, the last
 * finished step is saved at once; three times, the program ends. SIGUSR1 and SIGUSR2: a checkpoint after the step in
 * progress.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_TRAIN_H
#define RL_TRAIN_H

#include <stdio.h>

#include "rl/recipe/recipe.h"

/* Runs, or continues, the recipe (finished by recipe_finish). All memory of the device is planned and taken before
 * the first step; a recipe that does not fit is refused like by train_check. `command` is kept with the run, to
 * reproduce it. ERR_STOPPED, after a save, if a signal ended it before its last step. Paths of the recipe become
 * absolute. */
enum err train_run(struct recipe *recipe, const char *command);
int train_stop_signal(void); /* that the last run was stopped by; 0: none */

#define TRAIN_ASSUMED_GIB ((size_t)80) /* of a GPU that is not there */

/* Prints sizes and the table of memory of a run, and opens its model (but reads no weights), data and rewards.
 * Writes no file, needs no GPU. memory: bytes that the device is taken to have; 0: what it has. ERR_LIMIT, after the
 * table and what would help, if the run does not fit. */
enum err train_check(struct recipe *recipe, size_t memory, FILE *out);

#endif

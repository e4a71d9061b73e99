/* rl/cmd/launch_templates.h - scripts that start the ranks of a run with the launchers of others.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_CMD_LAUNCH_TEMPLATES_H
#define RL_CMD_LAUNCH_TEMPLATES_H

#include <stdio.h>

#include "base/err.h"

/* Of the launcher "slurm", "kubernetes", "torchrun" or "mpirun", for n ranks; words: of a rank's command line, ended by NULL: at
 * least the program's name. ERR_USAGE, with the names there are. */
enum err launch_print_template(const char *launcher, int n, char *const *words, FILE *out);

#endif

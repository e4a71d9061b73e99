/* rl/cmd/commands.h - every command, one file each.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_CMD_COMMANDS_H
#define RL_CMD_COMMANDS_H

#include "rl/cmd/cmd.h"
#include "rl/recipe/recipe.h"

extern const struct command command_train, command_launch, command_eval, command_generate, command_chat, command_score,
    command_check, command_report, command_runs, command_convert, command_bench, command_doctor, command_help;

/* All of them in the order of `strop help`, ended by NULL (rl/cmd/main.c). */
extern const struct command *const all_commands[];

/* The recipe of `strop train`, `strop launch` and `strop check` with its overrides, finished: positional i is a file, or a run's
 * folder, whose own recipe.yaml is taken and whose output_dir is where it is now. Nothing is left to release if it fails. */
enum err cmd_open_training(struct recipe *recipe, const struct cmd_args *args, int i);

#endif

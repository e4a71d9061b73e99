/* rl/cmd/commands.h - every command, one file each.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_CMD_COMMANDS_H
#define RL_CMD_COMMANDS_H

#include "rl/cmd/cmd.h"

extern const struct command command_train, command_eval, command_generate, command_chat, command_score, command_check,
    command_report, command_runs, command_convert, command_bench, command_doctor, command_help;

/* All of them in the order of `strop help`, ended by NULL (rl/cmd/main.c). */
extern const struct command *const all_commands[];

#endif

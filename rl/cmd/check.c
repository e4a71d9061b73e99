/* rl/cmd/check.c - strop check RECIPE: would it run, what would it take?
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "rl/cmd/commands.h"
#include "rl/train.h"

static enum err print_keys(void)
{
    struct strbuf text = STRBUF_INIT;
    recipe_write_reference(&text);
    fputs(text.data, stdout);
    strbuf_release(&text);
    return ERR_NONE;
}

static enum err check_command(const struct cmd_args *args)
{
    struct recipe recipe;
    if (cmd_flag(args, "keys")) {
        return print_keys();
    }
    if (cmd_positional_count(args) == 0) {
        return err_set(ERR_USAGE, "usage: strop check RECIPE [--KEY=VALUE ...], or strop check --keys");
    }
    double memory = cmd_number(args, "memory");
    if (!(memory >= 0 && memory < 1e6)) {
        return err_set(ERR_USAGE, "--memory is in GiB: a number of 0 to 1000000, such as --memory=24");
    }
    TRY(cmd_open_training(&recipe, args));
    struct strbuf changes = STRBUF_INIT;
    recipe_write_changes(&recipe, &changes);
    printf("keys that differ from their defaults:\n%s", changes.data ? changes.data : "");
    strbuf_release(&changes);
    enum err result = train_check(&recipe, (size_t)(memory * (1 << 30)), stdout);
    recipe_release(&recipe);
    return result;
}

static const struct cmd_option check_options[] = {
    {"keys", CMD_FLAG, NULL, NULL, "print every key of a recipe, as Markdown"},
    {"memory", CMD_NUMBER, "GIB", "0",
     "memory that the device is taken to have; 0: what it has, or 80 if it is not here"},
    {0},
};

const struct command command_check = {
    .name = "check",
    .arguments = "RECIPE [--KEY=VALUE ...]",
    .summary = "validate a recipe: model, data, rewards, memory",
    .details =
        "Lays out all memory that a run would take, prints the table, and opens the run's model, data and rewards,\n"
        "without training or writing anything; weights are only looked at, for numbers that are none. A recipe that\n"
        "does not fit is refused, with three changes each of which would make it fit. It needs no GPU:\n\n"
        "  strop check my.yaml --device=cuda --memory=24\n",
    .options = check_options,
    .min_positional = 0,
    .max_positional = 1,
    .takes_recipe_keys = true,
    .run = check_command,
};

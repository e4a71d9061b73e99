/* rl/cmd/train.c - strop train RECIPE.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/cmd/commands.h"
#include "rl/train.h"

static enum err train_command(const struct cmd_args *args)
{
    struct recipe recipe;
    TRY(cmd_open_recipe(args, &recipe));
    enum err result = recipe_finish(&recipe);
    if (result == ERR_NONE) {
        result = train_run(&recipe, cmd_line(args));
    }
    recipe_release(&recipe);
    return result;
}

const struct command command_train = {
    .name = "train",
    .arguments = "RECIPE [--KEY=VALUE ...]",
    .summary = "train a model as a recipe says, or go on with a run",
    .details =
        "Results go to the recipe's output_dir: run.db, metrics.jsonl, checkpoints/, report.html. The same command\n"
        "goes on from the newest checkpoint. Ctrl-C once finishes the step and saves, twice saves the last\n"
        "finished step at once, three times ends the program.\n\n"
        "  strop train recipes/tiny/r1-zero.yaml\n"
        "  strop train my.yaml --learning_rate=3e-6 --max_steps=200 --output_dir=runs/second\n",
    .least_positional = 1,
    .most_positional = 1,
    .takes_recipe_keys = true,
    .run = train_command,
};

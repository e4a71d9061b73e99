/* rl/cmd/train.c - strop train RECIPE, or a run's folder.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "rl/cmd/commands.h"
#include "rl/dist.h"
#include "rl/run/runs.h"
#include "rl/train.h"

/* Whether the folder holds a run, or what is left of one. */
static bool holds_run(const char *folder)
{
    char checkpoints[FILE_PATH_BYTES];
    return run_is_folder(folder) ||
           (file_join(checkpoints, sizeof checkpoints, folder, "checkpoints") == ERR_NONE && file_exists(checkpoints));
}

/* A run's folder means its recipe.yaml. Started from there, the run continues where that file is, wherever it has
 * been moved or copied to; --output_dir begins another one. */
static enum err open_recipe(struct recipe *recipe, const char *target)
{
    char path[FILE_PATH_BYTES], folder[FILE_PATH_BYTES];
    snprintf(path, sizeof path, "%s", target);
    if (file_is_folder(target) && holds_run(target)) {
        TRY(file_join(path, sizeof path, target, "recipe.yaml"));
        if (!file_exists(path)) {
            return err_set(ERR_USAGE, "%s has no recipe.yaml; name the recipe, with --output_dir=%s", target, target);
        }
    }
    TRY(recipe_open(recipe, path));
    const char *slash = strrchr(path, '/');
    if (strcmp(slash ? slash + 1 : path, "recipe.yaml") == 0) {
        snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
        if (holds_run(folder[0] ? folder : "/")) {
            recipe->run.output_dir = arena_strdup(&recipe->arena, folder);
        }
    }
    return ERR_NONE;
}

enum err cmd_open_training(struct recipe *recipe, const struct cmd_args *args, int i)
{
    TRY(open_recipe(recipe, cmd_positional(args, i)));
    enum err result = cmd_override_recipe(args, recipe);
    if (result == ERR_NONE) {
        result = recipe_finish(recipe);
    }
    if (result != ERR_NONE) {
        recipe_release(recipe);
    }
    return result;
}

/* Curves on standard output are for whoever looks: that nobody can read them is no failure of the run. */
static void flush_curves(void)
{
    if (fflush(stdout) != 0 && !freopen("/dev/null", "w", stdout)) {
        log_warning("standard output is lost");
    }
}

static enum err train_command(const struct cmd_args *args)
{
    struct recipe recipe;
    dist_quiet_others();
    TRY(cmd_open_training(&recipe, args, 0));
    enum err result = train_run(&recipe, cmd_line(args));
    flush_curves();
    recipe_release(&recipe);
    return result;
}

const struct command command_train = {
    .name = "train",
    .arguments = "RECIPE|RUN [--KEY=VALUE ...]",
    .summary = "train a model as a recipe says, or continue a run",
    .details =
        "Results go to the recipe's output_dir: run.db, metrics.jsonl, checkpoints/, report.html. The same command\n"
        "continues from the newest checkpoint; so does RUN, the folder of a run, from anywhere and after a copy.\n\n"
        "Ctrl-C once finishes the step and saves, twice saves the last finished step at once, three times ends the\n"
        "program. SIGTERM, SIGHUP, SIGXCPU, SIGALRM, SIGVTALRM, SIGIO and SIGPWR do the same; SIGUSR1 and SIGUSR2 save "
        "after the step and continue.\n\n"
        "Exit codes: 0 the run has all of its steps; 1 it failed; 2 the recipe or the command line is wrong; 130, "
        "143,\n"
        "129, 152 (128 and the signal's number) it was saved and stopped before the end by Ctrl-C, SIGTERM, SIGHUP, "
        "SIGXCPU and so on; 75: another rank of the run is lost (killed, stopped or cut off): start it again.\n\n"
        "Several processes train together where a launcher starts them (strop launch, torchrun, srun, mpirun; strop "
        "launch\n"
        "--help). The same gradient_shards makes the same bits on 1, 2, 4 ... ranks.\n\n"
        "  strop train recipes/tiny/r1-zero.yaml\n"
        "  strop train my.yaml --learning_rate=3e-6 --max_steps=200 --output_dir=runs/second\n"
        "  strop train runs/second --max_steps=400\n"
        "  sbatch --signal=B:TERM@120 ...                      Slurm's time limit: saved two minutes before it\n",
    .min_positional = 1,
    .max_positional = 1,
    .takes_recipe_keys = true,
    .run = train_command,
};

/* rl/cmd/report.c - strop report RUN: report.html, and curves in the terminal.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/report/report.h"

#include "base/log.h"
#include "rl/cmd/commands.h"

static enum err report_command(const struct cmd_args *args)
{
    const char *folder = cmd_positional(args, 0), *path = cmd_text(args, "output");
    TRY(report_write(folder, path));
    if (path) {
        log_info("the report is %s", path);
    } else {
        log_info("the report is %s/report.html", folder);
    }
    return report_draw(folder);
}

static const struct cmd_option report_options[] = {
    {"output", CMD_TEXT, "FILE", NULL, "where the page goes; without it to RUN/report.html (also -o FILE)"},
    {0},
};

const struct command command_report = {
    .name = "report",
    .arguments = "RUN [-o FILE]",
    .summary = "write a run's report.html, and draw its curves here",
    .details =
        "RUN is the folder of a run, finished or running. The page is one file that needs no network: curves, the\n"
        "completions with search, filters and every reward part, the recipe, and the command. strop train writes it\n"
        "at each checkpoint and at the end.\n\n"
        "  strop report runs/demo\n"
        "  strop report runs/demo -o demo.html\n",
    .options = report_options,
    .min_positional = 1,
    .max_positional = 1,
    .run = report_command,
};
